"""The tuner's loop, with workers in virtual time."""

import math
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hposweep.history import Ending, Event, SegmentDied, SegmentEnded, SegmentStarted, SweepEnded, TrialProposed, replay
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.search_space import SearchSpace, parse_hyperparameter, trial_seed
from hposweep.searchers.random import RandomSearcher
from hposweep.sweep_folder.journal import Journal, read_events
from hposweep.trial import Direction, Segment, SegmentEnd, SegmentResult, Trial, TrialState
from hposweep.tuner import Tuner
from hposweep.workers.protocol import NoStopRequest
from hposweep.workers.virtual import VirtualWorkers

SPACE = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})
Outcome = Callable[[Segment, Trial], SegmentResult]


@dataclass
class PolledWorkers(VirtualWorkers):
    """Workers whose tuner looks up now and then, as the real one does, although nothing has ended."""

    most_at_once: int = 0

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        future = super().submit(segment, trial, timeout_s)
        self.most_at_once = max(self.most_at_once, self.n_busy)
        return future

    def wait(self, futures: Collection[Future[SegmentResult]], timeout_s: float) -> Collection[Future[SegmentResult]]:
        if self.next_end > self.now + timeout_s:
            self.now += timeout_s
            return []
        return super().wait(futures, timeout_s)


def complete(segment: Segment, trial: Trial) -> SegmentResult:
    return SegmentResult(1.0, value=trial.configuration["x"], folder=f"trials/{trial.number}")


