"""The role of workers: what runs segments for the tuner."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from hposweep.trial import Segment, SegmentResult, Trial

Futures = Collection["Future[SegmentResult]"]


class Workers(Protocol):
    """What runs segments."""

    n_workers: int

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        """Starts the segment as a job; one that runs longer than `timeout_s` is killed."""

    def wait(self, futures: Futures, timeout_s: float) -> Futures:
        """Blocks until some of the futures are done, `timeout_s` at most, and returns those that are."""

    def cancel(self, futures: Futures) -> None:
        """Ends the jobs of these futures; each is done soon, with `SegmentEnd.CUT_OFF`."""


class StopRequest(Protocol):
    """What the user wants, as the tuner sees it whenever it looks."""

    is_made: bool  # stop: running segments may end within the grace time
    is_urgent: bool  # stop at once


@dataclass
class NoStopRequest:
    """Nobody wants to stop."""

    is_made: bool = False
    is_urgent: bool = False


def first_completed(futures: Futures, timeout_s: float) -> Futures:
    """`Workers.wait` for futures that others complete."""
    return concurrent.futures.wait(futures, timeout_s, return_when=concurrent.futures.FIRST_COMPLETED).done
