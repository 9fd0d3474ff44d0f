"""`hposweep ...` in this process: ten times as fast as in one of its own, for what ends before a trial begins."""

import contextlib
import copy
import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.version import VersionBase
from omegaconf.basecontainer import BaseContainer

from hposweep.__main__ import main
from hposweep.app import composition_errors
from support.processes import ROOT, Completed

PER_RUN = (GlobalHydra, HydraConfig, VersionBase)  # singletons that a process begins without


def run_here(words: tuple[str, ...], cwd: Path, env: Mapping[str, str] | None = None) -> Completed:
    """Runs the program with these words, and leaves this process as it was.

    Raises:
        AssertionError: if it has imported TensorFlow: the controlling process never does.
    """
    out, err = io.StringIO(), io.StringIO()
    had_tensorflow = "tensorflow" in sys.modules
    with contextlib.ExitStack() as stack:
        for state in (
            _environment(env or {}),
            hydra_as_it_was(),
            _logging(),
            _signal_handlers(),
            contextlib.chdir(cwd),
        ):
            stack.enter_context(state)
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        stack.enter_context(_arguments(words))
        exit_code = _exit_code_of_main()
    assert had_tensorflow or "tensorflow" not in sys.modules, "the controlling process has imported TensorFlow"
    return Completed(exit_code, out.getvalue(), err.getvalue())


def _exit_code_of_main() -> int:
    """What the interpreter makes of the way in which the program ends."""
    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


@contextlib.contextmanager
def _arguments(words: tuple[str, ...]) -> Iterator[None]:
    arguments, path = sys.argv, list(sys.path)
    sys.argv = [str(ROOT / "hposweep" / "__main__.py"), *words]
    try:
        yield
    finally:
        sys.argv, sys.path[:] = arguments, path


@contextlib.contextmanager
def _environment(env: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.pop(composition_errors.VARIABLE, None)
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def hydra_as_it_was() -> Iterator[None]:
    """The singletons and resolvers of a process in which Hydra has not run yet; the plugins that were found stay."""
    Plugins.instance()  # some of them put configs into the store when they are found
    store = ConfigStore.instance()
    instances, repo, resolvers = dict(Singleton._instances), store.repo, dict(BaseContainer._resolvers)
    for each in PER_RUN:
        Singleton._instances.pop(each, None)
    store.repo = copy.deepcopy(repo)
    try:
        yield
    finally:
        store.repo = repo
        found = Singleton._instances
        kept = {each: found[each] for each in found if each not in PER_RUN}
        Singleton._instances = {**kept, **instances}
        BaseContainer._resolvers = resolvers


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """Hydra configures the root logger and closes all handlers; absl's would close pytest's output with it."""
    root, manager = logging.getLogger(), logging.Logger.manager
    handlers, level, disabled = list(root.handlers), root.level, manager.disable
    closed_at_exit = list(logging._handlerList)  # type: ignore[attr-defined]
    logging._handlerList[:] = []  # type: ignore[attr-defined]
    known = {
        name: (logger.level, list(logger.handlers), logger.propagate, logger.disabled)
        for name, logger in manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    root.handlers = []
    try:
        yield
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers, manager.disable = handlers, disabled
        logging._handlerList[:] = closed_at_exit  # type: ignore[attr-defined]
        root.setLevel(level)
        for name, logger in manager.loggerDict.items():
            if isinstance(logger, logging.Logger):
                before = known.get(name, (logging.NOTSET, [], True, False))
                logger.level, logger.handlers, logger.propagate, logger.disabled = before
        manager._clear_cache()  # type: ignore[attr-defined]


@contextlib.contextmanager
def _signal_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
