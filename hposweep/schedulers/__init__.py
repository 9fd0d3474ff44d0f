"""Schedulers decide which trial gets how much budget next. One file each; pure."""

from typing import Protocol

from hposweep.trial import ResumeTrial, Segment, StartTrial, Trial, TrialState


class Scheduler(Protocol):
    """Decides what a free worker does next, from the results so far.

    Asking changes nothing: only `start` and `tell` do, which are told what the journal holds. The same events in the
    same order give the same answers, so that a replay decides as the sweep did. Losses are made small; infinity is the
    loss of a trial that failed or diverged.

        >>> from hposweep.schedulers.asha import AshaScheduler
        >>> scheduler = AshaScheduler(r_max=9, eta=3)
        >>> scheduler.next_segment(can_start_new=True)
        StartTrial(target_epoch=1)
        >>> for number, loss in enumerate([0.3, 0.1, 0.2]):
        ...     scheduler.start(Segment(number, 0, 1))
        ...     scheduler.tell(Trial(number, {}, seed=0, state=TrialState.PAUSED, target_epoch=1), loss)
        >>> scheduler.next_segment(can_start_new=True)
        ResumeTrial(trial=1, target_epoch=3)
    """

    @property
    def n_trials_to_complete_one(self) -> int:
        """The number of trials after which one is sure to be COMPLETE, if none fails."""

    def next_segment(self, can_start_new: bool) -> StartTrial | ResumeTrial | None:
        """Go on with a paused trial, or start a new one, each with its target epoch; None: nothing now.

        Args:
            can_start_new: whether there is to be another trial; a new one is asked for only then.
        """

    def start(self, segment: Segment) -> None:
        """The segment was started; again, where its first job was cut off."""

    def state_after(self, trial: Trial, loss: float) -> TrialState:
        """What the trial is once it has reached its target epoch with this loss: COMPLETE, PAUSED or STOPPED."""

    def tell(self, trial: Trial, loss: float) -> None:
        """A segment of the trial has ended, and left it in this state."""
