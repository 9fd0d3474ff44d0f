"""`trials.csv` and `optimization_results.yaml`, and the table of trials that people see wherever trials are listed."""

from __future__ import annotations

import csv
import enum
import json
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hposweep.errors import ConfigError
from hposweep.history import History, best_partial, count_states
from hposweep.number_text import number_text
from hposweep.search_space import Value
from hposweep.secret_keys import masked_configuration
from hposweep.sweep_folder import learning_curve
from hposweep.sweep_folder.files import done_without, write_atomically
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Trial

TRIALS_FILE = "trials.csv"
RESULTS_FILE = "optimization_results.yaml"
MOST_ROWS_AT_ONCE = 256
RESULTS_KEYS = (
    *("name", "best_trial", "best_params", "best_value", "metric", "direction", "n_trials", "states"),
    *("best_seeds", "best_interval", "best_partial_trial", "best_partial_params", "best_partial_value", "warning"),
)
BEFORE_THE_CONFIGURATION = ("trial", "state", "epochs", "seed")
AFTER_THE_CONFIGURATION = ("attempts", "started_at", "duration_s", "failure")
# Floats that JSON has no word for, as `repr` writes them.
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


# What makes a formula of a spreadsheet's cell, in both widths, and the blanks that some pass over before it.
FORMULA_SIGNS = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")


class NotSet(enum.Enum):
    """What stands for a value that a trial does not have, which is not the value null."""

    NOT_SET = enum.auto()


NOT_SET = NotSet.NOT_SET


@dataclass(frozen=True)
class Column:
    """One thing that is known of trials: of the trial itself, or one of its hyperparameters."""

    name: str
    cells: Sequence[Any]  # a value for each trial, or NOT_SET
    key: str | None = None  # the hyperparameter's key; None where the column is no hyperparameter's

    @property
    def is_numeric(self) -> bool:
        """Whether it holds numbers, and nothing else but nulls and what is not set."""
        values = [cell for cell in self.cells if cell is not NOT_SET and cell is not None]
        return bool(values) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in values)

    def text(self, cell: Any) -> str:
        """One of its cells as `trials.csv` holds it."""
        if cell is NOT_SET:
            return ""
        if self.key is not None or not isinstance(cell, str):
            return cell_text(cell)
        return json.dumps(cell) if cell.startswith(FORMULA_SIGNS) else cell


@dataclass(frozen=True)
class TrialTable:
    """A row a trial. All places that list trials take their columns and cells from here."""

    columns: Sequence[Column]

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return list(zip(*(column.cells for column in self.columns), strict=True))

    def of(self, *names: str) -> TrialTable:
        """The same with these columns of the trials themselves alone, and all hyperparameters."""
        return TrialTable([column for column in self.columns if column.key is not None or column.name in names])


def names_of_means(metric: str) -> tuple[str, str]:
    """The columns of the mean over the seeds of a configuration, and of how many there are."""
    return f"{metric}_mean", "seeds"


def trial_table(
    trials: Sequence[Trial],
    history: History,
    epochs_of: Callable[[Trial], int | None],
    keys: Sequence[str] | None = None,
) -> TrialTable:
    """Trial, state, the metric, epochs, seed, the hyperparameters, attempts, times and failure of these trials.

    Where trials of the sweep repeat a configuration, the mean over its seeds stands after the metric.

    A hyperparameter that has the name of another column stands under `configuration.<its key>`. A trial without a value
    of the metric or without an epoch has a cell that is not set there.

    Args:
        epochs_of: epochs that a trial has trained; None where nobody knows.
        keys: of the hyperparameters that have columns; None: those of these trials.
    """
    metric = history.metric
    before: dict[str, list[Any]] = {
        "trial": [trial.number for trial in trials],
        "state": [str(trial.state) for trial in trials],
        metric: [NOT_SET if trial.value is None else trial.value for trial in trials],
        **_means(trials, history),
        "epochs": [epochs_of(trial) or NOT_SET for trial in trials],
        "seed": [trial.seed for trial in trials],
    }
    after: dict[str, list[Any]] = {
        "attempts": [trial.attempts for trial in trials],
        "started_at": [trial.started_at or NOT_SET for trial in trials],
        "duration_s": [round(trial.duration_s, 3) for trial in trials],
        "failure": [trial.failure_line for trial in trials],
    }
    keys = keys_of(trials) if keys is None else keys
    names = _column_names(keys, {*before, *after})
    shown = [masked_configuration(trial.configuration) for trial in trials]
    hyperparameters = [Column(names[key], [each.get(key, NOT_SET) for each in shown], key) for key in keys]
    of_trials = [[Column(name, cells) for name, cells in each.items()] for each in (before, after)]
    return TrialTable([*of_trials[0], *hyperparameters, *of_trials[1]])


def keys_of(trials: Iterable[Trial]) -> list[str]:
    """The hyperparameters of these trials, in the order of the first ones that have them."""
    return list(dict.fromkeys(key for trial in trials for key in trial.configuration))


