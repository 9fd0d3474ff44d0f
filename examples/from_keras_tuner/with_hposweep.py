"""The search of with_keras_tuner.py, by hposweep.     python with_hposweep.py"""

import keras
from sklearn.datasets import load_digits

import hposweep
from hposweep.keras import SweepCallback
from hposweep.schedulers.hyperband import HyperbandScheduler

images, digits = load_digits(return_X_y=True)
images = images / 16

# An option of a choice brings the hyperparameters that exist under it alone: only sgd has a momentum.
SPACE = {
    "layers": "randint(1, 3)",
    "units": "int(loguniform(16, 128))",
    "dropout": "uniform(0, 0.5)",
    "learning_rate": "loguniform(1e-4, 1e-1)",
    "optimizer": {"choice": {"adam": None, "sgd": {"momentum": "uniform(0, 0.99)"}}},
}


def build(hp: dict) -> keras.Model:
    """The model of a configuration."""
    layers = [keras.Input((64,))]
    for _ in range(hp["layers"]):
        layers += [keras.layers.Dense(hp["units"], activation="relu"), keras.layers.Dropout(hp["dropout"])]
    model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])
    if hp["optimizer"] == "sgd":
        optimizer = keras.optimizers.SGD(hp["learning_rate"], momentum=hp["momentum"])
    else:
        optimizer = keras.optimizers.Adam(hp["learning_rate"])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def objective(configuration: dict) -> float:
    """The accuracy that the configuration reaches."""
    model = build(configuration)
    callback = SweepCallback(model, metric="val_accuracy")
    model.fit(
        images[:1200],
        digits[:1200],
        batch_size=50,
        epochs=9,
        initial_epoch=callback.initial_epoch,
        validation_data=(images[1200:], digits[1200:]),
        callbacks=[callback],
        verbose=0,
    )
    return callback.value


if __name__ == "__main__":
    sweep = hposweep.tune(
        objective,
        SPACE,
        n_trials=9,
        scheduler=HyperbandScheduler(r_max=9),
        metric="val_accuracy",
        direction="maximize",
        folder="outputs/digits",
    )
    columns = ["val_accuracy", "epochs", "layers", "units", "optimizer"]
    print(sweep.trials.sort_values("val_accuracy", ascending=False)[columns].head(3))
