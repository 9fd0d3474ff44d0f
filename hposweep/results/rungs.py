"""Trials at the rungs where they were compared: the best value over time at each, and what a rung tells of the next."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from hposweep.results.intervals import QUANTILE_OF_95_PERCENT
from hposweep.results.sweep_data import Compared, SweepData
from hposweep.trial import TrialState

MOST_COURSES = 5
LEAST_STEP = 1.5  # from one rung that has a course to the next
FEWEST_TRIALS = 4  # for a rank correlation


@dataclass(frozen=True)
class Course:
    """The best value so far among the trials that were compared at one rung."""

    epoch: int | None  # None: of the complete trials
    points: Sequence[Compared]  # in the order in which they were compared
    improvements: Sequence[Compared]  # those of them that were better than all before

    @property
    def is_complete(self) -> bool:
        return self.epoch is None


@dataclass(frozen=True)
class RankCorrelation:
    """Of the values of the trials that were compared at two rungs."""

    value: float  # Spearman's, in [-1, 1]
    low: float  # 95% interval
    high: float
    n_trials: int


@dataclass(frozen=True)
class Rung:
    """The trials that came to a rung."""

    epoch: int
    n_came: int
    n_went_on: int
    n_complete: int  # whose training ended there
    n_passed_over: int  # that did not go on, though among the best `n_went_on` of all that have come by now
    with_next: RankCorrelation | None  # None: too few trials have come to the next rung


def courses(sweep: SweepData) -> list[Course]:
    """A course for each rung, the smallest first, and the one of the complete trials last.

    A complete trial counts there alone, whatever the epoch at which its training ended. Of many rungs the largest one
    is taken, and going down those that are `LEAST_STEP` times smaller than the one before, at most `MOST_COURSES` with
    the complete trials.
    """
    by_epoch: dict[int, list[Compared]] = defaultdict(list)
    complete: list[Compared] = []
    for point in sweep.compared:
        if not math.isfinite(point.value):
            continue
        if point.state is TrialState.COMPLETE:
            complete.append(point)
        elif point.epoch:
            by_epoch[point.epoch].append(point)
    taken: list[int] = []
    for epoch in sorted(by_epoch, reverse=True):
        if not taken or taken[-1] >= LEAST_STEP * epoch:
            taken.append(epoch)
    found = [_course(sweep, epoch, by_epoch[epoch]) for epoch in sorted(taken[: MOST_COURSES - 1])]
    return [*found, _course(sweep, None, complete)] if complete else found


def _course(sweep: SweepData, epoch: int | None, points: Sequence[Compared]) -> Course:
    best, improvements = math.inf, []
    for point in points:
        loss = sweep.history.direction.loss(point.value)
        if loss < best:
            best = loss
            improvements.append(point)
    return Course(epoch, points, improvements)


def rungs(sweep: SweepData) -> list[Rung]:
    """The rungs in ascending order; empty where all trials were trained in one go."""
    losses: dict[int, dict[int, float]] = defaultdict(dict)  # by epoch and trial
    for point in sweep.compared:
        if point.epoch:
            losses[point.epoch][point.trial] = sweep.history.direction.loss(point.value)
    complete = {point.trial: point.epoch for point in sweep.complete}
    epochs = sorted(losses)
    if len(epochs) < 2 or all(point.state is TrialState.COMPLETE for point in sweep.compared):
        return []
    furthest: dict[int, float] = defaultdict(float)  # epoch to which each trial was sent
    for segment in sweep.segments:
        target = math.inf if segment.target_epoch is None else segment.target_epoch
        furthest[segment.trial] = max(furthest[segment.trial], target)
    found = []
    for epoch, following in zip(epochs, [*epochs[1:], None], strict=True):
        of_rung = losses[epoch]
        ended = {trial for trial in of_rung if complete.get(trial) == epoch}
        went_on = {trial for trial in of_rung if furthest[trial] > epoch} - ended
        best = sorted(of_rung, key=lambda trial: (of_rung[trial], trial))[: len(went_on)]
        later = losses[following] if following is not None else {}
        both = [trial for trial in of_rung if trial in later]
        with_next = rank_correlation([of_rung[trial] for trial in both], [later[trial] for trial in both])
        n_passed_over = len(set(best) - went_on - ended)
        found.append(Rung(epoch, len(of_rung), len(went_on), len(ended), n_passed_over, with_next))
    return found


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> RankCorrelation | None:
    """Spearman's rank correlation with its 95% interval; None with fewer than `FEWEST_TRIALS`, or where all are equal.

    The interval is that of Bonett and Wright, "Sample Size Requirements for Estimating Pearson, Kendall and Spearman
    Correlations", Psychometrika 65, 2000: normal for Fisher's z, with a variance of (1 + value² / 2) / (n - 3).
    """
    n = len(one)
    if n < FEWEST_TRIALS or len(set(one)) < 2 or len(set(other)) < 2:
        return None
    from scipy.stats import rankdata  # late: only sweeps with rungs need it

    a, b = (ranks - ranks.mean() for ranks in (rankdata(one), rankdata(other)))
    value = float(a @ b / math.sqrt((a @ a) * (b @ b)))
    # The transform of 1 is infinite: all in order counts as half a swap of two neighbours less than that.
    most = 1 - 6 / (n * (n**2 - 1))
    z = math.atanh(max(-most, min(most, value)))
    half_width = QUANTILE_OF_95_PERCENT * math.sqrt((1 + value**2 / 2) / (n - 3))
    low, high = min(value, math.tanh(z - half_width)), max(value, math.tanh(z + half_width))
    return RankCorrelation(value, low, high, n)
