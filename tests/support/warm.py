"""Commands in processes that are forked from a warm one, which has imported what takes seconds: Hydra, SciPy, Keras.

For tests that need *a* sweep. A process of this kind differs from a fresh one in this:

- What it would import first is there already, with the variables of the tests' environment, and so it is in its
  workers, whose forkserver is forked from it, too.
- It makes no report.html, which takes half of the time of a small sweep, unless it is run by one of the scripts.

Signals that a script gets go on to its command, but for SIGKILL. Whatever is about imports, the environment, the first
seconds or a controller that is killed takes `run_process`.
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
from support.warm_client import ask

HYDRA = ("hydra", "scipy.stats", "rich", "pebble", "hposweep.hydra_glue.sweeper", "hposweep.hydra_glue.launchers.local")
KERAS = (*HYDRA, "hposweep.app.main", "keras", "hposweep.training.objective", "hposweep.training.models")
REPORT = ("hposweep.commands.report", "jinja2", "plotly.graph_objects")

HERE = Path(__file__).parent
SCRIPT = """#!{python} -IS
import os, sys
words = {first} + sys.argv[1:]
if words[:1] in ([], ["-m"], ["-c"]) or words[0][0] != "-":
    sys.path.insert(0, {here!r})
    from warm_client import be_the_command
    be_the_command({address!r}, words)
os.execv({python!r}, [{python!r}, *words])
"""


class WarmProcess:
    """A process that has imported these modules, and runs commands in forks of itself; started when it is needed.

    Args:
        folder: to be made, for scripts `python` and `hposweep` that run in forks, too, and make their sweeps' reports.
    """

    def __init__(self, modules: Sequence[str], folder: Path) -> None:
        self._modules = modules
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._address = f"\0hposweep-tests-{os.getpid()}-{id(self)}"

    def run(self, words: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> Completed:
        """Runs `python <words>`: a script, `-m` and a module, or `-c` and code; no report is made."""
        self._start()
        environment = {**os.environ, **(env or {})}
        if not env or "HYDRA_FULL_ERROR" not in env:
            environment.pop("HYDRA_FULL_ERROR", None)
        with open(os.devnull, "rb") as nothing, TemporaryFile() as out, TemporaryFile() as err:
            streams = (nothing.fileno(), out.fileno(), err.fileno())
            exit_code = ask(self._address, words, str(cwd), environment, streams, makes_report=False)
            texts = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in (out, err)]
        return Completed(exit_code, *texts)

    def stop(self) -> None:
        """Ends the process, if it was started."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(timeout=30)

    @property
    def python(self) -> Path:
        """The script that is run in place of an interpreter."""
        self._start()
        return self._folder / "python"

    @property
    def path(self) -> str:
        """The PATH of the environment, where `python` and `hposweep` are forked from this process."""
        return os.pathsep.join(map(str, (self.python.parent, Path(sys.executable).parent, os.environ["PATH"])))

    def _start(self) -> None:
        if self._process is not None:
            return
        self._write_scripts()
        # A process with threads must not fork: OpenBLAS starts them when it is imported.
        env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
        env["PYTHONPATH"] = os.pathsep.join(map(str, _path()))
        code = "import sys; from support.warm import serve; serve(int(sys.argv[1]), sys.argv[2], sys.argv[3:])"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self._address)
            listener.listen()
            words = [sys.executable, "-c", code, str(listener.fileno()), str(self._folder / "python"), *self._modules]
            self._process = subprocess.Popen(words, env=env, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])

    def _write_scripts(self) -> None:
        self._folder.mkdir()
        console_script = Path(sys.executable).with_name("hposweep")
        for name, first in (("python", []), ("hposweep", [str(console_script)])):
            script = self._folder / name
            script.write_text(SCRIPT.format(python=sys.executable, here=str(HERE), first=first, address=self._address))
            script.chmod(0o755)


def _path() -> list[Path | str]:
    return [Path(__file__).resolve().parents[1], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]


def serve(listener_fd: int, python: str, modules: Sequence[str]) -> None:
    """What the warm process does, until its standard input is closed."""
    listener = socket.socket(fileno=listener_fd)
    from hydra.core.plugins import Plugins

    Plugins.instance()  # first: it imports plugins anew, and their classes would be there twice
    for name in modules:
        importlib.import_module(name)
    sys.executable = python  # what a command starts is forked, too: its report, a sweep run again, submitit's jobs
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nobody has to wait for those who watch
    while True:
        if sys.stdin in select.select([listener, sys.stdin], [], [])[0]:
            return
        connection, _ = listener.accept()
        with connection:
            request, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 4)
        if os.fork() == 0:
            listener.close()
            *streams, status = descriptors
            command = json.loads(request)
            if "TF_XLA_FLAGS" in os.environ:  # an import has set it
                command["env"].setdefault("TF_XLA_FLAGS", os.environ["TF_XLA_FLAGS"])
            _watch(command, streams, status)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch(request: dict[str, Any], streams: Sequence[int], status: int) -> NoReturn:
    """Runs the command in one more fork, and tells its process number and its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if process == 0:
        os.close(status)
        _become(request, streams)
    os.write(status, f"{process:<20}".encode())
    _, end = os.waitpid(process, 0)
    os.write(status, f"{os.waitstatus_to_exitcode(end):<20}".encode())
    os._exit(0)


def _become(request: dict[str, Any], streams: Sequence[int]) -> NoReturn:
    """Does what Python does from its start to its end, but for the imports."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for target, source in enumerate(streams):
        os.dup2(source, target)
        os.close(source)
    words = request["words"]
    # The script's folder comes first, or the working folder, then what the environment names.
    added = [request["cwd"], *filter(None, request["env"].get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:] = [*added, *(entry for entry in sys.path[1:] if entry not in added)]
    sys.modules["__main__"] = types.ModuleType("__main__")
    multiprocessing.util.spawnv_passfds = _fork_a_forkserver  # type: ignore[assignment]
    from hposweep.results.html import in_a_process
    from hposweep.workers.local import parent_death

    if not request["makes_report"]:
        in_a_process.make = _make_no_report
    exit_code = 0
    try:
        if words[0] == "-m":
            sys.argv = [words[1], *words[2:]]
            runpy._run_module_as_main(words[1])  # type: ignore[attr-defined]
        elif words[0] == "-c":
            if words[1] == in_a_process.PROGRAM:
                parent_death.die_with = _stay  # its parent is no process that waits for it
            sys.argv = ["-c", *words[2:]]
            exec(words[1], vars(sys.modules["__main__"]))
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


def _stay(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    pass


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
