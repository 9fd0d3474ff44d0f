"""What a searcher expects of a configuration: a median and an interval in the metric's own units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from hposweep.beginnings import with_beginnings
from hposweep.history import Event, SegmentEnded, SegmentStarted, TrialProposed
from hposweep.schedulers import Scheduler
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.search_space import Configuration, SearchSpace, parse_hyperparameter, trial_seed
from hposweep.searchers import Searcher, expected
from hposweep.searchers.bayesian import HALF_WIDTH, BayesianSearcher
from hposweep.searchers.cmaes import CmaesSearcher
from hposweep.searchers.random import RandomSearcher
from hposweep.searchers.tpe import TpeSearcher
from hposweep.simulation import EventList
from hposweep.trial import Direction, Expected, Segment, SegmentResult, Trial, TrialState
from hposweep.tuner import Tuner
from hposweep.workers.virtual import VirtualWorkers
from support.strategies import search_trees

SPACE = SearchSpace({key: parse_hyperparameter("uniform(0, 1)") for key in "xy"})


def valley(configuration: Configuration) -> float:
    """Minimum 0 at (0.3, 0.6)."""
    x, y = configuration["x"] - 0.3, configuration["y"] - 0.6
    return float(x**2 + 10 * (y - x) ** 2)


def told(searcher: Searcher, losses: Sequence[float], target_epoch: int | None = None) -> Searcher:
    """The searcher with these losses of draws from the prior."""
    for number, loss in enumerate(losses):
        trial = Trial(number, SPACE.sample(0, number), seed=0, state=TrialState.COMPLETE, target_epoch=target_epoch)
        searcher.start(trial)
        searcher.tell(trial, loss)
    return searcher


def draws(n: int, seed: int = 1) -> list[Configuration]:
    return [SPACE.sample(seed, number) for number in range(n)]


def test_where_losses_are_normal_about_a_smooth_function_19_of_20_lie_inside_of_the_interval() -> None:
    """Fixed seeds: 1600 of them; by chance alone the share of a calibrated model would be 95% +- 0.5%."""
    inside = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        a, b = rng.normal(size=2)

        def loss(at: Configuration) -> float:
            smooth = math.sin(3 * at["x"] + a) + math.cos(2 * at["y"] + b)  # noqa: B023
            return smooth + 0.1 * rng.normal()  # noqa: B023

        searcher = told(BayesianSearcher(SPACE, seed), [loss(SPACE.sample(0, number)) for number in range(50)])
        new = draws(200, seed=1 + seed)
        for each, configuration in zip(expected(searcher, new), new, strict=True):
            inside.append(each.low <= loss(configuration) <= each.high)
    assert 0.87 < np.mean(inside) < 0.985


def test_quantiles_are_those_of_simulated_targets() -> None:
    """By brute force: targets are drawn, and each is taken back to a loss."""
    from hposweep.searchers.warping import unwarped

    losses = np.exp(np.random.default_rng(0).normal(size=40))
    targets = np.random.default_rng(1).normal(0.3, 0.5, size=100_001)
    for power in (1.0, 0.5, 0.0):
        by_force = np.quantile(unwarped(targets, losses, power), [0.025, 0.5, 0.975])
        quantiles = np.quantile(targets, [0.025, 0.5, 0.975])
        np.testing.assert_allclose(unwarped(quantiles, losses, power), by_force, rtol=1e-3)


def test_they_are_quantiles_of_the_model_in_the_units_of_the_loss() -> None:
    losses = [valley(SPACE.sample(0, number)) for number in range(30)]
    small, large = (told(BayesianSearcher(SPACE, 0), [scale * loss for loss in losses]) for scale in (1.0, 1000.0))
    for one, other in zip(expected(small, draws(5)), expected(large, draws(5)), strict=True):
        assert [other.median, other.low, other.high] == pytest.approx(
            [1000 * one.median, 1000 * one.low, 1000 * one.high], rel=1e-4
        )
    assert special.ndtr(HALF_WIDTH) == pytest.approx(0.975)


def test_near_a_result_without_noise_it_is_the_result_and_far_from_it_less_certain() -> None:
    searcher = told(BayesianSearcher(SPACE, 0), [valley(SPACE.sample(0, number)) for number in range(40)])
    known = SPACE.sample(0, 7)
    (near,) = expected(searcher, [known])
    assert near.median == pytest.approx(valley(known), abs=0.05)
    (corner,) = expected(searcher, [{"x": 1.0, "y": 0.0}])
    assert corner.high - corner.low > near.high - near.low


def test_asking_changes_nothing() -> None:
    losses = [valley(SPACE.sample(0, number)) for number in range(25)]
    asked, other = told(BayesianSearcher(SPACE, 0), losses), told(BayesianSearcher(SPACE, 0), losses)
    first = expected(asked, draws(3))
    for number in range(25, 29):
        assert asked.propose(number, ()) == other.propose(number, ())
        assert expected(asked, draws(3)) == first


@pytest.mark.parametrize(
    "losses",
    [
        [1.0] * 20,
        [math.inf] * 20,
        [],
        [0.3, 0.4, 0.5],
    ],
    ids=["equal", "failed", "none", "few"],
)
def test_where_there_is_no_model_nothing_is_expected(losses: Sequence[float]) -> None:
    assert expected(told(BayesianSearcher(SPACE, 0), losses), draws(2)) == []


@pytest.mark.parametrize("kind", [RandomSearcher, TpeSearcher, CmaesSearcher])
def test_searchers_without_a_model_of_the_loss_expect_nothing(kind: Any) -> None:
    searcher = told(kind(SPACE, 0), [valley(SPACE.sample(0, number)) for number in range(30)])
    assert expected(searcher, draws(2)) == []


def test_failures_leave_the_others_their_units() -> None:
    losses = [valley(SPACE.sample(0, number)) if number % 5 else math.inf for number in range(30)]
    for each in expected(told(BayesianSearcher(SPACE, 0), losses), draws(20)):
        assert each.high < 100


@settings(max_examples=20)
@given(
    space=search_trees(), losses=st.lists(st.floats(allow_nan=False), min_size=12, max_size=12), seed=st.integers(0, 99)
)
def test_in_any_space_after_any_losses_it_expects_numbers_of_each_or_of_none(
    space: SearchSpace, losses: list[float], seed: int
) -> None:
    searcher = BayesianSearcher(space, 0)
    for number, loss in enumerate(losses):
        trial = Trial(number, space.sample(seed, number), seed=0, state=TrialState.COMPLETE)
        searcher.start(trial)
        searcher.tell(trial, loss)
    found = expected(searcher, [space.sample(seed, number) for number in range(10, 15)])
    assert len(found) in (0, 5)
    assert all(each.low <= each.median <= each.high for each in found)


def test_of_results_at_an_epoch_it_names_the_epoch() -> None:
    losses = [valley(SPACE.sample(0, number)) for number in range(20)]
    assert [each.epoch for each in expected(told(BayesianSearcher(SPACE, 0), losses, 9), draws(2))] == [9, 9]
    assert [each.epoch for each in expected(told(BayesianSearcher(SPACE, 0), losses), draws(2))] == [None, None]


def sweep(
    searcher: Searcher,
    n_trials: int = 20,
    direction: Direction = Direction.minimize,
    scheduler: Scheduler | None = None,
    **options: Any,
) -> Tuner:
    """A sweep that nobody has run."""

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        value = valley(trial.configuration) + 1 / (segment.target_epoch or 1)
        return SegmentResult(1.0, value if direction is Direction.minimize else -value)

    return Tuner(
        searcher,
        scheduler or FifoScheduler(),
        EventList(),
        VirtualWorkers(outcome),
        n_trials=n_trials,
        seed=0,
        trial_seed=lambda number, configuration: trial_seed(0, number),
        direction=direction,
        **options,
    )


def events_of(made: Tuner) -> list[Event]:
    assert isinstance(made.journal, EventList)
    return made.journal.events


def proposals(made: Tuner) -> list[TrialProposed]:
    return [event for event in events_of(made) if isinstance(event, TrialProposed)]


def test_the_journal_says_what_was_expected_from_the_first_model_on() -> None:
    made = sweep(BayesianSearcher(SPACE, 0))
    made.run()
    found = [event.expected for event in proposals(made)]
    assert found[:5] == [None] * 5
    assert all(each is not None for each in found[5:])


def test_to_maximize_is_to_minimize_the_negative_value() -> None:
    one, other = sweep(BayesianSearcher(SPACE, 0)), sweep(BayesianSearcher(SPACE, 0), direction=Direction.maximize)
    for each in (one, other):
        each.run()
    for small, large in zip(proposals(one), proposals(other), strict=True):
        assert large.configuration == small.configuration
        if small.expected is None:
            assert large.expected is None
        else:
            assert large.expected == Expected(-small.expected.median, -small.expected.high, -small.expected.low)


def test_under_a_scheduler_it_is_expected_at_the_largest_epoch_so_far() -> None:
    made = sweep(BayesianSearcher(SPACE, 0), 40, scheduler=AshaScheduler(r_max=9))
    made.run()
    largest, found = 0, []
    for event in events_of(made):
        if isinstance(event, SegmentEnded):
            largest = max(largest, event.epoch or 0)
        if isinstance(event, TrialProposed) and event.expected is not None:
            found.append((event.expected.epoch, largest))
    assert found
    assert all(epoch == at for epoch, at in found)


def test_of_several_seeds_the_first_trial_has_what_is_expected_of_their_mean() -> None:
    alone = sweep(BayesianSearcher(SPACE, 0), 12)
    given: dict[str, Any] = {"initial_configs": None, "learn_from": None, "metric": "value"}
    searcher = with_beginnings(BayesianSearcher(SPACE, 0), SPACE, 0, n_seeds=2, direction=Direction.minimize, **given)
    repeated = sweep(searcher, 24, n_seeds=2, confirm_top=1)
    for each in (alone, repeated):
        each.run()
    found = [event.expected for event in proposals(repeated)]
    assert found[:24:2] == [event.expected for event in proposals(alone)]
    assert found[1:24:2] == [None] * 12
    assert found[24:] == [None] * len(found[24:])


def test_what_is_tried_first_is_expected_as_it_was_completed() -> None:
    searcher = BayesianSearcher(SPACE, 0, n_startup=2)
    given: dict[str, Any] = {"learn_from": None, "metric": "value", "n_seeds": 1, "direction": Direction.minimize}
    made = sweep(with_beginnings(searcher, SPACE, 0, initial_configs=[{}, {"x": 0.9}, {}, {"y": 0.1}], **given), 4)
    made.run()
    last = proposals(made)[3]
    assert last.configuration["y"] == 0.1
    alone = BayesianSearcher(SPACE, 0, n_startup=2)
    for number in range(3):
        trial = made.history.trials[number]
        alone.start(trial)
        assert trial.value is not None
        alone.tell(trial, trial.value)
    assert [last.expected] == expected(alone, [last.configuration])


def test_a_replay_goes_on_to_expect_the_same() -> None:
    whole = sweep(BayesianSearcher(SPACE, 0), 16)
    whole.run()
    events = events_of(whole)
    cut = next(i for i, event in enumerate(events) if isinstance(event, SegmentStarted) and event.trial == 10)
    resumed = sweep(BayesianSearcher(SPACE, 0), 16)
    resumed.replay(events[: cut + 1])
    resumed.run()
    assert [event.expected for event in proposals(resumed)] == [event.expected for event in proposals(whole)[11:]]


@pytest.mark.parametrize("numbers", [(0.0, 1.0, 2.0), (3.0, 1.0, 2.0), (math.nan, 0.0, 1.0), (0.0, -math.inf, 1.0)])
def test_a_median_outside_of_its_interval_is_none(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="is no median inside of an interval"):
        Expected(*numbers)
