"""What a worker process does: gets Hydra's state once, then runs jobs, one after the other."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from hposweep.hydra_glue import forkserver_preload, parent_death
from hposweep.hydra_glue.job import segment_result
from hposweep.hydra_glue.job_runner import run_job
from hposweep.trial import SegmentResult


@dataclass(frozen=True)
class WorkerState:
    """What every job of a sweep shares."""

    singletons: Any
    hydra_context: HydraContext
    config: DictConfig
    task_function: TaskFunction

    def dumps(self) -> bytes:
        """In one piece, so that classes of the user's `__main__` stay identical."""
        return bytes(cloudpickle.dumps(self))


@dataclass(frozen=True)
class JobAnswer:
    """What comes back from a job: small, since a sweep may have ten thousands of them."""

    result: SegmentResult
    memory_mb: float
    job_return: bytes = b""  # pickled, where it was asked for
    error: Exception | None = None  # what kept the job from running: its config can't be composed, say


_state: WorkerState | None = None


def initialize(state: bytes) -> None:
    """Prepares the process for its jobs."""
    global _state
    forkserver_preload.restore_output()
    # By forkserver the parent is that one, by spawn the controller: each dies with the controller, or is it.
    parent_death.die_with(os.getppid())
    threading.Thread(target=_die_with_the_controller, daemon=True).start()
    setup_globals()
    plugins = Singleton._instances.get(Plugins)
    _state = cloudpickle.loads(state)
    assert _state is not None
    if plugins is not None:
        # The scan for plugins was done in the forkserver.
        _state.singletons["instances"][Plugins] = plugins
    Singleton.set_state(_state.singletons)


def run(number: int, job_id: str, overrides: list[str], wants_job_return: bool) -> bytes:
    """Runs the job of trial `number` and returns a pickled JobAnswer."""
    assert _state is not None
    started = time.monotonic()
    config = _state.hydra_context.config_loader.load_sweep_config(_state.config, overrides)
    with open_dict(config):
        config.hydra.job.id = job_id
        config.hydra.job.num = number
    job_return = run_job(_state.hydra_context, _state.task_function, config)
    result = segment_result(job_return, time.monotonic() - started)
    pickled = cloudpickle.dumps(job_return) if wants_job_return else b""
    return bytes(cloudpickle.dumps(JobAnswer(result, _memory_mb(), pickled)))


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
