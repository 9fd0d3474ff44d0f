"""Reads the folder of a sweep again and again while it changes, and of it only what has changed."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hposweep.errors import ConfigError
from hposweep.history import Event, History
from hposweep.results import sweep_data
from hposweep.results.overview import Overview, SweepState, of_events
from hposweep.results.sweep_data import SweepData
from hposweep.shown_text import visible
from hposweep.sweep_folder import lease as leases
from hposweep.sweep_folder.journal import FILE_NAME, JournalReader, is_locked
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Trial, TrialState

# The counter of a lease moves every second; a network file system may show that late.
LEASE_STANDS_STILL_S = 5.0
DEPTH_OF_TRIALS = 2  # folders below the sweep's, such as `trials/7`

Rows = Sequence[Mapping[str, float]]
Signature = tuple[int, ...]  # of a file: it changes whenever the file does


@dataclass(frozen=True)
class Look:
    """A sweep as it is now; `version` is another one once anything of it has changed."""

    overview: Overview
    version: str


class SweepReader:
    """One sweep, for any number of threads.

    reader = SweepReader(folder)
    reader.look()    # the overview: reads what the journal has got since
    reader.data()    # all that a page shows: reads the learning curves that have changed since

    Attributes:
        generation: how many journals have stood there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._watch = _RunWatch(folder)
        self._journal: Signature | None = None  # of the file that the events are of
        self._damaged: tuple[Signature | None, str] | None = None  # what could not be read, and why
        self.generation = 0
        self._begin()

    def _begin(self) -> None:
        self.generation += 1
        self._reader = JournalReader(self.folder)
        self._events: list[Event] = []
        self._history = History()
        self._curves: dict[int, tuple[tuple[str, Signature | None], Rows]] = {}
        self._running_folders = _RunningFolders(self.folder)

    def look(self) -> Look | None:
        """What the sweep is at; None where its folder was removed."""
        with self._lock:
            # Before the journal is read: a controller that ends in between leaves its end there.
            is_running = self._watch.is_being_run()
            if not self._read_journal():
                return None
            if self._damaged is not None:
                overview = Overview(self.folder, SweepState.UNREADABLE, self._damaged[1], History(), "", "", "")
                return Look(overview, f"{self.generation}-damaged-{self._damaged[1]}")
            overview = of_events(self.folder, self._events, self._history, is_running=is_running)
            running = [self._signature_of_curve(trial) for trial in self._history.under_way.values()]
            version = f"{self.generation}-{len(self._events)}-{overview.state}-{hash(tuple(running)):x}"
            return Look(overview, version)

    def data(self) -> SweepData:
        """The sweep as its page shows it.

        Raises:
            ConfigError: if the journal is gone or damaged.
        """
        with self._lock:
            is_running = self._watch.is_being_run()
            if not self._read_journal():
                raise ConfigError(f"{self.folder}: was removed")
            if self._damaged is not None:
                raise ConfigError(self._damaged[1])
            return sweep_data.of_events(self.folder, tuple(self._events), self._rows, is_running=is_running)

    def files_of(self, number: int) -> TrialFiles | None:
        """The files of a trial, also of one whose first job runs; None where it has no folder yet, or is none."""
        with self._lock:
            self._read_journal()
            trial = self._history.trials.get(number)
            folder = "" if trial is None else self._folder_of(trial)
            return TrialFiles(self.folder, folder, self._history.schema) if folder else None

    def is_running(self, number: int) -> bool:
        """Whether a job of this trial may run now."""
        with self._lock:
            trial = self._history.trials.get(number)
            return trial is not None and trial.state is TrialState.RUNNING and self._watch.is_being_run()

    def _read_journal(self) -> bool:
        """Takes in what the journal has got since; whether there is a journal."""
        found = _signature(self.folder / FILE_NAME)
        if found is None:
            return False
        if found == self._journal or (self._damaged is not None and found == self._damaged[0]):
            return True
        is_new = self._journal is None or found[:2] != self._journal[:2] or found[2] < self._journal[2]
        if (is_new or self._damaged is not None) and self._journal is not None:
            self._begin()
        self._journal, self._damaged = found, None
        try:
            self._take_in()
        except (ConfigError, OSError):
            # Somebody may have written it anew in the place of the old one.
            self._begin()
            try:
                self._take_in()
            except (ConfigError, OSError) as error:
                self._damaged = found, visible(f"{error}")
        return True

    def _take_in(self) -> None:
        for event in self._reader.new_events():
            shown = sweep_data.masked(event)
            self._events.append(shown)
            self._history.apply(shown)

    def _rows(self, history: History, trial: Trial) -> Rows:
        """The rows of a trial's learning curve; those of an ended one are read once."""
        known = self._curves.get(trial.number)
        key = (str(trial.state), None if trial.state.is_ended else self._signature_of_curve(trial))
        if known is not None and known[0] == key:
            return known[1]
        rows = TrialFiles(self.folder, self._folder_of(trial), history.schema).read_curve()
        self._curves[trial.number] = key, rows
        return rows

    def _signature_of_curve(self, trial: Trial) -> Signature | None:
        files = TrialFiles(self.folder, self._folder_of(trial), self._history.schema)
        return _signature(files.learning_curve)

    def _folder_of(self, trial: Trial) -> str:
        # The journal tells it at the end of a job.
        return trial.folder or self._running_folders.of(trial.number, self._history.schema)


class _RunWatch:
    """Whether a controller runs the sweep, without waiting but for the first time that only a lease tells it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / leases.FILE_NAME
        self._holder: leases.Holder | None = None
        self._moved_at: float | None = None  # by the monotonic clock; None: it has not moved while we looked

    def is_being_run(self) -> bool:
        if is_locked(self._folder):
            return True
        holder = leases.read(self._path)
        if holder is None:
            self._holder, self._moved_at = None, None
            return False
        if self._holder is None:
            self._moved_at = time.monotonic() if leases.is_moving(self._path) else None
        elif holder != self._holder:
            self._moved_at = time.monotonic()
        self._holder = holder
        return self._moved_at is not None and time.monotonic() - self._moved_at < LEASE_STANDS_STILL_S


class _RunningFolders:
    """The folders of trials that the journal does not tell yet: by the marks of their jobs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._of_trial: dict[int, str] = {}
        self._known: set[str] = set()

    def of(self, number: int, schema: int | None) -> str:
        """Relative to the sweep's; empty where none is found."""
        if number not in self._of_trial:
            self._look("", DEPTH_OF_TRIALS, schema)
        return self._of_trial.get(number, "")

    def _look(self, parent: str, depth: int, schema: int | None) -> None:
        with contextlib.suppress(OSError), os.scandir(self._folder / parent) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            for name in names:
                subdir = os.path.join(parent, name)  # noqa: PTH118 (as the journal has it)
                if subdir in self._known:
                    continue
                number = TrialFiles(self._folder, subdir, schema).marked_by()
                if number is not None:
                    self._known.add(subdir)
                    self._of_trial[number] = subdir
                elif depth > 1:
                    self._look(subdir, depth - 1, schema)


def _signature(path: Path) -> Signature | None:
    try:
        found = path.stat()
    except (OSError, ValueError):  # a path that the system takes for none
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
