"""A Hydra app of two files whose trials cost next to nothing, for benchmarks of what happens to sweeps.

Softmax regression by NumPy on data that it draws itself. It goes on from a checkpoint after each epoch, and answers
`stage=test` with the error on other data.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from hposweep.sweep_folder.trial_files import TrialFiles

MAIN = """
import os, signal, time
import hydra, hposweep
import numpy as np
from hydra.core.hydra_config import HydraConfig

if "WITHOUT_REPORT" in os.environ:
    from hposweep.results.html import in_a_process
    in_a_process.make = lambda folder: in_a_process.Report(folder / "report.html", "left out", lacks_packages=True)


def examples(seed, n=200):
    generator = np.random.default_rng(seed)
    classes = generator.integers(0, 5, n)
    return generator.normal(np.eye(5)[classes], 0.8), classes


def error(weights, data):
    return float(np.mean((data[0] @ weights).argmax(axis=1) != data[1]))


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    train, validation, test = map(examples, range(3))
    path = hposweep.checkpoint_dir() / "state.npz"
    weights, start = np.random.default_rng(cfg.seed).normal(0, 0.1, (5, 5)), 0
    if path.exists():
        with np.load(path) as state:
            weights, start = state["weights"], int(state["epoch"])
    for epoch in range(start + 1, hposweep.target_epoch(default=cfg.epochs) + 1):
        print("epoch", epoch, "x" * cfg.noise)
        for i in np.random.default_rng([cfg.seed, epoch]).permutation(len(train[1])):
            logits = train[0][i] @ weights
            p = np.exp(logits - logits.max())
            p /= p.sum()
            p[train[1][i]] -= 1
            weights = weights - cfg.learning_rate * np.outer(train[0][i], p)
        time.sleep(cfg.pause_s)
        if epoch == 4 and HydraConfig.get().job.num == cfg.hanging_trial:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
        hposweep.report(epoch, error(weights, validation), train_error=error(weights, train))
        unfinished = path.with_name("unfinished.npz")
        np.savez(unfinished, weights=weights, epoch=epoch)
        unfinished.replace(path)
    return error(weights, test if cfg.stage == "test" else validation)


if __name__ == "__main__":
    main()
"""
CONFIG = """
defaults:
  - override hydra/sweeper: hposweep
  - override hydra/launcher: hposweep
  - _self_
learning_rate: 0.1
epochs: 8
seed: 0
stage: train
pause_s: 0.0   # of each epoch
noise: 0       # characters that each epoch prints
hanging_trial: null  # its number; it hangs in its fourth epoch, whatever it is told
hydra:
  sweep: {dir: swept, subdir: "trials/${hydra.job.num}"}
  sweeper:
    search_space: {learning_rate: "loguniform(1e-4, 10)"}
    seed_key: seed
    metric: validation_error
    final_overrides: [stage=test]
    final_metric: test_error
    max_retries: 1000
"""
ASHA = ["hydra/sweeper/scheduler=asha", "hydra.sweeper.scheduler.r_max=8", "hydra.sweeper.scheduler.eta=2"]
OF_A_RUN = ("attempts", "started_at", "duration_s")  # columns of the table that differ from run to run


def make(folder: Path) -> None:
    """Writes the app into this folder."""
    (folder / "conf").mkdir(parents=True)
    (folder / "main.py").write_text(MAIN)
    (folder / "conf" / "config.yaml").write_text(CONFIG)


def command(*words: str) -> list[str]:
    """What starts a sweep of it."""
    return [sys.executable, "main.py", "--multirun", *words]


def run(folder: Path, *words: str, with_report: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs a sweep of it to its end."""
    env = os.environ if with_report else {**os.environ, "WITHOUT_REPORT": "1"}
    return subprocess.run(command(*words), cwd=folder, env=env, capture_output=True, text=True, check=False)


def table(sweep: Path) -> list[dict[str, str]]:
    """The rows of the table of trials, without what differs from run to run."""
    with open(sweep / "trials.csv", newline="") as file:
        return [{name: cell for name, cell in row.items() if name not in OF_A_RUN} for row in csv.DictReader(file)]


def curve(sweep: Path, trial: int | str) -> list[dict[str, str]]:
    """A trial's learning curve without its seconds, cell by cell."""
    with open(TrialFiles(sweep, f"trials/{trial}").learning_curve, newline="") as file:
        return [{name: cell for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def results(sweep: Path) -> dict[str, object]:
    """What stands in optimization_results.yaml."""
    found: dict[str, object] = yaml.safe_load((sweep / "optimization_results.yaml").read_text())
    return found


def differences(one: Path, other: Path) -> list[str]:
    """How two sweeps differ: in their tables, curves or results."""
    tables = table(one), table(other)
    if len(tables[0]) != len(tables[1]):
        return [f"{len(tables[0])} and {len(tables[1])} trials"]
    found = []
    for row, again in zip(*tables, strict=True):
        found += [
            f"trial {row['trial']}, {name}: {row[name]} {again[name]}" for name in row if row[name] != again[name]
        ]
        if curve(one, row["trial"]) != curve(other, row["trial"]):
            found.append(f"trial {row['trial']}: learning curve")
    if results(one) != results(other):
        found.append(f"results: {results(one)} {results(other)}")
    return found


def curves_that_part(one: Path, other: Path) -> list[str]:
    """How draws differ, and curves before the shorter one of the two ends."""
    found = []
    own = ("trial", "seed", "learning_rate")
    for row, again in zip(table(one), table(other), strict=True):
        if [row.get(name) for name in own] != [again.get(name) for name in own]:
            found.append(f"trial {row['trial']}: draw")
        curves = curve(one, row["trial"]), curve(other, row["trial"])
        n_both = min(map(len, curves))
        if not n_both or curves[0][:n_both] != curves[1][:n_both]:
            found.append(f"trial {row['trial']}: learning curve")
    return found


def words_of(scheduler: str) -> Sequence[str]:
    """The overrides that choose this scheduler."""
    return {"fifo": [], "asha": ASHA}[scheduler]
