"""Numbers and times as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hposweep.search_space import Value
from hposweep.shown_text import cut
from hposweep.sweep_folder.tables import Column, TrialTable, cell_text

LARGEST_IN_FULL = 1e6
MOST_CHARACTERS = 15_000  # of a cell that people see


def number_text(value: float, n_digits: int = 4) -> str:
    """A number in so many significant digits, zeros at their end left out: `0.1514`, `0.3`, `1e-06`, `31069`.

    Below a million all digits in front of the point are shown; from there on there is an exponent: `3.107e+06`.
    """
    text = f"{value:.{n_digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < LARGEST_IN_FULL else text


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


def time_unit(seconds: float) -> tuple[float, str]:
    """Seconds in the unit that suits such a time, and the unit's name."""
    if seconds < 180:
        return 1.0, "seconds"
    if seconds < 3 * 3600:
        return 60.0, "minutes"
    return 3600.0, "hours"


def time_text(seconds: float) -> str:
    """A time in three digits."""
    scale, unit = time_unit(seconds)
    return f"{number_text(seconds / scale, 3)} {unit}"
