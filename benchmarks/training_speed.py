"""Time of an epoch: the book's loop (d2l's data pipeline and Keras's `fit`, on all cores) against ours (on one thread).

    python benchmarks/training_speed.py [--models softmax mlp lenet] [--json FILE]

Both train on the book's split of Fashion-MNIST (60,000 examples, validation on 10,000 in every epoch) with the same
models, batch sizes, optimizer and corrected loss. The book's epoch is the mean of the second and the third one of a
process of its own; the first one builds its graph. Ours is the cost of one more epoch of a real sweep, everything
included: the wall time of a sweep of many trials minus that of a sweep of few, over the difference in epochs.
The two take turns, so that a machine whose speed drifts favours neither. Softmax regression is also trained to the end
by both, at three learning rates, to compare the validation errors.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from rich.console import Console
from rich.table import Table

from hposweep.sweep_folder.trial_files import TrialFiles

ROOT = Path(__file__).resolve().parents[1]
LEARNING_RATES = (1e-3, 1e-2, 1e-1)
EPOCHS_OF_THE_BOOK = 8


@dataclass(frozen=True)
class Case:
    """A model, and how much of ours is timed."""

    model: str
    batch_size: int
    few: int  # trials
    many: int
    epochs: int  # of each trial
    rounds: int
    target: float  # how many times faster ours must be


CASES = (
    Case("softmax", batch_size=16, few=5, many=25, epochs=8, rounds=3, target=25),
    Case("mlp", batch_size=16, few=1, many=4, epochs=4, rounds=2, target=10),
    Case("lenet", batch_size=128, few=1, many=3, epochs=2, rounds=2, target=1.1),
)


def main() -> None:
    """Runs what was asked for, prints a table, and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [case.model for case in CASES]
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "training_speed.json")
    parser.add_argument("--skip-errors", action="store_true", help="leave out the comparison of validation errors")
    parser.add_argument("--book", nargs=4, metavar=("MODEL", "BATCH_SIZE", "LEARNING_RATE", "EPOCHS"), help="internal")
    arguments = parser.parse_args()
    if arguments.book:
        model, batch_size, learning_rate, epochs = arguments.book
        print(json.dumps(book(model, int(batch_size), float(learning_rate), int(epochs))))
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        speeds = [speed(case, work) for case in CASES if case.model in arguments.models]
        errors = [] if arguments.skip_errors else [compare_errors(rate, work) for rate in LEARNING_RATES]
    report = {"machine": machine(), "speed": speeds, "errors": errors}
    arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report)


def speed(case: Case, work: Path) -> dict[str, object]:
    """Seconds an epoch of both, taking turns."""
    ratios, books, ours = [], [], []
    for number in range(case.rounds):
        result = run_book(case.model, case.batch_size, 0.1, 3, work)
        book_s = mean(result["seconds"][1:])
        few = time_of_sweep(case, case.few, work / f"{case.model}-{number}-few")
        many = time_of_sweep(case, case.many, work / f"{case.model}-{number}-many")
        ours_s = (many - few) / ((case.many - case.few) * case.epochs)
        books.append(book_s)
        ours.append(ours_s)
        ratios.append(book_s / ours_s)
        print(f"{case.model}: book {book_s:.3f} s, ours {ours_s:.4f} s, {ratios[-1]:.1f} times", file=sys.stderr)
    return {
        "model": case.model,
        "batch_size": case.batch_size,
        "book_epoch_s": median(books),
        "our_epoch_s": median(ours),
        "ratio": median(ratios),
        "ratios": ratios,
        "target": case.target,
    }


def compare_errors(learning_rate: float, work: Path) -> dict[str, float]:
    """Validation errors of softmax regression after the book's eight epochs."""
    result = run_book("softmax", 16, learning_rate, EPOCHS_OF_THE_BOOK, work)
    folder = work / f"error-{learning_rate}"
    overrides = [f"optimizer.learning_rate={learning_rate}", f"trainer.max_epochs={EPOCHS_OF_THE_BOOK}"]
    run_hposweep(["data=fashion_mnist_book", *overrides, f"hydra.run.dir={folder}"])
    last = TrialFiles(folder, ".").learning_curve.read_text().splitlines()[-1].split(",")
    return {"learning_rate": learning_rate, "book": result["error"], "ours": float(last[4])}


