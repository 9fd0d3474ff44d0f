"""A table's preprocessing as layers of Keras, so that a saved model predicts from raw rows."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers, ops

from hposweep.training.examples import Feature


def with_raw_inputs(model: keras.Model, features: Mapping[str, Feature], encode: str) -> keras.Model:
    """The model behind the encoding that `tabular.encode_rows` does with NumPy; plain Keras saves and loads it.

        model = keras.models.load_model("model.keras")
        frame = pandas.read_csv("new.csv", dtype={"zip_code": str})
        model.predict({name: frame[name].to_numpy() for name in model.input})

    Its inputs have the names of the columns (with _ for /), and shape (n,) or (n, 1). Numbers are float32, NaN where
    they are missing. Categories are always texts, "" where they are missing: what stands in the CSV file, "True" or
    "False" for booleans, and whole numbers without a decimal point. Of a column of pandas in which some are missing
    that is `frame[name].fillna("").to_numpy(object)`, of a boolean one `frame[name].astype(str).to_numpy(object)`.

    Args:
        model: its inputs are as `encode_rows` gives them: one matrix, or arrays by `Feature.input_name`.
        encode: "matrix" or "columns".
    """
    inside, inputs = {}, {}
    for number, feature in enumerate(features.values()):
        dtype = "float32" if feature.kind == "number" else "string"
        inside[feature.input_name] = keras.Input((1,), name=f"column_{number}", dtype=dtype)
        inputs[feature.input_name] = keras.Input((1,), name=feature.input_name, dtype=dtype)
    # Names are unique in a model, and those of its operations ("cast", "where") may be columns', too: so the operations
    # are in a model of their own.
    name = "encoded"
    while name in inputs:
        name += "_"
    encoded = _encoded(inside, features, encode)
    if isinstance(encoded, dict) and isinstance(model.input, dict):
        encoded = {key: encoded[key] for key in model.input}
    surrounded = keras.Model(list(inside.values()), model(encoded), name=name)
    return keras.Model(inputs, surrounded(list(inputs.values())))


def _encoded(
    inputs: Mapping[str, keras.KerasTensor], features: Mapping[str, Feature], encode: str
) -> keras.KerasTensor | dict[str, keras.KerasTensor]:
    columns: dict[str, keras.KerasTensor] = {}
    for feature in features.values():
        values = inputs[feature.input_name]
        if feature.kind == "category":
            n_codes = 1 + len(feature.vocabulary)
            codes = ops.cast(layers.StringLookup(vocabulary=list(feature.vocabulary))(values), "int32")
            one_hot = ops.cast(ops.equal(codes, np.arange(n_codes, dtype=np.int32)), "float32")
            columns[feature.input_name] = codes if encode == "columns" else one_hot
            continue
        missing = ops.isnan(values)
        scaled = ops.multiply(ops.subtract(values, np.float32(feature.mean)), feature.scale)
        columns[feature.input_name] = ops.where(missing, np.float32(0), scaled)
        if feature.has_missing:
            columns[feature.missing_name] = ops.cast(missing, "float32")
    if encode == "columns":
        return columns
    return ops.concatenate(list(columns.values()), axis=1) if len(columns) > 1 else next(iter(columns.values()))
