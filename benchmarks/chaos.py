"""Kills the controllers and workers of real sweeps again and again, and compares what they come to.

    python benchmarks/chaos.py [--kills 50] [--workers 2] [--scheduler fifo] [--seed 0] [--app small]
        [--total benchmarks/chaos.json]

Each kill is a SIGKILL at a random moment: three of four while a trial is RUNNING, of the controller or of a worker; the
others of the controller while it starts, between the last trial and the last job, in the last job, or in the report.
Sweep after sweep is run until that many kills are done. Checked are:

- 3 s after each kill of a controller none of its processes is left.
- What the journal held at a kill stands in it for good, byte by byte, and no table and no record is half-written.
- Draws and learning curves (all columns but `seconds`) are those of an undisturbed sweep, and so are states and winner.
  With several workers a scheduler that decides by the order of results (asha) may promote other trials: then each curve
  is compared as far as the shorter one goes, with those of fifo.
- The results are there at the end, the last job's and the report among them.

`--app small` is a Hydra app that trains by NumPy, `--app own` hposweep's own, with Keras. `--total` adds the counts to
a JSON file, for runs in slices. Exits with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import small_app
import yaml

RUNNING = ("controller", "worker")
# In the order in which they come in a sweep; the last ones take the sweep to its end each.
OTHERS = ("start", "end", "last job", "report")
KILLS_OF_A_SWEEP = 12
KILLS_WHILE_RUNNING = 9
# So many that the sweep does not end before the kills do.
TRIALS_OF_A_WORKER = {("small", "fifo"): 10, ("small", "asha"): 25, ("own", "fifo"): 8, ("own", "asha"): 16}
OWN = ["model=mlp", "search_space=mlp", "trainer.max_epochs=8", "data.train_fraction=0.5", "hydra.sweep.dir=swept"]


@dataclass(frozen=True)
class App:
    """What is swept."""

    name: str
    folder: Path
    words: Sequence[str]
    longest_s: float  # from the start of a training to the kill
    start_s: float  # that a controller takes to its first job, about

    def command(self, *words: str) -> list[str]:
        if self.name == "small":
            return small_app.command(*self.words, *words)
        return [sys.executable, "-m", "hposweep", "--multirun", *self.words, *words]


@dataclass
class Total:
    """What came of the kills so far."""

    kills: collections.Counter[str] = field(default_factory=collections.Counter)  # by phase or victim
    n_sweeps: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def n_kills(self) -> int:
        return sum(self.kills.values())


def main() -> None:
    """Runs sweeps until the kills are done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scheduler", choices=["fifo", "asha"], default="fifo")
    parser.add_argument("--app", choices=["small", "own"], default="small")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments and the victims")
    parser.add_argument("--total", type=Path, help="JSON file to which the counts are added")
    arguments = parser.parse_args()
    chance, total = random.Random(arguments.seed), Total()
    with tempfile.TemporaryDirectory() as name:
        app = made(arguments.app, Path(name).resolve())
        n_trials = TRIALS_OF_A_WORKER[arguments.app, arguments.scheduler] * arguments.workers
        n_trials_word = f"hydra.sweeper.n_trials={n_trials}"
        words = [n_trials_word, *words_of(arguments.app, arguments.scheduler)]
        is_ordered = arguments.scheduler == "fifo" or arguments.workers == 1
        full = [n_trials_word, *words_of(arguments.app, "fifo")]
        reference = undisturbed(app, words if is_ordered else full, 1 if is_ordered else 2)
        while total.n_kills < arguments.kills:
            sweep = Sweep(app, [*words, f"hydra.launcher.n_workers={arguments.workers}"], total.n_sweeps, chance, total)
            sweep.run(arguments.kills - total.n_kills)
            sweep.check(reference, is_ordered=is_ordered)
            total.n_sweeps += 1
            print(f"{total.n_kills} kills, {total.n_sweeps} sweeps, {len(total.problems)} wrong", flush=True)
    which = {name: getattr(arguments, name) for name in ("app", "scheduler", "workers", "seed")}
    if arguments.total is not None:
        add(arguments.total, total, which)
    print(f"{which}: {dict(total.kills)} killed in {total.n_sweeps} sweeps")
    print(*(f"WRONG: {problem}" for problem in total.problems), sep="\n")
    sys.exit(bool(total.problems))


