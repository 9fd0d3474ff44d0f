"""Segments as jobs of any Hydra launcher, whose `launch` blocks until a whole batch is done."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from hposweep import job_folder
from hposweep.hydra_glue.sweep_folder import JobFolders
from hposweep.trial import Segment, SegmentResult, Trial

log = logging.getLogger(__name__)

Job = tuple[int, list[str], "Future[SegmentResult]"]


class BatchLauncher:
    """Collects what is submitted, and launches it when the tuner waits.

    Args:
        launcher: Hydra's.
        overrides_of: the overrides of a segment's job.
        folders: who has which folder.
        sweep_dir: what the jobs' folders are relative to.
    """

    def __init__(
        self,
        launcher: Launcher,
        overrides_of: Callable[[Segment, Trial], list[str]],
        folders: JobFolders,
        sweep_dir: Path,
    ) -> None:
        self._launcher = launcher
        self._overrides_of = overrides_of
        self._folders = folders
        self._sweep_dir = sweep_dir
        self._queue: list[Job] = []

    def submit(self, segment: Segment, trial: Trial) -> Future[SegmentResult]:
        """A future that is done after the next `wait`."""
        future: Future[SegmentResult] = Future()
        overrides = self._overrides_of(segment, trial)
        conflict = self._folders.conflict(segment.trial, overrides)
        if conflict:
            future.set_result(SegmentResult(duration_s=0.0, failure=conflict))
        else:
            self._queue.append((segment.trial, overrides, future))
        return future

    def wait(self, futures: Collection[Future[SegmentResult]]) -> Collection[Future[SegmentResult]]:
        """Launches the batch; all of the futures are done then."""
        queue, self._queue = self._queue, []
        for run in _consecutive(queue):
            self._launch(run)
        return futures

    def _launch(self, jobs: Sequence[Job]) -> None:
        started = time.monotonic()
        try:
            returns = self._launcher.launch([overrides for _, overrides, _ in jobs], initial_job_idx=jobs[0][0])
        except Exception as error:  # composing a job's config, or whatever somebody else's launcher raises
            failure = "".join(traceback.format_exception(error))
            results = [SegmentResult(time.monotonic() - started, failure=failure)] * len(jobs)
        else:
            # A launcher tells no job's own time: of several in one batch each is given that of the batch.
            duration_s = time.monotonic() - started
            results = [segment_result(each, duration_s, self._sweep_dir) for each in returns]
        for (_, _, future), result in zip(jobs, results, strict=True):
            future.set_result(result)


def segment_result(job_return: JobReturn, duration_s: float, sweep_dir: Path) -> SegmentResult:
    """What came of a job, in the tuner's words."""
    assert job_return.hydra_cfg is not None
    folder = Path(job_return.hydra_cfg.hydra.runtime.output_dir)
    relative = str(folder.relative_to(sweep_dir)) if folder.is_relative_to(sweep_dir) else str(folder)
    if job_return.status is not JobStatus.COMPLETED:
        return SegmentResult(duration_s, failure=_failure(folder, job_return._return_value), folder=relative)
    try:
        value = float(job_return.return_value)
    except (TypeError, ValueError):
        failure = f"the objective returned {_short(job_return.return_value)}; it must return a number"
        return SegmentResult(duration_s, failure=failure, folder=relative)
    return SegmentResult(duration_s, value, folder=relative)


def _failure(folder: Path, error: Any) -> str:
    """The traceback that the job left in its folder, since one that comes back from another process is cut short."""
    file = folder / job_folder.FAILURE
    if file.is_file():
        return file.read_text(encoding="utf-8")
    return "".join(traceback.format_exception(error))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _consecutive(queue: Sequence[Job]) -> list[list[Job]]:
    """Runs of jobs with consecutive numbers: a launcher numbers its jobs on from the first one."""
    runs: list[list[Job]] = []
    for job in queue:
        if runs and runs[-1][-1][0] + 1 == job[0]:
            runs[-1].append(job)
        else:
            runs.append([job])
    return runs
