"""What holds for every scheduler: one table, a row each."""

import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hposweep.errors import ConfigError
from hposweep.history import Ending, Event, History, SegmentEnded, SegmentStarted
from hposweep.schedulers import Scheduler
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.schedulers.hyperband import HyperbandScheduler
from hposweep.schedulers.median_stopping import MedianStoppingScheduler
from hposweep.schedulers.successive_halving import SuccessiveHalvingScheduler
from hposweep.search_space import SearchSpace, parse_hyperparameter, trial_seed
from hposweep.searchers.random import RandomSearcher
from hposweep.simulation import EventList, simulate
from hposweep.trial import Segment, SegmentEnd, SegmentResult, Trial, TrialState
from hposweep.tuner import Tuner
from hposweep.workers.virtual import VirtualWorkers

CONF = Path(__file__).resolve().parents[2] / "conf" / "scheduler"
R_MAX = 9
SCHEDULERS = [
    pytest.param(FifoScheduler, {}, id="fifo"),
    pytest.param(SuccessiveHalvingScheduler, {"r_max": R_MAX}, id="successive_halving"),
    pytest.param(HyperbandScheduler, {"r_max": R_MAX, "eta": 2}, id="hyperband"),
    pytest.param(HyperbandScheduler, {"r_max": R_MAX, "brackets": 2}, id="hyperband of 2 brackets"),
    pytest.param(AshaScheduler, {"r_max": R_MAX}, id="asha"),
    pytest.param(AshaScheduler, {"r_max": R_MAX, "r_min": 2, "eta": 2, "brackets": 3}, id="asha of 3 brackets"),
    pytest.param(AshaScheduler, {"r_max": R_MAX, "stopping": True}, id="asha, stopping"),
    pytest.param(MedianStoppingScheduler, {"r_max": R_MAX}, id="median_stopping"),
    pytest.param(MedianStoppingScheduler, {"r_max": R_MAX, "check_every": 2}, id="median_stopping, check_every"),
]
WITH_RUNGS = SCHEDULERS[1:]
SPACE = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})


def test_every_file_of_conf_has_its_row() -> None:
    modules = {row.values[0].__module__.rpartition(".")[2] for row in SCHEDULERS}
    assert {path.stem for path in CONF.glob("*.yaml")} == modules


class Curves:
    """A value for each trial and epoch, and how long an epoch lasts; some trials fail, diverge or die on the way."""

    n_epochs = R_MAX
    search_space = SPACE

    def __init__(self, seed: int, faults: float = 0.0) -> None:
        self.seed, self.faults = seed, faults

    def value(self, configuration: dict[str, float], epoch: int) -> float:
        return configuration["x"] + random.Random(f"{self.seed} {configuration['x']} {epoch}").random() / epoch

    def duration_s(self, configuration: dict[str, float], start_epoch: int, target_epoch: int) -> float:
        return (target_epoch - start_epoch) * random.Random(f"{self.seed} {configuration['x']}").uniform(0.5, 2)

    def outcome(self, segment: Segment, trial: Trial) -> SegmentResult:
        target = segment.target_epoch or self.n_epochs
        duration_s = self.duration_s(trial.configuration, segment.start_epoch, target)
        value = self.value(trial.configuration, target)
        chance = random.Random(f"{self.seed} {trial.number} {target} {trial.attempts}")
        if chance.random() >= self.faults:
            return SegmentResult(duration_s, value)
        match chance.randrange(4):
            case 0:
                return SegmentResult(duration_s, failure=f"ValueError: {trial.number}")
            case 1:
                return SegmentResult(duration_s, value=math.nan)
            case 2:
                return SegmentResult(duration_s, failure=f"killed {trial.number}", end=SegmentEnd.DIED)
        return SegmentResult(duration_s, failure="too long", end=SegmentEnd.TIMED_OUT)


def tuner(scheduler: Scheduler, workers: VirtualWorkers, n_trials: int, journal: EventList) -> Tuner:
    return Tuner(
        searcher=RandomSearcher(SPACE, seed=0),
        scheduler=scheduler,
        journal=journal,
        workers=workers,
        n_trials=n_trials,
        seed=0,
        trial_seed=lambda number, configuration: trial_seed(0, number),
        max_failure_rate=1.0,
        max_retries=1,
        clock=lambda: workers.now,
    )


class KilledError(Exception):
    """The controller is gone."""


class Workers(VirtualWorkers):
    """Looks at each wait that no worker is idle while there is work; dies at the wait that it is told."""

    dies_at = 0
    n_waits = 0
    sweep: Tuner

    def wait(self, futures, timeout_s):
        self.n_waits += 1
        if self.n_waits == self.dies_at:
            raise KilledError
        if len(futures) < self.n_workers:
            assert self.sweep._next() is None
            assert not self.sweep._to_continue
        return super().wait(futures, timeout_s)


