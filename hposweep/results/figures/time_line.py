"""The plot of what each worker did when."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from hposweep.number_text import time_unit
from hposweep.results.figures.style import (
    BAD,
    LOOKS,
    TRIALS,
    WINNER,
    Plot,
    figure_of,
    floats,
    of_all,
    plain,
    scatter_kind,
    thinned,
    whole_numbers,
)
from hposweep.results.sweep_data import CUT_OFF, DIED, LOST, RunSegment, SweepData
from hposweep.trial import TrialState

MOST_SEGMENTS = 4000
MOST_LANES = 200  # where there are more segments than that
MOST_TICKS = 16  # where lanes have numbers
MOST_PLACES = 40  # whose names are shown


def time_line(sweep: SweepData) -> Plot | None:
    """A lane a worker, a line a segment, with a mark at its end; None before the first segment.

    Where segments ran in places that have names, the lanes of each stand together, under its name.
    """
    if not sweep.segments:
        return None
    scale, unit = time_unit(sweep.wall_s)
    n_lanes = 1 + max(segment.lane for segment in sweep.segments)
    segments = list(sweep.segments)
    notes = []
    if len(segments) > MOST_SEGMENTS and n_lanes > MOST_LANES:
        drawn = set(thinned(range(n_lanes), MOST_LANES))
        segments = [segment for segment in segments if segment.lane in drawn]
        notes = of_all(MOST_LANES, n_lanes, "workers")
    lines = _joined(segments, sweep.wall_s) if len(segments) > MOST_SEGMENTS else segments
    figure = figure_of(
        xaxis_title=f"running time, {unit}",
        xaxis_range=[0, 1.02 * sweep.wall_s / scale or 1],
        yaxis_title="place" if _has_places(sweep) else "worker",
        height=min(700, 150 + max(26, 120 // n_lanes) * n_lanes),
    )
    kinds = dict.fromkeys(segment.end for segment in lines)
    for kind in sorted(kinds, key=list(LOOKS).index):
        of_kind = [segment for segment in lines if segment.end == kind]
        look = LOOKS[kind]
        dash = {"dash": "dot"} if look.colour == BAD else {}
        figure.add_trace(
            scatter_kind(3 * len(lines))(
                x=floats(at for s in of_kind for at in (s.started_s / scale, s.ended_s / scale, math.nan)),
                y=floats(row for s in of_kind for row in (s.lane + 1, s.lane + 1, math.nan)),
                mode="lines",
                line={"color": look.colour, "width": 2.5, **dash},
                legendgroup=kind,
                showlegend=False,
                hoverinfo="skip",
            )
        )
        figure.add_trace(
            scatter_kind(3 * len(lines))(
                x=floats(s.ended_s / scale for s in of_kind),
                y=floats(s.lane + 1 for s in of_kind),
                customdata=whole_numbers(n for s in of_kind for n in (s.trial, s.attempt)).reshape(-1, 2),
                meta=TRIALS,
                mode="markers",
                marker={"symbol": look.symbol, "color": look.colour, "size": 9 if len(lines) < 500 else 6},
                legendgroup=kind,
                name=_segment_name(kind),
                hovertemplate=f"trial %{{customdata[0]}}, attempt %{{customdata[1]}}: {_segment_name(kind)}"
                "<br>at %{x:.4~g}<extra></extra>",
            )
        )
    retries = [segment for segment in segments if segment.attempt > 1]
    if retries:
        figure.add_trace(
            go.Scatter(
                x=floats(segment.started_s / scale for segment in retries),
                y=floats(segment.lane + 1 for segment in retries),
                customdata=whole_numbers(n for segment in retries for n in (segment.trial, segment.attempt)).reshape(
                    -1, 2
                ),
                meta=TRIALS,
                mode="markers",
                marker={"symbol": "triangle-right", "color": WINNER, "size": 9},
                name="retry starts",
                hovertemplate="trial %{customdata[0]}: attempt %{customdata[1]} starts<extra></extra>",
            )
        )
    figure.update_yaxes(range=[n_lanes + 0.7, 0.3], showgrid=False, **_ticks(sweep, n_lanes))
    busy_s = sum(segment.ended_s - segment.started_s for segment in sweep.segments)
    share = busy_s / (n_lanes * sweep.wall_s) if sweep.wall_s else 1.0
    notes = [f"{n_lanes} worker{'s' if n_lanes > 1 else ''} at once, busy {share:.0%} of the time.", *notes]
    if len(lines) < len(segments):
        notes.append("Segments that are closer together than a pixel are drawn as one.")
    return Plot(figure, notes)


def _has_places(sweep: SweepData) -> bool:
    return any(segment.place for segment in sweep.segments)


def _ticks(sweep: SweepData, n_lanes: int) -> dict[str, Any]:
    """The ticks of the lanes: their numbers, or the name of each place in the middle of its lanes."""
    if not _has_places(sweep):
        return {"tickvals": list(range(1, n_lanes + 1, max(1, math.ceil(n_lanes / MOST_TICKS))))}
    ends: dict[str, tuple[int, int]] = {}
    for segment in sweep.segments:
        first, last = ends.get(segment.place, (segment.lane, segment.lane))
        ends[segment.place] = min(first, segment.lane), max(last, segment.lane)
    shown = thinned(sorted(ends.items(), key=lambda item: item[1]), MOST_PLACES)
    names = [plain(place) if place else "unknown" for place, _ in shown]
    return {"tickvals": [1 + (first + last) / 2 for _, (first, last) in shown], "ticktext": names}


def _joined(segments: Sequence[RunSegment], wall_s: float) -> list[RunSegment]:
    """Joins neighbours in a lane that ended alike and are less than a pixel apart."""
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
            last[segment.lane] = dataclasses.replace(before, ended_s=segment.ended_s, end_epoch=segment.end_epoch)
            continue
        if before is not None:
            found.append(before)
        last[segment.lane] = segment
    return [*found, *last.values()]


def _segment_name(kind: str) -> str:
    names = {
        DIED: "its worker died",
        LOST: "lost with its machine",
        CUT_OFF: "cut off, or running",
        TrialState.RUNNING: "running",
        TrialState.PAUSED: "to a rung (PAUSED)",
    }
    return names.get(kind, kind)
