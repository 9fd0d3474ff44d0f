"""Saved models that predict from raw rows: the layers encode as NumPy does."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hposweep.training import tabular
from hposweep.training.examples import Feature
from hposweep.training.preprocessing import with_raw_inputs
from support.warm import WarmProcess

PENGUINS = Path(__file__).resolve().parents[2] / "datasets" / "penguins" / "penguins.csv"
FEATURES = {
    feature.name: feature
    for feature in (
        Feature("length / mm", "number", mean=44.17696072073544, deviation=5.4488178856897855, has_missing=True),
        Feature("time", "number", mean=1.6e9, deviation=123.4),
        Feature("código (zip)", "category", vocabulary=("x", "007", "True")),
    )
}
RAW = {
    "length / mm": np.array([1.1, np.nan, 50, 3, 0], np.float32),
    "time": np.array([1.6e9, 1.7e9, np.nan, 17, -1], np.float32),
    "código (zip)": np.array(["x", "", "007", "unseen", "True"], object),
}


def passes_on(encoded: Any) -> keras.Model:
    """A model whose outputs are its inputs."""
    if not isinstance(encoded, dict):
        matrix = keras.Input(encoded.shape[1:])
        return keras.Model(matrix, keras.layers.Identity()(matrix))
    inputs = {name: keras.Input((1,), name=name, dtype=str(array.dtype)) for name, array in encoded.items()}
    outputs = {name: keras.layers.Identity(dtype=each.dtype)(each) for name, each in inputs.items()}
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("encode", ["matrix", "columns"])
def test_layers_encode_to_the_bits_of_numpy(tmp_path: Path, encode: str) -> None:
    expected = tabular.encode_rows(RAW, FEATURES, encode)
    with_raw_inputs(passes_on(expected), FEATURES, encode).save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    assert list(model.input) == ["length _ mm", "time", "código (zip)"]
    for shape in ((-1,), (-1, 1)):
        raw = {name.replace("/", "_"): values.reshape(shape) for name, values in RAW.items()}
        found = model(
            {name: keras.ops.convert_to_tensor(each.tolist(), model.input[name].dtype) for name, each in raw.items()}
        )
        if not isinstance(expected, dict):
            assert np.asarray(found).tobytes() == expected.tobytes()
            continue
        assert isinstance(found, dict)
        assert {name: np.asarray(array).tobytes() for name, array in found.items()} == {
            name: array.tobytes() for name, array in expected.items()
        }


@pytest.mark.parametrize("features", [["bill_length_mm"], ["island"], ["year"]], ids=str)
def test_a_single_column_is_enough(features: list[str]) -> None:
    splits = tabular.csv(str(PENGUINS), "species", "classification", features=features)
    assert splits.features is not None
    model = with_raw_inputs(passes_on(splits.train.inputs), splits.features, "matrix")
    raw: Any = {"island": np.array(["Dream", ""], object)}.get(features[0], np.array([2008, np.nan], np.float32))
    expected = tabular.encode_rows({features[0]: raw}, splits.features, "matrix")
    assert (model.predict({features[0]: raw}, verbose=0) == expected).all()


@pytest.mark.parametrize(
    "names", [("cast", "where"), ("string_lookup", "encoded"), ("functional", "column_1"), ("a:b", "a\nb")]
)
def test_any_name_of_a_column_will_do(tmp_path: Path, names: tuple[str, str]) -> None:
    keras.backend.clear_session()
    category = Feature(names[0], "category", vocabulary=("x", "y"))
    features = {names[0]: category, names[1]: Feature(names[1], "number", mean=1, deviation=2, has_missing=True)}
    raw = {names[0]: np.array(["x", ""], object), names[1]: np.array([3, np.nan], np.float32)}
    expected = tabular.encode_rows(raw, features, "matrix")
    with_raw_inputs(passes_on(expected), features, "matrix").save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    assert (model.predict(raw, verbose=0) == expected).all()


PREDICT = """
import sys
import keras, numpy, pandas
model = keras.models.load_model("model.keras")
frame = pandas.read_csv(sys.argv[1])
frame["sex"] = frame["sex"].fillna("")
rows = {name: frame[name].to_numpy() for name in model.input}
numpy.save("predicted.npy", model.predict(rows, batch_size=len(frame), verbose=0))
print([name for name in sys.modules if name == "hposweep.training.preprocessing"])
"""


def test_plain_keras_predicts_from_the_rows_of_a_file(tmp_path: Path, warm_keras: WarmProcess) -> None:
    splits = tabular.csv(str(PENGUINS), "species", "classification", validation=0, test=0)
    assert splits.features is not None
    keras.utils.set_random_seed(0)
    layers = [keras.Input(splits.train.inputs.shape[1:]), keras.layers.Dense(3)]  # type: ignore[union-attr]
    model = keras.Sequential(layers)
    with_raw_inputs(model, splits.features, "matrix").save(tmp_path / "model.keras")
    done = warm_keras.run(["-c", PREDICT, str(PENGUINS)], tmp_path)
    assert done.exit_code == 0, done.err
    assert done.out.strip() == "[]"
    predicted = np.load(tmp_path / "predicted.npy")
    np.testing.assert_allclose(predicted, model.predict(splits.train.inputs, verbose=0), atol=1e-6)
