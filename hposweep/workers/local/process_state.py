"""The state of a worker process outside of its jobs: put right after each of them.

What a job can't be kept from changing and the next one would pay for: folder, streams, environment, limits, signal
handlers, and more. What can't be put right, such as a lowered hard limit, is named: then the worker is to be replaced.
"""

from __future__ import annotations

import builtins
import contextlib
import decimal
import fcntl
import gc
import io
import json
import locale
import logging
import math
import multiprocessing
import os
import pathlib
import pickle
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
# Their functions and classes are put back: everything here, and in a job, builds on them.
MODULES: tuple[types.ModuleType, ...] = (builtins, io, json, logging, math, multiprocessing, os, pathlib, pickle)
MODULES += (random, signal, subprocess, sys, threading, time, np.random)
STREAMS = {"stdin": 0, "stdout": 1, "stderr": 2}
# Copies of the streams' descriptors stand where no program looks for a free one.
FIRST_SAVED_DESCRIPTOR = 100
# A job that leaves more open files than this share of the limit takes them from the next ones.
MOST_OF_DESCRIPTORS = 0.25


class UnfitError(Exception):
    """Something can't be put right; the text says what."""


@dataclass(frozen=True)
class Aspect:
    """A part of the state: how it is read, and how it is put right if it has become another one."""

    read: Callable[[], Any]
    put_right: Callable[[Any], object]


def _refuse(was: Any) -> None:
    raise UnfitError


def _set_environment(was: dict[str, str]) -> None:
    for name in set(os.environ) - set(was):
        del os.environ[name]
    os.environ.update(was)
    time.tzset()


def _set_tempdir(was: str | None) -> None:
    tempfile.tempdir = was


def _read_umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _read_limits() -> dict[int, tuple[int, int]]:
    return {limit: resource.getrlimit(limit) for limit in LIMITS}


def _set_limits(was: dict[int, tuple[int, int]]) -> None:
    for limit, values in was.items():
        if resource.getrlimit(limit) != values:
            resource.setrlimit(limit, values)


def _read_handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _set_handlers(was: dict[int, Any]) -> None:
    for number, handler in was.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _read_timers() -> list[tuple[float, float]]:
    return [signal.getitimer(timer) for timer in TIMERS]


def _set_timers(was: object) -> None:
    for timer in TIMERS:
        signal.setitimer(timer, 0)


def _read_wakeup_descriptor() -> int:
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    return descriptor


def _set_path(was: list[str]) -> None:
    # What a module has added when it was imported stays: it will not be imported again.
    sys.path[:] = [*was, *(entry for entry in sys.path if entry not in was)]


def _set_importers(was: tuple[list[Any], list[Any]]) -> None:
    finders, sys.path_hooks[:] = was
    # As of the path: importlib_metadata, say, brings a finder along when it is imported, and switches off Python's own.
    # Of each kind one stays, so that there aren't more with each job.
    added = {each if isinstance(each, type) else type(each): each for each in sys.meta_path if each not in finders}
    sys.meta_path[:] = [*finders, *added.values()]
    sys.path_importer_cache.clear()


def _set_modules(was: dict[str, types.ModuleType]) -> None:
    for name, module in was.items():
        if sys.modules.get(name) is not module:
            sys.modules[name] = module


def _read_hooks() -> tuple[Any, ...]:
    hooks = (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook)
    return (*hooks, getattr(sys, "tracebacklimit", None))


def _set_hooks(was: tuple[Any, ...]) -> None:
    sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook, limit = was
    if limit is not None:
        sys.tracebacklimit = limit
    elif hasattr(sys, "tracebacklimit"):
        del sys.tracebacklimit


def _set_traces(was: tuple[Any, Any]) -> None:
    sys.settrace(was[0])
    sys.setprofile(was[1])
    threading.settrace(None)
    threading.setprofile(None)


def _set_collection(was: tuple[bool, tuple[int, int, int], int]) -> None:
    (gc.enable if was[0] else gc.disable)()
    gc.set_threshold(*was[1])
    gc.set_debug(was[2])


def _read_logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return logging.root.manager.disable, root.level, list(root.handlers), list(root.filters), logging.raiseExceptions


def _set_logging(was: tuple[Any, ...]) -> None:
    root = logging.getLogger()
    logging.disable(was[0])
    root.setLevel(was[1])
    root.handlers[:], root.filters[:] = was[2], was[3]
    logging.raiseExceptions = was[4]


def _read_warnings() -> tuple[list[Any], Any]:
    return list(warnings.filters), warnings.showwarning


