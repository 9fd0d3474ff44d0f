"""`trials.csv` and `optimization_results.yaml`, and which checkpoints stay."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from hposweep import job_folder, learning_curve, whole_file
from hposweep.errors import ConfigError
from hposweep.journal import History
from hposweep.search_space import Value
from hposweep.trial import Trial, TrialState, best

TRIALS_FILE = "trials.csv"
RESULTS_FILE = "optimization_results.yaml"
SECONDS_BETWEEN_TABLES = 10.0
BEFORE_THE_CONFIGURATION = ("trial", "state", "epochs", "seed")
AFTER_THE_CONFIGURATION = ("attempts", "started_at", "duration_s", "failure")


def write(sweep_dir: Path, history: History, final_metric: str | None) -> None:
    """Writes both files anew."""
    whole_file.write(sweep_dir / TRIALS_FILE, trials_csv(sweep_dir, history))
    results = optimization_results(sweep_dir, history, final_metric)
    whole_file.write(sweep_dir / RESULTS_FILE, yaml.safe_dump(results, sort_keys=False, allow_unicode=True))


class Rewriter:
    """Writes the tables anew now and then while the sweep runs: for who looks, and for after a kill.

    Never more than a twentieth of the time, however many trials there are.
    """

    def __init__(
        self, sweep_dir: Path, history: History, final_metric: str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sweep_dir, self._history, self._final_metric, self._clock = sweep_dir, history, final_metric, clock
        self._due_at = clock() + SECONDS_BETWEEN_TABLES

    def __call__(self) -> None:
        started = self._clock()
        if started < self._due_at:
            return
        write(self._sweep_dir, self._history, self._final_metric)
        ended = self._clock()
        self._due_at = ended + max(SECONDS_BETWEEN_TABLES, 20 * (ended - started))


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


def best_partial(history: History) -> Trial | None:
    """The best trial with a value that has not used its full budget."""
    states = (TrialState.PAUSED, TrialState.STOPPED, TrialState.INTERRUPTED)
    return best(list(history.trials.values()), history.direction, *states)


def count_states(history: History) -> dict[str, int]:
    """How many trials are in each state, the states without a trial left out."""
    counts = {str(state): 0 for state in TrialState}
    # A copy: the live display asks from a thread of its own, while the tuner adds trials.
    for trial in list(history.trials.values()):
        counts[str(trial.state)] += 1
    return {state: n for state, n in counts.items() if n}


def states_text(history: History) -> str:
    """The same in words, such as `3 COMPLETE, 1 FAILED`."""
    return ", ".join(f"{n} {state}" for state, n in count_states(history).items()) or "none"


def ranked(history: History) -> list[Trial]:
    """The complete trials, the best first, the smaller number where two are equal."""
    complete = [trial for trial in history.trials.values() if trial.state is TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: (history.direction.loss(trial.value or 0.0), trial.number))


def warning_of_no_learning(sweep_dir: Path, history: History) -> str:
    """A sentence if the best trial answers no better than always with the most frequent class; else nothing.

    Known where the objective leaves the error of that answer in its folder, as ours does.
    """
    winner = history.incumbent
    if winner is None or winner.value is None:
        return ""
    path = sweep_dir / winner.folder / job_folder.DATA_SUMMARY
    if not path.is_file():
        return ""
    baseline = float(json.loads(path.read_text(encoding="utf-8"))["baseline_error"])
    if winner.value < baseline:
        return ""
    return (
        f"nothing was learnt: the best {history.metric}, {winner.value:.4g}, is no better than always answering the "
        f"most frequent class, {baseline:.4g}. Look at the model's output, its loss and the range of learning rates."
    )


class CheckpointKeeper:
    """Removes the checkpoints of ended trials, the best one's excepted, while the sweep runs."""

    def __init__(self, sweep_dir: Path, history: History) -> None:
        self._sweep_dir, self._history = sweep_dir, history
        self._n_seen = 0
        self._kept: Trial | None = None  # the incumbent when it last looked

    def __call__(self) -> None:
        """Looks at the trials that have ended since the last call."""
        ended = [self._history.trials[number] for number in self._history.ended_trials[self._n_seen :]]
        if not ended:
            return
        self._n_seen += len(ended)
        incumbent = self._history.incumbent
        for trial in (*ended, *([self._kept] if self._kept else [])):
            if trial is not incumbent:
                _remove_checkpoint(self._sweep_dir, trial)
        self._kept = incumbent

    def end(self) -> None:
        """The sweep is over: trials that wait at a rung need theirs no more."""
        self()
        for trial in self._history.trials.values():
            if trial.state is TrialState.PAUSED:
                _remove_checkpoint(self._sweep_dir, trial)


class FolderKeeper:
    """Keeps a sweep's folder in order while it runs: what the tuner calls as its observer.

    Args:
        keeps_checkpoints: whether all of them stay.
    """

    def __init__(self, sweep_dir: Path, history: History, final_metric: str | None, *, keeps_checkpoints: bool) -> None:
        self._checkpoints = None if keeps_checkpoints else CheckpointKeeper(sweep_dir, history)
        self._rewriter = Rewriter(sweep_dir, history, final_metric)

    def __call__(self) -> None:
        if self._checkpoints is not None:
            self._checkpoints()
        self._rewriter()

    def end(self, *, is_complete: bool) -> None:
        """This run of the sweep is over; `is_complete` where no trial will go on."""
        if self._checkpoints is None:
            return
        self._checkpoints()
        if is_complete:
            self._checkpoints.end()


def _remove_checkpoint(sweep_dir: Path, trial: Trial) -> None:
    if trial.folder:
        (sweep_dir / trial.folder / job_folder.CHECKPOINT).unlink(missing_ok=True)
        shutil.rmtree(sweep_dir / trial.folder / job_folder.CHECKPOINT_DIR, ignore_errors=True)


def _cell(value: Value) -> str:
    """A value as text that tells floats exactly; what is no text is written as JSON writes it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    return value if isinstance(value, str) else json.dumps(value)
