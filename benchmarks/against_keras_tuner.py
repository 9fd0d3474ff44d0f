"""Seconds of a random search: KerasTuner's RandomSearch against ours, on three data sets in memory.

    pip install keras-tuner rich                  (or another environment: --python other/bin/python)
    python benchmarks/against_keras_tuner.py [--rounds 3] [--json FILE]

Both get the same examples for training and for validation, the same model (one hidden layer, whose width and learning
rate are searched), Adam, and the same numbers of trials, epochs and examples a batch. Each draws its own configurations
from the same distributions. Both are timed as a user would: from the start of the process to its end; and to the end of
the trial that is the best one after all. The two take turns, so that a machine whose speed drifts favours neither.
KerasTuner trains one trial after the other with all cores; ours runs a worker of one thread for each core, and once
more with a single worker.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Case:
    """A data set, and how much is searched on it."""

    name: str
    task: str
    epochs: int
    batch_size: int
    n_trials: int = 10


CASES = (
    Case("fashion_mnist", "classification", epochs=5, batch_size=64),
    Case("penguins", "classification", epochs=30, batch_size=16),
    Case("friedman", "regression", epochs=10, batch_size=32),
)


def main() -> None:
    """Runs what was asked for, prints a table, and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", choices=names, default=names)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has KerasTuner")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "against_keras_tuner.json")
    parser.add_argument("--theirs", nargs=4, metavar=("CASE", "FILE", "FOLDER", "SEED"), help="internal")
    arguments = parser.parse_args()
    if arguments.theirs:
        name, file, folder, seed = arguments.theirs
        print(json.dumps(theirs(next(each for each in CASES if each.name == name), file, folder, int(seed))))
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in (each for each in CASES if each.name in arguments.cases):
            file = Path(folder) / f"{case.name}.npz"
            np.savez(file, **arrays(case))
            for number in range(arguments.rounds):
                work = Path(folder) / f"{case.name}-{number}"
                found = {
                    "keras_tuner": run_theirs(case, file, work, number, arguments.python),
                    "two_workers": run_ours(case, file, work / "two", number, n_workers=2),
                    "one_worker": run_ours(case, file, work / "one", number, n_workers=1),
                }
                rows.append({**asdict(case), "round": number, **found})
                print(json.dumps(rows[-1]), flush=True)
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "date": f"{datetime.date.today()}"}
    arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    show(rows)


def arrays(case: Case) -> dict[str, np.ndarray]:
    """The examples of a case, as floats: KerasTuner scales nothing."""
    match case.name:
        case "fashion_mnist":
            from hposweep.training import fashion_mnist

            train, test = fashion_mnist.load(fashion_mnist.data_folder())
            scaled = [(part.images / np.float32(255)).astype(np.float32) for part in (train, test)]
            return {"x_train": scaled[0], "y_train": train.labels, "x_val": scaled[1], "y_val": test.labels}
        case "penguins":
            from hposweep.training.tabular import csv

            path = str(ROOT / "datasets" / "penguins" / "penguins.csv")
            parts = csv(path, "species", "classification", test=0)
            assert parts.val is not None
            return {
                "x_train": np.asarray(parts.train.inputs),
                "y_train": parts.train.targets,
                "x_val": np.asarray(parts.val.inputs),
                "y_val": parts.val.targets,
            }
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(25_000, noise=1.0, random_state=0)
    x, y = x.astype(np.float32), ((y - y[:20_000].mean()) / y[:20_000].std()).astype(np.float32)
    return {"x_train": x[:20_000], "y_train": y[:20_000], "x_val": x[20_000:], "y_val": y[20_000:]}


