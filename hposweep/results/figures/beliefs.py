"""What the searcher's model expected of trials before they were tried, against what was seen of them."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from hposweep.results.figures.style import (
    CALM,
    GOOD,
    RULE,
    SOFT,
    TRIALS,
    WINNER,
    Plot,
    ValueAxis,
    figure_of,
    floats,
    of_all,
    plain,
    thinned,
)
from hposweep.results.intervals import wilson_interval
from hposweep.results.rungs import rank_correlation
from hposweep.results.sweep_data import LARGEST_NUMBER, SweepData
from hposweep.shown_text import plural
from hposweep.trial import Expected, TrialState

FEWEST_TRIALS = 3
MOST_TRIALS = 300  # more bars hide each other


@dataclass(frozen=True)
class Seen:
    """What came of a trial that the searcher had expected something of."""

    trial: int
    expected: Expected
    value: float  # of the metric, at the epoch that was expected; the mean of trials with one configuration

    @property
    def is_inside(self) -> bool:
        """Whether the value lies in the interval."""
        return self.expected.low <= self.value <= self.expected.high


def seen(sweep: SweepData) -> list[Seen]:
    """Trials that came as far as what was expected of them, in their order."""
    seeds: dict[int, list[int]] = defaultdict(list)  # the trials of each configuration, without those that confirm it
    for trial in sweep.trials:
        if not trial.confirms:
            seeds[trial.first].append(trial.number)
    values: dict[tuple[int, int | None], float] = {}  # by trial and epoch; None: the trial's end
    for point in sweep.compared:
        if abs(point.value) < LARGEST_NUMBER:
            values[point.trial, point.epoch] = point.value
            if point.state is TrialState.COMPLETE:
                values[point.trial, None] = point.value
    found = []
    for number, expected in sorted(sweep.expected.items()):
        of_seeds = [values.get((trial, expected.epoch)) for trial in seeds[number]]
        known = [value for value in of_seeds if value is not None]
        if known and len(known) == len(of_seeds):
            found.append(Seen(number, expected, statistics.fmean(known)))
    return found


def expected_against_seen(sweep: SweepData) -> Plot | None:
    """What was seen of trials against what was expected of them; None with fewer than `FEWEST_TRIALS`."""
    found = seen(sweep)
    if len(found) < FEWEST_TRIALS:
        return None
    kept = thinned(found, MOST_TRIALS)
    metric = plain(sweep.history.metric, 24)
    medians = [each.expected.median for each in kept]
    axis = ValueAxis.of([*(each.value for each in kept), *medians])
    figure = figure_of(height=360, xaxis_title=f"{metric}, expected", yaxis_title=f"{metric}, seen")
    figure.update_xaxes(**axis.layout())
    figure.update_yaxes(**axis.layout())
    ends = floats([axis.low, axis.high])
    line = {"color": RULE, "width": 1.5, "dash": "dot"}
    figure.add_trace(go.Scatter(x=ends, y=ends, mode="lines", line=line, showlegend=False, hoverinfo="skip"))
    for name, is_inside, symbol, colour, bar in (
        ("inside of its interval", True, "circle", GOOD, SOFT),
        ("outside", False, "diamond-open", WINNER, CALM),
    ):
        points = [each for each in kept if each.is_inside is is_inside]
        if points:
            figure.add_trace(_points(points, name, symbol, colour, bar))
    # Of each point the number that is outside, if one is.
    outside = [
        each.value if axis.low <= median <= axis.high else median for each, median in zip(kept, medians, strict=True)
    ]
    notes = [*_sentences(sweep, found), *of_all(len(kept), len(found), "trials"), *axis.outside(outside)]
    return Plot(figure, notes)


def _points(points: Sequence[Seen], name: str, symbol: str, colour: str, bar: str) -> go.Scatter:
    expected = [each.expected for each in points]
    medians, lows, highs = (floats(getattr(each, name) for each in expected) for name in ("median", "low", "high"))
    numbers = floats(each.trial for each in points)
    return go.Scatter(
        x=medians,
        y=floats(each.value for each in points),
        customdata=np.column_stack([numbers, lows, highs]),
        meta=TRIALS,
        mode="markers",
        marker={"symbol": symbol, "color": colour, "size": 8, "line": {"width": 1.5, "color": colour}},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": highs - medians,
            "arrayminus": medians - lows,
            "color": bar,
            "thickness": 1.2,
            "width": 0,
        },
        name=name,
        hovertemplate="trial %{customdata[0]}<br>seen %{y:.4~g}, expected %{x:.4~g}<br>"
        "95% interval %{customdata[1]:.4~g} to %{customdata[2]:.4~g}<extra></extra>",
    )


def _sentences(sweep: SweepData, found: Sequence[Seen]) -> list[str]:
    n, n_inside = len(found), sum(each.is_inside for each in found)
    low, high = wilson_interval(n_inside / n, n)
    sentences = [
        f"{n_inside:,} of {n:,} values lie inside of their 95% interval: {n_inside / n:.0%} "
        f"(95% interval {low:.0%} to {high:.0%}). Of a calibrated model, 95% do."
    ]
    correlation = rank_correlation([each.expected.median for each in found], [each.value for each in found])
    if correlation is not None:
        sentences.append(
            f"Rank correlation of expected and seen: {correlation.value:.2f} "
            f"(95% interval {correlation.low:.2f} to {correlation.high:.2f})."
        )
    n_unseen = len(sweep.expected) - n
    if n_unseen:
        has_epochs = any(expected.epoch is not None for expected in sweep.expected.values())
        sentences.append(
            f"Not shown: {plural(n_unseen, 'trial')} that did not come to the epoch of what was expected; "
            "the scheduler has chosen those that did."
            if has_epochs
            else f"Not shown: {plural(n_unseen, 'trial')} without a value."
        )
    return sentences
