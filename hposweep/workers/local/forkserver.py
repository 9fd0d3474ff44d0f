"""A forkserver of our own: its workers start in half a second with heavy libraries imported, and never run the user's
script again.

The standard library's forkserver imports the user's `__main__` in every child, which needs a guard and repeats side
effects; and a process has only one, with one environment. This one leaves `__main__` alone, and takes an environment
and modules to preload. It uses private parts of `multiprocessing` of Python 3.11 to 3.13.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import context, forkserver, popen_forkserver, reduction, spawn, util
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from hposweep.workers.local import forkserver_preload

FIRST_PRELOAD = forkserver_preload.__name__
EXITED_WITH_0 = 256  # stands for exit code 0; no process has it as its own

_servers: list[forkserver.ForkServer] = []


def worker_context(preload: Sequence[str], env: Mapping[str, str]) -> BaseContext:
    """A context that starts workers: by forkserver where that is safe, else by spawn (macOS, Windows).

    Args:
        preload: modules that are imported once, before any worker is started.
        env: environment variables of preloads and workers, set before their first instruction.
    """
    if sys.platform in ("darwin", "win32"):
        return _SpawnContext()
    return _ForkserverContext(preload, env)


class _Popen(popen_forkserver.Popen):
    def _launch(self, process_obj: Any) -> None:
        preparation = spawn.get_preparation_data(process_obj._name)
        for key in ("init_main_from_path", "init_main_from_name"):
            preparation.pop(key, None)
        buffer = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            reduction.dump(preparation, buffer)
            reduction.dump(process_obj, buffer)
        finally:
            context.set_spawning_popen(None)
        server = _servers[process_obj.server]
        self.sentinel, write_end = server.connect_to_new_process(self._fds)  # type: ignore[attr-defined]
        # The worker sees the end of this pipe when we die.
        parent_end = os.dup(write_end)
        self.finalizer = util.Finalize(self, util.close_fds, (parent_end, self.sentinel))  # type: ignore[attr-defined]
        with open(write_end, "wb", closefd=True) as file:
            file.write(buffer.getbuffer())
        self.pid = forkserver.read_signed(self.sentinel)


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


class _Process(_Worker, context.ForkServerProcess):
    server = 0

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> _Popen:  # noqa: N802 (multiprocessing's name)
        return _Popen(process_obj)


class _ForkserverContext(context.ForkServerContext):
    def __init__(self, preload: Sequence[str], env: Mapping[str, str]) -> None:
        server = forkserver.ForkServer()
        server.set_forkserver_preload([FIRST_PRELOAD, *preload])
        # OpenBLAS starts threads at import, and a process with threads must not fork.
        with _environment({"OPENBLAS_NUM_THREADS": "1", forkserver_preload.CONTROLLER: str(os.getpid()), **env}):
            server.ensure_running()
        _servers.append(server)
        self._server = len(_servers) - 1

    def Process(self, *args: Any, **options: Any) -> _Process:  # type: ignore[override]  # noqa: N802
        process = _Process(*args, **options)
        process.server = self._server
        return process


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
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
