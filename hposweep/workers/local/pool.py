"""A pool of warm worker processes, each of which may die, hang or grow without harm to the others."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
from pebble import ProcessExpired, ProcessPool

from hposweep.errors import ConfigError, WriteError
from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers.local import main_module, worker
from hposweep.workers.local.forkserver import EXITED_WITH_0, WorkerContext, worker_context
from hposweep.workers.local.worker import JobAnswer, WorkerState

log = logging.getLogger(__name__)

# The controller's: the pipes of a worker; and what journal, tables, logs, and workers that start or end need besides.
DESCRIPTORS_OF_A_WORKER = 6
SPARE_DESCRIPTORS = 20
SECONDS_TO_BE_TOLD = 1.0  # for pebble to tell a job that its worker is gone
CUT_OFF_MESSAGE = "cut off when the sweep was to stop"
TIMEOUT_MESSAGE = "ran longer than trial_timeout allows"


class Slot:
    """A place for one worker process: warm from job to job, replaced when it dies, hangs, grows or is left in disorder.

    Each slot has a pool of one process to itself, so that killing a worker, which takes seconds where it ignores
    signals, holds up no other slot.
    """

    def __init__(self, context: WorkerContext, state: bytes, max_memory_mb: float) -> None:
        self._context, self._state, self._max_memory_mb = context, state, max_memory_mb
        self._pool: ProcessPool | None = None
        self._stopping: list[threading.Thread] = []

    def run(self, arguments: tuple[Any, ...], timeout_s: float | None) -> Future[bytes]:
        """Runs `worker.run` with these arguments, in a worker that is started if there is none."""
        return self._warm_pool().schedule(worker.run, args=arguments, timeout=timeout_s)

    def has_lost_its_job(self) -> bool:
        """Whether the job that it runs will never be answered, if it is not by now.

        pebble gives up a pool whose worker dies while it is idle; a job that comes at this very moment is not told.
        """
        pool = self._pool  # others may replace it meanwhile
        return pool is not None and not pool.active

    def after(self, answer: JobAnswer | None) -> None:
        """Replaces the worker if it can't be used again; `answer` is None if it gave none."""
        if answer is not None and answer.disorder:
            log.debug("a job has left its worker in disorder (%s): the worker is replaced", answer.disorder)
        if answer is None or answer.disorder or answer.memory_mb > self._max_memory_mb:
            self.stop()

    def stop(self) -> None:
        """Begins to end the worker; `join` waits for that."""
        pool, self._pool = self._pool, None
        if pool is not None:
            # In a thread: this waits for the process, for seconds if that ignores signals.
            thread = threading.Thread(target=self._stop, args=(pool,))
            self._stopping = [*(each for each in self._stopping if each.is_alive()), thread]
            thread.start()

    def join(self) -> None:
        """Waits until the workers that were stopped are gone."""
        for thread in self._stopping:
            thread.join()

    def _stop(self, pool: ProcessPool) -> None:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()
        self._context.end_orphans()

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
    arguments: tuple[Any, ...]  # for `worker.run`
    timeout_s: float | None
    is_second_try: bool = False  # the worker that it was given to died before it began


