"""What schedulers gain: the incumbent's validation error against epochs used and against wall time.

    python benchmarks/schedulers.py [--tables mlp ...] [--seeds 300] [--precise] [--peers] [--real FOLDER]

Simulated sweeps over the tables in benchmarks/curves (record_curves.py), each method on draws of its own: random search
of 64 trials, and successive halving, Hyperband, ASHA and median stopping, eta 3, once with 64 trials and once with as
many trials as the epochs of that random search allow. The incumbent is the best value so far, at any rung. Epochs are
counted with one worker, wall time with eight. A median of 30 seeds is uncertain by a third, hence 300. `--peers` adds
Optuna's SuccessiveHalvingPruner and HyperbandPruner and Syne Tune's ASHA (pip install optuna syne-tune) on the same
tables, which take long and get 30; `--real` runs one real sweep of 64 trials of each method, with training, into that
folder.

The target is the median of random search's last incumbents plus 0.003, a standard error of 10,000 validation examples.
Writes schedulers.json, where what is not measured anew stays, and docs/schedulers-<table>.svg.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from hposweep.history import Event, SegmentEnded, SegmentStarted
from hposweep.schedulers import Scheduler
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.schedulers.hyperband import HyperbandScheduler
from hposweep.schedulers.median_stopping import MedianStoppingScheduler
from hposweep.schedulers.successive_halving import SuccessiveHalvingScheduler
from hposweep.simulation import CurveTable, simulate
from hposweep.sweep_folder.journal import read_events

HERE = Path(__file__).parent
N_TRIALS = 64
MANY_TRIALS = 1600  # more than the epochs allow
N_WORKERS = 8  # where wall time counts
PEER_SEEDS = 30
PRECISE_SEEDS = 8000
PRECISE_TRIALS = 250  # of ASHA's; three quarters of its sweeps are at the target before that
TOLERANCE = 0.003
REAL_EPOCHS = 27
OURS: dict[str, Callable[[int], Scheduler]] = {
    "random search": lambda r_max: FifoScheduler(),
    "successive halving": lambda r_max: SuccessiveHalvingScheduler(r_max),
    "Hyperband": lambda r_max: HyperbandScheduler(r_max),
    "ASHA": lambda r_max: AshaScheduler(r_max),
    "ASHA, first rung at 9": lambda r_max: AshaScheduler(r_max, r_min=9),
    "median stopping": lambda r_max: MedianStoppingScheduler(r_max),
}
NAMES_IN_CONF = {
    "random search": "fifo",
    "successive halving": "successive_halving",
    "Hyperband": "hyperband",
    "ASHA": "asha",
    "median stopping": "median_stopping",
}

# What a sweep shows as it goes on: shape (n, 3), the epochs used, the seconds, and the incumbent's value by then.
Course = np.ndarray
Run = Callable[[CurveTable, int, int, int], Course]  # of table, trials, workers and seed


class Courses(NamedTuple):
    """The courses of one method, one for each seed."""

    few: list[Course]  # 64 trials, one worker
    by_epochs: list[Course]  # as many epochs as random search, one worker
    by_seconds: list[Course]  # the same, eight workers


def main() -> None:
    """Runs all of it, prints tables, writes JSON and plots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = sorted(path.stem for path in (HERE / "curves").glob("*.npz"))
    parser.add_argument("--tables", nargs="*", choices=names, default=names)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--precise", action="store_true", help="ASHA's share of random search's epochs, 8000 seeds")
    parser.add_argument("--peers", action="store_true", help="Optuna's and Syne Tune's, too")
    parser.add_argument("--real", type=Path, help="folder of one real sweep of each method")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    report: dict = json.loads(arguments.json.read_text(encoding="utf-8")) if arguments.json.exists() else {"tables": {}}
    report["n_trials"] = N_TRIALS
    for name in arguments.tables:
        table = CurveTable.load(HERE / "curves" / f"{name}.npz")
        courses = simulated(table, arguments.seeds, arguments.peers)
        report["tables"][name] = {"n_seeds": arguments.seeds, **figures(courses)}
        show(name, report["tables"][name])
        plot(name, courses, HERE.parent / "docs" / f"schedulers-{name}.svg")
    if arguments.precise:
        report["precise"] = precise(CurveTable.load(HERE / "curves" / "mlp.npz"), report["tables"]["mlp"]["target"])
        print(report["precise"])
    if arguments.real is not None:
        report["real"] = real_runs(arguments.real)
        show_real(report["real"])
    arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def simulated(table: CurveTable, n_seeds: int, peers: bool) -> dict[str, Courses]:
    """The courses of all methods."""
    ours = {name: functools.partial(run_ours, scheduler) for name, scheduler in OURS.items()}
    others: dict[str, Run] = {}
    if peers:
        from peers import PEERS, run_peer

        budget = N_TRIALS * table.n_epochs
        others = {name: functools.partial(run_peer, build, budget=budget) for name, build in PEERS.items()}
    found = {}
    for position, (method, run) in enumerate({**ours, **others}.items()):
        # Draws of its own: no seed serves two methods.
        seeds = range(position * n_seeds, (position + 1) * n_seeds)
        if method in others:
            seeds = seeds[:PEER_SEEDS]
        n_trials = N_TRIALS if method == "random search" else MANY_TRIALS
        budget = N_TRIALS * table.n_epochs
        by_epochs, by_seconds = (
            [until(run(table, n_trials, n_workers, seed), budget) for seed in seeds] for n_workers in (1, N_WORKERS)
        )
        found[method] = Courses([run(table, N_TRIALS, 1, seed) for seed in seeds], by_epochs, by_seconds)
    return found


