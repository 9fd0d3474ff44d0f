"""The plots of a sweep, and of several side by side, as figures of plotly.

Every state has a shape of its own beside its colour. Whatever comes from a config or a name goes through `plain`:
plotly reads tags in texts.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hposweep.results.comparison import Against, Comparison, Method, Quartiles
from hposweep.results.importance import Importances
from hposweep.results.sweep_data import CUT_OFF, DIED, RunSegment, SweepData, is_number
from hposweep.results.wording import number_text, time_unit
from hposweep.search_space import Value, literal
from hposweep.trial import Trial, TrialState

MOST_CURVES = 300
MOST_POINTS = 1000
MOST_LINES = 1000  # of parallel coordinates
MOST_SEGMENTS = 6000
MOST_OPTIONS = 40  # that are named on an axis
MOST_NUMERIC_OPTIONS = 12  # of numbers to choose from that are evenly spaced
MOST_SVG_POINTS = 3000  # above it WebGL draws them
MOST_CHARACTERS = 40
LARGEST_FLOAT = 1e38
LITTLE = 0.2  # explained variance with which importances are hardly more than noise

WINNER = "#b35900"
GOOD = "#0b62a8"
CALM = "#66707d"
BAD = "#b0123b"
FADED = "rgba(102,112,125,0.32)"
SOFT = "rgba(11,98,168,0.38)"
RULE = "rgba(102,112,125,0.55)"
# What stands for each colour on a dark ground.
DARK = {
    WINNER: "#ffb454",
    GOOD: "#6cb6ff",
    CALM: "#9aa6b5",
    BAD: "#ff8fa8",
    FADED: "rgba(154,166,181,0.30)",
    SOFT: "rgba(108,182,255,0.42)",
    RULE: "rgba(154,166,181,0.6)",
}
# From good to bad; told apart without colours by their lightness.
SCALE = [[0.0, "#0b3c6f"], [0.35, "#2f7fb8"], [0.7, "#8aa9bd"], [1.0, "#c9b79c"]]
DARK_SCALE = ["#9fd0ff", "#4f9be0", "#5a6f86", "#6f6450"]
# Of the methods in a comparison: colour, colour of the band of quartiles, and both on a dark ground.
METHOD_COLOURS = [
    (GOOD, "rgba(11,98,168,0.16)", DARK[GOOD], "rgba(108,182,255,0.22)"),
    (WINNER, "rgba(179,89,0,0.16)", DARK[WINNER], "rgba(255,180,84,0.22)"),
    ("#1e7a4c", "rgba(30,122,76,0.16)", "#6fd39f", "rgba(111,211,159,0.22)"),
    ("#7a3a9a", "rgba(122,58,154,0.16)", "#d3a1ee", "rgba(211,161,238,0.22)"),
    (BAD, "rgba(176,18,59,0.16)", DARK[BAD], "rgba(255,143,168,0.22)"),
    ("#4b5563", "rgba(75,85,99,0.16)", "#c3ccd6", "rgba(195,204,214,0.22)"),
]
# Told apart without colours; as many as have no divisor in common, so that no two of many methods look the same.
METHOD_DASHES = ["solid", "dash", "dot", "dashdot", "longdash"]
METHOD_SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x"]
DARK |= {light: dark for colours in METHOD_COLOURS for light, dark in zip(colours[:2], colours[2:], strict=True)}
DARK |= {str(light): dark for (_, light), dark in zip(SCALE, DARK_SCALE, strict=True)}


@dataclass(frozen=True)
class Look:
    """How trials or segments of one kind are drawn."""

    symbol: str
    colour: str
    letter: str  # the symbol in running text


LOOKS: Mapping[str, Look] = {
    TrialState.COMPLETE: Look("circle", GOOD, "●"),
    TrialState.PAUSED: Look("square-open", CALM, "□"),
    TrialState.STOPPED: Look("triangle-down-open", CALM, "▽"),
    TrialState.RUNNING: Look("diamond-open", CALM, "◇"),
    TrialState.INTERRUPTED: Look("diamond", CALM, "◆"),
    TrialState.DIVERGED: Look("asterisk-open", BAD, "✳"),
    TrialState.FAILED: Look("x", BAD, "✖"),
    TrialState.TIMED_OUT: Look("hourglass", BAD, "⧗"),
    DIED: Look("cross-open", BAD, "✚"),
    CUT_OFF: Look("diamond-open", CALM, "◇"),
}


@dataclass(frozen=True)
class Plot:
    """A figure with what must be said beside it."""

    figure: go.Figure
    notes: Sequence[str] = ()  # sentences: what was left out, how to read it


def plain(text: object, n_most: int = MOST_CHARACTERS) -> str:
    """Text of anybody's as one short line that plotly shows as it is."""
    line = " ".join(str(text).split())
    if len(line) > n_most:
        line = f"{line[: n_most - 1]}…"
    # A hover template would take %{...} for a variable of its own.
    return html.escape(line).replace("%{", "%\u200b{")


