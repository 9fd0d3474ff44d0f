"""A trained model as a file that plain Keras loads."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from hposweep.training.data import ArrayData


def save(path: Path, model: keras.Model, data: ArrayData) -> None:
    """Writes the model as `.keras`, for inputs like those of the data.

    If these are bytes, the file includes their scaling to [0, 1], so the model takes raw images:

        model = keras.models.load_model("model.keras")
        classes = model.predict(images).argmax(axis=1)      # images: bytes, of the shape that the model was trained on
    """
    if data.train[0].dtype == np.uint8:
        model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Rescaling(1 / 255), model])
    # A program trains its model without compiling it: there is no optimizer and no loss in the file.
    model.save(path)
