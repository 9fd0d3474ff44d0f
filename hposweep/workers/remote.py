"""A pool whose workers are agents on the nodes of an engine: they come, go, fall silent and are replaced."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from hposweep.errors import ConfigError
from hposweep.shown_text import plural
from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers.agent import Greeting
from hposweep.workers.local.worker import JobAnswer
from hposweep.workers.slots import CUT_OFF_MESSAGE, Attempt, SlotPool, cut_off_after

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 1.0
# Without a word from an agent for so long it is given up, with its job. Engines notice most losses much sooner; what
# they don't is a process that was stopped, or a network that swallows everything.
MOST_SILENT_S = 30.0
# For a job that was cut off to end; after that its agent is given up.
MOST_SECONDS_TO_CANCEL = 10.0

_job_numbers = itertools.count()


class Running(Future[JobAnswer]):
    """The future of a job on an agent; `cancel` ends the job there, and the future is done when it has ended."""

    def __init__(self, cancel_there: Callable[[], None]) -> None:
        super().__init__()
        self._cancel_there = cancel_there
        self._lock = threading.Lock()
        self.cancelled_at: float | None = None

    def cancel(self) -> bool:
        if self.cancelled_at is None and not self.done():
            self.cancelled_at = time.monotonic()
            self._cancel_there()
        return True

    def answer(self, answer: JobAnswer) -> None:
        """The agent has answered."""
        with self._lock:
            if not self.done():
                self.set_result(answer)

    def lose(self, reason: str, end: SegmentEnd = SegmentEnd.LOST) -> None:
        """The agent is gone, and with it the job; `end` is DIED where the job is to blame for that."""
        if self.cancelled_at is None:
            self.answer(JobAnswer(SegmentResult(0.0, failure=reason, end=end), 0.0))
        else:
            self.answer(cut_off_after(0.0))


class Connection(Protocol):
    """An engine's way to one agent."""

    def send(self, job: str, arguments: tuple[Any, ...], timeout_s: float | None, running: Running) -> None:
        """Sends a job; the future's `answer` or `lose` is called later, never from in here."""

    def cancel(self, job: str) -> None:
        """Ends this job on the agent, if it is not over; returns at once."""

    def close(self) -> None:
        """Ends the agent, with the job that it runs; returns at once."""


class RemoteSlot:
    """A place for jobs on one agent, for as long as that is there."""

    def __init__(self, pool: RemotePool, connection: Connection, greeting: Greeting) -> None:
        self._pool, self.connection, self.node = pool, connection, greeting.node
        self.heard_at = time.monotonic()
        self.running: Running | None = None

    def run(self, arguments: tuple[Any, ...], timeout_s: float | None) -> Running:
        job = f"{next(_job_numbers)}"
        running = self.running = Running(lambda: self.connection.cancel(job))
        self.connection.send(job, arguments, timeout_s, running)
        return running

    def attempt(self, running: Future[JobAnswer], duration_s: float) -> Attempt:
        answer: JobAnswer = running.result()
        place = ", ".join(filter(None, (self.node, answer.result.place)))
        changes: dict[str, Any] = {"place": place}
        if not answer.result.duration_s:
            changes["duration_s"] = duration_s
        return Attempt(answer.with_result(**changes), is_fit=answer.result.end is not SegmentEnd.LOST)

    def after(self, attempt: Attempt) -> None:
        """Gives the agent up where it has lost the job; else it keeps its worker in order."""
        self.running = None
        if not attempt.is_fit:
            self._pool.give_up(self, attempt.answer.result.failure)

    def stop(self) -> None:
        self.connection.close()

    def join(self) -> None:
        """The engine ends agents by itself."""


class Refusals:
    """Why places can't serve: each reason is said once, and the first one ends a sweep that no place serves."""

    def __init__(self) -> None:
        self._reasons: dict[str, None] = {}

    def add(self, reason: str) -> None:
        """Takes a reason in: one line."""
        if reason not in self._reasons:
            self._reasons[reason] = None
            log.warning("%s", reason)

    def check(self, *, has_served: bool) -> None:
        """Raises a ConfigError with the first reason, if there is any and no place has served."""
        if self._reasons and not has_served:
            raise ConfigError(next(iter(self._reasons)))


