"""The searcher's role, by doubles that learn and that wait, and by ours: any direction, scheduler and luck."""

import math
import random
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hposweep.history import Ending, Event, SegmentEnded, SegmentStarted, TrialProposed
from hposweep.schedulers import Scheduler
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.schedulers.successive_halving import SuccessiveHalvingScheduler
from hposweep.search_space import Configuration, SearchSpace, parse_hyperparameter, trial_seed
from hposweep.searchers import Exhausted, Searcher, Wait
from hposweep.searchers.cmaes import CmaesSearcher
from hposweep.searchers.evolution import EvolutionSearcher
from hposweep.searchers.grid import GridSearcher
from hposweep.searchers.latin_hypercube import LatinHypercubeSearcher
from hposweep.searchers.local import LocalSearcher
from hposweep.searchers.random import RandomSearcher
from hposweep.searchers.sobol import SobolSearcher
from hposweep.searchers.tpe import TpeSearcher
from hposweep.simulation import EventList
from hposweep.trial import Direction, Segment, SegmentEnd, SegmentResult, Trial
from hposweep.tuner import Tuner
from hposweep.workers.virtual import VirtualWorkers

SPACE = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})
R_MAX = 9


@dataclass
class Learner:
    """Proposes near the best configuration that it was told of, away from those that are pending."""

    told: list[tuple[int, float]] = field(default_factory=list)
    started: dict[int, Configuration] = field(default_factory=dict)

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Wait | Exhausted:
        losses: dict[int, float] = dict(self.told)
        if not losses:
            return SPACE.sample(0, number)
        best = self.started[min(losses, key=lambda trial: (losses[trial], trial))]["x"]
        step = 0.1 / (1 + len(losses)) + 0.001 * len(pending)
        return {"x": min(max(best + step * (-1) ** number, 0.0), 1.0)}

    def start(self, trial: Trial) -> None:
        assert trial.number not in self.started, "started twice"
        self.started[trial.number] = trial.configuration

    def tell(self, trial: Trial, loss: float) -> None:
        assert trial.number in self.started
        self.told.append((trial.number, loss))


@dataclass
class Generations(Learner):
    """Proposes generations of four, each around the best of those before, once all of its parents have a loss."""

    size: int = 4
    n_generations: int = 100

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Wait | Exhausted:
        generation = number // self.size
        if generation >= self.n_generations:
            return Exhausted()
        parents = range((generation - 1) * self.size, generation * self.size)
        losses = dict(self.told)
        if generation and not all(parent in losses for parent in parents):
            return Wait()
        if not generation:
            return SPACE.sample(0, number)
        best = self.started[min(parents, key=lambda parent: (losses[parent], parent))]["x"]
        return {"x": min(max(best + random.Random(number).uniform(-0.1, 0.1), 0.0), 1.0)}


DOUBLES = [pytest.param(Learner, id="learns"), pytest.param(Generations, id="waits for generations")]
SEARCHERS = [
    *DOUBLES,
    pytest.param(lambda: RandomSearcher(SPACE, 0), id="random"),
    pytest.param(lambda: GridSearcher(SPACE, 0, points=20), id="grid"),
    pytest.param(lambda: SobolSearcher(SPACE, 0), id="sobol"),
    pytest.param(lambda: LatinHypercubeSearcher(SPACE, 0), id="latin_hypercube"),
    pytest.param(lambda: LocalSearcher(SPACE, 0), id="local"),
    pytest.param(lambda: EvolutionSearcher(SPACE, 0, population_size=4, sample_size=2), id="evolution"),
    pytest.param(lambda: TpeSearcher(SPACE, 0, n_startup_trials=3), id="tpe"),
    pytest.param(lambda: CmaesSearcher(SPACE, 0), id="cmaes"),
]
SCHEDULERS = [
    pytest.param(FifoScheduler, id="fifo"),
    pytest.param(lambda: AshaScheduler(r_max=R_MAX), id="asha"),
    pytest.param(lambda: SuccessiveHalvingScheduler(r_max=R_MAX), id="successive_halving"),
]


def outcome_of(seed: int, faults: float, sign: float = 1.0) -> Callable[[Segment, Trial], SegmentResult]:
    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        target = segment.target_epoch or R_MAX
        chance = random.Random(f"{seed} {trial.number} {target} {trial.n_jobs}")
        duration_s = (target - segment.start_epoch) * chance.uniform(0.5, 2)
        if chance.random() < faults:
            match chance.randrange(4):
                case 0:
                    return SegmentResult(duration_s, failure=f"ValueError: {trial.number}")
                case 1:
                    return SegmentResult(duration_s, value=math.nan)
                case 2:
                    return SegmentResult(duration_s, failure="killed", end=SegmentEnd.DIED)
            return SegmentResult(duration_s, failure="node gone", end=SegmentEnd.LOST)
        return SegmentResult(duration_s, sign * ((trial.configuration["x"] - 0.3) ** 2 + 1 / target))

    return outcome


class KilledError(Exception):
    """The controller is gone."""


@dataclass
class Workers(VirtualWorkers):
    """Dies at the wait that it is told, and the controller with it."""

    dies_at: int = 0
    n_waits: int = 0

    def wait(self, futures: Collection[Future[SegmentResult]], timeout_s: float) -> Collection[Future[SegmentResult]]:
        self.n_waits += 1
        if self.n_waits == self.dies_at:
            raise KilledError
        return super().wait(futures, timeout_s)


def tuner(
    searcher: Searcher, scheduler: Scheduler, workers: VirtualWorkers, journal: EventList, n_trials: int, **options: Any
) -> Tuner:
    return Tuner(
        searcher,
        scheduler,
        journal,
        workers,
        n_trials=n_trials,
        seed=0,
        trial_seed=lambda number, configuration: trial_seed(0, number),
        max_failure_rate=1.0,
        clock=lambda: workers.now,
        **options,
    )


