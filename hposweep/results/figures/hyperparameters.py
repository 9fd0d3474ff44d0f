"""Plots of hyperparameters: each against the metric, and the importance of all."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from hposweep.number_text import number_text
from hposweep.results.beliefs import Model, Slice
from hposweep.results.figures.hyperparameter_axis import HyperparameterAxis
from hposweep.results.figures.levels import levels
from hposweep.results.figures.style import (
    BAD,
    BAND,
    CALM,
    GOOD,
    LOOKS,
    SOFT,
    TRIALS,
    Plot,
    ValueAxis,
    figure_of,
    floats,
    has_value,
    of_all,
    plain,
    thinned_trials,
    whole_numbers,
    winner_mark,
)
from hposweep.results.importance import Importances
from hposweep.results.shown_values import value_shown
from hposweep.results.sweep_data import SweepData
from hposweep.search_space import literal
from hposweep.shown_text import plural
from hposweep.trial import Trial, TrialState

LITTLE = 0.2  # explained variance with which importances are hardly more than noise
MOST_MARKS = 600  # a page has many of these plots
MANY = 300  # trials, from which on their marks are smaller
HEIGHT_WITHOUT_VALUES = 150  # in pixels
N_ROWS = 40  # of an option's column: trials in one row stand beside each other
HALF_COLUMN = 0.3
MOST_STEP = 0.06  # between trials in a row


def hyperparameter(sweep: SweepData, key: str, model: Model | None = None) -> Plot:
    """The metric against the values of one hyperparameter; trials without a value stand at the top edge.

    Under them what the model of the sweep's searcher says, where it says something.
    """
    trials = [trial for trial in sweep.trials if key in trial.configuration]
    winner = sweep.history.incumbent
    kept = thinned_trials(sweep, trials, MOST_MARKS)
    believed = None if model is None else model.along(key)
    axis = HyperparameterAxis.of(sweep, key, () if believed is None else believed.values)
    figure = figure_of(xaxis_title=plain(key), yaxis_title=plain(sweep.history.metric), height=320, showlegend=False)
    # The axis is that of all trials, so that plots of several hyperparameters can be compared.
    finite = [float(trial.value or 0.0) for trial in sweep.trials if has_value(trial)]
    edge, value_axis = ValueAxis.of(finite, [] if winner is None else [winner.value or 0.0]).with_edge()
    figure.update_yaxes(**value_axis.layout())
    if not finite:
        # An axis of values that nothing has would be the whole plot.
        figure.update_layout(height=HEIGHT_WITHOUT_VALUES)
        figure.update_yaxes(range=[edge - 1, edge + 1], showticklabels=False, showgrid=False, title=None)
    figure.update_xaxes(**axis.layout(_counts(axis, trials, key)))
    notes = value_axis.outside(float(trial.value or 0.0) for trial in trials if has_value(trial))
    if believed is not None:
        figure.add_traces(_belief(believed, axis))
        notes.append("Line and band: the searcher's model with its 95% interval, the others as the winner has them.")
    if axis.is_in_columns:
        figure.add_trace(_medians(trials, key, axis))
    heights = {trial.number: float(trial.value or 0.0) if has_value(trial) else edge for trial in kept}
    positions = _positions(kept, key, axis, heights, value_axis)
    size = 7 if len(kept) < MANY else 5
    for level in levels(sweep, [trial for trial in kept if trial is not winner]):
        for state in TrialState:
            of_state = [trial for trial in level.trials if trial.state is state]
            if of_state:
                figure.add_trace(_marks(of_state, state, key, level.colour, positions, heights, size))
    if winner is not None and key in winner.configuration and winner.value is not None:
        figure.add_trace(winner_mark([axis.position(winner.configuration[key])], [winner.value], [winner.number]))
    return Plot(figure, [*of_all(len(kept), len(trials), "trials", "the best ones among them"), *notes])


def importance(found: Importances) -> Plot:
    """A bar a hyperparameter, with one standard deviation on either side."""
    names = [plain(key) for key in reversed(found.keys)]
    figure = figure_of(
        xaxis_title="drop of R²",
        height=110 + 34 * len(names),
        showlegend=False,
    )
    figure.add_trace(
        go.Bar(
            x=list(reversed(found.means)),
            y=names,
            orientation="h",
            marker={"color": SOFT, "line": {"color": GOOD, "width": 1}},
            error_x={"type": "data", "array": list(reversed(found.deviations)), "color": GOOD, "thickness": 2},
            hovertemplate="%{y}: %{x:.3~g} ± %{error_x.array:.3~g}<extra></extra>",
        )
    )
    figure.update_yaxes(showgrid=False)
    which = (
        "finished trials"
        if found.epochs is None
        else f"trials that were compared after {plural(found.epochs, 'epoch')}"
    )
    notes = [
        f"From {found.n_trials} {which}; unshuffled, the forest explains "
        f"{max(0.0, found.explained):.0%} of the variance of their ranks."
    ]
    if found.explained < LITTLE:
        notes.append("That is little: don't read much into the bars.")
    return Plot(figure, notes)


def _counts(axis: HyperparameterAxis, trials: Sequence[Trial], key: str) -> list[str]:
    """How many trials have each option."""
    found = Counter(literal(trial.configuration[key]) for trial in trials)
    return [f"{found[option]:,}" for option in axis.options]


def _belief(believed: Slice, axis: HyperparameterAxis) -> list[go.Scatter]:
    """The model's mean with its interval: a line in a band or, of options, a mark with a bar each."""
    positions = floats(map(axis.position, believed.values))
    means, lows, highs = (floats(each) for each in (believed.means, believed.lows, believed.highs))
    if axis.options:
        return [
            go.Scatter(
                x=positions + 0.38,
                y=means,
                error_y={"type": "data", "array": highs - means, "arrayminus": means - lows, "color": GOOD, "width": 3},
                mode="markers",
                marker={"symbol": "diamond", "color": GOOD, "size": 7},
                hovertemplate="model: %{y:.4~g}<extra></extra>",
            )
        ]
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    return [
        go.Scatter(x=positions, y=lows, **edge),
        go.Scatter(x=positions, y=highs, fill="tonexty", fillcolor=BAND, **edge),
        go.Scatter(
            x=positions,
            y=means,
            mode="lines",
            line={"color": GOOD, "width": 2},
            hovertemplate="model: %{y:.4~g}<extra></extra>",
        ),
    ]


