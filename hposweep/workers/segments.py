"""The futures of segments that a pool of processes runs as jobs."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Collection, Set
from concurrent.futures import Future
from typing import Protocol

from hposweep.trial import Segment, SegmentResult, Trial
from hposweep.workers.local.worker import JobAnswer
from hposweep.workers.protocol import Futures


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
    """Workers on a pool, but for `submit`: the futures of segments, each done when its job is.

    Waiting costs as much as there are futures that are done, however many are not.
    """

    can_kill = True

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._jobs: dict[Future[SegmentResult], Future[JobAnswer]] = {}  # until `wait` has returned them
        self._done: dict[Future[SegmentResult], None] = {}  # those of them that are done, in the order of that
        self._some_done = threading.Condition()

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

        future.add_done_callback(self._note_done)
        job.add_done_callback(pass_on)
        return future

    def adopted(self, segment: Segment, trial: Trial) -> Future[SegmentResult] | None:
        return None  # its processes have died with their controller

    def wait(self, futures: Futures, timeout_s: float) -> Futures:
        if len(futures) > len(self._jobs):  # some were done when they were submitted: no job runs for them
            done_before = [future for future in futures if future not in self._jobs and future.done()]
            if done_before:
                return done_before
        wanted = futures if isinstance(futures, Set) else set(futures)
        with self._some_done:
            self._some_done.wait_for(lambda: any(future in wanted for future in self._done), timeout_s)
            done: Collection[Future[SegmentResult]] = [future for future in self._done if future in wanted]
            for future in done:
                del self._done[future], self._jobs[future]
        return done

    def _note_done(self, future: Future[SegmentResult]) -> None:
        with self._some_done:
            self._done[future] = None
            self._some_done.notify()

    def cancel(self, futures: Futures) -> None:
        for future in futures:
            if future in self._jobs:
                self._pool.cancel(self._jobs[future])

    def stop(self) -> None:
        self._pool.stop()

    def overview(self) -> str:
        return self._pool.overview()
