"""The agent: what an engine places on a node. It runs the local pool there, with one slot or a few.

So a kill, a time limit, the memory limit, preloads, output, and the words for how a worker died are those of one
machine, whatever engine has brought the agent there.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import importlib.metadata
import os
import pickle
import platform
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cloudpickle

from hposweep.trial import SegmentEnd
from hposweep.workers.local.pool import WorkerPool
from hposweep.workers.local.worker import JobAnswer

COMPARED_PACKAGES = ("hposweep", "hydra-core", "omegaconf", "cloudpickle", "numpy", "keras", "tensorflow")

SECONDS_BETWEEN_LOOKS = 1.0
ORPHANED = "its controller gave no sign of life"


class SignOfLife(Protocol):
    """What a controller leaves in its sweep's folder while it lives."""

    @property
    def folder(self) -> Path:
        """The sweep's."""

    def is_seen(self) -> bool:
        """Whether this controller's is there."""

    def is_alive(self, now: float) -> bool:
        """Whether it lives; to be asked every few seconds, by this process's own clock."""


@dataclass(frozen=True)
class Surroundings:
    """What has to be the same where a job runs as where its controller does."""

    versions: Mapping[str, str]  # of Python and of packages; of those alone that are installed
    program: Mapping[str, str]  # the user's own modules that are imported: SHA-256 of each file, by the path below
    path: tuple[str, ...]  # where modules are looked for; absolute
    folder: str  # that the program runs in

    @classmethod
    def here(cls) -> Surroundings:
        """Those of this process."""
        path = tuple(os.path.abspath(each) for each in sys.path)  # noqa: PTH100 ("" is the folder itself)
        return cls(_versions(), dict(_program()), path, str(Path.cwd()))

    def differences(self) -> list[str]:
        """What is another here, each in a few words."""
        found = []
        here = _versions()
        for name, wanted in self.versions.items():
            if name not in here:
                found.append(f"no {name} {wanted}")
            elif here[name] != wanted:
                found.append(f"{name} {here[name]} instead of {wanted}")
        for module, digest in self.program.items():
            place = _file_of(module, self.path)
            if place is None:
                found.append(f"no module {module}")
            elif _digest(Path(place)) != digest:
                found.append(f"another {place}")
        return found


@dataclass(frozen=True)
class AgentSpec:
    """What an agent has to know; the same for all agents of a sweep.

    Args:
        state: what the jobs share, packed.
        controller: its sign of life in the sweep's folder: to see it proves that the node has the same file system,
            and jobs end when there is none any more.
    """

    state: bytes
    preload: Sequence[str]
    env: Mapping[str, str]
    max_memory_mb: float
    surroundings: Surroundings
    controller: SignOfLife


@dataclass(frozen=True)
class Greeting:
    """What an agent tells when it is there."""

    node: str
    process: int
    refusal: str = ""  # why it can't serve: one line


