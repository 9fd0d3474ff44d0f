"""The futures of segments that a pool of processes runs as jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from hposweep.trial import Segment, SegmentResult, Trial
from hposweep.workers.local.worker import JobAnswer
from hposweep.workers.protocol import Futures, first_completed


class Pool(Protocol):
    """What runs jobs on processes: a pool, or a launcher that has one."""

    @property
    def n_workers(self) -> int:
        """How many workers there are now."""

    def cancel(self, future: Future[JobAnswer]) -> None:
        """Kills the job of this future, which then is done."""

    def stop(self) -> None:
        """Ends all processes, busy ones too."""

    def overview(self) -> str:
        """As `Workers.overview`."""


class PoolFutures:
    """Workers on a pool, but for `submit`: the futures of segments, each done when its job is."""

    can_kill = True

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._jobs: dict[Future[SegmentResult], Future[JobAnswer]] = {}

    @property
    def n_workers(self) -> int:
        return self._pool.n_workers

    def of_job(self, job: Future[JobAnswer], folder: Callable[[], str]) -> Future[SegmentResult]:
        """The future of the segment that this job runs; `folder` says where, should the worker die and not tell."""
        future: Future[SegmentResult] = Future()
        self._jobs[future] = job

        def pass_on(job: Future[JobAnswer]) -> None:
            result = job.result().result
            future.set_result(result if result.folder else dataclasses.replace(result, folder=folder()))

        job.add_done_callback(pass_on)
        return future

    def adopted(self, segment: Segment, trial: Trial) -> Future[SegmentResult] | None:
        return None  # its processes have died with their controller

    def wait(self, futures: Futures, timeout_s: float) -> Futures:
        done = first_completed(futures, timeout_s)
        for future in done:
            self._jobs.pop(future, None)
        return done

    def cancel(self, futures: Futures) -> None:
        for future in futures:
            if future in self._jobs:
                self._pool.cancel(self._jobs[future])

    def stop(self) -> None:
        self._pool.stop()

    def overview(self) -> str:
        return self._pool.overview()
