"""The table of trials, and the commands that run them again, as the page's script takes them."""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from hposweep.results.figures.style import LOOKS, thinned
from hposweep.results.shown_values import MOST_CHARACTERS, cell_shown
from hposweep.results.sweep_data import SweepData
from hposweep.shown_text import cut, shell_line
from hposweep.sweep_folder import tables
from hposweep.sweep_folder.tables import Column
from hposweep.trial import Trial, TrialState

MOST_LISTED_TRIALS = 20_000  # in the table: a browser takes their texts at once
FAILURES = (TrialState.FAILED, TrialState.TIMED_OUT, TrialState.DIVERGED)
LONGEST_WORD = 131_071  # of a command, in bytes: Linux's limit
RANK = "rank"
STARTED_AT = "started_at"
DETAILS = ("seed", "attempts", STARTED_AT, "failure")  # columns that are not shown unless they are chosen

RunAgain = Callable[[Trial], Sequence[str]]  # the words of the command that runs a trial again, by itself


def listed(sweep: SweepData) -> list[Trial]:
    """The trials of the table: all of them or, of very many, the best ones and others evenly chosen."""
    trials = sweep.trials
    if len(trials) <= MOST_LISTED_TRIALS:
        return trials
    best = {trial.number for trial in ranked(sweep)[: MOST_LISTED_TRIALS // 2]}
    others = thinned([trial for trial in trials if trial.number not in best], MOST_LISTED_TRIALS - len(best))
    chosen = best | {trial.number for trial in others}
    return [trial for trial in trials if trial.number in chosen]


def table(sweep: SweepData, trials: Sequence[Trial]) -> dict[str, Any]:
    """The table of these trials, by columns: the page renders some of its rows at a time.

    Numbers are text, since a script would write some of them in another way than Hydra reads them.
    """
    made = tables.trial_table(trials, sweep.history, sweep.n_epochs, sweep.keys)
    number, *others = [
        dataclasses.replace(column, name=f"configuration.{RANK}") if column.name == RANK else column
        for column in made.columns
    ]
    # The metric, and what is known of the trials themselves, first: a search space may be wider than a screen.
    others.sort(key=lambda column: (column.key is not None, column.name != sweep.history.metric))
    columns = [number, _ranks(sweep, trials), *others]
    return {
        "columns": [_column(column) for column in columns],
        "metric": sweep.history.metric,
        "letters": {state: LOOKS[state].letter for state in TrialState},
        "winner": None if sweep.history.incumbent is None else trials.index(sweep.history.incumbent),
    }


def ranked(sweep: SweepData) -> list[Trial]:
    """The trials that have a value and did not fail, the best first.

    Complete ones come first, then those that got furthest; among equals the better value.
    """
    history = sweep.history

    def order(trial: Trial) -> tuple[bool, int, float, int]:
        is_complete = trial.state is TrialState.COMPLETE
        return (
            trial is not history.incumbent,
            -sys.maxsize if is_complete else -sweep.n_epochs(trial),
            history.direction.loss(history.value_of(trial) or 0.0),
            trial.number,
        )

    with_value = [
        trial
        for trial in sweep.trials
        if trial.state not in FAILURES and trial.value is not None and math.isfinite(trial.value)
    ]
    return sorted(with_value, key=order)


def _ranks(sweep: SweepData, trials: Sequence[Trial]) -> Column:
    places = {trial.number: place for place, trial in enumerate(ranked(sweep), start=1)}
    return Column(RANK, [places.get(trial.number, tables.NOT_SET) for trial in trials])


def commands(trials: Sequence[Trial], run_again: RunAgain | None) -> dict[str, Any] | None:
    """The commands that run the trials again, quoted for a shell: what all begin with, and what follows in each row.

    None where one can't be run as a command: a system refuses a word that long.
    """
    if run_again is None:
        return None
    words = [run_again(trial) for trial in trials]
    if any(_is_too_long(each) for each in words):
        return None
    positions = itertools.takewhile(lambda at_once: len(set(at_once)) == 1, zip(*words, strict=False))
    start = [at_once[0] for at_once in positions]
    return {"start": shell_line(start), "rows": [shell_line(each[len(start) :]) for each in words]}


def command(trial: Trial | None, run_again: RunAgain | None) -> str:
    """The command that runs the trial again; empty where there is none, or a system would refuse it."""
    words = [] if trial is None or run_again is None else run_again(trial)
    return "" if _is_too_long(words) else shell_line(words)


def _is_too_long(words: Sequence[str]) -> bool:
    return any(len(word) > LONGEST_WORD for word in words)


def _column(column: Column) -> dict[str, Any]:
    """A column as the page's script takes it.

    Besides the texts of its cells: what is shown in their place, null where that is the same.
    """
    texts = [column.text(cell) for cell in column.cells]
    shown = [cell_shown(column, cell) for cell in column.cells]
    if column.name == STARTED_AT and column.key is None:
        texts = shown = [_date_text(text) for text in texts]
    made: dict[str, Any] = {
        "name": column.name,
        "key": column.key,
        "kind": "number" if column.is_numeric else "text",
        "is_detail": column.key is None and column.name in DETAILS,
        "values": [cut(text, MOST_CHARACTERS) for text in texts],
        "shown": None if shown == texts else shown,
    }
    return made


def _date_text(time: str) -> str:
    return f"{time.partition('.')[0].replace('T', ' ')} UTC" if time else ""
