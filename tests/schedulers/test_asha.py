"""ASHA: the paper's Algorithm 2 by an independent reference, its table of rungs, and what is left at the end."""

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hposweep.history import SegmentEnded, SegmentStarted
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.rungs import rung_levels
from hposweep.search_space import SearchSpace, parse_hyperparameter
from hposweep.simulation import simulate
from hposweep.trial import ResumeTrial, Segment, StartTrial, Trial, TrialState


class RandomCurves:
    """Curves that cross: the value of an epoch is a sine of its own."""

    search_space = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})

    def __init__(self, n_epochs: int) -> None:
        self.n_epochs = n_epochs

    def value(self, configuration: dict[str, float], epoch: int) -> float:
        return math.sin(1000 * configuration["x"] * epoch)

    def duration_s(self, configuration: dict[str, float], start_epoch: int, target_epoch: int) -> float:
        return (target_epoch - start_epoch) * (0.2 + configuration["x"])


def algorithm_2(values, n_trials: int, r: int, r_max: int, eta: int) -> list[tuple[int, int]]:
    """Li et al. 2020, Algorithm 2, word for word with one worker: the pairs of trial and epoch that it runs."""
    levels = [r * eta**k for k in range(100) if r * eta**k < r_max] + [r_max]
    rungs: list[dict[int, float]] = [{} for _ in levels]
    promoted: list[set[int]] = [set() for _ in levels]
    jobs, n_begun = [], 0

    def get_job() -> tuple[int, int] | None:
        nonlocal n_begun
        for k in range(len(levels) - 2, -1, -1):
            top = sorted(rungs[k], key=lambda t: (rungs[k][t], t))[: len(rungs[k]) // eta]
            promotable = [t for t in top if t not in promoted[k]]
            if promotable:
                promoted[k].add(promotable[0])
                return promotable[0], k + 1
        n_begun += 1
        return (n_begun - 1, 0) if n_begun <= n_trials else None

    while (job := get_job()) is not None:
        trial, k = job
        rungs[k][trial] = values(trial, levels[k])
        jobs.append((trial, levels[k]))
    return jobs


@settings(max_examples=200)
@given(
    n_trials=st.integers(1, 120),
    r=st.integers(1, 3),
    r_max=st.integers(3, 100),
    eta=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_with_one_worker_it_is_algorithm_2_job_by_job(n_trials: int, r: int, r_max: int, eta: int, seed: int) -> None:
    curves = RandomCurves(r_max)
    scheduler = AshaScheduler(r_max=r_max, r_min=r, eta=eta)
    swept = simulate(curves, scheduler, n_trials=n_trials, seed=seed)
    jobs = [(event.trial, event.target_epoch) for event in swept.events if isinstance(event, SegmentStarted)]
    draws = [curves.search_space.sample(seed, number) for number in range(n_trials)]
    assert jobs == algorithm_2(lambda trial, epoch: curves.value(draws[trial], epoch), n_trials, r, r_max, eta)


@settings(max_examples=60)
@given(
    n_trials=st.integers(1, 150),
    n_workers=st.sampled_from([1, 2, 16]),
    seed=st.integers(0, 99),
    death_rate=st.sampled_from([0.0, 0.05]),
)
def test_at_the_end_nobody_who_waits_is_in_the_top_of_his_rung(
    n_trials: int, n_workers: int, seed: int, death_rate: float
) -> None:
    curves = RandomCurves(27)
    options: dict[str, Any] = {"straggling": 1.0, "death_rate": death_rate, "max_retries": 1, "max_failure_rate": 1.0}
    scheduler = AshaScheduler(r_max=27, eta=3)
    swept = simulate(curves, scheduler, n_trials=n_trials, n_workers=n_workers, seed=seed, **options)
    ends = [event for event in swept.events if isinstance(event, SegmentEnded)]
    for level in rung_levels(1, 27, 3)[:-1]:
        results = []
        for event in ends:
            trial = swept.history.trials.get(event.trial)
            if trial is not None and event.epoch == level and event.state is TrialState.PAUSED:
                results.append((curves.value(trial.configuration, level), trial.number))
        failed_here = [
            trial
            for trial in swept.history.trials.values()
            if trial.state is TrialState.FAILED and trial.target_epoch == level
        ]
        n = len(results) + len(failed_here)
        for _, number in sorted(results)[: n // 3]:
            trial = swept.history.trials[number]
            assert trial.state is not TrialState.PAUSED or (trial.epoch or 0) > level


def table(n: int, r_max: int, eta: int, s: int) -> list[tuple[int, int]]:
    """How many configurations come to which epoch in bracket s where the curves don't cross and come worst first."""
    scheduler = AshaScheduler(r_max=r_max, r_min=eta**s, eta=eta)
    came: Counter[int] = Counter()
    n_begun = 0
    while (wanted := scheduler.next_segment(can_start_new=n_begun < n)) is not None:
        number = n_begun if isinstance(wanted, StartTrial) else wanted.trial
        n_begun += isinstance(wanted, StartTrial)
        assert wanted.target_epoch is not None
        scheduler.start(Segment(number, 0, wanted.target_epoch))
        trial = Trial(number, {}, 0, TrialState.PAUSED, target_epoch=wanted.target_epoch)
        if wanted.target_epoch == r_max:
            trial = Trial(number, {}, 0, TrialState.COMPLETE, target_epoch=r_max)
        scheduler.tell(trial, float(number))  # the first is the best
        came[wanted.target_epoch] += 1
    return [(came[level], level) for level in sorted(came)]


# Li et al. 2020, Figure 1: the promotion scheme for n = 9, r = 1, R = 9, eta = 3: n_i and r_i of each rung.
FIGURE_1 = {0: [(9, 1), (3, 3), (1, 9)], 1: [(9, 3), (3, 9)], 2: [(9, 9)]}


@pytest.mark.parametrize("s", FIGURE_1)
def test_the_rungs_fill_as_in_the_papers_figure_1(s: int) -> None:
    assert table(9, 9, 3, s) == FIGURE_1[s]


def come(scheduler: AshaScheduler, number: int, loss: float, target: int = 1) -> TrialState:
    scheduler.start(Segment(number, 0, target))
    trial = Trial(number, {}, 0, target_epoch=target)
    state = scheduler.state_after(trial, loss)
    scheduler.tell(Trial(number, {}, 0, state, target_epoch=target), loss)
    return state


def test_the_book_s_walk_through_two_workers() -> None:
    """ "Dive into Deep Learning", section 19.5, the text to Figure 19.5.2: eta = 2, trials 0 to 5."""
    scheduler = AshaScheduler(r_max=4, r_min=1, eta=2)
    come(scheduler, 0, 0.3)
    assert isinstance(scheduler.next_segment(can_start_new=True), StartTrial)
    come(scheduler, 1, 0.5)
    assert scheduler.next_segment(can_start_new=True) == ResumeTrial(0, 2)
    come(scheduler, 0, 0.3, target=2)
    # Too few on rung 1, and trial 3 is worse than trial 0 on rung 0: a new trial.
    come(scheduler, 3, 0.4)
    assert isinstance(scheduler.next_segment(can_start_new=True), StartTrial)
    come(scheduler, 2, 0.6)
    assert scheduler.next_segment(can_start_new=True) == ResumeTrial(3, 2)
    come(scheduler, 3, 0.4, target=2)
    assert scheduler.next_segment(can_start_new=True) == ResumeTrial(0, 4)


def test_the_stopping_variant_lets_go_on_whoever_is_among_the_best_so_far() -> None:
    scheduler = AshaScheduler(r_max=9, eta=3, stopping=True)
    states = [come(scheduler, number, loss) for number, loss in enumerate([0.5, 0.6, 0.4, 0.45, 0.3, 0.35])]
    assert states == ["PAUSED", "STOPPED", "PAUSED", "STOPPED", "PAUSED", "PAUSED"]
    assert scheduler.next_segment(can_start_new=True).target_epoch == 3  # type: ignore[union-attr]


def test_brackets_get_new_trials_in_proportion_to_their_sizes() -> None:
    scheduler = AshaScheduler(r_max=81, eta=3, brackets=5)
    begun: Counter[int] = Counter()
    for number in range(128):
        target = scheduler.next_segment(can_start_new=True).target_epoch  # type: ignore[union-attr]
        assert target is not None
        begun[target] += 1
        scheduler.start(Segment(number, 0, target))
    assert begun == {1: 81, 3: 27, 9: 9, 27: 6, 81: 5}
