"""The tuner with workers that come and go, lose jobs, or are thousands."""

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest

from hposweep.errors import WriteError
from hposweep.history import Ending, Event, SegmentDied, SegmentEnded, SegmentLost, SegmentStarted, replay
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.search_space import Configuration, SearchSpace, parse_hyperparameter, trial_seed
from hposweep.searchers import Exhausted
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


@pytest.mark.parametrize("end", [SegmentEnd.DIED, SegmentEnd.LOST])
def test_the_journal_names_the_place_of_each_job(end: SegmentEnd) -> None:
    journal = EventList()
    losing_once = losing(1, end)

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        return dataclasses.replace(losing_once(segment, trial), place=f"node{trial.n_jobs}")

    tuner(VirtualWorkers(outcome), 4, journal).run()
    places = [
        (event.trial, event.place)
        for event in journal.events
        if isinstance(event, SegmentDied | SegmentLost | SegmentEnded)
    ]
    assert places == [(0, "node1"), (1, "node1"), (2, "node1"), (3, "node1"), (3, "node2")]


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


class Filling(EventList):
    """A journal on a disk that takes nothing more after so many events, and again after so many tries."""

    def __init__(self, n_most: int, n_refusals: float) -> None:
        super().__init__()
        self.n_most, self.n_refusals = n_most, n_refusals

    def append(self, *events: Event) -> None:
        if len(self.events) + len(events) > self.n_most and self.n_refusals > 0:
            self.n_refusals -= 1
            raise WriteError("journal.jsonl: can't be written (No space left on device)")
        super().append(*events)


def resumed_to_the_end(journal: EventList) -> Tuner:
    rest = EventList()
    rest.events = list(journal.events)
    sweep = tuner(VirtualWorkers(complete, n_workers=3), journal=rest)
    sweep.replay(list(journal.events))
    assert sweep.run().ending is Ending.COMPLETE
    assert repr(replay(rest.events)) == repr(sweep.history)
    return sweep


def same_end(sweep: Tuner) -> bool:
    whole = tuner(VirtualWorkers(complete))
    whole.run()
    found = [
        {n: (t.configuration, t.seed, t.state, t.value) for n, t in s.history.trials.items()} for s in (sweep, whole)
    ]
    return found[0] == found[1]


@pytest.mark.parametrize("n_most", range(1, 30, 3))
@pytest.mark.parametrize("n_refusals", [1, math.inf], ids=["for a moment", "for good"])
def test_a_full_disk_stops_the_sweep_with_the_journal_as_it_was_or_whole(n_most: int, n_refusals: float) -> None:
    journal, workers = Filling(n_most, n_refusals), VirtualWorkers(complete, n_workers=3)
    sweep = tuner(workers, journal=journal)
    with pytest.raises(WriteError, match="No space left"):
        sweep.run()
    assert len(journal.events) <= n_most or n_refusals == 1
    if n_refusals == 1:
        assert repr(replay(journal.events)) == repr(sweep.history)
        assert {trial.state for trial in sweep.history.trials.values()} <= {TrialState.COMPLETE, TrialState.INTERRUPTED}
        assert sweep.history.end is None or sweep.history.end.ending is Ending.UNWRITABLE
    assert same_end(resumed_to_the_end(journal))


@pytest.mark.parametrize("where", ["in a job", "beside the tuner"])
def test_a_file_that_can_not_be_written_interrupts_all_trials_and_blames_none(where: str) -> None:
    why = "trials/4/hposweep/learning_curve.csv: can't be written (No space left on device)"
    journal, n_looks = EventList(), 0

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        if trial.number == 4 and where == "in a job":
            return SegmentResult(0.5, failure=why, end=SegmentEnd.UNWRITABLE)
        return complete(segment, trial)

    def observer() -> None:
        nonlocal n_looks
        n_looks += 1
        if n_looks == 3 and where == "beside the tuner":
            raise WriteError(why)

    sweep = tuner(VirtualWorkers(outcome, n_workers=3), journal=journal, observer=observer)
    with pytest.raises(WriteError, match=re.escape(why)):
        sweep.run()
    assert sweep.history.end is not None
    assert (sweep.history.end.ending, sweep.history.end.text) == (Ending.UNWRITABLE, why)
    states = [trial.state for trial in sweep.history.trials.values()]
    assert set(states) == {TrialState.COMPLETE, TrialState.INTERRUPTED}
    assert repr(replay(journal.events)) == repr(sweep.history)
    assert same_end(resumed_to_the_end(journal))


