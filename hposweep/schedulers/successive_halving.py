"""Successive halving: many trials start with few epochs, the best of each rung go on together."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hposweep.schedulers.rungs import Rung, rung_levels
from hposweep.trial import ResumeTrial, Segment, StartTrial, Trial, TrialState


class BracketShape(NamedTuple):
    """What is known of a bracket before its first trial: the levels of its rungs, and how many trials begin in it."""

    levels: tuple[int, ...]
    n_trials: int


@dataclass
class Bracket:
    """One round of successive halving. A rung waits for its own members, whatever other brackets do meanwhile."""

    shape: BracketShape
    eta: int
    rungs: list[Rung] = field(init=False)
    members: list[set[int]] = field(init=False)  # trials that were started for each rung

    def __post_init__(self) -> None:
        self.rungs = [Rung(level) for level in self.shape.levels]
        self.members = [set() for _ in self.shape.levels]

    def takes_new_trials(self) -> bool:
        """Whether another trial may begin in it; none may once its first rung was decided, even if it got fewer."""
        return len(self.members[0]) < self.shape.n_trials and not (len(self.members) > 1 and self.members[1])

    def promotion(self, cut_short: bool = False) -> ResumeTrial | None:
        """The next promotion; None while a rung waits, and when all are done.

        Args:
            cut_short: decide the first rung among the trials that it has, since there will be no more.
        """
        if self.takes_new_trials() and not cut_short:
            return None
        for rung, members, promoted, level in zip(
            self.rungs, self.members, self.members[1:], self.shape.levels[1:], strict=False
        ):
            if len(rung.results) < len(members) or not members:
                return None
            if len(promoted) < n_promoted(len(members), self.eta):
                trial = rung.living(len(promoted))
                if trial is not None:
                    return ResumeTrial(trial, level)
        return None


def n_promoted(n_members: int, eta: int) -> int:
    """How many of a rung go on: one in eta, but at least one, so that a bracket of few trials completes one, too."""
    return max(1, n_members // eta)


class SuccessiveHalvingScheduler:
    """Runs brackets of eta**K trials, one after the other; of each rung the best 1/eta go on to eta times the epochs.

    Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016,
    Algorithm 1, in the form of "Dive into Deep Learning", section 19.4: K + 1 rungs, and where a rung waits for its
    slowest trials, free workers begin with the next bracket. If the sweep has fewer trials than a bracket takes, its
    first rung is decided among those. A trial that failed or diverged is the worst of its rung.

    Args:
        r_max: epochs of a complete trial.
        r_min: epochs of the first rung.
        eta: one trial in eta goes on, to eta times the epochs.

    Raises:
        ConfigError: as `rung_levels`.
    """

    n_trials_to_complete_one = 1

    def __init__(self, r_max: int, r_min: int = 1, eta: int = 3) -> None:
        self.r_max, self.eta = r_max, eta
        self._brackets: list[Bracket] = []
        self._bracket_of: dict[int, int] = {}  # the position of a trial's bracket
        self._ready: list[int] = []  # positions of brackets that have a promotion, sorted
        self._shapes = self._bracket_shapes(rung_levels(r_min, r_max, eta))

    def _bracket_shapes(self, levels: tuple[int, ...]) -> Sequence[BracketShape]:
        """The brackets that are run in turn."""
        return [BracketShape(levels, self.eta ** (len(levels) - 1))]

    def next_segment(self, can_start_new: bool) -> StartTrial | ResumeTrial | None:
        if self._ready:
            return self._brackets[self._ready[0]].promotion()
        filling = self._filling()
        if can_start_new:
            shape = self._next_shape() if filling is None else filling.shape
            return StartTrial(shape.levels[0])
        return None if filling is None else filling.promotion(cut_short=True)

    def start(self, segment: Segment) -> None:
        if segment.trial not in self._bracket_of:
            if self._filling() is None:
                self._brackets.append(Bracket(self._next_shape(), self.eta))
            self._bracket_of[segment.trial] = len(self._brackets) - 1
        bracket = self._brackets[self._bracket_of[segment.trial]]
        assert segment.target_epoch is not None
        bracket.members[bracket.shape.levels.index(segment.target_epoch)].add(segment.trial)
        self._look_at(self._bracket_of[segment.trial])

    def state_after(self, trial: Trial, loss: float) -> TrialState:
        return TrialState.COMPLETE if trial.target_epoch == self.r_max else TrialState.PAUSED

    def tell(self, trial: Trial, loss: float) -> None:
        bracket = self._brackets[self._bracket_of[trial.number]]
        assert trial.target_epoch is not None
        bracket.rungs[bracket.shape.levels.index(trial.target_epoch)].add(trial.number, loss)
        self._look_at(self._bracket_of[trial.number])

    def _look_at(self, position: int) -> None:
        """Notes whether the bracket has a promotion now, after a start or a result in it."""
        place = bisect.bisect_left(self._ready, position)
        was_ready = place < len(self._ready) and self._ready[place] == position
        is_ready = self._brackets[position].promotion() is not None
        if is_ready and not was_ready:
            self._ready.insert(place, position)
        elif was_ready and not is_ready:
            del self._ready[place]

    def _filling(self) -> Bracket | None:
        """The bracket that takes new trials: the last one or none."""
        return self._brackets[-1] if self._brackets and self._brackets[-1].takes_new_trials() else None

    def _next_shape(self) -> BracketShape:
        return self._shapes[len(self._brackets) % len(self._shapes)]
