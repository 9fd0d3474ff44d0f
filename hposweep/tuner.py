"""The tuner: asks searcher and scheduler, submits segments, notes results. Knows nothing of Hydra or processes."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from hposweep.errors import WriteError
from hposweep.failure import as_recorded, line_of_text
from hposweep.history import (
    Ending,
    Event,
    History,
    SegmentDied,
    SegmentEnded,
    SegmentLost,
    SegmentStarted,
    SweepEnded,
    SweepStarted,
    TrialProposed,
    finalists,
    now,
    values_of,
)
from hposweep.number_text import number_text
from hposweep.schedulers import Scheduler
from hposweep.search_space import Configuration
from hposweep.searchers import Exhausted, Searcher, Wait, expected
from hposweep.searchers.repeated import first_of
from hposweep.shown_text import plural
from hposweep.trial import (
    Direction,
    ResumeTrial,
    Segment,
    SegmentEnd,
    SegmentResult,
    StartTrial,
    Trial,
    TrialState,
    loss_of,
)
from hposweep.workers.protocol import NoStopRequest, StopRequest, Workers

log = logging.getLogger(__name__)

FAILURE_RATE_COUNTS_FROM = 10  # trials that ended or came to a rung
ALIKE_FAILURES_THAT_STOP = 3  # where the sweep begins with them
N_CONFIRMATIONS = 4  # new seeds for each of the best
POLL_S = 0.2  # how late a request to stop may be noticed
MOST_STARTS_A_TURN = 256  # of the loop, so that a request to stop is noticed while thousands of workers start

STOPPED_BY_THE_USER = (Ending.INTERRUPTED, Ending.TIME_BUDGET)


class EventLog(Protocol):
    """Stores the events: the journal, or a list in memory if nothing must outlive the process."""

    def append(self, *events: Event) -> None:
        """Keeps events that arrived together; they count when it returns."""


@dataclass
class Tuner:
    """The loop of a sweep.

    Everything that changes the state of the sweep is an event: a replay of the journal gives the same searcher,
    scheduler and history. In a turn of the loop the results that have come are taken in, the segments that follow are
    decided, all of it is written with one flush to disk, and only then is anything submitted. Trials that were under
    way when the last controller ended go on first.

    Args:
        trial_seed: the seed of a trial's training, from its number and configuration.
        max_retries: how often a trial whose worker died is started again.
        trial_timeout_s: running seconds that a trial may use over all of its segments; None: any.
        time_budget_s: seconds after which this run of the tuner stops; None: never.
        n_seeds: trials in a row that have one configuration; the searcher knows of it.
        confirm_top: how many of the best are run again at the end, each under new seeds: the best of them by their
            mean wins.
        grace_s: how long running segments may still take when the tuner is to stop.
        clock: seconds, for durations and limits.
        date: the time of day, ISO 8601, for the events.
        observer: called whenever the history may have changed, a few times a second.
        before_job: called with the trial whose next job is going to start, with the job's target, before that is on
            record: a crash in between leaves nothing undone. Also with one whose job has outlived its controller.
    """

    searcher: Searcher
    scheduler: Scheduler
    journal: EventLog
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
    n_seeds: int = 1
    confirm_top: int = 0
    stop_request: StopRequest = field(default_factory=NoStopRequest)
    clock: Callable[[], float] = time.monotonic
    date: Callable[[], str] = now
    observer: Callable[[], None] = lambda: None
    before_job: Callable[[Trial], None] = lambda trial: None
    history: History = field(default_factory=History)
    _running: dict[Future[SegmentResult], Segment] = field(default_factory=dict, init=False)
    _to_continue: collections.deque[int] = field(default_factory=collections.deque, init=False)
    _unanswered: set[int] = field(default_factory=set, init=False)  # trials whose job ran when the last controller died
    _unwritten: list[Event] = field(default_factory=list, init=False)
    _proposal: tuple[int, Configuration | Wait | Exhausted] | None = field(default=None, init=False)
    _started_at: float = field(default=0.0, init=False)
    _before: tuple[int, int] = field(default=(0, 0), init=False)  # trials that were judged and failed at the start
    _n_repeated_epochs: int = field(default=0, init=False)
    _target_is_unheeded: bool = field(default=False, init=False)
    _unwritable: str = field(default="", init=False)  # the file of a job that can't be written, and why

    def replay(self, events: Iterable[Event]) -> None:
        """Takes in what former runs have written."""
        for event in events:
            self._take_in(event)
            match event:
                case SegmentStarted():
                    self._unanswered.add(event.trial)
                case SegmentDied() | SegmentLost() | SegmentEnded():
                    self._unanswered.discard(event.trial)

    def is_complete(self) -> bool:
        """Whether nothing is left to run."""
        return not self.history.under_way and self._next() is None

    def run(self) -> SweepEnded:
        """Runs the sweep to its end, and returns why it ended.

        Raises:
            WriteError: if the journal or another file of ours can't be written; then nothing more is submitted.
            ConfigError: if the journal is no longer there.
            KeyboardInterrupt: if the workers raise it; the journal then says that the running trials were interrupted.
        """
        self._started_at = self.clock()
        self._before = len(self.history.judged), self.history.n_failed
        self.commit(SweepStarted(self.n_trials, self.seed, self.metric, self.direction))
        try:
            self._take_up()
            ended = self._loop()
        except KeyboardInterrupt:
            self._interrupt(SweepEnded(Ending.INTERRUPTED))
            raise
        except WriteError as error:
            # Where the journal takes nothing either, it is as it was, and tells as much as after a kill.
            with contextlib.suppress(WriteError):
                self._interrupt(SweepEnded(Ending.UNWRITABLE, f"{error}"))
            raise
        self.commit(ended)
        if self._n_repeated_epochs:
            n_epochs = plural(self._n_repeated_epochs, "epoch")
            log.warning("trained %s again because there was no checkpoint", n_epochs)
        return ended

    def commit(self, *events: Event) -> None:
        """Takes events in, and writes them."""
        for event in events:
            self._note(event)
        self._write()

    def _interrupt(self, ended: SweepEnded) -> None:
        """Notes that the running trials were interrupted; whoever ends the workers ends their jobs."""
        running = [trial for trial in self.history.under_way.values() if trial.state is TrialState.RUNNING]
        segments = [Segment(trial.number, trial.epoch or 0, trial.target_epoch) for trial in running]
        cut_off = SegmentResult(0.0, end=SegmentEnd.CUT_OFF)
        self.commit(*[self._ended(segment, cut_off) for segment in segments], ended)

    def _loop(self) -> SweepEnded:
        while True:
            if self._unwritable:
                raise WriteError(self._unwritable)
            ended = self._why_stop()
            starts, has_more = ([], False) if ended else self._starts()
            self._write()
            for segment in starts:
                self._submit(segment)
            self.observer()
            if not self._running and (ended or self._is_over()):
                return ended or SweepEnded(Ending.COMPLETE)
            if ended and ended.ending in STOPPED_BY_THE_USER:
                self._wind_down(ended)
            else:
                self._collect(0.0 if has_more else POLL_S)

    def _take_up(self) -> None:
        """Adopts the jobs that have outlived the last controller; all other trials under way are to go on."""
        for trial in list(self.history.under_way.values()):
            segment = Segment(trial.number, trial.epoch or 0, trial.target_epoch)
            adopted = self.workers.adopted(segment, trial) if trial.number in self._unanswered else None
            if adopted is None:
                self._to_continue.append(trial.number)
            else:
                self.before_job(trial)
                self._running[adopted] = segment
        if self._running:
            log.info("%s of the controller before this one run on", plural(len(self._running), "job"))

    def _is_over(self) -> bool:
        """Whether nothing is left to start, now that nothing runs."""
        if self._to_continue:
            return False
        following = self._next()
        assert not isinstance(following, Wait), f"{self.searcher} waits for results, and no trial is under way"
        return following is None

    def _collect(self, timeout_s: float) -> None:
        # A view: with thousands of workers a copy at each turn would cost more than what has ended.
        for future in list(self.workers.wait(self._running.keys(), timeout_s)):
            self._end(self._running.pop(future), future.result())

    def _wind_down(self, ended: SweepEnded) -> None:
        """Lets running segments end within the grace time, and cuts the others off."""
        running = plural(len(self._running), "running trial")
        log.warning("%s: waiting %g s at most for %s", ended.text, self.grace_s, running)
        deadline = self.clock() + self.grace_s
        while self._running and self.clock() < deadline and not self.stop_request.is_urgent:
            self._collect_and_write()
        self.workers.cancel(self._running.keys())
        while self._running:
            self._collect_and_write()

    def _collect_and_write(self) -> None:
        self._collect(POLL_S)
        self._write()
        self.observer()

    def _starts(self) -> tuple[list[Segment], bool]:
        """The segments whose turn it is, noted as started, and whether more may follow in the next turn.

        As many as there are free workers, at most; fewer where a searcher takes its time.
        """
        n_free, began = self.workers.n_workers - len(self._running), self.clock()
        starts: list[Segment] = []
        while len(starts) < n_free:
            if len(starts) == MOST_STARTS_A_TURN or self.clock() - began > POLL_S:
                return starts, True
            segment = self._started_next()
            if segment is None:
                break
            starts.append(segment)
        return starts, False

    def _started_next(self) -> Segment | None:
        """The segment whose turn it is, noted as started; None where there is none now."""
        if self._to_continue:
            trial = self.history.trials[self._to_continue.popleft()]
            segment = Segment(trial.number, trial.epoch or 0, trial.target_epoch)
            return self._started(segment, attempt=trial.attempts + 1)
        match self._next():
            case ResumeTrial(trial=number, target_epoch=target_epoch):
                return self._started(Segment(number, self.history.trials[number].epoch or 0, target_epoch))
            case TrialProposed() as proposed:
                self._note(self._with_expected(proposed))
                return self._started(Segment(proposed.trial, 0, proposed.target_epoch))
        return None

    def _next(self) -> ResumeTrial | TrialProposed | Wait | None:
        """What scheduler and searcher want now, a new trial as its proposal; None: nothing."""
        number = len(self.history.trials)
        can_start_new = number < self.n_trials and not self.history.n_confirming
        wanted = self.scheduler.next_segment(can_start_new=can_start_new)
        if isinstance(wanted, StartTrial):
            proposal = self._proposal_of(number)
            match proposal:
                case Wait():
                    return proposal
                case Exhausted():
                    wanted = self.scheduler.next_segment(can_start_new=False)
                case _:
                    seed = self.trial_seed(number, proposal)
                    repeats = first_of(number, self.n_seeds)
                    return TrialProposed(number, proposal, seed, wanted.target_epoch, repeats)
        assert not isinstance(wanted, StartTrial)
        return wanted or self._confirmation(number)

    def _confirmation(self, number: int) -> TrialProposed | None:
        """The next trial that runs one of the best again, once all others have ended."""
        under_way = self.history.under_way.values()
        if not self.confirm_top or not all(trial.confirms for trial in under_way):
            return None
        best = finalists(self.history, self.confirm_top)
        if self.history.n_confirming >= N_CONFIRMATIONS * len(best):
            return None
        trial = best[self.history.n_confirming % len(best)]
        seed = self.trial_seed(number, trial.configuration)
        return TrialProposed(number, trial.configuration, seed, trial.target_epoch, trial.first, confirms=True)

    def _proposal_of(self, number: int) -> Configuration | Wait | Exhausted:
        """The searcher's answer, asked for once: it may take a model seconds."""
        if self._proposal is None or self._proposal[0] != number:
            self._proposal = number, self.searcher.propose(number, list(self.history.under_way.values()))
        return self._proposal[1]

    def _with_expected(self, proposed: TrialProposed) -> TrialProposed:
        """The proposal of a new configuration, with what the searcher expects of it."""
        if proposed.repeats is not None:
            return proposed
        losses = expected(self.searcher, [proposed.configuration])
        if not losses:
            return proposed
        is_minimized = self.direction is Direction.minimize
        return dataclasses.replace(proposed, expected=losses[0] if is_minimized else losses[0].negative())

    def _started(self, segment: Segment, attempt: int = 1) -> Segment:
        trial = self.history.trials[segment.trial]
        self.before_job(dataclasses.replace(trial, target_epoch=segment.target_epoch))
        job = trial.n_jobs + 1
        self._note(SegmentStarted(segment.trial, segment.start_epoch, segment.target_epoch, attempt, job))
        return segment

    def _submit(self, segment: Segment) -> None:
        trial = self.history.trials[segment.trial]
        left_s = None if self.trial_timeout_s is None else max(0.001, self.trial_timeout_s - trial.duration_s)
        self._running[self.workers.submit(segment, trial, left_s)] = segment

    def _end(self, segment: Segment, result: SegmentResult) -> None:
        trial = self.history.trials[segment.trial]
        if result.end is SegmentEnd.UNWRITABLE:
            self._unwritable = self._unwritable or result.failure
            result = dataclasses.replace(result, end=SegmentEnd.CUT_OFF)
        if result.end in (SegmentEnd.DIED, SegmentEnd.LOST) and self.stop_request.is_made:
            # Who stops a whole process group or machine ends the workers, too.
            result = dataclasses.replace(result, end=SegmentEnd.CUT_OFF)
        is_lost = result.end is SegmentEnd.LOST
        if is_lost or (result.end is SegmentEnd.DIED and trial.deaths < self.max_retries):
            reason = line_of_text(result.failure)
            log.warning("trial %d: %s; it starts again from its checkpoint", trial.number, reason)
            kind = SegmentLost if is_lost else SegmentDied
            self._note(kind(trial.number, result.duration_s, as_recorded(result.failure), result.place))
            self._to_continue.appendleft(trial.number)
            return
        self._note(self._ended(segment, result))
        if not self._unwritable:  # else one line says it, and a log's file may be among those that can't be written
            self._log_end(self.history.trials[segment.trial])
        self._check_epochs(segment, result)

    def _ended(self, segment: Segment, result: SegmentResult) -> SegmentEnded:
        state, epoch = self._outcome(segment, result)
        values, failure = values_of(self.metric, result.value), as_recorded(result.failure)
        return SegmentEnded(
            segment.trial,
            state,
            epoch,
            values,
            result.duration_s,
            failure,
            result.folder,
            result.exception,
            result.place,
        )

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
        if trial.confirms:
            return TrialState.COMPLETE, segment.target_epoch
        return self.scheduler.state_after(trial, self.direction.loss(result.value)), segment.target_epoch

    def _check_epochs(self, segment: Segment, result: SegmentResult) -> None:
        """Notes whether the job trained epochs again, and whether it knew its target epoch."""
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
            value = "" if trial.value is None else f" {number_text(trial.value)}"
            log.info("trial %d: %s, %s%s%s", trial.number, trial.state, self.metric, value, mark)

    def _note(self, event: Event) -> None:
        """Takes an event in, to be written with all others of this turn: nothing is submitted before."""
        dated = dataclasses.replace(event, time=self.date())
        self._unwritten.append(dated)
        self._take_in(dated)

    def _write(self) -> None:
        if self._unwritten:
            self.journal.append(*self._unwritten)
            self._unwritten = []

    def _take_in(self, event: Event) -> None:
        self.history.apply(event)
        number = getattr(event, "trial", None)
        if number is not None and self.history.trials[number].confirms:
            return  # nothing that searcher or scheduler decide about
        match event:
            case TrialProposed():
                self.searcher.start(self.history.trials[event.trial])
            case SegmentStarted():
                self._proposal = None  # others are under way from now on
                self.scheduler.start(Segment(event.trial, event.start_epoch, event.target_epoch))
            case SegmentEnded() if event.state is not TrialState.INTERRUPTED:
                self._proposal = None
                trial = self.history.trials[event.trial]
                loss = loss_of(trial, self.direction)
                self.searcher.tell(trial, loss)
                self.scheduler.tell(trial, loss)

    def _why_stop(self) -> SweepEnded | None:
        """Why no more segments should start; None while they should."""
        if self.stop_request.is_made:
            return SweepEnded(Ending.INTERRUPTED)
        if self.time_budget_s is not None and self.clock() - self._started_at >= self.time_budget_s:
            return SweepEnded(Ending.TIME_BUDGET)
        if self._target_is_unheeded:
            return SweepEnded(
                Ending.TARGET_UNHEEDED,
                "the scheduler compares trials at epochs, but the objective trained without knowing which: "
                "let it call hposweep.target_epoch or hposweep.report",
            )
        # Of this run alone: who resumes a sweep has mended what made the trials before it fail.
        judged = self.history.judged
        n_judged, n_failed = len(judged) - self._before[0], self.history.n_failed - self._before[1]
        if self._before[0] == 0 and n_failed == n_judged >= ALIKE_FAILURES_THAT_STOP:
            first = [self.history.trials[number] for number in itertools.islice(judged, ALIKE_FAILURES_THAT_STOP)]
            if len({trial.failure_line for trial in first}) == 1:
                detail = f"the first {len(first)} trials all failed with: {first[0].failure_line}"
                return SweepEnded(Ending.ALIKE_FAILURES, detail)
        if n_judged >= FAILURE_RATE_COUNTS_FROM and n_failed > self.max_failure_rate * n_judged:
            allowed = f"max_failure_rate={self.max_failure_rate:g} allows"
            return SweepEnded(Ending.FAILURE_RATE, f"{n_failed} of {n_judged} trials failed, more than {allowed}")
        return None