class WorkerPool:
    """Runs jobs on `n_workers` processes, in the order in which they come; starts as many as there are jobs for.

    Args:
        state: what all jobs share.
        preload: modules to import before the workers start.
        env: environment variables of preloads and workers, set before their first instruction.
        max_memory_mb: a worker that is larger after a job is replaced.

    Raises:
        ConfigError: if something that the jobs use can't be sent to workers.
    """

    def __init__(
        self, state: WorkerState, n_workers: int, preload: Sequence[str], env: Mapping[str, str], max_memory_mb: float
    ) -> None:
        self._state = main_module.packed(state)
        self.n_workers, self._preload, self._env, self._max_memory_mb = n_workers, preload, env, max_memory_mb
        self._context: WorkerContext | None = None
        self._slots: list[Slot] = []
        self._idle: list[Slot] = []
        self._queue: collections.deque[QueuedJob] = collections.deque()
        self._running: dict[Future[JobAnswer], tuple[Slot, Future[bytes]]] = {}
        self._is_stopped = threading.Event()
        self._cut_off: set[Future[JobAnswer]] = set()  # of the jobs that are not done, those that are to end
        self._lock = threading.Lock()

    def submit(self, arguments: tuple[Any, ...], timeout_s: float | None = None) -> Future[JobAnswer]:
        """Runs a job with these arguments of `WorkerState.run` as soon as a worker is free."""
        if not self._slots:
            self._start()
        future: Future[JobAnswer] = Future()
        with self._lock:
            self._queue.append(QueuedJob(future, arguments, timeout_s))
        self._dispatch()
        return future

    def cancel(self, future: Future[JobAnswer]) -> None:
        """Kills the job of this future, which then is done."""
        with self._lock:
            running = self._running.get(future)
            waiting = next((job for job in self._queue if job.future is future), None)
            if waiting is not None:
                self._queue.remove(waiting)
            elif not future.done():
                # Also for a job that is on its way to a worker, or back into the queue.
                self._cut_off.add(future)
        if running is not None:
            running[1].cancel()
        elif waiting is not None:
            future.set_result(_cut_off_after(0.0))

    def stop(self) -> None:
        """Ends all workers, busy ones too; the jobs that they run, and those that wait, are cut off."""
        self._is_stopped.set()
        with self._lock:
            futures = [*(job.future for job in self._queue), *self._running]
            slots, self._slots, self._idle = self._slots, [], []
        for future in futures:
            self.cancel(future)
        for slot in slots:
            slot.stop()
        for slot in slots:
            slot.join()
        context, self._context = self._context, None
        if context is not None:
            context.stop()

    def _start(self) -> None:
        context = self._context = worker_context(self._preload, self._env)
        self._slots = [Slot(context, self._state, self._max_memory_mb) for _ in range(self.n_workers)]
        self._idle = self._slots[::-1]
        self._is_stopped = threading.Event()
        threading.Thread(target=self._give_up_lost_jobs, args=(self._is_stopped,), daemon=True).start()

    def _dispatch(self) -> None:
        while True:
            with self._lock:
                if not self._queue or not self._idle:
                    return
                slot = self._idle.pop()
                job = self._queue.popleft()
            started = time.monotonic()
            running = self._begun(slot, job)
            with self._lock:
                self._running[job.future] = slot, running
                is_cut_off = job.future in self._cut_off
            if is_cut_off:
                running.cancel()
            running.add_done_callback(functools.partial(self._finish, slot, job, started))

    def _begun(self, slot: Slot, job: QueuedJob) -> Future[bytes]:
        for _ in range(2):
            try:
                return slot.run(job.arguments, job.timeout_s)
            except RuntimeError:  # the worker died in this moment
                slot.stop()
        never: Future[bytes] = Future()
        never.set_exception(BrokenProcessPool("no worker could be started"))
        return never

    def _give_up_lost_jobs(self, is_stopped: threading.Event) -> None:
        """Ends jobs that nobody would answer, so that they are tried again."""
        suspected: set[Future[bytes]] = set()
        while not is_stopped.wait(SECONDS_TO_BE_TOLD):
            with self._lock:
                running = list(self._running.values())
            lost = {future for slot, future in running if slot.has_lost_its_job() and not future.done()}
            for future in lost & suspected:
                with contextlib.suppress(InvalidStateError):  # it was told just now
                    future.set_exception(BrokenProcessPool("the worker died before it took the job"))
            suspected = lost

    def _finish(self, slot: Slot, job: QueuedJob, started: float, running: Future[bytes]) -> None:
        answer, is_worker_fit = _answer(running, time.monotonic() - started)
        slot.after(answer if is_worker_fit else None)
        context = self._context
        if not is_worker_fit and context is not None:
            # Before anybody hears of it: a second try never runs beside what the first has started.
            context.end_orphans()
        # Only once: if every worker dies before it begins, or none can run the job, they share the cause.
        begins_again = (_never_began(running) or answer.error is not None) and not job.is_second_try
        with self._lock:
            self._running.pop(job.future, None)
            if job.future in self._cut_off:
                self._cut_off.remove(job.future)
                if begins_again:
                    begins_again, answer = False, _cut_off_after(time.monotonic() - started)
            if begins_again:
                self._queue.appendleft(dataclasses.replace(job, is_second_try=True))
            if slot in self._slots:
                self._idle.append(slot)
        if not begins_again and not job.future.cancelled():
            job.future.set_result(answer)
        self._dispatch()


def _answer(running: Future[bytes], duration_s: float) -> tuple[JobAnswer, bool]:
    """The worker's answer, or one that says why there is none; and whether the worker can be used again."""
    try:
        answer: JobAnswer = cloudpickle.loads(running.result())
    except TimeoutError:
        return JobAnswer(SegmentResult(duration_s, failure=TIMEOUT_MESSAGE, end=SegmentEnd.TIMED_OUT), 0.0), False
    except CancelledError:
        return _cut_off_after(duration_s), False
    except (ProcessExpired, BrokenProcessPool) as error:
        reason = _death(getattr(error, "exitcode", None))
        return JobAnswer(SegmentResult(duration_s, failure=reason, end=SegmentEnd.DIED), 0.0), False
    except WriteError as error:
        result = SegmentResult(duration_s, failure=f"{error}", end=SegmentEnd.UNWRITABLE)
        return JobAnswer(result, 0.0, error=error), False
    except BaseException as error:  # raised around the job: its config can't be composed, or the worker is in disorder
        result = SegmentResult(duration_s, failure=f"{type(error).__name__}: {error}")
        return JobAnswer(result, 0.0, error=error), False
    return answer, True


def _cut_off_after(duration_s: float) -> JobAnswer:
    return JobAnswer(SegmentResult(duration_s, failure=CUT_OFF_MESSAGE, end=SegmentEnd.CUT_OFF), 0.0)


def _never_began(running: Future[bytes]) -> bool:
    """Whether the worker died before it took the job; for one that died in a job, pebble raises ProcessExpired."""
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


def most_workers() -> int:
    """Workers that the limit of open files allows, beside what is open now and what a sweep opens besides."""
    try:
        import resource
    except ModuleNotFoundError:  # on Windows, where there is no such limit
        return sys.maxsize
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    n_open = len(list(Path("/dev/fd").iterdir()))
    return max(0, (limit - n_open - SPARE_DESCRIPTORS) // DESCRIPTORS_OF_A_WORKER)


def checked_n_workers(key: str, wanted: int | None, default: int) -> int:
    """The number of workers: the one that is wanted or, where none is, the default as far as open files allow it.

    Raises:
        ConfigError: if fewer can be started.
    """
    most = most_workers()
    n_workers = min(default, most) if wanted is None else wanted
    if n_workers > most or n_workers < 1:
        raise ConfigError(
            f"{key}: must be from 1 to {most}, as the limit of open files has it (ulimit -n), got {n_workers}"
        )
    return n_workers


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