def run_ours(case: Case, file: Path, folder: Path, seed: int, n_workers: int) -> dict[str, float]:
    """Seconds of our sweep, from its command to its end, and to the end of its best trial."""
    metric = "validation_error" if case.task == "classification" else "validation_loss"
    words = [
        *(sys.executable, "-m", "hposweep", "--multirun", f"task={case.task}", "data=arrays", f"data.path={file}"),
        *("data.target=y", "data.validation=0", "data.test=0", f"data.batch_size={case.batch_size}", "model=mlp"),
        *("optimizer=adam", f"trainer.max_epochs={case.epochs}", "search_space=learning_rate"),
        *("optimizer.learning_rate=tag(log,interval(1e-4,1e-1))", "model.num_hiddens=32,64,128"),
        *("task.metrics=[]", f"hydra.sweeper.metric={metric}", f"hydra.sweeper.n_trials={case.n_trials}"),
        *(f"hydra.sweeper.seed={seed}", f"hydra.launcher.n_workers={n_workers}", f"hydra.sweep.dir={folder}"),
        *("hydra.sweeper.final_overrides=null", "hydra.sweeper.final_metric=null"),
    ]
    began, began_at = time.monotonic(), time.time()
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    seconds = time.monotonic() - began
    events = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    ends = [event for event in events if event.get("event") == "segment_ended" and event["state"] == "COMPLETE"]
    best = min(ends, key=lambda event: event["values"][metric])
    at = datetime.datetime.fromisoformat(best["time"]).timestamp()
    return {"seconds": seconds, "to_best": at - began_at, "best": best["values"][metric]}


def run_theirs(case: Case, file: Path, folder: Path, seed: int, python: str) -> dict[str, float]:
    """The same of KerasTuner."""
    words = [python, __file__, "--theirs", case.name, str(file), str(folder), str(seed)]
    began, began_at = time.monotonic(), time.time()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    seconds = time.monotonic() - began
    found = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": seconds, "to_best": found["best_at"] - began_at, "best": found["best"]}


def theirs(case: Case, file: str, folder: str, seed: int) -> dict[str, float]:
    """KerasTuner's search in this process."""
    import keras
    import keras_tuner

    with np.load(file) as loaded:
        data = {name: loaded[name] for name in loaded.files}
    is_regression = case.task == "regression"
    n_outputs = 1 if is_regression else int(data["y_train"].max()) + 1
    ends: list[tuple[float, float]] = []

    def build(hp: Any) -> keras.Model:
        model = keras.Sequential(
            [
                keras.Input(data["x_train"].shape[1:]),
                keras.layers.Flatten(),
                keras.layers.Dense(hp.Choice("units", [32, 64, 128]), activation="relu"),
                keras.layers.Dense(n_outputs),
            ]
        )
        model.compile(
            keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")),
            "mse" if is_regression else keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[] if is_regression else ["accuracy"],
        )
        return model

    class Timed(keras_tuner.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
            histories = super().run_trial(trial, *args, **kwargs)
            logs = histories[0].history
            value = logs["val_loss"][-1] if is_regression else 1 - logs["val_accuracy"][-1]
            ends.append((float(value), time.time()))
            return histories

    tuner = Timed(
        build,
        objective="val_loss" if is_regression else "val_accuracy",
        max_trials=case.n_trials,
        seed=seed,
        directory=folder,
        project_name="keras_tuner",
    )
    tuner.search(
        data["x_train"],
        data["y_train"],
        validation_data=(data["x_val"], data["y_val"]),
        epochs=case.epochs,
        batch_size=case.batch_size,
        verbose=0,
    )
    best, at = min(ends)
    return {"best": best, "best_at": at}


def show(rows: list[dict[str, Any]]) -> None:
    """A line for each data set: medians over the rounds, and the ratio of each round from the least to the greatest."""
    table = Table(
        "data", "KerasTuner", "2 workers", "ratio", "1 worker", "ratio", "to the best: KerasTuner", "2 workers"
    )
    for name in dict.fromkeys(row["name"] for row in rows):
        of_case = [row for row in rows if row["name"] == name]

        def seconds(who: str, what: str = "seconds", of_case: list[dict[str, Any]] = of_case) -> str:
            return f"{median(row[who][what] for row in of_case):.1f} s"

        def ratio(who: str, of_case: list[dict[str, Any]] = of_case) -> str:
            found = sorted(row["keras_tuner"]["seconds"] / row[who]["seconds"] for row in of_case)
            return f"{median(found):.1f} [{found[0]:.1f}, {found[-1]:.1f}]"

        ours = (seconds("two_workers"), ratio("two_workers"), seconds("one_worker"), ratio("one_worker"))
        to_best = (seconds("keras_tuner", "to_best"), seconds("two_workers", "to_best"))
        table.add_row(name, seconds("keras_tuner"), *ours, *to_best)
    Console().print(table)


if __name__ == "__main__":
    main()
