"""A configuration under several seeds: what the searcher hears, who wins, and the best ones once more."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hposweep.history import Ending, Event, TrialProposed, finalists, ranked
from hposweep.repetitions import Repetitions
from hposweep.schedulers import Scheduler
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.search_space import Configuration, SearchSpace, parse_hyperparameter, trial_seed
from hposweep.searchers.random import RandomSearcher
from hposweep.searchers.repeated import RepeatedSearcher
from hposweep.simulation import EventList
from hposweep.trial import Direction, Segment, SegmentResult, Trial, TrialState
from hposweep.tuner import N_CONFIRMATIONS, Tuner
from hposweep.workers.virtual import VirtualWorkers

SPACE = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})
Outcome = Callable[[Segment, Trial], SegmentResult]


class Recorder(RandomSearcher):
    """Random search that writes down what it is told."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        super().__init__(space, seed)
        object.__setattr__(self, "told", [])

    told: list[tuple[int, float]]

    def tell(self, trial: Trial, loss: float) -> None:
        self.told.append((trial.number, loss))


def noisy(segment: Segment, trial: Trial) -> SegmentResult:
    """A value with noise that depends on the seed alone."""
    noise = random.Random(trial.seed).gauss(0, 0.3)
    return SegmentResult(1.0, trial.configuration["x"] + noise)


def tuner(
    n_trials: int,
    n_seeds: int = 1,
    confirm_top: int = 0,
    outcome: Outcome = noisy,
    n_workers: int = 1,
    scheduler: Scheduler | None = None,
    events: Sequence[Event] = (),
    **options: Any,
) -> Tuner:
    recorder, journal = Recorder(SPACE, 0), EventList()
    journal.append(*events)
    made = Tuner(
        RepeatedSearcher(recorder, n_seeds) if n_seeds > 1 else recorder,
        scheduler or FifoScheduler(),
        journal,
        VirtualWorkers(outcome, n_workers),
        n_trials=n_trials,
        seed=0,
        trial_seed=lambda number, configuration: trial_seed(0, number),
        n_seeds=n_seeds,
        confirm_top=confirm_top,
        max_failure_rate=1.0,
        **options,
    )
    made.replay(list(events))
    return made


def recorder_of(sweep: Tuner) -> Recorder:
    searcher = sweep.searcher
    found = searcher.searcher if isinstance(searcher, RepeatedSearcher) else searcher
    assert isinstance(found, Recorder)
    return found


