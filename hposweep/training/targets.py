"""Targets of the four tasks, as models get them: classes from 0, labels of 0 and 1, or numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hposweep.errors import ConfigError, nearest
from hposweep.training.tasks import BINARY, CLASSIFICATION, KINDS, MULTILABEL, REGRESSION

WITH_CLASSES = (CLASSIFICATION, BINARY)


class Targets(NamedTuple):
    """Targets of shape (n,) or (n, k), int32 or (regression) float32, and the names that classes or labels have."""

    values: np.ndarray
    names: tuple[str, ...] = ()


def check_task(task: str) -> None:
    """Raises a ConfigError if there is no such task."""
    if task not in KINDS:
        raise ConfigError(f"task: no '{task}'{nearest(task, list(KINDS))}Available: {', '.join(KINDS)}")


def encode(values: np.ndarray, task: str, name: str, columns: tuple[str, ...] = ()) -> Targets:
    """The targets for this task.

    Args:
        values: shape (n,), (n, 1) or (n, k): classes of any type, in the order of which they are numbered; labels of 0
            and 1, a column each; or numbers. None and NaN are missing ones.
        name: of the targets, for messages.
        columns: names of the k columns of labels.

    Raises:
        ConfigError: if a target is missing, or they don't fit the task.
    """
    check_task(task)
    if values.ndim == 2 and values.shape[1] == 1 and task != MULTILABEL:
        values = values[:, 0]
    if not len(values):
        raise ConfigError(f"data.target: {name} has no values")
    n_missing = int(_missing(values).any(axis=tuple(range(1, values.ndim))).sum())
    if n_missing:
        rows = "1 row has" if n_missing == 1 else f"{n_missing} of {len(values)} rows have"
        raise ConfigError(f"data.target: {rows} no value in {name}; remove them from the data")
    if task == REGRESSION:
        return Targets(_numbers(values, name))
    if task == MULTILABEL:
        return Targets(_labels(values, name), columns)
    return _classes(values, task, name)


def _classes(values: np.ndarray, task: str, name: str) -> Targets:
    if values.ndim > 1:
        raise ConfigError(
            f"data.target: {task} needs one class an example, and {name} has {values.shape[1]} values; "
            "give numbers of classes instead of one-hot vectors, or take task=multilabel"
        )
    if values.dtype.kind == "O" and len({type(value) for value in values}) > 1:
        values = np.array([str(value) for value in values])
    if values.dtype.kind == "f":
        if (values != np.floor(values)).any():
            raise ConfigError(
                f"data.target: {name} has numbers with fractions, which are no classes; take task=regression"
            )
        values = values.astype(np.int64)
    labels, codes = np.unique(values, return_inverse=True)
    if len(labels) == 1:
        raise ConfigError(f"data.target: all values of {name} are {labels[0]}; there must be at least two classes")
    if task == BINARY and len(labels) != 2:
        shown = ", ".join(map(str, labels[:5])) + (", ..." if len(labels) > 5 else "")
        raise ConfigError(
            f"data.target: binary needs two classes, {name} has {len(labels)} ({shown}); take task=classification"
        )
    counted = labels.dtype.kind in "iu" and np.array_equal(labels, np.arange(len(labels)))
    return Targets(codes.astype(np.int32), () if counted else tuple(str(label) for label in labels))


def _labels(values: np.ndarray, name: str) -> np.ndarray:
    if values.ndim == 1:
        raise ConfigError(f"data.target: multilabel needs several columns of 0 and 1, {name} is one; take task=binary")
    try:
        numbers = values.astype(np.float64)
    except ValueError:
        numbers = np.full(values.shape, 2.0)
    wrong = np.argwhere((numbers != 0) & (numbers != 1))
    if len(wrong):
        raise ConfigError(
            f"data.target: multilabel needs 0 or 1, got {values[tuple(wrong[0])]} in row {wrong[0][0] + 1} of {name}"
        )
    return numbers.astype(np.int32)


def _numbers(values: np.ndarray, name: str) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            numbers = values.astype(np.float32)
    except (ValueError, TypeError):
        raise ConfigError(
            f"data.target: regression needs numbers, {name} has others; take task=classification"
        ) from None
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        raise ConfigError(
            f"data.target: {name} has {values[tuple(wrong[0])]} in row {wrong[0][0] + 1}, "
            "which is no finite number of 32 bits"
        )
    return numbers


def _missing(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "fO":
        return np.zeros(values.shape, bool)
    return np.array([value is None or value != value for value in values.flat], bool).reshape(values.shape)
