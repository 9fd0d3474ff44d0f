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

from hposweep.results.sweep_data import CUT_OFF, DIED, LOST
from hposweep.trial import TrialState

MOST_POINTS = 1000
MOST_SVG_POINTS = 3000  # above it WebGL draws them
MOST_CHARACTERS = 40
LARGEST_FLOAT = 1e38

WINNER = "#b35900"
GOOD = "#0b62a8"
CALM = "#66707d"
BAD = "#b0123b"
FADED = "rgba(102,112,125,0.32)"
SOFT = "rgba(11,98,168,0.38)"
RULE = "rgba(102,112,125,0.55)"
# The colour that replaces each one on a dark background.
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
# Of the methods in a comparison: colour, colour of the band of quartiles, and both on a dark background.
METHOD_COLOURS = [
    (GOOD, "rgba(11,98,168,0.16)", DARK[GOOD], "rgba(108,182,255,0.22)"),
    (WINNER, "rgba(179,89,0,0.16)", DARK[WINNER], "rgba(255,180,84,0.22)"),
    ("#1e7a4c", "rgba(30,122,76,0.16)", "#6fd39f", "rgba(111,211,159,0.22)"),
    ("#7a3a9a", "rgba(122,58,154,0.16)", "#d3a1ee", "rgba(211,161,238,0.22)"),
    (BAD, "rgba(176,18,59,0.16)", DARK[BAD], "rgba(255,143,168,0.22)"),
    ("#4b5563", "rgba(75,85,99,0.16)", "#c3ccd6", "rgba(195,204,214,0.22)"),
]
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
    LOST: Look("circle-x-open", CALM, "⊗"),
    CUT_OFF: Look("diamond-open", CALM, "◇"),
}


@dataclass(frozen=True)
class Plot:
    """A figure, and the sentences beside it."""

    figure: go.Figure
    notes: Sequence[str] = ()  # what was left out, how to read it


def plain(text: object, n_most: int = MOST_CHARACTERS) -> str:
    """Any text as one short line that plotly shows literally."""
    line = " ".join(str(text).split())
    if len(line) > n_most:
        line = f"{line[: n_most - 1]}…"
    # A hover template would take %{...} for a variable of its own.
    return html.escape(line).replace("%{", "%\u200b{")


def winner_mark(x: Sequence[float], y: Sequence[float], trials: Sequence[int]) -> go.Scatter:
    """The star that marks the winner."""
    return go.Scatter(
        x=floats(x),
        y=floats(y),
        customdata=whole_numbers(trials),
        mode="markers",
        marker={"symbol": "star", "color": WINNER, "size": 15, "line": {"width": 1, "color": WINNER}},
        name="winner",
        hovertemplate="winner, trial %{customdata}: %{y:.4g}<extra></extra>",
    )


def figure_of(**layout: Any) -> go.Figure:
    """An empty figure of our style, with this layout on top."""
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


def robust_range(values: Iterable[float]) -> tuple[float, float]:
    """The ends of an axis that a few huge values don't stretch."""
    array = np.array([value for value in values if math.isfinite(value)], dtype=float)
    if not len(array):
        return 0.0, 1.0
    low, quarter, three_quarters, high = np.quantile(array, [0.0, 0.25, 0.75, 1.0])
    spread = max(three_quarters - quarter, 1e-12, abs(three_quarters) * 1e-6)
    low, high = max(low, quarter - 8 * spread), min(high, three_quarters + 8 * spread)
    return float(low), float(high) if high > low else float(low) + max(abs(float(low)) * 0.05, 1e-9)


def fit_y(figure: go.Figure, values: Sequence[float]) -> list[str]:
    """Sets the range of the y axis, and says how many values lie outside of it."""
    low, high = robust_range(values)
    margin = 0.07 * (high - low)
    figure.update_yaxes(range=[low - margin, high + margin])
    n_outside = sum(math.isfinite(value) and not low - margin <= value <= high + margin for value in values)
    if not n_outside:
        return []
    values_lie, them = ("1 value lies", "it") if n_outside == 1 else (f"{n_outside} values lie", "them")
    return [f"{values_lie} outside of the plot; a double click on it shows {them}."]


def thinned(items: Sequence[Any], n_most: int) -> list[Any]:
    """At most so many of them, evenly chosen."""
    if len(items) <= n_most:
        return list(items)
    return [items[i * len(items) // n_most] for i in range(n_most)]


def of_all(n_shown: int, n: int, what: str, which: str = "", shown: str = "drawn") -> list[str]:
    """The note that not all of them are drawn; empty if all are."""
    if n_shown == n:
        return []
    return [f"{n_shown:,} of {n:,} {what} are {shown}{f', {which}' if which else ''}."]


def scatter_kind(n_points: int) -> Any:
    """SVG for a few points, which is sharper; WebGL for many, which is faster."""
    return go.Scatter if n_points <= MOST_SVG_POINTS else go.Scattergl


def floats(values: Iterable[float]) -> np.ndarray:
    """The values in single precision, a quarter of the size in the page; a value too large for it becomes a gap."""
    array = np.fromiter(values, dtype=np.float64)
    array[~(np.abs(array) < LARGEST_FLOAT)] = math.nan
    return array.astype(np.float32)


def whole_numbers(values: Iterable[int]) -> np.ndarray:
    """The values as 32-bit integers, half the size that plotly would use in the page."""
    return np.fromiter(values, dtype=np.int32)
