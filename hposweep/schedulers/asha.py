"""ASHA, asynchronous successive halving: a trial that is good enough so far goes on at once; no worker waits."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

from hposweep.errors import ConfigError
from hposweep.schedulers.hyperband import check_brackets, hyperband_brackets
from hposweep.schedulers.rungs import Rung, rung_levels
from hposweep.trial import ResumeTrial, Segment, StartTrial, Trial, TrialState


@dataclass
class AshaRung(Rung):
    """A rung that also knows the trials that wait on it, the best first."""

    waiting: list[tuple[float, int]] = field(default_factory=list)

    def promotable(self, eta: int) -> int | None:
        """The best waiting trial, if it is in the top floor(n / eta) of the rung's n results."""
        if not self.waiting:
            return None
        loss, trial = self.waiting[0]
        return trial if self.rank(trial, loss) < len(self.results) // eta else None


class AshaScheduler:
    """Promotes a trial as soon as it is among the best 1/eta of its rung; never waits for a rung to fill.

    Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, Algorithm 2. One difference: the
    smaller trial number wins a tie, so that a replay of the journal decides the same. A trial that failed or diverged
    on its way to a rung counts there as the worst.

    With `stopping` no trial waits for a promotion: a trial that comes to a rung goes on at once if it is among the best
    max(1, floor(n / eta)) of the n results that are there by then, its own included, and is STOPPED else. It needs no
    checkpoints of waiting trials, but a trial that came early goes on more easily.

    Args:
        r_max: epochs of a complete trial.
        r_min: epochs of the first rung.
        eta: one trial in eta goes on, to eta times the epochs.
        brackets: new trials take turns in this many of Hyperband's brackets, the first ones, in proportion to their
            sizes there; each has rungs of its own (section 3.2: asynchronous Hyperband). 1: all begin at r_min.
        stopping: the stopping variant.

    Raises:
        ConfigError: as `rung_levels`, if there are fewer brackets, or if `stopping` is neither true nor false.
    """

    def __init__(self, r_max: int, r_min: int = 1, eta: int = 3, brackets: int = 1, stopping: bool = False) -> None:
        levels = rung_levels(r_min, r_max, eta)
        check_brackets(brackets, levels)
        if not isinstance(stopping, bool):
            raise ConfigError(f"stopping: must be true or false, got {stopping!r}")
        self.r_max, self.eta, self.stopping = r_max, eta, stopping
        shapes = hyperband_brackets(levels, eta)[:brackets]
        self._sizes = [shape.n_trials for shape in shapes]
        self._brackets = [[AshaRung(level) for level in shape.levels] for shape in shapes]
        self._n_begun = [0] * len(shapes)
        self._bracket_of: dict[int, list[AshaRung]] = {}

    @property
    def n_trials_to_complete_one(self) -> int:
        if self.stopping:
            return 1
        # The bracket with the fewest rungs needs one trial in eta of each; others begin beside it.
        needed: int = self.eta ** (len(self._brackets[-1]) - 1)
        return -(-needed * sum(self._sizes) // self._sizes[-1])

    def next_segment(self, can_start_new: bool) -> StartTrial | ResumeTrial | None:
        for bracket in self._brackets:
            for rung, above in zip(bracket[-2::-1], bracket[:0:-1], strict=True):
                trial = self._next_of(rung)
                if trial is not None:
                    return ResumeTrial(trial, above.level)
        return StartTrial(self._brackets[self._next_bracket()][0].level) if can_start_new else None

    def start(self, segment: Segment) -> None:
        bracket = self._bracket_of.get(segment.trial)
        if bracket is None:
            position = self._next_bracket()
            self._n_begun[position] += 1
            self._bracket_of[segment.trial] = self._brackets[position]
            return
        for rung in bracket:
            # A promoted trial is the first of its rung; one that was cut off waits on none.
            if rung.waiting and rung.waiting[0][1] == segment.trial:
                del rung.waiting[0]

    def state_after(self, trial: Trial, loss: float) -> TrialState:
        if trial.target_epoch == self.r_max:
            return TrialState.COMPLETE
        rung = self._rung(trial)
        n_with_it = len(rung.results) + 1
        if self.stopping and rung.rank(trial.number, loss) >= max(1, n_with_it // self.eta):
            return TrialState.STOPPED
        return TrialState.PAUSED

    def tell(self, trial: Trial, loss: float) -> None:
        rung = self._rung(trial)
        rung.add(trial.number, loss)
        if trial.state is TrialState.PAUSED:
            bisect.insort(rung.waiting, (loss, trial.number))

    def _next_of(self, rung: AshaRung) -> int | None:
        """The trial that goes on from this rung."""
        if self.stopping:
            return rung.waiting[0][1] if rung.waiting else None
        return rung.promotable(self.eta)

    def _rung(self, trial: Trial) -> AshaRung:
        return next(rung for rung in self._bracket_of[trial.number] if rung.level == trial.target_epoch)

    def _next_bracket(self) -> int:
        """The bracket that has the fewest trials for its size."""
        return min(range(len(self._sizes)), key=lambda i: ((self._n_begun[i] + 1) / self._sizes[i], i))
