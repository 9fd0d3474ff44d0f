"""Time of an epoch: plain Keras's `model.fit` against ours with `trainer.loop=fit` and with `trainer.loop=compiled`.

    python benchmarks/fit_loop.py [--rounds 5] [--json FILE]

All train the same model on the same arrays in one process on one thread, with a validation after each epoch. They take
turns, epoch by epoch, after one epoch each that builds their graphs, so that a machine whose speed drifts favours none.
Ours includes what a trial's epoch has besides: its row of the learning curve, and its checkpoint.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from hposweep.job.running import RunningJob, running
from hposweep.sweep_folder.trial_files import TrialFiles

ROOT = Path(__file__).resolve().parents[1]
CASES = {"mlp": (64, 20_000), "lenet": (128, 6_000), "dropout": (16, 5_000)}  # batch size, training examples


def main() -> None:
    """Runs what was asked for, prints a table, and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "fit_loop.json")
    arguments = parser.parse_args()
    from hposweep.training.objective import configure_tensorflow

    configure_tensorflow(1, use_gpu=False)
    rows = [measured(name, arguments.rounds) for name in arguments.cases]
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "date": f"{datetime.date.today()}"}
    arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    table = Table("model", "batch", "plain fit", "loop=fit", "ratio", "loop=compiled", "plain / compiled")
    for row in rows:
        ratios = sorted(ours / plain for plain, ours in zip(row["plain"], row["fit"], strict=True))
        gains = sorted(plain / ours for plain, ours in zip(row["plain"], row["compiled"], strict=True))
        table.add_row(
            row["name"],
            str(row["batch_size"]),
            *(f"{median(row['plain']):.3f} s", f"{median(row['fit']):.3f} s"),
            f"{median(ratios):.3f} [{ratios[0]:.3f}, {ratios[-1]:.3f}]",
            f"{median(row['compiled']):.3f} s",
            f"{median(gains):.1f} [{gains[0]:.1f}, {gains[-1]:.1f}]",
        )
    Console().print(table)


def measured(name: str, n_rounds: int) -> dict[str, Any]:
    """Seconds of each epoch of each loop."""
    batch_size, n_train = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            "plain": plain(name, batch_size, n_train),
            **{loop: ours(name, batch_size, n_train, loop, Path(folder) / loop) for loop in ("fit", "compiled")},
        }
        for run in runs.values():
            run()
        seconds: dict[str, list[float]] = {who: [] for who in runs}
        for _ in range(n_rounds):
            for who, run in runs.items():
                began = time.perf_counter()
                run()
                seconds[who].append(time.perf_counter() - began)
    return {"name": name, "batch_size": batch_size, "n_train": n_train, **seconds}


def data_of(n_train: int, batch_size: int) -> Any:
    """The first examples of Fashion-MNIST, as floats, which plain Keras takes."""
    import numpy as np

    from hposweep.training import fashion_mnist
    from hposweep.training.data import ArrayData

    train, test = fashion_mnist.load(fashion_mnist.data_folder())
    parts = [(part.images[:n] / np.float32(255), part.labels[:n]) for part, n in ((train, n_train), (test, 5_000))]
    return ArrayData(*parts, None, batch_size=batch_size)


def model_of(name: str) -> Any:
    """The model of a case."""
    from hposweep.training import models

    if name == "lenet":
        return models.lenet((28, 28, 1), (10,), activation="relu")
    dropout = 0.3 if name == "dropout" else 0.0
    return models.mlp((28, 28, 1), (10,), 256, 1, dropout=dropout, activation="relu", batch_norm=False)


def plain(name: str, batch_size: int, n_train: int) -> Callable[[], None]:
    """An epoch of `model.fit`."""
    import keras

    data, model = data_of(n_train, batch_size), model_of(name)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05), loss, metrics=["accuracy"])
    return lambda: model.fit(*data.train, batch_size=batch_size, validation_data=data.val, epochs=1, verbose=0)


def ours(name: str, batch_size: int, n_train: int, loop: str, folder: Path) -> Callable[[], None]:
    """An epoch of our trainer."""
    import keras

    from hposweep.training.trainer import HPOTrainer, Learner

    learner = Learner(
        build_model=lambda: model_of(name),
        build_loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        build_optimizer=lambda: keras.optimizers.SGD(0.05),
        seed=1,
        architecture=f"{name} {loop}",
        identity=f"{name} {loop}",
        loop=loop,
    )
    data, job = data_of(n_train, batch_size), RunningJob(TrialFiles(folder, "."), "validation_error")
    with running(job):
        trainer = HPOTrainer(1_000_000, checkpoint_every=1)
        trainer.prepare_data(data)
        trainer.prepare_model(learner)
        trainer.epoch = 0

    def epoch() -> None:
        with running(job):
            trainer.fit_epoch()

    return epoch


if __name__ == "__main__":
    main()
