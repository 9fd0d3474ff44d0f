"""The plot of two hyperparameters at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hposweep.number_text import number_text
from hposweep.results.beliefs import Surface
from hposweep.results.figures.hyperparameter_axis import HyperparameterAxis
from hposweep.results.figures.style import (
    LOOKS,
    ON_STRONG,
    RULE,
    SCALE,
    TRIALS,
    Plot,
    ValueAxis,
    even_ticks,
    figure_of,
    floats,
    has_value,
    log_ticks,
    of_all,
    plain,
    robust_range,
    thinned_trials,
    whole_numbers,
    winner_mark,
)
from hposweep.results.sweep_data import SweepData
from hposweep.search_space import Value
from hposweep.trial import Trial

MANY = 200  # marks, from which on they are smaller
MOST_TICKS = 3  # of the scale of colours, on a phone
N_CONTOURS = 14
MOST_MARKS = 300
GAP = 2  # pixels between columns


def contour(
    sweep: SweepData, key: str, other: str, surface: Surface | None, values: Mapping[int, float] | None = None
) -> Plot | None:
    """The trials over two hyperparameters, coloured by the metric, on what a model says of it in between.

    None where no trial with a value has both.

    Args:
        values: the metric by trial, from which the model has learnt; None: the last value of each trial.
    """
    if values is None:
        values = {trial.number: float(trial.value or 0.0) for trial in sweep.trials if has_value(trial)}
    trials = [trial for trial in sweep.trials if trial.number in values and {key, other} <= {*trial.configuration}]
    if not trials:
        return None
    winner = sweep.history.incumbent
    kept = thinned_trials(sweep, [trial for trial in trials if trial is not winner], MOST_MARKS)
    of_surface: tuple[Sequence[Value], Sequence[Value]] = ((), ())
    if surface is not None:
        of_surface = surface.values, surface.other_values
    axes = [
        HyperparameterAxis.of(sweep, each, modelled) for each, modelled in zip((key, other), of_surface, strict=True)
    ]
    figure = figure_of(xaxis_title=plain(key), yaxis_title=plain(other), height=420, showlegend=False)
    figure.update_xaxes(**axes[0].layout())
    figure.update_yaxes(**axes[1].layout())
    found = [values[trial.number] for trial in kept]
    colours = _Colours.of(sweep, list(values.values()), surface)
    if surface is not None:
        figure.add_trace(_ground(surface, axes, colours))
    figure.add_trace(_marks(kept, found, (key, other), axes, colours, with_bar=surface is None))
    if winner is not None and winner in trials:
        x, y = (axis.position(winner.configuration[each]) for each, axis in zip((key, other), axes, strict=True))
        mark = winner_mark([x], [y], [winner.number])
        mark.hovertemplate = f"winner, trial %{{customdata}}: {number_text(winner.value or 0.0)}<extra></extra>"
        figure.add_trace(mark)
    n_others = sum(trial is not winner for trial in trials)
    return Plot(figure, of_all(len(kept), n_others, "trials", "the best ones among them"))


@dataclass(frozen=True)
class _Colours:
    """The colours of the metric: on a log scale where it spans decades."""

    is_log: bool
    low: float  # ends of the scale, of a log scale the logarithms
    high: float
    layout: dict[str, Any]

    @classmethod
    def of(cls, sweep: SweepData, values: Sequence[float], surface: Surface | None) -> _Colours:
        means = [] if surface is None else [float(mean) for mean in np.ravel(surface.means)]
        is_log = ValueAxis.of(values).is_log and all(mean > 0 for mean in means)
        low, high = robust_range([*values, *means])
        # Above the plot, where it takes no width from a narrow one.
        bar: dict[str, Any] = {"orientation": "h", "x": 0.5, "y": 1.02, "yanchor": "bottom", "len": 1, "thickness": 12}
        if is_log:
            low, high = math.log10(low), math.log10(high)
        ticks = log_ticks(low, high) if is_log else even_ticks(low, high, are_whole=False)
        if len(ticks) > MOST_TICKS:
            ticks = ticks[1::2]
        bar |= {"tickvals": [at for at, _ in ticks], "ticktext": [text for _, text in ticks]}
        bar["title"] = {"text": plain(sweep.history.metric), "side": "top"}
        is_reversed = sweep.history.direction.loss(1.0) < 0
        return cls(is_log, low, high, {"colorscale": SCALE, "reversescale": is_reversed, "colorbar": bar})

    def at(self, values: np.ndarray) -> np.ndarray:
        """Where the values are on the scale, those beyond it at its ends."""
        scaled: np.ndarray = np.clip(np.log10(values) if self.is_log else values, self.low, self.high)
        return scaled.astype(np.float32)


def _ground(surface: Surface, axes: Sequence[HyperparameterAxis], colours: _Colours) -> go.Contour | go.Heatmap:
    x, y = floats(map(axes[0].position, surface.values)), floats(map(axes[1].position, surface.other_values))
    # In the order of the axes, which is not that in which options were tried: plotly draws no others.
    columns, rows = np.argsort(x), np.argsort(y)
    shared = {
        "x": x[columns],
        "y": y[rows],
        "z": colours.at(np.asarray(surface.means, dtype=float)[np.ix_(rows, columns)]),
        "zmin": colours.low,
        "zmax": colours.high,
        "hoverinfo": "skip",
        **colours.layout,
    }
    gaps = [GAP if axis.is_in_columns else 0 for axis in axes]
    if any(gaps):  # there are no values in between
        return go.Heatmap(**shared, xgap=gaps[0], ygap=gaps[1])
    step = (colours.high - colours.low) / N_CONTOURS
    levels = {"start": colours.low, "end": colours.high, "size": step}
    return go.Contour(**shared, contours=levels, line={"width": 0.5, "color": RULE})


def _marks(
    trials: Sequence[Trial],
    values: Sequence[float],
    keys: Sequence[str],
    axes: Sequence[HyperparameterAxis],
    colours: _Colours,
    *,
    with_bar: bool,
) -> go.Scatter:
    x, y = (
        floats(axis.position(trial.configuration[key], trial.number) for trial in trials)
        for key, axis in zip(keys, axes, strict=True)
    )
    marker = {
        "symbol": [LOOKS[trial.state].symbol.removesuffix("-open") for trial in trials],
        "color": colours.at(np.array(values)),
        "cmin": colours.low,
        "cmax": colours.high,
        "size": 8 if len(trials) < MANY else 6,
        "line": {"width": 1, "color": ON_STRONG},
        "showscale": with_bar,
        **colours.layout,
    }
    return go.Scatter(
        x=x,
        y=y,
        customdata=whole_numbers(trial.number for trial in trials),
        meta=TRIALS,
        text=[number_text(value) for value in values],
        mode="markers",
        marker=marker,
        hovertemplate="trial %{customdata}: %{text}<extra></extra>",
    )