def incumbent(sweep: SweepData, against: str) -> Plot:
    """The complete trials and the best value so far, against "trials" or "time"."""
    scale, unit = time_unit(sweep.wall_s)
    points = sweep.complete
    positions = [float(p.n_started) if against == "trials" else p.seconds / scale for p in points]
    end = float(len(sweep.history.trials)) if against == "trials" else sweep.wall_s / scale
    kept = _thinned(list(range(len(points))), MOST_POINTS)
    figure = _figure(
        xaxis_title="trials that have started" if against == "trials" else f"running time, {unit}",
        yaxis_title=plain(sweep.history.metric),
        height=340,
    )
    figure.add_trace(
        go.Scatter(
            x=_floats(positions[i] for i in kept),
            y=_floats(points[i].value for i in kept),
            customdata=_integers(points[i].trial for i in kept),
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
                x=_floats([*(positions[i] for i in steps), end]),
                y=_floats([*(points[i].incumbent_value for i in steps), points[-1].incumbent_value]),
                customdata=_integers([*(points[i].trial for i in steps), points[steps[-1]].trial]),
                mode="lines",
                line={"shape": "hv", "color": GOOD, "width": 2.5},
                name="best so far",
                hovertemplate="best so far: trial %{customdata}, %{y:.4g}<extra></extra>",
            )
        )
        last = steps[-1]
        figure.add_trace(_winner_mark([positions[last]], [points[last].value], [points[last].trial]))
    notes = _fit_y(figure, [point.value for point in points])
    return Plot(figure, [*_of_all(len(kept), len(points), "complete trials"), *notes])


def incumbents(comparison: Comparison, against: Against) -> Plot | None:
    """A line a method, with the band of its quartiles; None where no method has a median."""
    steps = [method.steps(against) for method in comparison.methods]
    medians = [found.median for of_method in steps for _, found in of_method if found.median is not None]
    if not medians:
        return None
    end = max(of_method[-1][0] for of_method in steps)
    scale, unit = comparison.time_unit if against == "seconds" else (1.0, "")
    titles = {"epochs": "epochs used", "trials": "trials that have started", "seconds": f"running time, {unit}"}
    figure = _figure(xaxis_title=titles[against], yaxis_title=plain(comparison.metric), height=420)
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
    return Plot(figure, [*notes, *_fit_y(figure, medians)])