def _set_warnings(was: tuple[list[Any], Any]) -> None:
    warnings.filters[:] = was[0]  # type: ignore[index]
    warnings.showwarning = was[1]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _read_threads() -> set[threading.Thread]:
    # A daemon is no part of the job that has started it: a progress bar's, say.
    return {thread for thread in threading.enumerate() if not thread.daemon}


def _read_identity() -> tuple[Any, ...]:
    root = os.stat("/")  # noqa: PTH116 (before anything else is imported)
    return (os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getpgrp(), os.getsid(0), root.st_dev, root.st_ino)


def _read_affinity() -> Any:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def _read_keras() -> tuple[Any, ...]:
    config = sys.modules["keras"].config
    return (config.floatx(), config.epsilon(), config.image_data_format(), config.dtype_policy().name)


def _set_keras(was: tuple[Any, ...]) -> None:
    config = sys.modules["keras"].config
    config.set_floatx(was[0])
    config.set_epsilon(was[1])
    config.set_image_data_format(was[2])
    config.set_dtype_policy(was[3])


def _read_tensorflow() -> tuple[bool, bool]:
    tensorflow = sys.modules["tensorflow"]
    return tensorflow.executing_eagerly(), tensorflow.config.functions_run_eagerly()


def _set_tensorflow(was: tuple[bool, bool]) -> None:
    tensorflow = sys.modules["tensorflow"]
    tensorflow.config.run_functions_eagerly(was[1])
    if tensorflow.executing_eagerly() != was[0]:
        raise UnfitError


