"""First in, first out: every trial gets its full budget at once."""

from dataclasses import dataclass

from hposweep.trial import Segment, StartTrial, Trial, TrialState


@dataclass(frozen=True)
class FifoScheduler:
    """Starts a new trial whenever a worker is free (the book's BasicScheduler)."""

    n_trials_to_complete_one = 1

    def next_segment(self, can_start_new: bool) -> StartTrial | None:
        return StartTrial(target_epoch=None) if can_start_new else None

    def start(self, segment: Segment) -> None:
        """No start changes the order."""

    def state_after(self, trial: Trial, loss: float) -> TrialState:
        return TrialState.COMPLETE

    def tell(self, trial: Trial, loss: float) -> None:
        """No result changes the order."""
