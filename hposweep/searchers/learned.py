"""What a searcher learns from trials of other sweeps before its own first one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hposweep.errors import ConfigError
from hposweep.search_space import SearchSpace, literal
from hposweep.searchers import Searcher
from hposweep.trial import Trial

Told = tuple[Trial, float]  # a trial as it was at a rung or at its end, and its loss


def numbers_below_0() -> Iterator[int]:
    """Numbers for trials that are none of the sweep's own."""
    return itertools.count(-1, -1)


def teach(searcher: Searcher, search_space: SearchSpace, told: Sequence[Told], numbers: Iterator[int]) -> None:
    """Tells a searcher of the results of another sweep, as if they had been its own.

    Args:
        numbers: for each trial another one, which no trial of the searcher's own sweep has.

    Raises:
        ConfigError: if a trial's configuration does not lie in the search space; then nothing was told.
    """
    for trial, _ in told:
        _check(trial, search_space)
    number_of: dict[int, int] = {}
    for trial, loss in told:
        is_new = trial.number not in number_of
        number = number_of.setdefault(trial.number, next(numbers) if is_new else 0)
        if is_new:
            searcher.start(replace(trial, number=number))
        searcher.tell(replace(trial, number=number), loss)


def _check(trial: Trial, search_space: SearchSpace) -> None:
    configuration = trial.configuration
    if configuration in search_space:
        return
    try:
        active = search_space.active(configuration)
    except KeyError as error:
        raise ConfigError(f"its trial {trial.number} has no {error.args[0]}, which is searched here") from None
    for key in configuration:
        if key not in {dimension.key for dimension in active}:
            raise ConfigError(f"its trial {trial.number} has {key}, which is not searched here")
    for dimension in active:
        key, prior = dimension.key, dimension.prior
        if key not in configuration:
            raise ConfigError(f"its trial {trial.number} has no {key}, which is searched here")
        if configuration[key] not in prior:
            value = literal(configuration[key])
            raise ConfigError(f"its trial {trial.number} has {key}={value}, which is no value of {prior} here")
