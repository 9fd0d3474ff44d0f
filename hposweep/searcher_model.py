"""The model that a recorded sweep's searcher has after all of its results, made again from the folder.

Reading a folder runs nothing of it: the searcher that the record names is looked up among our own, and imported by no
name that stands there. What the searcher learnt from other sweeps (`learn_from`) is not in the folder, and left out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hposweep.errors import ConfigError
from hposweep.history import History, results_of
from hposweep.results.beliefs import Slice, Surface
from hposweep.search_space import Choice, Configuration, Constant, Dimension, Distribution, SearchSpace, Value
from hposweep.searchers import expected
from hposweep.searchers.bayesian import BayesianSearcher
from hposweep.searchers.repeated import RepeatedSearcher
from hposweep.secret_keys import looks_secret
from hposweep.sweep_folder.journal import read_events
from hposweep.sweep_folder.sweep_yaml import AppRecord, SweepRecord
from hposweep.trial import Direction, Expected, Trial

log = logging.getLogger(__name__)

TARGET = f"{BayesianSearcher.__module__}.{BayesianSearcher.__name__}"
N_ALONG = 60  # values along one hyperparameter
N_OVER = 30  # of each of two
MOST_OPTIONS = 40  # of a choice, in a plot
MOST_INPUTS = 500  # of the model, whose memory and time grow with them
MOST_TOLD = 20_000  # results
N_TIMED = 16  # configurations that tell how long all of them take
MOST_S = 5.0  # for all of them: some distributions are integrated number by number
# What comes of records and journals that no sweep has written.
UNUSABLE = (ConfigError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)


@dataclass(frozen=True)
class SearcherModel:
    """What a searcher expects around the winner, of the metric at the end of a trial."""

    searcher: RepeatedSearcher
    search_space: SearchSpace
    winner: Configuration
    direction: Direction
    trials: Sequence[Trial]

    def along(self, key: str) -> Slice | None:
        values = self._values(key, N_ALONG)
        found = self._expected([{**self.winner, key: value} for value in values])
        if not found:
            return None
        medians, lows, highs = np.array([(each.median, each.low, each.high) for each in found]).T
        return Slice(values, medians, lows, highs)

    def over(self, key: str, other: str) -> Surface | None:
        values, other_values = self._values(key, N_OVER), self._values(other, N_OVER)
        points = [{**self.winner, key: one, other: two} for two in other_values for one in values]
        found = self._expected(points)
        if not found:
            return None
        medians = np.array([each.median for each in found]).reshape(len(other_values), len(values))
        return Surface(values, other_values, medians)

    def _expected(self, configurations: Sequence[Configuration]) -> list[Expected]:
        try:
            losses = expected(self.searcher, configurations) if configurations else []
        except UNUSABLE as error:
            log.debug("the searcher's model tells nothing: %s: %s", type(error).__name__, error)
            return []
        return losses if self.direction is Direction.minimize else [loss.negative() for loss in losses]

    def _values(self, key: str, n: int) -> list[Value]:
        """Values of a hyperparameter along its axis; none where the winner's other values don't go with all of them."""
        active = self.search_space.active(self.winner)
        dimension = next((each for each in active if each.key == key), None)
        if dimension is None or looks_secret(key) or self.search_space.has_branches(dimension):
            return []
        seen = [trial.configuration[key] for trial in self.trials if key in trial.configuration]
        return _axis(dimension, seen, n)


def _axis(dimension: Dimension, seen: Sequence[Value], n: int) -> list[Value]:
    """At most n values of a prior, in the order of its axis; an infinite end is cut where trials have been."""
    prior = dimension.prior
    if isinstance(prior, Choice):
        return list(prior.options) if len(prior.options) <= MOST_OPTIONS else []
    if not isinstance(prior, Distribution):
        return []
    inside = [value for value in seen if value in prior]
    low, high = (end if np.isfinite(end) else pick(inside) for end, pick in ((prior.lower, min), (prior.upper, max)))
    if prior.integer and high - low < n:
        return list(range(int(low), int(high) + 1))
    is_log = prior.is_log and low > 0
    points = np.clip(np.geomspace(low, high, n) if is_log else np.linspace(low, high, n), low, high)
    return list(dict.fromkeys(int(point) if prior.integer else float(point) for point in points))


def rebuilt(sweep_dir: Path, record: SweepRecord | None) -> SearcherModel | None:
    """The model of a sweep's searcher; None where it has none, or none can be made from what is recorded."""
    try:
        return _rebuilt(sweep_dir, record)
    except UNUSABLE as error:
        log.debug("%s: the searcher's model can't be made again: %s: %s", sweep_dir, type(error).__name__, error)
        return None


