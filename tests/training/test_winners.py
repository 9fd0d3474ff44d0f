"""The winner of a sweep is the best by its metric, as NumPy and scikit-learn compute it from the saved models.

They read the rows themselves, and predict with plain Keras: nothing of our trainer is asked.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.training.metrics import directions_of, metrics_of
from support.processes import Run
from support.sweeps import read_csv, results_of

N_TRIALS, N_CLASSES = 3, 7
FEATURES = ["x0", "x1", "x2", "x3", "kind"]
TARGETS = {"classification": ["y"], "binary": ["y"], "multilabel": ["y0", "y1", "y2"], "regression": ["y"]}
Score = Callable[[np.ndarray, np.ndarray], float]  # of targets and of probabilities or numbers


def table(task: str) -> pd.DataFrame:
    """200 rows for training, 120 for validation, as the last column says."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(320, 4)).round(3)
    kind = rng.choice(["red", "green", "blue"], 320)
    signal = x + (kind == "red")[:, np.newaxis] + rng.normal(size=x.shape)
    frame = pd.DataFrame(x, columns=FEATURES[:4]).assign(kind=kind)
    if task == "classification":
        frame["y"] = np.clip(np.round(signal[:, 0] * 1.5 + 3), 0, N_CLASSES - 1).astype(int)
    elif task == "binary":
        frame["y"] = np.where(signal[:, 0] > 0.6, "yes", "no")
    elif task == "multilabel":
        frame[["y0", "y1", "y2"]] = (signal[:, :3] > 0.4).astype(int)
    else:
        frame["y"] = (3 * signal[:, 0] - signal[:, 1] + 20).round(2)
    return frame.assign(part=["train"] * 200 + ["validation"] * 120)


def targets(task: str, rows: pd.DataFrame) -> np.ndarray:
    if task == "binary":
        return np.asarray(rows["y"] == "yes", int)
    return np.asarray(rows[TARGETS[task]]).squeeze()


def answers(task: str, outputs: np.ndarray) -> np.ndarray:
    """Probabilities, of logits, or numbers."""
    outputs = outputs.astype(np.float64)
    if task == "regression":
        return np.asarray(outputs[:, 0])
    if task == "classification":
        exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))
    return np.asarray(1 / (1 + np.exp(-outputs))).squeeze()


def log_loss_of_labels(y: np.ndarray, p: np.ndarray) -> float:
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


def mean_auc(y: np.ndarray, p: np.ndarray) -> float:
    return float(np.mean([sk.roc_auc_score(y == number, p[:, number]) for number in range(N_CLASSES)]))


def training_targets() -> np.ndarray:
    rows = table("regression")
    return np.asarray(rows[rows["part"] == "train"]["y"])


SCORES: dict[str, dict[str, Score]] = {
    "classification": {
        "error": lambda y, p: float(np.mean(p.argmax(axis=1) != y)),
        "accuracy": lambda y, p: float(np.mean(p.argmax(axis=1) == y)),
        "loss": lambda y, p: float(-np.mean(np.log(p[np.arange(len(y)), y]))),
        "top_5_accuracy": lambda y, p: float(
            np.mean([number in np.argsort(-q)[:5] for number, q in zip(y, p, strict=True)])
        ),
        "f1": lambda y, p: sk.f1_score(y, p.argmax(axis=1), average="macro"),
        "auc": mean_auc,
    },
    "binary": {
        "error": lambda y, p: float(np.mean((p > 0.5) != y)),
        "accuracy": lambda y, p: float(np.mean((p > 0.5) == y)),
        "loss": log_loss_of_labels,
        "auc": sk.roc_auc_score,
        "pr_auc": sk.average_precision_score,
        "precision": lambda y, p: sk.precision_score(y, p > 0.5, zero_division=0),
        "recall": lambda y, p: sk.recall_score(y, p > 0.5),
        "f1": lambda y, p: sk.f1_score(y, p > 0.5, zero_division=0),
    },
    "multilabel": {
        "error": lambda y, p: float(np.mean((p > 0.5) != y)),
        "accuracy": lambda y, p: float(np.mean((p > 0.5) == y)),
        "loss": log_loss_of_labels,
        "auc": lambda y, p: sk.roc_auc_score(y, p, average="macro"),
        "precision": lambda y, p: sk.precision_score(y, p > 0.5, average="micro"),
        "recall": lambda y, p: sk.recall_score(y, p > 0.5, average="micro"),
        "f1": lambda y, p: sk.f1_score(y, p > 0.5, average="macro", zero_division=0),
    },
    "regression": {
        "mae": lambda y, p: float(np.mean(np.abs(y - p))),
        "mse": lambda y, p: float(np.mean((y - p) ** 2)),
        "rmse": lambda y, p: float(np.sqrt(np.mean((y - p) ** 2))),
        "mape": lambda y, p: float(100 * np.mean(np.abs(y - p) / np.abs(y))),
        "r2": sk.r2_score,
        "loss": lambda y, p: float(np.mean((y - p) ** 2) / training_targets().var()),  # of standardised targets
    },
}
LESS_IS_BETTER = {"error", "loss", "mae", "mse", "rmse", "mape"}
# Keras adds up areas over 200 thresholds.
ROUGH = {"auc": 0.02, "pr_auc": 0.02}