def _band(steps: Sequence[tuple[float, Quartiles]], scale: float, i: int) -> list[go.Scatter]:
    """Two lines that are not drawn, and what lies between them where both quartiles are known."""
    known = [(used / scale, q.first, q.third) for used, q in steps if q.first is not None and q.third is not None]
    if not known:
        return []
    return [
        go.Scatter(
            x=_floats(point[0] for point in known),
            y=_floats(point[side] for point in known),
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
        x=_floats(used for used, _ in points),
        y=_floats(value for _, value in points),
        mode="lines+markers",
        line={"shape": "hv", "color": colour, "width": 2.5, "dash": METHOD_DASHES[i % len(METHOD_DASHES)]},
        marker={"symbol": METHOD_SYMBOLS[i % len(METHOD_SYMBOLS)], "color": colour, "size": 7},
        legendgroup=str(i),
        name=name,
        hovertemplate=f"{name}<br>at %{{x:.4g}}: %{{y:.4g}}<extra></extra>",
    )


def learning_curves(sweep: SweepData) -> Plot | None:
    """The metric after each epoch; None where no trial has reported any."""
    if not sweep.curves:
        return None
    winner = sweep.history.incumbent
    loss = sweep.history.direction.loss
    others = [trial for trial in sweep.trials if trial.number in sweep.curves and trial is not winner]
    complete = [trial for trial in others if trial.state is TrialState.COMPLETE]
    complete.sort(key=lambda trial: (loss(math.nan if trial.value is None else trial.value), trial.number))
    rest = [trial for trial in others if trial.state is not TrialState.COMPLETE]
    n_complete = min(len(complete), max(MOST_CURVES // 2, MOST_CURVES - len(rest)))
    shown = [*complete[: n_complete // 2], *_thinned(complete[n_complete // 2 :], n_complete - n_complete // 2)]
    faded = _thinned(rest, MOST_CURVES - len(shown))
    figure = _figure(xaxis_title="epoch", yaxis_title=plain(sweep.history.metric), height=420)
    for trials, name, style in (
        (faded, "not complete", {"color": FADED, "width": 1, "dash": "dot"}),
        (shown, "complete", {"color": SOFT, "width": 1.2}),
    ):
        if trials:
            figure.add_trace(_curve_lines(sweep, trials, name, style))
    for state in (TrialState.DIVERGED, TrialState.FAILED, TrialState.TIMED_OUT):
        ended = [trial for trial in faded if trial.state is state]
        last = [(trial, *_last_point(sweep, trial)) for trial in ended]
        last = [each for each in last if math.isfinite(each[2])]
        if last:
            figure.add_trace(
                go.Scatter(
                    x=_floats(each[1] for each in last),
                    y=_floats(each[2] for each in last),
                    customdata=_integers(each[0].number for each in last),
                    mode="markers",
                    marker={"symbol": LOOKS[state].symbol, "color": LOOKS[state].colour, "size": 8},
                    name=f"{state}: its last value",
                    hovertemplate=f"trial %{{customdata}}: {state} after epoch %{{x}}<extra></extra>",
                )
            )
    if winner is not None and winner.number in sweep.curves:
        line = _curve_lines(sweep, [winner], f"winner, trial {winner.number}", {"color": WINNER, "width": 3})
        figure.add_trace(line)
        epoch, value = _last_point(sweep, winner)
        mark = _winner_mark([epoch], [value], [winner.number])
        mark.showlegend = False
        figure.add_trace(mark)
    if sweep.rungs:
        figure.update_xaxes(showgrid=False)
    if len(sweep.rungs) > 2 and sweep.rungs[0] > 0:
        ticks = [level for i, level in enumerate(sweep.rungs) if i == 0 or level >= 1.3 * sweep.rungs[i - 1]]
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[str(level) for level in ticks])
    for level in sweep.rungs:
        figure.add_vline(x=level, line={"color": RULE, "width": 1.2, "dash": "dash"}, layer="below")
    values = [value for trial in [*shown, *faded] for value in sweep.curves[trial.number].values]
    notes = _fit_y(figure, values)
    drawn = _of_all(len(shown) + len(faded), len(others), "curves beside the winner's", "all the best ones among them")
    rungs = [f"Dashed vertical lines: rungs, at {', '.join(map(str, sweep.rungs))} epochs."] if sweep.rungs else []
    return Plot(figure, [*rungs, *drawn, *notes])


def hyperparameter(sweep: SweepData, key: str) -> Plot:
    """The metric against the values of one hyperparameter; trials without a value stand at the top edge."""
    trials = [trial for trial in sweep.trials if key in trial.configuration]
    winner = sweep.history.incumbent
    kept = _thinned_trials(sweep, trials)
    axis = _Axis.of(
        [trial.configuration[key] for trial in trials], log=sweep.is_log(key), are_options=sweep.is_choice(key)
    )
    figure = _figure(xaxis_title=plain(key), yaxis_title=plain(sweep.history.metric), height=320, showlegend=False)
    finite = [float(trial.value or 0.0) for trial in trials if _has_value(trial)]
    notes = _fit_y(figure, finite)
    edge = _upper_edge(figure, finite)
    for state in TrialState:
        of_state = [trial for trial in kept if trial.state is state and trial is not winner]
        if not of_state:
            continue
        shown = [trial.value if _has_value(trial) else None for trial in of_state]
        figure.add_trace(
            go.Scatter(
                x=_floats(axis.position(trial.configuration[key], trial.number) for trial in of_state),
                y=_floats(edge if value is None else value for value in shown),
                customdata=_integers(trial.number for trial in of_state),
                text=[
                    f"{plain(_shown(trial.configuration[key]))}: {'no value' if value is None else number_text(value)}"
                    for trial, value in zip(of_state, shown, strict=True)
                ],
                mode="markers",
                marker={"symbol": LOOKS[state].symbol, "color": LOOKS[state].colour, "size": 7, "opacity": 0.75},
                name=str(state),
                hovertemplate=f"trial %{{customdata}}, {state}<br>%{{text}}<extra></extra>",
            )
        )
    if winner is not None and key in winner.configuration and winner.value is not None:
        position = axis.position(winner.configuration[key], winner.number)
        figure.add_trace(_winner_mark([position], [winner.value], [winner.number]))
    figure.update_xaxes(**axis.layout)
    return Plot(figure, [*_of_all(len(kept), len(trials), "trials", "the best ones among them"), *notes])


def parallel_coordinates(sweep: SweepData) -> Plot | None:
    """One axis a hyperparameter that varies, and the metric; None without two axes or two trials with a value."""
    keys = sweep.varying_keys
    trials = [trial for trial in sweep.trials if _has_value(trial)]
    if not keys or len(trials) < 2:
        return None
    kept = _thinned_trials(sweep, trials, MOST_LINES)
    dimensions = []
    for key in keys:
        values = [trial.configuration[key] for trial in kept if key in trial.configuration]
        if values:
            dimensions.append(
                _dimension(kept, key, _Axis.of(values, log=sweep.is_log(key), are_options=sweep.is_choice(key)))
            )
    values = [float(trial.value or 0.0) for trial in kept]
    low, high = _robust_range(values)
    dimensions.append(
        {
            "label": plain(sweep.history.metric, 18),
            "values": _floats(values),
            "range": [low, high],
            "tickformat": ".3~g",
        }
    )
    is_minimized = sweep.history.direction.loss(1.0) > 0
    figure = _figure(height=430, margin={"l": 56, "r": 56, "t": 56, "b": 28})
    figure.add_trace(
        go.Parcoords(
            dimensions=dimensions,
            line={
                "color": _floats(values),
                "colorscale": SCALE,
                "cmin": low,
                "cmax": high,
                "reversescale": not is_minimized,
            },
            labelangle=-12 if len(dimensions) > 4 else 0,
        )
    )
    left_out = len(sweep.trials) - len(trials)
    notes = [*_of_all(len(kept), len(trials), "trials", "the best ones among them")]
    if left_out:
        notes.append(f"Left out for want of a value: {left_out}.")
    return Plot(figure, notes)


def importance(found: Importances) -> Plot:
    """A bar a hyperparameter, with one standard deviation on either side."""
    names = [plain(key) for key in reversed(found.keys)]
    figure = _figure(
        xaxis_title="drop of R² when shuffled",
        height=110 + 34 * len(names),
        showlegend=False,
    )
    figure.add_trace(
        go.Bar(
            x=list(reversed(found.means)),
            y=names,
            orientation="h",
            marker={"color": SOFT},
            error_x={"type": "data", "array": list(reversed(found.deviations)), "color": GOOD, "thickness": 2},
            hovertemplate="%{y}: %{x:.3f} ± %{error_x.array:.3f}<extra></extra>",
        )
    )
    figure.update_yaxes(showgrid=False)
    notes = [
        f"From {found.n_trials} finished trials; unshuffled the forest explains "
        f"{max(0.0, found.explained):.0%} of the variance of their ranks."
    ]
    if found.explained < LITTLE:
        notes.append("That is little: don't read much into the bars.")
    return Plot(figure, notes)


def time_line(sweep: SweepData) -> Plot | None:
    """A lane a worker, a line a segment, with a mark at its end; None before the first segment."""
    if not sweep.segments:
        return None
    scale, unit = time_unit(sweep.wall_s)
    n_lanes = 1 + max(segment.lane for segment in sweep.segments)
    lines = _joined(sweep.segments, sweep.wall_s) if len(sweep.segments) > MOST_SEGMENTS else list(sweep.segments)
    figure = _figure(
        xaxis_title=f"running time, {unit}",
        yaxis_title="worker",
        height=min(700, 150 + max(26, 120 // n_lanes) * n_lanes),
    )
    kinds = dict.fromkeys(segment.end for segment in lines)
    for kind in sorted(kinds, key=list(LOOKS).index):
        of_kind = [segment for segment in lines if segment.end == kind]
        look = LOOKS[kind]
        dash = {"dash": "dot"} if look.colour == BAD else {}
        figure.add_trace(
            _scatter(3 * len(lines))(
                x=_floats(at for s in of_kind for at in (s.started_s / scale, s.ended_s / scale, math.nan)),
                y=_floats(row for s in of_kind for row in (s.lane + 1, s.lane + 1, math.nan)),
                mode="lines",
                line={"color": look.colour, "width": 2.5, **dash},
                legendgroup=kind,
                showlegend=False,
                hoverinfo="skip",
            )
        )
        figure.add_trace(
            _scatter(3 * len(lines))(
                x=_floats(s.ended_s / scale for s in of_kind),
                y=_floats(s.lane + 1 for s in of_kind),
                customdata=_integers(n for s in of_kind for n in (s.trial, s.attempt)).reshape(-1, 2),
                mode="markers",
                marker={"symbol": look.symbol, "color": look.colour, "size": 9 if len(lines) < 500 else 6},
                legendgroup=kind,
                name=_segment_name(kind),
                hovertemplate=f"trial %{{customdata[0]}}, attempt %{{customdata[1]}}: {_segment_name(kind)}"
                "<br>at %{x:.4g}<extra></extra>",
            )
        )
    retries = [segment for segment in sweep.segments if segment.attempt > 1]
    if retries:
        figure.add_trace(
            go.Scatter(
                x=_floats(segment.started_s / scale for segment in retries),
                y=_floats(segment.lane + 1 for segment in retries),
                customdata=_integers(n for segment in retries for n in (segment.trial, segment.attempt)).reshape(-1, 2),
                mode="markers",
                marker={"symbol": "triangle-right", "color": WINNER, "size": 9},
                name="retry starts",
                hovertemplate="trial %{customdata[0]}: attempt %{customdata[1]} starts<extra></extra>",
            )
        )
    step = max(1, math.ceil(n_lanes / 16))
    figure.update_yaxes(range=[n_lanes + 0.7, 0.3], tickvals=list(range(1, n_lanes + 1, step)), showgrid=False)
    busy_s = sum(segment.ended_s - segment.started_s for segment in sweep.segments)
    share = busy_s / (n_lanes * sweep.wall_s) if sweep.wall_s else 1.0
    notes = [f"{n_lanes} worker{'s' if n_lanes > 1 else ''} at once, busy {share:.0%} of the time."]
    if len(lines) < len(sweep.segments):
        notes.append("Segments that are closer together than a pixel are drawn as one.")
    return Plot(figure, notes)


@dataclass(frozen=True)
class _Axis:
    """Where the values of a hyperparameter stand: numbers at themselves, anything else at the number of its option."""

    options: Mapping[str, int]  # empty for numbers
    log: bool
    low: float = 0.0  # the least and the largest of the numbers
    high: float = 0.0

    @classmethod
    def of(cls, values: Sequence[Value], *, log: bool, are_options: bool) -> _Axis:
        is_numeric = all(is_number(value) for value in values)
        if is_numeric and not (are_options and len(set(values)) <= MOST_NUMERIC_OPTIONS):
            return cls({}, log, min(values, default=0.0), max(values, default=0.0))
        texts = list(dict.fromkeys(map(literal, sorted(values)))) if is_numeric else sorted(set(map(literal, values)))
        return cls({text: i for i, text in enumerate(texts)}, log=False)

    def position(self, value: Value, number: int | None = None) -> float:
        """With a trial's number: options are spread a little, so that trials don't hide each other."""
        if not self.options:
            return float(value)
        spread = 0.0 if number is None else ((number * 0.618034) % 1 - 0.5) * 0.5
        return self.options[literal(value)] + spread

    @property
    def _log_layout(self) -> dict[str, Any]:
        ticks = _ticks(math.log10(self.low), math.log10(self.high), log=True)
        return {"type": "log", "tickvals": [10**at for at, _ in ticks], "ticktext": [text for _, text in ticks]}

    @property
    def names(self) -> list[str]:
        return [plain(text, 24) for text in self.options]

    @property
    def layout(self) -> dict[str, Any]:
        if not self.options:
            return self._log_layout if self.log else {}
        if len(self.options) > MOST_OPTIONS:
            return {"showticklabels": False}
        return {
            "tickvals": list(range(len(self.options))),
            "ticktext": self.names,
            "range": [-0.6, len(self.options) - 0.4],
        }


def _dimension(trials: Sequence[Trial], key: str, axis: _Axis) -> dict[str, Any]:
    """One axis of parallel coordinates; trials without the hyperparameter stand below the others."""
    positions = [
        axis.position(trial.configuration[key], trial.number) if key in trial.configuration else math.nan
        for trial in trials
    ]
    array = np.array(positions, dtype=float)
    if axis.log:
        array = np.log10(array)
    low, high = float(np.nanmin(array)), float(np.nanmax(array))
    ticks: list[tuple[float, str]] = []
    if axis.options:
        ticks = [(float(i), name) for i, name in enumerate(axis.names)] if len(axis.options) <= MOST_OPTIONS else []
    else:
        ticks = _ticks(low, high, axis.log)
    missing = np.isnan(array)
    if missing.any():
        gap = (high - low) * 0.12 or 1.0
        array[missing], low = low - gap, low - gap
        ticks = [(low, "not set"), *ticks]
    dimension: dict[str, Any] = {"label": plain(key.rpartition(".")[2] or key, 18), "values": array.astype(np.float32)}
    dimension["range"] = [low, high] if low < high else [low - 1, low + 1]
    if ticks:
        dimension |= {"tickvals": [at for at, _ in ticks], "ticktext": [text for _, text in ticks]}
    return dimension


def _ticks(low: float, high: float, log: bool) -> list[tuple[float, str]]:
    """Where numbers are written: at even steps, or at powers of ten, with 2 and 5 times them where those are few."""
    if not log:
        steps = [low + (high - low) * i / 4 for i in range(5)]
        return [(at, f"{at:.3g}") for at in steps]
    # A random draw comes close to the ends of its range, and seldom to them.
    low, high = low - 0.1, high + 0.1
    powers = range(math.floor(low), math.ceil(high) + 1)
    powers = powers[:: math.ceil(len(powers) / 7)]
    for factors in ((1,), (1, 2, 5)):
        ticks = [(power + math.log10(factor), f"{factor * 10.0**power:g}") for power in powers for factor in factors]
        ticks = [(at, text) for at, text in ticks if low <= at <= high]
        if len(ticks) > 2:
            return ticks
    return [(at, f"{10**at:.3g}") for at in (low + 0.1, high - 0.1)]


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
    return _scatter(len(epochs))(
        x=_floats(epochs),
        y=_floats(values),
        customdata=_integers(numbers),
        mode="lines+markers",
        line=line,
        marker={"size": 3, "color": line["color"]},
        name=name,
        hovertemplate="trial %{customdata}, epoch %{x}: %{y:.4g}<extra></extra>",
    )


def _last_point(sweep: SweepData, trial: Trial) -> tuple[float, float]:
    curve = sweep.curves[trial.number]
    finite = np.flatnonzero(np.isfinite(curve.values))
    if not len(finite):
        return float(curve.epochs[-1]), math.nan
    return float(curve.epochs[finite[-1]]), float(curve.values[finite[-1]])


def _winner_mark(x: Sequence[float], y: Sequence[float], trials: Sequence[int]) -> go.Scatter:
    return go.Scatter(
        x=_floats(x),
        y=_floats(y),
        customdata=_integers(trials),
        mode="markers",
        marker={"symbol": "star", "color": WINNER, "size": 15, "line": {"width": 1, "color": WINNER}},
        name="winner",
        hovertemplate="winner, trial %{customdata}: %{y:.4g}<extra></extra>",
    )


def _joined(segments: Sequence[RunSegment], wall_s: float) -> list[RunSegment]:
    """Neighbours in a lane that ended alike, where less than a pixel is between them, as one."""
    pixel_s = wall_s / 1500
    last: dict[int, RunSegment] = {}
    found: list[RunSegment] = []
    for segment in segments:
        before = last.get(segment.lane)
        if (
            before is not None
            and before.end == segment.end
            and segment.started_s - before.ended_s < pixel_s > (segment.ended_s - segment.started_s)
        ):
            joined = RunSegment(
                **{**before.__dict__, "ended_s": segment.ended_s, "end_epoch": segment.end_epoch},
            )
            last[segment.lane] = joined
            continue
        if before is not None:
            found.append(before)
        last[segment.lane] = segment
    return [*found, *last.values()]


def _segment_name(kind: str) -> str:
    names = {DIED: "its worker died", CUT_OFF: "cut off, or running", TrialState.PAUSED: "to a rung (PAUSED)"}
    return names.get(kind, kind)


def _figure(**layout: Any) -> go.Figure:
    figure = go.Figure()
    base = {
        "template": go.layout.Template(),
        "margin": {"l": 8, "r": 12, "t": 28, "b": 8},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "hovermode": "closest",
    }
    figure.update_layout({**base, **layout})
    figure.update_xaxes(automargin=True, zeroline=False)
    figure.update_yaxes(automargin=True, zeroline=False, title_standoff=12)
    return figure


def _has_value(trial: Trial) -> bool:
    return trial.value is not None and math.isfinite(trial.value)


def _robust_range(values: Iterable[float]) -> tuple[float, float]:
    """The ends of an axis on which a few huge values don't press all others together."""
    array = np.array([value for value in values if math.isfinite(value)], dtype=float)
    if not len(array):
        return 0.0, 1.0
    low, quarter, three_quarters, high = np.quantile(array, [0.0, 0.25, 0.75, 1.0])
    spread = max(three_quarters - quarter, 1e-12, abs(three_quarters) * 1e-6)
    low, high = max(low, quarter - 8 * spread), min(high, three_quarters + 8 * spread)
    return float(low), float(high) if high > low else float(low) + max(abs(float(low)) * 0.05, 1e-9)


def _fit_y(figure: go.Figure, values: Sequence[float]) -> list[str]:
    """Sets the range of the y axis, and says how many values lie outside of it."""
    low, high = _robust_range(values)
    margin = 0.07 * (high - low)
    figure.update_yaxes(range=[low - margin, high + margin])
    n_outside = sum(math.isfinite(value) and not low - margin <= value <= high + margin for value in values)
    if not n_outside:
        return []
    values_lie, them = ("1 value lies", "it") if n_outside == 1 else (f"{n_outside} values lie", "them")
    return [f"{values_lie} outside of the picture; a double click on it shows {them}."]


def _upper_edge(figure: go.Figure, values: Sequence[float]) -> float:
    """Where trials without a value stand; makes room for them."""
    low, high = figure.layout.yaxis.range
    edge = high + 0.05 * (high - low)
    figure.update_yaxes(range=[low, edge + 0.05 * (high - low)])
    return float(edge)


def _thinned(items: Sequence[Any], n_most: int) -> list[Any]:
    """At most so many of them, evenly chosen."""
    if len(items) <= n_most:
        return list(items)
    return [items[i * len(items) // n_most] for i in range(n_most)]


def _thinned_trials(sweep: SweepData, trials: Sequence[Trial], n_most: int = MOST_POINTS) -> list[Trial]:
    """A third of them the best, the others evenly chosen."""
    if len(trials) <= n_most:
        return list(trials)
    loss = sweep.history.direction.loss
    ranked = sorted(trials, key=lambda trial: (loss(math.nan if trial.value is None else trial.value), trial.number))
    chosen = [*ranked[: n_most // 3], *_thinned(ranked[n_most // 3 :], n_most - n_most // 3)]
    return sorted(chosen, key=lambda trial: trial.number)


def _of_all(n_shown: int, n: int, what: str, which: str = "") -> list[str]:
    if n_shown == n:
        return []
    return [f"{n_shown:,} of {n:,} {what} are drawn{f', {which}' if which else ''}."]


def _scatter(n_points: int) -> Any:
    return go.Scatter if n_points <= MOST_SVG_POINTS else go.Scattergl


def _floats(values: Iterable[float]) -> np.ndarray:
    """In single precision, a quarter of the size in the page; what is too large for it is a gap."""
    array = np.fromiter(values, dtype=np.float64)
    array[~(np.abs(array) < LARGEST_FLOAT)] = math.nan
    return array.astype(np.float32)


def _integers(values: Iterable[int]) -> np.ndarray:
    return np.fromiter(values, dtype=np.int32)


def _shown(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else literal(value)