def _rebuilt(sweep_dir: Path, record: SweepRecord | None) -> SearcherModel | None:
    options = None if record is None else _options(record)
    if record is None or options is None:
        return None
    search_space = _search_space(record)
    history, told = results_of(read_events(sweep_dir))
    told = [(trial, loss) for trial, loss in told if not trial.confirms]
    if history.incumbent is None or len(told) > MOST_TOLD:
        return None
    trials = [trial for trial in history.trials.values() if not trial.confirms]
    _check_configurations(search_space, trials)
    # The seed moves proposals, and nothing of the model.
    searcher = RepeatedSearcher(BayesianSearcher(search_space, 0, **options), _n_seeds(history))
    for trial in trials:
        searcher.start(trial)
    for trial, loss in told:
        searcher.tell(trial, loss)
    winner = history.incumbent.configuration
    model = SearcherModel(searcher, search_space, winner, history.direction, trials)
    return model if expected(searcher, [winner]) else None


def _options(record: SweepRecord) -> dict[str, Value] | None:
    """The arguments of the recorded searcher besides space and seed; None: it is another one."""
    if not isinstance(record, AppRecord):
        # What `hposweep.tune` has recorded: the class alone.
        return {} if record.searcher == BayesianSearcher.__name__ else None
    node = record.config_node("hydra", "sweeper", "searcher")
    if not isinstance(node, Mapping) or node.get("_target_") != TARGET or not node.keys() <= {"_target_", "n_startup"}:
        return None
    return {name: value for name, value in node.items() if name != "_target_"}


def _search_space(record: SweepRecord) -> SearchSpace:
    """The recorded space.

    Raises:
        ValueError: if a part of it can't be read, or it has too many inputs.
    """
    dimensions = record.dimensions
    if len(dimensions) < len(record.search_space):
        raise ValueError("not all of the search space can be read")
    before: dict[str, Dimension] = {}
    for dimension in dimensions:
        when = dimension.when
        if when is not None and (
            when.choice not in before
            or not isinstance(before[when.choice].prior, Choice)
            or when.option not in before[when.choice].prior
        ):
            raise ValueError(f"{dimension.id}: nothing brings it")
        before[dimension.id] = dimension
    n_inputs = sum(
        len(each.prior.options) if isinstance(each.prior, Choice) else 2
        for each in dimensions
        if not isinstance(each.prior, Constant)
    )
    if n_inputs > MOST_INPUTS:
        raise ValueError(f"{n_inputs} inputs are too many")
    return SearchSpace.of(dimensions)


def _check_configurations(search_space: SearchSpace, trials: Sequence[Trial]) -> None:
    """Raises a ValueError if one doesn't lie in the space, or if it takes long to find their points in it."""
    for trial in trials:
        if trial.configuration not in search_space:
            raise ValueError(f"trial {trial.number} is of another search space")
    some = [trial.configuration for trial in trials[:N_TIMED]]
    began = time.monotonic()
    search_space.to_unit_cube(some)
    expected_s = (time.monotonic() - began) / len(some) * len(trials)
    if expected_s > MOST_S:
        raise ValueError(f"the points of its trials would take {expected_s:.0f} s")


def _n_seeds(history: History) -> int:
    """How many trials each configuration has, by those of the first one."""
    return max(1, sum(trial.first == 0 and not trial.confirms for trial in history.trials.values()))
