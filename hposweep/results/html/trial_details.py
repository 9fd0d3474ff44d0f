"""What the panel of a single trial shows beside its row of the table: as the page's script takes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hposweep.number_text import number_text, time_unit
from hposweep.results.html.findings import MOST_FAILURE_GROUPS, FailureGroup
from hposweep.results.sweep_data import SweepData
from hposweep.sweep_folder import log_tail
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Trial

MOST_LINES = 20  # of an output or a traceback: its end
MOST_CHARACTERS = 4000  # the same
N_BEST_WITH_OUTPUT = 20
N_FAILURES_WITH_OUTPUT = 20
MOST_POINTS = 200_000  # of all curves together
MOST_POINTS_OF_A_CURVE = 200


def segments(sweep: SweepData) -> dict[str, Any]:
    """All segments, by columns; those of a trial in the order of their starts.

    The units of `started` and `took` are those of `units`; epochs are null where they are unknown. Ends and places are
    positions in `ends` and `places`.
    """
    found = sweep.segments
    started_scale, started_unit = time_unit(sweep.wall_s)
    took_scale, took_unit = time_unit(max((s.duration_s or 0.0 for s in found), default=0.0))
    ends, places = (list(dict.fromkeys(values)) for values in ([s.end for s in found], [s.place for s in found]))
    return {
        "trial": [s.trial for s in found],
        "attempt": [s.attempt for s in found],
        "from": [s.start_epoch for s in found],
        "to": [s.target_epoch if s.end_epoch is None else s.end_epoch for s in found],
        "started": [number_text(s.started_s / started_scale) for s in found],
        "took": ["" if s.duration_s is None else number_text(s.duration_s / took_scale, 3) for s in found],
        "end": [ends.index(s.end) for s in found],
        "place": [places.index(s.place) for s in found],
        "ends": ends,
        "places": places,
        "units": {"started": started_unit, "took": took_unit},
    }


def curves(sweep: SweepData) -> dict[str, dict[str, Any]]:
    """The learning curves of all trials that have one, by their numbers: of long ones points that are evenly chosen.

    values: to the digits that a plot shows, null where there is no finite one
    epochs: of the values; not there: 1, 2, ...
    of: how many there are; not there: all are among the values
    """
    n_most = min(MOST_POINTS_OF_A_CURVE, max(2, MOST_POINTS // max(1, len(sweep.curves))))
    found: dict[str, dict[str, Any]] = {}
    for number, curve in sweep.curves.items():
        n = len(curve.epochs)
        chosen = np.linspace(0, n - 1, min(n, n_most)).round().astype(int)
        epochs = curve.epochs[chosen].tolist()
        values = [float(f"{value:.4g}") if math.isfinite(value) else None for value in curve.values[chosen].tolist()]
        found[str(number)] = {
            "values": values,
            **({} if epochs == list(range(1, n + 1)) else {"epochs": epochs}),
            **({} if len(chosen) == n else {"of": n}),
        }
    return found


def intervals(sweep: SweepData, trials: Sequence[Trial]) -> list[str] | None:
    """The 95% interval of each of these trials' values, empty where there is none; None: of no trial."""
    found = [sweep.interval(trial.value, sweep.n_validation) for trial in trials]
    if not any(found):
        return None
    return ["" if each is None else f"{number_text(each[0])} to {number_text(each[1])}" for each in found]


def tracebacks(sweep: SweepData, groups: Sequence[FailureGroup]) -> dict[str, Any]:
    """The ends of the failures of the first trial of each group, and the group of each trial that failed."""
    positions = {group.line: position for position, group in enumerate(groups[:MOST_FAILURE_GROUPS])}
    return {
        "groups": [{"first": group.first, "text": _end(group.traceback)} for group in groups[:MOST_FAILURE_GROUPS]],
        "of": {
            str(trial.number): positions[trial.failure_line]
            for trial in sweep.trials
            if trial.failure_line in positions
        },
    }


def logs(sweep_dir: Path, sweep: SweepData, best: Sequence[Trial], groups: Sequence[FailureGroup]) -> dict[str, str]:
    """The ends of what a few trials have printed, by their numbers.

    Those are the best ones, the first of each kind of failure, and the newest. What looks like a secret is masked.
    """
    numbers = [trial.number for trial in best[:N_BEST_WITH_OUTPUT]]
    numbers += [group.first for group in groups[:N_FAILURES_WITH_OUTPUT]]
    numbers += [trial.number for trial in sweep.trials[-1:]]
    texts = {number: _output(sweep_dir, sweep, sweep.history.trials[number]) for number in dict.fromkeys(numbers)}
    return {str(number): text for number, text in texts.items() if text}


def _output(sweep_dir: Path, sweep: SweepData, trial: Trial) -> str:
    files = TrialFiles(sweep_dir, trial.folder, sweep.history.schema)
    try:
        piece = log_tail.piece(files, files.output.name, start=None)
    except OSError:
        return ""
    lines = log_tail.shown(piece.text + piece.rest).split("\n")
    return _end("\n".join(line.rstrip() for line in lines if line))


def _end(text: str) -> str:
    end = "\n".join(text.strip().split("\n")[-MOST_LINES:])
    return end if len(end) <= MOST_CHARACTERS else f"…{end[-MOST_CHARACTERS:]}"
