"""What a sweep prints: its search space before the first trial, a small table after the last one."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from hposweep.history import History, best_partial, ranked, states_text
from hposweep.number_text import number_text
from hposweep.results.html.in_a_process import Report
from hposweep.results.shown_values import rows_shown, value_and_seeds, value_shown
from hposweep.results.terminal.console import shown, table_of, terminal, texts
from hposweep.search_space import Configuration, Dimension, SearchSpace, literal
from hposweep.secret_keys import masked_configuration
from hposweep.shown_text import plural, shell_line
from hposweep.sweep_folder import file_names, tables
from hposweep.sweep_folder.tables import trial_table
from hposweep.trial import Trial

N_BEST = 5
# In the environment of a program that a command has started elsewhere: the folder in which the command was called.
CALLED_FROM = "HPOSWEEP_CALLED_FROM"


def print_search_space(search_space: SearchSpace, remark: str) -> None:
    """Each hyperparameter with its distribution and its support, and a remark, which may be empty."""
    table = table_of("hyperparameter", "distribution", "values")
    for dimension in search_space.dimensions:
        table.add_row(*texts(_indented(dimension, search_space), dimension.prior, dimension.prior.support()))
    console = terminal()
    if table.row_count:
        console.print(table)
    if remark:
        console.print(shown(remark))


def _indented(dimension: Dimension, search_space: SearchSpace) -> str:
    """A hyperparameter's key; one of a branch with its option before it, indented below its choice."""
    depth, when = 0, dimension.when
    while when is not None:
        depth, when = depth + 1, search_space.dimension(when.choice).when
    if dimension.when is None:
        return dimension.key
    return f"{'  ' * depth}{literal(dimension.when.option)}: {dimension.key}"


def print_dry_run(
    search_space: SearchSpace,
    configurations: Sequence[Configuration],
    remark: str,
    n_trials: int,
    epochs: int | None,
    *,
    at_most: bool,
) -> None:
    """What the sweep would do; `at_most` where not every trial gets all of its epochs."""
    print_search_space(search_space, remark)
    console = terminal()
    if configurations and len(search_space.hyperparameters):
        table = table_of("trial", *search_space.keys)
        for number, configuration in enumerate(configurations):
            masked = masked_configuration(configuration)
            cells = (value_shown(masked[key]) if key in masked else "" for key in search_space.keys)
            table.add_row(*texts(number, *cells))
        console.print(table)
    mostly = "at most " if at_most else ""
    budget = ""
    if epochs is not None:
        budget = f" of {mostly}{plural(epochs, 'epoch')}, {mostly}{plural(n_trials * epochs, 'epoch')} in all"
    console.print(shown(f"{plural(n_trials, 'trial')}{budget}. Dry run: nothing was run, no folder was made."))


def print_end(sweep_dir: Path, history: History, final_metric: str | None, command: Sequence[str]) -> None:
    """The best trials, the winner, the folder, and the command that runs the winner again."""
    console = terminal()
    complete = ranked(history)
    if complete:
        shown_columns = ("trial", history.metric, *tables.names_of_means(history.metric))
        best_trials = complete[:N_BEST]
        of_best = tables.with_further_metrics(
            trial_table(best_trials, history, lambda trial: trial.epoch).of(*shown_columns),
            [tables.other_metrics(sweep_dir, history, trial) for trial in best_trials],
            history.metric,
        )
        table = table_of(*(column.name for column in of_best.columns))
        for row in rows_shown(of_best):
            table.add_row(*texts(*row))
        console.print(table)
    console.print(shown(f"{plural(len(history.trials), 'trial')}: {states_text(history)}"))
    winner = history.incumbent
    if winner is not None:
        final = history.final
        tested = f", {final_metric} {number_text(final.value)}" if final is not None and final.value is not None else ""
        value = value_and_seeds(history, winner)
        console.print(shown(f"Winner: trial {winner.number}, {history.metric} {value}{tested}"))
    else:
        partial = best_partial(history)
        best = "" if partial is None else f"; the best so far is trial {partial.number}, {_value(partial)}"
        console.print(shown(f"No trial is complete{best}"))
    warning = tables.warning_of_no_learning(sweep_dir, history)
    if warning:
        console.print(shown(f"Warning: {warning}", style="bold"))
    console.print(shown(f"Folder: {relative(sweep_dir)}"), soft_wrap=True)
    if command:
        console.print(shown(f"The winner again: {shell_line(command)}"), soft_wrap=True)


def end_line(history: History) -> str:
    """How many trials ended how, and the best one."""
    text = f"{plural(len(history.trials), 'trial')}: {states_text(history)}"
    best = history.incumbent
    if best is None:
        return text
    return f"{text}; best: trial {best.number}, {history.metric} {value_and_seeds(history, best)}"


def print_single_run(folder: Path, metric: str, value: object, command: Sequence[str]) -> None:
    """The result of a job that was run by itself, its folder, its model, and the command that runs it again."""
    console = terminal()
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = number_text(value) if math.isfinite(value) else "none, the training diverged"
        console.print(shown(f"Result: {metric} {text}"))
    console.print(shown(f"Folder: {relative(folder)}"), soft_wrap=True)
    if (folder / file_names.MODEL).is_file():
        console.print(shown(f"Model: {relative(folder / file_names.MODEL)}"), soft_wrap=True)
    console.print(shown(f"The same again: {shell_line(command)}"), soft_wrap=True)


def print_report(report: Report) -> None:
    """Where the report is, or why there is none."""
    if report.lacks_packages:
        text = f"No {report.path.name}: {report.why_not}"
    elif report.why_not:
        remedy = shell_line(["python", "-m", "hposweep", "report", str(relative(report.path.parent))])
        text = f"No {report.path.name}: {report.why_not}. Make it with: {remedy}"
    else:
        text = f"Report: {relative(report.path)}"
    terminal().print(shown(text), soft_wrap=True)


def print_dashboard(link: str) -> None:
    """Where the sweep is shown while it runs."""
    terminal().print(shown(f"Dashboard, while the sweep runs: {link}"), soft_wrap=True)


def print_how_to_resume(sweep_dir: Path) -> None:
    """The command that resumes the sweep."""
    command = ["python", "-m", "hposweep", "resume", str(relative(sweep_dir))]
    terminal().print(shown(f"Not finished. Resume it with: {shell_line(command)}"), soft_wrap=True)


def _value(trial: Trial) -> str:
    return "" if trial.value is None else number_text(trial.value)


def relative(path: Path) -> Path:
    """The path as people type it from where they are."""
    here = Path(os.environ.get(CALLED_FROM) or Path.cwd())
    return path.relative_to(here) if path.is_relative_to(here) else path