def tuner(folder: Path, workers: VirtualWorkers, n_trials: int = 10, n_workers: int = 1, **options: object) -> Tuner:
    workers.n_workers = n_workers
    return Tuner(
        searcher=RandomSearcher(SPACE, seed=0),
        scheduler=FifoScheduler(),
        journal=Journal.open(folder),
        workers=workers,
        clock=lambda: workers.now,
        n_trials=n_trials,
        seed=0,
        trial_seed=lambda number, configuration: trial_seed(0, number),
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("n_workers", [1, 3, 20])
def test_every_trial_runs_once_with_its_own_draw_whatever_the_workers(tmp_path: Path, n_workers: int) -> None:
    workers = PolledWorkers(complete)
    sweep = tuner(tmp_path, workers, n_workers=n_workers)
    assert sweep.run().ending is Ending.COMPLETE
    assert workers.most_at_once == min(n_workers, 10)
    assert {n: trial.configuration for n, trial in sweep.history.trials.items()} == {
        n: SPACE.sample(0, n) for n in range(10)
    }
    assert all(trial.state is TrialState.COMPLETE for trial in sweep.history.trials.values())


def test_values_in_log_lines_have_the_digits_that_matter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = [1e-6, 31068.67, 3106867.922, math.nan]
    sweep = tuner(tmp_path, PolledWorkers(lambda segment, trial: SegmentResult(1.0, value=values[trial.number])), 4)
    with caplog.at_level("INFO", "hposweep.tuner"):
        sweep.run()
    assert caplog.messages == [
        "trial 0: COMPLETE, value 1e-06  (best so far)",
        "trial 1: COMPLETE, value 31069",
        "trial 2: COMPLETE, value 3.107e+06",
        "trial 3: DIVERGED, value nan",
    ]


def test_the_first_ten_of_twenty_trials_are_the_ten_of_ten(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ten, twenty = tuner(tmp_path / "a", PolledWorkers(complete)), tuner(tmp_path / "b", PolledWorkers(complete), 20)
    ten.run()
    twenty.run()
    for number in range(10):
        one, other = ten.history.trials[number], twenty.history.trials[number]
        assert (one.configuration, one.seed) == (other.configuration, other.seed)


def test_no_worker_waits_for_the_slowest(tmp_path: Path) -> None:
    workers = PolledWorkers(lambda segment, trial: SegmentResult(1.0 if trial.number else 9.0, value=0.5))
    tuner(tmp_path, workers, n_workers=2).run()
    assert workers.now == pytest.approx(9.0)


@given(
    outcomes=st.lists(
        st.tuples(st.floats(0.1, 10), st.sampled_from([0.5, 0.1, math.nan, math.inf, None])), min_size=1, max_size=30
    ),
    n_workers=st.integers(1, 5),
)
def test_the_journal_replays_to_the_history(tmp_path_factory, outcomes, n_workers: int) -> None:
    folder = tmp_path_factory.mktemp("sweep")

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        duration_s, value = outcomes[trial.number]
        return SegmentResult(duration_s, value, failure="" if value is not None else f"Error {trial.number}")

    sweep = tuner(folder, PolledWorkers(outcome), n_trials=len(outcomes), n_workers=n_workers)
    sweep.run()
    again = replay(read_events(folder))
    assert repr(again) == repr(sweep.history)
    expected = {0.5: TrialState.COMPLETE, 0.1: TrialState.COMPLETE, None: TrialState.FAILED}
    for number, trial in sweep.history.trials.items():
        assert trial.state is expected.get(outcomes[number][1], TrialState.DIVERGED)


@pytest.mark.parametrize(("direction", "best"), [(Direction.minimize, 0.1), (Direction.maximize, 0.9)])
def test_the_direction_turns_every_comparison_and_what_diverged_never_wins(
    tmp_path: Path, direction: Direction, best: float
) -> None:
    values = [0.5, math.inf, 0.1, -math.inf, 0.9, math.nan, 0.9, 0.1]
    workers = PolledWorkers(lambda segment, trial: SegmentResult(1.0, values[trial.number]))
    sweep = tuner(tmp_path, workers, n_trials=len(values), direction=direction)
    sweep.run()
    assert sweep.history.incumbent is not None
    assert sweep.history.incumbent.value == best
    assert sweep.history.incumbent.number == values.index(best)


def failing(*numbers: int, alike: bool = False) -> Outcome:
    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        if trial.number in numbers:
            return SegmentResult(1.0, failure="ValueError: bad" if alike else f"ValueError: {trial.number}")
        return complete(segment, trial)

    return outcome


def test_a_failed_trial_does_not_end_the_sweep(tmp_path: Path) -> None:
    sweep = tuner(tmp_path, PolledWorkers(failing(0, 1, 4)))
    assert sweep.run().ending is Ending.COMPLETE
    assert [n for n, trial in sweep.history.trials.items() if trial.state is TrialState.FAILED] == [0, 1, 4]
    assert sweep.history.trials[4].failure_line == "ValueError: 4"


def test_three_first_trials_that_fail_alike_stop_the_sweep(tmp_path: Path) -> None:
    sweep = tuner(tmp_path, PolledWorkers(failing(*range(10), alike=True)))
    ended = sweep.run()
    assert (ended.ending, ended.text) == (
        *(Ending.ALIKE_FAILURES, "the first 3 trials all failed with: ValueError: bad"),
    )
    assert len(sweep.history.trials) == 3


def test_a_resumed_sweep_is_not_stopped_by_failures_before_it(tmp_path: Path) -> None:
    tuner(tmp_path, PolledWorkers(failing(*range(10), alike=True))).run()
    mended = tuner(tmp_path, PolledWorkers(complete))
    mended.replay(read_events(tmp_path))
    assert mended.run().ending is Ending.COMPLETE
    states = [trial.state for trial in mended.history.trials.values()]
    assert states == [TrialState.FAILED] * 3 + [TrialState.COMPLETE] * 7


def test_three_first_trials_that_fail_differently_do_not(tmp_path: Path) -> None:
    sweep = tuner(tmp_path, PolledWorkers(failing(0, 1, 2)))
    assert sweep.run().ending is Ending.COMPLETE


@pytest.mark.parametrize(
    ("text", "alike"),
    [("KeyError: 'a'\n  trial {}", True), ("KeyError: {}\n  object_type=dict", False)],
    ids=["their first lines", "their last lines"],
)
def test_failures_of_several_lines_are_alike_in_their_first_one(tmp_path: Path, text: str, alike: bool) -> None:
    def fails(segment: Segment, trial: Trial) -> SegmentResult:
        failure = f'Traceback (most recent call last):\n  File "a.py", line 1\n{text.format(trial.number)}'
        return SegmentResult(1.0, failure=failure)

    ended = tuner(tmp_path, PolledWorkers(fails)).run()
    assert ended.text == "the first 3 trials all failed with: KeyError: 'a'" if alike else "failed, more" in ended.text


def test_too_many_failures_of_ten_or_more_stop_the_sweep(tmp_path: Path) -> None:
    sweep = tuner(tmp_path, PolledWorkers(failing(*range(1, 30))), n_trials=30)
    ended = sweep.run()
    assert ended.ending is Ending.FAILURE_RATE
    assert ended.text == "9 of 10 trials failed, more than max_failure_rate=0.5 allows"
    assert len(sweep.history.trials) == 10


def test_an_interruption_leaves_the_running_trials_as_interrupted(tmp_path: Path) -> None:
    class Interrupted(VirtualWorkers):
        def wait(
            self, futures: Collection[Future[SegmentResult]], timeout_s: float
        ) -> Collection[Future[SegmentResult]]:
            if self.now >= 2:
                raise KeyboardInterrupt
            return super().wait(futures, timeout_s)

    with pytest.raises(KeyboardInterrupt):
        tuner(tmp_path, Interrupted(complete), n_workers=2).run()
    history = replay(read_events(tmp_path))
    assert history.end is not None
    assert history.end.ending is Ending.INTERRUPTED
    states = [trial.state for trial in history.trials.values()]
    assert states.count(TrialState.INTERRUPTED) == 2
    assert TrialState.RUNNING not in states


def test_what_is_recorded_is_on_disk_before_the_segment_is_submitted(tmp_path: Path) -> None:
    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        assert replay(read_events(tmp_path)).trials[trial.number].state is TrialState.RUNNING
        return complete(segment, trial)

    assert tuner(tmp_path, PolledWorkers(outcome)).run().ending is Ending.COMPLETE


def dying(n_deaths: int) -> Outcome:
    left = {3: n_deaths}

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        if left.get(trial.number, 0):
            left[trial.number] -= 1
            return SegmentResult(0.5, failure="the worker process was killed by SIGKILL", end=SegmentEnd.DIED)
        return complete(segment, trial)

    return outcome


@pytest.mark.parametrize(
    ("n_deaths", "state", "attempts"),
    [(1, TrialState.COMPLETE, 2), (2, TrialState.COMPLETE, 3), (3, TrialState.FAILED, 3)],
)
def test_a_trial_whose_worker_dies_is_started_again(
    tmp_path: Path, n_deaths: int, state: TrialState, attempts: int
) -> None:
    sweep = tuner(tmp_path, PolledWorkers(dying(n_deaths)), max_retries=2)
    assert sweep.run().ending is Ending.COMPLETE
    trial = sweep.history.trials[3]
    assert (trial.state, trial.attempts) == (state, attempts)
    assert trial.duration_s == pytest.approx(0.5 * n_deaths + (1.0 if state is TrialState.COMPLETE else 0.0))
    others = [other for number, other in sweep.history.trials.items() if number != 3]
    assert {other.state for other in others} == {TrialState.COMPLETE}
    assert repr(replay(read_events(tmp_path))) == repr(sweep.history)


def test_a_trial_that_outlives_its_timeout_is_not_started_again(tmp_path: Path) -> None:
    workers = PolledWorkers(lambda segment, trial: SegmentResult(9.0 if trial.number == 2 else 1.0, value=0.5))
    sweep = tuner(tmp_path, workers, trial_timeout_s=3.0)
    assert sweep.run().ending is Ending.COMPLETE
    assert sweep.history.trials[2].state is TrialState.TIMED_OUT
    assert (sweep.history.trials[2].attempts, sweep.history.trials[2].duration_s) == (1, 3.0)


def test_the_time_budget_cuts_off_what_does_not_end_within_the_grace_time(tmp_path: Path) -> None:
    workers = PolledWorkers(lambda segment, trial: SegmentResult(100.0 if trial.number == 3 else 1.0, value=0.5))
    sweep = tuner(tmp_path, workers, n_workers=2, n_trials=1000, time_budget_s=20.0, grace_s=5.0)
    assert sweep.run().ending is Ending.TIME_BUDGET
    states = [trial.state for trial in sweep.history.trials.values()]
    assert states.count(TrialState.INTERRUPTED) == 1
    assert sweep.history.trials[3].state is TrialState.INTERRUPTED
    assert workers.now < 26


def test_a_request_to_stop_lets_short_segments_end_and_an_urgent_one_does_not(tmp_path: Path) -> None:
    for urgent, interrupted in ((False, 0), (True, 2)):
        folder = tmp_path / str(urgent)
        folder.mkdir()
        stop = NoStopRequest()

        def outcome(segment: Segment, trial: Trial, stop: NoStopRequest = stop, urgent: bool = urgent) -> SegmentResult:
            if trial.number == 5:
                stop.is_made, stop.is_urgent = True, urgent
            return complete(segment, trial)

        sweep = tuner(folder, PolledWorkers(outcome), n_workers=2, stop_request=stop)
        assert sweep.run().ending is Ending.INTERRUPTED
        states = [trial.state for trial in sweep.history.trials.values()]
        assert states.count(TrialState.INTERRUPTED) == interrupted
        assert len(states) < 10


def test_what_was_under_way_goes_on_first_and_the_result_is_that_of_an_undisturbed_sweep(tmp_path: Path) -> None:
    """The controller is killed after any event: what it leaves is the journal up to there."""
    (tmp_path / "whole").mkdir()
    whole = tuner(tmp_path / "whole", PolledWorkers(complete), n_workers=3, n_trials=6)
    whole.run()
    lines = (tmp_path / "whole" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for n_lines in range(1, len(lines)):
        folder = tmp_path / str(n_lines)
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(b"".join(lines[:n_lines]) + lines[n_lines][:5])
        ran: list[int] = []

        def outcome(segment: Segment, trial: Trial, ran: list[int] = ran) -> SegmentResult:
            ran.append(trial.number)
            return complete(segment, trial)

        again = tuner(folder, PolledWorkers(outcome), n_workers=2, n_trials=6)
        again.replay(read_events(folder))
        ended = {number for number, trial in again.history.trials.items() if trial.state.is_ended}
        under_way = sorted(again.history.under_way)
        assert again.run().ending is Ending.COMPLETE
        assert ran[: len(under_way)] == under_way
        assert sorted(ran) == [number for number in range(6) if number not in ended]
        for number, trial in whole.history.trials.items():
            other = again.history.trials[number]
            assert (other.configuration, other.seed, other.value, other.state) == (
                *(trial.configuration, trial.seed, trial.value, trial.state),
            )


def test_more_trials_extend_a_finished_sweep(tmp_path: Path) -> None:
    tuner(tmp_path, PolledWorkers(complete), n_trials=4).run()
    more = tuner(tmp_path, PolledWorkers(complete), n_trials=9)
    more.replay(read_events(tmp_path))
    assert more.run().ending is Ending.COMPLETE
    assert {n: trial.configuration for n, trial in more.history.trials.items()} == {
        n: SPACE.sample(0, n) for n in range(9)
    }


MAX_RETRIES = 2
ALLOWED = {
    TrialState.RUNNING: {*TrialState} - {TrialState.PAUSED},
    TrialState.INTERRUPTED: {TrialState.RUNNING, TrialState.INTERRUPTED},
}


class Checked:
    """Looks at the journal's events as they come, and at what each of them may follow."""

    def __init__(self, sweep: Tuner, n_workers: int) -> None:
        self.sweep, self.n_workers = sweep, n_workers
        self.under_way: set[int] = set()
        self.apply = sweep.history.apply
        sweep.history.apply = self.check  # type: ignore[method-assign]

    def check(self, event: Event) -> None:
        trials = self.sweep.history.trials
        match event:
            case TrialProposed():
                # Numbers are given without a gap, once each, and never more than asked for.
                assert event.trial == len(trials) < self.sweep.n_trials
            case SegmentStarted():
                assert event.trial not in self.under_way, "runs twice at once"
                state = trials[event.trial].state if event.trial in trials else TrialState.RUNNING
                assert not state.is_ended, "runs after its end"
                self.under_way.add(event.trial)
                assert len(self.under_way) <= self.n_workers
            case SegmentDied():
                self.under_way.remove(event.trial)
                assert trials[event.trial].deaths < MAX_RETRIES
            case SegmentEnded():
                self.under_way.remove(event.trial)
                assert event.state in ALLOWED[trials[event.trial].state]
            case SweepEnded():
                assert not self.under_way
        self.apply(event)


kinds = st.sampled_from(["value", "value", "value", "nan", "raise", "die", "hang"])
steps = st.tuples(st.floats(0.01, 5.0), kinds)


class KilledError(Exception):
    """The controller is gone."""


@settings(max_examples=300)
@given(
    luck=st.lists(st.lists(steps, min_size=1, max_size=5), min_size=1, max_size=15),
    n_workers=st.integers(1, 4),
    kills=st.lists(st.integers(1, 25), max_size=4),
)
def test_whatever_happens_every_trial_ends_once_and_no_worker_is_idle(tmp_path_factory, luck, n_workers, kills) -> None:
    folder = tmp_path_factory.mktemp("sweep")
    n_trials, runs = len(luck), [0] * len(luck)

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        duration_s, kind = luck[trial.number][runs[trial.number] % len(luck[trial.number])]
        runs[trial.number] += 1
        match kind:
            case "value":
                return SegmentResult(duration_s, value=trial.configuration["x"])
            case "nan":
                return SegmentResult(duration_s, value=math.nan)
            case "raise":
                return SegmentResult(duration_s, failure=f"ValueError: {trial.number}")
            case "die":
                return SegmentResult(duration_s, failure=f"killed {trial.number}", end=SegmentEnd.DIED)
        return SegmentResult(1000.0, value=0.0)

    class Workers(VirtualWorkers):
        n_waits = 0
        dies_at = 0

        def wait(
            self, futures: Collection[Future[SegmentResult]], timeout_s: float
        ) -> Collection[Future[SegmentResult]]:
            self.n_waits += 1
            if self.n_waits == self.dies_at:
                raise KilledError
            left = n_trials - len(sweep.history.trials) + len(sweep._to_continue)
            assert len(futures) == n_workers or left == 0, "a worker is idle while work is left"
            # Nothing happens before the next end: no use to poll in virtual time.
            return super().wait(futures, 1e9)

    for dies_at in [*kills, 0]:
        workers = Workers(outcome)
        workers.dies_at = dies_at
        options = {"max_failure_rate": 1.0, "max_retries": MAX_RETRIES, "trial_timeout_s": 20.0}
        sweep = tuner(folder, workers, n_trials=n_trials, n_workers=n_workers, **options)
        sweep.replay(read_events(folder))
        Checked(sweep, n_workers)
        try:
            assert sweep.run().ending is Ending.COMPLETE
        except KilledError:
            assert isinstance(sweep.journal, Journal)
            sweep.journal.close()
            continue
        break
    assert repr(replay(read_events(folder))) == repr(sweep.history)
    assert sorted(sweep.history.trials) == list(range(n_trials))
    for number, trial in sweep.history.trials.items():
        assert trial.state.is_ended
        assert trial.configuration == SPACE.sample(0, number)
        assert (trial.state is TrialState.COMPLETE) == (trial.value is not None and math.isfinite(trial.value))
    assert sweep.history.n_ended == n_trials