def sweep(run: Run, folder: Path, task: str, metric: str, *words: str) -> Path:
    """Trains models of a task, which are all saved, since there is no test part."""
    table(task).to_csv(folder / "rows.csv", index=False)
    names = [name for name in SCORES[task] if name not in ("loss", "error")]
    done = run(
        *("--multirun", f"task={task}", "data=csv", "data.path=rows.csv", f"data.target=[{','.join(TARGETS[task])}]"),
        *("data.split=column", "data.split_column=part", f"task.metrics=[{','.join(names)}]"),
        *("trainer.xla=false", "trainer.max_epochs=3", "trainer.save=last", "hydra.launcher.n_workers=1"),
        *(f"hydra.sweeper.n_trials={N_TRIALS}", f"hydra.sweeper.metric=validation_{metric}"),
        *("hydra.sweep.dir=swept", "optimizer=adam", "optimizer.learning_rate=tag(log,interval(0.003,0.3))", *words),
    )
    assert done.exit_code == 0, done.err
    return folder / "swept"


def scores_of(swept: Path, task: str) -> list[dict[str, float]]:
    """Each metric of each trial's model on the validation rows, by NumPy."""
    rows = table(task)
    rows = rows[rows["part"] == "validation"]
    y, found = targets(task, rows), []
    for number in range(N_TRIALS):
        model = keras.models.load_model(swept / "trials" / str(number) / "model.keras")
        inputs = {name: rows[name].to_numpy() for name in FEATURES}
        p = answers(task, model.predict(inputs, verbose=0))
        found.append({name: float(score(y, p)) for name, score in SCORES[task].items()})
    return found


@pytest.mark.parametrize("task", SCORES)
def test_each_metric_has_its_direction(task: str) -> None:
    directions = directions_of(metrics_of(task, [name for name in SCORES[task] if name not in ("loss", "error")]))
    less = {name for name in SCORES[task] if directions[f"validation_{name}"] == "minimize"}
    assert less == LESS_IS_BETTER & set(SCORES[task])


# One that is minimized and one that is maximized of each task, by either loop.
SWEEPS = [
    ("classification", "loss", "auto"),
    ("classification", "f1", "fit"),
    ("binary", "error", "fit"),
    ("binary", "pr_auc", "auto"),
    ("multilabel", "loss", "auto"),
    ("multilabel", "recall", "fit"),
    ("regression", "mape", "fit"),
    ("regression", "r2", "auto"),
]


@pytest.mark.parametrize(("task", "metric", "loop"), SWEEPS)
def test_the_winner_is_the_best_by_its_metric(
    hposweep_warm: Run, tmp_path: Path, task: str, metric: str, loop: str
) -> None:
    swept = sweep(hposweep_warm, tmp_path, task, metric, f"trainer.loop={loop}")
    scores = scores_of(swept, task)
    for name in SCORES[task]:
        # Each trial's last epoch, and what the table of trials says of the sweep's metric.
        curves = [read_csv(TrialFiles(swept, f"trials/{number}").learning_curve) for number in range(N_TRIALS)]
        values = [float(curve[-1][f"validation_{name}"]) for curve in curves]
        assert values == pytest.approx([each[name] for each in scores], rel=1e-3, abs=ROUGH.get(name, 1e-4)), name
    by_number = {int(row["trial"]): float(row[f"validation_{metric}"]) for row in read_csv(swept / "trials.csv")}
    assert [by_number[number] for number in range(N_TRIALS)] == pytest.approx(
        [each[metric] for each in scores], rel=1e-3, abs=ROUGH.get(metric, 1e-4)
    )
    best = (min if metric in LESS_IS_BETTER else max)(each[metric] for each in scores)
    winner = results_of(swept)["best_trial"]
    assert scores[winner][metric] == pytest.approx(best, rel=1e-3, abs=ROUGH.get(metric, 1e-4))
    worst = (max if metric in LESS_IS_BETTER else min)(each[metric] for each in scores)
    assert scores[winner][metric] != pytest.approx(worst, rel=1e-3, abs=ROUGH.get(metric, 1e-4))
