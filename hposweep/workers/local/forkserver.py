"""A forkserver of our own: its workers start in half a second with heavy libraries imported, and never run the user's
script again.

The standard library's forkserver imports the user's `__main__` in every child, which needs a guard and repeats side
effects; and a process has only one, with one environment. This one leaves `__main__` alone, and takes an environment
and modules to preload. It uses private parts of `multiprocessing` of Python 3.11 to 3.13.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import connection, context, forkserver, popen_forkserver, reduction, spawn, util
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from hposweep.errors import ConfigError
from hposweep.workers.local import descendants, forkserver_preload

FIRST_PRELOAD = forkserver_preload.__name__
WORKER = "hposweep.workers.local.worker"
EXITED_WITH_0 = 256  # stands for exit code 0; no process has it as its own
BLAS_THREADS = "OPENBLAS_NUM_THREADS"
# A forkserver that somebody has stopped (SIGSTOP) for as long as this is replaced: it would answer never.
MOST_SECONDS_STOPPED = 3.0
SECONDS_BETWEEN_LOOKS = 1.0
# What the system lets the path of a socket have, and what multiprocessing adds to the folder of temporary files.
MOST_BYTES_OF_A_SOCKET = 107
ADDED_BYTES = len("/pymp-12345678/listener-12345678")
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 (a new folder in there, which is ours alone)


class _Worker(BaseProcess):
    @property
    def exitcode(self) -> int | None:
        # pebble takes 0 for a worker that finished its work, and would wait for the job's answer for ever.
        code = super().exitcode
        return EXITED_WITH_0 if code == 0 else code


class _SpawnProcess(_Worker, context.SpawnProcess):
    """A process that imports everything anew."""


class _SpawnContext(context.SpawnContext):
    Process = _SpawnProcess

    def end_orphans(self) -> None:
        """Nobody inherits them where there is no forkserver."""

    def stop(self) -> None:
        """Each worker is a process by itself."""


class _Server:
    """A forkserver, and the workers that it has started."""

    def __init__(self, preload: Sequence[str], env: Mapping[str, str]) -> None:
        # OpenBLAS starts threads at import, and a process with threads had better not fork.
        threads = {} if BLAS_THREADS in os.environ else {BLAS_THREADS: "1"}
        self._environment = {**threads, forkserver_preload.CONTROLLER: str(os.getpid()), **env}
        self._server = forkserver.ForkServer()
        self._server.set_forkserver_preload([FIRST_PRELOAD, WORKER, *preload])
        self._lock = threading.Lock()  # held from a worker's fork until its number is known
        self._workers: set[int] = set()
        self._looked_at = self._stopped_since = 0.0
        with self._lock:
            self._ensure_running()

    def start_worker(self, descriptors: Sequence[int], content: memoryview) -> tuple[int, int, int]:
        """Forks a worker that reads this content; returns its sentinel, the parent's end of that, and its number.

        Raises:
            OSError, EOFError: if the forkserver ends meanwhile.
        """
        with self._lock:
            self._ensure_running()
            sentinel, write_end = self._server.connect_to_new_process(descriptors)
            # The worker sees the end of this pipe when we die.
            parent_end = os.dup(write_end)
            try:
                with open(write_end, "wb", closefd=True) as file:
                    file.write(content)
                self.wait_for(sentinel, None)
                number = forkserver.read_signed(sentinel)
            except BaseException:
                util.close_fds(sentinel, parent_end)  # type: ignore[attr-defined]
                raise
            self._workers.add(number)
        return sentinel, parent_end, number

    def wait_for(self, sentinel: int, timeout_s: float | None) -> bool:
        """Whether there is something to read, at the latest after so many seconds; None: waits until there is."""
        left = timeout_s
        while True:
            step = SECONDS_BETWEEN_LOOKS if left is None else min(left, SECONDS_BETWEEN_LOOKS)
            if connection.wait([sentinel], step):
                return True
            self._kill_if_stopped()
            left = None if left is None else left - step
            if left is not None and left <= 0:
                return False

    def end_orphans(self) -> None:
        """Ends the forkserver's children that are no workers: what is left of dead workers' jobs."""
        if self._server._forkserver_pid is not None:  # type: ignore[attr-defined]
            with self._lock:
                descendants.kill_children(self._server._forkserver_pid, self._workers)  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Ends the forkserver and all that it has started."""
        with self._lock:
            number = self._server._forkserver_pid  # type: ignore[attr-defined]
            if number is None:
                return
            descendants.kill_children(number)
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # somebody else has waited for it
                self._server._stop()  # type: ignore[attr-defined]

    def _ensure_running(self) -> None:
        _settle_temporary_folder()
        with _environment(self._environment):
            self._server.ensure_running()

    def _kill_if_stopped(self) -> None:
        now = time.monotonic()
        number = self._server._forkserver_pid  # type: ignore[attr-defined]
        if number is None or now - self._looked_at < SECONDS_BETWEEN_LOOKS:
            return
        self._looked_at = now
        try:
            is_stopped = psutil.Process(number).status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return
        if not is_stopped:
            self._stopped_since = 0.0
        elif not self._stopped_since:
            self._stopped_since = now
        elif now - self._stopped_since > MOST_SECONDS_STOPPED:
            self._stopped_since = 0.0
            descendants.kill_children(number)
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


