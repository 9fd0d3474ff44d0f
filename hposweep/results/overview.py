"""Sweeps of a folder at a glance: state, progress, best value, who runs them. From their journals alone."""

from __future__ import annotations

import contextlib
import enum
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hposweep.errors import ConfigError
from hposweep.history import Event, History, SweepStarted, best_partial, replay
from hposweep.shown_text import shell_line, visible
from hposweep.sweep_folder.journal import FILE_NAME, is_being_run, read_events
from hposweep.sweep_folder.sweep_yaml import FunctionRecord, readable_record
from hposweep.trial import Trial

DEPTH = 3  # a project's outputs/<sweep> and multirun/<date>/<time>


class SweepState(enum.StrEnum):
    """What a sweep is at."""

    RUNNING = "running"
    FINISHED = "finished"  # nothing is left to run
    STOPPED = "stopped"  # its run ended by itself, or was stopped by its user; it can be resumed
    KILLED = "killed"  # its run ended without a word; it can be resumed
    UNREADABLE = "unreadable"  # its journal is damaged, or of a later version


@dataclass(frozen=True)
class Overview:
    """One sweep."""

    folder: Path
    state: SweepState
    why: str  # it stopped, or can't be read; empty otherwise
    history: History
    controller: str  # that runs it, or has run it last, such as `process 7 on node3`
    started_at: str  # of its first run: ISO 8601, UTC
    changed_at: str  # of its last event

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def can_be_resumed(self) -> bool:
        """Whether its last run is over and has left something to run."""
        return self.state in (SweepState.STOPPED, SweepState.KILLED)

    @property
    def best(self) -> Trial | None:
        """The winner or, without a complete trial, the best of the others."""
        return self.history.incumbent or best_partial(self.history)


def overview(folder: Path) -> Overview:
    """What the sweep in this folder is at; a journal that can't be read is a state, too."""
    # Before the journal is read: a controller that ends in between leaves its end there.
    is_running = is_being_run(folder)
    try:
        events = list(read_events(folder))
    except (ConfigError, OSError) as error:
        return Overview(folder, SweepState.UNREADABLE, visible(f"{error}"), History(), "", "", "")
    return of_events(folder, events, replay(events), is_running=is_running)


def of_events(folder: Path, events: list[Event], history: History, *, is_running: bool) -> Overview:
    """The overview of a sweep whose journal holds these events, which amount to this history."""
    starts = [event for event in events if isinstance(event, SweepStarted)]
    state, why = _state(history, is_running=is_running)
    return Overview(
        folder=folder,
        state=state,
        why=why,
        history=history,
        controller=visible(starts[-1].controller) if starts else "",
        started_at=starts[0].time if starts else "",
        changed_at=events[-1].time if events else "",
    )


def resume_line(folder: Path) -> str:
    """What resumes the sweep in this folder, from anywhere: a line for a shell, or for Python where a function's."""
    path = os.path.abspath(folder)  # noqa: PTH100 (links stay)
    if isinstance(readable_record(folder), FunctionRecord):
        return f"hposweep.tune(..., folder={path!r})"
    return shell_line(["python", "-m", "hposweep", "resume", path])


def sweep_folders(folder: Path) -> Iterator[Path]:
    """The folders of sweeps in this folder, and it itself where it is one; the newest first, by their journals.

    Those of sweeps may lie `DEPTH` folders deep, as Hydra's `multirun/<date>/<time>` do. No link is followed, and no
    hidden folder or folder of a sweep is entered.

    Raises:
        ConfigError: if there is no such folder, or it can't be read.
    """
    if (folder / FILE_NAME).is_file():
        yield folder
        return
    try:
        inside = _folders_in(folder)
    except FileNotFoundError:
        raise ConfigError(f"{folder}: no such folder") from None
    except OSError as error:
        raise ConfigError(f"{folder}: can't be read ({error.strerror})") from None
    found = []
    for _ in range(DEPTH):
        deeper: list[Path] = []
        for path in inside:
            if (path / FILE_NAME).is_file():
                found.append(path)
            else:
                deeper.append(path)
        inside = []
        for path in deeper:
            with contextlib.suppress(OSError):  # somebody else's, or removed in the meantime
                inside += _folders_in(path)
    yield from sorted(found, key=_changed_ns, reverse=True)


def _folders_in(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        ]


def _changed_ns(folder: Path) -> int:
    try:
        return (folder / FILE_NAME).stat().st_mtime_ns
    except OSError:  # removed in the meantime
        return 0


def _state(history: History, *, is_running: bool) -> tuple[SweepState, str]:
    if is_running:
        return SweepState.RUNNING, ""
    if history.is_complete:
        return SweepState.FINISHED, ""
    if history.end is not None:
        return SweepState.STOPPED, visible(history.end.text)
    return SweepState.KILLED, ""
