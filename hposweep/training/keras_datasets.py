"""The data sets of keras.datasets, which Keras downloads once, with validation examples held out."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hposweep.errors import ConfigError, nearest
from hposweep.training import array_files, data_files, splits, tabular, targets
from hposweep.training.examples import Examples, Splits
from hposweep.training.tasks import Task

log = logging.getLogger(__name__)

DEFAULT_NUM_WORDS = 10_000
DEFAULT_MAXLEN = 200


@dataclass(frozen=True)
class Dataset:
    """What has to be known of a data set before it is there."""

    n_train: int
    n_classes: int | None = None  # None: numbers to be predicted
    has_words: bool = False  # sequences of the numbers of words, of various lengths


DATASETS = {
    "mnist": Dataset(60_000, 10),
    "fashion_mnist": Dataset(60_000, 10),
    "cifar10": Dataset(50_000, 10),
    "cifar100": Dataset(50_000, 100),
    "imdb": Dataset(25_000, 2, has_words=True),
    "reuters": Dataset(8_982, 46, has_words=True),
    "california_housing": Dataset(16_512),
    "boston_housing": Dataset(404),
}


def keras_dataset(
    name: str,
    task: str,
    validation: float = 0.2,
    split: str = "auto",
    split_seed: int = 0,
    num_words: int | None = None,
    maxlen: int | None = None,
) -> Splits:
    """One of keras.datasets; its test examples are the test part, validation examples are held out of the others.

    Images have shape (n, height, width, channels), uint8, words (n, maxlen), int32: padded with 0 at the start, and cut
    there, as Keras's `pad_sequences` does. What is known of
    houses is encoded as a table, of the columns x0, x1 and so on: shape (n, d), float32, standardised.

    Args:
        task: "classification", "binary" (imdb) or "regression", as the data set needs it.
        validation: share below 1 or number of the training examples.
        split: "auto" (each class in its share), "stratified" or "random".
        num_words: of imdb and reuters: how many of the most frequent words are kept; None: 10,000.
        maxlen: of imdb and reuters: words of each text; None: 200.

    Raises:
        ConfigError: naming the key of `data`, or if the data can't be downloaded.
    """
    _check_arguments(name, task, split, num_words, maxlen)
    dataset = DATASETS[name]
    (x_train, y_train), (x_test, y_test) = _load(name, num_words or DEFAULT_NUM_WORDS)
    if dataset.has_words:
        x_train, x_test = (_padded(each, maxlen or DEFAULT_MAXLEN) for each in (x_train, x_test))
    elif x_train.ndim == 3:
        x_train, x_test = x_train[..., np.newaxis], x_test[..., np.newaxis]
    encoded = targets.encode(np.concatenate([y_train, y_test]), task, name)
    n = len(y_train)
    train, test = Examples(x_train, encoded.values[:n]), Examples(x_test, encoded.values[n:])
    parts = array_files.split_from_training(train, None, test, task, validation, 0, split, split_seed)
    if dataset.n_classes is None:
        return _of_a_table(*parts)
    return Splits(*parts, None, encoded.names)


def check(arguments: Mapping[str, Any], task: Task) -> frozenset[str]:
    """Checks the node `data` of a config, as a plain dict, without the data.

    Returns:
        The parts that there are, of "train", "val" and "test".

    Raises:
        ConfigError: naming the key of `data`.
    """
    name = arguments["name"]
    data_files.check_given("name", name)
    _check_arguments(
        name, task.kind, arguments.get("split", "auto"), arguments.get("num_words"), arguments.get("maxlen")
    )
    n = DATASETS[name].n_train
    n_val, _ = splits.n_held_out(n, arguments.get("validation", 0.2), 0)
    splits.check_batch_size(arguments.get("batch_size"), n - n_val)
    return frozenset({"train", "val", "test"} if n_val else {"train", "test"})


def _check_arguments(name: str, task: str, split: str, num_words: int | None, maxlen: int | None) -> None:
    if name not in DATASETS:
        raise ConfigError(f"data.name: no '{name}'{nearest(name, list(DATASETS))}Available: {', '.join(DATASETS)}")
    targets.check_task(task)
    dataset = DATASETS[name]
    allowed = ["regression"] if dataset.n_classes is None else ["classification"]
    if dataset.n_classes == 2:
        allowed.append("binary")
    if task not in allowed:
        raise ConfigError(f"data.name: {name} needs task={' or '.join(allowed)}, got {task}")
    if split in splits.BY_COLUMN:
        raise ConfigError(f"data.split: must be auto, random or stratified, got {split}")
    splits.check_method(split, task in targets.WITH_CLASSES, None)
    for key, value, least in (("num_words", num_words, 4), ("maxlen", maxlen, 1)):
        if value is None:
            continue
        if not dataset.has_words:
            raise ConfigError(f"data.{key}: read for imdb and reuters alone, got {value} for {name}")
        if value < least:
            raise ConfigError(f"data.{key}: must be at least {least}, got {value}")


def _load(name: str, num_words: int) -> Any:
    """What `load_data` of the data set returns."""
    module = importlib.import_module(f"keras.datasets.{name}")
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"
    log.info("data: %s of keras.datasets, which Keras downloads once to %s", name, folder)
    try:
        return module.load_data(**({"num_words": num_words} if DATASETS[name].has_words else {}))
    except Exception as error:  # Keras raises a bare Exception where a download fails
        if "URL fetch failure" not in str(error):
            raise
        raise ConfigError(f"data.name: {name} is not in {folder} and can't be downloaded ({error})") from None


def _of_a_table(train: Examples, val: Examples | None, test: Examples | None) -> Splits:
    def raw(part: Examples) -> dict[str, np.ndarray]:
        assert isinstance(part.inputs, np.ndarray)
        return {f"x{number}": column for number, column in enumerate(part.inputs.astype(np.float32).T)}

    features = tabular.features_of(raw(train), np.arange(len(train.targets)), max_categories=1)
    encoded = [
        None if part is None else part._replace(inputs=tabular.encode_rows(raw(part), features, "matrix"))
        for part in (train, val, test)
    ]
    assert encoded[0] is not None
    return Splits(encoded[0], encoded[1], encoded[2], features)


def _padded(sequences: Sequence[Sequence[int]], maxlen: int) -> np.ndarray:
    """Shape (n, maxlen): the last words of each sequence, with zeros before them."""
    padded = np.zeros((len(sequences), maxlen), np.int32)
    for row, sequence in zip(padded, sequences, strict=True):
        if kept := list(sequence)[-maxlen:]:
            row[-len(kept) :] = kept
    return padded
