"""Grid search: every combination of a few values of each hyperparameter."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hposweep.errors import ConfigError, nearest
from hposweep.search_space import Choice, Configuration, Dimension, SearchSpace, Value
from hposweep.search_space.dimensions import bare
from hposweep.searchers import Exhausted
from hposweep.searchers.options import check_count
from hposweep.searchers.tried import Tried
from hposweep.trial import Trial

DEFAULT_POINTS = 5
MOST_VALUES = 100  # of whole numbers that all stand in the grid


@dataclass
class GridSearcher:
    """Proposes all combinations of values, the last hyperparameter varying fastest.

    A continuous hyperparameter has the values at the middles of `points` equal cells of probability, so that a log
    scale is divided evenly in the logarithm. Options, and whole numbers up to 100 of them, are all there; of more whole
    numbers there are `points`, fewer where cells share one. What an option of a choice brings is combined under that
    option alone. Combinations are found by their position, never listed. Those that were tried are skipped.

    Args:
        seed: every searcher is given one; a grid has no use for it.
        points: the number of values of a continuous hyperparameter, or a mapping from config keys to the numbers of
            their values, whatever they are; those that it does not name have what they have by default.

    Raises:
        ConfigError: if a number of points is not a whole one from 1, or a key is none of the search space.
    """

    search_space: SearchSpace
    seed: int
    points: int | dict[str, int] = DEFAULT_POINTS
    _tried: Tried = field(init=False, repr=False, compare=False)
    _position: int = field(default=0, init=False)  # of the first combination that was not tried

    def __post_init__(self) -> None:
        keys = [bare(key) for key in self.search_space]
        if isinstance(self.points, dict):
            for key, n in self.points.items():
                if bare(key) not in keys:
                    unknown = nearest(bare(key), keys)
                    raise ConfigError(f"points: the search space has no {key}{unknown}Keys: {', '.join(keys)}")
                check_count(f"points.{key}", n, 1)
        else:
            check_count("points", self.points, 1)
        self._tried = Tried(self.search_space, self.seed)
        self._values = {each.id: each.prior.grid(self._n_points(each)) for each in self.search_space.dimensions}

    @functools.cached_property
    def n_combinations(self) -> int:
        """How many combinations the grid has."""
        return self._count(self.search_space.under(None, None))

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Exhausted:
        if self._position == self.n_combinations:
            return Exhausted()
        return self.combination(self._position)

    def start(self, trial: Trial) -> None:
        self._tried.add(trial.configuration)
        while self._position < self.n_combinations and self.combination(self._position) in self._tried:
            self._position += 1

    def tell(self, trial: Trial, loss: float) -> None:
        """The grid is fixed."""

    def combination(self, position: int) -> Configuration:
        """The combination at this position, from 0."""
        return dict(self._at(self.search_space.under(None, None), position))

    def _at(self, dimensions: Sequence[Dimension], position: int) -> Iterator[tuple[str, Value]]:
        """The keys and values of these dimensions and their branches; the position has a digit for each dimension."""
        n_after = self._count(dimensions)
        for dimension in dimensions:
            n_after //= self._count_one(dimension)
            digit, position = divmod(position, n_after)
            for value in self._values[dimension.id]:
                brought = self.search_space.under(dimension.id, value)
                n_brought = self._count(brought)
                if digit < n_brought:
                    yield dimension.key, value
                    yield from self._at(brought, digit)
                    break
                digit -= n_brought

    def _count(self, dimensions: Sequence[Dimension]) -> int:
        return math.prod(self._count_one(dimension) for dimension in dimensions)

    def _count_one(self, dimension: Dimension) -> int:
        values = self._values[dimension.id]
        return sum(self._count(self.search_space.under(dimension.id, value)) for value in values)

    def _n_points(self, dimension: Dimension) -> int:
        n_values = dimension.prior.n_values
        if isinstance(self.points, dict):
            for key, n in self.points.items():
                if bare(key) == bare(dimension.key):
                    return n
        if isinstance(dimension.prior, Choice) or n_values <= MOST_VALUES:
            return int(n_values)
        return DEFAULT_POINTS if isinstance(self.points, dict) else self.points
