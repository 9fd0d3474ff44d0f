"""Objectives that leave their process in disorder, or take it down, and a healthy one that tells what it finds."""

import asyncio
import builtins
import contextlib
import contextvars
import ctypes
import decimal
import faulthandler
import gc
import io
import json
import locale
import logging
import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

import hposweep

BAD: dict[str, Callable[[], Any]] = {}
context_variable = contextvars.ContextVar("context_variable", default="outside")
kept: list[Any] = []


def bad(objective: Callable[[], Any]) -> Callable[[], Any]:
    BAD[objective.__name__] = objective
    return objective


def objective(configuration: Mapping[str, Any]) -> Any:
    kind = configuration["kind"]
    return healthy() if kind == "healthy" else BAD[kind]()


def healthy() -> float:
    """Writes what it finds of its process into its checkpoint's folder."""
    (hposweep.checkpoint_dir() / "found.json").write_text(json.dumps(found(), default=repr, indent=1))
    print("healthy")
    print("and well", file=sys.stderr)
    os.write(1, b"to the end\n")
    return 1.0


def found() -> dict[str, Any]:
    number = multiprocessing.Process(target=int)
    number.start()
    number.join()
    with tempfile.TemporaryDirectory() as folder:
        listing = os.listdir(folder)
    return {
        "folder": os.getcwd(),
        # pytest names the test that a worker was started in.
        "environment": {name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "umask": _umask(),
        "limits": [resource.getrlimit(number) for number in range(16)],
        "signals": {int(each): repr(signal.getsignal(each)).split(" at ")[0] for each in signal.valid_signals()},
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "streams": [(type(each).__name__, each.fileno()) for each in (sys.stdin, sys.stdout, sys.stderr)],
        "input": sys.stdin.read(),
        "arguments": sys.argv,
        "path": sys.path,
        "importers": len(sys.meta_path),
        "main": sys.modules["__main__"].__name__ + str(hasattr(sys.modules["__main__"], "is_strange")),
        "hooks": [repr(each).split(" at ")[0] for each in (sys.excepthook, sys.displayhook, sys.gettrace())],
        "profile": repr(sys.getprofile()),
        "depth": sys.getrecursionlimit(),
        "digits": sys.get_int_max_str_digits(),
        "traceback": getattr(sys, "tracebacklimit", None),
        "switch": sys.getswitchinterval(),
        "collection": (gc.isenabled(), gc.get_threshold(), gc.get_debug()),
        "traced": tracemalloc.is_tracing(),
        "logging": (logging.root.manager.disable, logging.root.level, len(logging.root.handlers)),
        "warnings": len(warnings.filters),
        "locale": locale.setlocale(locale.LC_ALL),
        "decimal": str(decimal.Decimal(1) / 3),
        "numpy": (np.geterr(), str(np.array([1 / 3]))),
        "random": (random.random(), np.random.rand(), random.randint(0, 9)),
        "threads": sorted(thread.name for thread in threading.enumerate() if not thread.daemon),
        "children": _children(),
        "process": number.exitcode,
        "start method": multiprocessing.get_start_method(),
        "program": subprocess.run(["echo", "heard"], capture_output=True, text=True, check=True).stdout,
        "loop": asyncio.run(_answer()),
        "context": context_variable.get(),
        "files": listing,
        "temporary": tempfile.gettempdir(),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "processors": sorted(os.sched_getaffinity(0)),
        "user": (os.getuid(), os.getgid(), os.stat("/").st_ino),
        "length": len([1, 2]),
        "floor": math.floor(1.5),
        "time": time.monotonic() > 0,
        "timezone": time.strftime("%z", time.localtime(0)),
        "many files": _open_many(),
    }


async def _answer() -> str:
    await asyncio.sleep(0)
    return "answered"


def _umask() -> int:
    umask = os.umask(0o022)
    os.umask(umask)
    return umask


def _children() -> list[str]:
    with contextlib.suppress(ChildProcessError):
        return [str(os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT))]
    return []


def _open_many() -> int:
    with contextlib.ExitStack() as stack:
        return len([stack.enter_context(open(os.devnull)) for _ in range(400)])


# Folder, environment, limits


@bad
def goes_to_another_folder() -> float:
    os.chdir("/")
    return 1.0


@bad
def goes_to_a_folder_that_is_removed() -> float:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    shutil.rmtree(folder)
    return 1.0


@bad
def sets_variables() -> float:
    os.environ.update({"LEFT": "1", "PATH": "/nowhere", "TZ": "Asia/Kathmandu"})
    time.tzset()
    return 1.0


@bad
def clears_the_environment() -> float:
    os.environ.clear()
    return 1.0


@bad
def replaces_the_environment() -> float:
    os.environ = {"LEFT": "1"}
    return 1.0


