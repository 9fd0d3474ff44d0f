"""The local launcher: jobs on warm worker processes, each of which may die without harm to the others."""

from __future__ import annotations

import collections
import dataclasses
import functools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, filter_overrides
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from pebble import ProcessExpired, ProcessPool

from hposweep.errors import ConfigError
from hposweep.hydra_glue import worker
from hposweep.hydra_glue.forkserver import EXITED_WITH_0, worker_context
from hposweep.hydra_glue.sweep_folder import JobFolders
from hposweep.hydra_glue.worker import JobAnswer, WorkerState
from hposweep.trial import Segment, SegmentEnd, SegmentResult, Trial
from hposweep.tuner import Futures, first_completed

log = logging.getLogger(__name__)

CUT_OFF_MESSAGE = "cut off when the sweep was to stop"
TIMEOUT_MESSAGE = "ran longer than hydra.sweeper.trial_timeout"


class Slot:
    """A place for one worker process: warm from job to job, replaced when it dies, hangs or grows too large.

    Each slot has a pool of one process to itself, so that killing a worker, which takes seconds where it ignores
    signals, holds up no other slot.
    """

    def __init__(self, context: BaseContext, state: bytes, max_memory_mb: float) -> None:
        self._context, self._state, self._max_memory_mb = context, state, max_memory_mb
        self._pool: ProcessPool | None = None

    def start(self) -> None:
        """Starts the worker, so that it is ready when the first job comes."""
        self._warm_pool().schedule(os.getpid)

    def run(self, arguments: tuple[Any, ...], timeout_s: float | None) -> Future[bytes]:
        """Runs `worker.run` with these arguments."""
        return self._warm_pool().schedule(worker.run, args=arguments, timeout=timeout_s)

    def after(self, answer: JobAnswer | None) -> None:
        """Replaces the worker, if it can't be used again; None says that it gave no answer."""
        if answer is None or answer.memory_mb > self._max_memory_mb:
            self.stop()

    def stop(self) -> None:
        """Ends the worker."""
        pool, self._pool = self._pool, None
        if pool is not None:
            # Not here: it waits for the process, for seconds where that ignores signals.
            threading.Thread(target=_stop, args=(pool,)).start()

    def _warm_pool(self) -> ProcessPool:
        if self._pool is not None and not self._pool.active:  # the worker died while it was idle
            self.stop()
        if self._pool is None:
            self._pool = ProcessPool(
                max_workers=1, context=self._context, initializer=worker.initialize, initargs=(self._state,)
            )
        return self._pool


@dataclass(frozen=True)
class QueuedJob:
    """A job that waits for a worker."""

    future: Future[JobAnswer]
    arguments: tuple[Any, ...]  # of `worker.run`
    timeout_s: float | None
    is_second_try: bool = False  # the worker that it was given to died before it began


class LocalWorkers:
    """Segments as jobs of the local launcher, each by itself.

    Args:
        launcher: the local one.
        overrides_of: the overrides of a segment's job.
        folders: who has which folder.
    """

    def __init__(
        self, launcher: LocalLauncher, overrides_of: Callable[[Segment, Trial], list[str]], folders: JobFolders
    ) -> None:
        self.n_workers = launcher.n_workers
        self._launcher = launcher
        self._overrides_of = overrides_of
        self._folders = folders
        self._jobs: dict[Future[SegmentResult], Future[JobAnswer]] = {}

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        future: Future[SegmentResult] = Future()
        overrides = self._overrides_of(segment, trial)
        conflict = self._folders.conflict(segment.trial, overrides)
        if conflict:
            future.set_result(SegmentResult(duration_s=0.0, failure=conflict))
            return future
        job = self._launcher.submit(segment.trial, overrides, timeout_s)
        self._jobs[future] = job

        def pass_on(job: Future[JobAnswer]) -> None:
            result = job.result().result
            if not result.folder:  # the worker died, and could not tell
                result = dataclasses.replace(result, folder=self._folders.subdir(segment.trial, overrides))
            future.set_result(result)

        job.add_done_callback(pass_on)
        return future

    def wait(self, futures: Futures, timeout_s: float) -> Futures:
        done = first_completed(futures, timeout_s)
        for future in done:
            self._jobs.pop(future, None)
        return done

    def cancel(self, futures: Futures) -> None:
        for future in futures:
            if future in self._jobs:
                self._launcher.cancel(self._jobs[future])


