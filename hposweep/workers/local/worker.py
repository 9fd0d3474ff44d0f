"""The worker process: receives once what its jobs share, then runs them, one after the other."""

from __future__ import annotations

import contextvars
import dataclasses
import gc
import multiprocessing
import os
import threading
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

from hposweep import standard_streams
from hposweep.trial import SegmentResult
from hposweep.workers.local import descendants, forkserver_preload, main_module, parent_death, process_state


@dataclass(frozen=True)
class Outcome:
    """The result of a job, inside of the worker."""

    result: SegmentResult
    payload: bytes = b""  # more that the caller asked for, pickled


class WorkerState(Protocol):
    """What every job of a sweep shares, pickled in one piece: classes of the user's `__main__` stay identical."""

    def enter(self) -> None:
        """Called once in each worker."""

    def run(self, *arguments: Any) -> Outcome:
        """Runs a job; an exception means that it could not even begin."""


@dataclass(frozen=True)
class JobAnswer:
    """A job's answer to the controller: small, since a sweep may have tens of thousands."""

    result: SegmentResult
    memory_mb: float
    payload: bytes = b""
    error: BaseException | None = None  # what kept the job from running: its config can't be composed, say
    disorder: str = ""  # what the job has left that can't be put right: its worker is to be replaced

    def with_result(self, **changes: Any) -> JobAnswer:
        """The same, with these fields of the result changed."""
        return dataclasses.replace(self, result=dataclasses.replace(self.result, **changes))


_state: WorkerState | None = None
_why_not: BaseException | None = None  # what keeps this process from running jobs


def initialize(state: bytes) -> None:
    """Prepares the process for its jobs."""
    global _state, _why_not
    forkserver_preload.restore()
    # The parent is the forkserver, which dies with the controller, or (by spawn) the controller itself.
    parent_death.die_with(os.getppid())
    threading.Thread(target=_die_with_the_controller, daemon=True).start()
    descendants.inherit_orphans()
    _read_nothing()
    try:
        _state = main_module.unpacked(state)
        assert _state is not None
        _state.enter()
    except Exception as error:  # a module that can't be imported here, most of all: each job tells it
        _why_not = error
        return
    standard_streams.take_any_character()
    standard_streams.pass_on_lines()
    process_state.remember()
    # What is there by now stays: without this the garbage collection after every few jobs walks through all of it, and
    # through its pages, which the workers share as long as nobody touches them.
    gc.freeze()


def _read_nothing() -> None:
    """The terminal's input is the controller's alone."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def run(*arguments: Any) -> bytes:
    """Runs a job and returns a pickled JobAnswer; what the job has left in disorder is put right."""
    if _why_not is not None:
        raise _why_not
    assert _state is not None
    itself = os.getpid()
    try:
        # In a context of its own, which ends with it.
        outcome = contextvars.copy_context().run(_state.run, *arguments)
    finally:
        if os.getpid() != itself:
            os._exit(0)  # a fork of the job's own, which has come up to here
        disorder = _put_right()
    return main_module.answered(JobAnswer(outcome.result, _memory_mb(), outcome.payload, disorder=disorder))


def _put_right() -> str:
    """Ends what the job has started, and puts right what it has changed; returns what can't be."""
    disorder = process_state.put_right()
    # A worker whose job had processes may still hold their broken pool.
    tracker = resource_tracker._resource_tracker._pid  # type: ignore[attr-defined]
    if descendants.has_children():
        if descendants.kill_children(os.getpid(), {tracker}):
            disorder = ", ".join(filter(None, [disorder, "processes"]))
        descendants.forget_ended_children()
    return disorder


def _memory_mb() -> float:
    """The process's resident memory, as far as the system tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _die_with_the_controller() -> None:
    """Ends this process when the controller is gone, however it died."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