def _means(trials: Sequence[Trial], history: History) -> dict[str, list[Any]]:
    if not history.n_repeating:
        return {}
    found = [history.repetitions_of(trial) for trial in trials]
    mean, seeds = names_of_means(history.metric)
    return {
        mean: [each.mean if each.counting else NOT_SET for each in found],
        seeds: [len(each.counting) or NOT_SET for each in found],
    }


def _column_names(keys: Sequence[str], taken: set[str]) -> dict[str, str]:
    """The name of each hyperparameter's column: its key, where no other column has that name."""
    used = taken | set(keys)
    names = {}
    for key in keys:
        name = key
        while name in taken or (name != key and name in used):
            name = f"configuration.{name}"
        used.add(name)
        names[key] = name
    return names


def n_epochs(trial: Trial, rows: Sequence[Mapping[str, float]]) -> int | None:
    """Epochs that a trial has trained: the last one in its learning curve, else that where the journal has it stand.

    None where nobody knows: its objective reports no epochs and trains by itself to the end.
    """
    return int(rows[-1]["epoch"]) if rows else trial.epoch


def write(sweep_dir: Path, history: History, final_metric: str | None) -> None:
    """Writes both files anew.

    Raises:
        WriteError: if one can't be written.
    """
    _write(sweep_dir, trials_csv(sweep_dir, history), history, final_metric, durable=True)


def _write(sweep_dir: Path, table: str, history: History, final_metric: str | None, *, durable: bool) -> None:
    with done_without():
        write_atomically(sweep_dir / TRIALS_FILE, table, durable=durable)
    results = yaml.safe_dump(
        optimization_results(sweep_dir, history, final_metric), sort_keys=False, allow_unicode=True
    )
    with done_without():
        write_atomically(sweep_dir / RESULTS_FILE, results, durable=durable)


def check_metric_name(name: object) -> None:
    """Raises a ConfigError unless it can head a column of `trials.csv` and of `learning_curve.csv`."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ConfigError(f"must be a name in one line, got {name!r}")
    if name in (*BEFORE_THE_CONFIGURATION, *AFTER_THE_CONFIGURATION, "epoch", "seconds"):
        raise ConfigError(f"'{name}' heads another column of the tables; take another name")


def check_final_metric_name(name: object) -> None:
    """Raises a ConfigError unless it can stand in `optimization_results.yaml` beside what is there anyway."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ConfigError(f"must be a name in one line, got {name!r}")
    if name in RESULTS_KEYS:
        raise ConfigError(f"'{name}' has another meaning in {RESULTS_FILE}; take another name")


def trials_csv(sweep_dir: Path, history: History) -> str:
    """The table of all trials; cells as `cell_text` writes them, those that are not set empty."""
    return TablesUnderWay(sweep_dir, history, None).trials_csv()


@dataclass
class TablesUnderWay:
    """Both files of a sweep that runs, written again and again: the row of a trial that has ended is made once."""

    sweep_dir: Path
    history: History
    final_metric: str | None
    _rows: dict[int, str] = field(default_factory=dict, init=False)  # of trials that have ended
    _keys: list[str] = field(default_factory=list, init=False)  # the hyperparameters of those rows
    _n_seen: int = field(default=0, init=False)  # of the ended trials, those whose rows were made or dropped

    def make_rows(self) -> None:
        """Makes rows of trials that have ended, a few at a time: nobody has to wait until all are made."""
        if self.history.n_repeating:
            return
        ended = self.history.ended_trials[self._n_seen : self._n_seen + MOST_ROWS_AT_ONCE]
        trials = [self.history.trials[number] for number in ended if number not in self._rows]
        if not set(self._keys).issuperset(keys_of(trials)):
            self._set_keys()
        self._n_seen += len(ended)
        self._rows |= self._made(trials)[1] if trials else {}

    def write(self) -> None:
        """Writes both files anew. A power cut may take them: they can be made from the journal at any time.

        Raises:
            WriteError: if one can't be written.
        """
        _write(self.sweep_dir, self.trials_csv(), self.history, self.final_metric, durable=False)

    def trials_csv(self) -> str:
        """As the function of this name."""
        trials = self.history.trials
        numbers = sorted(trials)
        self._set_keys()
        others = [trials[number] for number in numbers if number not in self._rows]
        head, found = self._made(others)
        self._rows |= {trial.number: found[trial.number] for trial in others if trial.state.is_ended}
        return head + "".join(found.get(number) or self._rows[number] for number in numbers)

    def _set_keys(self) -> None:
        """Gives all hyperparameters their columns; rows that lack one are dropped."""
        trials = self.history.trials
        keys = keys_of(trials[number] for number in sorted(trials))
        # The mean over the seeds of a configuration changes after its trials' ends.
        if keys != self._keys or self.history.n_repeating:
            self._keys, self._rows, self._n_seen = keys, {}, 0

    def _made(self, trials: Sequence[Trial]) -> tuple[str, dict[int, str]]:
        """The head of the table, and the rows of these trials."""
        table = trial_table(trials, self.history, self._epochs_of, self._keys)
        lines: list[str] = []
        writer = csv.writer(_Lines(lines), lineterminator="\n")
        writer.writerow(column.name for column in table.columns)
        for row in table.rows:
            writer.writerow([column.text(cell) for column, cell in zip(table.columns, row, strict=True)])
        head, *rows = lines
        return head, dict(zip((trial.number for trial in trials), rows, strict=True))

    def _epochs_of(self, trial: Trial) -> int | None:
        return n_epochs(trial, TrialFiles(self.sweep_dir, trial.folder, self.history.schema).read_curve())


