"""Which tests start processes or import TensorFlow: known by a mark, and held to it.

`make test-fast` runs the others. A test that uses a fixture of `STARTS_PROCESSES` has the mark by that; any other that
starts a process has `pytest.mark.process` of its own, or its module has. One without fails as soon as it starts one.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

MARK = "process"
STARTS_PROCESSES = {
    "hposweep",
    "python",
    "shell",
    "small_sweep",
    "browser",
    "new_environment",
    "warm_hydra",
    "warm_keras",
}
EVENTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.spawn"}

_is_on_guard = False
_is_installed = False


class StartedAProcessError(AssertionError):
    """A test without the mark does what takes seconds."""


def mark(item: pytest.Item) -> None:
    """Gives a test its mark, if one of its fixtures starts processes."""
    if STARTS_PROCESSES & set(getattr(item, "fixturenames", ())):
        item.add_marker(MARK)


@contextmanager
def on_guard() -> Iterator[None]:
    """While this lasts, no process is started and TensorFlow is not imported."""
    global _is_on_guard, _is_installed
    if not _is_installed:
        sys.addaudithook(_refuse)  # for good: Python takes none away
        _is_installed = True
    _is_on_guard = True
    try:
        yield
    finally:
        _is_on_guard = False


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not _is_on_guard:
        return
    if event in EVENTS:
        raise StartedAProcessError(f"a test without pytest.mark.{MARK} starts a process: {event} {arguments[:2]}")
    if event == "import" and arguments[0] == "tensorflow":
        raise StartedAProcessError(f"a test without pytest.mark.{MARK} imports TensorFlow")
