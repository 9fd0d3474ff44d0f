"""A pool of warm worker processes, each of which may die, hang or grow without harm to the others."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import cloudpickle
from pebble import ProcessExpired, ProcessPool

from hposweep.errors import ConfigError, WriteError
from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers.local import devices, main_module, worker
from hposweep.workers.local.devices import Devices
from hposweep.workers.local.forkserver import EXITED_WITH_0, WorkerContext, worker_context
from hposweep.workers.local.worker import JobAnswer, WorkerState
from hposweep.workers.slots import Attempt, SlotPool, cut_off_after

log = logging.getLogger(__name__)

# The controller's: the pipes of a worker; and what journal, tables, logs, and workers that start or end need besides.
DESCRIPTORS_OF_A_WORKER = 6
DESCRIPTORS_OF_A_FORKSERVER = 1
SPARE_DESCRIPTORS = 19
SECONDS_TO_BE_TOLD = 1.0  # for pebble to tell a job that its worker is gone
TIMEOUT_MESSAGE = "ran longer than trial_timeout allows"


class LocalSlot:
    """A place for one worker process: warm from job to job, replaced when it dies, hangs, grows or is left in disorder.

    Each slot has a pool of one process to itself, so that killing a worker, which takes seconds where it ignores
    signals, holds up no other slot.
    """

    def __init__(self, context: WorkerContext, state: bytes, max_memory_mb: float, place: str = "") -> None:
        self._context, self._state, self._max_memory_mb, self._place = context, state, max_memory_mb, place
        self._pool: ProcessPool | None = None
        self._stopping: list[threading.Thread] = []

    def run(self, arguments: tuple[Any, ...], timeout_s: float | None) -> Future[bytes]:
        """Runs `worker.run` with these arguments, in a worker that is started if there is none."""
        for _ in range(2):
            try:
                return self._warm_pool().schedule(worker.run, args=arguments, timeout=timeout_s)
            except RuntimeError:  # the worker died in this moment
                self.stop()
        never: Future[bytes] = Future()
        never.set_exception(BrokenProcessPool("no worker could be started"))
        return never

    def has_lost_its_job(self) -> bool:
        """Whether the job that it runs will never be answered, if it is not by now.

        pebble gives up a pool whose worker dies while it is idle; a job that comes at this very moment is not told.
        """
        pool = self._pool  # others may replace it meanwhile
        return pool is not None and not pool.active

    def attempt(self, running: Future[bytes], duration_s: float) -> Attempt:
        attempt = self._attempt(running, duration_s)
        if not self._place:
            return attempt
        result = dataclasses.replace(attempt.answer.result, place=self._place)
        return dataclasses.replace(attempt, answer=dataclasses.replace(attempt.answer, result=result))

    def _attempt(self, running: Future[bytes], duration_s: float) -> Attempt:
        try:
            return Attempt(cloudpickle.loads(running.result()))
        except TimeoutError:
            result = SegmentResult(duration_s, failure=TIMEOUT_MESSAGE, end=SegmentEnd.TIMED_OUT)
        except CancelledError:
            return Attempt(cut_off_after(duration_s), is_fit=False)
        except (ProcessExpired, BrokenProcessPool) as error:
            reason = _death(getattr(error, "exitcode", None))
            answer = JobAnswer(SegmentResult(duration_s, failure=reason, end=SegmentEnd.DIED), 0.0)
            # For one that died in a job, pebble raises ProcessExpired.
            return Attempt(answer, is_fit=False, has_begun=not isinstance(error, BrokenProcessPool))
        except WriteError as error:
            result = SegmentResult(duration_s, failure=f"{error}", end=SegmentEnd.UNWRITABLE)
            return Attempt(JobAnswer(result, 0.0, error=error), is_fit=False)
        except BaseException as error:  # raised around the job: its config can't be composed, or the worker is unfit
            result = SegmentResult(duration_s, failure=f"{type(error).__name__}: {error}")
            return Attempt(JobAnswer(result, 0.0, error=error), is_fit=False)
        return Attempt(JobAnswer(result, 0.0), is_fit=False)

    def after(self, attempt: Attempt) -> None:
        """Replaces the worker if it can't be used again."""
        answer = attempt.answer
        if answer.disorder:
            log.debug("a job has left its worker in disorder (%s): the worker is replaced", answer.disorder)
        if not attempt.is_fit or answer.disorder or answer.memory_mb > self._max_memory_mb:
            self.stop()
        if not attempt.is_fit:
            self._context.end_orphans()

    def stop(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            # In a thread: this waits for the process, for seconds if that ignores signals.
            thread = threading.Thread(target=self._stop, args=(pool,))
            self._stopping = [*(each for each in self._stopping if each.is_alive()), thread]
            thread.start()

    def join(self) -> None:
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


class WorkerPool(SlotPool[LocalSlot]):
    """Runs jobs on `n_workers` processes of this machine; starts as many as there are jobs for.

    Args:
        state: what all jobs share; bytes: that, packed by another process.
        preload: modules to import before the workers start.
        env: environment variables of preloads and workers, set before their first instruction.
        max_memory_mb: a worker that is larger after a job is replaced.
        devices: what each worker sees one of, also one that replaces another; None: all see all that there are.

    Raises:
        ConfigError: if something that the jobs use can't be sent to workers.
    """

    def __init__(
        self,
        state: WorkerState | bytes,
        n_workers: int,
        preload: Sequence[str],
        env: Mapping[str, str],
        max_memory_mb: float,
        devices: Devices | None = None,
    ) -> None:
        super().__init__()
        self._state = state if isinstance(state, bytes) else main_module.packed(state)
        self.n_workers, self._preload, self._env, self._max_memory_mb = n_workers, preload, env, max_memory_mb
        self._devices = devices
        self._contexts: dict[str, WorkerContext] = {}  # by the device
        self._is_stopped = threading.Event()

    def stop(self) -> None:
        self._is_stopped.set()
        super().stop()
        contexts, self._contexts = self._contexts, {}
        for context in contexts.values():
            context.stop()

    def overview(self) -> str:
        return ""  # all is on this machine

    def check(self) -> None:
        """Workers of this machine can always be started."""

    def _start(self) -> None:
        names = [""] * self.n_workers if self._devices is None else self._devices.of_slots(self.n_workers)
        # A forkserver for each device, which its preloads see as well; all at once, so that they import side by side.
        self._contexts = {name: worker_context(self._preload, self._environment(name)) for name in dict.fromkeys(names)}
        slots = [
            LocalSlot(self._contexts[name], self._state, self._max_memory_mb, devices.place(name) if name else "")
            for name in names
        ]
        self._slots = dict.fromkeys(slots)
        self._idle = slots[::-1]
        self._is_stopped = threading.Event()
        threading.Thread(target=self._give_up_lost_jobs, args=(self._is_stopped,), daemon=True).start()

    def _environment(self, device: str) -> Mapping[str, str]:
        if self._devices is None:
            return self._env
        return {**self._devices.shared_environment, **self._env, **self._devices.environment(device)}

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


def _death(exit_code: int | None) -> str:
    if exit_code is None:
        return "the worker process died"
    if exit_code < 0:
        try:
            return f"the worker process was killed by {signal.Signals(-exit_code).name}"
        except ValueError:
            return f"the worker process was killed by signal {-exit_code}"
    return f"the worker process exited with code {0 if exit_code == EXITED_WITH_0 else exit_code}"


def most_workers(n_forkservers: int = 1) -> int:
    """Workers that the limit of open files allows, beside what is open now and what a sweep opens besides."""
    try:
        import resource
    except ModuleNotFoundError:  # on Windows, where there is no such limit
        return sys.maxsize
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    n_open = len(list(Path("/dev/fd").iterdir()))
    n_left = limit - n_open - SPARE_DESCRIPTORS - n_forkservers * DESCRIPTORS_OF_A_FORKSERVER
    return max(0, n_left // DESCRIPTORS_OF_A_WORKER)


def checked_n_workers(key: str, wanted: int | None, default: int, n_forkservers: int = 1) -> int:
    """The number of workers: the one that is wanted or, where none is, the default as far as open files allow it.

    Raises:
        ConfigError: if fewer can be started.
    """
    most = most_workers(n_forkservers)
    n_workers = min(default, most) if wanted is None else wanted
    if n_workers > most or n_workers < 1:
        raise ConfigError(
            f"{key}: must be from 1 to {most}, as the limit of open files has it (ulimit -n), got {n_workers}"
        )
    return n_workers


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