def run(
    searcher: Callable[[], Searcher],
    scheduler: Callable[[], Scheduler],
    outcome: Callable[[Segment, Trial], SegmentResult],
    n_trials: int = 16,
    n_workers: int = 1,
    kills: Sequence[int] = (),
    **options: Any,
) -> tuple[Tuner, list[Event]]:
    journal = EventList()
    for dies_at in [*kills, 0]:
        workers = Workers(outcome, n_workers)
        workers.dies_at = dies_at
        sweep = tuner(searcher(), scheduler(), workers, journal, n_trials, **options)
        sweep.replay(list(journal.events))
        try:
            assert sweep.run().ending is Ending.COMPLETE
        except KilledError:
            continue
        break
    return sweep, journal.events


def proposals(events: Sequence[Event]) -> list[Configuration]:
    return [event.configuration for event in events if isinstance(event, TrialProposed)]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("searcher", SEARCHERS)
def test_maximizing_is_the_mirror_image_of_minimizing(searcher: Any, scheduler: Any) -> None:
    minimized, events = run(searcher, scheduler, outcome_of(1, 0.1), n_workers=3)
    maximized, mirrored = run(searcher, scheduler, outcome_of(1, 0.1, -1.0), n_workers=3, direction=Direction.maximize)
    assert proposals(events) == proposals(mirrored)
    assert repr(minimized.searcher) == repr(maximized.searcher), "they were told different losses"
    assert minimized.history.incumbent is not None
    assert maximized.history.incumbent is not None
    assert minimized.history.incumbent.number == maximized.history.incumbent.number


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("searcher", SEARCHERS)
@settings(max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    n_workers=st.integers(1, 5),
    faults=st.sampled_from([0.0, 0.2]),
    kills=st.lists(st.integers(1, 25), max_size=3),
)
def test_a_replay_rebuilds_the_searcher_whatever_happened(
    searcher: Any, scheduler: Any, seed: int, n_workers: int, faults: float, kills: list[int]
) -> None:
    sweep, events = run(searcher, scheduler, outcome_of(seed, faults), 12, n_workers, kills)
    again = tuner(searcher(), scheduler(), Workers(outcome_of(seed, faults)), EventList(), 12)
    again.replay(events)
    assert repr(again.searcher) == repr(sweep.searcher)
    assert repr(again.history) == repr(sweep.history)
    assert again.is_complete()
    assert sorted(sweep.history.trials) == list(range(12))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("searcher", SEARCHERS)
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), kills=st.lists(st.integers(1, 25), max_size=3))
def test_with_one_worker_a_killed_sweep_proposes_as_one_that_was_not(
    searcher: Any, scheduler: Any, seed: int, kills: list[int]
) -> None:
    _, whole = run(searcher, scheduler, outcome_of(seed, 0.0))
    _, killed = run(searcher, scheduler, outcome_of(seed, 0.0), kills=kills)
    assert proposals(killed) == proposals(whole)


@pytest.mark.parametrize("searcher", DOUBLES)
def test_a_trial_is_told_at_each_rung_and_a_later_failure_as_a_failure(searcher: Any) -> None:
    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        if segment.start_epoch:
            return SegmentResult(1.0, failure="ValueError: after a rung")
        return SegmentResult(1.0, value=trial.configuration["x"])

    sweep, events = run(searcher, lambda: AshaScheduler(r_max=R_MAX), outcome, n_trials=8)
    told: dict[int, list[float]] = {}
    for number, loss in sweep.searcher.told:  # type: ignore[attr-defined]
        told.setdefault(number, []).append(loss)
    promoted = {event.trial for event in events if isinstance(event, SegmentStarted) and event.start_epoch}
    assert promoted
    for number, trial in sweep.history.trials.items():
        first = trial.configuration["x"]
        assert told[number] == ([first, math.inf] if number in promoted else [first])
        if number in promoted:
            assert trial.value is None, "the value of a rung is no value of the failure"
    ends = [event for event in events if isinstance(event, SegmentEnded) and event.trial in promoted and event.epoch]
    assert all(event.values == {} for event in ends if event.failure)


def test_a_generation_starts_when_the_one_before_has_its_losses() -> None:
    _, events = run(Generations, FifoScheduler, outcome_of(3, 0.0), n_trials=16, n_workers=3)
    ended: set[int] = set()
    for event in events:
        if isinstance(event, SegmentEnded):
            ended.add(event.trial)
        elif isinstance(event, TrialProposed) and event.trial >= 4:
            assert set(range((event.trial // 4 - 1) * 4, event.trial // 4 * 4)) <= ended


def test_an_exhausted_searcher_ends_the_sweep_early_and_completely() -> None:
    for scheduler in (FifoScheduler, lambda: SuccessiveHalvingScheduler(r_max=R_MAX)):
        sweep, _ = run(lambda: Generations(n_generations=2), scheduler, outcome_of(3, 0.0), n_trials=100, n_workers=3)
        assert len(sweep.history.trials) == 8
        assert sweep.is_complete()


def test_a_proposal_is_asked_for_once_and_never_thrown_away() -> None:
    @dataclass
    class Expensive(Learner):
        n_asked: int = 0

        def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Wait | Exhausted:
            self.n_asked += 1
            return super().propose(number, pending)

    workers = VirtualWorkers(outcome_of(0, 0.0), n_workers=1)
    sweep = tuner(Expensive(), FifoScheduler(), workers, EventList(), 10)
    assert not sweep.is_complete()
    sweep.run()
    assert sweep.searcher.n_asked == 10  # type: ignore[attr-defined]
