"""What a search begins with: configurations that the user wants tried first, and results of other sweeps."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hposweep.errors import ConfigError
from hposweep.history import results_of
from hposweep.search_space import SearchSpace
from hposweep.searchers import Searcher
from hposweep.searchers.grid import GridSearcher
from hposweep.searchers.initial import InitialSearcher, read_initial
from hposweep.searchers.learned import Told, numbers_below_0, teach
from hposweep.searchers.random import RandomSearcher
from hposweep.searchers.repeated import RepeatedSearcher
from hposweep.shown_text import plural
from hposweep.sweep_folder.journal import read_events
from hposweep.trial import Direction

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extent:
    """How many configurations a searcher can propose."""

    n: float  # infinity where they can't be counted to the end
    is_grid: bool = False
    ends: bool = False  # whether it proposes none a second time
    is_searched: bool = True  # whether anything varies

    @classmethod
    def of(cls, searcher: Searcher, search_space: SearchSpace) -> Extent:
        """The extent of a searcher in its space."""
        if isinstance(searcher, GridSearcher):
            return cls(searcher.n_combinations, is_grid=True, ends=True, is_searched=bool(len(search_space)))
        ends = not isinstance(searcher, RandomSearcher)
        return cls(search_space.n_configurations, ends=ends, is_searched=bool(len(search_space)))

    def checked_n_trials(self, n_trials: int | None, n_seeds: int) -> int:
        """The number of trials; None stands for all configurations, each `n_seeds` times.

        Raises:
            ConfigError: if it is below 1, or not a multiple of the seeds, or there is no end of configurations.
        """
        if n_trials is None and math.isinf(self.n):
            raise ConfigError("n_trials: must be given, since there is no end of configurations; null is for a grid")
        n = int(self.n) * n_seeds if n_trials is None else n_trials
        if n < 1:
            raise ConfigError(f"n_trials: must be at least 1, got {n}")
        if n % n_seeds:
            raise ConfigError(f"n_trials: must be a multiple of n_seeds ({n_seeds}), got {n}")
        return n

    def n_at_most(self, n_trials: int, n_seeds: int) -> int:
        """How many of so many trials there will be at most."""
        return int(min(n_trials, self.n * n_seeds)) if self.ends or not self.is_searched else n_trials

    def remark(self, n_trials: int) -> str:
        """What to know where there are more or fewer configurations than are asked for; else empty."""
        if not self.is_searched:
            return "Nothing is searched: one trial is enough."
        if self.is_grid and n_trials < self.n:
            return f"The grid has {int(self.n)} combinations: the first {n_trials} are tried; n_trials: null tries all."
        if n_trials <= self.n:
            return ""
        counted = plural(int(self.n), "configuration")
        if self.ends:
            return f"There {'is' if self.n == 1 else 'are'} {counted}: the sweep ends when all were tried."
        return f"The search space has {counted}: {n_trials - int(self.n)} of {n_trials} trials will repeat one."


def with_beginnings(
    searcher: Searcher,
    search_space: SearchSpace,
    seed: int,
    *,
    initial_configs: object,
    learn_from: object,
    n_seeds: int,
    metric: str,
    direction: Direction,
) -> Searcher:
    """The searcher, told of the results of other sweeps, and after the configurations that are tried first.

    Args:
        searcher: one that was told of nothing yet.
        initial_configs: a list of configurations, which may be partial; None: none.
        learn_from: a list of folders of sweeps; None: none.
        n_seeds: how often each configuration is tried.

    Raises:
        ConfigError: with the name of the argument in front.
    """
    try:
        initial = read_initial(search_space, initial_configs or [])
    except ConfigError as error:
        raise ConfigError(f"initial_configs{f'{error}' if f'{error}'.startswith('[') else f': {error}'}") from None
    numbers = numbers_below_0()
    for folder in _folders(learn_from):
        try:
            told = _told(folder, metric, direction)
            teach(searcher, search_space, told, numbers)
        except ConfigError as error:
            raise ConfigError(f"learn_from: {folder}: {error}") from None
        log.info("learnt from %s: %s", folder, plural(len(told), "result"))
    first = InitialSearcher(searcher, search_space, seed, initial) if initial else searcher
    return RepeatedSearcher(first, n_seeds) if n_seeds > 1 else first


def _folders(learn_from: object) -> Sequence[Path]:
    if learn_from is None:
        return ()
    if not isinstance(learn_from, list | tuple) or not all(isinstance(each, str | Path) for each in learn_from):
        raise ConfigError(f"learn_from: must be a list of sweeps' folders, got {learn_from!r}")
    return [Path(each) for each in learn_from]


def _told(folder: Path, metric: str, direction: Direction) -> list[Told]:
    """What the searcher of a recorded sweep was told."""
    history, told = results_of(read_events(folder))
    if history.metric != metric:
        raise ConfigError(f"its metric is {history.metric}, here it is {metric}")
    if history.direction is not direction:
        raise ConfigError(f"its metric is to {history.direction}, here it is to {direction}")
    return told
