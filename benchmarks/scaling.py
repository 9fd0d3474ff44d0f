"""How ASHA uses many workers: makespan from 1 to 500 of them, stragglers, and what a decision costs.

    python benchmarks/scaling.py [--trials 10000] [--peers]

Simulated over the recorded mlp table, 81 epochs, eta 3. The bound of a makespan is work / workers + the longest chain:
all seconds of training, spread evenly, plus the longest time that one trial's segments take one after the other. "Busy"
is the share of their time that workers work until the last trial begins. With stragglers each segment takes 1 + |z|
times as long, z normal with the given standard deviation; measured is the time until the first trial is complete (Li et
al. 2020, appendix A.1). `--peers` adds Optuna's SuccessiveHalvingPruner and Syne Tune's ASHA (pip install optuna
syne-tune), with as many trials. Writes scaling.json and docs/scaling.svg.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from hposweep.history import SegmentEnded, SegmentStarted
from hposweep.schedulers import Scheduler
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.hyperband import HyperbandScheduler
from hposweep.schedulers.median_stopping import MedianStoppingScheduler
from hposweep.schedulers.successive_halving import SuccessiveHalvingScheduler
from hposweep.simulation import CurveTable, SimulatedSweep, simulate
from hposweep.trial import TrialState

HERE = Path(__file__).parent
WORKERS = (1, 5, 10, 25, 50, 100, 250, 500)
STRAGGLING = (0.0, 0.5, 1.0, 2.0)
KINDS: dict[str, Callable[[int], Scheduler]] = {
    "ASHA": AshaScheduler,
    "successive halving": SuccessiveHalvingScheduler,
    "Hyperband": HyperbandScheduler,
    "median stopping": MedianStoppingScheduler,
}


def main() -> None:
    """Runs all of it, prints tables, writes JSON and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=30, help="of the sweeps with stragglers")
    parser.add_argument("--peers", action="store_true", help="Optuna's and Syne Tune's, too")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    table = CurveTable.load(HERE / "curves" / "mlp.npz")
    report = {
        "n_trials": arguments.trials,
        "makespan": [makespan(table, arguments.trials, n_workers) for n_workers in WORKERS],
        "straggling": [stragglers(table, std, arguments.seeds) for std in STRAGGLING],
        "decision_ms": decisions(table, arguments.trials),
    }
    if arguments.peers:
        report["peers"] = peers(table, arguments.trials)
    arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report)
    plot(report, HERE.parent / "docs" / "scaling.svg")


def makespan(table: CurveTable, n_trials: int, n_workers: int) -> dict[str, float]:
    """Of one sweep, against its bound."""
    started = time.monotonic()
    swept = simulate(table, AshaScheduler(table.n_epochs), n_trials=n_trials, n_workers=n_workers)
    took = time.monotonic() - started
    bound = swept.busy_s / n_workers + longest_chain(swept)
    busy = busy_until_last_trial(swept, n_workers)
    return {
        "n_workers": n_workers,
        "seconds": swept.seconds,
        "bound": bound,
        "ratio": swept.seconds / bound,
        "busy": busy,
        "simulated_in_s": took,
    }


def longest_chain(swept: SimulatedSweep) -> float:
    """The longest time of the segments of one trial."""
    return max(trial.duration_s for trial in swept.history.trials.values())


def busy_until_last_trial(swept: SimulatedSweep, n_workers: int) -> float:
    """The share of their time that workers work until the last trial begins."""
    begins = {}
    begun: dict[int, float] = {}
    intervals = []
    for event in swept.events:
        if isinstance(event, SegmentStarted):
            begun[event.trial] = seconds_of(event.time)
            begins.setdefault(event.trial, begun[event.trial])
        elif isinstance(event, SegmentEnded):
            intervals.append((begun[event.trial], seconds_of(event.time)))
    first, last = min(begins.values()), max(begins.values())
    worked = sum(min(end, last) - start for start, end in intervals if start < last)
    return worked / ((last - first) * n_workers) if last > first else 1.0


def seconds_of(date: str) -> float:
    """Virtual seconds."""
    return datetime.fromisoformat(date).timestamp()


