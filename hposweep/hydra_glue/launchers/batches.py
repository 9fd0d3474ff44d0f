"""Segments as jobs of any Hydra launcher, whose `launch` blocks until a whole batch is done."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher

from hposweep.errors import write_error
from hposweep.failure import line_of_exception
from hposweep.hydra_glue.launchers.segments import SegmentJobs
from hposweep.trial import Segment, SegmentEnd, SegmentResult, Trial
from hposweep.workers.protocol import Futures
from hposweep.workers.stop_signals import StopSignals

Job = tuple[int, list[str], "Future[SegmentResult]"]


class BatchWorkers:
    """Collects what is submitted, and launches it when the tuner waits.

    Such launchers can't kill a job, so that a time limit is not kept, and jobs of the batch under way are lost where it
    is interrupted.

    Args:
        launcher: Hydra's.
        n_workers: jobs in a batch, at most.
        result_of: the segment's result, from what Hydra tells of its job and the seconds that it took.
        signals: asked to interrupt a launch at once.
    """

    can_kill = False

    def __init__(
        self,
        launcher: Launcher,
        n_workers: int,
        jobs: SegmentJobs,
        result_of: Callable[[JobReturn, float], SegmentResult],
        signals: StopSignals,
    ) -> None:
        self.n_workers, self._result_of = n_workers, result_of
        self._launcher, self._jobs, self._signals = launcher, jobs, signals
        self._queue: list[Job] = []

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        overrides = self._jobs.overrides_of(segment, trial)
        refused = self._jobs.refused(segment, overrides)
        if refused is not None:
            return refused
        future: Future[SegmentResult] = Future()
        try:
            if self.n_workers > 1:  # a launcher that can't compose one job's config runs none of its batch
                self._jobs.folders.composed(overrides)
        except HydraException as error:
            future.set_result(_failed(error, 0.0))
        else:
            self._queue.append((segment.trial, overrides, future))
        return future

    def adopted(self, segment: Segment, trial: Trial) -> Future[SegmentResult] | None:
        return None

    def wait(self, futures: Futures, timeout_s: float) -> Futures:
        queue, self._queue = self._queue, []
        with self._signals.raised_at_once():
            for run in _consecutive(queue):
                self._launch(run)
        return futures

    def cancel(self, futures: Futures) -> None:
        """Does nothing: between two batches no job runs."""

    def stop(self) -> None:
        """The launcher's processes are its own."""

    def overview(self) -> str:
        return ""

    def _launch(self, jobs: Sequence[Job]) -> None:
        started = time.monotonic()
        try:
            returns = self._launcher.launch([overrides for _, overrides, _ in jobs], initial_job_idx=jobs[0][0])
            if len(returns) != len(jobs):
                raise RuntimeError(f"the launcher gave {len(returns)} results for {len(jobs)} jobs")
        except Exception as error:  # composing a job's config, or whatever somebody else's launcher raises
            result = _failed(error, time.monotonic() - started)
            number, overrides, _ = jobs[0]
            unwritable = write_error(error, self._jobs.folders.path(number, overrides))
            if unwritable is not None:
                result = SegmentResult(result.duration_s, failure=f"{unwritable}", end=SegmentEnd.UNWRITABLE)
            results = [result] * len(jobs)
        else:
            # A launcher tells no job's own time: of several in one batch each is given that of the batch.
            duration_s = time.monotonic() - started
            results = [self._result_of(each, duration_s) for each in returns]
        for (_, _, future), result in zip(jobs, results, strict=True):
            future.set_result(result)


def _failed(error: Exception, duration_s: float) -> SegmentResult:
    failure = "".join(traceback.format_exception(error))
    return SegmentResult(duration_s, failure=failure, exception=line_of_exception(error))


def _consecutive(queue: Sequence[Job]) -> list[list[Job]]:
    """Runs of jobs with consecutive numbers: a launcher numbers its jobs on from the first one."""
    runs: list[list[Job]] = []
    for job in queue:
        if runs and runs[-1][-1][0] + 1 == job[0]:
            runs[-1].append(job)
        else:
            runs.append([job])
    return runs
