"""`report.html`: the results of a sweep, self-contained: it makes no network request.

It is made from the folder alone, so it can be made anew at any time.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hposweep.failure import as_recorded
from hposweep.history import best_partial, count_states, states_text
from hposweep.number_text import number_text, time_text, time_unit
from hposweep.results.figures.style import LOOKS, of_all, thinned
from hposweep.results.html import page
from hposweep.results.html.in_a_process import FILE_NAME
from hposweep.results.html.sweep_plots import GROUPS, sweep_plots
from hposweep.results.intervals import overlap
from hposweep.results.shown_values import MOST_CHARACTERS, cell_shown, value_and_seeds
from hposweep.results.sweep_data import SweepData, read
from hposweep.shown_text import cut, plural, shell_line
from hposweep.sweep_folder import tables
from hposweep.sweep_folder.sweep_yaml import AppRecord
from hposweep.sweep_folder.tables import Column
from hposweep.trial import Trial, TrialState

MOST_LISTED_TRIALS = 20_000  # in the table: a browser takes their texts at once
MOST_NAMED_TRIALS = 12
MOST_FAILURE_GROUPS = 50
LONGEST_WORD = 131_071  # of a command, in bytes: Linux's limit
STARTED_AT = "started_at"
DETAILS = ("seed", "attempts", STARTED_AT, "failure")  # columns that are shown when a row is opened


RunAgain = Callable[[Trial], Sequence[str]]  # the words of the command that runs a trial again, by itself


@dataclass(frozen=True)
class FailureGroup:
    """Trials whose failures have the same line."""

    line: str
    states: str
    n: int
    trials: str
    traceback: str  # of the first of them


def write(sweep_dir: Path, run_again: RunAgain | None) -> Path:
    """Makes the report of a sweep anew, and returns its path.

    Args:
        run_again: None: the page names no commands.

    Raises:
        ConfigError: if the folder holds no sweep.
        ModuleNotFoundError: if a package of the extra `report` is missing.
    """
    path = sweep_dir / FILE_NAME
    page.write(path, render(sweep_dir, read(sweep_dir), run_again))
    return path


def render(sweep_dir: Path, sweep: SweepData, run_again: RunAgain | None) -> str:
    """The page."""
    plots, sections = sweep_plots(sweep)
    groups = failure_groups(sweep)
    trials = listed(sweep)
    return page.render(
        "report.html",
        f"{sweep.name}: report of a sweep",
        plots,
        scripts=["trials.js"],
        data={"table": table(sweep, trials), "commands": commands(trials, run_again)},
        sweep=sweep,
        history=sweep.history,
        status=_status(sweep),
        facts=_facts(sweep),
        summary=summary(sweep_dir, sweep),
        winner_command=_winner_command(sweep, run_again),
        winner=sweep.history.incumbent,
        cell_text=tables.cell_text,
        not_listed=of_all(
            len(trials), len(sweep.trials), "trials", "the best among them; trials.csv has all", "listed"
        ),
        groups=GROUPS,
        sections=sections,
        failure_groups=groups[:MOST_FAILURE_GROUPS],
        n_more_groups=max(0, len(groups) - MOST_FAILURE_GROUPS),
        record=sweep.record,
        program=sweep.record.command if isinstance(sweep.record, AppRecord) else "",
        cwd=(sweep.record.cwd or "") if isinstance(sweep.record, AppRecord) else "",
        config=_config_text(sweep),
    )


def summary(sweep_dir: Path, sweep: SweepData) -> list[str]:
    """What the sweep has shown, in a few sentences."""
    history = sweep.history
    winner = history.incumbent
    sentences = []
    if winner is None:
        partial = best_partial(history)
        named = "" if partial is None else f" The best so far is trial {partial.number}, {_value(partial.value)}."
        sentences.append(f"No trial is complete.{named}")
    else:
        won = value_and_seeds(history, winner) if history.n_repeating else _with_interval(sweep, winner.value)
        sentences.append(f"Trial {winner.number} won: {history.metric} {won}.")
        if history.final is not None:
            final = history.final.value
            text = "unknown, its job failed" if final is None else _with_interval(sweep, final, is_final=True)
            sentences.append(f"Its {_final_metric(sweep)}: {text}.")
        others = tables.other_metrics(sweep_dir, history, winner)
        if others:
            listed = ", ".join(f"{name} {_value(value)}" for name, value in others.items())
            sentences.append(f"Its other metrics, at its last epoch: {listed}.")
        if not history.n_repeating:
            sentences += _like_the_winner(sweep, winner)
    n_epochs = sum(sweep.n_epochs(trial) for trial in sweep.trials)
    epochs = f"{plural(n_epochs, 'epoch')} in all, " if n_epochs else ""
    n_trials = plural(len(history.trials), "trial")
    time = f"{time_text(sweep.wall_s)} of running time"
    sentences.append(f"{n_trials}: {states_text(history)}; {epochs}{time}.")
    warning = tables.warning_of_no_learning(sweep_dir, history)
    if warning:
        sentences.append(f"Warning: {warning}")
    return sentences


def like_the_winner(sweep: SweepData) -> list[Trial] | None:
    """The other complete trials whose interval overlaps the winner's; None where there are no intervals."""
    winner = sweep.history.incumbent
    own = None if winner is None else sweep.interval(winner.value, sweep.n_validation)
    if own is None:
        return None
    found = []
    for trial in sweep.trials:
        other = sweep.interval(trial.value, sweep.n_validation)
        if trial is winner or trial.state is not TrialState.COMPLETE or other is None:
            continue
        if overlap(own, other):
            found.append(trial)
    return found


