"""The role of workers: what runs segments for the tuner."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from hposweep.trial import Segment, SegmentResult, Trial

Futures = Collection["Future[SegmentResult]"]


class Workers(Protocol):
    """What runs segments.

    A job that was lost with its machine, or never begun, is `SegmentEnd.LOST`; one whose worker process died on a
    machine that lives is `SegmentEnd.DIED`.
    """

    @property
    def n_workers(self) -> int:
        """How many there are now: it may grow, shrink and be 0."""

    @property
    def can_kill(self) -> bool:
        """Whether a running job can be ended, at its timeout or by `cancel`."""

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        """Starts the segment as the job `trial.job_id`; one that runs longer than `timeout_s` is killed."""

    def adopted(self, segment: Segment, trial: Trial) -> Future[SegmentResult] | None:
        """The job `trial.job_id` of a controller that died, where it still runs or has ended unseen; else None.

        Asked for each such job before anything is submitted.
        """

    def wait(self, futures: Futures, timeout_s: float) -> Futures:
        """Blocks until some of the futures are done, `timeout_s` at most, and returns those that are.

        Without futures it waits for workers to come.
        """

    def cancel(self, futures: Futures) -> None:
        """Ends the jobs of these futures; each is done soon, with `SegmentEnd.CUT_OFF`."""

    def stop(self) -> None:
        """Ends all workers, busy ones too; none is needed any more."""

    def overview(self) -> str:
        """Nodes and what is queued, such as `3 nodes, 12 queued`; empty where all is on one machine.

        Asked a few times a second, from any thread: it waits for nobody.
        """


class StopRequest(Protocol):
    """Whether the user wants the sweep to stop; the tuner polls it."""

    is_made: bool  # stop: running segments may end within the grace time
    is_urgent: bool  # stop at once


@dataclass
class NoStopRequest:
    """Nobody wants to stop."""

    is_made: bool = False
    is_urgent: bool = False
