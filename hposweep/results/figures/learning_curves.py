"""The plot of learning curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hposweep.results.figures.levels import levels
from hposweep.results.figures.style import (
    LOOKS,
    RULE,
    TRIALS,
    WINNER,
    Plot,
    epoch_ticks,
    figure_of,
    fit_y,
    floats,
    of_all,
    plain,
    scatter_kind,
    thinned,
    whole_numbers,
    winner_mark,
)
from hposweep.results.sweep_data import SweepData
from hposweep.trial import Trial, TrialState

MOST_CURVES = 300


def learning_curves(sweep: SweepData) -> Plot | None:
    """The metric after each epoch, coloured by how far each trial got; None where no trial has reported any."""
    if not sweep.curves:
        return None
    winner = sweep.history.incumbent
    loss = sweep.history.direction.loss
    others = [trial for trial in sweep.trials if trial.number in sweep.curves and trial is not winner]
    complete = [trial for trial in others if trial.state is TrialState.COMPLETE]
    complete.sort(key=lambda trial: (loss(math.nan if trial.value is None else trial.value), trial.number))
    rest = [trial for trial in others if trial.state is not TrialState.COMPLETE]
    n_complete = min(len(complete), max(MOST_CURVES // 2, MOST_CURVES - len(rest)))
    shown = [*complete[: n_complete // 2], *thinned(complete[n_complete // 2 :], n_complete - n_complete // 2)]
    partial = thinned(rest, MOST_CURVES - len(shown))
    figure = figure_of(xaxis_title="epoch", yaxis_title=plain(sweep.history.metric), height=440)
    for level in levels(sweep, [*partial, *shown]):
        figure.add_trace(_curve_lines(sweep, level.trials, level.name, {"color": level.colour, "width": 1.2}))
    for state in (TrialState.DIVERGED, TrialState.FAILED, TrialState.TIMED_OUT):
        ended = [trial for trial in partial if trial.state is state]
        last = [(trial, *_last_point(sweep, trial)) for trial in ended]
        last = [each for each in last if math.isfinite(each[2])]
        if last:
            figure.add_trace(
                go.Scatter(
                    x=floats(each[1] for each in last),
                    y=floats(each[2] for each in last),
                    customdata=whole_numbers(each[0].number for each in last),
                    meta=TRIALS,
                    mode="markers",
                    marker={"symbol": LOOKS[state].symbol, "color": LOOKS[state].colour, "size": 8},
                    name=str(state),
                    hovertemplate=f"trial %{{customdata}}: {state} after epoch %{{x}}<extra></extra>",
                )
            )
    own: list[float] = []
    if winner is not None and winner.number in sweep.curves:
        own = [float(value) for value in sweep.curves[winner.number].values]
        line = _curve_lines(sweep, [winner], f"winner, trial {winner.number}", {"color": WINNER, "width": 3})
        figure.add_trace(line)
        epoch, value = _last_point(sweep, winner)
        mark = winner_mark([epoch], [value], [winner.number])
        mark.showlegend = False
        figure.add_trace(mark)
    drawn = [*shown, *partial, *([winner] if own and winner is not None else [])]
    figure.update_xaxes(**_epoch_axis(sweep, drawn))
    for rung in sweep.rungs:
        figure.add_vline(x=rung, line={"color": RULE, "width": 1.2, "dash": "dash"}, layer="below")
    values = [float(value) for trial in drawn for value in sweep.curves[trial.number].values]
    outside = fit_y(figure, values, own)
    n_drawn = len(shown) + len(partial)
    left_out = of_all(n_drawn, len(others), "curves beside the winner's", "all the best ones among them")
    rungs = [f"Dashed vertical lines: rungs, at {', '.join(map(str, sweep.rungs))} epochs."] if sweep.rungs else []
    return Plot(figure, [*rungs, *left_out, *outside])


def _epoch_axis(sweep: SweepData, trials: Sequence[Trial]) -> dict[str, Any]:
    """The axis of epochs, with room for the star at its end; at rungs that grow by factors on a log scale."""
    first = min(int(sweep.curves[trial.number].epochs[0]) for trial in trials)
    last = max(int(sweep.curves[trial.number].epochs[-1]) for trial in trials)
    if len(sweep.rungs) > 2 and sweep.rungs[0] > 0:
        ticks = [level for i, level in enumerate(sweep.rungs) if i == 0 or level >= 1.3 * sweep.rungs[i - 1]]
        low, high = math.log10(first), math.log10(max(last, first + 1))
        margin = 0.03 * (high - low)
        named = {"tickvals": ticks, "ticktext": [str(level) for level in ticks]}
        return {"type": "log", "range": [low - margin, high + margin], "showgrid": False, **named}
    margin = 0.03 * max(1, last - first)
    grid = {"showgrid": False} if sweep.rungs else {}
    return {"range": [first - margin, last + margin], **epoch_ticks(first, last), **grid}


def _curve_lines(sweep: SweepData, trials: Sequence[Trial], name: str, line: dict[str, Any]) -> Any:
    """All these curves as one line with gaps: a trace each would take seconds."""
    epochs: list[float] = []
    values: list[float] = []
    numbers: list[int] = []
    for trial in trials:
        curve = sweep.curves[trial.number]
        epochs += [*curve.epochs, math.nan]
        values += [*curve.values, math.nan]
        numbers += [trial.number] * (len(curve.epochs) + 1)
    return scatter_kind(len(epochs))(
        x=floats(epochs),
        y=floats(values),
        customdata=whole_numbers(numbers),
        meta=TRIALS,
        mode="lines+markers",
        line=line,
        marker={"size": 4, "color": line["color"]},
        name=name,
        hovertemplate="trial %{customdata}, epoch %{x}: %{y:.4~g}<extra></extra>",
    )


def _last_point(sweep: SweepData, trial: Trial) -> tuple[float, float]:
    curve = sweep.curves[trial.number]
    finite = np.flatnonzero(np.isfinite(curve.values))
    if not len(finite):
        return float(curve.epochs[-1]), math.nan
    return float(curve.epochs[finite[-1]]), float(curve.values[finite[-1]])
