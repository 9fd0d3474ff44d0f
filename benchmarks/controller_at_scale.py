"""What the controller itself costs: the real tuner, journal and tables with thousands of simulated workers.

    python benchmarks/controller_at_scale.py                      # all of it, in about 18 minutes
    python benchmarks/controller_at_scale.py --only controller    # or stop, folder; other figures stay as they are

Controller: jobs last half to one and a half of `trial_s`, evenly drawn, in real time; a thread ends them as a pool of
processes would, and its processor time is counted as the controller's. Each row runs for `wall_s` seconds and is then
stopped. `load` is the machine's when the row begins: where others use the processor, workers wait longer. `busy` is the
share of that time, from the very start, in which workers had a job; `lag` is the time from the end of a job to the
start of the next one on its worker; `cpu` is the share of one core that the controller took.

Stop: how long a request to stop waits that comes 0.1 s after the start, while all workers start.

Folder: ASHA with 100,000 trials and their learning curves, and what is done with its folder, each in a process of its
own, imports included.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import heapq
import io
import json
import logging
import multiprocessing
import os
import random
import resource
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import make_sweep

import hposweep
from hposweep.commands import best, compare, report
from hposweep.history import Ending, replay
from hposweep.schedulers import Scheduler
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.search_space import SearchSpace, parse_hyperparameter, trial_seed
from hposweep.searchers import Searcher
from hposweep.searchers.bayesian import BayesianSearcher
from hposweep.searchers.random import RandomSearcher
from hposweep.sweep_folder import tables
from hposweep.sweep_folder.journal import Journal, read_events
from hposweep.sweep_folder.keeper import FolderKeeper
from hposweep.trial import Segment, SegmentEnd, SegmentResult, Trial
from hposweep.tuner import Tuner
from hposweep.workers.local.worker import JobAnswer
from hposweep.workers.protocol import NoStopRequest
from hposweep.workers.segments import PoolFutures

SPACE = SearchSpace({key: parse_hyperparameter("loguniform(1e-4, 1)") for key in "abcd"})
SEARCHERS: dict[str, Callable[[], Searcher]] = {
    "random": lambda: RandomSearcher(SPACE, 0),
    "bayesian": lambda: BayesianSearcher(SPACE, 0),
}
SCHEDULERS: dict[str, Callable[[], Scheduler]] = {"fifo": FifoScheduler, "asha": lambda: AshaScheduler(r_max=50)}


@dataclass(frozen=True)
class Case:
    """One sweep under way."""

    searcher: str
    scheduler: str
    workers: int
    trial_s: float  # mean length of a job
    wall_s: float  # for which it runs

    @property
    def name(self) -> str:
        return f"{self.searcher}+{self.scheduler}, {self.workers} workers, {self.trial_s:g} s"


CASES = (
    Case("random", "fifo", 1_000, 2.0, 60),
    Case("random", "asha", 1_000, 2.0, 60),
    Case("random", "fifo", 10_000, 60.0, 150),
    Case("random", "asha", 10_000, 60.0, 150),
    Case("bayesian", "fifo", 100, 2.0, 60),
    Case("bayesian", "fifo", 1_000, 60.0, 150),
)


class SimulatedPool:
    """Jobs that end by the clock on the wall, in a thread of their own as those of a real pool."""

    def __init__(self, n_workers: int, mean_s: float) -> None:
        self.n_workers, self._mean_s = n_workers, mean_s
        self.lags_s: list[float] = []
        self.n_ended = 0
        self.busy_s = 0.0  # of jobs that have ended
        self._started: dict[Future[JobAnswer], float] = {}
        self._chance = random.Random(0)
        self._ends: list[tuple[float, int, Future[JobAnswer]]] = []
        self._idle_since: collections.deque[float] = collections.deque()
        self._changed = threading.Condition()
        self._is_stopped = False
        threading.Thread(target=self._run, daemon=True).start()

    def submit(self, trial: int) -> Future[JobAnswer]:
        """Begins a job on the worker that has waited longest."""
        job: Future[JobAnswer] = Future()
        now = time.monotonic()
        with self._changed:
            if self._idle_since:
                self.lags_s.append(now - self._idle_since.popleft())
            self._started[job] = now
            end = now + self._chance.uniform(0.5, 1.5) * self._mean_s
            heapq.heappush(self._ends, (end, trial, job))
            if self._ends[0][0] == end:
                self._changed.notify()
        return job

    def cancel(self, future: Future[JobAnswer]) -> None:
        """Ends the job now."""
        with self._changed:
            started = self._started.pop(future, None)
        if started is not None:
            self.busy_s += time.monotonic() - started
            result = SegmentResult(0.0, failure="cut off", end=SegmentEnd.CUT_OFF)
            future.set_result(JobAnswer(result, 0.0))

    def stop(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()

    def _run(self) -> None:
        while not self._is_stopped:
            now = time.monotonic()
            ended = []
            with self._changed:
                while self._ends and self._ends[0][0] <= now:
                    end, trial, job = heapq.heappop(self._ends)
                    started = self._started.pop(job, None)
                    if started is not None:
                        self.busy_s += end - started
                        self._idle_since.append(end)
                        ended.append((trial, job))
                if not ended:
                    self._changed.wait(self._ends[0][0] - now if self._ends else None)
            for trial, job in ended:
                self.n_ended += 1
                value = self._chance.random()
                job.set_result(JobAnswer(SegmentResult(self._mean_s, value, folder=f"trials/{trial}"), 0.0))


class SimulatedWorkers(PoolFutures):
    """Segments on a simulated pool."""

    def __init__(self, pool: SimulatedPool) -> None:
        super().__init__(pool)
        self._simulated = pool

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        return self.of_job(self._simulated.submit(trial.number), str)


def tuner_of(case: Case, folder: Path, pool: SimulatedPool, stop: NoStopRequest) -> Tuner:
    """A tuner whose journal and tables stand in this folder."""
    tuner = Tuner(
        SEARCHERS[case.searcher](),
        SCHEDULERS[case.scheduler](),
        Journal.open(folder),
        SimulatedWorkers(pool),
        n_trials=10_000_000,
        seed=0,
        trial_seed=lambda number, configuration: trial_seed(0, number),
        stop_request=stop,
    )
    tuner.observer = FolderKeeper(folder, tuner.history, None, keeps_checkpoints=False)
    return tuner


def run_until(tuner: Tuner, stop: NoStopRequest, after_s: float) -> tuple[float, float]:
    """Runs the sweep, and asks it to stop at once after so many seconds.

    Returns:
        Seconds from the start to the request, and from the request to the end of the sweep.
    """
    started_at, asked_at = time.monotonic(), 0.0

    def ask() -> None:
        nonlocal asked_at
        asked_at = time.monotonic()
        stop.is_made = stop.is_urgent = True

    timer = threading.Timer(after_s, ask)
    timer.start()
    assert tuner.run().ending is Ending.INTERRUPTED
    timer.cancel()
    tuner.workers.stop()
    return asked_at - started_at, time.monotonic() - asked_at


def under_way(case: Case) -> dict[str, Any]:
    """One sweep for some time."""
    pool, stop, load = SimulatedPool(case.workers, case.trial_s), NoStopRequest(), round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as folder:
        tuner = tuner_of(case, Path(folder), pool, stop)
        started_cpu_s = time.process_time()
        wall_s, stopping_s = run_until(tuner, stop, case.wall_s)
        cpu_s = time.process_time() - started_cpu_s
        journal_bytes = (Path(folder) / "journal.jsonl").stat().st_size
    lags_s = sorted(pool.lags_s) or [0.0]
    return {
        **dataclasses.asdict(case),
        "load": load,
        "segments_per_s": round(pool.n_ended / wall_s, 1),
        "busy": round(pool.busy_s / (case.workers * wall_s), 3),
        "lag_ms_median": round(1000 * statistics.median(lags_s), 1),
        "lag_ms_p99": round(1000 * lags_s[int(0.99 * len(lags_s))], 1),
        "lag_ms_largest": round(1000 * lags_s[-1], 1),
        "cpu": round(cpu_s / (wall_s + stopping_s), 3),
        "peak_mb": peak_mb(),
        "journal_bytes_per_trial": round(journal_bytes / max(1, len(tuner.history.trials))),
    }


def stopped(n_workers: int) -> dict[str, Any]:
    """A request to stop while all workers start."""
    case = Case("random", "fifo", n_workers, 1000.0, 0.1)
    pool, stop = SimulatedPool(n_workers, case.trial_s), NoStopRequest()
    with tempfile.TemporaryDirectory() as folder:
        _, stopping_s = run_until(tuner_of(case, Path(folder), pool, stop), stop, case.wall_s)
    return {"workers": n_workers, "seconds": round(stopping_s, 2)}


def resume(folder: Path) -> None:
    """Up to the point from which a resumed sweep can start trials."""
    case = Case("random", "asha", 1, 1.0, 1.0)
    tuner = tuner_of(case, folder, SimulatedPool(1, 1.0), NoStopRequest())
    tuner.replay(read_events(folder))
    assert not tuner.is_complete()


def compare_with_itself(folder: Path) -> None:
    """Two sweeps of this size."""
    other = folder.with_name(f"{folder.name}-again")
    if not other.exists():
        shutil.copytree(folder, other, copy_function=os.link)
    compare.main([str(folder), str(other)])


STEPS: dict[str, Callable[[Path], object]] = {
    "write the tables": lambda folder: tables.write(folder, replay(read_events(folder)), None),
    "resume": resume,
    "load": hposweep.load,
    "load, trials and segments": lambda folder: (sweep := hposweep.load(folder)) and (sweep.trials, sweep.segments),
    "report": lambda folder: report.main([str(folder)]),
    "best": lambda folder: best.main([str(folder)]),
    "compare two": compare_with_itself,
}


def step(name: str, folder: Path) -> dict[str, Any]:
    """One thing that is done with a sweep's folder."""
    started = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()):
        STEPS[name](folder)
    wall_s = time.monotonic() - started
    return {"step": name, "seconds": round(wall_s, 1), "cpu_s": round(time.process_time(), 1), "peak_mb": peak_mb()}