def _settle_temporary_folder() -> None:
    """Makes the folder in which multiprocessing's sockets stand; elsewhere, if `TMPDIR` has too long a path for them.

    Raises:
        ConfigError: if there is no place for them.
    """
    wanted = tempfile.gettempdir()
    if len(os.fsencode(wanted)) + ADDED_BYTES <= MOST_BYTES_OF_A_SOCKET:
        return
    place = next((each for each in SHORT_FOLDERS if os.access(each, os.W_OK | os.X_OK)), None)
    if place is None:
        others = ", ".join(SHORT_FOLDERS)
        raise ConfigError(f"TMPDIR: {wanted} is too long a path for sockets, and {others} can't be written")
    before, tempfile.tempdir = tempfile.tempdir, place
    try:
        util.get_temp_dir()  # makes it where there is none yet, and remembers to remove it
    finally:
        tempfile.tempdir = before


_servers: dict[int, _Server] = {}
_server_numbers = itertools.count()


class _Popen(popen_forkserver.Popen):
    def _launch(self, process_obj: Any) -> None:
        preparation = _preparation(process_obj._name)
        buffer = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            reduction.dump(preparation, buffer)
            reduction.dump(process_obj, buffer)
        finally:
            context.set_spawning_popen(None)
        if process_obj.server not in _servers:
            raise RuntimeError("the pool of this worker was stopped")
        self._server = _servers[process_obj.server]
        self.sentinel, parent_end, self.pid = self._server.start_worker(self._fds, buffer.getbuffer())  # type: ignore[attr-defined]
        self.finalizer = util.Finalize(self, util.close_fds, (parent_end, self.sentinel))  # type: ignore[attr-defined]

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        if self.returncode is None and not self._server.wait_for(self.sentinel, 0 if flag == os.WNOHANG else None):
            return None
        code: int | None = super().poll(flag)
        return code


def _preparation(name: str) -> dict[str, Any]:
    """What the standard library prepares a process with, without its `__main__`, and with the start method of ours."""
    method = multiprocessing.get_start_method(allow_none=True)
    preparation = dict(spawn.get_preparation_data(name))
    for key in ("init_main_from_path", "init_main_from_name"):
        preparation.pop(key, None)
    if method is None:
        # Asking has settled it, here and there; a program may still choose one.
        multiprocessing.set_start_method(None, force=True)
        preparation.pop("start_method")
    return preparation


class _Process(_Worker, context.ForkServerProcess):
    server = 0
    # Else a job's own processes would be started by forkserver, too, and not as outside.
    _start_method = None  # type: ignore[assignment]

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> _Popen:  # noqa: N802 (multiprocessing's name)
        return _Popen(process_obj)


class _ForkserverContext(context.ForkServerContext):
    def __init__(self, preload: Sequence[str], env: Mapping[str, str]) -> None:
        self._number = next(_server_numbers)
        _servers[self._number] = _Server(preload, env)

    def Process(self, *args: Any, **options: Any) -> _Process:  # type: ignore[override]  # noqa: N802
        process = _Process(*args, **options)
        process.server = self._number
        return process

    def end_orphans(self) -> None:
        """Ends what the jobs of dead workers have started."""
        if self._number in _servers:
            _servers[self._number].end_orphans()

    def stop(self) -> None:
        """Ends all that is left, once the workers are gone."""
        # A worker that is still being ended finds its server through its Popen.
        _servers.pop(self._number).stop()


WorkerContext = _SpawnContext | _ForkserverContext


def worker_context(preload: Sequence[str], env: Mapping[str, str]) -> WorkerContext:
    """A context that starts workers: by forkserver where that is safe, else by spawn (macOS, Windows).

    Args:
        preload: modules that are imported once, before any worker is started.
        env: environment variables of preloads and workers, set before their first instruction.
    """
    if sys.platform in ("darwin", "win32"):
        return _SpawnContext()
    return _ForkserverContext(preload, env)


_environment_lock = threading.Lock()  # each forkserver has variables of its own, and threads start and replace them


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    with _environment_lock:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
