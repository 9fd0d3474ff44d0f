"""Successive halving and Hyperband: the tables of the papers and of the book, and rungs that wait for their members."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hposweep.history import SegmentEnded, SegmentStarted
from hposweep.schedulers.hyperband import HyperbandScheduler, hyperband_brackets
from hposweep.schedulers.rungs import rung_levels
from hposweep.schedulers.successive_halving import SuccessiveHalvingScheduler
from hposweep.search_space import SearchSpace, parse_hyperparameter
from hposweep.simulation import SimulatedSweep, simulate
from hposweep.trial import ResumeTrial, Segment, StartTrial, Trial, TrialState


class Straight:
    """The value is the configuration's, whatever the epoch; the epochs of slow trials last longer."""

    search_space = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})

    def __init__(self, n_epochs: int) -> None:
        self.n_epochs = n_epochs

    def value(self, configuration: dict[str, float], epoch: int) -> float:
        return configuration["x"]

    def duration_s(self, configuration: dict[str, float], start_epoch: int, target_epoch: int) -> float:
        return (target_epoch - start_epoch) * (1 + configuration["x"])


def reached(swept: SimulatedSweep) -> dict[int, int]:
    """How many trials came to each level."""
    epochs = [event.epoch for event in swept.events if isinstance(event, SegmentEnded)]
    return dict(sorted(Counter(epoch for epoch in epochs if epoch is not None).items()))


@pytest.mark.parametrize("n_workers", [1, 3, 100])
def test_a_bracket_of_81_trials_is_that_of_the_paper(n_workers: int) -> None:
    scheduler = SuccessiveHalvingScheduler(r_max=81, eta=3)
    swept = simulate(Straight(81), scheduler, n_trials=81, n_workers=n_workers)
    assert reached(swept) == {1: 81, 3: 27, 9: 9, 27: 3, 81: 1}
    best = min(swept.history.trials.values(), key=lambda trial: trial.configuration["x"])
    assert swept.history.incumbent == best


def test_a_round_of_the_book_has_rungs_2_4_8_10() -> None:
    scheduler = SuccessiveHalvingScheduler(r_min=2, r_max=10, eta=2)
    assert reached(simulate(Straight(10), scheduler, n_trials=8)) == {2: 8, 4: 4, 8: 2, 10: 1}
    scheduler = SuccessiveHalvingScheduler(r_min=2, r_max=10, eta=2)
    assert reached(simulate(Straight(10), scheduler, n_trials=24, n_workers=5)) == {2: 24, 4: 12, 8: 6, 10: 3}


# Li et al. 2018, Table 1: R = 81, eta = 3.
TABLE_1 = {
    4: [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    3: [(27, 3), (9, 9), (3, 27), (1, 81)],
    2: [(9, 9), (3, 27), (1, 81)],
    1: [(6, 27), (2, 81)],
    0: [(5, 81)],
}


def test_the_brackets_of_hyperband_are_those_of_the_papers_table_1() -> None:
    brackets = hyperband_brackets(rung_levels(1, 81, 3), eta=3)
    for s, bracket in zip(range(4, -1, -1), brackets, strict=True):
        assert [(bracket.n_trials // 3**i, level) for i, level in enumerate(bracket.levels)] == TABLE_1[s]


def test_hyperband_runs_its_brackets_in_turn() -> None:
    n_trials = sum(rows[0][0] for rows in TABLE_1.values())
    swept = simulate(Straight(81), HyperbandScheduler(r_max=81, eta=3), n_trials=n_trials)
    expected: Counter[int] = Counter()
    for rows in TABLE_1.values():
        expected.update({level: n for n, level in rows})
    assert reached(swept) == dict(sorted(expected.items()))
    first = [
        event.target_epoch for event in swept.events if isinstance(event, SegmentStarted) and not event.start_epoch
    ]
    assert first == [rows[0][1] for rows in TABLE_1.values() for _ in range(rows[0][0])]


def test_after_the_last_bracket_it_begins_again() -> None:
    swept = simulate(Straight(9), HyperbandScheduler(r_max=9, eta=3), n_trials=2 * (9 + 3 + 3))
    assert reached(swept) == {1: 18, 3: 6 + 6, 9: 2 * (1 + 1 + 3)}


@pytest.mark.parametrize(
    ("n_trials", "levels"), [(1, {1: 1, 3: 1, 9: 1}), (5, {1: 5, 3: 1, 9: 1}), (8, {1: 8, 3: 2, 9: 1})]
)
def test_a_bracket_that_gets_fewer_trials_is_decided_among_those(n_trials: int, levels: dict[int, int]) -> None:
    scheduler = SuccessiveHalvingScheduler(r_max=9, eta=3)
    assert reached(simulate(Straight(9), scheduler, n_trials=n_trials, n_workers=4)) == levels


def started(scheduler: SuccessiveHalvingScheduler, *numbers: int, target: int = 1) -> None:
    for number in numbers:
        scheduler.start(Segment(number, 0, target))


def ended(scheduler: SuccessiveHalvingScheduler, number: int, loss: float, target: int = 1) -> None:
    scheduler.tell(Trial(number, {}, 0, TrialState.PAUSED, target_epoch=target), loss)


def test_a_rung_waits_for_its_own_members_and_workers_begin_with_the_next_bracket_meanwhile() -> None:
    scheduler = SuccessiveHalvingScheduler(r_max=3, eta=3)
    started(scheduler, 0, 1, 2)
    ended(scheduler, 0, 0.3)
    ended(scheduler, 2, 0.2)
    # Trial 1 is a straggler: the next bracket gets trials 3 and 4, whose results don't fill the first one's rung.
    assert scheduler.next_segment(can_start_new=True) == StartTrial(1)
    started(scheduler, 3, 4)
    ended(scheduler, 3, 0.01)
    ended(scheduler, 4, 0.02)
    assert scheduler.next_segment(can_start_new=True) == StartTrial(1)
    assert scheduler.next_segment(can_start_new=False) == ResumeTrial(3, 3)  # cut short, it is decided
    ended(scheduler, 1, 0.5)
    # The older bracket comes first.
    assert scheduler.next_segment(can_start_new=True) == ResumeTrial(2, 3)


def test_a_tie_is_won_by_the_smaller_number() -> None:
    scheduler = SuccessiveHalvingScheduler(r_max=3, eta=3)
    started(scheduler, 0, 1, 2)
    for number in (2, 1, 0):
        ended(scheduler, number, 0.5)
    assert scheduler.next_segment(can_start_new=True) == ResumeTrial(0, 3)


@given(n_trials=st.integers(1, 200), n_workers=st.integers(1, 20), eta=st.integers(2, 4), r_max=st.integers(1, 30))
def test_every_full_bracket_promotes_the_best_of_each_rung(n_trials: int, n_workers: int, eta: int, r_max: int) -> None:
    scheduler = SuccessiveHalvingScheduler(r_max=r_max, eta=eta)
    swept = simulate(Straight(r_max), scheduler, n_trials=n_trials, n_workers=n_workers)
    levels = rung_levels(1, r_max, eta)
    size = eta ** (len(levels) - 1)
    history = swept.history
    for first in range(0, n_trials - n_trials % size, size):
        members = sorted(range(first, first + size), key=lambda number: history.trials[number].configuration["x"])
        for k, level in enumerate(levels):
            at_least = {number for number in members if (history.trials[number].epoch or 0) >= level}
            assert at_least == set(members[: size // eta**k])
