"""Faults on each engine: how long until the journal knows, and whether the sweep ends right.

    python benchmarks/engine_faults.py [--engines local ray dask slurm] [--faults worker agent ...] [--json FILE]
    python benchmarks/engine_faults.py --random 50 [--seed 0] [--app small] [--total FILE]

Each fault comes while a trial trains, after two of its eight epochs. The time is that from the fault until the journal
has its line (a segment died, lost or ended), or until the trial's processes are gone, where the controller is killed.
Then the sweep goes to its end, resumed where the fault has ended its controller. Checked are:

- Draws, learning curves (all columns but `seconds`), states, winner and results are those of an undisturbed sweep.
- What the journal held stands in it for good, byte by byte; nothing is half-written.
- No process of the sweep is left.
- The controller's exit code, and the end of the sweep in its journal, are those that belong to the fault.

The faults:

- worker, agent, node: the trial's process, what the engine has placed on the node (an actor, a Dask worker, a Slurm
  job's process), or the whole node is killed.
- silence, node silence: the agent, or the engine's own process on the node, is stopped, and wakes when the journal
  knows or the sweep ends.
- hang: the trial ignores SIGTERM; the time is that beyond `trial_timeout`.
- preemption: on Slurm, a job that is more important takes the node.
- controller: SIGKILL. SIGINT and SIGTERM: to the controller.
- full disk: the sweep's folder takes nothing more. It needs the right to mount.
- two controllers: a second one is started on the folder, and has to be refused.

`--random` draws faults and moments, spread over the engines, and lets several of them come to one sweep. `--app own` is
hposweep's own app, with Keras. Exits with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import chaos
import engine_clusters
import full_disk
import psutil
import small_app
from engine_clusters import Cluster
from rich.console import Console
from rich.table import Table

from hposweep.sweep_folder.trial_files import TrialFiles

MARK = "BENCHMARK_OF_FAULTS"  # an environment variable of all processes of a sweep's trials
HANGING = 0  # the trial that hangs
TRIAL_TIMEOUT_S = 4.0
N_EPOCHS_BEFORE = 2  # of a trial, of eight, when its fault comes
SLOWLY = "pause_s=0.8"  # of an epoch, where the engine takes seconds to act
DISK_KB = 50_000
FAULTS = (
    *("worker", "agent", "node", "silence", "node silence", "hang", "preemption"),
    *("controller", "SIGINT", "SIGTERM", "full disk", "two controllers"),
)
ENDS_CONTROLLER = {"controller": -signal.SIGKILL, "SIGINT": 130, "SIGTERM": 143, "full disk": 1}
KNOWN_BY = {
    "worker": ("segment_died",),
    # Slurm doesn't tell who has killed the job.
    "agent": ("segment_lost", "segment_died"),
    "hang": ("segment_ended",),
    **dict.fromkeys(("node", "silence", "node silence", "preemption"), ("segment_lost",)),
}
FAULTS_OF_A_SWEEP = 6
# They take half a minute each until the engine or we believe them, and end a trial for good.
NOT_AT_RANDOM = ("silence", "node silence", "hang")


@dataclass(frozen=True)
class Outcome:
    """What became of a fault."""

    engine: str
    fault: str
    seconds: float | None  # until the journal knew; None: it never needed to
    note: str
    problems: list[str]


class TooLateError(Exception):
    """The sweep has ended before the fault could come."""


class Sweep(chaos.Sweep):
    """A sweep on an engine, to which faults come."""

    def __init__(
        self, app: chaos.App, words: Sequence[str], name: str, cluster: Cluster, chance: random.Random
    ) -> None:
        super().__init__(app, [*words, *cluster.words], 0, chance, chaos.Total())
        self.folder = app.folder / name
        self.words[self.words.index("hydra.sweep.dir=sweep-0")] = f"hydra.sweep.dir={name}"
        self.words += [f"+hydra.job.env_set.{MARK}={name}"]
        self.cluster, self.note = cluster, ""
        self._ran_on: dict[int, int] = {}  # trials that outlived their controller, with the jobs that they had had

    def _start(self) -> subprocess.Popen[bytes]:
        with open(self.folder.with_name(f"{self.folder.name}.log"), "ab") as file:
            return subprocess.Popen(self.app.command(*self.words), cwd=self.app.folder, stdout=file, stderr=file)

    def workers(self) -> list[int]:
        """The processes that train."""
        return [each.pid for each in self.processes() if "forkserver" in words_of(each.parent())]

    def processes(self) -> list[psutil.Process]:
        """All processes of its trials."""
        return [each for each in psutil.process_iter() if mark_of(each) == self.folder.name]

    def training(self, n_epochs: int) -> int:
        """Waits until a trial has trained so many epochs, and is not done; returns its process.

        Raises:
            TooLateError: if the sweep has ended meanwhile.
        """
        found: list[int] = []

        def is_there() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise TooLateError
            found[:] = [process for process in self.workers() if self._n_trained(process) >= n_epochs]
            return bool(found)

        chaos.wait_for(is_there)
        return self.chance.choice(found)

    def _n_trained(self, process: int) -> int:
        """Epochs that the trial in this process has trained; 0 where it is over."""
        for number in self.running():
            if output_is_open(process, folder := self.folder / "trials" / f"{number}"):
                path = TrialFiles(folder, ".").learning_curve
                return len(path.read_bytes().splitlines()) - 1 if path.exists() else 0
        return 0

    def running(self) -> list[int]:
        """The trials that run, as the journal has it."""
        found: dict[int, None] = {}
        for event in self.events():
            if event["event"] == "segment_started":
                found[event["trial"]] = None
            elif event["event"] in ("segment_ended", "segment_died", "segment_lost"):
                found.pop(event["trial"], None)
        return list(found)

    def _n_jobs(self, trial: int) -> int:
        return sum(each["event"] == "segment_started" and each["trial"] == trial for each in self.events())

    def times_of(self, trial: int) -> dict[str, float]:
        """When each kind of event has last come to the trial."""
        return {event["event"]: at(event) for event in self.events() if event.get("trial") == trial}

    def until(self, kinds: Sequence[str], n_before: int) -> float | None:
        """Waits for an event of these kinds; None: the sweep has ended without it."""
        started = time.monotonic()

        def is_known() -> bool:
            return any(event["event"] in (*kinds, "sweep_ended") for event in self.events()[n_before:])

        chaos.wait_for(is_known)
        seconds = time.monotonic() - started
        return seconds if any(event["event"] in kinds for event in self.events()[n_before:]) else None

    def suffer(self, fault: str, n_epochs: int) -> float | None:
        """Starts it if it doesn't run, lets the fault come, and returns the seconds until it was known."""
        self.note = ""
        self.process = self.process or self._start()
        trial = self.training(n_epochs)
        n_before = len(self.events())
        if fault in ENDS_CONTROLLER:
            return self._end_controller(fault)
        if fault == "two controllers":
            return self._start_second()
        if fault == "hang":
            chaos.wait_for(lambda: "segment_ended" in self.times_of(HANGING))
            times = self.times_of(HANGING)
            return times["segment_ended"] - times["segment_started"] - TRIAL_TIMEOUT_S
        wake = self._begin(fault, trial)
        seconds = self.until(KNOWN_BY[fault], n_before)
        if wake is not None:
            wake()
        self.cluster.heal()
        return seconds

    def _begin(self, fault: str, trial: int) -> Callable[[], None] | None:
        if fault == "worker":
            os.kill(trial, signal.SIGKILL)
            return None
        acts: dict[str, Callable[[int], Callable[[], None] | None]] = {
            "agent": self.cluster.lose_agent,
            "node": self.cluster.lose_node,
            "silence": self.cluster.silence,
            "node silence": self.cluster.silence_node,
            "preemption": self.cluster.preempt,
        }
        return acts[fault](trial)

    def _end_controller(self, fault: str) -> float | None:
        assert self.process is not None
        filler = self.folder / "filler"
        if fault == "full disk":
            fill(filler)
        else:
            number = signal.SIGKILL if fault == "controller" else signal.Signals[fault]
            self.process.send_signal(number)
        started = time.monotonic()
        exit_code = self.process.wait(timeout=120)
        self.process = None
        if exit_code != ENDS_CONTROLLER[fault]:
            self._wrong(f"exit code {exit_code} after {fault}")
        seconds = time.monotonic() - started
        if fault == "controller" and self.cluster.keeps_jobs:
            self._ran_on = {trial: self._n_jobs(trial) for trial in self.running()}
        else:
            self._wait_until_gone(fault)
            seconds = time.monotonic() - started
        filler.unlink(missing_ok=True)
        self._check_kept()
        return seconds

    def _wait_until_gone(self, what: str) -> None:
        try:
            chaos.wait_for(lambda: not self.processes(), seconds=60)
        except TimeoutError:
            self._wrong(f"processes are left 60 s after {what}: {[words_of(each) for each in self.processes()]}")

    def _start_second(self) -> float:
        started = time.monotonic()
        done = subprocess.run(
            self.app.command(*self.words), cwd=self.app.folder, capture_output=True, text=True, timeout=60, check=False
        )
        self.note = (done.stderr.strip().splitlines() or ["nothing was said"])[-1].replace(str(self.folder), "FOLDER")
        if done.returncode != 1 or "Traceback" in done.stderr:
            self._wrong(f"the second controller: exit code {done.returncode}, {done.stderr[-500:]}")
        return time.monotonic() - started

    def finish(self) -> None:
        """Lets it come to its end."""
        process = self.process or self._start()
        exit_code = process.wait(timeout=120)
        if exit_code != 0:
            last = self.folder.with_name(f"{self.folder.name}.log").read_text()[-1000:]
            self._wrong(f"the last run's exit code is {exit_code}: {last}")
        self._wait_until_gone("the end")
        if self._ran_on:
            n_adopted = sum(self._n_jobs(trial) == n_before for trial, n_before in self._ran_on.items())
            self.note = f"{len(self._ran_on)} trials ran on, {n_adopted} of them adopted"

    def close(self) -> None:
        """Ends its controller, if the benchmark was interrupted."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def problems(self) -> list[str]:
        """What was wrong."""
        return self.total.problems


def main() -> None:
    """Runs each fault on each engine, or random ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", default=engine_clusters.NAMES, choices=engine_clusters.NAMES)
    parser.add_argument("--faults", nargs="+", default=FAULTS, choices=FAULTS)
    parser.add_argument("--random", type=int, default=0, help="this many random faults in place of each once")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random faults and of their moments")
    parser.add_argument("--app", choices=["small", "own"], default="small", help="what random faults come to")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    missing = {each: engine_clusters.missing(each) for each in arguments.engines}
    engines = [each for each, reason in missing.items() if not reason or left_out(each, reason)]
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        app = chaos.made(arguments.app, Path(name).resolve())
        if arguments.random:
            outcomes = at_random(app, engines, arguments.random, chance)
        else:
            outcomes = each_once(app, engines, arguments.faults, chance)
    report = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    if arguments.random:
        report[f"random, {arguments.app}, seed {arguments.seed}"] = [vars(each) for each in outcomes]
    else:
        # A run of some faults leaves those of the others.
        of_others = {(each["engine"], each["fault"]): each for each in report.get("each once", [])}
        now = {(each.engine, each.fault): vars(each) for each in outcomes}
        report["each once"] = list((of_others | now).values())
    arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    show(outcomes)
    sys.exit(any(each.problems for each in outcomes))


