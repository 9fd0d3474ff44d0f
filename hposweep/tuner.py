"""The tuner: asks searcher and scheduler, submits segments, records results. Knows nothing of Hydra or processes."""

from __future__ import annotations

import concurrent.futures
import logging
import math
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field

from hposweep.journal import (
    Event,
    History,
    Journal,
    SegmentEnded,
    SegmentStarted,
    SweepEnded,
    SweepStarted,
    TrialProposed,
)
from hposweep.schedulers import Scheduler
from hposweep.search_space import Configuration
from hposweep.searchers import Searcher
from hposweep.trial import Direction, Segment, SegmentResult, Trial, TrialState

log = logging.getLogger(__name__)

Submit = Callable[[Segment, Trial], "Future[SegmentResult]"]
Wait = Callable[[Collection["Future[SegmentResult]"]], Collection["Future[SegmentResult]"]]

FAILURE_RATE_COUNTS_FROM = 10  # ended trials
ALIKE_FAILURES_THAT_STOP = 3  # where the sweep begins with them

COMPLETE = "complete"
INTERRUPTED = "interrupted"


def first_completed(futures: Collection[Future[SegmentResult]]) -> Collection[Future[SegmentResult]]:
    """Blocks until one of the futures is done, and returns those that are."""
    return concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED).done


@dataclass
class Tuner:
    """The loop of a sweep.

    `submit` starts a segment as a job and returns a future; `wait` blocks until some of the given futures are done;
    `trial_seed` gives the seed of a trial's training from its number and configuration.
    Everything that changes the state of the sweep is an event, on disk before it counts: a replay of the journal gives
    the same searcher, scheduler and history.
    """

    searcher: Searcher
    scheduler: Scheduler
    journal: Journal
    submit: Submit
    n_trials: int
    seed: int
    trial_seed: Callable[[int, Configuration], int]
    metric: str = "value"
    direction: Direction = Direction.minimize
    max_failure_rate: float = 0.5
    n_workers: int = 1
    wait: Wait = first_completed
    history: History = field(default_factory=History)
    _running: dict[Future[SegmentResult], Segment] = field(default_factory=dict, init=False)
    _exhausted: bool = field(default=False, init=False)

    def run(self) -> str:
        """Runs the sweep to its end and returns the reason for it: "complete", or why it stopped early.

        Raises:
            KeyboardInterrupt: as it came; the journal then says that the running trials were interrupted.
        """
        self.record(SweepStarted(self.n_trials, self.seed, self.metric, self.direction))
        try:
            reason = self._loop()
        except KeyboardInterrupt:
            cut_off = [self._cut_off(segment) for segment in self._running.values()]
            self.record(*cut_off, SweepEnded(INTERRUPTED))
            raise
        self.record(SweepEnded(reason))
        return reason

    def _loop(self) -> str:
        while True:
            reason = self._why_stop()
            while not reason and len(self._running) < self.n_workers and self._start_next():
                pass
            if not self._running:
                return reason or COMPLETE
            for future in self.wait(list(self._running)):
                self._end(self._running.pop(future), future.result())

    def _start_next(self) -> bool:
        """Starts the segment that the scheduler wants; False where there is none now."""
        wanted = self.scheduler.next_segment()
        if wanted is None:
            return False
        if wanted.trial is None:
            proposed = self._propose()
            if proposed is None:
                return False
            segment, events = Segment(proposed.trial, 0, wanted.target_epoch), [proposed]
        else:
            trial = self.history.trials[wanted.trial]
            segment, events = Segment(trial.number, trial.epoch or 0, wanted.target_epoch), []
        # The record comes first: a segment that runs without one would be run twice after a crash.
        started = SegmentStarted(segment.trial, segment.start_epoch, segment.target_epoch, attempt=1)
        self.record(*events, started)
        self._running[self.submit(segment, self.history.trials[segment.trial])] = segment
        return True

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
        state, epoch = self._outcome(segment, result)
        self.record(
            SegmentEnded(
                segment.trial,
                state,
                epoch,
                result.value,
                result.duration_s,
                result.failure,
                result.folder,
            )
        )
        trial = self.history.trials[segment.trial]
        if state is TrialState.FAILED:
            log.warning("trial %d: %s, %s", trial.number, state, trial.failure_line)
        else:
            mark = "  (best so far)" if self.history.incumbent is trial else ""
            log.info("trial %d: %s, %s %.4g%s", trial.number, state, self.metric, result.value, mark)

    def _outcome(self, segment: Segment, result: SegmentResult) -> tuple[TrialState, int | None]:
        if result.value is None:
            return TrialState.FAILED, segment.start_epoch
        if not math.isfinite(result.value):
            return TrialState.DIVERGED, segment.target_epoch
        if segment.target_epoch is None or segment.target_epoch == self.scheduler.r_max:
            return TrialState.COMPLETE, segment.target_epoch
        return TrialState.PAUSED, segment.target_epoch

    def _cut_off(self, segment: Segment) -> SegmentEnded:
        trial = self.history.trials[segment.trial]
        return SegmentEnded(segment.trial, TrialState.INTERRUPTED, segment.start_epoch, trial.value, duration_s=0.0)

    def record(self, *events: Event) -> None:
        """Writes events to the journal, and only then lets them count."""
        self.journal.append(*events)
        for event in events:
            self.history.apply(event)
            if isinstance(event, SegmentEnded) and event.state is not TrialState.INTERRUPTED:
                trial = self.history.trials[event.trial]
                self.searcher.tell(trial)
                self.scheduler.record(trial)

    def _why_stop(self) -> str:
        """Why no more trials should start; empty while they should."""
        first, n_ended, n_failed = self.history.first_ended, self.history.n_ended, self.history.n_failed
        reasons = {trial.failure_line for trial in first if trial.state is TrialState.FAILED}
        if n_failed == n_ended >= ALIKE_FAILURES_THAT_STOP and len(reasons) == 1:
            return f"the first {len(first)} trials all failed with: {first[0].failure_line}"
        if n_ended >= FAILURE_RATE_COUNTS_FROM and n_failed > self.max_failure_rate * n_ended:
            return f"{n_failed} of {n_ended} trials failed, more than hydra.sweeper.max_failure_rate allows"
        return ""
