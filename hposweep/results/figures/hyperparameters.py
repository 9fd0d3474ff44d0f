"""Plots of hyperparameters: each against the metric, all of them at once, and their importance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hposweep.number_text import number_text
from hposweep.results.figures.style import (
    GOOD,
    LOOKS,
    MOST_POINTS,
    SCALE,
    SOFT,
    Plot,
    figure_of,
    fit_y,
    floats,
    of_all,
    plain,
    robust_range,
    thinned,
    whole_numbers,
    winner_mark,
)
from hposweep.results.importance import Importances
from hposweep.results.shown_values import value_shown
from hposweep.results.sweep_data import SweepData, is_number
from hposweep.search_space import Value, literal
from hposweep.shown_text import plural
from hposweep.trial import Trial, TrialState

MOST_LINES = 1000  # in parallel coordinates
MOST_OPTIONS = 40  # named on an axis
MOST_NUMERIC_OPTIONS = 12  # up to so many options that are numbers are evenly spaced
LITTLE = 0.2  # explained variance with which importances are hardly more than noise


def hyperparameter(sweep: SweepData, key: str) -> Plot:
    """The metric against the values of one hyperparameter; trials without a value stand at the top edge."""
    trials = [trial for trial in sweep.trials if key in trial.configuration]
    winner = sweep.history.incumbent
    kept = _thinned_trials(sweep, trials)
    axis = _Axis.of(
        [trial.configuration[key] for trial in trials], log=sweep.is_log(key), are_options=sweep.is_choice(key)
    )
    figure = figure_of(xaxis_title=plain(key), yaxis_title=plain(sweep.history.metric), height=320, showlegend=False)
    finite = [float(trial.value or 0.0) for trial in trials if _has_value(trial)]
    notes = fit_y(figure, finite)
    edge = _upper_edge(figure, finite)
    for state in TrialState:
        of_state = [trial for trial in kept if trial.state is state and trial is not winner]
        if not of_state:
            continue
        shown = [trial.value if _has_value(trial) else None for trial in of_state]
        figure.add_trace(
            go.Scatter(
                x=floats(axis.position(trial.configuration[key], trial.number) for trial in of_state),
                y=floats(edge if value is None else value for value in shown),
                customdata=whole_numbers(trial.number for trial in of_state),
                text=[
                    f"{plain(value_shown(trial.configuration[key]))}: "
                    f"{'no value' if value is None else number_text(value)}"
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
        figure.add_trace(winner_mark([position], [winner.value], [winner.number]))
    figure.update_xaxes(**axis.layout)
    return Plot(figure, [*of_all(len(kept), len(trials), "trials", "the best ones among them"), *notes])


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
    low, high = robust_range(values)
    dimensions.append(
        {
            "label": plain(sweep.history.metric, 18),
            "values": floats(values),
            "range": [low, high],
            "tickformat": ".3~g",
        }
    )
    is_minimized = sweep.history.direction.loss(1.0) > 0
    figure = figure_of(height=430, margin={"l": 56, "r": 56, "t": 56, "b": 28})
    figure.add_trace(
        go.Parcoords(
            dimensions=dimensions,
            line={
                "color": floats(values),
                "colorscale": SCALE,
                "cmin": low,
                "cmax": high,
                "reversescale": not is_minimized,
            },
            labelangle=-12 if len(dimensions) > 4 else 0,
        )
    )
    left_out = len(sweep.trials) - len(trials)
    notes = [*of_all(len(kept), len(trials), "trials", "the best ones among them")]
    if left_out:
        notes.append(f"Not shown: {plural(left_out, 'trial')} without a value.")
    return Plot(figure, notes)


def importance(found: Importances) -> Plot:
    """A bar a hyperparameter, with one standard deviation on either side."""
    names = [plain(key) for key in reversed(found.keys)]
    figure = figure_of(
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
            hovertemplate="%{y}: %{x:.3~g} ± %{error_x.array:.3~g}<extra></extra>",
        )
    )
    figure.update_yaxes(showgrid=False)
    notes = [
        f"From {found.n_trials} finished trials; unshuffled, the forest explains "
        f"{max(0.0, found.explained):.0%} of the variance of their ranks."
    ]
    if found.explained < LITTLE:
        notes.append("That is little: don't read much into the bars.")
    return Plot(figure, notes)


@dataclass(frozen=True)
class _Axis:
    """Positions on a hyperparameter's axis: of a number itself, of any other value the number of its option."""

    options: Mapping[str, int]  # empty for numbers
    log: bool
    low: float = 0.0  # smallest and largest number
    high: float = 0.0

    @classmethod
    def of(cls, values: Sequence[Value], *, log: bool, are_options: bool) -> _Axis:
        is_numeric = all(is_number(value) for value in values)
        if is_numeric and not (are_options and len(set(values)) <= MOST_NUMERIC_OPTIONS):
            return cls({}, log, min(values, default=0.0), max(values, default=0.0))
        texts = list(dict.fromkeys(map(literal, sorted(values)))) if is_numeric else sorted(set(map(literal, values)))
        return cls({text: i for i, text in enumerate(texts)}, log=False)

    def position(self, value: Value, number: int | None = None) -> float:
        """The position; with a trial's number, options are spread a little, so that trials don't hide each other."""
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
    """Positions and texts of ticks: at even steps, or at powers of ten; if these are few, with 2 and 5 times them."""
    if not log:
        steps = [low + (high - low) * i / 4 for i in range(5)]
        return [(at, number_text(at, 3)) for at in steps]
    # Random draws come close to the ends of their range, but seldom reach them.
    low, high = low - 0.1, high + 0.1
    powers = range(math.floor(low), math.ceil(high) + 1)
    powers = powers[:: math.ceil(len(powers) / 7)]
    for factors in ((1,), (1, 2, 5)):
        ticks = [(power + math.log10(factor), f"{factor * 10.0**power:g}") for power in powers for factor in factors]
        ticks = [(at, text) for at, text in ticks if low <= at <= high]
        if len(ticks) > 2:
            return ticks
    return [(at, number_text(10**at, 3)) for at in (low + 0.1, high - 0.1)]


def _has_value(trial: Trial) -> bool:
    return trial.value is not None and math.isfinite(trial.value)


def _upper_edge(figure: go.Figure, values: Sequence[float]) -> float:
    """The height at which trials without a value stand; extends the axis to it."""
    low, high = figure.layout.yaxis.range
    edge = high + 0.05 * (high - low)
    figure.update_yaxes(range=[low, edge + 0.05 * (high - low)])
    return float(edge)


def _thinned_trials(sweep: SweepData, trials: Sequence[Trial], n_most: int = MOST_POINTS) -> list[Trial]:
    """At most so many trials: a third of them the best, the others evenly chosen."""
    if len(trials) <= n_most:
        return list(trials)
    loss = sweep.history.direction.loss
    ranked = sorted(trials, key=lambda trial: (loss(math.nan if trial.value is None else trial.value), trial.number))
    chosen = [*ranked[: n_most // 3], *thinned(ranked[n_most // 3 :], n_most - n_most // 3)]
    return sorted(chosen, key=lambda trial: trial.number)
