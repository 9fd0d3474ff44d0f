"""Schedulers decide which trial gets how much budget next. One file each; pure."""

from typing import Protocol

from hposweep.trial import NextSegment, Trial


class Scheduler(Protocol):
    """Decides what a free worker does, knowing each result so far.

    Asking changes nothing: only what was recorded does.

        >>> from hposweep.schedulers.fifo import FifoScheduler
        >>> FifoScheduler().next_segment()
        NextSegment(trial=None, target_epoch=None)
    """

    @property
    def r_max(self) -> int | None:
        """Epochs of a complete trial; None where the objective trains to its own end."""

    def next_segment(self) -> NextSegment | None:
        """Go on with a paused trial, or start a new one, each with its target epoch; None: nothing now."""

    def record(self, trial: Trial) -> None:
        """A segment of the trial has ended: its state, epoch and value are the result."""