@pytest.mark.parametrize("n_workers", [1, 4])
def test_each_configuration_is_tried_under_several_seeds_and_the_searcher_hears_the_mean(n_workers: int) -> None:
    sweep = tuner(12, n_seeds=3, n_workers=n_workers)
    assert sweep.run().ending is Ending.COMPLETE
    trials = sweep.history.trials
    for number, trial in trials.items():
        assert trial.configuration == SPACE.sample(0, number // 3)
        assert trial.repeats == (None if number % 3 == 0 else number // 3 * 3)
    assert len({trial.seed for trial in trials.values()}) == 12
    means = [statistics.fmean(trials[3 * i + j].value or 0.0 for j in range(3)) for i in range(4)]
    assert dict(recorder_of(sweep).told) == pytest.approx(dict(enumerate(means)))
    winner = sweep.history.incumbent
    assert winner is not None
    assert winner.number == 3 * means.index(min(means))
    assert sweep.history.value_of(winner) == pytest.approx(min(means))
    assert [trial.number // 3 for trial in ranked(sweep.history)] == sorted(range(4), key=lambda i: means[i])


def test_the_first_configurations_are_those_of_a_sweep_without_repetitions() -> None:
    alone, repeated = tuner(4), tuner(12, n_seeds=3)
    alone.run()
    repeated.run()
    ours = [trial.configuration for trial in repeated.history.trials.values() if trial.repeats is None]
    assert ours == [trial.configuration for trial in alone.history.trials.values()]


def test_a_failure_of_one_seed_is_the_configurations_and_costs_it_the_win() -> None:
    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        if trial.number == 1:
            return SegmentResult(1.0, failure="ValueError: this seed")
        return SegmentResult(1.0, 0.0 if trial.number in (0, 2) else trial.configuration["x"])

    sweep = tuner(9, n_seeds=3, outcome=outcome)
    sweep.run()
    assert recorder_of(sweep).told[0] == (0, math.inf)
    assert sweep.history.incumbent is not None
    assert sweep.history.incumbent.number != 0


def test_at_rungs_the_searcher_hears_when_all_seeds_have_been_there() -> None:
    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        return SegmentResult(1.0, trial.configuration["x"] + trial.number % 2 / (segment.target_epoch or 1))

    sweep = tuner(8, n_seeds=2, outcome=outcome, scheduler=AshaScheduler(r_max=9))
    sweep.run()
    told = recorder_of(sweep).told
    assert [number for number, _ in told][:4] != []
    xs = [SPACE.sample(0, number)["x"] for number in range(4)]
    assert {number for number, loss in told if loss == pytest.approx(xs[number] + 0.5)} == {0, 1, 2, 3}


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(("n_seeds", "n_workers"), [(1, 1), (1, 3), (2, 2)])
def test_the_best_are_run_again_and_their_new_mean_alone_names_the_winner(
    n_seeds: int, n_workers: int, direction: Direction
) -> None:
    sign = direction.loss(1.0)

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        found = noisy(segment, trial)
        return SegmentResult(1.0, sign * (found.value or 0.0))

    n = 12
    plain = tuner(n, n_seeds, outcome=outcome, direction=direction)
    plain.run()
    sweep = tuner(n, n_seeds, 3, outcome=outcome, n_workers=n_workers, direction=direction)
    assert sweep.run().ending is Ending.COMPLETE
    history = sweep.history
    assert len(history.trials) == n + 3 * N_CONFIRMATIONS
    best = [trial.number for trial in finalists(history, 3)]
    assert best == [trial.number for trial in ranked(plain.history)[:3]]
    confirming = [trial for trial in history.trials.values() if trial.confirms]
    assert all(trial.number >= n for trial in confirming)
    assert len({trial.seed for trial in history.trials.values()}) == len(history.trials)
    values = {number: [trial.value or 0.0 for trial in confirming if trial.repeats == number] for number in best}
    assert {len(found) for found in values.values()} == {N_CONFIRMATIONS}
    means = {number: statistics.fmean(found) for number, found in values.items()}
    assert history.incumbent is not None
    assert history.incumbent.number == min(means, key=lambda number: sign * means[number])
    assert history.value_of(history.incumbent) == pytest.approx(means[history.incumbent.number])
    assert {number for number, _ in recorder_of(sweep).told} == set(range(n // n_seeds))
    assert [trial.number for trial in ranked(history)[:3]] == sorted(best, key=lambda number: sign * means[number])


def test_confirmations_get_the_full_budget_whatever_the_scheduler_does() -> None:
    sweep = tuner(30, confirm_top=2, scheduler=AshaScheduler(r_max=9))
    sweep.run()
    confirming = [trial for trial in sweep.history.trials.values() if trial.confirms]
    assert len(confirming) == 2 * N_CONFIRMATIONS
    assert {(trial.state, trial.epoch) for trial in confirming} == {(TrialState.COMPLETE, 9)}


@settings(max_examples=40)
@given(seed=st.integers(0, 1000), cut=st.integers(0, 200), n_workers=st.integers(1, 3))
def test_cut_anywhere_it_ends_with_the_same_winner(seed: int, cut: int, n_workers: int) -> None:
    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        chance = random.Random(f"{seed} {trial.seed}")
        if chance.random() < 0.15:
            return SegmentResult(1.0, failure="ValueError")
        return SegmentResult(chance.uniform(0.5, 2), trial.configuration["x"] + chance.gauss(0, 0.3))

    whole = tuner(8, 2, 2, outcome=outcome, n_workers=n_workers)
    assume(whole.run().ending is Ending.COMPLETE)  # not so where the first trials all fail
    events = whole.journal.events  # type: ignore[attr-defined]
    again = tuner(8, 2, 2, outcome=outcome, n_workers=n_workers, events=events[: min(cut, len(events) - 1)])
    again.run()
    winners = [sweep.history.incumbent for sweep in (whole, again)]
    assert [None if each is None else (each.number, each.value) for each in winners] == [
        None if each is None else (each.number, each.value) for each in winners[:1] * 2
    ]
    proposed = [
        [
            (event.trial, event.configuration, event.repeats, event.confirms)
            for event in sweep.journal.events  # type: ignore[attr-defined]
            if isinstance(event, TrialProposed)
        ]
        for sweep in (whole, again)
    ]
    assert sorted(proposed[0], key=str) == sorted(proposed[1], key=str)
    assert again.is_complete()


def test_the_interval_of_a_mean_is_students() -> None:
    """The example of a textbook: five values, mean 3, standard deviation sqrt(2.5), t of four degrees 2.776445."""
    found = Repetitions({number: float(number) for number in range(1, 6)})
    half = 2.776445105 * math.sqrt(2.5) / math.sqrt(5)
    assert found.interval == pytest.approx((3 - half, 3 + half))
    assert Repetitions({0: 1.0}).interval is None
    assert Repetitions({0: 1.0, 1: 3.0}, {2: 5.0}).mean == 5.0


def test_the_configuration_of_a_repeating_proposal_is_the_first_ones() -> None:
    searcher = RepeatedSearcher(RandomSearcher(SPACE, 0), 2)
    first = searcher.propose(0, ())
    assert isinstance(first, dict)
    searcher.start(Trial(0, first, seed=0))
    given: Configuration | object = searcher.propose(1, ())
    assert given == first
