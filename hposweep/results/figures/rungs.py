"""The plot of rungs: how many trials came to each and went on, and what its ranks tell of the next one's."""

from __future__ import annotations

import itertools
import math

import plotly.graph_objects as go

from hposweep.number_text import number_text
from hposweep.results.figures.style import (
    CALM,
    FAINT,
    GOOD,
    ON_FAINT,
    ON_STRONG,
    RULE,
    SOFT,
    WINNER,
    Plot,
    figure_of,
    floats,
    whole_numbers,
)
from hposweep.results.rungs import RankCorrelation, Rung, rungs
from hposweep.results.sweep_data import SweepData
from hposweep.shown_text import plural

MOST_SENTENCES = 6
LEAST_SHARE = 0.1  # of the height, from which on a bar has its number on it
MOST_TEXTS = 12  # rungs whose bars have numbers on them


def rungs_plot(sweep: SweepData) -> Plot | None:
    """Bars of trials by rung, and under them the rank correlation of each with the next; None without two rungs."""
    found = rungs(sweep)
    if not found:
        return None
    figure = figure_of(height=430, barmode="stack", bargap=0.45, legend_traceorder="normal", yaxis_title="trials")
    positions = range(len(found))
    # Numbers stand where they have room.
    least = LEAST_SHARE * max(rung.n_came for rung in found) if len(found) <= MOST_TEXTS else math.inf
    for name, counts, colour, edge in (
        ("went on", [rung.n_went_on for rung in found], GOOD, GOOD),
        ("complete", [rung.n_complete for rung in found], SOFT, GOOD),
        ("among the best, but left", [rung.n_passed_over for rung in found], WINNER, WINNER),
        ("did not go on", [_n_left(rung) - rung.n_passed_over for rung in found], FAINT, CALM),
    ):
        if not any(counts):
            continue
        figure.add_trace(
            go.Bar(
                x=whole_numbers(positions),
                y=whole_numbers(counts),
                name=name,
                marker={"color": colour, "line": {"color": edge, "width": 1.2}},
                text=[f"{count:,}" if count >= least else "" for count in counts],
                textangle=0,
                textfont={"color": ON_STRONG if colour in (GOOD, WINNER) else ON_FAINT},
                constraintext="none",
                hovertemplate=f"%{{y:,d}} {name}<extra></extra>",
            )
        )
    figure.update_xaxes(
        tickvals=list(positions),
        ticktext=[f"{rung.epoch:,}" for rung in found],
        title="rung, in epochs",
        range=[-0.6, len(found) - 0.4],
        showgrid=False,
        anchor="free",
        position=0,
    )
    n_most = max(rung.n_came for rung in found)
    figure.update_yaxes(rangemode="tozero", **({"dtick": 1} if n_most < 6 else {"nticks": 6, "tickformat": ",d"}))
    correlations = [(i + 0.5, rung.with_next) for i, rung in enumerate(found) if rung.with_next is not None]
    if correlations:
        figure.update_layout(yaxis_domain=[0.44, 1])
        figure.add_trace(_correlations([at for at, _ in correlations], [found for _, found in correlations]))
        figure.update_layout(
            yaxis2={
                "domain": [0, 0.3],
                "range": [min(-0.1, *(found.low for _, found in correlations)) - 0.05, 1.08],
                "title": "rank correlation",
                "tickvals": [-1, -0.5, 0, 0.5, 1],
                "automargin": True,
                "zeroline": True,
                "zerolinecolor": RULE,
                "title_standoff": 12,
            }
        )
    return Plot(figure, _sentences(found))


def _correlations(at: list[float], found: list[RankCorrelation]) -> go.Scatter:
    return go.Scatter(
        x=floats(at),
        y=floats(each.value for each in found),
        yaxis="y2",
        error_y={
            "type": "data",
            "array": floats(each.high - each.value for each in found),
            "arrayminus": floats(each.value - each.low for each in found),
            "color": GOOD,
            "thickness": 2,
        },
        mode="markers",
        marker={"symbol": "diamond", "color": GOOD, "size": 10},
        showlegend=False,
        text=[_correlation_text(each) for each in found],
        hovertemplate="rank correlation %{text}<extra></extra>",
    )


def _correlation_text(found: RankCorrelation) -> str:
    low, high = (number_text(end, 2) for end in (found.low, found.high))
    return f"{number_text(found.value, 2)} (95% interval {low} to {high}, {plural(found.n_trials, 'trial')})"


def _n_left(rung: Rung) -> int:
    return rung.n_came - rung.n_went_on - rung.n_complete


def _sentences(found: list[Rung]) -> list[str]:
    """What happened between each rung and the next; of many rungs, at the first ones."""
    sentences = []
    for rung, following in itertools.islice(itertools.pairwise(found), MOST_SENTENCES):
        text = f"{plural(rung.epoch, 'epoch')}: {rung.n_came:,} came, {rung.n_went_on:,} went on"
        if rung.n_passed_over:
            text += f"; {rung.n_passed_over:,} of the {rung.n_went_on:,} best were left"
        if rung.with_next is not None:
            text += f"; rank correlation with {plural(following.epoch, 'epoch')} {_correlation_text(rung.with_next)}"
        sentences.append(f"{text}.")
    return sentences
