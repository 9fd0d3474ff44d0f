"""The worker process: receives once what its jobs share, then runs them, one after the other."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

import cloudpickle

from hposweep.trial import SegmentResult
from hposweep.workers.local import forkserver_preload, parent_death


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


_state: WorkerState | None = None


def initialize(state: bytes) -> None:
    """Prepares the process for its jobs."""
    global _state
    forkserver_preload.restore_output()
    # The parent is the forkserver, which dies with the controller, or (by spawn) the controller itself.
    parent_death.die_with(os.getppid())
    threading.Thread(target=_die_with_the_controller, daemon=True).start()
    _state = cloudpickle.loads(state)
    assert _state is not None
    _state.enter()
    # What is there by now stays: without this the garbage collection after every few jobs walks through all of it, and
    # through its pages, which the workers share as long as nobody touches them.
    gc.freeze()


def run(*arguments: Any) -> bytes:
    """Runs a job and returns a pickled JobAnswer."""
    assert _state is not None
    outcome = _state.run(*arguments)
    return bytes(cloudpickle.dumps(JobAnswer(outcome.result, _memory_mb(), outcome.payload)))


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