def failure_groups(sweep: SweepData) -> list[FailureGroup]:
    """Failures by their line, the most frequent first."""
    groups: dict[str, list[Trial]] = defaultdict(list)
    for trial in sweep.trials:
        if trial.failure_line:
            groups[trial.failure_line].append(trial)
    return [
        FailureGroup(
            line=line,
            states=", ".join(dict.fromkeys(str(trial.state) for trial in trials)),
            n=len(trials),
            trials=_named(trials),
            traceback=as_recorded(trials[0].failure.strip()),
        )
        for line, trials in sorted(groups.items(), key=lambda group: (-len(group[1]), group[1][0].number))
    ]


def listed(sweep: SweepData) -> list[Trial]:
    """The trials of the table: all of them or, of very many, the best ones and others evenly chosen."""
    trials = sweep.trials
    if len(trials) <= MOST_LISTED_TRIALS:
        return trials
    loss = sweep.history.direction.loss
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE and trial.value is not None]
    complete.sort(key=lambda trial: (loss(trial.value or 0.0), trial.number))
    winner = [] if sweep.history.incumbent is None else [sweep.history.incumbent]
    best = {trial.number for trial in [*winner, *complete[: MOST_LISTED_TRIALS // 2]]}
    others = thinned([trial for trial in trials if trial.number not in best], MOST_LISTED_TRIALS - len(best))
    chosen = best | {trial.number for trial in others}
    return [trial for trial in trials if trial.number in chosen]


def table(sweep: SweepData, trials: Sequence[Trial]) -> dict[str, Any]:
    """The table of these trials, by columns: the page renders some of its rows at a time.

    Numbers are text, since a script would write some of them in another way than Hydra reads them.
    """
    made = tables.trial_table(trials, sweep.history, sweep.n_epochs, sweep.keys)
    # What is known of the trials themselves first: a search space may be wider than a screen.
    columns = sorted(made.columns, key=lambda column: column.key is not None)
    return {
        "columns": [_column(column) for column in columns],
        "letters": {state: LOOKS[state].letter for state in TrialState},
        "winner": None if sweep.history.incumbent is None else trials.index(sweep.history.incumbent),
    }


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


def _facts(sweep: SweepData) -> list[tuple[str, str, str]]:
    """The numbers at the top: name, value, and a remark."""
    history = sweep.history
    winner = history.incumbent
    facts = []
    if winner is not None:
        facts.append((f"best {history.metric}", _value(history.value_of(winner)), f"trial {winner.number}"))
    if history.final is not None and history.final.value is not None:
        facts.append((_final_metric(sweep), number_text(history.final.value), "of the winner"))
    n_complete = count_states(history).get("COMPLETE", 0)
    facts.append(("trials", f"{len(history.trials):,}", f"{n_complete:,} complete"))
    n_epochs = sum(sweep.n_epochs(trial) for trial in sweep.trials)
    if n_epochs:
        facts.append(("epochs", f"{n_epochs:,}", "of all trials"))
    scale, unit = time_unit(sweep.wall_s)
    facts.append(("running time", number_text(sweep.wall_s / scale, 3), unit))
    return facts


def _status(sweep: SweepData) -> str:
    end = sweep.history.end
    if sweep.is_finished():
        return "finished"
    return "not finished: it runs, or was killed" if end is None else f"stopped: {end.text}"


def _like_the_winner(sweep: SweepData, winner: Trial) -> list[str]:
    n_others = count_states(sweep.history)[TrialState.COMPLETE] - 1
    alike = like_the_winner(sweep)
    if alike is None or not n_others:
        return []
    if not alike:
        return ["By that interval no other complete trial is as good."]
    share = f"{len(alike)} of the {n_others} other complete trials"
    if len(alike) == n_others:
        share = "The only other complete trial" if n_others == 1 else f"All {n_others} other complete trials"
    are = "is" if len(alike) == 1 else "are"
    return [f"{share} {are} not distinguishable from it, since the intervals overlap: {_named(alike)}."]


def _named(trials: Sequence[Trial]) -> str:
    numbers = ", ".join(str(trial.number) for trial in trials[:MOST_NAMED_TRIALS])
    more = len(trials) - MOST_NAMED_TRIALS
    return f"trial{'s' if len(trials) > 1 else ''} {numbers}{f' and {more:,} more' if more > 0 else ''}"


def _with_interval(sweep: SweepData, value: float | None, *, is_final: bool = False) -> str:
    n_examples, kind = (sweep.n_test, "test") if is_final else (sweep.n_validation, "validation")
    interval = sweep.interval(value, n_examples)
    if interval is None:
        return _value(value)
    low, high = map(number_text, interval)
    return f"{_value(value)} (95 % interval {low} to {high}, from {n_examples:,} {kind} examples)"


def _value(value: float | None) -> str:
    return "unknown" if value is None else number_text(value)


def _winner_command(sweep: SweepData, run_again: RunAgain | None) -> str:
    winner = sweep.history.incumbent
    words = [] if winner is None or run_again is None else run_again(winner)
    return "" if _is_too_long(words) else shell_line(words)


def _is_too_long(words: Sequence[str]) -> bool:
    return any(len(word) > LONGEST_WORD for word in words)


def _final_metric(sweep: SweepData) -> str:
    """The name of the value of the job that follows the last trial, as the record holds it."""
    return "final value" if sweep.record is None else sweep.record.final_metric or "final value"


def _config_text(sweep: SweepData) -> str:
    """The config of the sweep as YAML; empty where none is recorded."""
    if not isinstance(sweep.record, AppRecord):
        return ""
    return str(yaml.safe_dump(_with_cut_texts(sweep.record.config), sort_keys=False, allow_unicode=True))


def _with_cut_texts(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _with_cut_texts(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_cut_texts(value) for value in node]
    return cut(node, MOST_CHARACTERS) if isinstance(node, str) else node


def _column(column: Column) -> dict[str, Any]:
    """A column as the page's script takes it.

    Besides the texts of its cells: what is shown in their place, null where that is the same.
    """
    texts = [column.text(cell) for cell in column.cells]
    shown = [cell_shown(column, cell) for cell in column.cells]
    if column.name == STARTED_AT and column.key is None:
        shown = [_date_text(text) for text in texts]
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