class LocalLauncher:
    """Runs jobs on `n_workers` processes.

    Args:
        n_workers: processes; None: cores divided by `threads`.
        threads: that one job computes on.
        preload: modules to import before the workers start.
        max_worker_memory_mb: a worker that is larger after a job is replaced.
    """

    def __init__(
        self, n_workers: int | None, threads: int, preload: Sequence[str], max_worker_memory_mb: float
    ) -> None:
        for key, value in (("n_workers", n_workers), ("threads", threads)):
            if value is not None and value < 1:
                raise ConfigError(f"hydra.launcher.{key}: must be at least 1, got {value}")
        self.n_workers = n_workers or max(1, _n_cores() // threads)
        self._preload = list(preload)
        self._max_memory_mb = max_worker_memory_mb
        self._idle: list[Slot] = []
        self._slots: list[Slot] = []
        self._queue: collections.deque[QueuedJob] = collections.deque()
        self._running: dict[Future[JobAnswer], Future[bytes]] = {}
        self._lock = threading.Lock()
        self._n_jobs = 0

    def setup(self, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's words: what the jobs will need."""
        self._hydra_context, self._task_function, self._config = hydra_context, task_function, config

    def start(self) -> None:
        """Starts the workers; before the first job, or by it."""
        if self._slots:
            return
        # Resolved here: the folder of a sweep is the same for all of its workers.
        with read_write(self._config), open_dict(self._config):
            self._config.hydra.sweep.dir = str(self._config.hydra.sweep.dir)
        state = WorkerState(Singleton.get_state(), self._hydra_context, self._config, self._task_function)
        context = worker_context(self._preload, self._environment())
        pickled = state.dumps()
        self._slots = [Slot(context, pickled, self._max_memory_mb) for _ in range(self.n_workers)]
        self._idle = self._slots[::-1]
        for slot in self._slots:
            slot.start()

    def submit(
        self,
        number: int,
        overrides: Sequence[str],
        timeout_s: float | None = None,
        wants_job_return: bool = False,
    ) -> Future[JobAnswer]:
        """Runs a job with this number as soon as a worker is free."""
        self.start()
        future: Future[JobAnswer] = Future()
        with self._lock:
            self._n_jobs += 1
            arguments = (number, f"{number}_{self._n_jobs}", list(overrides), wants_job_return)
            self._queue.append(QueuedJob(future, arguments, timeout_s))
        self._dispatch()
        return future

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hydra's blocking call, for any sweeper: returns when all jobs are done."""
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        futures = []
        for number, overrides in enumerate(job_overrides, start=initial_job_idx):
            log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
            futures.append(self.submit(number, overrides, wants_job_return=True))
        returns = []
        for future in futures:
            answer = future.result()
            if not answer.job_return:
                raise answer.error or RuntimeError(answer.result.failure)
            returns.append(cloudpickle.loads(answer.job_return))
        return returns

    def cancel(self, future: Future[JobAnswer]) -> None:
        """Kills the job of this future, which then is done."""
        with self._lock:
            running = self._running.get(future)
            waiting = next((job for job in self._queue if job.future is future), None)
            if waiting is not None:
                self._queue.remove(waiting)
        if running is not None:
            running.cancel()
        elif waiting is not None:
            future.set_result(JobAnswer(SegmentResult(0.0, failure=CUT_OFF_MESSAGE, end=SegmentEnd.CUT_OFF), 0.0))

    def stop(self) -> None:
        """Ends all workers, busy ones too."""
        with self._lock:
            self._queue.clear()
        for slot in self._slots:
            slot.stop()
        self._slots, self._idle = [], []

    def _dispatch(self) -> None:
        while True:
            with self._lock:
                if not self._queue or not self._idle:
                    return
                slot = self._idle.pop()
                job = self._queue.popleft()
            started = time.monotonic()
            try:
                running = slot.run(job.arguments, job.timeout_s)
            except RuntimeError:  # the worker died in this moment
                slot.stop()
                running = slot.run(job.arguments, job.timeout_s)
            with self._lock:
                self._running[job.future] = running
            running.add_done_callback(functools.partial(self._finish, slot, job, started))

    def _finish(self, slot: Slot, job: QueuedJob, started: float, running: Future[bytes]) -> None:
        answer, failed = _answer(running, time.monotonic() - started)
        slot.after(None if failed else answer)
        # Once: workers that all die before they begin die of what they have in common.
        begins_again = _never_began(running) and not job.is_second_try
        with self._lock:
            self._running.pop(job.future, None)
            if begins_again:
                self._queue.appendleft(dataclasses.replace(job, is_second_try=True))
            if slot in self._slots:
                self._idle.append(slot)
        if not begins_again and not job.future.cancelled():
            job.future.set_result(answer)
        self._dispatch()

    def _environment(self) -> Mapping[str, str]:
        """What `hydra.job.env_set` sets for every trial alike: workers have it before they import anything."""
        env_set = OmegaConf.to_container(self._config.hydra.job.env_set, resolve=False)
        assert isinstance(env_set, dict)
        return {str(name): str(text) for name, text in env_set.items() if "${" not in str(text)}


def _answer(running: Future[bytes], duration_s: float) -> tuple[JobAnswer, bool]:
    """The worker's answer, or one that says why there is none."""
    try:
        answer: JobAnswer = cloudpickle.loads(running.result())
    except TimeoutError:
        return JobAnswer(SegmentResult(duration_s, failure=TIMEOUT_MESSAGE, end=SegmentEnd.TIMED_OUT), 0.0), True
    except CancelledError:
        return JobAnswer(SegmentResult(duration_s, failure=CUT_OFF_MESSAGE, end=SegmentEnd.CUT_OFF), 0.0), True
    except (ProcessExpired, BrokenProcessPool) as error:
        reason = _death(getattr(error, "exitcode", None))
        return JobAnswer(SegmentResult(duration_s, failure=reason, end=SegmentEnd.DIED), 0.0), True
    except Exception as error:  # composing the config, or what can't be pickled
        result = SegmentResult(duration_s, failure=f"{type(error).__name__}: {error}")
        return JobAnswer(result, 0.0, error=error), False
    return answer, False


def _never_began(running: Future[bytes]) -> bool:
    """Whether the worker died before it took the job: of one that began it pebble tells how it died."""
    return not running.cancelled() and isinstance(running.exception(), BrokenProcessPool)


def _death(exit_code: int | None) -> str:
    if exit_code is None:
        return "the worker process died"
    if exit_code < 0:
        try:
            return f"the worker process was killed by {signal.Signals(-exit_code).name}"
        except ValueError:
            return f"the worker process was killed by signal {-exit_code}"
    return f"the worker process exited with code {0 if exit_code == EXITED_WITH_0 else exit_code}"


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