def starts(events: list[Event]) -> list[tuple[int, int | None]]:
    return [(event.trial, event.target_epoch) for event in events if isinstance(event, SegmentStarted)]


def what_came(history: History) -> dict[int, tuple[object, ...]]:
    return {n: (trial.configuration, trial.seed, trial.state, trial.value) for n, trial in history.trials.items()}


@pytest.mark.parametrize(("kind", "options"), SCHEDULERS)
@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    n_trials=st.integers(1, 40),
    n_workers=st.integers(1, 7),
    faults=st.sampled_from([0.0, 0.1, 0.5]),
    kills=st.lists(st.integers(1, 40), max_size=4),
)
def test_whatever_happens_every_trial_is_run_and_none_beyond_its_end(
    kind, options, seed, n_trials, n_workers, faults, kills
) -> None:
    journal = EventList()
    for dies_at in [*kills, 0]:
        workers = Workers(Curves(seed, faults).outcome, n_workers)
        sweep = tuner(kind(**options), workers, n_trials, journal)
        sweep.replay(list(journal.events))
        workers.sweep, workers.dies_at = sweep, dies_at
        try:
            assert sweep.run().ending is Ending.COMPLETE
        except KilledError:
            continue
        break
    assert sorted(sweep.history.trials) == list(range(n_trials))
    assert sweep.is_complete()
    ended: set[int] = set()
    for event in journal.events:
        if isinstance(event, SegmentStarted):
            assert event.trial not in ended
            assert event.target_epoch is None or event.start_epoch < event.target_epoch <= R_MAX
        elif isinstance(event, SegmentEnded) and event.state.is_ended:
            ended.add(event.trial)
    for trial in sweep.history.trials.values():
        assert trial.state.is_ended or trial.state is TrialState.PAUSED
        if trial.state is TrialState.COMPLETE:
            assert trial.epoch in (None, R_MAX)
    # A replay rebuilds all of it.
    again = tuner(kind(**options), Workers(Curves(seed).outcome), n_trials, EventList())
    again.replay(journal.events)
    assert again.is_complete()
    assert repr(again.history) == repr(sweep.history)


@pytest.mark.parametrize(("kind", "options"), SCHEDULERS)
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), n_trials=st.integers(1, 30), kills=st.lists(st.integers(1, 30), max_size=3))
def test_with_one_worker_a_sweep_that_was_killed_decides_as_one_that_was_not(
    kind, options, seed, n_trials, kills
) -> None:
    whole = EventList()
    undisturbed = Workers(Curves(seed).outcome)
    undisturbed.sweep = tuner(kind(**options), undisturbed, n_trials, whole)
    undisturbed.sweep.run()
    journal = EventList()
    for dies_at in [*kills, 0]:
        workers = Workers(Curves(seed).outcome)
        workers.sweep, workers.dies_at = tuner(kind(**options), workers, n_trials, journal), dies_at
        workers.sweep.replay(list(journal.events))
        try:
            workers.sweep.run()
        except KilledError:
            continue
        break
    assert list(dict.fromkeys(starts(journal.events))) == starts(whole.events)
    assert what_came(workers.sweep.history) == what_came(undisturbed.sweep.history)


@pytest.mark.parametrize(("kind", "options"), SCHEDULERS)
def test_a_journal_that_ends_after_any_event_is_gone_on_with_to_the_same_end(kind, options) -> None:
    whole = simulate(Curves(5), kind(**options), n_trials=12)
    for n_events in range(1, len(whole.events)):
        journal = EventList()
        journal.append(*whole.events[:n_events])
        sweep = tuner(kind(**options), VirtualWorkers(Curves(5).outcome), 12, journal)
        sweep.replay(list(journal.events))
        assert sweep.run().ending is Ending.COMPLETE
        assert list(dict.fromkeys(starts(journal.events))) == starts(list(whole.events))
        assert what_came(sweep.history) == what_came(whole.history)


@pytest.mark.parametrize(("kind", "options"), SCHEDULERS)
def test_asking_changes_nothing(kind, options) -> None:
    asked, not_asked = EventList(), EventList()
    for journal, n_questions in ((asked, 5), (not_asked, 0)):
        workers = VirtualWorkers(Curves(1).outcome, n_workers=3)
        sweep = tuner(kind(**options), workers, 20, journal)

        def ask(sweep: Tuner = sweep, n_questions: int = n_questions) -> None:
            for _ in range(n_questions):
                for can_start_new in (True, False):
                    sweep.scheduler.next_segment(can_start_new)
                for trial in sweep.history.under_way.values():
                    sweep.scheduler.state_after(trial, 0.5)

        sweep.observer = ask
        sweep.run()
    assert starts(asked.events) == starts(not_asked.events)