def left_out(what: str, reason: str) -> bool:
    """Says so; false."""
    print(f"{what} is left out: {reason}", flush=True)
    return False


def each_once(app: chaos.App, engines: Sequence[str], faults: Sequence[str], chance: random.Random) -> list[Outcome]:
    """Each fault on each engine, to a sweep of its own."""
    words = ["hydra.sweeper.n_trials=5", "hydra.launcher.n_workers=2"]
    reference = chaos.undisturbed(app, words, 2)
    outcomes = []
    for engine in engines:
        with engine_clusters.cluster(engine, n_nodes=2) as cluster:
            for fault in faults:
                if not has(engine, cluster, fault):
                    continue
                name = f"{engine}-{fault}".replace(" ", "-")
                with disk_of(app.folder / name, fault) as is_there:
                    if is_there:
                        outcomes.append(once(app, words, name, (engine, fault), cluster, chance, reference))
                        print(outcomes[-1], flush=True)
    return outcomes


def once(
    app: chaos.App,
    words: Sequence[str],
    name: str,
    what: tuple[str, str],
    cluster: Cluster,
    chance: random.Random,
    reference: Path,
) -> Outcome:
    """One fault, to one sweep."""
    engine, fault = what
    if fault == "hang":
        words = [*words, f"hanging_trial={HANGING}", f"hydra.sweeper.trial_timeout={TRIAL_TIMEOUT_S}"]
    elif cluster.keeps_jobs:
        words = [*words, SLOWLY]
    sweep = Sweep(app, words, name, cluster, chance)
    with contextlib.closing(sweep):
        seconds = sweep.suffer(fault, N_EPOCHS_BEFORE)
        sweep.finish()
    if fault == "hang":
        # The results count a trial less.
        own = (f"trial {HANGING},", f"trial {HANGING}:", "results:")
        problems = [each for each in small_app.differences(reference, sweep.folder) if not each.startswith(own)]
        state = small_app.table(sweep.folder)[HANGING]["state"]
        problems += [] if state == "TIMED_OUT" else [f"the trial that hangs is {state}"]
        return Outcome(engine, fault, seconds, sweep.note, [*sweep.problems, *problems])
    sweep.check(reference, is_ordered=True)
    return Outcome(engine, fault, seconds, sweep.note, sweep.problems)


