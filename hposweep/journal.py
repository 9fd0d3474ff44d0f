"""The journal: the append-only record of everything that the tuner decided and observed, and its replay.

`journal.jsonl` holds one event a line. An event counts once it is on disk; what a sweep knows is what `History.apply`
makes of its events, live and after a restart alike.
"""

from __future__ import annotations

import dataclasses
import datetime
import fcntl
import json
import math
import os
import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hposweep.errors import ConfigError
from hposweep.search_space import Configuration
from hposweep.trial import Direction, Trial, TrialState, incumbent

FILE_NAME = "journal.jsonl"
SCHEMA = 1


def now() -> str:
    """The time of day, ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Event:
    """Something that happened to the sweep."""

    time: str = field(default="", kw_only=True)  # ISO 8601, UTC; given to it when it is recorded


@dataclass(frozen=True)
class SweepStarted(Event):
    """A controller starts: the first line of the journal, and again at each resume."""

    n_trials: int
    seed: int
    metric: str
    direction: Direction
    controller: str = field(default_factory=lambda: f"process {os.getpid()} on {platform.node()}")
    schema: int = SCHEMA


@dataclass(frozen=True)
class TrialProposed(Event):
    """The searcher proposed a configuration, for a trial that begins with this target."""

    trial: int
    configuration: Configuration
    seed: int
    target_epoch: int | None = None


@dataclass(frozen=True)
class SegmentStarted(Event):
    """A Hydra job is about to be submitted."""

    trial: int
    start_epoch: int
    target_epoch: int | None
    attempt: int  # from 1


@dataclass(frozen=True)
class SegmentDied(Event):
    """The worker under the job died; the segment is started again, or ends as failed."""

    trial: int
    duration_s: float
    failure: str


@dataclass(frozen=True)
class SegmentEnded(Event):
    """The job is over; `state` is the trial's from now on, and `epoch` where it stands."""

    trial: int
    state: TrialState
    epoch: int | None
    value: float | None
    duration_s: float
    failure: str = ""
    folder: str = ""


@dataclass(frozen=True)
class FinalEnded(Event):
    """The job on the winner that follows the last trial is over; `value` is None where it failed."""

    trial: int
    value: float | None
    failure: str = ""


@dataclass(frozen=True)
class SweepEnded(Event):
    """The controller ends by itself."""

    reason: str  # "complete", or why it stopped before


EVENTS: dict[str, type[Event]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): kind
    for kind in (SweepStarted, TrialProposed, SegmentStarted, SegmentDied, SegmentEnded, FinalEnded, SweepEnded)
}
NAMES = {kind: name for name, kind in EVENTS.items()}


def to_line(event: Event) -> str:
    """The event as one line of JSON; what is no number is a word, since JSON has none for it."""
    fields = {"event": NAMES[type(event)], **dataclasses.asdict(event)}
    value = fields.get("value")
    if value is not None and not math.isfinite(value):
        fields["value"] = repr(value)
    return json.dumps(fields, ensure_ascii=False)


def from_line(line: str) -> Event:
    """The event of a line.

    Raises:
        ValueError, KeyError, TypeError: if the line is damaged, or of a later version.
    """
    fields: dict[str, Any] = json.loads(line)
    if not isinstance(fields, dict):
        raise TypeError("an event is a mapping")
    if fields.get("time"):
        datetime.datetime.fromisoformat(fields["time"])
    kind = EVENTS[fields.pop("event")]
    if fields.get("value") is not None:
        fields["value"] = float(fields["value"])
    if "state" in fields:
        fields["state"] = TrialState(fields["state"])
    if "direction" in fields:
        fields["direction"] = Direction(fields["direction"])
    return kind(**fields)


