"""Successive halving: many trials start with few epochs, the best of each rung go on together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hposweep.schedulers.rungs import Rung, rung_levels
from hposweep.trial import NextSegment, Segment, Trial, TrialState


class BracketShape(NamedTuple):
    """What is fixed of a bracket before its first trial: the levels of its rungs, and how many trials begin in it."""

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
        """Whether it wants more; once its first rung was decided it is closed, even where it got fewer."""
        return len(self.members[0]) < self.shape.n_trials and not (len(self.members) > 1 and self.members[1])

    def next_segment(self, can_start_new: bool) -> NextSegment | None:
        """The next promotion, or a new trial; None while a rung waits, and when all is over."""
        if self.takes_new_trials() and can_start_new:
            return NextSegment(None, self.shape.levels[0])
        for rung, members, promoted, level in zip(
            self.rungs, self.members, self.members[1:], self.shape.levels[1:], strict=False
        ):
            if len(rung.results) < len(members) or not members:
                return None
            if len(promoted) < n_promoted(len(members), self.eta):
                trial = rung.living(len(promoted))
                if trial is not None:
                    return NextSegment(trial, level)
        return None

    def is_over(self) -> bool:
        """Whether nothing is left to do in it, nor ever will be."""
        waits = any(len(rung.results) < len(members) for rung, members in zip(self.rungs, self.members, strict=True))
        return not waits and not self.takes_new_trials() and self.next_segment(can_start_new=False) is None


def n_promoted(n_members: int, eta: int) -> int:
    """How many of a rung go on: one in eta, but one at least, so that a bracket of few trials completes one, too."""
    return max(1, n_members // eta)


class SuccessiveHalvingScheduler:
    """Runs brackets of eta**K trials, one after the other; of each rung the best 1/eta go on to eta times the epochs.

    Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016,
    Algorithm 1, in the form of "Dive into Deep Learning", section 19.4: K + 1 rungs, and where a rung waits for its
    slowest trials, free workers begin with the next bracket. Where the sweep has fewer trials than a bracket wants, its
    first rung is decided among those that there are. A trial that failed or diverged is the worst of its rung.

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
        self._bracket_of: dict[int, Bracket] = {}
        self._open: list[Bracket] = []
        self._n_brackets = 0
        self._shapes = self._bracket_shapes(rung_levels(r_min, r_max, eta))

    def _bracket_shapes(self, levels: tuple[int, ...]) -> Sequence[BracketShape]:
        """The brackets that are run in turn."""
        return [BracketShape(levels, self.eta ** (len(levels) - 1))]

    def next_segment(self, can_start_new: bool) -> NextSegment | None:
        for bracket in self._open:
            segment = bracket.next_segment(can_start_new)
            if segment is not None:
                return segment
        return NextSegment(None, self._next_shape().levels[0]) if can_start_new else None

    def start(self, segment: Segment) -> None:
        bracket = self._bracket_of.get(segment.trial)
        if bracket is None:
            bracket = self._bracket_of[segment.trial] = self._bracket_for_new_trial()
        assert segment.target_epoch is not None
        bracket.members[bracket.shape.levels.index(segment.target_epoch)].add(segment.trial)

    def state_after(self, trial: Trial, loss: float) -> TrialState:
        return TrialState.COMPLETE if trial.target_epoch == self.r_max else TrialState.PAUSED

    def record(self, trial: Trial, loss: float) -> None:
        bracket = self._bracket_of[trial.number]
        assert trial.target_epoch is not None
        bracket.rungs[bracket.shape.levels.index(trial.target_epoch)].add(trial.number, loss)
        if bracket.is_over():
            self._open.remove(bracket)

    def _bracket_for_new_trial(self) -> Bracket:
        for bracket in self._open:
            if bracket.takes_new_trials():
                return bracket
        self._open.append(Bracket(self._next_shape(), self.eta))
        self._n_brackets += 1
        return self._open[-1]

    def _next_shape(self) -> BracketShape:
        return self._shapes[self._n_brackets % len(self._shapes)]
