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

from hposweep.errors import ConfigError
from hposweep.search_space.dimensions import Condition, ConditionalChoice, Dimension, Node, bare
from hposweep.search_space.priors import Choice, Constant, Hyperparameter, Value, literal

Configuration = dict[str, Value]

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True, init=False)
class SearchSpace:
    """Named hyperparameters, in the order in which the user wrote them: a tree, where choices have branches.

    A name is the config key that the hyperparameter overrides, with a `+` or `@package` where the override has one. A
    configuration holds the active ones alone. In the unit cube each dimension that varies has a column, those of all
    branches side by side, and what is inactive in a point is NaN there.

        >>> space = SearchSpace({"optimizer.learning_rate": parse_hyperparameter("loguniform(1e-4, 1)")})
        >>> space.sample(seed=0, number=0)
        {'optimizer.learning_rate': 0.0018213857208353885}
        >>> space.from_unit_cube(np.array([[0.5]]))
        [{'optimizer.learning_rate': 0.01}]
        >>> mlp = {"num_layers": parse_hyperparameter("randint(1, 4)")}
        >>> tree = SearchSpace({"model": ConditionalChoice(Choice(("softmax", "mlp")), ({}, mlp))})
        >>> tree.to_unit_cube([{"model": "softmax"}, {"model": "mlp", "num_layers": 2}])
        array([[0.25,  nan],
               [0.75, 0.5 ]])
    """

    dimensions: tuple[Dimension, ...]

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        """The space of the hyperparameters with these config keys.

        Raises:
            ConfigError: if a key stands in two places that can be active together.
        """
        _check_keys(nodes, frozenset())
        object.__setattr__(self, "dimensions", tuple(_dimensions(nodes, None)))

    @classmethod
    def of(cls, dimensions: Sequence[Dimension]) -> SearchSpace:
        """The space of these dimensions; a choice stands before the dimensions of its branches."""
        space = object.__new__(cls)
        object.__setattr__(space, "dimensions", tuple(dimensions))
        return space

    @functools.cached_property
    def hyperparameters(self) -> Mapping[str, Hyperparameter]:
        """The prior of each dimension, by its id."""
        return {dimension.id: dimension.prior for dimension in self.dimensions}

    def dimension(self, id: str) -> Dimension:
        """The dimension with this id.

        Raises:
            KeyError: if there is none.
        """
        return self._by_id[id]

    @functools.cached_property
    def _by_id(self) -> Mapping[str, Dimension]:
        return {dimension.id: dimension for dimension in self.dimensions}

    @functools.cached_property
    def columns(self) -> tuple[Dimension, ...]:
        """The dimensions that vary: the columns of the unit cube."""
        return tuple(each for each in self.dimensions if not isinstance(each.prior, Constant))

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """The config keys of all branches, each once."""
        return tuple(dict.fromkeys(dimension.key for dimension in self.dimensions))

    @functools.cached_property
    def is_conditional(self) -> bool:
        """Whether not every dimension is always active."""
        return any(dimension.when is not None for dimension in self.dimensions)

    def records(self) -> dict[str, dict[str, Value]]:
        """What `sweep.yaml` holds of it: the record of each dimension, by its id."""
        return {dimension.id: dimension.record() for dimension in self.dimensions}

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys)

    @functools.cached_property
    def n_configurations(self) -> float:
        """How many configurations there are; infinity where they can't be counted to the end."""
        return self._count(self.under(None, None))

    def _count(self, dimensions: Sequence[Dimension]) -> float:
        """How many configurations these dimensions have together, with their branches."""
        return math.prod(self._count_one(dimension) for dimension in dimensions)

    def _count_one(self, dimension: Dimension) -> float:
        if not self.has_branches(dimension):
            return dimension.prior.n_values
        assert isinstance(dimension.prior, Choice)
        return sum(self._count(self.under(dimension.id, option)) for option in dimension.prior.options)

    def sample(self, seed: int, number: int) -> Configuration:
        """The configuration of trial `number`, drawn from the prior.

        Each value depends on the seed, the trial's number and its own key alone: neither other trials nor other
        hyperparameters move it.
        """
        return next(self.samples(seed, number))

    def samples(self, seed: int, number: int) -> Iterator[Configuration]:
        """Draws for trial `number` without end, `sample` the first one: for who wants none that there has been."""
        for point in self.points(seed, number):
            yield self.from_unit_cube(point[np.newaxis])[0]

    def points(self, seed: int, number: int) -> Iterator[np.ndarray]:
        """The same as points of the unit cube, of shape (d,), where what is inactive has a number, too."""
        generators = [_generator(seed, number, dimension.key) for dimension in self.columns]
        while True:
            yield np.array([generator.random() for generator in generators], dtype=float)

    def with_option(self, point: np.ndarray, dimension: Dimension, option: Value) -> Configuration:
        """The configuration of a point, but that this choice is active and has this option.

        Args:
            point: shape (d,), in [0, 1) also where inactive.
        """
        changed = point.copy()
        column_of = {each.id: column for column, each in enumerate(self.columns)}
        wanted: Condition | None = Condition(dimension.id, option)
        while wanted is not None:
            choice = self.dimension(wanted.choice)
            changed[column_of[choice.id]] = choice.prior.quantile(wanted.option)
            wanted = choice.when
        return self.from_unit_cube(changed[np.newaxis])[0]

    def cells(self) -> Iterator[tuple[Configuration, float]]:
        """All configurations with their probabilities, where they can be counted to the end."""
        yield from self._cells(self.under(None, None))

    def _cells(self, dimensions: Sequence[Dimension]) -> Iterator[tuple[Configuration, float]]:
        for cells in itertools.product(*(list(self._cells_of_one(dimension)) for dimension in dimensions)):
            configuration = {key: value for part, _ in cells for key, value in part.items()}
            yield configuration, math.prod(probability for _, probability in cells)

    def _cells_of_one(self, dimension: Dimension) -> Iterator[tuple[Configuration, float]]:
        for value in dimension.prior.grid(int(dimension.prior.n_values)):
            width = float(np.diff(dimension.prior.cell(value))[0])
            for part, probability in self._cells(self.under(dimension.id, value)):
                yield {dimension.key: value, **part}, width * probability

    def from_unit_cube(self, points: np.ndarray) -> list[Configuration]:
        """Maps n points of the unit cube to n configurations, each column by its inverse distribution function.

        Args:
            points: shape (n, d), values in [0, 1), and anything where the dimension is inactive; column j belongs to
                `self.columns[j]`.

        Raises:
            ValueError: if `points` has not d columns or leaves [0, 1).
        """
        if points.ndim != 2 or points.shape[1] != len(self):
            raise ValueError(f"points must have shape (n, {len(self)}), got {points.shape}")
        found: list[Configuration] = [{} for _ in points]
        columns = {dimension.id: column for dimension, column in zip(self.columns, points.T, strict=True)}
        rows_under: dict[tuple[str, str], list[int]] = {}
        for dimension in self.dimensions:
            when = dimension.when
            rows = list(range(len(points))) if when is None else rows_under.get(_option(when.choice, when.option), [])
            if not rows:
                continue
            quantiles = columns[dimension.id][rows] if dimension.id in columns else np.full(len(rows), 0.5)
            if not ((quantiles >= 0) & (quantiles < 1)).all():
                raise ValueError(f"points must lie in [0, 1) where they are active; {dimension.id} does not")
            for row, value in zip(rows, dimension.prior.at(quantiles), strict=True):
                found[row][dimension.key] = value
                if self.has_branches(dimension):
                    rows_under.setdefault(_option(dimension.id, value), []).append(row)
        return found

    def to_unit_cube(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """The way back: shape (n, d), NaN where inactive; the middle of its cell for a discrete value."""
        points = np.full((len(configurations), len(self)), math.nan)
        rows_of: dict[str, list[int]] = {dimension.id: [] for dimension in self.columns}
        for row, configuration in enumerate(configurations):
            for dimension in self.active(configuration):
                if dimension.id in rows_of:
                    rows_of[dimension.id].append(row)
        for column, dimension in enumerate(self.columns):
            rows = rows_of[dimension.id]
            if rows:
                points[rows, column] = dimension.prior.quantiles([configurations[row][dimension.key] for row in rows])
        return points

    def is_active(self, points: np.ndarray) -> np.ndarray:
        """Where points of the unit cube are active, of shape (n, d): by the options that they choose themselves."""
        active = np.ones(points.shape, dtype=bool)
        for column, parent, cells in self._conditions:
            chosen = np.floor(np.nan_to_num(points[:, parent]) * cells[1]) == cells[0]
            active[:, column] = active[:, parent] & chosen
        return active

    @functools.cached_property
    def _conditions(self) -> tuple[tuple[int, int, tuple[int, int]], ...]:
        """Of each column in a branch: its number, that of the choice's, and which option of how many."""
        column_of = {dimension.id: column for column, dimension in enumerate(self.columns)}
        found = []
        for column, dimension in enumerate(self.columns):
            if dimension.when is not None:
                prior = self.hyperparameters[dimension.when.choice]
                assert isinstance(prior, Choice)
                options = [literal(option) for option in prior.options]
                cell = options.index(literal(dimension.when.option)), len(options)
                found.append((column, column_of[dimension.when.choice], cell))
        return tuple(found)

    def active(self, configuration: Configuration) -> list[Dimension]:
        """The dimensions that exist in this configuration, in the order of the space.

        Raises:
            KeyError: if it lacks the key of one.
        """
        found, chosen = [], set()
        for dimension in self.dimensions:
            when = dimension.when
            if when is not None and _option(when.choice, when.option) not in chosen:
                continue
            found.append(dimension)
            if self.has_branches(dimension):
                chosen.add(_option(dimension.id, configuration[dimension.key]))
        return found

    def __contains__(self, configuration: object) -> bool:
        if not isinstance(configuration, dict):
            return False
        try:
            active = self.active(configuration)
        except KeyError:
            return False
        return configuration.keys() == {dimension.key for dimension in active} and all(
            configuration[dimension.key] in dimension.prior for dimension in active
        )

    @functools.cached_property
    def _branches(self) -> Mapping[tuple[str, str] | None, tuple[Dimension, ...]]:
        """The dimensions under each option of a choice; under None those that are always active."""
        found: dict[tuple[str, str] | None, tuple[Dimension, ...]] = {}
        for dimension in self.dimensions:
            when = dimension.when
            under = None if when is None else _option(when.choice, when.option)
            found[under] = (*found.get(under, ()), dimension)
        return found

    @functools.cached_property
    def _choices(self) -> frozenset[str]:
        """The ids of the dimensions that have branches."""
        return frozenset(dimension.when.choice for dimension in self.dimensions if dimension.when is not None)

    def has_branches(self, dimension: Dimension) -> bool:
        """Whether it is a choice of which an option brings hyperparameters."""
        return dimension.id in self._choices

    def under(self, choice: str | None, option: Value) -> tuple[Dimension, ...]:
        """The dimensions that this option of a choice brings, without those of their own branches.

        Args:
            choice: id of its dimension; None: those that are always active.
        """
        return self._branches.get(None if choice is None else _option(choice, option), ())


def _option(choice: str, option: Value) -> tuple[str, str]:
    """Names an option of a choice's dimension; 1, 1.0 and true are three options."""
    return choice, literal(option)


def _dimensions(nodes: Mapping[str, Node], when: Condition | None) -> Iterator[Dimension]:
    """The dimensions of a branch, each choice before those of its own branches."""
    for key, node in nodes.items():
        id = key if when is None else f"{key} ({when})"
        if not isinstance(node, ConditionalChoice):
            yield Dimension(id, key, node, when)
            continue
        yield Dimension(id, key, node.choice, when)
        for option, branch in zip(node.choice.options, node.branches, strict=True):
            yield from _dimensions(branch, Condition(id, option))


def _check_keys(nodes: Mapping[str, Node], above: frozenset[str]) -> frozenset[str]:
    """The keys that a branch can have active, its own and those of its branches.

    Args:
        above: those that are active whenever it is.
    """
    own = [bare(key) for key in nodes]
    for key in own:
        if key in above or own.count(key) > 1:
            raise ConfigError(f"{key}: stands twice where both would be active; a key has one place at a time")
    found = set(own)
    inside = above | found
    for key, node in nodes.items():
        if not isinstance(node, ConditionalChoice):
            continue
        below: set[str] = set()
        for option, branch in zip(node.choice.options, node.branches, strict=True):
            try:
                below |= _check_keys(branch, frozenset(inside))
            except ConfigError as error:
                raise ConfigError(f"{key}={literal(option)}: {error}") from None
        inside |= below
        found |= below
    return frozenset(found)


def uniform(seed: int, number: int, key: str) -> float:
    """A number in [0, 1) that depends on the sweep's seed, the trial's number and the hyperparameter's key alone."""
    return float(_generator(seed, number, key).random())


def _generator(seed: int, number: int, key: str) -> np.random.Generator:
    digest = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little")
    return np.random.default_rng([seed, number, digest])


def trial_seed(seed: int, number: int) -> int:
    """The seed of trial `number`: a function of the sweep's seed and the number, from 0 to 2**31 - 1."""
    return int(np.random.default_rng([seed, number]).integers(2**31))
