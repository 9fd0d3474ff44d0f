"""A pool of slots: jobs wait in a queue until a slot is free, wherever its worker is."""

from __future__ import annotations

import collections
import dataclasses
import functools
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers.local.worker import JobAnswer

CUT_OFF_MESSAGE = "cut off when the sweep was to stop"


@dataclass(frozen=True)
class Attempt:
    """What became of a job in a slot."""

    answer: JobAnswer
    is_fit: bool = True  # whether the worker can be used again
    has_begun: bool = True  # False: the worker was gone before it took the job

    @property
    def may_begin_again(self) -> bool:
        """Whether the worker is to blame, or may be, and no job has run."""
        return not self.has_begun or self.answer.error is not None


class Slot(Protocol):
    """A place for one worker, which runs one job at a time."""

    def run(self, arguments: tuple[Any, ...], timeout_s: float | None) -> Future[Any]:
        """Begins a job with these arguments; to cancel its future ends the job."""

    def attempt(self, running: Future[Any], duration_s: float) -> Attempt:
        """What became of a job whose future is done."""

    def after(self, attempt: Attempt) -> None:
        """Prepares the slot for its next job, once one is over."""

    def stop(self) -> None:
        """Begins to end the worker; `join` waits for that."""

    def join(self) -> None:
        """Waits until the worker is gone."""


SomeSlot = TypeVar("SomeSlot", bound=Slot)


@dataclass(frozen=True)
class QueuedJob:
    """A job that waits for a slot."""

    future: Future[JobAnswer]
    arguments: tuple[Any, ...]  # for `WorkerState.run`
    timeout_s: float | None
    is_second_try: bool = False  # the worker that it was given to died before it began


class SlotPool(Generic[SomeSlot]):
    """Runs jobs on slots, in the order in which they come. The slots are there from the first job on."""

    def __init__(self) -> None:
        self._slots: dict[SomeSlot, None] = {}
        self._idle: list[SomeSlot] = []
        self._queue: collections.deque[QueuedJob] = collections.deque()
        self._running: dict[Future[JobAnswer], tuple[SomeSlot, Future[Any]]] = {}
        self._cut_off: set[Future[JobAnswer]] = set()  # of the jobs that are not done, those that are to end
        self._is_started = False
        self._lock = threading.Lock()

    def submit(self, arguments: tuple[Any, ...], timeout_s: float | None = None) -> Future[JobAnswer]:
        """Runs a job with these arguments of `WorkerState.run` as soon as a slot is free."""
        self.start()
        future: Future[JobAnswer] = Future()
        with self._lock:
            self._queue.append(QueuedJob(future, arguments, timeout_s))
        self._dispatch()
        return future

    def start(self) -> None:
        """Makes the slots, if that has not been done."""
        if not self._is_started:
            self._is_started = True
            self._start()

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
            future.set_result(cut_off_after(0.0))

    def stop(self) -> None:
        """Ends all workers, busy ones too; the jobs that they run, and those that wait, are cut off."""
        self._is_started = False
        with self._lock:
            futures = [*(job.future for job in self._queue), *self._running]
            slots, self._slots, self._idle = self._slots, {}, []
        for future in futures:
            self.cancel(future)
        for slot in slots:
            slot.stop()
        for slot in slots:
            slot.join()

    def _start(self) -> None:
        """Makes the slots."""
        raise NotImplementedError

    def _dispatch(self) -> None:
        while True:
            with self._lock:
                if not self._queue or not self._idle:
                    return
                slot = self._idle.pop()
                job = self._queue.popleft()
            started = time.monotonic()
            running = slot.run(job.arguments, job.timeout_s)
            with self._lock:
                self._running[job.future] = slot, running
                is_cut_off = job.future in self._cut_off
            if is_cut_off:
                running.cancel()
            running.add_done_callback(functools.partial(self._finish, slot, job, started))

    def _finish(self, slot: SomeSlot, job: QueuedJob, started: float, running: Future[Any]) -> None:
        attempt = slot.attempt(running, time.monotonic() - started)
        # Before anybody hears of it: a second try never runs beside what the first has started.
        slot.after(attempt)
        answer = attempt.answer
        # Only once: if every worker dies before it begins, or none can run the job, they share the cause.
        begins_again = attempt.may_begin_again and not job.is_second_try and self._is_started
        with self._lock:
            self._running.pop(job.future, None)
            if job.future in self._cut_off:
                self._cut_off.remove(job.future)
                if begins_again:
                    begins_again, answer = False, cut_off_after(time.monotonic() - started)
            if begins_again:
                self._queue.appendleft(dataclasses.replace(job, is_second_try=True))
            if slot in self._slots:
                self._idle.append(slot)
        if not begins_again and not job.future.cancelled():
            job.future.set_result(answer)
        self._dispatch()


def cut_off_after(duration_s: float) -> JobAnswer:
    """The answer of a job that its controller has ended after so many seconds."""
    return JobAnswer(SegmentResult(duration_s, failure=CUT_OFF_MESSAGE, end=SegmentEnd.CUT_OFF), 0.0)
