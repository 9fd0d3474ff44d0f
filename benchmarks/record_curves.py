"""Records learning curves of real trainings, for simulated sweeps: benchmarks/curves/<table>.npz.

    python benchmarks/record_curves.py [--tables mlp lenet softmax] [--outputs outputs]

Each table is an ordinary random search whose trials all get their full budget, on Fashion-MNIST; about an hour and a
half on two cores for all of them. Like any sweep it is resumed by the same command.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hposweep.history import replay
from hposweep.simulation import CurveTable
from hposweep.sweep_folder.journal import read_events
from hposweep.sweep_folder.trial_files import TrialFiles

METRIC = "validation_error"
FOLDER = Path(__file__).parent / "curves"


class Recording(NamedTuple):
    """One table: how many configurations, for how many epochs, of what."""

    n_configurations: int
    n_epochs: int
    overrides: tuple[str, ...]


RECORDINGS = {
    "mlp": Recording(150, 81, ("model=mlp", "search_space=mlp")),
    # A fifth of the training examples: on all of them its curves would take another hour.
    "lenet": Recording(60, 27, ("model=lenet", "search_space=lenet", "data.train_fraction=0.2")),
    "softmax": Recording(100, 27, ("model=softmax", "search_space=learning_rate")),
}


def main() -> None:
    """Records the tables that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=list(RECORDINGS), default=list(RECORDINGS))
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the sweeps' folders are")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for name in arguments.tables:
        sweep_dir = arguments.outputs / f"record-{name}"
        record(RECORDINGS[name], sweep_dir)
        table = read_table(sweep_dir)
        table.save(FOLDER / f"{name}.npz")
        print(
            f"{name}: {len(table.configurations)} configurations, {table.n_epochs} epochs, {table.seconds.sum():.0f} s"
        )


def record(recording: Recording, sweep_dir: Path) -> None:
    """Runs the sweep, or the rest of it."""
    words = [*recording.overrides, f"trainer.max_epochs={recording.n_epochs}"]
    words += [f"hydra.sweeper.n_trials={recording.n_configurations}", f"hydra.sweep.dir={sweep_dir}"]
    # A checkpoint an epoch would be a large share of these short ones.
    words += ["trainer.checkpoint_every=9", "hydra.sweeper.progress=log"]
    subprocess.run([sys.executable, "-m", "hposweep", "--multirun", *words], check=True)


def read_table(sweep_dir: Path) -> CurveTable:
    """The curves of the sweep; a trial that diverged has NaN from there on."""
    history = replay(read_events(sweep_dir))
    trials = history.trials
    curves = {
        number: TrialFiles(sweep_dir, trial.folder, history.schema).read_curve() for number, trial in trials.items()
    }
    n_epochs = max(len(curve) for curve in curves.values())
    values = np.full((len(trials), n_epochs), np.nan)
    seconds = np.zeros((len(trials), n_epochs))
    for number, curve in curves.items():
        values[number, : len(curve)] = [row[METRIC] for row in curve]
        # Every epoch of a trial takes as long, but for the first, which compiles, and for what disturbs the machine.
        seconds[number] = np.quantile([row["seconds"] for row in curve], 0.25)
    configurations = [trials[number].configuration for number in sorted(trials)]
    return CurveTable(configurations, values, seconds)


if __name__ == "__main__":
    main()
