"""Plots of the best value so far: of one sweep, and of several methods."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import plotly.graph_objects as go

from hposweep.number_text import time_unit
from hposweep.results.comparison.comparison import Against, Comparison, Method, Quartiles
from hposweep.results.figures.levels import level_colours
from hposweep.results.figures.style import (
    METHOD_COLOURS,
    MOST_POINTS,
    RULE,
    TRIALS,
    Plot,
    figure_of,
    fit_y,
    floats,
    log_ticks,
    of_all,
    plain,
    thinned,
    whole_numbers,
    winner_mark,
)
from hposweep.results.rungs import Course, courses
from hposweep.results.sweep_data import Compared, SweepData
from hposweep.shown_text import plural

# Methods are told apart without colours. 5 and 7 have no common divisor, so 35 methods all look different.
METHOD_DASHES = ["solid", "dash", "dot", "dashdot", "longdash"]
METHOD_SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x"]
EARLY = 10  # an axis is logarithmic where half of the improvements came in this part of it
MOST_TICKS = 6
FEWEST_POINTS = 100  # of each course, where so many are drawn in all that some are left out


def incumbent(sweep: SweepData, against: str) -> Plot | None:
    """The best value so far at each rung, and of the complete trials, against "trials", "epochs" or "time".

    None where no trial was compared yet, or its epochs are not known.
    """
    found = courses(sweep)
    axis = _EffortAxis.of(sweep, found, against)
    if not found or axis is None:
        return None
    figure = figure_of(xaxis_title=axis.title, yaxis_title=plain(sweep.history.metric), height=360)
    figure.update_xaxes(**axis.layout)
    winner = sweep.history.incumbent
    n_points = sum(len(course.points) for course in found)
    n_drawn, marks = 0, []
    for course, colour in zip(found, level_colours(len(found)), strict=True):
        drawn = _drawn(course, max(FEWEST_POINTS, MOST_POINTS * len(course.points) // n_points))
        n_drawn += len(drawn)
        figure.add_trace(_compared(course, drawn, axis, colour))
        figure.add_trace(_best_so_far(course, axis, colour, _course_name(course, is_only=len(found) == 1)))
        if course.is_complete:
            marks = [point for point in course.points if winner is not None and point.trial == winner.number]
    if marks:
        at = [axis.position(point) for point in marks[-1:]]
        figure.add_trace(winner_mark(at, [marks[-1].value], [marks[-1].trial]))
    values = [point.value for course in found for point in course.points]
    notes = fit_y(
        figure,
        values,
        [course.improvements[-1].value for course in found],
        better_half=sweep.history.direction,
    )
    what = "complete trials" if found[0].is_complete else "values at the rungs that have a line"
    notes = [*of_all(n_drawn, len(values), what), *notes]
    if sweep.history.n_repeating:
        notes.append("These are single trials; the winner is the configuration with the best mean over its seeds.")
    return Plot(figure, [*axis.notes, *notes])


@dataclass(frozen=True)
class _EffortAxis:
    """What was spent until a trial was compared."""

    against: str
    title: str
    end: float  # of the sweep
    scale: float  # seconds of a unit
    is_log: bool
    start: float  # of the axis, where that is logarithmic

    @classmethod
    def of(cls, sweep: SweepData, courses: Sequence[Course], against: str) -> _EffortAxis | None:
        """None where the effort is not known."""
        points = [point for course in courses for point in course.points]
        if against == "epochs" and (sweep.epochs_used is None or any(point.n_epochs is None for point in points)):
            return None
        scale, unit = time_unit(sweep.wall_s)
        title, end = {
            "trials": ("trials that have started", float(len(sweep.history.trials))),
            "epochs": ("epochs that all trials have trained", float(sweep.epochs_used or 0)),
            "time": (f"running time, {unit}", sweep.wall_s / scale),
        }[against]
        linear = cls(against, title, end, scale, is_log=False, start=0.0)
        positions = sorted(linear.position(point) for point in points)
        improved = [linear.position(point) for point in courses[-1].improvements] if courses else []
        # Else the line is a corner at the left edge.
        is_early = len(improved) > 3 and statistics.median(improved) * EARLY < end
        if not is_early or positions[0] <= 0:
            return linear
        return replace(linear, is_log=True, start=positions[0])

    def position(self, point: Compared) -> float:
        """Where the point stands."""
        if self.against == "epochs":
            return float(point.n_epochs or 0)
        return float(point.n_started) if self.against == "trials" else point.seconds / self.scale

    @property
    def layout(self) -> dict[str, Any]:
        if not self.is_log:
            whole = {"tickformat": ",d"} if self.against != "time" and self.end > MOST_TICKS else {}
            return {"range": [0, 1.02 * self.end or 1], "nticks": MOST_TICKS, **whole}
        low, high = math.log10(self.start), math.log10(self.end)
        margin = 0.02 * (high - low)
        ticks = log_ticks(low - margin, high + margin)
        return {
            "type": "log",
            "range": [low - margin, high + margin],
            "tickvals": [10**at for at, _ in ticks],
            "ticktext": [text for _, text in ticks],
        }

    @property
    def notes(self) -> list[str]:
        return ["The horizontal axis is logarithmic, since most improvements came early."] if self.is_log else []


def _drawn(course: Course, n_most: int) -> list[Compared]:
    """At most so many points of a course and its improvements: all of these, the others evenly chosen."""
    improved = {id(point) for point in course.improvements}
    others = [point for point in course.points if id(point) not in improved]
    kept = {id(point) for point in thinned(others, max(0, n_most - len(improved)))} | improved
    return [point for point in course.points if id(point) in kept]


def _compared(course: Course, points: Sequence[Compared], axis: _EffortAxis, colour: str) -> go.Scatter:
    epochs = "" if course.epoch is None else f" after {plural(course.epoch, 'epoch')}"
    symbol, size = ("circle", 6) if course.is_complete else ("circle-open", 5)
    return go.Scatter(
        x=floats(axis.position(point) for point in points),
        y=floats(point.value for point in points),
        customdata=whole_numbers(point.trial for point in points),
        meta=TRIALS,
        mode="markers",
        marker={"symbol": symbol, "color": colour, "size": size},
        legendgroup=str(course.epoch),
        showlegend=False,
        name="complete trial" if course.is_complete else f"trial{epochs}",
        hovertemplate=f"trial %{{customdata}}{epochs or ', complete'}: %{{y:.4~g}}<extra></extra>",
    )


def _best_so_far(course: Course, axis: _EffortAxis, colour: str, name: str) -> go.Scatter:
    steps = [*course.improvements, course.improvements[-1]]
    positions = [*map(axis.position, course.improvements), axis.end]
    return go.Scatter(
        x=floats(positions),
        y=floats(point.value for point in steps),
        customdata=whole_numbers(point.trial for point in steps),
        meta=TRIALS,
        mode="lines",
        line={"shape": "hv", "color": colour, "width": 3 if course.is_complete else 1.8},
        legendgroup=str(course.epoch),
        name=name,
        hovertemplate=f"best of {name}: trial %{{customdata}}, %{{y:.4~g}}<extra></extra>",
    )


def _course_name(course: Course, *, is_only: bool) -> str:
    if course.epoch is not None:
        return plural(course.epoch, "epoch")
    if is_only:
        return "best so far"
    epochs = {point.epoch for point in course.points}
    return "complete" if len(epochs) > 1 or None in epochs else f"{plural(epochs.pop() or 0, 'epoch')}: complete"


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
