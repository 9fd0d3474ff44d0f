"""The tuner: asks searcher and scheduler, submits segments, records results. Knows nothing of Hydra or processes."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from hposweep.history import (
    Event,
    History,
    SegmentDied,
    SegmentEnded,
    SegmentStarted,
    SweepEnded,
    SweepStarted,
    TrialProposed,
    now,
)
from hposweep.schedulers import Scheduler
from hposweep.search_space import Configuration
from hposweep.searchers import Searcher
from hposweep.trial import Direction, NextSegment, Segment, SegmentEnd, SegmentResult, Trial, TrialState
from hposweep.workers.protocol import NoStopRequest, StopRequest, Workers

log = logging.getLogger(__name__)


FAILURE_RATE_COUNTS_FROM = 10  # trials that ended or came to a rung
ALIKE_FAILURES_THAT_STOP = 3  # where the sweep begins with them
POLL_S = 0.2  # how late a request to stop may be noticed

COMPLETE = "complete"
INTERRUPTED = "interrupted"
TIME_BUDGET_OVER = "time_budget is over"
TARGET_UNHEEDED = (
    "hydra.sweeper.scheduler: compares trials at epochs, but the objective trained without knowing which: name the "
    "config key that gives it its epochs in hydra.sweeper.budget_key, or let it call hposweep.target_epoch or "
    "hposweep.report; scheduler=fifo takes any objective"
)

WITH_A_LOSS = (TrialState.PAUSED, TrialState.COMPLETE, TrialState.STOPPED)


class Record(Protocol):
    """What keeps the events: the journal, or a list in memory where nothing needs to outlive the process."""

    def append(self, *events: Event) -> None:
        """Keeps events that arrived together; they count when it returns."""


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
        clock: seconds, for durations and limits.
        date: the time of day, ISO 8601, for the record.
        observer: called whenever the history may have changed, a few times a second.
    """

    searcher: Searcher
    scheduler: Scheduler
    journal: Record
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
    date: Callable[[], str] = now
    observer: Callable[[], None] = lambda: None
    history: History = field(default_factory=History)
    _running: dict[Future[SegmentResult], Segment] = field(default_factory=dict, init=False)
    _to_continue: collections.deque[int] = field(default_factory=collections.deque, init=False)
    _exhausted: bool = field(default=False, init=False)
    _started_at: float = field(default=0.0, init=False)
    _before: tuple[int, int] = field(default=(0, 0), init=False)  # trials that were judged and failed at the start
    _n_repeated_epochs: int = field(default=0, init=False)
    _target_is_unheeded: bool = field(default=False, init=False)

    def replay(self, events: Iterable[Event]) -> None:
        """Takes in what former runs recorded."""
        for event in events:
            self._take_in(event)

    def is_complete(self) -> bool:
        """Whether nothing is left to run."""
        return not self.history.under_way and self._next() is None

    def run(self) -> str:
        """Runs the sweep to its end and returns the reason for it: "complete", or why it stopped before.

        Raises:
            KeyboardInterrupt: if the workers raise it; the journal then says that the running trials were interrupted.
        """
        self._started_at = self.clock()
        self._before = len(self.history.judged), self.history.n_failed
        self._to_continue.extend(self.history.under_way)
        self.record(SweepStarted(self.n_trials, self.seed, self.metric, self.direction))
        try:
            reason = self._loop()
        except KeyboardInterrupt:
            results = [(segment, SegmentResult(0.0, end=SegmentEnd.CUT_OFF)) for segment in self._running.values()]
            self.record(*(self._ended(segment, result) for segment, result in results), SweepEnded(INTERRUPTED))
            raise
        self.record(SweepEnded(reason))
        if self._n_repeated_epochs:
            log.warning("%d epochs were trained a second time for want of checkpoints", self._n_repeated_epochs)
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
        following = self._next()
        if following is None:
            return False
        wanted, proposed = following
        if proposed is not None:
            self._start(Segment(proposed.trial, 0, wanted.target_epoch), proposed)
        else:
            assert wanted.trial is not None
            self._start(Segment(wanted.trial, self.history.trials[wanted.trial].epoch or 0, wanted.target_epoch))
        return True

    def _next(self) -> tuple[NextSegment, TrialProposed | None] | None:
        """What scheduler and searcher want now, a new trial with its proposal; None: nothing."""
        number = len(self.history.trials)
        wanted = self.scheduler.next_segment(can_start_new=number < self.n_trials and not self._exhausted)
        if wanted is None or wanted.trial is not None:
            return None if wanted is None else (wanted, None)
        configuration = self.searcher.propose(number, list(self.history.under_way.values()))
        if configuration is None:
            self._exhausted = True
            return self._next()
        seed = self.trial_seed(number, configuration)
        return wanted, TrialProposed(number, configuration, seed, wanted.target_epoch)

    def _start(self, segment: Segment, *events: Event, attempt: int = 1) -> None:
        # The record comes first: a segment that runs without one would be run twice after a crash.
        self.record(*events, SegmentStarted(segment.trial, segment.start_epoch, segment.target_epoch, attempt))
        trial = self.history.trials[segment.trial]
        left_s = None if self.trial_timeout_s is None else max(0.001, self.trial_timeout_s - trial.duration_s)
        self._running[self.workers.submit(segment, trial, left_s)] = segment

    def _end(self, segment: Segment, result: SegmentResult) -> None:
        trial = self.history.trials[segment.trial]
        if result.end is SegmentEnd.DIED and trial.deaths < self.max_retries:
            log.warning("trial %d: %s; it starts again from its checkpoint", trial.number, result.failure)
            self.record(SegmentDied(trial.number, result.duration_s, result.failure))
            self._to_continue.appendleft(trial.number)
            return
        self.record(self._ended(segment, result))
        self._log_end(self.history.trials[segment.trial])
        self._check_epochs(segment, result)

    def _ended(self, segment: Segment, result: SegmentResult) -> SegmentEnded:
        state, epoch = self._outcome(segment, result)
        value = self.history.trials[segment.trial].value if result.value is None else result.value
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
        trial = self.history.trials[segment.trial]
        return self.scheduler.state_after(trial, self.direction.loss(result.value)), segment.target_epoch

    def _check_epochs(self, segment: Segment, result: SegmentResult) -> None:
        """Notes what the job tells of its epochs: that it trained some again, or didn't know where to stop."""
        if segment.target_epoch is not None and result.heeds_target is False and result.value is not None:
            self._target_is_unheeded = True
        if result.first_epoch is None or result.first_epoch > segment.start_epoch:
            return
        if not self._n_repeated_epochs:
            log.warning(
                "trial %d trained epochs %d to %d again, having no checkpoint to go on from: an objective keeps one in "
                "hposweep.checkpoint_dir()",
                *(segment.trial, result.first_epoch, segment.start_epoch),
            )
        self._n_repeated_epochs += segment.start_epoch - result.first_epoch + 1

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
        dated = [dataclasses.replace(event, time=self.date()) for event in events]
        self.journal.append(*dated)
        for event in dated:
            self._take_in(event)

    def _take_in(self, event: Event) -> None:
        self.history.apply(event)
        if isinstance(event, SegmentStarted):
            self.scheduler.start(Segment(event.trial, event.start_epoch, event.target_epoch))
        elif isinstance(event, SegmentEnded) and event.state is not TrialState.INTERRUPTED:
            trial = self.history.trials[event.trial]
            self.searcher.tell(trial)
            self.scheduler.record(trial, self._loss(trial))

    def _loss(self, trial: Trial) -> float:
        """Of a trial that has come to the end of its segment; a failure is the worst."""
        if trial.state not in WITH_A_LOSS or trial.value is None:
            return math.inf
        return self.direction.loss(trial.value)

    def _why_stop(self) -> str:
        """Why no more segments should start; empty while they should."""
        if self.stop_request.is_made:
            return INTERRUPTED
        if self.time_budget_s is not None and self.clock() - self._started_at >= self.time_budget_s:
            return TIME_BUDGET_OVER
        if self._target_is_unheeded:
            return TARGET_UNHEEDED
        # Of this run alone: who resumes a sweep has mended what made the trials before it fail.
        judged = self.history.judged
        n_judged, n_failed = len(judged) - self._before[0], self.history.n_failed - self._before[1]
        if self._before[0] == 0 and n_failed == n_judged >= ALIKE_FAILURES_THAT_STOP:
            first = [self.history.trials[number] for number in itertools.islice(judged, ALIKE_FAILURES_THAT_STOP)]
            if len({trial.failure_line for trial in first}) == 1:
                return f"the first {len(first)} trials all failed with: {first[0].failure_line}"
        if n_judged >= FAILURE_RATE_COUNTS_FROM and n_failed > self.max_failure_rate * n_judged:
            return f"{n_failed} of {n_judged} trials failed, more than hydra.sweeper.max_failure_rate allows"
        return ""
