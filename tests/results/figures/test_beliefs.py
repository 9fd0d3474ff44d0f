"""What the searcher expected against what was seen: which values are held against what, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hposweep.history import Event, SegmentEnded, SegmentStarted, SweepStarted, TrialProposed
from hposweep.results.figures.beliefs import expected_against_seen, seen
from hposweep.results.html.sweep_plots import sweep_plots
from hposweep.results.sweep_data import SweepData, read
from hposweep.sweep_folder.journal import Journal
from hposweep.trial import Direction, Expected, TrialState


def sweep(folder: Path, *events: Event) -> SweepData:
    journal = Journal.open(folder)
    journal.append(SweepStarted(100, 0, "error", Direction.minimize), *events)
    journal.close()
    return read(folder)


def trial(
    number: int,
    expected: Expected | None,
    *ends: tuple[TrialState, int | None, float],
    **options: Any,
) -> list[Event]:
    """A trial with the ends of its segments: its state from then on, the epoch and the value."""
    found: list[Event] = [TrialProposed(number, {"x": number / 10}, 7, ends[0][1], expected=expected, **options)]
    for state, epoch, value in ends:
        found.append(SegmentStarted(number, 0, epoch, 1))
        found.append(SegmentEnded(number, state, epoch, {"error": value}, 1.0, folder=f"{number}"))
    return found


USUAL = Expected(0.5, 0.4, 0.7)


def complete(values: Sequence[float], expected: Expected = USUAL) -> list[Event]:
    return [
        event
        for number, value in enumerate(values)
        for event in trial(number, expected, (TrialState.COMPLETE, None, value))
    ]


def test_it_says_how_many_lie_inside_and_how_the_order_was_told(tmp_path: Path) -> None:
    events: list[Event] = []
    for number in range(20):
        expected = Expected(number / 20, number / 20 - 0.1, number / 20 + 0.1)
        value = number / 20 + (0.2 if number in (3, 11) else 0.01)
        events += trial(number, expected, (TrialState.COMPLETE, None, value))
    plot = expected_against_seen(sweep(tmp_path, *events))
    assert plot is not None
    first, second, *_ = plot.notes
    assert first.startswith("18 of 20 values lie inside of their 95% interval: 90% (95% interval 70% to 97%).")
    assert second.startswith("Rank correlation of expected and seen: 0.9")


def test_each_point_is_a_trial_with_its_bar(tmp_path: Path) -> None:
    plot = expected_against_seen(sweep(tmp_path, *complete([0.45, 0.8, 0.6])))
    assert plot is not None
    diagonal, inside, outside = plot.figure.data
    assert list(diagonal.x) == list(diagonal.y)
    assert diagonal.meta is None
    for trace, numbers in ((inside, [0, 2]), (outside, [1])):
        assert trace.meta == "trials"
        assert trace.customdata[:, 0].tolist() == numbers
        np.testing.assert_allclose(trace.x + trace.error_x.array, 0.7, rtol=1e-6)
        np.testing.assert_allclose(trace.x - trace.error_x.arrayminus, 0.4, rtol=1e-6)
    assert inside.marker.symbol != outside.marker.symbol
    assert plot.figure.layout.xaxis.range == plot.figure.layout.yaxis.range


def test_the_axes_are_logarithmic_where_values_span_decades(tmp_path: Path) -> None:
    events = [
        event
        for number, value in enumerate([0.001, 0.01, 0.1, 1.0, 10.0, 3.0])
        for event in trial(number, Expected(value, -1.0, 2 * value), (TrialState.COMPLETE, None, value))
    ]
    plot = expected_against_seen(sweep(tmp_path, *events))
    assert plot is not None
    assert plot.figure.layout.xaxis.type == plot.figure.layout.yaxis.type == "log"


def test_under_a_scheduler_it_is_the_value_at_the_epoch_that_was_expected(tmp_path: Path) -> None:
    expected = Expected(0.5, 0.4, 0.7, epoch=3)
    paused, stopped = TrialState.PAUSED, TrialState.STOPPED
    found = sweep(
        tmp_path,
        *trial(0, expected, (paused, 1, 0.9), (paused, 3, 0.6), (TrialState.COMPLETE, 9, 0.2)),
        *trial(1, expected, (paused, 1, 0.8)),
        *trial(2, expected, (paused, 1, 0.9), (stopped, 3, 0.8)),
        *trial(3, None, (paused, 1, 0.9), (TrialState.COMPLETE, 3, 0.6)),
        *trial(4, expected, (TrialState.COMPLETE, 3, 0.3)),
    )
    assert [(each.trial, each.value) for each in seen(found)] == [(0, 0.6), (2, 0.8), (4, 0.3)]
    plot = expected_against_seen(found)
    assert plot is not None
    assert any(note.startswith("Not shown: 1 trial that did not come to the epoch") for note in plot.notes)


def test_of_several_seeds_it_is_the_mean_without_those_that_confirm_it(tmp_path: Path) -> None:
    expected = Expected(0.5, 0.4, 0.7)
    end = TrialState.COMPLETE, None
    found = sweep(
        tmp_path,
        *trial(0, expected, (*end, 0.4)),
        *trial(1, None, (*end, 0.6), repeats=0),
        *trial(2, expected, (*end, 0.1)),
        *trial(3, None, (TrialState.FAILED, None, 0.1), repeats=2),
        *trial(4, None, (*end, 9.0), repeats=0, confirms=True),
    )
    (one,) = seen(found)
    assert one.trial == 0
    assert one.value == pytest.approx(0.5)


def test_a_trial_without_a_value_is_counted_and_not_drawn(tmp_path: Path) -> None:
    failed = trial(9, Expected(0.5, 0.4, 0.7), (TrialState.DIVERGED, None, float("inf")))
    plot = expected_against_seen(sweep(tmp_path, *complete([0.5, 0.6, 0.4]), *failed))
    assert plot is not None
    assert "Not shown: 1 trial without a value." in plot.notes


def test_huge_numbers_are_gaps(tmp_path: Path) -> None:
    plot = expected_against_seen(sweep(tmp_path, *complete([0.5, 1e308, 0.4, 1e299], Expected(0.1, -1e308, 1e308))))
    assert plot is not None
    plot.figure.to_json()


def test_the_page_has_the_plot_where_something_was_expected(tmp_path: Path) -> None:
    (tmp_path / "modelled").mkdir()
    (tmp_path / "random").mkdir()
    plots, sections = sweep_plots(sweep(tmp_path / "modelled", *complete([0.5, 0.6, 0.4])))
    assert "expected" in plots
    assert sections["expected"].title == "What the searcher expected"
    events = trial(0, None, (TrialState.COMPLETE, None, 0.5))
    assert "expected" not in sweep_plots(sweep(tmp_path / "random", *events))[1]
