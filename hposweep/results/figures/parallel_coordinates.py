"""Parallel coordinates: an axis a hyperparameter and one for the metric, a line a trial."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hposweep.number_text import number_text
from hposweep.results.figures.hyperparameter_axis import HyperparameterAxis
from hposweep.results.figures.style import (
    GROUND,
    RANKS,
    RULE,
    TRIALS,
    WINNER,
    Plot,
    ValueAxis,
    figure_of,
    floats,
    has_value,
    of_all,
    plain,
    thinned_trials,
)
from hposweep.results.shown_values import value_shown
from hposweep.results.sweep_data import SweepData
from hposweep.shown_text import plural
from hposweep.trial import Trial

MOST_LINES = 1000
MOST_CORNERS = 12_000  # of all lines
MOST_AXES = 30
MOST_NAMED_OPTIONS = 12
MOST_LETTERS = 18
GAP = 0.14  # under an axis, for trials that lack the hyperparameter


@dataclass(frozen=True)
class _Upright:
    """One axis: where the trials cross it, from 0 to 1, and what stands beside it."""

    name: str
    heights: Sequence[float]
    texts: Sequence[str]  # the trials' values
    ticks: Sequence[tuple[float, str]]


def parallel_coordinates(sweep: SweepData) -> Plot | None:
    """A line a trial over an axis for each hyperparameter that varies, and the metric; the better, the stronger.

    None without two axes or two trials with a value.
    """
    keys = sweep.varying_keys[:MOST_AXES]
    trials = [trial for trial in sweep.trials if has_value(trial)]
    if not keys or len(trials) < 2:
        return None
    kept = thinned_trials(sweep, trials, min(MOST_LINES, MOST_CORNERS // (len(keys) + 1)))
    winner = sweep.history.incumbent
    if winner is not None and winner not in kept:  # with several seeds it may not have the best value
        kept = [*kept, winner]
    names = _short_names(keys)
    uprights = [_of_hyperparameter(sweep, kept, key, names[key]) for key in keys]
    values = [float(trial.value or 0.0) for trial in kept]
    axis = ValueAxis.of(values)
    of_metric = [axis.share(value) for value in values]
    ticks = [(axis.share(at), text) for at, text in axis.ticks]
    uprights.append(_Upright(plain(sweep.history.metric, MOST_LETTERS), of_metric, [*map(number_text, values)], ticks))
    figure = figure_of(height=460, margin={"l": 16, "r": 16, "t": 28, "b": 12})
    shares = _shares_by_rank(sweep, trials)
    for name, end, colour in reversed(RANKS):  # the better ones on top
        chosen = [i for i, trial in enumerate(kept) if trial is not winner and shares[trial.number] == end]
        if chosen:
            figure.add_trace(_lines(kept, chosen, uprights, name, {"color": colour, "width": 1.4}))
    own = [i for i, trial in enumerate(kept) if trial is winner]
    if own:
        figure.add_trace(_lines(kept, own, uprights, "winner", {"color": WINNER, "width": 3}))
    figure.update_layout(shapes=_rules(uprights), annotations=_texts(uprights), legend_y=1.02)
    hidden = {"showticklabels": False, "showgrid": False, "fixedrange": True}
    figure.update_xaxes(range=[-0.5, len(uprights) - 0.5], **hidden)
    figure.update_yaxes(range=[-0.04 - (GAP if any(min(each.heights) < 0 for each in uprights) else 0), 1.1], **hidden)
    notes = [*of_all(len(kept), len(trials), "trials", "the best ones among them")]
    notes += of_all(len(keys), len(sweep.varying_keys), "hyperparameters")
    left_out = len(sweep.trials) - len(trials)
    if left_out:
        notes.append(f"Not shown: {plural(left_out, 'trial')} without a value.")
    return Plot(figure, [*notes, *axis.outside(values)])


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """The last parts of the keys, as many as tell them apart."""
    found = {key: key.rpartition(".")[2] or key for key in keys}
    n_alike = Counter(found.values())
    return {key: plain(key if n_alike[name] > 1 else name, MOST_LETTERS) for key, name in found.items()}


def _of_hyperparameter(sweep: SweepData, trials: Sequence[Trial], key: str, name: str) -> _Upright:
    axis = HyperparameterAxis.of(sweep, key)
    low, high = axis.ends

    def height(at: float) -> float:
        return (at - low) / (high - low) if high > low else 0.5

    heights, texts = [], []
    for trial in trials:
        if key not in trial.configuration:
            heights.append(-GAP)
            texts.append("not set")
            continue
        value = trial.configuration[key]
        at = axis.position(value, trial.number)
        heights.append(height(math.log10(at) if axis.is_log else at))
        texts.append(plain(value_shown(value), MOST_LETTERS))
    ticks = [(height(at), text) for at, text in axis.ticks]
    ticks = [(at, text) for at, text in ticks if -0.02 <= at <= 1.02]
    if len(axis.options) > MOST_NAMED_OPTIONS:
        ticks = []
    if -GAP in heights:
        ticks.append((-GAP, "not set"))
    return _Upright(name, heights, texts, ticks)


def _shares_by_rank(sweep: SweepData, trials: Sequence[Trial]) -> dict[int, float]:
    """For each trial the share of `RANKS` that it is in, by the end of that share."""
    loss = sweep.history.direction.loss
    ranked = sorted(trials, key=lambda trial: (loss(trial.value or 0.0), trial.number))
    ends = [end for _, end, _ in RANKS]
    return {
        trial.number: next(end for end in ends if rank < math.ceil(end * len(ranked)))
        for rank, trial in enumerate(ranked)
    }


def _lines(
    trials: Sequence[Trial], chosen: Sequence[int], uprights: Sequence[_Upright], name: str, line: dict[str, Any]
) -> go.Scatter:
    """Each trial's line, with a gap behind it."""
    width = len(uprights) + 1
    # Single precision holds the numbers of 16 million trials.
    of_trials = np.column_stack(
        [floats(trials[i].number for i in chosen), floats(trials[i].value or 0.0 for i in chosen)]
    )
    return go.Scatter(
        x=floats([*range(len(uprights)), math.nan] * len(chosen)),
        y=floats(at for i in chosen for at in (*(upright.heights[i] for upright in uprights), math.nan)),
        customdata=np.repeat(of_trials, width, axis=0),
        meta=TRIALS,
        text=[text for i in chosen for text in (*(upright.texts[i] for upright in uprights), "")],
        mode="lines",
        line=line,
        name=name,
        hovertemplate="trial %{customdata[0]}: %{customdata[1]:.4~g}<br>here %{text}<extra></extra>",
    )


def _rules(uprights: Sequence[_Upright]) -> list[dict[str, Any]]:
    line = {"color": RULE, "width": 1.2}
    return [{"type": "line", "x0": i, "x1": i, "y0": 0, "y1": 1, "line": line} for i in range(len(uprights))]


def _texts(uprights: Sequence[_Upright]) -> list[dict[str, Any]]:
    """The names above the axes, and the ticks' texts to the right of them."""
    found: list[dict[str, Any]] = []
    for i, upright in enumerate(uprights):
        title = {"x": i, "y": 1.03, "yanchor": "bottom", "text": f"<b>{upright.name}</b>", "font": {"size": 12}}
        found.append({**title, "showarrow": False})
        for at, text in upright.ticks:
            tick = {"x": i, "y": at, "xanchor": "right", "xshift": -3, "text": text, "font": {"size": 11}}
            found.append({**tick, "showarrow": False, "bgcolor": GROUND, "borderpad": 1})
    return found
