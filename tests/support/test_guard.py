"""The guard notices whatever starts a process, and what imports TensorFlow."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from support import guard

pytestmark = pytest.mark.process


def run() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def run_in_a_thread() -> None:
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def import_tensorflow() -> None:
    sys.audit("import", "tensorflow", None, None, None, None)  # as Python does before it looks for it


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (run, "starts a process"),
        (run_in_a_thread, "starts a process"),
        (fork, "starts a process"),
        (import_tensorflow, "imports TensorFlow"),
    ],
)
def test_a_test_without_the_mark_fails_for_it(act: Callable[[], None], message: str) -> None:
    with pytest.raises(guard.StartedAProcessError, match=message), guard.on_guard():
        act()
    act()  # with the mark nobody is on guard


def test_what_starts_none_passes() -> None:
    with guard.on_guard():
        sum(range(10))


def test_a_fixture_that_starts_processes_gives_its_test_the_mark(request: pytest.FixtureRequest) -> None:
    names = {item.name: item for item in request.session.items if isinstance(item, pytest.Function)}
    users = [item for item in names.values() if guard.STARTS_PROCESSES & set(item.fixturenames)]
    assert all(item.get_closest_marker(guard.MARK) for item in users)