@bad
def forbids_all_rights() -> float:
    os.umask(0o777)
    return 1.0


@bad
def lowers_the_number_of_files() -> float:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return 1.0


@bad
def lowers_the_number_of_files_and_raises() -> NoReturn:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    raise ValueError("no files")


@bad
def lowers_a_hard_limit() -> float:
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    return 1.0


@bad
def forbids_files_with_content() -> float:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    return 1.0


@bad
def forbids_more_memory() -> float:
    resource.setrlimit(resource.RLIMIT_AS, (2**20, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return 1.0


@bad
def forbids_processes_and_dumps() -> float:
    for limit in (resource.RLIMIT_NPROC, resource.RLIMIT_CORE, resource.RLIMIT_STACK):
        resource.setrlimit(limit, (2**20, resource.getrlimit(limit)[1]))
    return 1.0


@bad
def is_nice() -> float:
    os.nice(3)
    return 1.0


@bad
def keeps_to_one_processor() -> float:
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    return 1.0


@bad
def becomes_another_user() -> float:
    if os.getuid() == 0:
        os.setgid(65534)
        os.seteuid(65534)
    return 1.0


@bad
def leaves_the_session() -> float:
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    with contextlib.suppress(OSError):
        os.setsid()
    return 1.0


@bad
def opens_and_opens() -> float:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    kept.extend(open(os.devnull) for _ in range(min(most - 50, 20000)))
    return 1.0


@bad
def loses_the_folder_of_temporary_files() -> float:
    tempfile.tempdir = "/nowhere"
    return 1.0


# Streams


@bad
def has_no_streams() -> float:
    sys.stdin = sys.stdout = sys.stderr = None
    return 1.0


@bad
def has_no_streams_and_raises() -> NoReturn:
    sys.stdin = sys.stdout = sys.stderr = None
    raise ValueError("nobody hears it")


@bad
def closes_the_streams() -> float:
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()
    return 1.0


@bad
def detaches_the_output() -> float:
    kept.append(sys.stdout.detach())
    return 1.0


@bad
def replaces_the_output() -> float:
    sys.stdout = sys.stderr = io.StringIO()
    return 1.0


@bad
def replaces_the_output_by_what_can_do_nothing() -> float:
    sys.stdout = sys.stderr = object()
    return 1.0


@bad
def closes_descriptors() -> float:
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    return 1.0


@bad
def sends_the_output_elsewhere() -> float:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return 1.0


@bad
def closes_all_descriptors() -> float:
    os.closerange(3, 4096)
    return 1.0


# Signals


@bad
def handles_signals() -> float:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    return 1.0


@bad
def raises_on_signals() -> float:
    signal.signal(signal.SIGTERM, lambda *_: 1 / 0)
    return 1.0


@bad
def sets_an_alarm() -> float:
    signal.signal(signal.SIGALRM, lambda *_: 1 / 0)
    signal.setitimer(signal.ITIMER_REAL, 0.3, 0.3)
    return 1.0


@bad
def sets_a_deadly_alarm() -> float:
    signal.alarm(1)
    return 1.0


@bad
def blocks_signals() -> float:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    return 1.0


@bad
def wakes_by_signals() -> float:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    kept.append((reader, writer))
    signal.set_wakeup_fd(writer)
    return 1.0


# The interpreter


@bad
def changes_arguments_and_path() -> float:
    sys.argv[:] = ["other"]
    sys.path.clear()
    return 1.0


@bad
def forgets_how_to_import() -> float:
    sys.meta_path.clear()
    sys.path_hooks.clear()
    return 1.0


@bad
def forgets_modules() -> float:
    for name in ("json", "json.decoder", "subprocess", "tempfile", "asyncio", "multiprocessing", "hposweep"):
        sys.modules.pop(name, None)
    return 1.0


@bad
def replaces_the_main_module() -> float:
    main = type(sys)("__main__")
    main.is_strange = True
    sys.modules["__main__"] = main
    return 1.0


@bad
def changes_hooks() -> float:
    sys.excepthook = sys.displayhook = lambda *_: None
    sys.tracebacklimit = 0
    return 1.0


@bad
def traces() -> float:
    sys.settrace(lambda *_: None)
    sys.setprofile(lambda *_: None)
    threading.settrace(lambda *_: None)
    return 1.0


@bad
def lowers_the_depth() -> float:
    sys.setrecursionlimit(60)
    return 1.0


@bad
def lowers_the_digits() -> float:
    sys.set_int_max_str_digits(640)
    sys.setswitchinterval(5.0)
    return 1.0


@bad
def collects_no_garbage() -> float:
    gc.disable()
    gc.set_threshold(1, 1, 1)
    gc.set_debug(gc.DEBUG_COLLECTABLE)
    return 1.0


@bad
def traces_memory() -> float:
    tracemalloc.start()
    faulthandler.disable()
    return 1.0


@bad
def breaks_builtins() -> float:
    builtins.print = builtins.open = builtins.len = None
    builtins.isinstance = builtins.getattr = builtins.zip = builtins.__import__ = None
    return 1.0


@bad
def breaks_builtins_and_raises() -> NoReturn:
    builtins.open = builtins.isinstance = builtins.repr = None
    raise ValueError("built on nothing")


@bad
def breaks_the_library() -> float:
    json.dumps = os.getcwd = time.monotonic = math.floor = None
    random.random = np.random.rand = lambda *_: 0.5
    subprocess.run = threading.Thread = None
    return 1.0


@bad
def changes_what_numbers_look_like() -> float:
    decimal.getcontext().prec = 3
    np.seterr(all="raise")
    np.set_printoptions(precision=1)
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
    return 1.0


@bad
def seeds() -> float:
    random.seed(0)
    np.random.seed(0)
    return 1.0


@bad
def sets_a_context_variable() -> float:
    context_variable.set("inside")
    return 1.0


@bad
def silences_logging() -> float:
    logging.disable(logging.CRITICAL)
    logging.root.handlers.clear()
    logging.root.setLevel(99)
    logging.raiseExceptions = False
    return 1.0


@bad
def logs_into_what_is_closed() -> float:
    file = io.StringIO()
    logging.root.addHandler(logging.StreamHandler(file))
    file.close()
    return 1.0


@bad
def makes_warnings_errors() -> float:
    warnings.simplefilter("error")
    warnings.showwarning = None
    return 1.0


@bad
def closes_the_event_loop() -> float:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.close()
    return 1.0


@bad
def chooses_a_start_method() -> float:
    multiprocessing.set_start_method("spawn", force=True)
    return 1.0


# Threads and processes


@bad
def leaves_a_thread() -> float:
    threading.Thread(target=time.sleep, args=(1000,), name="left").start()
    return 1.0


@bad
def leaves_a_thread_that_goes_elsewhere() -> float:
    def go() -> None:
        while True:
            time.sleep(0.01)
            os.chdir("/")

    threading.Thread(target=go, name="goes").start()
    return 1.0


@bad
def leaves_a_process() -> float:
    kept.append(subprocess.Popen(["sleep", "1000"]))
    return 1.0


@bad
def leaves_a_daemon() -> float:
    subprocess.run(["sh", "-c", "setsid sleep 1000 & exit 0"], check=True)
    return 1.0


@bad
def leaves_a_pool() -> float:
    kept.append(multiprocessing.Pool(2))
    return 1.0


@bad
def forks_and_comes_back_twice() -> float:
    os.fork()
    return 1.0


@bad
def forks_and_raises_twice() -> NoReturn:
    os.fork()
    raise ValueError("twice")


# Ends


@bad
def exits() -> NoReturn:
    sys.exit(0)


@bad
def exits_with_a_text() -> NoReturn:
    sys.exit("the data is not there")


@bad
def exits_at_once() -> NoReturn:
    os._exit(0)


@bad
def is_interrupted() -> NoReturn:
    raise KeyboardInterrupt


@bad
def ends_as_a_generator() -> NoReturn:
    raise GeneratorExit


@bad
def stops_an_iteration() -> NoReturn:
    raise StopIteration


@bad
def raises_its_own_base() -> NoReturn:
    raise type("OwnBase", (BaseException,), {})


@bad
def has_no_memory() -> NoReturn:
    raise MemoryError


@bad
def goes_too_deep() -> Any:
    return goes_too_deep()


@bad
def raises_what_has_no_text() -> NoReturn:
    raise type("Mute", (Exception,), {"__str__": lambda self: 1 / 0, "__repr__": lambda self: 1 / 0})


@bad
def raises_what_has_no_pickle() -> NoReturn:
    error = ValueError("locked")
    error.lock = threading.Lock()
    raise error


@bad
def raises_what_cannot_be_encoded() -> NoReturn:
    raise FileNotFoundError("caf\udce9")


@bad
def raises_five_megabytes() -> NoReturn:
    raise ValueError("x" * 5_000_000)


@bad
def is_killed() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@bad
def crashes() -> NoReturn:
    faulthandler.disable()
    ctypes.string_at(0)
    raise AssertionError


@bad
def aborts() -> NoReturn:
    os.abort()


@bad
def returns_what_is_no_number() -> object:
    return {"loss": 1.0}


@bad
def returns_what_cannot_be_one() -> object:
    return type("Strange", (), {"__float__": lambda self: {}["x"], "__repr__": lambda self: 1 / 0})()