def time_of_sweep(case: Case, n_trials: int, folder: Path, n_workers: int = 1) -> float:
    """Wall time of a whole sweep of softmax, mlp or lenet in processes of its own."""
    overrides = [
        f"model={case.model}",
        "data=fashion_mnist_book",
        f"data.batch_size={case.batch_size}",
        f"trainer.max_epochs={case.epochs}",
        f"hydra.sweeper.n_trials={n_trials}",
        f"hydra.launcher.n_workers={n_workers}",
        f"hydra.sweep.dir={folder}",
    ]
    started = time.monotonic()
    run_hposweep(["--multirun", *overrides])
    return time.monotonic() - started


def run_hposweep(words: Sequence[str]) -> None:
    """Runs hposweep in a process."""
    subprocess.run([sys.executable, "-m", "hposweep", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def run_book(model: str, batch_size: int, learning_rate: float, epochs: int, work: Path) -> dict:
    """Runs the book's loop in a process, with the data where Keras would have downloaded it."""
    data = work / "keras" / "datasets" / "fashion-mnist"
    if not data.exists():
        data.parent.mkdir(parents=True)
        data.symlink_to(ROOT / "datasets" / "fashion_mnist")
    words = [model, str(batch_size), str(learning_rate), str(epochs)]
    completed = subprocess.run(
        [sys.executable, __file__, "--book", *words],
        env={**os.environ, "KERAS_HOME": str(work / "keras"), "TF_CPP_MIN_LOG_LEVEL": "2"},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return json.loads(completed.stdout.splitlines()[-1])


def book(model: str, batch_size: int, learning_rate: float, epochs: int) -> dict[str, object]:
    """Trains as the book does, with the loss corrected; seconds of each epoch and the last validation error."""
    import keras
    from d2l import tensorflow as d2l

    from hposweep.training import models

    build = {
        "softmax": lambda: models.softmax((28, 28, 1), (10,)),
        "mlp": lambda: models.mlp((28, 28, 1), (10,), 256, 1, dropout=0.0, activation="relu", batch_norm=False),
        "lenet": lambda: models.lenet((28, 28, 1), (10,), activation="relu"),
    }
    keras.utils.set_random_seed(0)
    data = d2l.FashionMNIST(batch_size=batch_size)
    network = build[model]()
    network.compile(
        optimizer=keras.optimizers.SGD(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    clock = Clock()
    history = network.fit(
        data.train_dataloader(),
        validation_data=data.val_dataloader(),
        epochs=epochs,
        verbose=0,
        callbacks=[clock.callback()],
    )
    return {"seconds": clock.seconds, "error": 1 - history.history["val_accuracy"][-1]}


class Clock:
    """Seconds from the start of an epoch to the end of its validation."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def callback(self) -> object:
        """A Keras callback; Keras is imported in the book's process alone."""
        import keras

        started = [0.0]
        return keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: started.__setitem__(0, time.monotonic()),
            on_epoch_end=lambda epoch, logs: self.seconds.append(time.monotonic() - started[0]),
        )


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    from hposweep.sweep_folder import environment

    return {
        **environment.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **environment.versions(),
    }


def show(report: dict) -> None:
    """The tables."""
    console = Console()
    table = Table("model", "batch", "book, s an epoch", "ours, s an epoch", "times faster", "target")
    for row in report["speed"]:
        figures = (
            f"{row['book_epoch_s']:.2f}",
            f"{row['our_epoch_s']:.3f}",
            f"{row['ratio']:.1f}",
            f"{row['target']:g}",
        )
        table.add_row(row["model"], str(row["batch_size"]), *figures)
    console.print(table)
    if report["errors"]:
        table = Table("learning rate", "validation error, book", "ours", "difference")
        for row in report["errors"]:
            figures = (f"{row['book']:.4f}", f"{row['ours']:.4f}", f"{row['ours'] - row['book']:+.4f}")
            table.add_row(f"{row['learning_rate']:g}", *figures)
        console.print(table)


if __name__ == "__main__":
    main()
