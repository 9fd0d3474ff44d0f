"""The cost of the report of a large sweep: seconds, memory and the size of the page.

    python benchmarks/report.py [--json FILE]

The sweeps are made up: ASHA on known curves, four hyperparameters, some of them failed or diverged, with the learning
curves and the record that a real sweep leaves. Each report is made in a process of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from hposweep.history import SegmentEnded
from hposweep.schedulers.asha import AshaScheduler
from hposweep.search_space import Configuration, SearchSpace, parse_hyperparameter
from hposweep.simulation import simulate, write
from hposweep.sweep_folder.trial_files import TrialFiles

SIZES = ((1000, 50), (10_000, 50))  # trials, epochs of a complete one
SEARCH_SPACE = {
    "optimizer.learning_rate": "loguniform(0.0001, 1)",
    "optimizer.momentum": "uniform(0, 0.99)",
    "model.num_hiddens": "int(loguniform(32, 1024))",
    "optimizer.name": "choice(sgd, adam, rmsprop)",
}


@dataclasses.dataclass(frozen=True)
class MadeUp:
    """Errors that fall with the epochs, to a floor that depends on the hyperparameters; large rates diverge."""

    n_epochs: int

    @property
    def search_space(self) -> SearchSpace:
        return SearchSpace({key: parse_hyperparameter(text) for key, text in SEARCH_SPACE.items()})

    def value(self, configuration: Configuration, epoch: int) -> float:
        rate = math.log10(configuration["optimizer.learning_rate"]) + 1.5 + configuration["optimizer.momentum"]
        if rate > 2.1:
            return math.nan
        floor = 0.12 + 0.05 * rate**2 + 0.08 / math.log2(configuration["model.num_hiddens"])
        noise = np.random.default_rng([epoch, hash(rate) % 2**32]).normal(0, 0.003)
        return float(min(0.9, floor + 0.5 * math.exp(-epoch / (2 + abs(rate))) + noise))

    def duration_s(self, configuration: Configuration, start_epoch: int, target_epoch: int) -> float:
        return (target_epoch - start_epoch) * (0.5 + configuration["model.num_hiddens"] / 1024)


def make_sweep(folder: Path, n_trials: int, n_epochs: int, n_workers: int = 16) -> None:
    """Writes the folder of a made-up sweep."""
    objective = MadeUp(n_epochs)
    swept = simulate(
        objective,
        AshaScheduler(r_max=n_epochs, eta=3),
        n_trials=n_trials,
        n_workers=n_workers,
        straggling=0.3,
        death_rate=0.003,
    )
    events = [
        dataclasses.replace(event, folder=f"trials/{event.trial}") if isinstance(event, SegmentEnded) else event
        for event in swept.events
    ]
    write(folder, events, swept.history)
    for trial in swept.history.trials.values():
        files = TrialFiles(folder, f"trials/{trial.number}")
        files.make_folder()
        rows = []
        for epoch in range(1, (trial.epoch or 0) + 1):
            value = objective.value(trial.configuration, epoch)
            numbers = {"train_loss": value, "train_error": value, "validation_loss": value, "validation_error": value}
            rows.append({"epoch": epoch, **numbers, "seconds": 1.0})
        text = "".join(f"{','.join(map(repr, row.values()))}\n" for row in rows)
        if rows:
            files.learning_curve.write_text(f"{','.join(rows[0])}\n{text}")
    winner = swept.history.incumbent
    if winner is not None:
        sizes = {"n_train": 48_000, "n_validation": 12_000, "n_test": 10_000, "baseline_error": 0.9}
        TrialFiles(folder, f"trials/{winner.number}").data_summary.write_text(json.dumps(sizes))
    record = {
        "command": "python -m hposweep",
        "overrides": {"task": ["model=mlp", "search_space=mlp", "scheduler=asha"], "hydra": []},
        "search_space": SEARCH_SPACE,
        "versions": {"python": "3.11"},
        "platform": {"system": "none: made up"},
        "config": {"hydra": {"sweeper": {"seed_key": "seed", "budget_key": None, "scheduler": None}}},
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(record, sort_keys=False))


def measured(folder: Path, n_trials: int, n_epochs: int) -> dict[str, float]:
    """Seconds, largest memory and size of one report."""
    sweep = folder / f"sweep-{n_trials}"
    make_sweep(sweep, n_trials, n_epochs)
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "hposweep", "report", str(sweep)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return {
        "n_trials": n_trials,
        "n_epochs": n_epochs,
        "seconds": seconds,
        "peak_mb": usage.ru_maxrss / 1024,
        "page_mb": (sweep / "report.html").stat().st_size / 1e6,
    }


def main() -> None:
    """Makes all reports, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = [measured(Path(name), *size) for size in SIZES]
    arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    table = Table("trials", "epochs", "seconds", "peak, MB", "page, MB")
    for row in rows:
        texts = [f"{row['seconds']:.1f}", f"{row['peak_mb']:.0f}", f"{row['page_mb']:.2f}"]
        table.add_row(f"{row['n_trials']:,}", str(row["n_epochs"]), *texts)
    Console().print(table)


if __name__ == "__main__":
    main()
