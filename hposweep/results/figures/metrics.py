"""Plots of all that trials report after each epoch: a plot for each quantity, such as the errors, or the losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from hposweep.history import best_partial, ranked
from hposweep.results.figures.style import (
    LEVELS,
    TRIALS,
    WINNER,
    Plot,
    epoch_ticks,
    figure_of,
    fit_y,
    floats,
    plain,
    whole_numbers,
)
from hposweep.results.sweep_data import SweepData
from hposweep.trial import Trial

MOST_QUANTITIES = 8
N_BEST = 6  # complete trials that are drawn
# Of which examples a column tells. The first is drawn dashed, as training is no measure of how good a model is.
PARTS = ("train", "training", "validation", "valid", "val", "test")
DASHES = {"train": "dash", "training": "dash", "test": "dot"}


def metrics(sweep: SweepData) -> dict[str, Plot]:
    """A plot for each quantity beside what the learning curves show, by its name; in the order of the columns."""
    trials = _best(sweep)
    found = {}
    for quantity, columns in list(_quantities(sweep, trials).items())[:MOST_QUANTITIES]:
        if columns != [sweep.history.metric]:
            found[quantity] = _plot(sweep, trials, columns)
    return found


def _best(sweep: SweepData) -> list[Trial]:
    """The best trials that have reported something: complete ones or, without any, the best of the others."""
    complete = ranked(sweep.history)[:N_BEST]
    partial = best_partial(sweep.history)
    trials = complete or ([] if partial is None else [partial])
    return [trial for trial in trials if trial.number in sweep.reported]


def _quantities(sweep: SweepData, trials: Sequence[Trial]) -> dict[str, list[str]]:
    """The columns by what they measure: `train_loss` and `validation_loss` both measure `loss`."""
    found: dict[str, list[str]] = {}
    for column in dict.fromkeys(column for trial in trials for column in sweep.reported[trial.number]):
        part, rest = _part(column)
        found.setdefault(rest if part else column, []).append(column)
    return found


def _part(column: str) -> tuple[str, str]:
    """The examples of which a column tells, and what it tells of them; no examples where the name has none."""
    for mark in ("_", " ", "/"):
        part, found, rest = column.partition(mark)
        if found and rest and part in PARTS:
            return part, rest
    return "", column


def _plot(sweep: SweepData, trials: Sequence[Trial], columns: Sequence[str]) -> Plot:
    winner = sweep.history.incumbent
    figure = figure_of(xaxis_title="epoch", height=340)
    values: list[float] = []
    own: list[float] = []
    lines = sorted(((trial, column) for trial in trials for column in columns), key=lambda each: each[0] is winner)
    named: set[str] = set()
    for trial, column in lines:
        curve = sweep.reported[trial.number].get(column)
        if curve is None:
            continue
        is_best = trial is (winner or trials[0])
        (own if is_best else values).extend(map(float, curve.values))
        whose = "next best"
        if is_best:
            whose = f"{'winner' if winner is not None else f'trial {trial.number}'}, {_part(column)[0] or column}"
        figure.add_trace(
            go.Scatter(
                x=floats(curve.epochs),
                y=floats(curve.values),
                customdata=whole_numbers([trial.number] * len(curve.epochs)),
                meta=TRIALS,
                mode="lines",
                line=_line(column, columns, is_best=is_best),
                legendgroup=whose,
                name=plain(whose),
                showlegend=whose not in named,
                hovertemplate=f"trial %{{customdata}}, epoch %{{x}}<br>{plain(column, 24)} %{{y:.4~g}}<extra></extra>",
            )
        )
        named.add(whose)
    epochs = [
        int(epoch) for trial in trials for curve in sweep.reported[trial.number].values() for epoch in curve.epochs
    ]
    first, last = min(epochs), max(epochs)
    margin = 0.03 * max(1, last - first)
    figure.update_xaxes(range=[first - margin, last + margin], **epoch_ticks(first, last))
    return Plot(figure, fit_y(figure, [*values, *own], [value for value in own if math.isfinite(value)]))


def _line(column: str, columns: Sequence[str], *, is_best: bool) -> dict[str, Any]:
    """Columns are told apart by their dashes, the winner from the others by colour and width."""
    dash = DASHES.get(_part(column)[0], ("solid", "longdash", "dashdot")[columns.index(column) % 3])
    if _part(column)[0] not in DASHES and len(columns) <= 3:
        dash = "solid"
    return {"color": WINNER if is_best else LEVELS[-2], "width": 2.6 if is_best else 0.9, "dash": dash}
