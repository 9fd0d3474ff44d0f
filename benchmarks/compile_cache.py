"""The mlp's ASHA experiment without the cache of compiled programs, with an empty one, and with a full one.

    python benchmarks/compile_cache.py [--trials 64] [--train-fraction 1.0] [--rounds 1] [--json FILE]

The sweeps take turns. Their trials are the same, but which are promoted depends on the order in which results come: the
curves are compared as far as both go, bit for bit. Also: where promoted trials go. `own` went to the worker that has
their program; `idle` could have gone to one that was idle, had the pool asked; `busy` would have had to wait for it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table
from training_speed import machine

from hposweep.history import SegmentEnded, SegmentStarted
from hposweep.sweep_folder.journal import read_events

ROOT = Path(__file__).resolve().parents[1]
N_WORKERS = 2
N_PROGRAMS = 8  # that a worker keeps


def main() -> None:
    """Measures, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--train-fraction", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    rounds = []
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            overrides = [
                f"hydra.sweeper.n_trials={arguments.trials}",
                f"data.train_fraction={arguments.train_fraction}",
            ]
            cache = {"XDG_CACHE_HOME": str(folder / "cache")}
            runs = {
                "without": sweep(folder / "without", overrides, {"TF_XLA_FLAGS": ""}),
                "empty": sweep(folder / "empty", overrides, cache),
                "full": sweep(folder / "full", overrides, cache),
            }
            n_rows = {name: n_equal_rows(folder / "without", folder / name) for name in ("empty", "full")}
            size = sum(path.stat().st_size for path in (folder / "cache" / "hposweep").rglob("*.pb"))
        rounds.append({"round": number, **runs, "rows_compared": n_rows, "cache_mb": size / 2**20})
    report = {"machine": machine(), "arguments": [arguments.trials, arguments.train_fraction], "rounds": rounds}
    arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    table = Table("cache", "seconds", "CPU, s", "first epochs, s", "segments", "promoted", "own", "idle", "busy")
    for name in ("without", "empty", "full"):
        columns = (median(each[name][column] for each in rounds) for column in rounds[0][name])
        table.add_row(name, *(f"{value:.4g}" for value in columns))
    Console().print(table)


def sweep(folder: Path, overrides: list[str], env: dict[str, str]) -> dict[str, float]:
    """Its wall time and CPU time, the median of the first epochs of its trials, and where promoted trials went."""
    words = ["--multirun", "experiment=mlp_asha", f"hydra.launcher.n_workers={N_WORKERS}", f"hydra.sweep.dir={folder}"]
    command = [sys.executable, "-m", "hposweep", *words, *overrides]
    started, cpu_before = time.monotonic(), cpu_s()
    subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    first_epoch_s = median(float(rows[0]["seconds"]) for rows in curves(folder).values())
    return {"seconds": seconds, "cpu_s": cpu_s() - cpu_before, "first_epoch_s": first_epoch_s, **placement(folder)}


def cpu_s() -> float:
    """Seconds that all processes have computed which were started from here: less moved by others than wall time."""
    times = os.times()
    return times.children_user + times.children_system


def placement(folder: Path) -> dict[str, float]:
    """Counts segments by where they ran; a worker that has just become idle takes the next one."""
    idle = [*range(N_WORKERS)][::-1]
    busy: dict[int, int] = {}
    programs: list[list[int]] = [[] for _ in range(N_WORKERS)]  # trials by worker, the last one used last
    counts = {"segments": 0, "promoted": 0, "own": 0, "idle": 0, "busy": 0}
    for event in read_events(folder):
        if isinstance(event, SegmentEnded) and event.trial in busy:
            idle.append(busy.pop(event.trial))
        elif isinstance(event, SegmentStarted):
            trial = event.trial
            worker = busy[trial] = idle.pop()
            counts["segments"] += 1
            if event.start_epoch > 0:
                counts["promoted"] += 1
                where = {"own": [worker], "idle": idle, "busy": [each for each in busy.values() if each != worker]}
                for name, workers in where.items():
                    if any(trial in programs[each][-N_PROGRAMS:] for each in workers):
                        counts[name] += 1
                        break
            programs[worker] = [*(each for each in programs[worker] if each != trial), trial]
    return counts


def curves(folder: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of each trial's learning curve."""
    found = {}
    for path in sorted((folder / "trials").glob("*/hposweep/learning_curve.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found[path.parts[-3]] = list(csv.DictReader(file))
    return found


def n_equal_rows(first: Path, second: Path) -> int:
    """How many epochs both sweeps have trained, with equal bits.

    Raises:
        AssertionError: if they differ.
    """
    n_rows = 0
    theirs = curves(second)
    for trial, rows in curves(first).items():
        for one, other in zip(rows, theirs.get(trial, []), strict=False):
            assert {**one, "seconds": ""} == {**other, "seconds": ""}, (trial, one, other)
            n_rows += 1
    return n_rows


if __name__ == "__main__":
    main()
