"""The plots of a sweep, and of several side by side, as figures of plotly.

Every state has a shape of its own beside its colour. Whatever comes from a config or a name goes through `plain`:
plotly reads tags in texts.
"""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hposweep.number_text import number_text
from hposweep.results.sweep_data import CUT_OFF, DIED, LOST, SweepData
from hposweep.trial import Direction, Trial, TrialState

MOST_POINTS = 1000
MOST_SVG_POINTS = 3000  # above it WebGL draws them
MOST_CHARACTERS = 40
MOST_LOG_TICKS = 5
MOST_EVEN_TICKS = 5
SMALLEST_IN_FULL, LARGEST_IN_FULL = -3, 4  # powers of ten that are written with all their digits
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ENOUGH_FOR_A_HALF = 10  # values: of fewer all are to be seen
DECADES = 100.0  # the ratio from which on values span decades
TRIALS = "trials"  # as `meta` of a trace: the first number of each point's customdata is its trial's
LARGEST_FLOAT = 1e38
SMALLEST_ON_LOG = 1e-30  # below it single precision loses digits

WINNER = "#b35900"
GOOD = "#0b62a8"
CALM = "#66707d"
BAD = "#b0123b"
SOFT = "rgba(11,98,168,0.38)"
FAINT = "rgba(102,112,125,0.10)"
RULE = "rgba(102,112,125,0.55)"
BAND = "rgba(11,98,168,0.14)"
GROUND = "rgba(255,255,255,0.78)"  # under texts on lines
ON_FAINT = "#20262d"  # texts on FAINT and SOFT
ON_STRONG = "#fdfdfd"  # texts on GOOD and WINNER, edges of marks on coloured ground
# The colour that replaces each one on a dark background.
DARK = {
    WINNER: "#ffb454",
    GOOD: "#6cb6ff",
    CALM: "#9aa6b5",
    BAD: "#ff8fa8",
    SOFT: "rgba(108,182,255,0.42)",
    FAINT: "rgba(154,166,181,0.12)",
    RULE: "rgba(154,166,181,0.6)",
    BAND: "rgba(108,182,255,0.20)",
    GROUND: "rgba(27,32,39,0.78)",
    ON_FAINT: "#f1f4f7",
    ON_STRONG: "#10151b",
}
# From good to bad; told apart without colours by their lightness.
SCALE = [[0.0, "#0b3c6f"], [0.35, "#2f7fb8"], [0.7, "#8aa9bd"], [1.0, "#c9b79c"]]
DARK_SCALE = ["#9fd0ff", "#4f9be0", "#5a6f86", "#6f6450"]
# Shares of the trials by rank: name, where the share ends, colour.
RANKS = [
    ("best 5%", 0.05, "#0b3c6f"),
    ("to 20%", 0.2, "#2f7fb8"),
    ("to 50%", 0.5, "#6f8ea5"),
    ("others", 1.0, "#958c78"),
]
DARK_RANKS = ["#cfe6ff", "#5aa9f0", "#6a8299", "#77736a"]
# How many epochs a trial has been given, from few to all; told apart without colours by their lightness.
LEVELS = ["#9a8f2a", "#5f9a4a", "#2f9183", "#2a7fa8", GOOD]
DARK_LEVELS = ["#948a3c", "#6aa55b", "#4fb0a2", "#62b9e4", DARK[GOOD]]
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
DARK |= {light: dark for (_, _, light), dark in zip(RANKS, DARK_RANKS, strict=True)}
DARK |= dict(zip(LEVELS, DARK_LEVELS, strict=True))


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
        meta=TRIALS,
        mode="markers",
        marker={"symbol": "star", "color": WINNER, "size": 15, "line": {"width": 1, "color": WINNER}},
        name="winner",
        cliponaxis=False,  # else half of it is cut off at the frame
        hovertemplate="winner, trial %{customdata}: %{y:.4~g}<extra></extra>",
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
    figure.update_xaxes(automargin=True, zeroline=False, exponentformat="power")
    figure.update_yaxes(automargin=True, zeroline=False, exponentformat="power", title_standoff=12)
    return figure


def is_drawn(value: float) -> bool:
    """Whether it is a number that single precision holds."""
    return abs(value) < LARGEST_FLOAT


def robust_range(values: Iterable[float]) -> tuple[float, float]:
    """The ends of an axis that a few huge values don't stretch."""
    array = np.array([value for value in values if is_drawn(value)], dtype=float)
    if not len(array):
        return 0.0, 1.0
    low, quarter, three_quarters, high = np.quantile(array, [0.0, 0.25, 0.75, 1.0])
    spread = max(three_quarters - quarter, 1e-12, abs(three_quarters) * 1e-6)
    low, high = max(low, quarter - 8 * spread), min(high, three_quarters + 8 * spread)
    return float(low), float(high) if high > low else float(low) + max(abs(float(low)) * 0.05, 1e-9)


def spans_decades(values: Iterable[float]) -> bool:
    """Whether values are all above 0 and, but for a few huge ones, so different that a log axis shows them better."""
    finite = [value for value in values if is_drawn(value)]
    if not finite or min(finite) < SMALLEST_ON_LOG:
        return False
    low, high = robust_range(finite)
    return high >= DECADES * low