def at_random(app: chaos.App, engines: Sequence[str], n_faults: int, chance: random.Random) -> list[Outcome]:
    """So many faults, to sweeps on all engines in turn."""
    n_trials = chaos.TRIALS_OF_A_WORKER[app.name, "fifo"] * 2
    words = [f"hydra.sweeper.n_trials={n_trials}", *chaos.words_of(app.name, "fifo"), "hydra.launcher.n_workers=2"]
    reference = chaos.undisturbed(app, words, 2)
    outcomes: list[Outcome] = []
    for number, engine in enumerate(engines):
        n_of_engine = len(range(number, n_faults, len(engines)))
        with engine_clusters.cluster(engine, n_nodes=2) as cluster:
            possible = [each for each in FAULTS if has(engine, cluster, each) and each not in NOT_AT_RANDOM]
            own_words = [*words, SLOWLY] if cluster.keeps_jobs and app.name == "small" else words
            found: list[Outcome] = []
            while len(found) < n_of_engine:
                sweep = Sweep(app, own_words, f"{engine}-{len(found)}", cluster, chance)
                with disk_of(sweep.folder, "full disk") as can_be_full, contextlib.closing(sweep):
                    faults = [each for each in possible if can_be_full or each != "full disk"]
                    with contextlib.suppress(TooLateError):
                        for _ in range(min(FAULTS_OF_A_SWEEP, n_of_engine - len(found))):
                            fault = chance.choice(faults)
                            seconds = sweep.suffer(fault, chance.randrange(7))
                            found.append(Outcome(engine, fault, seconds, sweep.note, []))
                            print(found[-1], flush=True)
                    sweep.finish()
                    sweep.check(reference, is_ordered=True)
                found[-1].problems.extend(sweep.problems)
                print(f"{len(found)} faults on {engine}, wrong: {sweep.problems}", flush=True)
            outcomes += found
    return outcomes


