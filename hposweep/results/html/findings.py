"""What a sweep has shown, in sentences and in the numbers at the top of its page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hposweep.failure import as_recorded
from hposweep.history import best_partial, count_states, states_text
from hposweep.number_text import number_text, time_text, time_unit
from hposweep.results.intervals import overlap
from hposweep.results.shown_values import value_and_seeds
from hposweep.results.sweep_data import SweepData
from hposweep.shown_text import plural
from hposweep.sweep_folder import tables
from hposweep.trial import Trial, TrialState

MOST_NAMED_TRIALS = 12
MOST_FAILURE_GROUPS = 50  # that are shown


@dataclass(frozen=True)
class FailureGroup:
    """Trials whose failures have the same line."""

    line: str
    first: int  # number of the first of them
    states: str
    n: int
    trials: str
    traceback: str  # of the first of them


def summary(sweep_dir: Path, sweep: SweepData) -> list[str]:
    """What the sweep has shown, in a few sentences."""
    history = sweep.history
    if not sweep.trials:
        return ["No trial has started yet."]
    winner = history.incumbent
    sentences = []
    if winner is None:
        partial = best_partial(history)
        named = "" if partial is None else f" The best so far is trial {partial.number}, {_value(partial.value)}."
        sentences.append(f"No trial is complete.{named}")
    else:
        won = value_and_seeds(history, winner) if history.n_repeating else _with_interval(sweep, winner.value)
        how = "is the best so far" if sweep.is_running else "won"
        sentences.append(f"Trial {winner.number} {how}: {history.metric} {won}.")
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
            first=trials[0].number,
            states=", ".join(dict.fromkeys(str(trial.state) for trial in trials)),
            n=len(trials),
            trials=_named(trials),
            traceback=as_recorded(trials[0].failure.strip()),
        )
        for line, trials in sorted(groups.items(), key=lambda group: (-len(group[1]), group[1][0].number))
    ]


def facts(sweep: SweepData) -> list[tuple[str, str, str]]:
    """The numbers at the top: name, value, and a remark."""
    history = sweep.history
    if not sweep.trials:
        return []
    winner = history.incumbent
    found = []
    if winner is not None:
        found.append((f"best {history.metric}", _value(history.value_of(winner)), f"trial {winner.number}"))
    if history.final is not None and history.final.value is not None:
        found.append((_final_metric(sweep), number_text(history.final.value), "of the winner"))
    n_complete = count_states(history).get("COMPLETE", 0)
    found.append(("trials", f"{len(history.trials):,}", f"{n_complete:,} complete"))
    n_epochs = sum(sweep.n_epochs(trial) for trial in sweep.trials)
    if n_epochs:
        found.append(("epochs", f"{n_epochs:,}", "of all trials"))
    scale, unit = time_unit(sweep.wall_s)
    found.append(("running time", number_text(sweep.wall_s / scale, 3), unit))
    return found


def status(sweep: SweepData) -> str:
    """Whether it is over, and if not, why."""
    end = sweep.history.end
    if sweep.is_finished():
        return "finished"
    if sweep.is_running:
        return "running"
    if end is not None:
        return f"stopped: {end.text}"
    return "not finished: it runs, or was killed" if sweep.is_running is None else "killed: it ended without a word"


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
    return f"{_value(value)} (95% interval {low} to {high}, from {n_examples:,} {kind} examples)"


def _value(value: float | None) -> str:
    return "unknown" if value is None else number_text(value)


def _final_metric(sweep: SweepData) -> str:
    """The name of the value of the job that follows the last trial, as the record holds it."""
    return "final value" if sweep.record is None else sweep.record.final_metric or "final value"
