"""Commands in real processes."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parents[2]

# A tenth of the examples and few epochs: a real training that takes seconds.
SMALL = ("data.train_fraction=0.1", "trainer.max_epochs=3")
# Still less, and a program that is compiled in one worker, not in two.
TINY = ("data.train_fraction=0.02", "data.n_validation=500", "hydra.launcher.n_workers=1", "hydra.sweep.dir=swept")


@dataclass(frozen=True)
class Completed:
    """What a command left."""

    exit_code: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.strip()]


class Run(Protocol):
    """Runs a command to its end."""

    def __call__(self, *words: str, env: dict[str, str] | None = None) -> Completed: ...


class RunText(Protocol):
    """Runs a piece of code, or a line of a shell."""

    def __call__(self, text: str, /, env: dict[str, str] | None = None) -> Completed: ...


def run_process(command: Sequence[str], cwd: Path, env: dict[str, str] | None = None) -> Completed:
    environment = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"}
    environment |= env or {}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return Completed(done.returncode, done.stdout, done.stderr)


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Returns when the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def kill(process: subprocess.Popen[Any]) -> None:
    """Kills a process that has to be running still: one that has come to its end would prove nothing."""
    assert process.poll() is None, f"it had ended by itself with {process.returncode}"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def is_alive(process: int) -> bool:
    """Whether this process still runs."""
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:
        return False


def processes_in(folder: Path) -> list[int]:
    """Living processes whose working folder is this one, but for the one that asks."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if (process / "cwd").readlink() == folder and int(process.name) != os.getpid():
                    found.append(int(process.name))
            except OSError:
                continue
    return found
