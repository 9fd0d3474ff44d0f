"""All sweeps below a folder: found, named and read again and again."""

from __future__ import annotations

import math
import os
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hposweep.errors import ConfigError
from hposweep.history import count_states
from hposweep.number_text import number_text
from hposweep.results.dashboard.sweep_reader import Look, SweepReader
from hposweep.results.overview import Overview, resume_line, sweep_folders
from hposweep.results.shown_values import value_and_seeds
from hposweep.shown_text import cut, visible
from hposweep.trial import TrialState

MOST_CHARACTERS = 500  # of a text in the list
REMOVED = "removed"  # the state of a sweep that was listed once and is gone
# Folders are looked for at most this often, and for at most a tenth of the time: a file system may be slow.
SECONDS_BETWEEN_WALKS = 1.0
SHARE_OF_WALKS = 0.1


@dataclass(frozen=True)
class Listed:
    """A sweep that was found."""

    id: str  # names it in addresses: its path relative to the listed folder, percent-encoded
    name: str  # the same path as people see it; the folder's own name where it is the listed one
    reader: SweepReader


class SweepList:
    """The sweeps below a folder, for any number of threads.

    Args:
        clock: seconds, of any origin.

    Raises:
        ConfigError: if there is no such folder, or it can't be read.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.root = root
        self._clock = clock
        self._lock = threading.Lock()
        self._sweeps: dict[str, Listed] = {}  # all that were ever found, the newest of the last walk first
        self._why = ""  # the listed folder itself can't be read
        self._resume_lines: dict[tuple[str, int], str] = {}
        self._walk()

    def find(self, id: str) -> Listed | None:
        """The sweep that was listed under this id; None where there is none."""
        with self._lock:
            if id not in self._sweeps:  # it may be a new one
                self._look_for_sweeps()
            return self._sweeps.get(id)

    def rows(self) -> dict[str, Any]:
        """What the page of all sweeps shows, as JSON has it."""
        with self._lock:
            if self._clock() >= self._next_walk_at:
                self._look_for_sweeps()
            sweeps = list(self._sweeps.values())
        return {
            "folder": visible(str(self.root.resolve())),
            "why": self._why,
            "sweeps": [self._row(listed, listed.reader.look()) for listed in sweeps],
        }

    def _look_for_sweeps(self) -> None:
        try:
            self._walk()
        except ConfigError as error:
            self._why = f"{error}"

    def told(self, listed: Listed, look: Look) -> dict[str, str]:
        """What a sweep is at, who runs it, and what resumes it."""
        return {
            "state": str(look.overview.state),
            "controller": cut(look.overview.controller, MOST_CHARACTERS),
            "resume": self._resume_line(listed) if look.overview.can_be_resumed else "",
        }

    def _walk(self) -> None:
        started = self._clock()
        self._next_walk_at = started + SECONDS_BETWEEN_WALKS
        found = {}
        for folder in sweep_folders(self.root):
            relative = folder.relative_to(self.root)
            id = urllib.parse.quote(os.fsencode(relative), safe="")
            name = visible(self.root.resolve().name if relative == Path() else str(relative))
            found[id] = self._sweeps.get(id) or Listed(id, name, SweepReader(folder))
        self._sweeps = found | {id: listed for id, listed in self._sweeps.items() if id not in found}
        self._why = ""
        now = self._clock()
        self._next_walk_at = now + max(SECONDS_BETWEEN_WALKS, (now - started) / SHARE_OF_WALKS)

    def _row(self, listed: Listed, look: Look | None) -> dict[str, Any]:
        if look is None:
            return {"id": listed.id, "name": listed.name, "state": REMOVED}
        overview = look.overview
        history = overview.history
        return {
            "id": listed.id,
            "name": listed.name,
            "why": cut(overview.why, MOST_CHARACTERS),
            "n_done": history.n_done,
            "n_trials": max(history.n_trials, len(history.trials)),
            "states": count_states(history),
            "metric": cut(visible(history.metric), MOST_CHARACTERS),
            "direction": str(history.direction),
            "best": _best(overview),
            "started_at": overview.started_at,
            "changed_at": overview.changed_at,
            **self.told(listed, look),
        }

    def _resume_line(self, listed: Listed) -> str:
        """Read once: which front has made a sweep stays as it is."""
        key = listed.id, listed.reader.generation
        if key not in self._resume_lines:
            self._resume_lines[key] = resume_line(listed.reader.folder)
        return self._resume_lines[key]


def _best(overview: Overview) -> dict[str, Any] | None:
    trial, history = overview.best, overview.history
    if trial is None:
        return None
    is_complete = trial.state is TrialState.COMPLETE
    value = history.value_of(trial) if is_complete else trial.value
    if value is None or not math.isfinite(value):
        return None
    text = value_and_seeds(history, trial) if is_complete else number_text(value)
    return {"value": value, "text": text, "trial": trial.number, "is_complete": is_complete}
