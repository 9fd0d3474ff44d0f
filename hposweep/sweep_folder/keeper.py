"""Keeps a sweep's folder in order while it runs: rewrites tables every few seconds, and removes checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hposweep.history import History
from hposweep.sweep_folder import tables
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Trial, TrialState

SECONDS_BETWEEN_TABLES = 10.0
MOST_TRIALS_AT_ONCE = 256  # whose checkpoints are removed: a resumed sweep may have many that ended before


class Rewriter:
    """Rewrites the tables every few seconds while the sweep runs, for readers and in case of a kill.

    Never more than a twentieth of the time, however many trials there are.
    """

    def __init__(
        self, sweep_dir: Path, history: History, final_metric: str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tables, self._clock = tables.TablesUnderWay(sweep_dir, history, final_metric), clock
        self._due_at = clock() + SECONDS_BETWEEN_TABLES

    def __call__(self) -> None:
        started = self._clock()
        if started < self._due_at:
            self._tables.make_rows()
            return
        self._tables.write()
        ended = self._clock()
        self._due_at = ended + max(SECONDS_BETWEEN_TABLES, 20 * (ended - started))


class CheckpointKeeper:
    """Removes the checkpoints of ended trials, except the best one's, while the sweep runs."""

    def __init__(self, sweep_dir: Path, history: History) -> None:
        self._sweep_dir, self._history = sweep_dir, history
        self._n_seen = 0
        self._kept: Trial | None = None  # the incumbent when it last looked

    def __call__(self) -> None:
        """Looks at trials that have ended since the last call."""
        numbers = self._history.ended_trials[self._n_seen : self._n_seen + MOST_TRIALS_AT_ONCE]
        ended = [self._history.trials[number] for number in numbers]
        if not ended:
            return
        self._n_seen += len(ended)
        incumbent = self._history.incumbent
        for trial in (*ended, *([self._kept] if self._kept else [])):
            if trial is not incumbent:
                self._files_of(trial).remove_checkpoints()
        self._kept = incumbent

    def catch_up(self) -> None:
        """Looks at all trials that have ended."""
        while self._n_seen < len(self._history.ended_trials):
            self()

    def end(self) -> None:
        """The sweep is over: trials that wait at a rung need theirs no more."""
        self.catch_up()
        for trial in self._history.trials.values():
            if trial.state is TrialState.PAUSED:
                self._files_of(trial).remove_checkpoints()

    def _files_of(self, trial: Trial) -> TrialFiles:
        return TrialFiles(self._sweep_dir, trial.folder, self._history.schema)


class FolderKeeper:
    """Keeps a sweep's folder in order while it runs: what the tuner calls as its observer.

    Args:
        keeps_checkpoints: whether all of them stay.
    """

    def __init__(self, sweep_dir: Path, history: History, final_metric: str | None, *, keeps_checkpoints: bool) -> None:
        self._checkpoints = None if keeps_checkpoints else CheckpointKeeper(sweep_dir, history)
        self._rewriter = Rewriter(sweep_dir, history, final_metric)

    def __call__(self) -> None:
        if self._checkpoints is not None:
            self._checkpoints()
        self._rewriter()

    def end(self, *, is_complete: bool) -> None:
        """This run of the sweep is over; `is_complete` where no trial will go on."""
        if self._checkpoints is None:
            return
        self._checkpoints.catch_up()
        if is_complete:
            self._checkpoints.end()