@pytest.mark.parametrize(("kind", "options"), SCHEDULERS)
def test_more_trials_extend_a_finished_sweep_and_move_no_draw(kind, options) -> None:
    journal = EventList()
    for n_trials in (5, 30):
        sweep = tuner(kind(**options), VirtualWorkers(Curves(3).outcome, n_workers=2), n_trials, journal)
        sweep.replay(list(journal.events))
        assert sweep.run().ending is Ending.COMPLETE
        assert sweep.is_complete()
    assert {n: trial.configuration for n, trial in sweep.history.trials.items()} == {
        n: SPACE.sample(0, n) for n in range(30)
    }


@pytest.mark.parametrize(("kind", "options"), SCHEDULERS)
def test_enough_trials_complete_one(kind, options) -> None:
    n_trials = kind(**options).n_trials_to_complete_one
    for seed in range(20):
        swept = simulate(Curves(seed), kind(**options), n_trials=n_trials, n_workers=3, seed=seed)
        assert swept.history.incumbent is not None


@pytest.mark.parametrize(("kind", "options"), WITH_RUNGS)
@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.DIVERGED, TrialState.TIMED_OUT])
def test_failures_at_a_rung_block_nobody_and_never_go_on(kind, options, state: TrialState) -> None:
    results = {
        TrialState.FAILED: SegmentResult(1.0, failure="ValueError: x"),
        TrialState.DIVERGED: SegmentResult(1.0, value=math.inf),
        TrialState.TIMED_OUT: SegmentResult(1.0, failure="too long", end=SegmentEnd.TIMED_OUT),
    }

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        return results[state] if trial.number % 3 else SegmentResult(1.0, trial.configuration["x"])

    journal = EventList()
    sweep = tuner(kind(**options), VirtualWorkers(outcome, n_workers=4), 60, journal)
    assert sweep.run().ending is Ending.COMPLETE
    bad = [trial for number, trial in sweep.history.trials.items() if number % 3]
    assert {trial.state for trial in bad} == {state}
    assert sweep.history.incumbent is not None
    n_segments = [number for number, _ in starts(journal.events)]
    assert all(n_segments.count(trial.number) == 1 for trial in bad)


@pytest.mark.parametrize(("kind", "options"), WITH_RUNGS)
def test_where_all_fail_the_sweep_still_ends(kind, options) -> None:
    workers = VirtualWorkers(lambda segment, trial: SegmentResult(1.0, value=math.nan), n_workers=2)
    sweep = tuner(kind(**options), workers, 40, EventList())
    assert sweep.run().ending is Ending.COMPLETE
    assert {trial.state for trial in sweep.history.trials.values()} == {TrialState.DIVERGED}


BAD = [
    ({"r_max": 9, "eta": 1}, "eta: must be a whole number of at least 2, got 1"),
    ({"r_max": 9, "eta": 2.5}, "eta: must be a whole number of at least 2, got 2.5"),
    ({"r_max": 9, "eta": "three"}, "eta: must be a whole number of at least 2, got 'three'"),
    ({"r_max": 9, "eta": True}, "eta: must be a whole number of at least 2, got True"),
    ({"r_max": 9, "r_min": 0}, "r_min: must be a whole number of at least 1, got 0"),
    ({"r_max": 9, "r_min": 10}, "r_min: must be at most r_max (9), got 10"),
    ({"r_max": 0}, "r_max: must be a whole number of at least 1, got 0"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[message for _, message in BAD])
@pytest.mark.parametrize(
    "kind", [SuccessiveHalvingScheduler, HyperbandScheduler, AshaScheduler, MedianStoppingScheduler]
)
def test_bad_options_are_refused_in_one_line(kind, options, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        kind(**options)
    assert str(error.value) == message


@pytest.mark.parametrize("kind", [HyperbandScheduler, AshaScheduler])
@pytest.mark.parametrize("brackets", [0, 4, 1.5])
def test_a_number_of_brackets_that_there_are_not_is_refused(kind, brackets) -> None:
    with pytest.raises(ConfigError, match=r"brackets: must be from 1 to 3 \(the number of rungs\)"):
        kind(r_max=9, brackets=brackets)


@pytest.mark.parametrize(("kind", "options"), WITH_RUNGS)
def test_a_replay_of_the_journal_ends_in_the_same_decisions(kind, options) -> None:
    swept = simulate(Curves(7), kind(**options), n_trials=50, n_workers=5)
    for n_events in range(0, len(swept.events), 7):
        one, other = (tuner(kind(**options), VirtualWorkers(Curves(7).outcome), 50, EventList()) for _ in range(2))
        one.replay(swept.events[:n_events])
        other.replay(swept.events[:n_events])
        assert one._next() == other._next()
