"""`trials.csv` and `optimization_results.yaml`, and which checkpoints stay."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import yaml

from hposweep.errors import ConfigError
from hposweep.history import History, best_partial, count_states
from hposweep.search_space import Value
from hposweep.sweep_folder import file_names, learning_curve
from hposweep.sweep_folder.files import write_atomically

TRIALS_FILE = "trials.csv"
RESULTS_FILE = "optimization_results.yaml"
BEFORE_THE_CONFIGURATION = ("trial", "state", "epochs", "seed")
AFTER_THE_CONFIGURATION = ("attempts", "started_at", "duration_s", "failure")


def write(sweep_dir: Path, history: History, final_metric: str | None) -> None:
    """Writes both files anew."""
    write_atomically(sweep_dir / TRIALS_FILE, trials_csv(sweep_dir, history))
    results = optimization_results(sweep_dir, history, final_metric)
    write_atomically(sweep_dir / RESULTS_FILE, yaml.safe_dump(results, sort_keys=False, allow_unicode=True))


def check_metric_name(name: object) -> None:
    """Raises a ConfigError unless it can head a column of `trials.csv` and of `learning_curve.csv`."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ConfigError(f"must be a name in one line, got {name!r}")
    if name in (*BEFORE_THE_CONFIGURATION, *AFTER_THE_CONFIGURATION, "epoch", "seconds"):
        raise ConfigError(f"'{name}' heads another column of the tables; take another name")


def trials_csv(sweep_dir: Path, history: History) -> str:
    """One row a trial: trial, state, the metric, epochs, seed, its hyperparameters, attempts, times, failure."""
    trials = [history.trials[number] for number in sorted(history.trials)]
    keys = list(dict.fromkeys(key for trial in trials for key in trial.configuration))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    head = [*BEFORE_THE_CONFIGURATION]
    head.insert(head.index("state") + 1, history.metric)
    writer.writerow([*head, *keys, *AFTER_THE_CONFIGURATION])
    for trial in trials:
        curve = learning_curve.of_trial(sweep_dir, trial.folder)
        writer.writerow(
            [
                trial.number,
                trial.state,
                _cell(trial.value),
                len(curve) or trial.epoch or "",
                trial.seed,
                *(_cell(trial.configuration.get(key)) if key in trial.configuration else "" for key in keys),
                trial.attempts,
                trial.started_at,
                repr(round(trial.duration_s, 3)),
                trial.failure_line,
            ]
        )
    return buffer.getvalue()


def optimization_results(sweep_dir: Path, history: History, final_metric: str | None) -> dict[str, Any]:
    """The winner and its value, as other Hydra sweepers write them, and what else is known of the sweep.

    Without a complete trial the `best_*` are null, and the best of the others is named apart.
    """
    winner = history.incumbent
    results: dict[str, Any] = {
        "name": "hposweep",
        "best_trial": None if winner is None else winner.number,
        "best_params": None if winner is None else winner.configuration,
        "best_value": None if winner is None else winner.value,
        "metric": history.metric,
        "direction": str(history.direction),
        "n_trials": len(history.trials),
        "states": count_states(history),
    }
    if winner is None:
        partial = best_partial(history)
        if partial is not None:
            results["best_partial_trial"] = partial.number
            results["best_partial_params"] = partial.configuration
            results["best_partial_value"] = partial.value
    if history.final is not None and final_metric is not None:
        results[final_metric] = history.final.value
    warning = warning_of_no_learning(sweep_dir, history)
    if warning:
        results["warning"] = warning
    return results


def warning_of_no_learning(sweep_dir: Path, history: History) -> str:
    """A sentence if the best trial answers no better than always with the most frequent class; else nothing.

    Known where the objective leaves the error of that answer in its folder, as ours does.
    """
    winner = history.incumbent
    if winner is None or winner.value is None:
        return ""
    path = sweep_dir / winner.folder / file_names.DATA_SUMMARY
    if not path.is_file():
        return ""
    baseline = float(json.loads(path.read_text(encoding="utf-8"))["baseline_error"])
    if winner.value < baseline:
        return ""
    return (
        f"nothing was learnt: the best {history.metric}, {winner.value:.4g}, is no better than always answering the "
        f"most frequent class, {baseline:.4g}. Look at the model's output, its loss and the range of learning rates."
    )


def _cell(value: Value) -> str:
    """A value as text that tells floats exactly; what is no text is written as JSON writes it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    return value if isinstance(value, str) else json.dumps(value)