class Agent:
    """Runs `n_slots` jobs at a time, each in a process that is kept warm for the next one."""

    def __init__(self, spec: AgentSpec, node: str | None = None, n_slots: int = 1) -> None:
        self._node = platform.node() if node is None else node
        self._refusal = _refusal(spec, self._node)
        self._pool = WorkerPool(spec.state, n_slots, spec.preload, spec.env, spec.max_memory_mb)
        self._spec = spec
        self._jobs: dict[str, Future[JobAnswer]] = {}
        self._is_orphaned = False
        self._lock = threading.RLock()  # held while the pool is started and stopped
        self._is_stopped = threading.Event()
        self._may_end = threading.Event()  # the thread that has started the pool
        if not self._refusal:
            sys.path[:0] = [each for each in spec.surroundings.path if each not in sys.path]
            self._start()

    def greeting(self) -> Greeting:
        """Says that it is there, or why it can't serve."""
        return Greeting(self._node, os.getpid(), self._refusal)

    def run(self, job: str, arguments: tuple[Any, ...], timeout_s: float | None) -> Future[JobAnswer]:
        """Runs a job with these arguments of `WorkerState.run`; `job` names it for `cancel`."""
        with self._lock:
            if self._is_orphaned:  # its controller had only stood still
                self._is_orphaned = False
                self._start()
        running = self._jobs[job] = self._pool.submit(arguments, timeout_s)
        future: Future[JobAnswer] = Future()

        def pass_on(done: Future[JobAnswer]) -> None:
            self._jobs.pop(job, None)
            answer = _portable(done.result())
            if self._is_orphaned:
                answer = answer.with_result(end=SegmentEnd.LOST, failure=ORPHANED)
            future.set_result(answer)

        running.add_done_callback(pass_on)
        return future

    def cancel(self, job: str) -> None:
        """Ends this job, if it is not over."""
        future = self._jobs.get(job)
        if future is not None:
            self._pool.cancel(future)

    def stop(self) -> None:
        """Ends its workers, and the jobs that they run."""
        # Its jobs end here, and who hears of it may ask for the next one at once: that would have its pool stopped.
        with self._lock:
            self._is_stopped.set()
            self._pool.stop()
            self._may_end.set()

    def _start(self) -> None:
        # In a thread that lasts: the system ends a forkserver with the *thread* that has started it.
        is_started, may_end = threading.Event(), threading.Event()

        def keep() -> None:
            try:
                self._pool.start()
            finally:
                is_started.set()
            may_end.wait()

        threading.Thread(target=keep, daemon=True, name="hposweep-agent").start()
        is_started.wait()
        self._may_end = may_end
        self._is_stopped = threading.Event()
        threading.Thread(target=self._watch, args=(self._is_stopped,), daemon=True, name="hposweep-watch").start()

    def _watch(self, is_stopped: threading.Event) -> None:
        """Ends the job when its controller is gone, which an engine may notice late or never."""
        controller = copy.copy(self._spec.controller)
        while not is_stopped.wait(SECONDS_BETWEEN_LOOKS):
            if not controller.is_alive(time.monotonic()):
                self._is_orphaned = True
                self.stop()


def _portable(answer: JobAnswer) -> JobAnswer:
    """The answer, whose error may be of a class that can't be sent, or that only a worker knows."""
    if answer.error is None:
        return answer
    try:
        pickle.loads(cloudpickle.dumps(answer.error))  # noqa: S301 (from the same line)
    except Exception:  # whatever a class of the user's own raises
        return dataclasses.replace(answer, error=RuntimeError(answer.result.failure))
    return answer


def _refusal(spec: AgentSpec, node: str) -> str:
    if not spec.controller.is_seen():
        return (
            f"{node} doesn't see the sweep's folder {spec.controller.folder}: "
            "the machines of an engine need a file system that they share"
        )
    if not Path(spec.surroundings.folder).is_dir():
        return f"{node} doesn't see the folder {spec.surroundings.folder}, in which the program was started"
    differences = spec.surroundings.differences()
    return f"{node} is another than the controller: {', '.join(differences)}" if differences else ""


def _versions() -> dict[str, str]:
    found = {"Python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    for name in COMPARED_PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _program() -> list[tuple[str, str]]:
    """The modules of the user's own that are imported: from no installed package, nor Python's own."""
    installed = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name in ("__main__", "__mp_main__") or not file or not file.endswith(".py"):
            continue
        path = os.path.abspath(file)  # noqa: PTH100
        if not path.startswith(installed) and _file_of(name, sys.path) == path and Path(path).is_file():
            found.append((name, _digest(Path(path))))
    return found


def _file_of(module: str, path: Sequence[str]) -> str | None:
    """The file of a module, found without importing the packages that hold it."""
    steps = module.split(".")
    for folder in path:
        for candidate in (os.path.join(folder, *steps, "__init__.py"), os.path.join(folder, *steps) + ".py"):  # noqa: PTH118 (the same)
            if os.path.isfile(candidate):  # noqa: PTH113 (each of hundreds of modules)
                return os.path.abspath(candidate)  # noqa: PTH100
    return None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
