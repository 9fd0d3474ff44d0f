"""Examples as arrays, split into parts: what the readers of data return, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

Inputs = np.ndarray | dict[str, np.ndarray]
Shape = tuple[int, ...] | dict[str, tuple[int, ...]]


class Examples(NamedTuple):
    """n examples.

    Attributes:
        inputs: an array of shape (n, ...), or several by the name of the model's input.
        targets: shape (n,) or (n, ...). Classes are int32, counted from 0; the labels of multilabel tasks are 0 or 1.
        weights: of the examples in the loss, shape (n,), float32; None: all alike.
    """

    inputs: Inputs
    targets: np.ndarray
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Feature:
    """A column of a table, and how a model gets it; all numbers are those of the training part.

    A number x becomes (x - mean) / deviation, with `mean` in the place of a missing one. A category becomes one of
    `1 + len(vocabulary)` values, of which 0 stands for missing ones and for those that the vocabulary lacks.
    """

    name: str
    kind: Literal["number", "category"]
    mean: float = 0.0
    deviation: float = 1.0
    has_missing: bool = False  # of a number: another input, 1 where it is missing, stands beside it
    vocabulary: tuple[str, ...] = ()

    @property
    def scale(self) -> np.float32:
        """What a number is multiplied by: XLA would divide by a constant in that way, with other bits than NumPy."""
        return np.float32(1 / self.deviation)

    @property
    def input_name(self) -> str:
        """The name of the model's input where each column has one: Keras's names have no slash."""
        return self.name.replace("/", "_")

    @property
    def missing_name(self) -> str:
        """The name of the input that stands beside it if `has_missing`."""
        return f"{self.input_name}_missing"


@dataclass(frozen=True)
class Splits:
    """The examples to train on, to validate on and to test the winner on; `val` and `test` may be None."""

    train: Examples
    val: Examples | None
    test: Examples | None
    features: Mapping[str, Feature] | None = None  # of a table, by column
    class_names: tuple[str, ...] = ()  # of classes that are no numbers from 0 in the data

    @property
    def parts(self) -> frozenset[str]:
        """Those that there are, of "train", "val" and "test"."""
        return frozenset(name for name in ("train", "val", "test") if getattr(self, name) is not None)


def shape_of(inputs: Any) -> Shape:
    """The shape of one example, or of each of its inputs by name; of arrays or tensors."""
    if isinstance(inputs, Mapping):
        return {name: tuple(array.shape[1:]) for name, array in inputs.items()}
    return tuple(inputs.shape[1:])