@dataclass
class History:
    """What the events so far amount to. Each event costs the same, however many trials there are."""

    n_trials: int = 0
    seed: int = 0
    metric: str = "value"
    direction: Direction = Direction.minimize
    trials: dict[int, Trial] = field(default_factory=dict)
    final: FinalEnded | None = None
    under_way: dict[int, Trial] = field(default_factory=dict)  # those of the trials that run, or were cut off
    incumbent: Trial | None = None
    n_failed: int = 0
    ended_trials: list[int] = field(default_factory=list)  # numbers, in the order of the ends
    judged: dict[int, None] = field(default_factory=dict)  # those that came to a rung or ended, in the order of that
    ended: str = ""  # the reason with which the last controller ended; empty while one runs, or where it was killed

    @property
    def n_ended(self) -> int:
        """Trials that get no more segments."""
        return len(self.ended_trials)

    @property
    def n_done(self) -> int:
        """Trials that have ended, or wait at a rung."""
        return len(self.trials) - len(self.under_way)

    def apply(self, event: Event) -> None:
        """Takes one event in: the only way in which the state of a sweep changes."""
        match event:
            case SweepStarted():
                self.n_trials, self.seed = event.n_trials, event.seed
                self.metric, self.direction = event.metric, event.direction
                self.ended = ""
            case TrialProposed():
                trial = Trial(event.trial, event.configuration, event.seed, target_epoch=event.target_epoch)
                self._put(dataclasses.replace(trial, started_at=event.time))
            case SegmentStarted():
                changes = {"attempts": event.attempt, "target_epoch": event.target_epoch}
                self._replace(event.trial, state=TrialState.RUNNING, **changes)
            case SegmentDied():
                trial = self.trials[event.trial]
                duration_s = trial.duration_s + event.duration_s
                self._replace(event.trial, deaths=trial.deaths + 1, duration_s=duration_s)
            case SegmentEnded():
                trial = self.trials[event.trial]
                self._replace(
                    event.trial,
                    state=event.state,
                    epoch=event.epoch,
                    value=event.value,
                    duration_s=trial.duration_s + event.duration_s,
                    failure=event.failure,
                    folder=event.folder or trial.folder,
                )
            case FinalEnded():
                self.final = event
            case SweepEnded():
                self.ended = event.reason

    def _replace(self, number: int, **changes: Any) -> None:
        self._put(dataclasses.replace(self.trials[number], **changes))

    def _put(self, trial: Trial) -> None:
        self.trials[trial.number] = trial
        if trial.state in (TrialState.RUNNING, TrialState.INTERRUPTED):
            self.under_way[trial.number] = trial
            return
        self.under_way.pop(trial.number, None)
        self.judged.setdefault(trial.number)
        if not trial.state.is_ended:
            return
        self.ended_trials.append(trial.number)
        self.n_failed += trial.state is TrialState.FAILED
        candidates = [trial] if self.incumbent is None else [self.incumbent, trial]
        self.incumbent = incumbent(candidates, self.direction)


class Journal:
    """Appends events to the file of a sweep; each is on disk when `append` returns.

    One controller at a time: the file is locked until it is closed or its process ends, however that happens.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open(path, "ab")  # noqa: SIM115 (open as long as the sweep)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ConfigError(f"{path.parent}: is being run by {_controller_of(path.parent)}") from None
        self._cut_torn_line()

    @classmethod
    def open(cls, sweep_dir: Path) -> Self:
        """The journal of the sweep in this folder, new or to be continued; a torn last line is cut first.

        Raises:
            ConfigError: if another controller has it.
        """
        return cls(sweep_dir / FILE_NAME)

    def append(self, *events: Event) -> None:
        """Writes events that arrived together, with one flush to disk.

        Raises:
            ConfigError: if they can't be written, since the disk is full, say; then none of them counts.
        """
        size = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write("".join(f"{to_line(event)}\n" for event in events).encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            os.ftruncate(self._file.fileno(), size)
            raise ConfigError(
                f"{self.path}: can't be written ({error.strerror}); mend that, then resume the sweep"
            ) from None

    def close(self) -> None:
        self._file.close()

    def _cut_torn_line(self) -> None:
        """Cuts what stands behind the last line's end, so that the next event isn't glued to it."""
        content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.ftruncate(self._file.fileno(), end)
            os.fsync(self._file.fileno())


def _controller_of(sweep_dir: Path) -> str:
    starts = [event for event in read_events(sweep_dir) if isinstance(event, SweepStarted)]
    return f"{starts[-1].controller}, since {starts[-1].time}" if starts else "another process"


def read_events(sweep_dir: Path) -> Iterator[Event]:
    """The events of a sweep's journal; a torn last line, which never counted, is passed over.

    Raises:
        ConfigError: if there is no journal, or a line of it is damaged.
    """
    path = sweep_dir / FILE_NAME
    if not path.is_file():
        raise ConfigError(f"{path}: not found; the folder holds no sweep of hposweep")
    *lines, _torn = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            event = from_line(line.decode())
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}: line {number} is damaged or of a later version of hposweep ({type(error).__name__}: {error})"
            ) from None
        if isinstance(event, SweepStarted) and event.schema > SCHEMA:
            raise ConfigError(
                f"{path}: schema {event.schema} is of a later version of hposweep; this one reads {SCHEMA}"
            )
        yield event


def replay(events: Iterable[Event]) -> History:
    """The history that these events amount to."""
    history = History()
    for event in events:
        history.apply(event)
    return history
