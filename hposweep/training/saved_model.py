"""A trained model as a file that plain Keras loads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from hposweep.training.preprocessing import with_raw_inputs
from hposweep.training.program import Data

OF_COMPILE = ("compiled", "optimizer", "_compile_config", "_compile_loss", "_compile_metrics", "_loss_tracker")


def save(path: Path, model: keras.Model, data: Data) -> None:
    """Writes the model as `.keras`, for inputs like those of the data.

    If these are bytes, the file includes their scaling to [0, 1], so the model takes raw images:

        model = keras.models.load_model("model.keras")
        classes = model.predict(images).argmax(axis=1)      # images: bytes, of the shape that the model was trained on

    If they are the rows of a table, it takes them as they stand in the file, by the names of the columns, as
    `preprocessing.with_raw_inputs` tells. A regression's numbers are in the units of the data, also where the model has
    learnt standardised ones.
    """
    whole = _with_what_surrounds_it(model, data)
    if data.features is not None:
        whole = with_raw_inputs(whole, data.features, "columns" if isinstance(data.input_shape, Mapping) else "matrix")
    with _not_compiled(model):
        whole.save(path)


@contextlib.contextmanager
def _not_compiled(model: keras.Model) -> Iterator[None]:
    """Within it the model is as if `compile` had not been called: plain Keras could not load metrics of ours.

    Past Keras's tracking of attributes, which would take them for new ones.
    """
    attributes = vars(model)
    kept = {name: attributes[name] for name in OF_COMPILE if name in attributes}
    attributes.update(dict.fromkeys(kept, None), compiled=False)
    try:
        yield
    finally:
        attributes.update(kept)


def _with_what_surrounds_it(model: keras.Model, data: Data) -> keras.Model:
    inputs, shape = data.first_examples()[0], data.input_shape
    dtypes = keras.tree.map_structure(lambda array: array.dtype.name, inputs)
    are_bytes = "uint8" in keras.tree.flatten(dtypes)
    if data.scale is None:
        if not are_bytes:
            return model
        if not isinstance(shape, Mapping):
            return keras.Sequential([keras.Input(shape), keras.layers.Rescaling(1 / 255), model])
    if isinstance(shape, Mapping):
        raw: Any = {name: keras.Input(each, name=name, dtype=_read_as(dtypes[name])) for name, each in shape.items()}
        taken: Any = {name: _scaled(raw[name], dtypes[name]) for name in raw}
    else:
        raw = keras.Input(shape, dtype=_read_as(dtypes))
        taken = _scaled(raw, dtypes)
    outputs = model(taken)
    if data.scale is not None:
        mean, deviation = data.scale
        outputs = keras.layers.Rescaling(deviation.tolist(), offset=mean.tolist())(outputs)
    return keras.Model(raw, outputs)


def _read_as(dtype: str) -> str:
    return "float32" if dtype == "uint8" else dtype


def _scaled(tensor: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
    return keras.layers.Rescaling(1 / 255)(tensor) if dtype == "uint8" else tensor
