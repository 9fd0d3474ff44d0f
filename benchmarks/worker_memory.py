"""The memory of a worker: real MLP trials of different widths, one after the other, and its resident memory after each.

    python benchmarks/worker_memory.py [--trials 40] [--limit-mb 4000] [--json FILE]

Each width compiles programs of its own, which TensorFlow keeps. One worker runs all trials; if it exceeds the limit
(`hydra.launcher.max_worker_memory_mb`), a new one replaces it. A Hydra callback notes the memory at each job's end, in
the worker.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

WIDTHS = "range(16,2049)"
SMALL = ("data.train_fraction=0.01", "trainer.max_epochs=1")
NOTE = "memory.json"


class MemoryNote(Callback):
    """Leaves the worker's number and its resident memory in the job's folder."""

    def on_job_end(self, config: DictConfig, **options: Any) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory_mb = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        note = {"worker": os.getpid(), "memory_mb": memory_mb}
        (Path(config.hydra.runtime.output_dir) / NOTE).write_text(json.dumps(note), encoding="utf-8")


def main() -> None:
    """Runs the sweep, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--limit-mb", type=float, default=4000.0)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = sweep(Path(folder), arguments.trials, arguments.limit_mb)
    workers = list(dict.fromkeys(row["worker"] for row in rows))
    of_first = [row["memory_mb"] for row in rows if row["worker"] == workers[0]]
    report = {
        "limit_mb": arguments.limit_mb,
        "n_workers_used": len(workers),
        "n_widths": len({row["num_hiddens"] for row in rows}),
        "growth_mb_a_trial": (of_first[-1] - of_first[0]) / max(1, len(of_first) - 1),
        # Process numbers mean nothing to others: the first worker is 0.
        "trials": [{**row, "worker": workers.index(row["worker"])} for row in rows],
    }
    arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report)


def sweep(folder: Path, n_trials: int, limit_mb: float) -> list[dict[str, Any]]:
    """The trials in the order of their numbers, which is that of their jobs."""
    words = ["model=mlp", f"model.num_hiddens={WIDTHS}", *SMALL, f"hydra.sweeper.n_trials={n_trials}"]
    words += ["hydra.launcher.n_workers=1", f"hydra.launcher.max_worker_memory_mb={limit_mb}", "hydra.sweep.dir=swept"]
    # The last job, on the winner, would leave its own note in the winner's folder.
    words += ["+hydra.callbacks.memory._target_=worker_memory.MemoryNote", "hydra.sweeper.final_overrides=null"]
    command = [sys.executable, "-m", "hposweep", "--multirun", *words]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, check=True)
    with open(folder / "swept" / "trials.csv", newline="") as file:
        widths = {row["trial"]: int(row["model.num_hiddens"]) for row in csv.DictReader(file)}
    notes = {trial: json.loads((folder / "swept" / "trials" / trial / NOTE).read_text()) for trial in widths}
    return [{"trial": int(trial), "num_hiddens": widths[trial], **notes[trial]} for trial in widths]


def show(report: dict[str, Any]) -> None:
    """The table."""
    table = Table("trial", "num_hiddens", "worker", "resident memory, MB")
    for row in report["trials"]:
        table.add_row(str(row["trial"]), str(row["num_hiddens"]), str(row["worker"]), f"{row['memory_mb']:.0f}")
    Console().print(table)
    print(
        f"{report['n_workers_used']} worker(s) for {len(report['trials'])} trials of {report['n_widths']} widths under "
        f"a limit of {report['limit_mb']:.0f} MB; {report['growth_mb_a_trial']:.1f} MB more a trial"
    )


if __name__ == "__main__":
    main()
