"""Jobs for a pool of workers that cost nothing: no Hydra, no TensorFlow, no folder."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from hposweep.trial import SegmentResult
from hposweep.workers.local.worker import Outcome


class Jobs:
    """What the workers share: a job is the name of one of these methods, with its arguments."""

    n_entered = 0

    def enter(self) -> None:
        self.n_entered += 1

    def run(self, *arguments: Any) -> Outcome:
        name, *rest = arguments
        value = getattr(self, name)(*rest)
        if isinstance(value, bytes):
            return Outcome(SegmentResult(0.0), value)
        return Outcome(SegmentResult(0.0, value))

    def echo(self, value: object) -> object:
        return value

    def pid(self) -> float:
        return os.getpid()

    def entered(self) -> float:
        return self.n_entered

    def note(self, path: str, text: str) -> None:
        with open(path, "a") as file:
            file.write(text)

    def wait_for(self, *paths: str) -> None:
        while not all(Path(path).exists() for path in paths):
            time.sleep(0.005)

    def touch_and_wait_for(self, own: str, other: str) -> None:
        Path(own).touch()
        self.wait_for(other)

    def hang(self, started: str) -> NoReturn:
        """For ever, whatever it is told."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path(started).write_text(str(os.getpid()))
        while True:
            time.sleep(1000)

    def family(self, path: str) -> NoReturn:
        """Starts a program, one that leaves it behind, and one that leaves the session; then hangs."""
        with open(path, "w") as pids:
            subprocess.Popen(["sh", "-c", "echo $$; exec sleep 1000"], stdout=pids)
            subprocess.run(["sh", "-c", "(echo $(exec sh -c 'echo $PPID'); exec sleep 1000) & exit 0"], stdout=pids)
            subprocess.Popen(["sh", "-c", "echo $$; exec sleep 1000"], stdout=pids, start_new_session=True)
        Path(f"{path}.started").write_text(str(os.getpid()))
        while True:
            time.sleep(1000)

    def fail(self, text: str) -> NoReturn:
        raise ValueError(text)

    def fail_with_what_has_no_pickle(self) -> NoReturn:
        error = ValueError("it holds a lock")
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error

    def exit(self, code: int) -> NoReturn:
        os._exit(code)

    def system_exit(self, code: int) -> NoReturn:
        raise SystemExit(code)

    def kill(self, number: int) -> NoReturn:
        os.kill(os.getpid(), number)
        raise AssertionError("it outlived the signal")

    def lock(self) -> object:
        """What has no pickle."""
        return threading.Lock()

    def deadly(self) -> object:
        return FailsWhenRead()


class FailsWhenRead:
    """Its pickle can be written and not be read."""

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> NoReturn:
    raise LookupError("can't be read")


class Deadly(Jobs):
    """Kills the worker that comes to life with it."""

    def enter(self) -> None:
        os._exit(3)
