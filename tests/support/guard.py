"""Which tests start processes or import TensorFlow: known by a mark, and held to it.

`make test-fast` runs the others. A test that uses a fixture of `STARTS_PROCESSES` has the mark by that; any other that
starts a process has `pytest.mark.process` of its own, or its module has. One without the mark fails if it starts one.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

MARK = "process"
STARTS_PROCESSES = {"hposweep", "python", "shell", "small_sweep", "browser", "new_environment", "one_thread"}
STARTS_PROCESSES |= {"warm_hydra", "warm_keras", "warm_shell"}
EVENTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}

_noted: list[str] | None = None  # None: nobody is on guard
_is_installed = False


class StartedAProcessError(AssertionError):
    """A test without the mark does what takes seconds."""


def mark(item: pytest.Item) -> None:
    """Gives a test its mark, if one of its fixtures starts processes."""
    if not isinstance(item, pytest.Function):
        return
    if STARTS_PROCESSES & set(item.fixturenames):
        item.add_marker(MARK)


@contextmanager
def on_guard() -> Iterator[None]:
    """Notes processes and imports of TensorFlow while this lasts.

    Raises:
        StartedAProcessError: at its end, since what is stopped half-way leaves more in disorder than it tells.
    """
    global _noted, _is_installed
    if not _is_installed:
        sys.addaudithook(_note)  # for good: Python takes none away
        _is_installed = True
    noted: list[str] = []
    _noted = noted
    try:
        yield
    finally:
        _noted = None
        if noted:
            raise StartedAProcessError(f"a test without pytest.mark.{MARK}: {', '.join(noted)}")


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _noted is None:
        return
    if event in EVENTS:
        _noted.append(f"starts a process ({event} {arguments[:2]})")
    elif event == "import" and arguments[0] == "tensorflow":
        _noted.append("imports TensorFlow")