@dataclass(frozen=True)
class ValueAxis:
    """The axis of a metric: its range, on a log scale where values span decades."""

    is_log: bool
    low: float  # ends of the axis
    high: float

    @classmethod
    def of(
        cls, values: Sequence[float], inside: Sequence[float] = (), better_half: Direction | None = None
    ) -> ValueAxis:
        """An axis for these values.

        Args:
            inside: values that must not lie outside.
            better_half: the direction of the metric, where the better half of the values is all that has to be seen.
        """
        finite = [value for value in (*values, *inside) if is_drawn(value)]
        is_log = spans_decades(finite)
        scaled, must = (
            [math.log10(value) if is_log else value for value in each if is_drawn(value)] for each in (finite, inside)
        )
        low, high = robust_range(scaled)
        if better_half is not None and not is_log and len(scaled) >= ENOUGH_FOR_A_HALF:
            middle = statistics.median(scaled)
            low, high = (low, middle) if better_half is Direction.minimize else (middle, high)
        low, high = min([low, *must]), max([high, *must])
        margin = 0.07 * (high - low) or 0.05 * abs(high) or 1e-9
        low, high = (10 ** (low - margin), 10 ** (high + margin)) if is_log else (low - margin, high + margin)
        return cls(is_log, low, high)

    def outside(self, values: Iterable[float]) -> list[str]:
        """The note that some of these values lie outside; empty if none do."""
        n = sum(math.isfinite(value) and not self.low <= value <= self.high for value in values)
        if not n:
            return []
        values_lie, them = ("1 value lies", "it") if n == 1 else (f"{n:,} values lie", "them")
        return [f"{values_lie} outside of the plot; a double click on it shows {them}."]

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Values and texts."""
        if not self.is_log:
            return even_ticks(self.low, self.high, are_whole=False)
        return [(10**at, text) for at, text in log_ticks(math.log10(self.low), math.log10(self.high))]

    def layout(self) -> dict[str, Any]:
        """What plotly calls it."""
        if not self.is_log:
            return {"range": [self.low, self.high], "nticks": 8}
        ends = [math.log10(self.low), math.log10(self.high)]
        at, texts = zip(*self.ticks, strict=True)
        return {"type": "log", "range": ends, "tickvals": at, "ticktext": texts}

    def share(self, value: float) -> float:
        """Where the value stands between the ends, from 0 to 1; beyond them is at the next one."""
        low, high, at = (
            math.log10(each) if self.is_log else each for each in (self.low, self.high, max(value, self.low))
        )
        return min(1.0, max(0.0, (at - low) / (high - low)))

    def with_edge(self) -> tuple[float, ValueAxis]:
        """A height above all values, for trials without one, and the axis that reaches so far."""
        if self.is_log:
            ratio = (self.high / self.low) ** 0.05
            return self.high * ratio, replace(self, high=self.high * ratio**2)
        step = 0.05 * (self.high - self.low)
        return self.high + step, replace(self, high=self.high + 2 * step)


def fit_y(
    figure: go.Figure,
    values: Sequence[float],
    inside: Sequence[float] = (),
    better_half: Direction | None = None,
) -> list[str]:
    """Gives the y axis the scale and the range of a `ValueAxis.of`, and says how many values lie outside of it."""
    axis = ValueAxis.of(values, inside, better_half)
    figure.update_yaxes(**axis.layout())
    return axis.outside([*values, *inside])


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Positions (of the logarithms, as the ends are) and texts of ticks: powers of ten; of few, with 2 and 5 times."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    inside = [power for power in powers if low <= power <= high]
    step = max(1, math.ceil(len(inside) / MOST_LOG_TICKS))
    powers = range(math.floor(low / step) * step, math.ceil(high) + 1, step)  # so that 1 is among them
    found: list[tuple[float, str]] = []
    for factors in ((1,), (1, 3), (1, 2, 5)):
        ticks = [(power + math.log10(factor), _power_text(factor, power)) for power in powers for factor in factors]
        ticks = [(at, text) for at, text in ticks if low <= at <= high]
        if len(ticks) > MOST_LOG_TICKS + 1:
            break
        found = ticks
        if len(found) > 2:
            return found
    if len(found) > 1:
        return found
    return [(at, number_text(10**at, 3)) for at in (low + 0.1 * (high - low), high - 0.1 * (high - low))]


def _power_text(factor: int, power: int) -> str:
    if not SMALLEST_IN_FULL <= power <= LARGEST_IN_FULL:
        return f"{'' if factor == 1 else f'{factor}·'}10{str(power).translate(SUPERSCRIPTS)}"
    return f"{factor * 10.0**power:g}"


def even_ticks(low: float, high: float, *, are_whole: bool) -> list[tuple[float, str]]:
    """Positions and texts of ticks at steps of 1, 2 or 5 times a power of ten."""
    step = 10.0 ** math.floor(math.log10(max((high - low) / MOST_EVEN_TICKS, 1e-300)))
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (step * factor) <= MOST_EVEN_TICKS)
    step = max(1.0, step) if are_whole else step
    if not high > low or not math.isfinite(high / step):
        return [(low, number_text(low))]
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(i * step, number_text(i * step, 6)) for i in range(first, last + 1)]


def epoch_ticks(first: int, last: int) -> dict[str, Any]:
    """Whole numbers alone on an axis from one to the other."""
    return {"dtick": 1} if last - first <= 8 else {"nticks": 8, "tickformat": ",d"}


def has_value(trial: Trial) -> bool:
    """Whether the trial has a value that can be drawn."""
    return trial.value is not None and math.isfinite(trial.value)


def thinned_trials(sweep: SweepData, trials: Sequence[Trial], n_most: int) -> list[Trial]:
    """At most so many trials: a third of them the best, the others evenly chosen."""
    if len(trials) <= n_most:
        return list(trials)
    loss = sweep.history.direction.loss
    ranked = sorted(trials, key=lambda trial: (loss(math.nan if trial.value is None else trial.value), trial.number))
    chosen = [*ranked[: n_most // 3], *thinned(ranked[n_most // 3 :], n_most - n_most // 3)]
    return sorted(chosen, key=lambda trial: trial.number)


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