def made(name: str, folder: Path) -> App:
    """The app, in this folder."""
    if name == "own":
        return App(name, folder, [*OWN, "hydra.sweeper.max_retries=1000"], 3.0, 8.0)
    small_app.make(folder)
    return App(name, folder, ["pause_s=0.08"], 0.8, 2.0)


def words_of(app: str, scheduler: str) -> Sequence[str]:
    """The overrides that choose this scheduler."""
    if app == "small":
        return small_app.words_of(scheduler)
    return [f"scheduler={scheduler}", *(["hydra.sweeper.scheduler.eta=2"] if scheduler == "asha" else [])]


def undisturbed(app: App, words: Sequence[str], n_workers: int) -> Path:
    """The folder of a sweep that ran through."""
    done = subprocess.run(
        app.command(*words, f"hydra.launcher.n_workers={n_workers}", "hydra.sweep.dir=undisturbed"),
        cwd=app.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return app.folder / "undisturbed"


class Sweep:
    """One sweep, killed some times and then run to its end."""

    def __init__(self, app: App, words: Sequence[str], number: int, chance: random.Random, total: Total) -> None:
        self.app, self.chance, self.total = app, chance, total
        self.folder = app.folder / f"sweep-{number}"
        self.words = [*words, f"hydra.sweep.dir={self.folder.name}"]
        self.process: subprocess.Popen[bytes] | None = None
        self.held = b""  # whole lines of the journal at the last kill

    def run(self, n_most: int) -> None:
        """Kills it so often at most, and runs it to its end."""
        kills = ["start", *itertools.islice(itertools.cycle(RUNNING), KILLS_WHILE_RUNNING)]
        self.chance.shuffle(kills)
        # One of the phases at the end, and the report: after that nothing is left to kill.
        kills += [self.chance.choice(OTHERS[1:3]), OTHERS[3]]
        assert len(kills) == KILLS_OF_A_SWEEP
        for kill in kills[:n_most]:
            self._kill(kill)
        process = self.process or self._start()
        if process.wait() != 0:
            self._wrong(f"the last run's exit code is {process.returncode}")

    def _kill(self, kill: str) -> None:
        n_before = len(self.events())
        if kill == "start" and self.process is not None:
            self._kill_controller("controller")
        process = self.process = self.process or self._start()
        ways: dict[str, tuple[Callable[[], bool], float]] = {
            "start": (lambda: True, self.app.start_s),
            "controller": (lambda: self.is_running(n_before), self.app.longest_s),
            "worker": (lambda: self.is_running(n_before) and self.workers() != [], self.app.longest_s),
            "end": (lambda: self.has("sweep_ended"), 0.05),
            "last job": (lambda: self.has("sweep_ended"), 0.5),
            "report": (lambda: self.has("final_ended"), 3.0),
        }
        condition, longest_s = ways[kill]
        wait_for(lambda: condition() or process.poll() is not None)
        time.sleep(self.chance.uniform(0, longest_s))
        if process.poll() is not None:
            print(f"too late for a kill in {kill}: the sweep has ended", flush=True)
            self.process = None
            return
        if kill != "worker":
            self._kill_controller(kill)
            return
        if victims := self.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(victims), signal.SIGKILL)
                self.total.kills[kill] += 1

    def workers(self) -> list[int]:
        """The processes of its workers."""
        return [] if self.process is None else workers(self.app.folder, self.process.pid)

    def _kill_controller(self, kill: str) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        self.total.kills[kill] += 1
        try:
            wait_for(lambda: not processes_of(self.app.folder), seconds=3)
        except TimeoutError:
            self._wrong(f"processes are left 3 s after a kill in {kill}: {words_of_processes(self.app.folder)}")
        self._check_kept()

    def _check_kept(self) -> None:
        """Nothing that was on record is gone, and nothing is half-written."""
        journal = self.folder / "journal.jsonl"
        content = journal.read_bytes() if journal.exists() else b""
        if not content.startswith(self.held):
            self._wrong("lines of the journal are gone")
        self.held = content[: content.rfind(b"\n") + 1]
        for path in self.folder.glob("*.yaml"):
            if yaml.safe_load(path.read_text()) is None:
                self._wrong(f"{path.name} is empty")

    def check(self, reference: Path, *, is_ordered: bool) -> None:
        """Compares it with one that nobody has disturbed."""
        self._check_kept()
        try:
            compare = small_app.differences if is_ordered else small_app.curves_that_part
            self.total.problems += [f"{self.folder.name}: {each}" for each in compare(reference, self.folder)]
            if small_app.results(self.folder).get("test_error") is None:
                self._wrong("the last job's value is missing")
        except (OSError, KeyError, ValueError, TypeError) as error:
            self._wrong(f"it can't be compared: {type(error).__name__}: {error}")
        if not (self.folder / "report.html").is_file():
            self._wrong("it has no report")
        if left := [path.name for path in self.folder.rglob("*.tmp")]:
            self._wrong(f"temporary files are left: {left}")

    def _start(self) -> subprocess.Popen[bytes]:
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(self.app.command(*self.words), cwd=self.app.folder, **silent)

    def events(self) -> list[dict[str, Any]]:
        """The whole lines of the journal."""
        path = self.folder / "journal.jsonl"
        return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []

    def has(self, kind: str) -> bool:
        """Whether the sweep is complete, and has such an event."""
        found = self.events()
        is_complete = any(each["event"] == "sweep_ended" and each["ending"] == "complete" for each in found)
        return is_complete and any(each["event"] == kind for each in found)

    def is_running(self, since: int) -> bool:
        """Whether a trial that was started after the first `since` events has not ended."""
        started: set[int] = set()
        for event in self.events()[since:]:
            if event["event"] == "segment_started":
                started.add(event["trial"])
            elif event["event"] in ("segment_ended", "segment_died", "segment_lost"):
                started.discard(event["trial"])
        return bool(started)

    def _wrong(self, problem: str) -> None:
        self.total.problems.append(f"{self.folder.name}: {problem}")


