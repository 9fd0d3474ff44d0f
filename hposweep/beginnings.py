"""What a search begins with: configurations that the user wants tried first, and results of other sweeps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from hposweep.errors import ConfigError
from hposweep.history import results_of
from hposweep.search_space import SearchSpace
from hposweep.searchers import Searcher
from hposweep.searchers.initial import InitialSearcher, read_initial
from hposweep.searchers.learned import Told, numbers_below_0, teach
from hposweep.shown_text import plural
from hposweep.sweep_folder.journal import read_events
from hposweep.trial import Direction

log = logging.getLogger(__name__)


def with_beginnings(
    searcher: Searcher,
    search_space: SearchSpace,
    seed: int,
    *,
    initial_configs: object,
    learn_from: object,
    metric: str,
    direction: Direction,
) -> Searcher:
    """The searcher, told of the results of other sweeps, and after the configurations that are tried first.

    Args:
        searcher: one that was told of nothing yet.
        initial_configs: a list of configurations, which may be partial; None: none.
        learn_from: a list of folders of sweeps; None: none.

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
    return InitialSearcher(searcher, search_space, seed, initial) if initial else searcher


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