ASPECTS: dict[str, Aspect] = {
    "imported modules": Aspect(lambda: dict(sys.modules), _set_modules),
    "user, session or root folder": Aspect(_read_identity, _refuse),
    "folder": Aspect(os.getcwd, os.chdir),
    "environment": Aspect(lambda: dict(os.environ), _set_environment),
    "umask": Aspect(_read_umask, os.umask),
    "limits": Aspect(_read_limits, _set_limits),
    "priority": Aspect(lambda: os.getpriority(os.PRIO_PROCESS, 0), lambda was: os.setpriority(os.PRIO_PROCESS, 0, was)),
    "processors": Aspect(_read_affinity, lambda was: os.sched_setaffinity(0, was)),
    "timers": Aspect(_read_timers, _set_timers),
    "signal handlers": Aspect(_read_handlers, _set_handlers),
    "descriptor for signals": Aspect(_read_wakeup_descriptor, signal.set_wakeup_fd),
    "signal mask": Aspect(
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        lambda was: signal.pthread_sigmask(signal.SIG_SETMASK, was),
    ),
    "arguments": Aspect(lambda: list(sys.argv), lambda was: setattr(sys, "argv", list(was))),
    "path": Aspect(lambda: list(sys.path), _set_path),
    "importers": Aspect(
        lambda: (list(sys.meta_path), list(sys.path_hooks)),
        _set_importers,
    ),
    "hooks": Aspect(_read_hooks, _set_hooks),
    "traces": Aspect(lambda: (sys.gettrace(), sys.getprofile()), _set_traces),
    "recursion limit": Aspect(sys.getrecursionlimit, sys.setrecursionlimit),
    "switch interval": Aspect(sys.getswitchinterval, sys.setswitchinterval),
    "digits of integers": Aspect(sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    "stack size": Aspect(threading.stack_size, threading.stack_size),
    "traced memory": Aspect(tracemalloc.is_tracing, lambda was: tracemalloc.stop()),
    "garbage collection": Aspect(lambda: (gc.isenabled(), gc.get_threshold(), gc.get_debug()), _set_collection),
    "logging": Aspect(_read_logging, _set_logging),
    "warnings": Aspect(_read_warnings, _set_warnings),
    "locale": Aspect(lambda: locale.setlocale(locale.LC_ALL), lambda was: locale.setlocale(locale.LC_ALL, was)),
    "decimal context": Aspect(
        lambda: decimal.getcontext().__reduce__(), lambda was: decimal.setcontext(was[0](*was[1]))
    ),
    "folder of temporary files": Aspect(lambda: tempfile.tempdir, _set_tempdir),
    "socket timeout": Aspect(socket.getdefaulttimeout, socket.setdefaulttimeout),
    "NumPy's errors": Aspect(np.geterr, lambda was: np.seterr(**was)),
    "NumPy's printing": Aspect(np.get_printoptions, lambda was: np.set_printoptions(**was)),
    "start method": Aspect(
        lambda: multiprocessing.get_start_method(allow_none=True),
        lambda was: multiprocessing.set_start_method(was, force=True),
    ),
    "threads": Aspect(_read_threads, _refuse),
}

# What our own writing around an objective depends on.
OF_OUR_WRITING = ("folder", "umask", "limits", "timers")
# Of modules that are looked at where they are there before the first job.
ASPECTS_OF_MODULES = {"keras": Aspect(_read_keras, _set_keras), "tensorflow": Aspect(_read_tensorflow, _set_tensorflow)}


class ProcessState:
    """The state as it was when this was made."""

    def __init__(self) -> None:
        self._functions = [
            (vars(module), name, value) for module in MODULES for name, value in vars(module).items() if callable(value)
        ]
        self._functions.append((vars(os), "environ", os.environ))
        self._streams = _Streams()
        of_modules = {name: aspect for name, aspect in ASPECTS_OF_MODULES.items() if name in sys.modules}
        self._aspects = {**ASPECTS, **of_modules}
        self._was = {name: aspect.read() for name, aspect in self._aspects.items()}

    def put_right(self) -> str:
        """Makes the state again what it was; returns what can't be put right, empty where all is well."""
        self._put_functions_right()
        failed = [] if self._streams.put_right() else ["streams"]
        return ", ".join([*failed, *filter(self._fails, self._aspects)])

    def put_right_for_our_writing(self) -> None:
        """The same for what our own code needs that still belongs to the job, as far as that can be put right."""
        self._put_functions_right()
        for name in OF_OUR_WRITING:
            self._fails(name)

    def _put_functions_right(self) -> None:
        # No function is called before all of them are their own again.
        for namespace, name, function in self._functions:
            if namespace.get(name) is not function:
                namespace[name] = function

    def _fails(self, name: str) -> bool:
        """Whether this aspect can't be put right."""
        aspect, was = self._aspects[name], self._was[name]
        try:
            if aspect.read() != was:
                aspect.put_right(was)
        except Exception:  # whatever it is that has become of it
            return True
        return False


_of_this_worker: ProcessState | None = None


def remember() -> None:
    """Takes the present state of this process, a worker, for what it is to be."""
    global _of_this_worker
    _of_this_worker = ProcessState()


def put_right() -> str:
    """As `ProcessState.put_right`, in a worker."""
    assert _of_this_worker is not None
    return _of_this_worker.put_right()


def put_right_for_our_writing() -> None:
    """As `ProcessState.put_right_for_our_writing`; in a process that is no worker the state is its user's."""
    if _of_this_worker is not None:
        _of_this_worker.put_right_for_our_writing()


class _Streams:
    """The standard streams, and copies of their descriptors, from which they come back however they were closed."""

    def __init__(self) -> None:
        lowest = int(min(FIRST_SAVED_DESCRIPTOR, _most_descriptors() / 2))
        self._copies = {fd: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest) for fd in (0, 1, 2)}
        self._n_open = _n_open_descriptors()
        self._objects = {name: getattr(sys, name) for name in STREAMS}
        self._is_unbuffered = {name: getattr(stream, "write_through", False) for name, stream in self._objects.items()}
        self.put_right()

    def put_right(self) -> bool:
        """Whether they are as they were."""
        try:
            for descriptor, copy in self._copies.items():
                if not _is_the_same(descriptor, copy):
                    os.dup2(copy, descriptor, inheritable=True)
        except OSError:
            return False
        for name, descriptor in STREAMS.items():
            if not _is_usable(self._objects[name], descriptor):
                self._objects[name] = _stream(descriptor, is_unbuffered=self._is_unbuffered[name])
            setattr(sys, name, self._objects[name])
            setattr(sys, f"__{name}__", self._objects[name])
        return _n_open_descriptors() - self._n_open < _most_descriptors() * MOST_OF_DESCRIPTORS


def _most_descriptors() -> float:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if limit == resource.RLIM_INFINITY else limit


def _is_the_same(descriptor: int, copy: int) -> bool:
    there = os.fstat(copy)
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), there)
    return False


def _is_usable(stream: Any, descriptor: int) -> bool:
    try:
        return not stream.closed and stream.fileno() == descriptor
    except (AttributeError, ValueError):  # None, or detached
        return False


def _stream(descriptor: int, *, is_unbuffered: bool) -> io.TextIOWrapper:
    mode, buffering = ("rb", -1) if descriptor == 0 else ("wb", 0 if is_unbuffered else -1)
    file: Any = open(descriptor, mode, buffering, closefd=False)  # noqa: SIM115
    # As Python makes its own, but that nothing is refused for its characters, and each line is passed on.
    return io.TextIOWrapper(
        file,
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=descriptor != 0,
        write_through=is_unbuffered,
    )


def _n_open_descriptors() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (half the time)
    except OSError:  # not on this system
        return 0