def sizes(folder: Path) -> dict[str, Any]:
    """The files of a sweep."""
    names = {"journal_mb": "journal.jsonl", "trials_csv_mb": "trials.csv", "report_mb": "report.html"}
    return {key: round((folder / name).stat().st_size / 1e6, 1) for key, name in names.items()}


def peak_mb() -> int:
    """The most memory that this process has had."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def in_a_process(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What the function returns in a process of its own, so that peaks of memory are its own."""
    context = multiprocessing.get_context("spawn")
    # Without a line of the log a trial.
    with ProcessPoolExecutor(1, context, initializer=logging.disable, initargs=(logging.WARNING,)) as pool:
        row = pool.submit(function, *arguments).result()
    print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return row


def made(folder: Path, n_trials: int) -> dict[str, Any]:
    """A sweep of so many trials, written without a controller."""
    make_sweep(folder, n_trials, n_epochs=50, n_workers=1000)
    return {"trials": n_trials}


def folder_rows(n_trials: int) -> dict[str, Any]:
    """All that is done with the folder of a large sweep."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "sweep"
        in_a_process(made, folder, n_trials)
        steps = [in_a_process(step, each, folder) for each in STEPS]
        return {"trials": n_trials, **sizes(folder), "steps": steps}


def guide_lines(found: dict[str, Any]) -> list[str]:
    """The lines of docs/guides/scale.md that hold these figures."""
    lines = []
    for row in found["controller"].values():
        method = f"`{row['searcher']}`, `{row['scheduler']}` | {row['workers']:,} | {row['trial_s']:g} s"
        lags = f"{row['lag_ms_median']:,.0f} | {row['lag_ms_p99']:,.0f} ms"
        speed = f"{row['segments_per_s']:.0f} | {row['busy']:.1%}"
        lines.append(f"| {method} | {speed} | {lags} | {row['cpu']:.0%} | {row['peak_mb']} MB | {row['load']:g} |")
    folder = found["folder"]
    lines += [f"| {row['step']} | {row['cpu_s']:.0f} s | {row['peak_mb']} MB |" for row in folder["steps"]]
    lines.append(f"{folder['journal_mb']:.0f} MB of `journal.jsonl`, {folder['trials_csv_mb']:.0f} MB of `trials.csv`")
    lines.append(f"a page of {folder['report_mb']:.0f} MB")
    lines.append(f"stopped {found['stop']['seconds']:.1f} s after the request")
    return lines


def main() -> None:
    """Runs the benchmark, and prints what the guide has to say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("controller", "stop", "folder"))
    parser.add_argument("--case", type=int, nargs="+", default=range(len(CASES)), help="rows of the controller, from 0")
    parser.add_argument("--trials", type=int, default=100_000, help="of the sweep whose folder is read")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    new: dict[str, Any] = {"cores": os.cpu_count()}
    if arguments.only in (None, "controller"):
        new["controller"] = {case.name: in_a_process(under_way, case) for case in (CASES[n] for n in arguments.case)}
    if arguments.only in (None, "stop"):
        new["stop"] = in_a_process(stopped, 10_000)
    if arguments.only in (None, "folder"):
        new["folder"] = folder_rows(arguments.trials)
    old = json.loads(arguments.json.read_text(encoding="utf-8")) if arguments.json.exists() else {}
    found = {**old, **new, "controller": {**old.get("controller", {}), **new.get("controller", {})}}
    arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if {"controller", "stop", "folder"} <= found.keys():
        print("\n".join(guide_lines(found)))


if __name__ == "__main__":
    main()
