"""Plots of the best value so far: of one sweep, and of several methods."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from hposweep.number_text import time_unit
from hposweep.results.comparison.comparison import Against, Comparison, Method, Quartiles
from hposweep.results.figures.style import (
    CALM,
    GOOD,
    METHOD_COLOURS,
    MOST_POINTS,
    RULE,
    Plot,
    figure_of,
    fit_y,
    floats,
    of_all,
    plain,
    thinned,
    whole_numbers,
    winner_mark,
)
from hposweep.results.sweep_data import SweepData

# Methods are told apart without colours. 5 and 7 have no common divisor, so 35 methods all look different.
METHOD_DASHES = ["solid", "dash", "dot", "dashdot", "longdash"]
METHOD_SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x"]


def incumbent(sweep: SweepData, against: str) -> Plot:
    """The complete trials and the best value so far, against "trials" or "time"."""
    scale, unit = time_unit(sweep.wall_s)
    points = sweep.complete
    positions = [float(p.n_started) if against == "trials" else p.seconds / scale for p in points]
    end = float(len(sweep.history.trials)) if against == "trials" else sweep.wall_s / scale
    kept = thinned(list(range(len(points))), MOST_POINTS)
    figure = figure_of(
        xaxis_title="trials that have started" if against == "trials" else f"running time, {unit}",
        yaxis_title=plain(sweep.history.metric),
        height=340,
    )
    figure.add_trace(
        go.Scatter(
            x=floats(positions[i] for i in kept),
            y=floats(points[i].value for i in kept),
            customdata=whole_numbers(points[i].trial for i in kept),
            mode="markers",
            marker={"symbol": "circle-open", "color": CALM, "size": 6},
            name="complete trial",
            hovertemplate="trial %{customdata}: %{y:.4g}<extra></extra>",
        )
    )
    steps = [i for i in range(len(points)) if i == 0 or points[i].incumbent_value != points[i - 1].incumbent_value]
    if steps:
        figure.add_trace(
            go.Scatter(
                x=floats([*(positions[i] for i in steps), end]),
                y=floats([*(points[i].incumbent_value for i in steps), points[-1].incumbent_value]),
                customdata=whole_numbers([*(points[i].trial for i in steps), points[steps[-1]].trial]),
                mode="lines",
                line={"shape": "hv", "color": GOOD, "width": 2.5},
                name="best so far",
                hovertemplate="best so far: trial %{customdata}, %{y:.4g}<extra></extra>",
            )
        )
        last = steps[-1]
        figure.add_trace(winner_mark([positions[last]], [points[last].value], [points[last].trial]))
    notes = fit_y(figure, [point.value for point in points])
    return Plot(figure, [*of_all(len(kept), len(points), "complete trials"), *notes])


def incumbents(comparison: Comparison, against: Against) -> Plot | None:
    """A line a method, with the band of its quartiles; None where no method has a median."""
    steps = [method.steps(against) for method in comparison.methods]
    medians = [found.median for of_method in steps for _, found in of_method if found.median is not None]
    if not medians:
        return None
    end = max(of_method[-1][0] for of_method in steps)
    scale, unit = comparison.time_unit if against == "seconds" else (1.0, "")
    titles = {"epochs": "epochs used", "trials": "trials that have started", "seconds": f"running time, {unit}"}
    figure = figure_of(xaxis_title=titles[against], yaxis_title=plain(comparison.metric), height=420)
    for i, (method, of_method) in enumerate(zip(comparison.methods, steps, strict=True)):
        line = [(used / scale, found.median) for used, found in of_method if found.median is not None]
        if not line:
            continue
        if len(method.sweeps) > 1:
            figure.add_traces(_band(of_method, scale, i))
        figure.add_trace(_method_line(line, method, i))
    label, _, equal = next(point for point in comparison.points if point[1] == against)
    figure.add_vline(x=equal / scale, line={"color": RULE, "width": 1.2, "dash": "dash"}, layer="below")
    figure.update_xaxes(range=[0, end * 1.03 / scale])
    notes = [f"Dashed vertical line: {label}, where incumbents are compared."]
    if any(len(method.sweeps) > 1 for method in comparison.methods):
        notes.append("Lines are medians over the sweeps of a method, bands reach from the first to the third quartile.")
    return Plot(figure, [*notes, *fit_y(figure, medians)])


def _band(steps: Sequence[tuple[float, Quartiles]], scale: float, i: int) -> list[go.Scatter]:
    """Two invisible lines, with the area between them filled, where both quartiles are known."""
    known = [(used / scale, q.first, q.third) for used, q in steps if q.first is not None and q.third is not None]
    if not known:
        return []
    return [
        go.Scatter(
            x=floats(point[0] for point in known),
            y=floats(point[side] for point in known),
            mode="lines",
            line={"shape": "hv", "width": 0},
            fill=fill,
            fillcolor=METHOD_COLOURS[i % len(METHOD_COLOURS)][1],
            legendgroup=str(i),
            showlegend=False,
            hoverinfo="skip",
        )
        for side, fill in ((1, None), (2, "tonexty"))
    ]


def _method_line(points: Sequence[tuple[float, float]], method: Method, i: int) -> go.Scatter:
    colour = METHOD_COLOURS[i % len(METHOD_COLOURS)][0]
    name = plain(method.name, 60)
    return go.Scatter(
        x=floats(used for used, _ in points),
        y=floats(value for _, value in points),
        mode="lines+markers",
        line={"shape": "hv", "color": colour, "width": 2.5, "dash": METHOD_DASHES[i % len(METHOD_DASHES)]},
        marker={"symbol": METHOD_SYMBOLS[i % len(METHOD_SYMBOLS)], "color": colour, "size": 7},
        legendgroup=str(i),
        name=name,
        hovertemplate=f"{name}<br>at %{{x:.4g}}: %{{y:.4g}}<extra></extra>",
    )
