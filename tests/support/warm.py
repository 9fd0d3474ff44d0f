"""Commands in processes that are forked from a warm one, which has imported what takes seconds: Hydra, SciPy, Keras.

For tests that need *a* sweep. A process of this kind differs from a fresh one in this:

- What it would import first is there already, with the variables of the tests' environment, and so it is in its
  workers, whose forkserver is forked from it, too.
- It makes no report.html, which takes half of the time of a small sweep.

Whatever is about imports, the environment, Ctrl-C, deaths or the report takes `run_process`.
"""

import atexit
import importlib
import json
import logging
import multiprocessing.util
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NoReturn

from support.processes import Completed

HYDRA = ("hydra", "scipy.stats", "rich", "pebble", "hposweep.hydra_glue.sweeper", "hposweep.hydra_glue.launchers.local")
KERAS = (*HYDRA, "hposweep.app.main", "keras", "hposweep.training.objective", "hposweep.training.models")
TIMEOUT_S = 300


class WarmProcess:
    """A process that has imported these modules, and runs commands in forks of itself; started when it is needed."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, words: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> Completed:
        """Runs `python <words>`: a script or `-m` and a module, with its arguments."""
        control = self._control or self._started()
        environment = {**os.environ, **(env or {})}
        if not env or "HYDRA_FULL_ERROR" not in env:
            environment.pop("HYDRA_FULL_ERROR", None)
        request = json.dumps({"words": list(words), "cwd": str(cwd), "env": environment}).encode()
        with TemporaryFile() as out, TemporaryFile() as err:
            status, theirs = os.pipe()
            try:
                socket.send_fds(control, [request], [out.fileno(), err.fileno(), theirs])
            finally:
                os.close(theirs)
            with open(status, "rb", buffering=0) as answers:
                process = int(answers.read(20))
                if not select.select([answers], [], [], TIMEOUT_S)[0]:
                    os.kill(process, signal.SIGKILL)
                    raise TimeoutError(f"{words} ran longer than {TIMEOUT_S} seconds")
                exit_code = int(answers.read(20))
            texts = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in (out, err)]
        return Completed(exit_code, *texts)

    def stop(self) -> None:
        """Ends the process, if it was started."""
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait(timeout=30)

    def _started(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A process with threads must not fork: OpenBLAS starts them when it is imported.
        env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
        env["PYTHONPATH"] = os.pathsep.join(map(str, _path()))
        code = f"from support.warm import serve; serve({theirs.fileno()}, {list(self._modules)})"
        self._process = subprocess.Popen([sys.executable, "-c", code], env=env, pass_fds=[theirs.fileno()])
        theirs.close()
        self._control = ours
        return ours


def _path() -> list[Path | str]:
    return [Path(__file__).resolve().parents[1], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]


def serve(control_fd: int, modules: Sequence[str]) -> None:
    """What the warm process does, until its control is closed."""
    control = socket.socket(fileno=control_fd)
    from hydra.core.plugins import Plugins

    Plugins.instance()  # first: it imports plugins anew, and their classes would be there twice
    for name in modules:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nobody has to wait for those who watch
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 3)
        if not request:
            return
        if os.fork() == 0:
            control.close()
            _watch(json.loads(request), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch(request: dict[str, Any], out: int, err: int, status: int) -> NoReturn:
    """Runs the command in one more fork, and tells its process number and its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if process == 0:
        os.close(status)
        _become(request, out, err)
    os.write(status, f"{process:<20}".encode())
    _, end = os.waitpid(process, 0)
    os.write(status, f"{os.waitstatus_to_exitcode(end):<20}".encode())
    os._exit(0)


def _become(request: dict[str, Any], out: int, err: int) -> NoReturn:
    """Does what Python does from its start to its end, but for the imports."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(source, target)
        os.close(source)
    words = request["words"]
    # The script's folder comes first, or the working folder, then what the environment names.
    added = [request["cwd"], *filter(None, request["env"].get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:] = [*added, *(entry for entry in sys.path[1:] if entry not in added)]
    sys.modules["__main__"] = types.ModuleType("__main__")
    multiprocessing.util.spawnv_passfds = _fork_a_forkserver  # type: ignore[assignment]
    from hposweep.results.html import in_a_process

    in_a_process.make = _make_no_report
    exit_code = 0
    try:
        if words[0] == "-m":
            sys.argv = [words[1], *words[2:]]
            runpy._run_module_as_main(words[1])  # type: ignore[attr-defined]
        else:
            sys.argv = list(words)
            main = sys.modules["__main__"]
            main.__file__ = words[0]
            exec(compile(Path(words[0]).read_text(), words[0], "exec"), vars(main))
    except SystemExit as end:
        exit_code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        exit_code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _make_no_report(sweep_dir: Path) -> Any:
    from hposweep.results.html.in_a_process import FILE_NAME, Report

    return Report(sweep_dir / FILE_NAME, "a warm process makes none", lacks_packages=True)


_spawn = multiprocessing.util.spawnv_passfds


def _fork_a_forkserver(path: bytes, words: Sequence[bytes | str], descriptors: Sequence[int]) -> int:
    """Instead of a forkserver that imports everything again, one that is forked from here."""
    code = os.fsdecode(words[-1])
    if "multiprocessing.forkserver" not in code:
        started: int = _spawn(path, words, descriptors)
        return started
    process = os.fork()
    if process:
        return process
    kept = {0, 1, 2, *descriptors}
    for descriptor in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208 (of this process)
        if descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:  # the listing's own
                continue
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.WARNING)
    from hposweep.workers.local import forkserver_preload

    importlib.reload(forkserver_preload)  # it does its work when it is imported
    exec(code, {})
    os._exit(0)