class Engine(Protocol):
    """What brings agents to nodes: Ray, Dask."""

    def start(self, pool: RemotePool) -> None:
        """Begins to bring agents; each is told to the pool when it is there (`came`), and when it is gone (`went`).

        Raises:
            ConfigError: if there is no such engine, one line.
        """

    @property
    def n_coming(self) -> int:
        """Agents that are asked for and not there yet."""

    def look(self, pool: RemotePool) -> None:
        """Called about once a second: says of each slot when its agent was heard (`heard_at`)."""

    def stop(self) -> None:
        """Ends all agents, and what of the engine was started for this sweep."""


class RemotePool(SlotPool[RemoteSlot]):
    """Runs jobs on the agents that an engine brings, as many as there are at the time."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self._is_stopped = threading.Event()
        self._refusals = Refusals()

    @property
    def n_workers(self) -> int:
        """Agents that are there now."""
        self.start()
        return len(self._slots)

    @property
    def slots(self) -> list[RemoteSlot]:
        """Those of the agents that are there now."""
        with self._lock:
            return list(self._slots)

    def check(self) -> None:
        """Raises a ConfigError if no agent can serve, with why the first one could not."""
        self._refusals.check(has_served=bool(self._slots or self._engine.n_coming))

    def overview(self) -> str:
        """The nodes with their workers, and what waits for one."""
        with self._lock:
            workers = Counter(slot.node for slot in self._slots)
            n_queued = len(self._queue)
        if not workers:
            return "waiting for workers"
        text = f"{plural(sum(workers.values()), 'worker')} on {plural(len(workers), 'node')}"
        return f"{text}, {n_queued} queued" if n_queued else text

    def came(self, connection: Connection, greeting: Greeting) -> RemoteSlot | None:
        """An agent is there; None if it can't serve, and was ended."""
        if greeting.refusal:
            self.refuse(greeting.refusal)
            connection.close()
            return None
        slot = RemoteSlot(self, connection, greeting)
        with self._lock:
            if self._is_stopped.is_set():
                connection.close()
                return None
            self._slots[slot] = None
            self._idle.append(slot)
        self._dispatch()
        return slot

    def refuse(self, reason: str) -> None:
        """An agent can't serve, for this reason: one line, which is said once."""
        self._refusals.add(reason)

    def went(self, slot: RemoteSlot, reason: str) -> None:
        """The agent is gone; its job, if it had one, is lost for this reason."""
        with self._lock:
            self._slots.pop(slot, None)
            if slot in self._idle:
                self._idle.remove(slot)
            running = slot.running
        if running is not None:
            running.lose(reason)

    def stop(self) -> None:
        self._is_stopped.set()
        slots = self.slots
        super().stop()
        self._engine.stop()
        for running in [slot.running for slot in slots]:
            if running is not None:
                running.lose(CUT_OFF_MESSAGE)

    def _start(self) -> None:
        self._is_stopped = threading.Event()
        self._engine.start(self)
        threading.Thread(target=self._look, args=(self._is_stopped,), daemon=True, name="hposweep-engine").start()

    def _look(self, is_stopped: threading.Event) -> None:
        """Gives up agents that say nothing any more, and those that don't end a job that was cut off."""
        while not is_stopped.wait(SECONDS_BETWEEN_LOOKS):
            try:
                self._engine.look(self)
            except Exception as error:  # whatever an engine raises whose head is gone; then all fall silent
                log.debug("%s: %s", type(error).__name__, error)
            now = time.monotonic()
            for slot in self.slots:
                running = slot.running
                cancelled_at = None if running is None else running.cancelled_at
                if now - slot.heard_at > MOST_SILENT_S:
                    self.give_up(slot, f"nothing was heard from {slot.node} for {MOST_SILENT_S:g} s")
                elif cancelled_at is not None and now - cancelled_at > MOST_SECONDS_TO_CANCEL:
                    self.give_up(slot, "the job could not be ended")

    def give_up(self, slot: RemoteSlot, reason: str) -> None:
        """Ends an agent that can't be used any more; its job, if it had one, is lost for this reason."""
        # First: an engine tells of a job whose connection is closed, too, and not why.
        self.went(slot, reason)
        slot.connection.close()
