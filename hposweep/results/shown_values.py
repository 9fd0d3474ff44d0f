"""Values of hyperparameters and cells of tables as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hposweep.history import History
from hposweep.number_text import number_text
from hposweep.search_space import Value
from hposweep.shown_text import cut, plural
from hposweep.sweep_folder.tables import Column, TrialTable, cell_text
from hposweep.trial import Trial

MOST_CHARACTERS = 15_000  # of a cell that people see


def value_and_seeds(history: History, trial: Trial) -> str:
    """The value of a trial's configuration; over several seeds the mean, how many there are, and its interval."""
    value, found = history.value_of(trial), history.repetitions_of(trial)
    text = "unknown" if value is None else number_text(value)
    if not history.n_repeating or not found.counting:
        return text
    interval = ""
    if found.interval is not None:
        low, high = map(number_text, found.interval)
        interval = f", 95% interval {low} to {high}"
    return f"{text} (mean of {plural(len(found.counting), 'seed')}{interval})"


def value_shown(value: Value) -> str:
    """A hyperparameter's value as people read it: as it stands in `trials.csv`, but for the digits of floats.

    Of a very long one the beginning.
    """
    return number_text(value) if isinstance(value, float) else cut(cell_text(value), MOST_CHARACTERS)


def cell_shown(column: Column, cell: Any) -> str:
    """A cell of a table of trials, the same way."""
    return number_text(cell) if isinstance(cell, float) else cut(column.text(cell), MOST_CHARACTERS)


def rows_shown(table: TrialTable) -> Iterator[tuple[str, ...]]:
    """The rows of a table of trials as people read them."""
    return zip(*([cell_shown(column, cell) for cell in column.cells] for column in table.columns), strict=True)