def _medians(trials: Sequence[Trial], key: str, axis: HyperparameterAxis) -> go.Scatter:
    """A line across each column, at the median of its complete trials or, without any, of the others."""
    columns: dict[float, list[Trial]] = defaultdict(list)
    for trial in trials:
        if has_value(trial):
            columns[axis.position(trial.configuration[key])].append(trial)
    x, y = [], []
    for column, found in columns.items():
        counting = [trial for trial in found if trial.state is TrialState.COMPLETE] or found
        x += [column - 0.34, column + 0.34, math.nan]
        y += [statistics.median(float(trial.value or 0.0) for trial in counting)] * 2 + [math.nan]
    line = {"color": CALM, "width": 2.5}
    return go.Scatter(
        x=floats(x), y=floats(y), mode="lines", line=line, hovertemplate="median: %{y:.4~g}<extra></extra>"
    )


def _positions(
    trials: Sequence[Trial],
    key: str,
    axis: HyperparameterAxis,
    heights: Mapping[int, float],
    value_axis: ValueAxis,
) -> dict[int, float]:
    """Where the trials stand on the axis; those of a column beside each other where they have the same height."""
    if not axis.is_in_columns:
        return {trial.number: axis.position(trial.configuration[key]) for trial in trials}
    rows: dict[tuple[float, int], list[int]] = defaultdict(list)
    for trial in trials:
        row = int(N_ROWS * value_axis.share(heights[trial.number]))
        rows[axis.position(trial.configuration[key]), row].append(trial.number)
    widest = max(map(len, rows.values()), default=1)
    step = min(MOST_STEP, 2 * HALF_COLUMN / max(1, widest - 1))
    found = {}
    for (column, _), numbers in rows.items():
        for i, number in enumerate(numbers):
            found[number] = column + step * (i - (len(numbers) - 1) / 2)
    return found


def _marks(
    trials: Sequence[Trial],
    state: TrialState,
    key: str,
    colour: str,
    positions: Mapping[int, float],
    heights: Mapping[int, float],
    size: int,
) -> go.Scatter:
    look = LOOKS[state]
    return go.Scatter(
        x=floats(positions[trial.number] for trial in trials),
        y=floats(heights[trial.number] for trial in trials),
        customdata=whole_numbers(trial.number for trial in trials),
        meta=TRIALS,
        text=[f"{plain(value_shown(trial.configuration[key]))}: {_value_text(trial)}" for trial in trials],
        mode="markers",
        marker={"symbol": look.symbol, "color": BAD if look.colour == BAD else colour, "size": size},
        name=str(state),
        hovertemplate=f"trial %{{customdata}}, {state}<br>%{{text}}<extra></extra>",
    )


def _value_text(trial: Trial) -> str:
    if trial.value is None or not has_value(trial):
        return "no value"
    after = f" after {plural(trial.epoch, 'epoch')}" if trial.epoch else ""
    return f"{number_text(trial.value)}{after}"
