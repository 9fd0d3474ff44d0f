"""The tuner's loop, with workers in virtual time."""

import heapq
import math
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hposweep.journal import Journal, read_events, replay
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.search_space import SearchSpace, parse_hyperparameter, trial_seed
from hposweep.searchers.random import RandomSearcher
from hposweep.trial import Direction, Segment, SegmentResult, Trial, TrialState
from hposweep.tuner import COMPLETE, Tuner

SPACE = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})
Outcome = Callable[[Segment, Trial], SegmentResult]


@dataclass
class VirtualWorkers:
    """Segments that last as long as their result says, in a time of their own."""

    outcome: Outcome
    now: float = 0.0
    most_at_once: int = 0
    _queue: list[tuple[float, int, Future, SegmentResult]] = field(default_factory=list)
    _n_submitted: int = 0

    def submit(self, segment: Segment, trial: Trial) -> Future[SegmentResult]:
        result, future = self.outcome(segment, trial), Future()  # type: ignore[var-annotated]
        self._n_submitted += 1
        heapq.heappush(self._queue, (self.now + result.duration_s, self._n_submitted, future, result))
        self.most_at_once = max(self.most_at_once, len(self._queue))
        return future

    def wait(self, futures: Collection[Future[SegmentResult]]) -> Collection[Future[SegmentResult]]:
        self.now, _, future, result = heapq.heappop(self._queue)
        future.set_result(result)
        return [future]


def complete(segment: Segment, trial: Trial) -> SegmentResult:
    return SegmentResult(1.0, value=trial.configuration["x"], folder=f"trials/{trial.number}")


def tuner(folder: Path, workers: VirtualWorkers, n_trials: int = 10, n_workers: int = 1, **options: object) -> Tuner:
    return Tuner(
        searcher=RandomSearcher(SPACE, seed=0),
        scheduler=FifoScheduler(),
        journal=Journal.open(folder),
        submit=workers.submit,
        wait=workers.wait,
        n_trials=n_trials,
        n_workers=n_workers,
        seed=0,
        trial_seed=lambda number, configuration: trial_seed(0, number),
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("n_workers", [1, 3, 20])
def test_every_trial_runs_once_with_its_own_draw_whatever_the_workers(tmp_path: Path, n_workers: int) -> None:
    workers = VirtualWorkers(complete)
    sweep = tuner(tmp_path, workers, n_workers=n_workers)
    assert sweep.run() == COMPLETE
    assert workers.most_at_once == min(n_workers, 10)
    assert {n: trial.configuration for n, trial in sweep.history.trials.items()} == {
        n: SPACE.sample(0, n) for n in range(10)
    }
    assert all(trial.state is TrialState.COMPLETE for trial in sweep.history.trials.values())


def test_the_first_ten_of_twenty_trials_are_the_ten_of_ten(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ten, twenty = tuner(tmp_path / "a", VirtualWorkers(complete)), tuner(tmp_path / "b", VirtualWorkers(complete), 20)
    ten.run()
    twenty.run()
    for number in range(10):
        one, other = ten.history.trials[number], twenty.history.trials[number]
        assert (one.configuration, one.seed) == (other.configuration, other.seed)


def test_no_worker_waits_for_the_slowest(tmp_path: Path) -> None:
    workers = VirtualWorkers(lambda segment, trial: SegmentResult(1.0 if trial.number else 9.0, value=0.5))
    tuner(tmp_path, workers, n_workers=2).run()
    assert workers.now == 9.0


@given(
    outcomes=st.lists(
        st.tuples(st.floats(0.1, 10), st.sampled_from([0.5, 0.1, math.nan, math.inf, None])), min_size=1, max_size=30
    ),
    n_workers=st.integers(1, 5),
)
def test_the_journal_replays_to_the_history(tmp_path_factory, outcomes, n_workers: int) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("sweep")

    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        duration_s, value = outcomes[trial.number]
        return SegmentResult(duration_s, value, failure="" if value is not None else f"Error {trial.number}")

    sweep = tuner(folder, VirtualWorkers(outcome), n_trials=len(outcomes), n_workers=n_workers)
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
    workers = VirtualWorkers(lambda segment, trial: SegmentResult(1.0, values[trial.number]))
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
    sweep = tuner(tmp_path, VirtualWorkers(failing(0, 1, 4)))
    assert sweep.run() == COMPLETE
    assert [n for n, trial in sweep.history.trials.items() if trial.state is TrialState.FAILED] == [0, 1, 4]
    assert sweep.history.trials[4].failure_line == "ValueError: 4"


def test_three_first_trials_that_fail_alike_stop_the_sweep(tmp_path: Path) -> None:
    sweep = tuner(tmp_path, VirtualWorkers(failing(*range(10), alike=True)))
    assert sweep.run() == "the first 3 trials all failed with: ValueError: bad"
    assert len(sweep.history.trials) == 3


def test_three_first_trials_that_fail_differently_do_not(tmp_path: Path) -> None:
    sweep = tuner(tmp_path, VirtualWorkers(failing(0, 1, 2)))
    assert sweep.run() == COMPLETE


def test_too_many_failures_of_ten_or_more_stop_the_sweep(tmp_path: Path) -> None:
    sweep = tuner(tmp_path, VirtualWorkers(failing(*range(1, 30))), n_trials=30)
    assert sweep.run() == "9 of 10 trials failed, more than hydra.sweeper.max_failure_rate allows"
    assert len(sweep.history.trials) == 10


def test_an_interruption_leaves_the_running_trials_as_interrupted(tmp_path: Path) -> None:
    class Interrupted(VirtualWorkers):
        def wait(self, futures: Collection[Future[SegmentResult]]) -> Collection[Future[SegmentResult]]:
            if self.now >= 2:
                raise KeyboardInterrupt
            return super().wait(futures)

    with pytest.raises(KeyboardInterrupt):
        tuner(tmp_path, Interrupted(complete), n_workers=2).run()
    history = replay(read_events(tmp_path))
    assert history.ended == "interrupted"
    states = [trial.state for trial in history.trials.values()]
    assert states.count(TrialState.INTERRUPTED) == 2
    assert TrialState.RUNNING not in states


def test_what_is_recorded_is_on_disk_before_the_segment_is_submitted(tmp_path: Path) -> None:
    def outcome(segment: Segment, trial: Trial) -> SegmentResult:
        assert replay(read_events(tmp_path)).trials[trial.number].state is TrialState.RUNNING
        return complete(segment, trial)

    assert tuner(tmp_path, VirtualWorkers(outcome)).run() == COMPLETE