def test_what_a_job_needs_is_done_before_it_is_on_record() -> None:
    journal, seen = EventList(), []

    def before_job(trial: Trial) -> None:
        starts = [
            event for event in journal.events if isinstance(event, SegmentStarted) and event.trial == trial.number
        ]
        seen.append((trial.number, trial.n_jobs, trial.target_epoch, len(starts)))

    tuner(VirtualWorkers(losing(1, SegmentEnd.LOST)), 5, journal, before_job=before_job).run()
    assert seen == [
        (0, 0, None, 0),
        (1, 0, None, 0),
        (2, 0, None, 0),
        (3, 0, None, 0),
        (3, 1, None, 1),
        (4, 0, None, 0),
    ]


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


def test_a_request_to_stop_is_noticed_while_a_searcher_takes_its_time() -> None:
    stop, now = NoStopRequest(), 0.0

    class Slow(RandomSearcher):
        def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Exhausted:
            nonlocal now
            now += 0.15
            stop.is_made = stop.is_urgent = number >= 1
            return super().propose(number, pending)

    sweep = tuner(VirtualWorkers(complete, n_workers=1000), n_trials=1000, stop_request=stop)
    sweep.searcher, sweep.clock = Slow(SPACE, 0), lambda: now
    assert sweep.run().ending is Ending.INTERRUPTED
    assert len(sweep.history.trials) == 2


@dataclass
class Outliving(VirtualWorkers):
    """Workers whose jobs live on when their controller is killed."""

    outlived: set[str] = field(default_factory=set)
    submitted: list[str] = field(default_factory=list)

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        self.submitted.append(trial.job_id)
        return super().submit(segment, trial, timeout_s)

    def adopted(self, segment: Segment, trial: Trial) -> Future[SegmentResult] | None:
        assert not self.submitted, "what is not adopted may be ended before anything is submitted"
        if trial.job_id not in self.outlived:
            return None
        self.outlived.remove(trial.job_id)
        return super().submit(segment, trial, None)


def killed_at(whole: EventList, kind: type[Event], number: int) -> EventList:
    """What a controller leaves that is killed after its event of this kind and number."""
    places = [n for n, event in enumerate(whole.events) if isinstance(event, kind)]
    journal = EventList()
    journal.events = list(whole.events[: places[number] + 1])
    return journal


def test_jobs_that_have_outlived_their_controller_are_adopted() -> None:
    whole, rest = EventList(), EventList()
    tuner(VirtualWorkers(complete, n_workers=3), journal=whole).run()
    journal = killed_at(whole, SegmentStarted, 5)
    workers = Outliving(complete, n_workers=3, outlived={"3_1", "5_1", "9_1"})
    seen: list[str] = []
    sweep = tuner(workers, journal=rest, before_job=lambda trial: seen.append(trial.job_id))
    sweep.replay(journal.events)
    assert sweep.run().ending is Ending.COMPLETE
    assert workers.outlived == {"9_1"}
    assert workers.submitted == ["4_2", "6_1", "7_1", "8_1", "9_1"]
    assert seen[:3] == ["3_1", "5_1", "4_1"]
    assert {event.trial for event in rest.events if isinstance(event, SegmentStarted)} == {4, 6, 7, 8, 9}
    assert same_end(sweep)
    assert repr(replay([*journal.events, *rest.events])) == repr(sweep.history)


@pytest.mark.parametrize(("end", "event"), [(SegmentEnd.LOST, SegmentLost), (SegmentEnd.DIED, SegmentDied)])
def test_a_job_whose_end_is_on_record_is_not_adopted(end: SegmentEnd, event: type[Event]) -> None:
    whole = EventList()
    tuner(VirtualWorkers(losing(1, end)), journal=whole).run()
    workers = Outliving(complete, outlived={"3_1"})
    sweep = tuner(workers)
    sweep.replay(killed_at(whole, event, 0).events)
    sweep.run()
    assert workers.submitted[0] == "3_2"
    assert same_end(sweep)