@dataclass
class _Lines:
    """What a CSV writer takes for a file; it writes a row at once."""

    lines: list[str]

    def write(self, line: str) -> None:
        self.lines.append(line)


def cell_text(value: Value) -> str:
    """A hyperparameter's value as text that `cell_value` reads back, floats to the bit.

    Texts stand as they are, and all else as JSON writes it (`0.1`, `3`, `true`, `null`, `[1, "x"]`; besides `nan`,
    `inf` and `-inf`). A text that would be read as something else, an empty one, one with a control character, and one
    that a spreadsheet would take for a formula stand in JSON's quotes: the text `null` is `"null"`, and null is `null`.
    """
    if isinstance(value, str):
        return json.dumps(value) if _needs_quotes(value) else value
    if isinstance(value, float):
        return repr(float(value))
    return json.dumps(value)


def cell_value(text: str) -> Value | NotSet:
    """What a hyperparameter's cell of `trials.csv` stands for; an empty one is not set."""
    if text in NOT_FINITE:
        return NOT_FINITE[text]
    try:
        return json.loads(text) if text else NOT_SET
    except (ValueError, RecursionError):
        return text


def _needs_quotes(text: str) -> bool:
    if text.startswith(FORMULA_SIGNS):
        return True
    return cell_value(text) != text or any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def optimization_results(sweep_dir: Path, history: History, final_metric: str | None) -> dict[str, Any]:
    """The winner and its value, as other Hydra sweepers write them, and what else is known of the sweep.

    Without a complete trial the `best_*` are null, and the best of the others is named apart.
    """
    winner = history.incumbent
    results: dict[str, Any] = {
        "name": "hposweep",
        "best_trial": None if winner is None else winner.number,
        "best_params": None if winner is None else masked_configuration(winner.configuration),
        "best_value": None if winner is None else history.value_of(winner),
        "metric": history.metric,
        "direction": str(history.direction),
        "n_trials": len(history.trials),
        "states": count_states(history),
    }
    if winner is not None and history.n_repeating:
        found = history.repetitions_of(winner)
        results["best_seeds"] = len(found.counting)
        results["best_interval"] = None if found.interval is None else list(found.interval)
    if winner is None:
        partial = best_partial(history)
        if partial is not None:
            results["best_partial_trial"] = partial.number
            results["best_partial_params"] = masked_configuration(partial.configuration)
            results["best_partial_value"] = partial.value
    if history.final is not None and final_metric is not None:
        results[final_metric] = history.final.value
    warning = warning_of_no_learning(sweep_dir, history)
    if warning:
        results["warning"] = warning
    return results


def other_metrics(sweep_dir: Path, history: History, trial: Trial) -> dict[str, float]:
    """What else than the metric the trial has reported of its last epoch, by name; empty where that is nothing."""
    rows = TrialFiles(sweep_dir, trial.folder, history.schema).read_curve()
    found = learning_curve.metrics_of(rows[-1]) if rows else {}
    return {name: value for name, value in found.items() if name != history.metric}


def with_further_metrics(table: TrialTable, metrics: Sequence[Mapping[str, float]], metric: str) -> TrialTable:
    """The table with what was measured on the same examples as the metric, but for the loss, in columns after it.

    Args:
        metrics: what each of its trials has reported of its last epoch.
    """
    part = metric.partition("_")[0] + "_"
    names = [name for name in metrics[0] if name.startswith(part) and name != f"{part}loss"]
    further = [Column(name, [each.get(name, NOT_SET) for each in metrics]) for name in names]
    at = next(number for number, column in enumerate(table.columns, start=1) if column.name == metric)
    return TrialTable([*table.columns[:at], *further, *table.columns[at:]])


def warning_of_no_learning(sweep_dir: Path, history: History) -> str:
    """A warning if the best trial is no better than always giving the same answer; else empty.

    Known where the objective leaves the value of that answer in its folder, as ours does.
    """
    winner = history.incumbent
    if winner is None or winner.value is None:
        return ""
    summary = TrialFiles(sweep_dir, winner.folder, history.schema).read_data_summary()
    baseline = summary.get("baseline_error", summary.get("baseline"))
    if baseline is None or history.direction.loss(winner.value) < history.direction.loss(baseline):
        return ""
    same_answer = "answering the most frequent class" if "baseline_error" in summary else "giving the same answer"
    best, constant = number_text(winner.value), number_text(baseline)
    return (
        f"nothing was learnt: the best {history.metric}, {best}, is no better than always {same_answer}, {constant}. "
        "Look at the model's output, its loss and the range of learning rates."
    )