def stragglers(table: CurveTable, std: float, n_seeds: int) -> dict:
    """Seconds until the first trial is complete, 25 workers, medians over seeds."""
    first_complete = {}
    for name in ("ASHA", "successive halving", "Hyperband"):
        times = []
        for seed in range(n_seeds):
            swept = simulate(
                *(table, KINDS[name](table.n_epochs)),
                **{"n_trials": 810, "n_workers": 25, "seed": seed, "straggling": std},
            )
            ends = [event for event in swept.events if isinstance(event, SegmentEnded)]
            complete = next(event for event in ends if event.state is TrialState.COMPLETE)
            times.append(seconds_of(complete.time) - seconds_of(swept.events[0].time))
        first_complete[name] = float(np.median(times))
    return {"std": std, "first_complete_s": first_complete}


def peers(table: CurveTable, n_trials: int) -> dict[str, dict[str, float]]:
    """As many trials on 500 workers by ours and by others: makespan, epochs used, and the best value seen."""
    from peers import PEERS, run_peer

    from schedulers import course

    ours = simulate(table, AshaScheduler(table.n_epochs), n_trials=n_trials, n_workers=500)
    courses = {"ASHA": course(ours.events, table.n_epochs)}
    for name in ("Optuna, successive halving", "Syne Tune, ASHA"):
        courses[name] = run_peer(PEERS[name], table, n_trials, 500, seed=0)
    return {
        name: {"seconds": float(each[:, 1].max()), "epochs": float(each[-1, 0]), "best": float(each[-1, 2])}
        for name, each in courses.items()
    }


def decisions(table: CurveTable, n_trials: int) -> dict[str, float]:
    """The slowest of a scheduler's answers and records in a sweep of so many trials, in milliseconds."""
    slowest = {}
    for name, build in KINDS.items():
        scheduler = Timed(build(table.n_epochs))
        simulate(table, scheduler, n_trials=n_trials, n_workers=100)
        # The very slowest one measures what else the machine did at that moment.
        slowest[name] = 1000 * float(np.quantile(scheduler.seconds, 0.999))
    return slowest


class Timed:
    """A scheduler with a stop watch."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.seconds: list[float] = []
        self.n_trials_to_complete_one = scheduler.n_trials_to_complete_one

    def __getattr__(self, name: str):
        method = getattr(self.scheduler, name)

        def timed(*arguments, **keywords):
            started = time.perf_counter()
            answer = method(*arguments, **keywords)
            self.seconds.append(time.perf_counter() - started)
            return answer

        return timed


def show(report: dict) -> None:
    """The tables."""
    console = Console(width=120)
    table = Table(*("workers", "makespan, s", "bound, s", "ratio", "busy until the last begins", "simulated in, s"))
    for row in report["makespan"]:
        cells = [f"{row['seconds']:.0f}", f"{row['bound']:.0f}", f"{row['ratio']:.3f}", f"{row['busy']:.3f}"]
        table.add_row(str(row["n_workers"]), *cells, f"{row['simulated_in_s']:.1f}")
    console.print(table)
    names = list(report["straggling"][0]["first_complete_s"])
    table = Table("straggling, std", *names, title="seconds until the first complete trial, 25 workers")
    for row in report["straggling"]:
        table.add_row(f"{row['std']:g}", *(f"{row['first_complete_s'][name]:.0f}" for name in names))
    console.print(table)
    for name, row in report.get("peers", {}).items():
        console.print(
            f"{name}, 500 workers: {row['seconds']:.0f} s, {row['epochs']:.0f} epochs, best value {row['best']:.4f}"
        )
    for name, milliseconds in report["decision_ms"].items():
        console.print(f"{name}: 999 of 1000 calls took at most {milliseconds:.3f} ms")


def plot(report: dict, path: Path) -> None:
    """Makespan and bound against workers; lost time against straggling."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "hposweep"
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    workers = [row["n_workers"] for row in report["makespan"]]
    left.loglog(workers, [row["seconds"] for row in report["makespan"]], "o-", label="makespan")
    left.loglog(workers, [row["bound"] for row in report["makespan"]], "--", label="work / workers + longest chain")
    left.set(xlabel="workers", ylabel="seconds", title=f"ASHA, {report['n_trials']} trials of up to 81 epochs")
    left.legend()
    for (name, marker), style in zip(
        {"ASHA": "o", "successive halving": "s", "Hyperband": "^"}.items(), ("-", "--", "-."), strict=True
    ):
        values = [row["first_complete_s"][name] for row in report["straggling"]]
        right.plot([row["std"] for row in report["straggling"]], values, marker=marker, linestyle=style, label=name)
    right.set(xlabel="standard deviation of straggling", ylabel="seconds")
    right.set(title="Until the first complete trial, 25 workers", ylim=(0, None))
    right.legend()
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
