"""How far trials got: the steps of their budget, each with a colour that is the same in all plots of a sweep."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from hposweep.results.figures.style import LEVELS
from hposweep.results.sweep_data import SweepData
from hposweep.trial import Trial, TrialState


@dataclass(frozen=True)
class Level:
    """Trials that got about as far."""

    name: str
    colour: str
    trials: Sequence[Trial]


def levels(sweep: SweepData, trials: Sequence[Trial]) -> list[Level]:
    """The trials by how far they got, the least first, those that are complete last; each level has some."""
    starts = _starts(sweep)
    colours = level_colours(len(starts) + 1)
    groups: list[list[Trial]] = [[] for _ in colours]
    for trial in trials:
        n_reached = sum(start <= sweep.n_epochs(trial) for start in starts)
        groups[-1 if trial.state is TrialState.COMPLETE else max(0, n_reached - 1)].append(trial)
    return [
        Level("complete" if group is groups[-1] else _name(sweep, group), colour, group)
        for colour, group in zip(colours, groups, strict=True)
        if group
    ]


def level_colours(n: int) -> list[str]:
    """Colours of so many steps of a budget, at most as many as `LEVELS` has, the last one that of complete trials."""
    return [LEVELS[len(LEVELS) - 1 - round((n - 1 - i) * (len(LEVELS) - 1) / max(1, n - 1))] for i in range(n)]


def _starts(sweep: SweepData) -> list[int]:
    """The epochs at which levels of trials that are not complete begin: at least one, at most one less than colours."""
    reached = {sweep.n_epochs(trial) for trial in sweep.trials if trial.state is not TrialState.COMPLETE}
    last = max(reached, default=0)
    starts = [level for level in sweep.rungs if 0 < level <= last] or sorted(reached) or [0]
    while len(starts) >= len(LEVELS):
        # The two that are closest, on the scale on which budgets are given, become one.
        ratios = [(after + 1) / (before + 1) for before, after in itertools.pairwise(starts)]
        starts.pop(1 + ratios.index(min(ratios)))
    return starts


def _name(sweep: SweepData, trials: Sequence[Trial]) -> str:
    epochs = [sweep.n_epochs(trial) for trial in trials]
    low, high = min(epochs), max(epochs)
    if not high:
        return "not complete"
    return f"to epoch {high}" if low == high else f"to epochs {low} to {high}"