def precise(table: CurveTable, target: float) -> dict:
    """Epochs to the target, of random search and of ASHA, on enough seeds for medians that hardly move.

    Random search's median is known without a simulation: each draw is a row of the table and costs all of its epochs.
    """
    at_target = float(np.mean(table.values[:, -1] <= target))
    random_median = table.n_epochs * math.ceil(math.log(0.5) / math.log(1 - at_target))
    found: dict[str, np.ndarray] = {}
    with ProcessPoolExecutor() as processes:
        for position, method in enumerate(("random search", "ASHA")):
            seeds = range((position + 1) * 100_000, (position + 1) * 100_000 + PRECISE_SEEDS)
            run = functools.partial(epochs_to_target, table, target, method)
            found[method] = np.array(list(processes.map(run, seeds, chunksize=50)))
    random, asha = found["random search"], found["ASHA"]
    generator = np.random.default_rng(0)
    resampled = [middle(generator.choice(asha, len(asha))) for _ in range(2000)]
    groups = len(asha) // PEER_SEEDS
    of_groups = [middle(asha[i::groups]) / middle(random[i::groups]) for i in range(groups)]
    return {
        "n_seeds": PRECISE_SEEDS,
        "target": target,
        "epochs_to_target": {method: quartiles(epochs) for method, epochs in found.items()},
        "random_search_median": random_median,
        "asha_of_random": middle(asha) / random_median,
        "asha_of_random_90": [float(bound / random_median) for bound in np.quantile(resampled, (0.05, 0.95))],
        f"asha_of_random_with_{PEER_SEEDS}_seeds": [float(each) for each in np.quantile(of_groups, (0.1, 0.5, 0.9))],
    }


def epochs_to_target(table: CurveTable, target: float, method: str, seed: int) -> float:
    """The epochs of one sweep with one worker."""
    n_trials = N_TRIALS if method == "random search" else PRECISE_TRIALS
    return reaches(run_ours(OURS[method], table, n_trials, 1, seed), target, 0)


def middle(values: np.ndarray) -> float:
    """The median, as one of the values."""
    return float(np.quantile(values, 0.5, method="higher"))


def run_ours(build: Callable[[int], Scheduler], table: CurveTable, n_trials: int, n_workers: int, seed: int) -> Course:
    """The course of one simulated sweep."""
    swept = simulate(table, build(table.n_epochs), n_trials=n_trials, n_workers=n_workers, seed=seed)
    return course(swept.events, table.n_epochs)


def until(course: Course, budget: int) -> Course:
    """Its part within so many epochs."""
    return course[course[:, 0] <= budget]


def course(events: Sequence[Event], full_budget: int) -> Course:
    """How the incumbent came down; a trial of random search trains `full_budget` epochs."""
    begun: dict[int, int] = {}
    rows: list[tuple[float, float, float]] = []
    epochs, best, first = 0, np.inf, None
    for event in events:
        if isinstance(event, SegmentStarted):
            begun[event.trial] = event.start_epoch
            first = first or datetime.fromisoformat(event.time)
        elif isinstance(event, SegmentEnded):
            assert first is not None
            epochs += (full_budget if event.epoch is None else event.epoch) - begun[event.trial]
            if event.value is not None and np.isfinite(event.value):
                best = min(best, event.value)
            rows.append((epochs, (datetime.fromisoformat(event.time) - first).total_seconds(), best))
    return np.array(rows)


def figures(courses: dict[str, Courses]) -> dict:
    """Medians and quartiles of the last incumbent, and of the epochs and seconds until the target is reached."""
    target = float(np.median([each[-1, 2] for each in courses["random search"].few])) + TOLERANCE
    rows = {}
    for method, (few, by_epochs, by_seconds) in courses.items():
        rows[method] = {
            "with_64_trials": {
                "last_incumbent": quartiles([each[-1, 2] for each in few]),
                "epochs": quartiles([each[-1, 0] for each in few]),
                "share_at_target": float(np.mean([each[-1, 2] <= target for each in few])),
            },
            "last_incumbent": quartiles([each[-1, 2] for each in by_epochs]),
            "epochs_to_target": quartiles([reaches(each, target, 0) for each in by_epochs]),
            "seconds_to_target": quartiles([reaches(each, target, 1) for each in by_seconds]),
        }
    return {"target": target, "methods": rows}


def reaches(course: Course, target: float, column: int) -> float:
    """The epochs or seconds after which the incumbent is at the target; infinite where it never is."""
    there = np.flatnonzero(course[:, 2] <= target)
    return float(course[there[0], column]) if len(there) else np.inf


