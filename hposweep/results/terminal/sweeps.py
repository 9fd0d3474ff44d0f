"""Sweeps at a glance: a row each, or one of them in a line."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from rich.padding import Padding
from rich.table import Table

from hposweep.number_text import number_text
from hposweep.results.overview import Overview, SweepState
from hposweep.results.terminal.console import shown, table_of, terminal, texts
from hposweep.trial import TrialState

WITHOUT_A_RESULT = (TrialState.FAILED, TrialState.TIMED_OUT)
COLUMNS = ("sweep", "state", "trials", "failed", "best", "metric", "age")
RIGHT_ALIGNED = ("failed", "best", "age")
ANY_WIDTH = 100_000
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def print_sweeps(folder: Path, sweeps: Sequence[Overview], now: datetime.datetime) -> None:
    """A row for each sweep in the folder, on a narrow terminal two lines; at the end, why some can't be read."""
    console = terminal()
    rows = [_cells(folder, sweep, now) for sweep in sweeps]
    tables = (_table(rows, left_out) for left_out in ("", "metric"))
    anything = console.options.update(max_width=ANY_WIDTH)
    fitting = (each for each in tables if console.measure(each, options=anything).maximum <= console.width)
    table = next(fitting, None)
    if table is not None:
        console.print(table)
    else:
        for row in rows:
            console.print(shown(row["sweep"], style="bold"))
            console.print(Padding(shown(", ".join(_in_words(row))), (0, 0, 0, 2), expand=False))
    for sweep in sweeps:
        if sweep.state is SweepState.UNREADABLE:
            console.print(shown(sweep.why))


def print_state(sweep: Overview) -> None:
    """What one sweep is at, and who runs it or why it ended."""
    history = sweep.history
    progress = f"{history.n_done:,} of {history.n_trials:,} trials"
    about = {
        SweepState.RUNNING: f", {progress}, run by {sweep.controller}",
        SweepState.STOPPED: f", {progress}: {sweep.why}",
        SweepState.KILLED: f", {progress}: {sweep.controller}, which ran it, ended without a word",
    }
    terminal().print(shown(f"State: {sweep.state}{about.get(sweep.state, '')}"))


def _cells(folder: Path, sweep: Overview, now: datetime.datetime) -> dict[str, str]:
    """The texts of a sweep's row, by the column."""
    history, best = sweep.history, sweep.best
    cells = dict.fromkeys(COLUMNS, "")
    cells["sweep"] = sweep.name if sweep.folder == folder else str(sweep.folder.relative_to(folder))
    cells["state"] = str(sweep.state)
    if sweep.state is SweepState.UNREADABLE:
        return cells
    # A searcher may have had fewer configurations than were wanted.
    wanted = "" if sweep.state is SweepState.FINISHED else f" of {history.n_trials:,}"
    cells["trials"] = f"{history.n_done:,}{wanted}"
    n_failed = sum(history.n_in_state[state] for state in WITHOUT_A_RESULT)
    cells["failed"] = f"{n_failed:,}" if n_failed else ""
    cells["age"] = _age_text(sweep, now)
    value = None if best is None else history.value_of(best)
    if best is not None and value is not None:
        is_partial = best.state is not TrialState.COMPLETE and best.epoch is not None
        cells["best"] = number_text(value)
        cells["metric"] = f"{history.metric}{f' at epoch {best.epoch}' if is_partial else ''}"
    return cells


def _table(rows: Sequence[dict[str, str]], left_out: str) -> Table:
    """All columns that have something to tell, but for one."""
    columns = [name for name in COLUMNS if name != left_out and any(row[name] for row in rows)]
    table = table_of(*columns)
    for column, name in zip(table.columns, columns, strict=True):
        column.justify = "right" if name in RIGHT_ALIGNED else "left"
    for row in rows:
        is_running = row["state"] == SweepState.RUNNING
        table.add_row(*texts(*map(row.__getitem__, columns)), style="bold" if is_running else "")
    return table


def _in_words(row: dict[str, str]) -> list[str]:
    said = [row["state"]]
    if row["trials"]:
        said.append(f"{row['trials']} trials")
    if row["failed"]:
        said.append(f"{row['failed']} failed")
    if row["best"]:
        said.append(f"best {row['best']} ({row['metric']})")
    return [*said, row["age"]] if row["age"] else said


def _age_text(sweep: Overview, now: datetime.datetime) -> str:
    """The time since the last event, in the largest unit that is there once."""
    try:
        seconds = int((now - datetime.datetime.fromisoformat(sweep.changed_at)).total_seconds())
    except (ValueError, TypeError):  # nothing that we have written
        return ""
    size, unit = next((each for each in UNITS if seconds >= each[0]), UNITS[-1])
    return f"{max(seconds, 0) // size} {unit}"
