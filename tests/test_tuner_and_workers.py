"""The tuner with workers that come and go, lose jobs, or are thousands."""

import math
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest

from hposweep.history import Ending, Event, SegmentLost, SegmentStarted, replay
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.search_space import SearchSpace, parse_hyperparameter, trial_seed
from hposweep.searchers.random import RandomSearcher
from hposweep.simulation import EventList
from hposweep.trial import Segment, SegmentEnd, SegmentResult, Trial, TrialState
from hposweep.tuner import MOST_STARTS_A_TURN, Tuner
from hposweep.workers.protocol import NoStopRequest
from hposweep.workers.virtual import VirtualWorkers

SPACE = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})


def tuner(workers: VirtualWorkers, n_trials: int = 10, journal: EventList | None = None, **options: object) -> Tuner:
    return Tuner(
        RandomSearcher(SPACE, 0),
        FifoScheduler(),
        journal or EventList(),
        workers,
        n_trials=n_trials,
        seed=0,
        trial_seed=lambda number, configuration: trial_seed(0, number),
        clock=lambda: workers.now,
        **options,  # type: ignore[arg-type]
    )


def complete(segment: Segment, trial: Trial) -> SegmentResult:
    return SegmentResult(1.0, value=trial.configuration["x"], folder=f"trials/{trial.number}")


@dataclass
class ComingAndGoing(VirtualWorkers):
    """As many workers as the schedule says: pairs of a virtual second and their number from then on."""

    schedule: list[tuple[float, int]] = field(default_factory=list)
    most_at_once: int = 0

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        future = super().submit(segment, trial, timeout_s)
        assert self.n_busy <= self.n_workers, "more jobs than workers"
        self.most_at_once = max(self.most_at_once, self.n_busy)
        return future

    def wait(self, futures: Collection[Future[SegmentResult]], timeout_s: float) -> Collection[Future[SegmentResult]]:
        next_change = self.schedule[0][0] if self.schedule else math.inf
        if futures and self.next_end <= next_change:
            return super().wait(futures, timeout_s)
        assert self.schedule, "nothing runs, and no worker will ever come"
        self.now, self.n_workers = self.schedule.pop(0)
        return []


def test_a_sweep_begins_with_no_worker_and_follows_those_that_come_and_go() -> None:
    workers = ComingAndGoing(complete, n_workers=0, schedule=[(5.0, 2), (6.5, 4), (8.5, 0), (20.0, 1)])
    sweep = tuner(workers, n_trials=20)
    assert sweep.run().ending is Ending.COMPLETE
    assert workers.most_at_once == 4
    assert [trial.configuration for trial in sweep.history.trials.values()] == [SPACE.sample(0, n) for n in range(20)]
    assert workers.now > 20


def losing(n_losses: int, end: SegmentEnd) -> Callable[[Segment, Trial], SegmentResult]:
    left = {3: n_losses}

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        if left.get(trial.number, 0):
            left[trial.number] -= 1
            return SegmentResult(0.5, failure="its node is gone", end=end)
        return complete(segment, trial)

    return outcome


def test_a_lost_job_starts_again_however_often_and_counts_against_nothing() -> None:
    journal = EventList()
    sweep = tuner(VirtualWorkers(losing(7, SegmentEnd.LOST)), journal=journal, max_retries=0)
    assert sweep.run().ending is Ending.COMPLETE
    trial = sweep.history.trials[3]
    assert (trial.state, trial.deaths, trial.n_jobs) == (TrialState.COMPLETE, 0, 8)
    assert trial.duration_s == pytest.approx(0.5 * 7 + 1.0)
    assert sum(isinstance(event, SegmentLost) for event in journal.events) == 7
    assert repr(replay(journal.events)) == repr(sweep.history)


def test_each_job_of_a_trial_has_an_identity_of_its_own_over_all_runs() -> None:
    journal = EventList()
    ids: list[str] = []

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        ids.append(trial.job_id)
        return losing_once(segment, trial)

    losing_once = losing(1, SegmentEnd.DIED)
    tuner(VirtualWorkers(outcome), 4, journal).run()
    more = tuner(VirtualWorkers(outcome), 6, journal)
    more.replay(list(journal.events))
    more.run()
    assert ids == ["0_1", "1_1", "2_1", "3_1", "3_2", "4_1", "5_1"]
    starts = [event for event in journal.events if isinstance(event, SegmentStarted)]
    assert [f"{event.trial}_{event.job}" for event in starts] == ids


@pytest.mark.parametrize("end", [SegmentEnd.DIED, SegmentEnd.LOST])
def test_a_worker_that_dies_after_a_stop_was_asked_for_counts_against_nothing(end: SegmentEnd) -> None:
    stop = NoStopRequest()

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        if trial.number == 5:
            stop.is_made = True
            return SegmentResult(0.5, failure="killed with the whole group", end=end)
        return complete(segment, trial)

    sweep = tuner(VirtualWorkers(outcome), stop_request=stop, max_retries=0)
    assert sweep.run().ending is Ending.INTERRUPTED
    trial = sweep.history.trials[5]
    assert (trial.state, trial.deaths) == (TrialState.INTERRUPTED, 0)


class CountingLog(EventList):
    """Counts the flushes."""

    n_flushes = 0

    def append(self, *events: Event) -> None:
        super().append(*events)
        self.n_flushes += 1


def test_ends_and_the_starts_that_follow_are_written_together() -> None:
    journal = CountingLog()
    tuner(VirtualWorkers(complete), n_trials=100, journal=journal).run()
    # One a trial, and those of the beginning and the end.
    assert journal.n_flushes <= 100 + 3


def test_nothing_is_submitted_that_could_not_be_written() -> None:
    class Full(EventList):
        def append(self, *events: Event) -> None:
            if len(self.events) > 8:
                raise OSError("no room")
            super().append(*events)

    journal, submitted = Full(), []

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        submitted.append(trial.number)
        return complete(segment, trial)

    with pytest.raises(OSError, match="no room"):
        tuner(VirtualWorkers(outcome), journal=journal).run()
    written = [event.trial for event in journal.events if isinstance(event, SegmentStarted)]
    assert submitted == written


def test_a_request_to_stop_is_noticed_while_thousands_of_workers_start() -> None:
    stop = NoStopRequest()
    n_submitted = 0

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        nonlocal n_submitted
        n_submitted += 1
        stop.is_made = stop.is_urgent = n_submitted >= 300
        return SegmentResult(1000.0, value=0.5)

    sweep = tuner(VirtualWorkers(outcome, n_workers=10_000), n_trials=10_000, stop_request=stop)
    assert sweep.run().ending is Ending.INTERRUPTED
    assert n_submitted <= 2 * MOST_STARTS_A_TURN
