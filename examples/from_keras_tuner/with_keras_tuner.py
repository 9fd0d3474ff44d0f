"""A search by KerasTuner's Hyperband. Not run here: it needs keras-tuner."""

import keras
import keras_tuner
from sklearn.datasets import load_digits

images, digits = load_digits(return_X_y=True)
images = images / 16


def build(hp):
    """The model of the hyperparameters."""
    model = keras.Sequential([keras.Input((64,))])
    for _ in range(hp.Int("layers", 1, 2)):
        model.add(keras.layers.Dense(hp.Int("units", 16, 128, sampling="log"), activation="relu"))
        model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5)))
    model.add(keras.layers.Dense(10, activation="softmax"))
    learning_rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    optimizer = keras.optimizers.Adam(learning_rate)
    if hp.Choice("optimizer", ["adam", "sgd"]) == "sgd":
        with hp.conditional_scope("optimizer", ["sgd"]):
            optimizer = keras.optimizers.SGD(learning_rate, momentum=hp.Float("momentum", 0.0, 0.99))
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


tuner = keras_tuner.Hyperband(build, objective="val_accuracy", max_epochs=9, directory="outputs", project_name="digits")
tuner.search(images[:1200], digits[:1200], batch_size=50, validation_data=(images[1200:], digits[1200:]))
print(tuner.get_best_hyperparameters()[0].values)
tuner.results_summary(3)
