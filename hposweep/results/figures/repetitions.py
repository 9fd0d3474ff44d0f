"""The plot of configurations that were tried under several seeds."""

from __future__ import annotations

import plotly.graph_objects as go

from hposweep.history import ranked
from hposweep.number_text import number_text
from hposweep.repetitions import Repetitions
from hposweep.results.figures.style import (
    CALM,
    GOOD,
    TRIALS,
    WINNER,
    Plot,
    ValueAxis,
    figure_of,
    floats,
    of_all,
    plain,
    whole_numbers,
)
from hposweep.results.sweep_data import SweepData

MOST_CONFIGURATIONS = 25


def repetitions(sweep: SweepData) -> Plot | None:
    """The values of each configuration under its seeds, with their mean, the best one on top.

    None where no configuration was tried under several seeds.
    """
    history = sweep.history
    found = [trial for trial in ranked(history) if len(_values(history.repetitions_of(trial))) > 1]
    if not found:
        return None
    shown = found[:MOST_CONFIGURATIONS]
    figure = figure_of(xaxis_title=plain(history.metric), height=150 + 26 * len(shown))
    seeds: list[tuple[int, int, float]] = []  # row, trial, value
    confirmations: list[tuple[int, int, float]] = []
    for row, trial in enumerate(shown):
        of_trial = history.repetitions_of(trial)
        seeds += [(row, number, value) for number, value in of_trial.values.items()]
        confirmations += [(row, number, value) for number, value in of_trial.confirmations.items()]
    for name, points, symbol, colour in (
        ("a seed", seeds, "circle-open", CALM),
        ("a confirmation", confirmations, "circle", GOOD),
    ):
        if points:
            figure.add_trace(
                go.Scatter(
                    x=floats(value for *_, value in points),
                    y=whole_numbers(row for row, *_ in points),
                    customdata=whole_numbers(number for _, number, _ in points),
                    meta=TRIALS,
                    mode="markers",
                    marker={"symbol": symbol, "color": colour, "size": 7},
                    name=name,
                    hovertemplate="trial %{customdata}: %{x:.4~g}<extra></extra>",
                )
            )
    figure.add_trace(_means(sweep, shown_rows=[trial.number for trial in shown]))
    values = [value for _, _, value in (*seeds, *confirmations)]
    ends = [end for trial in shown for end in history.repetitions_of(trial).interval or ()]
    axis = ValueAxis.of([*values, *ends], values)
    figure.update_xaxes(**axis.layout())
    names = [f"trial {trial.number}" for trial in shown]
    names[0] = f"<b>{names[0]}</b>"
    rows = {"tickvals": list(range(len(names))), "ticktext": names, "showgrid": True}
    figure.update_yaxes(range=[len(names) - 0.4, -0.6], **rows)
    notes = of_all(len(shown), len(found), "configurations", "the best ones")
    if confirmations:
        notes.append("Once a configuration has confirmations, its mean is theirs alone.")
    return Plot(figure, [*notes, *axis.outside(values)])


def _means(sweep: SweepData, shown_rows: list[int]) -> go.Scatter:
    found = [sweep.history.repetitions_of(sweep.history.trials[number]) for number in shown_rows]
    means = [each.mean for each in found]
    intervals = [each.interval or (mean, mean) for each, mean in zip(found, means, strict=True)]
    return go.Scatter(
        x=floats(means),
        y=whole_numbers(range(len(means))),
        error_x={
            "type": "data",
            "array": floats(high - mean for (_, high), mean in zip(intervals, means, strict=True)),
            "arrayminus": floats(mean - low for (low, _), mean in zip(intervals, means, strict=True)),
            "color": WINNER,
            "thickness": 1.8,
        },
        customdata=whole_numbers(shown_rows),
        meta=TRIALS,
        mode="markers",
        marker={"symbol": "diamond", "color": WINNER, "size": 9},
        name="mean, with its 95% interval",
        text=[_mean_text(each) for each in found],
        hovertemplate="configuration of trial %{customdata}: %{text}<extra></extra>",
    )


def _mean_text(found: Repetitions) -> str:
    text = f"mean {number_text(found.mean)} of {len(found.counting)}"
    if found.interval is None:
        return text
    low, high = map(number_text, found.interval)
    return f"{text}, 95% interval {low} to {high}"


def _values(found: Repetitions) -> list[float]:
    return [*found.values.values(), *found.confirmations.values()]
