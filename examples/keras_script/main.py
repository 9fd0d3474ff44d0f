"""The script as a function of its hyperparameters, as a Hydra app, with SweepCallback: a run of its own or a trial.

    python main.py
    python main.py --multirun hydra/sweeper=hposweep hydra/launcher=hposweep hydra/sweeper/scheduler=asha \
        hydra.sweeper.scheduler.r_max=9 hydra.sweeper.metric=val_accuracy hydra.sweeper.direction=maximize \
        'learning_rate=tag(log,interval(1e-4,1e-1))' 'units=int(tag(log,interval(16,128)))' hydra.sweeper.n_trials=12
"""

import hydra
import keras
from omegaconf import DictConfig
from sklearn.datasets import load_digits

from hposweep.keras import SweepCallback


def train(learning_rate: float, units: int, dropout: float, epochs: int) -> float:
    """The share of 597 handwritten digits that the model gets right."""
    images, digits = load_digits(return_X_y=True)
    images = images / 16

    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    callback = SweepCallback(model, metric="val_accuracy")
    model.fit(
        images[:1200],
        digits[:1200],
        batch_size=50,
        epochs=epochs,
        initial_epoch=callback.initial_epoch,
        validation_data=(images[1200:], digits[1200:]),
        callbacks=[callback],
        verbose=0,
    )
    return callback.value


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """One run, or one segment of a trial."""
    value = train(cfg.learning_rate, cfg.units, cfg.dropout, cfg.epochs)
    print("val_accuracy", value)
    return value


if __name__ == "__main__":
    main()
