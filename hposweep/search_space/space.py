"""The search space: hyperparameters with their distributions, and the way between the unit cube and configurations.

A hyperparameter is written as text, `loguniform(1e-4, 1)`, or spelt out, `{distribution: beta, a: 5, b: 1}`. The text
is parsed and never evaluated: the names of `scipy.stats` distributions, `choice` and `int`, with literal arguments, are
all that it may hold.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hposweep.search_space.priors import Constant, Hyperparameter, Value

Configuration = dict[str, Value]

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Condition:
    """What a hyperparameter of a branch needs to be active: that a choice has this option."""

    choice: str  # id of its dimension
    option: Value


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter of a search space."""

    id: str  # unique in the space; the key itself where there is no condition
    key: str  # the config key that it overrides
    prior: Hyperparameter
    when: Condition | None = None  # None: always active


@dataclass(frozen=True, init=False)
class SearchSpace:
    """Named hyperparameters, in the order in which the user wrote them.

    A name is the config key that the hyperparameter overrides, with a `+` or `@package` where the override has one.

        >>> space = SearchSpace({"optimizer.learning_rate": parse_hyperparameter("loguniform(1e-4, 1)")})
        >>> space.sample(seed=0, number=0)
        {'optimizer.learning_rate': 0.0018213857208353885}
        >>> space.from_unit_cube(np.array([[0.5]]))
        [{'optimizer.learning_rate': 0.01}]
    """

    dimensions: tuple[Dimension, ...]

    def __init__(self, priors: Mapping[str, Hyperparameter]) -> None:
        """A space without conditions, from the prior of each config key."""
        object.__setattr__(self, "dimensions", tuple(Dimension(key, key, prior) for key, prior in priors.items()))

    @functools.cached_property
    def hyperparameters(self) -> Mapping[str, Hyperparameter]:
        """The prior of each dimension, by its id."""
        return {dimension.id: dimension.prior for dimension in self.dimensions}

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """The hyperparameters that vary: the columns of the unit cube."""
        return tuple(key for key, prior in self.hyperparameters.items() if not isinstance(prior, Constant))

    def records(self) -> dict[str, dict[str, Value]]:
        """What `sweep.yaml` holds of it: the record of each prior, by its dimension's id."""
        return {dimension.id: dimension.prior.record() for dimension in self.dimensions}

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self.hyperparameters)

    @functools.cached_property
    def n_configurations(self) -> float:
        """How many configurations there are; infinity where they can't be counted to the end."""
        return math.prod(prior.n_values for prior in self.hyperparameters.values())

    def sample(self, seed: int, number: int) -> Configuration:
        """The configuration of trial `number`, drawn from the prior.

        Each value depends on the seed, the trial's number and its own key alone: neither other trials nor other
        hyperparameters move it.
        """
        return next(self.samples(seed, number))

    def samples(self, seed: int, number: int) -> Iterator[Configuration]:
        """Draws for trial `number` without end, `sample` the first one: for who wants none that there has been."""
        generators = [_generator(seed, number, key) for key in self.keys]
        while True:
            point = np.array([[generator.random() for generator in generators]]).reshape(1, len(self))
            yield self.from_unit_cube(point)[0]

    def cells(self) -> Iterator[tuple[Configuration, float]]:
        """All configurations with their probabilities, where they can be counted to the end."""
        n = int(self.n_configurations)
        columns = []
        for key, prior in self.hyperparameters.items():
            widths = [(value, float(np.diff(prior.cell(value))[0])) for value in prior.grid(n)]
            columns.append([(key, value, width) for value, width in widths])
        for cells in itertools.product(*columns):
            yield {key: value for key, value, _ in cells}, math.prod(width for _, _, width in cells)

    def from_unit_cube(self, points: np.ndarray) -> list[Configuration]:
        """Maps n points of the unit cube to n configurations, each column by its inverse distribution function.

        Args:
            points: shape (n, d), values in [0, 1); column j belongs to the hyperparameter `self.keys[j]`.

        Raises:
            ValueError: if `points` has not d columns or leaves [0, 1).
        """
        if points.ndim != 2 or points.shape[1] != len(self):
            raise ValueError(f"points must have shape (n, {len(self)}), got {points.shape}")
        if points.size and not (points.min() >= 0 and points.max() < 1):
            raise ValueError("points must lie in [0, 1)")
        columns = dict(zip(self.keys, points.T, strict=True))
        middle = np.full(len(points), 0.5)
        values = {key: prior.at(columns.get(key, middle)) for key, prior in self.hyperparameters.items()}
        return [{key: values[key][row] for key in values} for row in range(len(points))]

    def to_unit_cube(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """The way back: shape (n, d); the middle of its cell for a value of a discrete hyperparameter."""
        return np.array(
            [[self.hyperparameters[key].quantile(each[key]) for key in self.keys] for each in configurations],
            dtype=float,
        ).reshape(len(configurations), len(self))

    def __contains__(self, configuration: object) -> bool:
        return (
            isinstance(configuration, dict)
            and configuration.keys() == self.hyperparameters.keys()
            and all(configuration[key] in prior for key, prior in self.hyperparameters.items())
        )


def uniform(seed: int, number: int, key: str) -> float:
    """A number in [0, 1) that depends on the sweep's seed, the trial's number and the hyperparameter's key alone."""
    return float(_generator(seed, number, key).random())


def _generator(seed: int, number: int, key: str) -> np.random.Generator:
    digest = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little")
    return np.random.default_rng([seed, number, digest])


def trial_seed(seed: int, number: int) -> int:
    """The seed of trial `number`: a function of the sweep's seed and the number, from 0 to 2**31 - 1."""
    return int(np.random.default_rng([seed, number]).integers(2**31))
