"""Workers in virtual time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from hposweep.trial import Segment, SegmentEnd, SegmentResult, Trial
from hposweep.workers.protocol import Futures


@dataclass
class VirtualWorkers:
    """Workers whose segments last as long as their result says, in a time of their own."""

    outcome: Callable[[Segment, Trial], SegmentResult]
    n_workers: int = 1
    can_kill: bool = True
    now: float = 0.0  # virtual seconds
    busy_s: float = 0.0  # of all workers together
    _queue: list[tuple[float, int, Future[SegmentResult], SegmentResult]] = field(default_factory=list, init=False)
    _n_submitted: int = field(default=0, init=False)

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        result, future = self.outcome(segment, trial), Future[SegmentResult]()
        if timeout_s is not None and result.duration_s > timeout_s:
            result = SegmentResult(timeout_s, failure="too long", end=SegmentEnd.TIMED_OUT)
        self._n_submitted += 1
        heapq.heappush(self._queue, (self.now + result.duration_s, self._n_submitted, future, result))
        return future

    def adopted(self, segment: Segment, trial: Trial) -> Future[SegmentResult] | None:
        return None

    def wait(self, futures: Futures, timeout_s: float) -> Futures:
        """Goes on to the next end of a segment at once, however far it is: nothing can happen before."""
        self.now, _, future, result = heapq.heappop(self._queue)
        self.busy_s += result.duration_s
        future.set_result(result)
        return [future]

    def cancel(self, futures: Futures) -> None:
        queue, self._queue = self._queue, []
        for ends_at, number, future, result in queue:
            cut_off = SegmentResult(0.0, failure="cut off", end=SegmentEnd.CUT_OFF)
            entry = (self.now, number, future, cut_off) if future in futures else (ends_at, number, future, result)
            heapq.heappush(self._queue, entry)

    def stop(self) -> None:
        """Nothing outlives a virtual sweep."""

    def overview(self) -> str:
        return ""

    @property
    def n_busy(self) -> int:
        """Workers that have a segment now."""
        return len(self._queue)

    @property
    def next_end(self) -> float:
        """When the next segment ends, in virtual seconds."""
        return self._queue[0][0]
