"""One run of a sweep in its folder, from taking it up to leaving its results; both fronts call it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hposweep.errors import ConfigError, WriteError
from hposweep.failure import as_recorded, line_of_text
from hposweep.history import Ending, Event, FinalEnded, History, SweepEnded, SweepStarted, TrialProposed
from hposweep.results.dashboard import in_a_process as dashboard
from hposweep.results.html import in_a_process
from hposweep.results.terminal import progress
from hposweep.search_space import SearchSpace
from hposweep.searchers import stage_of
from hposweep.shown_text import plural
from hposweep.sweep_folder import tables
from hposweep.sweep_folder.files import remove_temporaries, sync_folder, writing
from hposweep.sweep_folder.journal import FILE_NAME, Journal, read_events
from hposweep.sweep_folder.keeper import FolderKeeper
from hposweep.sweep_folder.sweep_yaml import (
    RECORD_FILE,
    SweepRecord,
    read_record,
    readable_record,
    taken_up,
    write_record,
)
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Segment, SegmentEnd, SegmentResult, Trial
from hposweep.tuner import POLL_S, STOPPED_BY_THE_USER, EventLog, Tuner
from hposweep.workers.protocol import Workers
from hposweep.workers.stop_signals import StopSignals

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LastJob:
    """One more job on the winner, after the last trial: its value stands in the results under the metric's name."""

    metric: str
    workers: Workers  # of the sweep, with what the job has besides its trial


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended."""

    history: History
    ended: SweepEnded | None  # None: nothing was left to do
    report: in_a_process.Report

    @property
    def why_failed(self) -> str:
        """What was wrong, for a sweep that stopped early or came to no result; empty where all is well."""
        if self.ended is not None and self.ended.ending is not Ending.COMPLETE:
            return "" if self.ended.ending in STOPPED_BY_THE_USER else f"the sweep stopped early: {self.ended.text}"
        if self.history.trials and self.history.n_failed == len(self.history.trials):
            return "no trial came to a result"
        return ""


@dataclass(frozen=True)
class SweepRun:
    """What a front knows of the sweep that it wants to be run.

    Args:
        sweep_dir: its folder, which is there.
        tuner_on: makes the tuner whose events this log keeps.
        record: what `sweep.yaml` is to hold.
        check_same: raises a ConfigError where the record that the folder holds already is another sweep's.
        key: what the front calls an option, for messages.
        n_trials: how many there will be at most, those that confirm the best among them.
        folder_of: the folder of the trial's next job, relative to the sweep's; empty where nobody knows it yet.
        recovered: what stands in for a record that is lost or damaged; raises a ConfigError where nothing does.
        before_first_trial: says what its user should know by then.
        stop_signals: the user's wish to stop. Signals reach the main thread alone; in any other one they are the
            business of who started it.
        is_watched: whether workers on other machines are to see that the controller lives.
        shows_dashboard: is given the link of the dashboard that is served while the sweep runs; None: none is.
    """

    sweep_dir: Path
    tuner_on: Callable[[EventLog], Tuner]
    record: SweepRecord
    check_same: Callable[[SweepRecord], None]
    key: Callable[[str], str]
    n_trials: int
    folder_of: Callable[[Trial], str]
    stop_signals: StopSignals
    recovered: Callable[[], SweepRecord] | None = None
    progress: str = "auto"
    final: LastJob | None = None
    keeps_checkpoints: bool = False
    is_watched: bool = False
    shows_dashboard: Callable[[str], None] | None = None
    before_first_trial: Callable[[], None] = field(default=lambda: None)
    _folders: dict[int, str] = field(default_factory=dict, init=False)  # of trials whose jobs were started
    _owners: dict[str, int] = field(default_factory=dict, init=False)  # the first trial of each folder

    def run(self) -> Outcome:
        """Runs what is left of the sweep, its progress shown and its files kept in order.

        Raises:
            ConfigError: if another sweep stands in the folder, another controller runs this one, its journal is
                damaged, or it has more trials than are wanted.
            WriteError: if a file of ours can't be written; the sweep can be resumed.
        """
        try:
            return self._run()
        except WriteError as error:
            raise WriteError(f"{error}; mend that, then resume the sweep") from error

    def _run(self) -> Outcome:
        journal = Journal.open(self.sweep_dir, is_watched=self.is_watched)
        try:
            tuner = self.tuner_on(journal)
            record = self._take_up(tuner)
            if record is None:
                return self._finished(tuner)
            self._remove_temporaries()
            write_record(self.sweep_dir, record)
            with writing(self.sweep_dir):
                sync_folder(self.sweep_dir.parent)
            self.before_first_trial()
            with self._dashboard():
                ended = self._run_tuner(tuner, journal)
        finally:
            journal.close()
        tables.write(self.sweep_dir, tuner.history, self._final_metric)
        return Outcome(tuner.history, ended, in_a_process.make(self.sweep_dir))

    def _dashboard(self) -> contextlib.AbstractContextManager[None]:
        if self.shows_dashboard is None:
            return contextlib.nullcontext()
        return dashboard.shown(self.sweep_dir, self.shows_dashboard)

    def _take_up(self, tuner: Tuner) -> SweepRecord | None:
        """Replays what the folder holds, and returns what `sweep.yaml` has to hold from now on; None: all is done."""
        events = list(read_events(self.sweep_dir))
        if not events:
            return self.record
        recorded = self._recorded(events)
        self.check_same(recorded)
        tuner.replay(events)
        n_there = len(tuner.history.trials) - tuner.history.n_confirming
        if tuner.history.n_confirming and tuner.n_trials > tuner.history.n_trials:
            raise ConfigError(
                f"{self.key('n_trials')}: the best trials of the sweep in {self.sweep_dir} are confirmed already, so "
                f"none can follow, got {tuner.n_trials}; name another folder"
            )
        if tuner.n_trials < n_there:
            raise ConfigError(
                f"{self.key('n_trials')}: the sweep in {self.sweep_dir} has {n_there} trials already, "
                f"got {tuner.n_trials}"
            )
        is_final_done = self.final is None or tuner.history.is_final_done or tuner.history.incumbent is None
        if tuner.is_complete() and tuner.history.is_complete and is_final_done:
            if readable_record(self.sweep_dir) is None:
                write_record(self.sweep_dir, recorded)
            return None
        if tuner.history.trials:
            log.info("resuming: %d of %d trials have ended", tuner.history.n_ended, tuner.n_trials)
        return taken_up(recorded, self.record)

    def _recorded(self, events: Sequence[Event]) -> SweepRecord:
        """What `sweep.yaml` holds, or what stands in for it, if the journal may be of the same sweep."""
        try:
            recorded, why_not = read_record(self.sweep_dir), f"{self.sweep_dir / RECORD_FILE}: not found"
        except ConfigError as error:
            recorded, why_not = None, f"{error}"
        if recorded is not None:
            return recorded
        if self.recovered is None:
            raise ConfigError(f"{why_not}; it tells which sweep stands in the folder")
        try:
            recorded = self.recovered()
        except ConfigError as error:
            raise ConfigError(f"{why_not}; nothing else tells which sweep stands in the folder: {error}") from None
        space = SearchSpace.of(self.record.dimensions)
        for event in events:
            if isinstance(event, SweepStarted) and event.seed != self.record.seed:
                raise ConfigError(f"{why_not}; the journal is of another sweep, whose seed is {event.seed}")
            if isinstance(event, TrialProposed) and event.configuration not in space:
                raise ConfigError(
                    f"{why_not}; the journal is of another sweep, of which trial {event.trial} is none here"
                )
        log.warning("%s; it is written anew, without what only it told", why_not)
        return recorded

    def _finished(self, tuner: Tuner) -> Outcome:
        """Nothing is left to run: writes what a kill after the last trial has left unwritten."""
        history = tuner.history
        if history.n_confirming:
            more = "the best of them are confirmed"
        elif tuner.n_trials > len(history.trials):
            more = "no other configuration is left"
        else:
            more = "more n_trials extend it"
        log.info("the sweep is finished: %s; %s", plural(len(history.trials), "trial"), more)
        tables.write(self.sweep_dir, history, self._final_metric)
        report = self.sweep_dir / in_a_process.FILE_NAME
        if report.is_file() and report.stat().st_mtime_ns >= (self.sweep_dir / FILE_NAME).stat().st_mtime_ns:
            return Outcome(history, None, in_a_process.Report(report))
        return Outcome(history, history.end, in_a_process.make(self.sweep_dir))

    def _remove_temporaries(self) -> None:
        names = (RECORD_FILE, tables.TRIALS_FILE, tables.RESULTS_FILE, in_a_process.FILE_NAME)
        remove_temporaries(self.sweep_dir, names)

    def _run_tuner(self, tuner: Tuner, journal: Journal) -> SweepEnded:
        keeper = FolderKeeper(
            self.sweep_dir, tuner.history, self._final_metric, keeps_checkpoints=self.keeps_checkpoints
        )

        def observer() -> None:
            journal.check()
            keeper()

        tuner.observer = observer
        self._owners.update((trial.folder, trial.number) for trial in tuner.history.trials.values() if trial.folder)

        def files_of(trial: Trial) -> TrialFiles:
            return TrialFiles(self.sweep_dir, self._folders.get(trial.number, ""), tuner.history.schema)

        def before_job(trial: Trial) -> None:
            folder = self._folders[trial.number] = self.folder_of(trial)
            is_own = self._owners.setdefault(folder, trial.number) == trial.number
            if is_own and trial.n_jobs == 0:
                journal.check()
                files_of(trial).clear()

        tuner.before_job = before_job
        view = progress.LiveView(
            tuner.history,
            self.n_trials,
            files_of,
            overview=tuner.workers.overview,
            stage=lambda: stage_of(tuner.searcher),
            time_budget_s=tuner.time_budget_s,
        )
        is_main_thread = threading.current_thread() is threading.main_thread()
        with self.stop_signals if is_main_thread else contextlib.nullcontext():
            try:
                with progress.shown(self.progress, view):
                    ended = tuner.run()
                if ended.ending is Ending.COMPLETE:
                    self._run_last_job(tuner)
            except KeyboardInterrupt:
                ended = SweepEnded(Ending.INTERRUPTED)
            finally:
                tuner.workers.stop()
        keeper.end(is_complete=ended.ending is Ending.COMPLETE)
        return ended

    def _run_last_job(self, tuner: Tuner) -> None:
        winner = tuner.history.incumbent
        if self.final is None or winner is None or tuner.history.is_final_done:
            return
        result = SegmentResult(0.0, end=SegmentEnd.LOST)
        while result.end is SegmentEnd.LOST:
            if result.failure:
                reason = line_of_text(result.failure)
                log.warning("%s of trial %d: %s; it starts again", self.final.metric, winner.number, reason)
            winner = dataclasses.replace(winner, n_jobs=winner.n_jobs + 1)
            result = self._result_of_last_job(self.final.workers, winner)
        if result.end is SegmentEnd.UNWRITABLE:
            raise WriteError(result.failure)
        value = result.value if result.value is not None and math.isfinite(result.value) else None
        tuner.commit(FinalEnded(winner.number, value, as_recorded(result.failure)))
        if value is None:
            reason = result.exception or line_of_text(result.failure)
            log.warning("%s of trial %d: failed, %s", self.final.metric, winner.number, reason)

    def _result_of_last_job(self, workers: Workers, job: Trial) -> SegmentResult:
        future = workers.submit(Segment(job.number, job.epoch or 0, job.epoch), job, None)
        while not workers.wait([future], POLL_S):
            if self.stop_signals.is_made:
                raise KeyboardInterrupt
        return future.result()

    @property
    def _final_metric(self) -> str | None:
        return None if self.final is None else self.final.metric
