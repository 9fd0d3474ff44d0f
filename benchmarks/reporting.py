"""What `hposweep.report` costs: seconds and memory of a job that reports 1,000 epochs and of one that reports 10,000.

    python benchmarks/reporting.py [--json FILE]

Each job runs in a process of its own, and they take turns. A report that costs the same however many there were before
makes the ratio of the seconds 10, and that of the memory 1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

import hposweep
from hposweep.job.running import RunningJob, running
from hposweep.sweep_folder.trial_files import TrialFiles

N_EPOCHS = (1_000, 10_000)
N_TURNS = 5


def main() -> None:
    """Runs all of it, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    turns: dict[int, list[tuple[float, float]]] = {n: [] for n in N_EPOCHS}
    context = multiprocessing.get_context("spawn")
    for _ in range(N_TURNS):
        for n in N_EPOCHS:
            with context.Pool(1) as pool:
                turns[n].append(pool.apply(report_epochs, (n,)))
    rows = [
        {
            "n_epochs": n,
            "seconds": statistics.median(seconds for seconds, _ in found),
            "memory_growth_mb": statistics.median(megabytes for _, megabytes in found),
        }
        for n, found in turns.items()
    ]
    found = {"jobs": rows, "ratio_of_seconds": rows[1]["seconds"] / rows[0]["seconds"]}
    arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    show(found)


def report_epochs(n_epochs: int) -> tuple[float, float]:
    """Seconds that the reports of a job take, and the megabytes by which they enlarge the process at most."""
    with tempfile.TemporaryDirectory() as folder, running(RunningJob(TrialFiles(Path(folder), "."), "error")) as job:
        hposweep.report(1, 1.0, train_loss=1.0)
        before_mb, started = peak_mb(), time.perf_counter()
        for epoch in range(2, n_epochs + 1):
            hposweep.report(epoch, 1 / epoch, train_loss=2 / epoch)
        seconds, megabytes = time.perf_counter() - started, peak_mb() - before_mb
        assert len(job.files.read_curve()) == n_epochs
    return seconds, megabytes


def peak_mb() -> float:
    """The largest memory that the process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(found: dict) -> None:
    """The table."""
    table = Table("epochs", "seconds", "memory grows by, MB")
    for row in found["jobs"]:
        table.add_row(f"{row['n_epochs']:,}", f"{row['seconds']:.3f}", f"{row['memory_growth_mb']:.1f}")
    console = Console()
    console.print(table)
    console.print(f"ten times the epochs: {found['ratio_of_seconds']:.1f} times the seconds")


if __name__ == "__main__":
    main()
