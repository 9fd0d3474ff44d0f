"""The tuner: asks searcher and scheduler, submits segments, records results. Knows nothing of Hydra or processes."""

from __future__ import annotations

import collections
import concurrent.futures
import logging
import math
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from hposweep.journal import (
    Event,
    History,
    Journal,
    SegmentDied,
    SegmentEnded,
    SegmentStarted,
    SweepEnded,
    SweepStarted,
    TrialProposed,
)
from hposweep.schedulers import Scheduler
from hposweep.search_space import Configuration
from hposweep.searchers import Searcher
from hposweep.trial import Direction, Segment, SegmentEnd, SegmentResult, Trial, TrialState

log = logging.getLogger(__name__)

Futures = Collection["Future[SegmentResult]"]

FAILURE_RATE_COUNTS_FROM = 10  # ended trials
ALIKE_FAILURES_THAT_STOP = 3  # where the sweep begins with them
POLL_S = 0.2  # how late a request to stop may be noticed

COMPLETE = "complete"
INTERRUPTED = "interrupted"
TIME_BUDGET_OVER = "time_budget is over"


class Workers(Protocol):
    """What runs segments."""

    n_workers: int

    def submit(self, segment: Segment, trial: Trial, timeout_s: float | None) -> Future[SegmentResult]:
        """Starts the segment as a job; one that runs longer than `timeout_s` is killed."""

    def wait(self, futures: Futures, timeout_s: float) -> Futures:
        """Blocks until some of the futures are done, `timeout_s` at most, and returns those that are."""

    def cancel(self, futures: Futures) -> None:
        """Ends the jobs of these futures; each is done soon, with `SegmentEnd.CUT_OFF`."""


class StopRequest(Protocol):
    """What the user wants, as the tuner sees it whenever it looks."""

    is_made: bool  # stop: running segments may end within the grace time
    is_urgent: bool  # stop at once


@dataclass
class NoStopRequest:
    """Nobody wants to stop."""

    is_made: bool = False
    is_urgent: bool = False


def first_completed(futures: Futures, timeout_s: float) -> Futures:
    """`Workers.wait` for futures that others complete."""
    return concurrent.futures.wait(futures, timeout_s, return_when=concurrent.futures.FIRST_COMPLETED).done