def processes_of(folder: Path) -> list[int]:
    """Living processes that work in this folder or below it, the oldest first."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
        except OSError:
            continue
    return sorted(found)


def words_of_processes(folder: Path) -> list[str]:
    """The command lines of those."""
    found = []
    for number in processes_of(folder):
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:100])
    return found


def workers(folder: Path, controller: int) -> list[int]:
    """The processes that the forkserver, a child of the controller, has forked."""
    found = []
    for number in processes_of(folder):
        try:
            parent = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
            is_forked = b"forkserver" in Path(f"/proc/{parent}/cmdline").read_bytes() and parent != controller
        except OSError:
            continue
        if is_forked:
            found.append(number)
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Raises a TimeoutError if the condition doesn't hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not hold in time")
        time.sleep(0.01)


def add(path: Path, total: Total, which: dict[str, Any]) -> None:
    """Adds the counts to those of former runs."""
    before = json.loads(path.read_text()) if path.exists() else {}
    kills = collections.Counter(before.get("kills", {})) + total.kills
    counts = {
        "n_kills": sum(kills.values()),
        "kills": dict(kills),
        "n_sweeps": before.get("n_sweeps", 0) + total.n_sweeps,
        "problems": [*before.get("problems", []), *total.problems],
        "slices": [*before.get("slices", []), {**which, "n_kills": total.n_kills}],
    }
    path.write_text(json.dumps(counts, indent=1) + "\n")


if __name__ == "__main__":
    main()
