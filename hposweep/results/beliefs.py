"""What a searcher's model says of the metric: along one hyperparameter, and over two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hposweep.search_space import Value


@dataclass(frozen=True)
class Slice:
    """Along one hyperparameter; the others are as the winner has them."""

    values: Sequence[Value]  # n of them, in the order of the axis
    means: np.ndarray  # of the metric, shape (n,); medians where the model transforms it
    lows: np.ndarray  # shape (n,): the ends of the interval that holds it with 95% probability
    highs: np.ndarray  # shape (n,)


@dataclass(frozen=True)
class Surface:
    """Over two hyperparameters; the others are as the winner has them."""

    values: Sequence[Value]  # n of them, of the first hyperparameter
    other_values: Sequence[Value]  # m of them, of the second one
    means: np.ndarray  # of the metric, shape (m, n); as in a slice


class Model(Protocol):
    """The model of a sweep's searcher after all results."""

    def along(self, key: str) -> Slice | None:
        """None where the hyperparameter is not searched, or not in the winner's branch."""

    def over(self, key: str, other: str) -> Surface | None:
        """None as in `along`."""