@dataclass
class Tuner:
    """The loop of a sweep.

    Everything that changes the state of the sweep is an event, on disk before it counts: a replay of the journal gives
    the same searcher, scheduler and history. Trials that were under way when the last controller ended go on first.

    Args:
        trial_seed: the seed of a trial's training, from its number and configuration.
        max_retries: how often a trial whose worker died is started again.
        trial_timeout_s: running seconds that a trial may use over all of its segments; None: any.
        time_budget_s: seconds after which this run of the tuner stops; None: never.
        grace_s: how long running segments may still take when the tuner is to stop.
        observer: called whenever the history may have changed, a few times a second.
    """

    searcher: Searcher
    scheduler: Scheduler
    journal: Journal
    workers: Workers
    n_trials: int
    seed: int
    trial_seed: Callable[[int, Configuration], int]
    metric: str = "value"
    direction: Direction = Direction.minimize
    max_failure_rate: float = 0.5
    max_retries: int = 2
    trial_timeout_s: float | None = None
    time_budget_s: float | None = None
    grace_s: float = 5.0
    stop_request: StopRequest = field(default_factory=NoStopRequest)
    clock: Callable[[], float] = time.monotonic
    observer: Callable[[], None] = lambda: None
    history: History = field(default_factory=History)
    _running: dict[Future[SegmentResult], Segment] = field(default_factory=dict, init=False)
    _to_continue: collections.deque[int] = field(default_factory=collections.deque, init=False)
    _exhausted: bool = field(default=False, init=False)
    _started_at: float = field(default=0.0, init=False)
    _before: tuple[int, int] = field(default=(0, 0), init=False)  # trials that had ended and failed at the start

    def replay(self, events: Iterable[Event]) -> None:
        """Takes in what former runs recorded."""
        for event in events:
            self._take_in(event)

    def run(self) -> str:
        """Runs the sweep to its end and returns the reason for it: "complete", or why it stopped before.

        Raises:
            KeyboardInterrupt: if the workers raise it; the journal then says that the running trials were interrupted.
        """
        self._started_at = self.clock()
        self._before = self.history.n_ended, self.history.n_failed
        unfinished = (trial for trial in self.history.under_way.values() if trial.state is not TrialState.PAUSED)
        self._to_continue.extend(trial.number for trial in unfinished)
        self.record(SweepStarted(self.n_trials, self.seed, self.metric, self.direction))
        try:
            reason = self._loop()
        except KeyboardInterrupt:
            results = [(segment, SegmentResult(0.0, end=SegmentEnd.CUT_OFF)) for segment in self._running.values()]
            self.record(*(self._ended(segment, result) for segment, result in results), SweepEnded(INTERRUPTED))
            raise
        self.record(SweepEnded(reason))
        return reason

    def _loop(self) -> str:
        while True:
            reason = self._why_stop()
            while not reason and len(self._running) < self.workers.n_workers and self._start_next():
                pass
            if not self._running:
                return reason or COMPLETE
            if reason in (INTERRUPTED, TIME_BUDGET_OVER):
                self._wind_down(reason)
            else:
                self._collect(POLL_S)

    def _collect(self, timeout_s: float) -> None:
        for future in self.workers.wait(list(self._running), timeout_s):
            self._end(self._running.pop(future), future.result())
        self.observer()

    def _wind_down(self, reason: str) -> None:
        """Lets running segments end within the grace time, and cuts the others off."""
        log.warning("%s: waiting %g s at most for %d running trials", reason, self.grace_s, len(self._running))
        deadline = self.clock() + self.grace_s
        while self._running and self.clock() < deadline and not self.stop_request.is_urgent:
            self._collect(POLL_S)
        self.workers.cancel(list(self._running))
        while self._running:
            self._collect(POLL_S)

    def _start_next(self) -> bool:
        """Starts the segment whose turn it is; False where there is none now."""
        if self._to_continue:
            trial = self.history.trials[self._to_continue.popleft()]
            self._start(Segment(trial.number, trial.epoch or 0, trial.target_epoch), attempt=trial.attempts + 1)
            return True
        wanted = self.scheduler.next_segment()
        if wanted is None:
            return False
        if wanted.trial is not None:
            trial = self.history.trials[wanted.trial]
            self._start(Segment(trial.number, trial.epoch or 0, wanted.target_epoch))
            return True
        proposed = self._propose()
        if proposed is None:
            return False
        self._start(Segment(proposed.trial, 0, wanted.target_epoch), proposed)
        return True

    def _start(self, segment: Segment, *events: Event, attempt: int = 1) -> None:
        # The record comes first: a segment that runs without one would be run twice after a crash.
        self.record(*events, SegmentStarted(segment.trial, segment.start_epoch, segment.target_epoch, attempt))
        trial = self.history.trials[segment.trial]
        left_s = None if self.trial_timeout_s is None else max(0.001, self.trial_timeout_s - trial.duration_s)
        self._running[self.workers.submit(segment, trial, left_s)] = segment

    def _propose(self) -> TrialProposed | None:
        """The next new trial; None where there is to be no other."""
        number = len(self.history.trials)
        if number >= self.n_trials or self._exhausted:
            return None
        configuration = self.searcher.propose(number, list(self.history.under_way.values()))
        if configuration is None:
            self._exhausted = True
            return None
        return TrialProposed(number, configuration, self.trial_seed(number, configuration))

    def _end(self, segment: Segment, result: SegmentResult) -> None:
        trial = self.history.trials[segment.trial]
        if result.end is SegmentEnd.DIED and trial.deaths < self.max_retries:
            log.warning("trial %d: %s; it starts again from its checkpoint", trial.number, result.failure)
            self.record(SegmentDied(trial.number, result.duration_s, result.failure))
            self._to_continue.appendleft(trial.number)
            return
        self.record(self._ended(segment, result))
        self._log_end(self.history.trials[segment.trial])

    def _ended(self, segment: Segment, result: SegmentResult) -> SegmentEnded:
        state, epoch = self._outcome(segment, result)
        value = result.value if result.end is SegmentEnd.RETURNED else self.history.trials[segment.trial].value
        return SegmentEnded(segment.trial, state, epoch, value, result.duration_s, result.failure, result.folder)

    def _outcome(self, segment: Segment, result: SegmentResult) -> tuple[TrialState, int | None]:
        if result.end is SegmentEnd.CUT_OFF:
            return TrialState.INTERRUPTED, segment.start_epoch
        if result.end is SegmentEnd.TIMED_OUT:
            return TrialState.TIMED_OUT, segment.start_epoch
        if result.value is None:
            return TrialState.FAILED, segment.start_epoch
        if not math.isfinite(result.value):
            return TrialState.DIVERGED, segment.target_epoch
        if segment.target_epoch is None or segment.target_epoch == self.scheduler.r_max:
            return TrialState.COMPLETE, segment.target_epoch
        return TrialState.PAUSED, segment.target_epoch

    def _log_end(self, trial: Trial) -> None:
        if trial.state in (TrialState.FAILED, TrialState.TIMED_OUT):
            log.warning("trial %d: %s, %s", trial.number, trial.state, trial.failure_line)
        elif trial.state is TrialState.INTERRUPTED:
            log.warning("trial %d: %s", trial.number, trial.state)
        else:
            mark = "  (best so far)" if self.history.incumbent is trial else ""
            log.info("trial %d: %s, %s %.4g%s", trial.number, trial.state, self.metric, trial.value, mark)

    def record(self, *events: Event) -> None:
        """Writes events to the journal, and only then lets them count."""
        self.journal.append(*events)
        for event in events:
            self._take_in(event)

    def _take_in(self, event: Event) -> None:
        self.history.apply(event)
        if isinstance(event, SegmentEnded) and event.state is not TrialState.INTERRUPTED:
            trial = self.history.trials[event.trial]
            self.searcher.tell(trial)
            self.scheduler.record(trial)

    def _why_stop(self) -> str:
        """Why no more segments should start; empty while they should."""
        if self.stop_request.is_made:
            return INTERRUPTED
        if self.time_budget_s is not None and self.clock() - self._started_at >= self.time_budget_s:
            return TIME_BUDGET_OVER
        # Of this run alone: who resumes a sweep has mended what made the trials before it fail.
        n_ended, n_failed = self.history.n_ended - self._before[0], self.history.n_failed - self._before[1]
        first = self.history.first_ended
        reasons = {trial.failure_line for trial in first if trial.state is TrialState.FAILED}
        is_first_run = self._before[0] == 0
        if is_first_run and n_failed == n_ended >= ALIKE_FAILURES_THAT_STOP and len(reasons) == 1:
            return f"the first {len(first)} trials all failed with: {first[0].failure_line}"
        if n_ended >= FAILURE_RATE_COUNTS_FROM and n_failed > self.max_failure_rate * n_ended:
            return f"{n_failed} of {n_ended} trials failed, more than hydra.sweeper.max_failure_rate allows"
        return ""
