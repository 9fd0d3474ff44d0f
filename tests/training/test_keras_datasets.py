"""keras.datasets, read from small files in a folder as Keras's downloads."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.training import keras_datasets
from hposweep.training.keras_datasets import keras_dataset
from hposweep.training.tasks import Task

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file of the data sets' folder, which Keras takes without looking at its hash."""
    from keras.src.utils import file_utils

    folder = tmp_path / "datasets"
    folder.mkdir()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.config, "keras_home", lambda: str(tmp_path), raising=False)
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    monkeypatch.setattr(file_utils, "validate_file", lambda *_, **__: True)

    def file(name: str, **arrays: Any) -> None:
        np.savez(folder / name, **arrays)

    return file


def sequences(*lengths: int) -> np.ndarray:
    found = np.empty(len(lengths), object)
    found[:] = [list(range(1, length + 1)) for length in lengths]
    return found


def test_images_get_a_channel_and_validation_examples_of_each_class(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images, labels = np.zeros((40, 28, 28), np.uint8), (np.arange(40) % 10).astype(np.uint8)
    write("mnist.npz", x_train=images, y_train=labels, x_test=images[:10], y_test=labels[:10])
    with caplog.at_level(logging.INFO):
        splits: Any = keras_dataset("mnist", "classification", validation=10)
    assert f"mnist of keras.datasets, which Keras downloads once to {tmp_path / 'datasets'}" in caplog.text
    assert splits.train.inputs.shape == (30, 28, 28, 1)
    assert splits.train.inputs.dtype == np.uint8
    assert np.bincount(splits.val.targets).tolist() == [1] * 10
    assert splits.test.targets.tolist() == list(range(10))
    assert splits.class_names == ()


@pytest.mark.parametrize("task", ["classification", "binary"])
def test_texts_are_cut_and_padded_at_the_start(write: Write, task: str) -> None:
    words, labels = sequences(*[3] * 9, 1), np.arange(10) % 2
    write("imdb.npz", x_train=words, y_train=labels, x_test=words, y_test=labels)
    splits: Any = keras_dataset("imdb", task, validation=0, num_words=6, maxlen=3)
    assert splits.train.inputs.shape == (10, 3)
    # Keras puts a 1 at the start, adds 3 to each word, and writes 2 for those that are rarer than the six.
    assert sorted(map(tuple, splits.train.inputs))[0] == (0, 1, 4)
    assert sorted(map(tuple, splits.train.inputs))[1:] == [(4, 5, 2)] * 9
    assert splits.train.inputs.dtype == np.int32
    assert sorted(splits.train.targets) == [0] * 5 + [1] * 5


def test_houses_are_a_standardised_table(write: Write) -> None:
    values = np.random.default_rng(0).normal(50, 10, (50, 13))
    write("boston_housing.npz", x=values, y=np.arange(50.0))
    splits: Any = keras_dataset("boston_housing", "regression", validation=0.25)
    assert [len(part.targets) for part in (splits.train, splits.val, splits.test) if part] == [30, 10, 10]
    assert splits.train.inputs.shape == (30, 13)
    assert np.abs(splits.train.inputs.mean(axis=0)).max() < 1e-5
    assert splits.features["x12"].kind == "number"
    assert splits.train.targets.dtype == np.float32


def test_what_can_not_be_downloaded_is_said(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise Exception("URL fetch failure on https://storage: None -- no route")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", refuse)
    with pytest.raises(ConfigError, match=r"data\.name: mnist is not in .*datasets and can't be downloaded"):
        keras_dataset("mnist", "classification")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": "minst"}, "data.name: no 'minst'; did you mean 'mnist'? Available: mnist, "),
    ({"name": "???"}, "data.name: must be given"),
    ({"name": "boston_housing"}, "data.name: boston_housing needs task=regression, got classification"),
    ({"split": "group"}, "data.split: must be auto, random or stratified, got group"),
    ({"num_words": 100}, "data.num_words: read for imdb and reuters alone, got 100 for mnist"),
    ({"maxlen": 100}, "data.maxlen: read for imdb and reuters alone, got 100 for mnist"),
    ({"name": "imdb", "maxlen": 0}, "data.maxlen: must be at least 1, got 0"),
    ({"name": "imdb", "num_words": 3}, "data.num_words: must be at least 4, got 3"),
    ({"validation": 60_000}, "data.validation, data.test: leave nothing of 60000 examples to train on"),
    ({"batch_size": 50_000}, "data.batch_size: must be from 1 to 48000, the training examples; got 50000"),
]


@pytest.mark.parametrize(("changed", "message"), BAD, ids=[message for _, message in BAD])
def test_what_is_wrong_is_known_without_the_data(changed: dict[str, Any], message: str) -> None:
    node = {"_target_": "...", "name": "mnist", "validation": 0.2, "split": "auto", "batch_size": 16} | changed
    with pytest.raises(ConfigError) as raised:
        keras_datasets.check(node, Task())
    assert message in str(raised.value)


def test_a_task_that_the_data_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.name: mnist needs task=classification, got binary"):
        keras_datasets.check({"name": "mnist"}, Task.of({"kind": "binary"}))
    keras_datasets.check({"name": "imdb"}, Task.of({"kind": "binary"}))
