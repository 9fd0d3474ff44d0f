"""Median stopping: a trial goes on as long as it is no worse than the median of the others at the same epoch."""

from __future__ import annotations

import bisect
from itertools import accumulate

from hposweep.errors import ConfigError
from hposweep.schedulers.rungs import rung_levels
from hposweep.trial import ResumeTrial, Segment, StartTrial, Trial, TrialState


class MedianStoppingScheduler:
    """Stops a trial whose best loss so far is worse than the median of the complete trials' average losses up to there.

    Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017, section 3.2.2. Decisions are taken
    at the ends of segments, so that they don't depend on timing: the averages are over the decision epochs. Before a
    trial is complete none is stopped.

    Args:
        r_max: epochs of a complete trial.
        r_min: epochs before a trial is first judged.
        eta: trials are judged at r_min * eta**k epochs.
        check_every: if given, trials are judged every so many epochs instead, from r_min on.

    Raises:
        ConfigError: as `rung_levels`, or if `check_every` is below 1.
    """

    n_trials_to_complete_one = 1

    def __init__(self, r_max: int, r_min: int = 1, eta: int = 3, check_every: int | None = None) -> None:
        self._levels = rung_levels(r_min, r_max, eta)
        if check_every is not None:
            if isinstance(check_every, bool) or not isinstance(check_every, int) or check_every < 1:
                raise ConfigError(f"check_every: must be a whole number of at least 1, or null, got {check_every!r}")
            self._levels = (*range(r_min, r_max, check_every), r_max)
        self._losses: dict[int, list[float]] = {}
        self._averages: list[list[float]] = [[] for _ in self._levels]  # of complete trials, at each level, sorted
        self._waiting: list[int] = []

    def next_segment(self, can_start_new: bool) -> StartTrial | ResumeTrial | None:
        if self._waiting:
            trial = self._waiting[0]
            return ResumeTrial(trial, self._levels[len(self._losses[trial])])
        return StartTrial(self._levels[0]) if can_start_new else None

    def start(self, segment: Segment) -> None:
        if segment.trial in self._waiting:
            self._waiting.remove(segment.trial)

    def state_after(self, trial: Trial, loss: float) -> TrialState:
        losses = [*self._losses.get(trial.number, []), loss]
        if len(losses) == len(self._levels):
            return TrialState.COMPLETE
        averages = self._averages[len(losses) - 1]
        if averages and min(losses) > median_of_sorted(averages):
            return TrialState.STOPPED
        return TrialState.PAUSED

    def tell(self, trial: Trial, loss: float) -> None:
        losses = self._losses.setdefault(trial.number, [])
        losses.append(loss)
        if trial.state is TrialState.PAUSED:
            bisect.insort(self._waiting, trial.number)
        elif trial.state is TrialState.COMPLETE:
            for averages, total, n in zip(self._averages, accumulate(losses), range(1, len(losses) + 1), strict=True):
                bisect.insort(averages, total / n)


def median_of_sorted(values: list[float]) -> float:
    """The median of values that are sorted already."""
    n = len(values)
    return (values[(n - 1) // 2] + values[n // 2]) / 2