def has(engine: str, cluster: Cluster, fault: str) -> bool:
    """Whether this fault can come to this engine."""
    if fault == "agent":
        return engine != "local"
    if fault == "silence":
        # Nobody asks a Slurm job whether it lives: its time limit ends it.
        return engine in ("ray", "dask")
    if fault in ("node", "node silence", "preemption"):
        act = {"node": "lose_node", "node silence": "silence_node", "preemption": "preempt"}[fault]
        return getattr(type(cluster), act) is not getattr(Cluster, act)
    return True


@contextlib.contextmanager
def disk_of(folder: Path, fault: str) -> Iterator[bool]:
    """A small disk in the sweep's folder, where the fault needs one; whether it is there."""
    if fault != "full disk":
        yield True
    elif not can_mount(folder.parent):
        yield left_out(fault, "no right to mount")
    else:
        with full_disk.tmpfs(folder, DISK_KB, 10_000):
            yield True


can_mount = functools.cache(full_disk.can_mount)  # it can be asked once


def fill(path: Path) -> None:
    """Writes until nothing more can be written."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def at(event: dict[str, Any]) -> float:
    """When it happened."""
    return datetime.fromisoformat(event["time"]).timestamp()


def mark_of(process: psutil.Process) -> str:
    """The sweep to whose trials a process belongs; empty: to none."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return process.environ().get(MARK, "")
    except psutil.Error:
        return ""


def words_of(process: psutil.Process | None) -> str:
    """Its command line."""
    try:
        return "" if process is None else " ".join(process.cmdline())
    except psutil.Error:
        return ""


def output_is_open(process: int, folder: Path) -> bool:
    """Whether what it prints goes to a file in this folder: it runs the folder's trial."""
    try:
        return Path(f"/proc/{process}/fd/1").readlink().is_relative_to(folder)
    except OSError:
        return False


def show(outcomes: Sequence[Outcome]) -> None:
    """The table."""
    table = Table("engine", "fault", "known after, s", "wrong", "")
    for each in outcomes:
        seconds = "-" if each.seconds is None else f"{each.seconds:.2f}"
        table.add_row(each.engine, each.fault, seconds, "; ".join(each.problems) or "nothing", each.note)
    Console().print(table)


if __name__ == "__main__":
    main()