def quartiles(values: Sequence[float]) -> list[float | None]:
    """First quartile, median and third quartile, each one of the values; None for an infinite one, which JSON lacks."""
    found = np.quantile(values, (0.25, 0.5, 0.75), method="higher")
    return [float(value) if np.isfinite(value) else None for value in found]


def show(name: str, report: dict) -> None:
    """A table of one recording."""
    of_random = report["methods"]["random search"]
    table = Table(
        *("method", "64 trials: epochs", "last incumbent", "at target", "same epochs: last incumbent"),
        *("epochs to target", "of random's", f"seconds to target, {N_WORKERS} workers", "of random's"),
        title=f"{name}: target {report['target']:.4f}; medians (quartiles)",
    )
    for method, row in report["methods"].items():
        few = row["with_64_trials"]
        cells = [
            spread(few["epochs"], "{:.0f}"),
            spread(few["last_incumbent"], "{:.4f}"),
            f"{few['share_at_target']:.0%}",
        ]
        cells.append(spread(row["last_incumbent"], "{:.4f}"))
        for key in ("epochs_to_target", "seconds_to_target"):
            share = "-" if row[key][1] is None else f"{row[key][1] / of_random[key][1]:.2f}"
            cells += [spread(row[key], "{:.0f}"), share]
        table.add_row(method, *cells)
    Console(width=190).print(table)


def spread(values: Sequence[float | None], form: str) -> str:
    """The median, with the quartiles in parentheses; "never" where it was not reached."""
    low, middle, high = ("never" if value is None else form.format(value) for value in values)
    return f"{middle} ({low}, {high})"


def plot(name: str, courses: dict[str, Courses], path: Path) -> None:
    """The medians of the incumbents with their quartiles, against epochs and against seconds."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "hposweep"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    styles = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (7, 3)), (0, (3, 1)), (0, (9, 2, 1, 2))]
    for axis, column in ((axes[0], 0), (axes[1], 1)):
        of_methods = {method: each.by_seconds if column else each.by_epochs for method, each in courses.items()}
        first = min(each[0, column] for of_seeds in of_methods.values() for each in of_seeds)
        last = max(each[-1, column] for of_seeds in of_methods.values() for each in of_seeds)
        grid = np.geomspace(first, last, 120)
        for (method, of_seeds), style in zip(of_methods.items(), itertools.cycle(styles), strict=False):
            values = np.array([at(each, grid, column) for each in of_seeds])
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0, method="higher")
            there = np.isfinite(high)
            line = axis.plot(grid[there], middle[there], label=method, linestyle=style)[0]
            axis.fill_between(grid[there], low[there], high[there], alpha=0.12, color=line.get_color(), linewidth=0)
        axis.set_xscale("log")
        axis.set_xlim(first, last)
        axis.grid(alpha=0.3)
    axes[0].set(xlabel="epochs, one worker", ylabel="validation error of the incumbent")
    axes[1].set(xlabel=f"seconds, {N_WORKERS} workers")
    last_incumbents = [each[-1, 2] for of_method in courses.values() for each in of_method.by_epochs]
    axes[0].set_ylim(min(last_incumbents) - 0.004, np.median(last_incumbents) + 0.1)
    axes[0].legend(fontsize="small")
    figure.suptitle(f"{name}: medians and quartiles of simulated sweeps of equally many epochs")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def at(course: Course, grid: np.ndarray, column: int) -> np.ndarray:
    """The incumbent at each point of the grid; infinite before the first result."""
    position = np.searchsorted(course[:, column], grid, side="right") - 1
    return np.where(position >= 0, course[np.maximum(position, 0), 2], np.inf)


def real_runs(folder: Path) -> dict:
    """One real sweep of each method, with training: the mlp on a twentieth of the examples, two workers."""
    found = {}
    for method, name in NAMES_IN_CONF.items():
        words = [f"scheduler={name}", "model=mlp", "search_space=mlp", "data.train_fraction=0.05"]
        words += [
            f"trainer.max_epochs={REAL_EPOCHS}",
            "trainer.checkpoint_every=9",
            f"hydra.sweeper.n_trials={N_TRIALS}",
        ]
        words += [f"hydra.sweep.dir={folder / name}", "hydra.launcher.n_workers=2", "hydra.sweeper.progress=log"]
        subprocess.run([sys.executable, "-m", "hposweep", "--multirun", *words], check=True)
        epochs, seconds, value = course(list(read_events(folder / name)), full_budget=REAL_EPOCHS)[-1]
        found[method] = {"epochs": epochs, "seconds": seconds, "last_incumbent": value}
    return found


def show_real(report: dict) -> None:
    """The table of the real sweeps."""
    table = Table(
        "method",
        "epochs",
        "seconds, 2 workers",
        "last incumbent",
        title=f"mlp, {REAL_EPOCHS} epochs, one real sweep of each",
    )
    for method, row in report.items():
        table.add_row(method, f"{row['epochs']:.0f}", f"{row['seconds']:.0f}", f"{row['last_incumbent']:.4f}")
    Console().print(table)


if __name__ == "__main__":
    main()
