"""Rungs: the course of the best value at each, who went on, and what a rung tells of the next one."""

import math
from pathlib import Path

import pytest
from scipy import stats

from hposweep.history import Event
from hposweep.results.rungs import courses, rank_correlation, rungs
from hposweep.results.sweep_data import SweepData
from hposweep.trial import Direction, TrialState
from support.journals import complete, proposed, segment, sweep_of

COMPLETE = TrialState.COMPLETE

# Rungs at 1, 2 and 4 epochs. Trial 0 goes on although trial 4, which does not, is better at the first rung.
EVENTS: list[Event] = [
    *(proposed(number) for number in range(6)),
    *segment(0, 0, 1, 0.5),
    *segment(1, 0, 1, 0.4),
    *segment(1, 1, 2, 0.35),
    *segment(2, 0, 1, 0.3),
    *segment(2, 1, 2, 0.25),
    *segment(2, 2, 4, 0.2, COMPLETE),
    *segment(3, 0, 1, 0.6),
    *segment(0, 1, 2, 0.45),
    *segment(4, 0, 1, 0.35),
    *segment(5, 0, 1, 0.7),
    *segment(5, 1, 2, 0.3),
]


@pytest.fixture
def sweep(tmp_path: Path) -> SweepData:
    return sweep_of(tmp_path, *EVENTS)


def test_each_rung_has_a_course_and_complete_trials_have_the_last(sweep: SweepData) -> None:
    found = [(each.epoch, [point.trial for point in each.improvements], len(each.points)) for each in courses(sweep)]
    assert found == [(1, [0, 1, 2], 6), (2, [1, 2], 4), (None, [2], 1)]
    assert [point.n_epochs for point in courses(sweep)[1].improvements] == [3, 5]


def test_the_best_is_the_largest_where_that_is_wanted(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, *EVENTS, direction=Direction.maximize)
    assert [point.trial for point in courses(sweep)[0].improvements] == [0, 3, 5]


def test_of_many_rungs_the_course_of_some_is_told(tmp_path: Path) -> None:
    events: list[Event] = [proposed(0)]
    for epoch in range(1, 21):
        events += segment(0, epoch - 1, epoch, 1 / epoch, COMPLETE if epoch == 20 else TrialState.PAUSED)
    assert [course.epoch for course in courses(sweep_of(tmp_path, *events))] == [5, 8, 12, 19, None]


def test_rungs_count_who_came_went_on_and_was_passed_over(sweep: SweepData) -> None:
    found = [(each.epoch, each.n_came, each.n_went_on, each.n_complete, each.n_passed_over) for each in rungs(sweep)]
    assert found == [(1, 6, 4, 0, 1), (2, 4, 1, 0, 0), (4, 1, 0, 1, 0)]


def test_the_rank_correlation_is_that_of_the_trials_that_were_at_both(sweep: SweepData) -> None:
    first, second, last = (each.with_next for each in rungs(sweep))
    # By hand: ranks 3, 2, 1, 4 and 4, 3, 1, 2 differ by -1, -1, 0, 2, so 1 - 6 * 6 / (4 * 15).
    assert first is not None
    assert first.value == pytest.approx(0.4)
    assert first.n_trials == 4
    assert -1 < first.low < 0 < first.high < 1
    assert second is None and last is None


def test_a_sweep_of_complete_trials_has_no_rungs(tmp_path: Path) -> None:
    events = [*complete(0, {"x": 1}, 0.5), proposed(1), *segment(1, 0, 2, 0.4, COMPLETE)]
    assert rungs(sweep_of(tmp_path, *events)) == []


def test_spearman_s_correlation_and_its_interval() -> None:
    one, other = [1.0, 2, 3, 4, 5, 6, 7, 8], [2.0, 1, 4, 3, 6, 5, 9, 7.5]
    found = rank_correlation(one, other)
    assert found is not None
    assert found.value == pytest.approx(stats.spearmanr(one, other).statistic)
    half_width = 1.959964 * math.sqrt((1 + found.value**2 / 2) / 5)
    assert math.atanh(found.high) - math.atanh(found.value) == pytest.approx(half_width, rel=1e-5)
    assert math.atanh(found.value) - math.atanh(found.low) == pytest.approx(half_width, rel=1e-5)


def test_a_few_values_in_the_same_order_are_no_proof() -> None:
    few, many = (rank_correlation(range(n), range(n)) for n in (4, 100))
    assert few is not None and many is not None
    assert few.value == many.value == few.high == 1
    assert few.low < 0 < 0.99 < many.low
    assert rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]) is None
    assert rank_correlation([1, 2, 3], [1, 2, 3]) is None
