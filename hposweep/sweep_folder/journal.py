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
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from hposweep.errors import ConfigError
from hposweep.history import (
    SCHEMA,
    Event,
    FinalEnded,
    SegmentDied,
    SegmentEnded,
    SegmentStarted,
    SweepEnded,
    SweepStarted,
    TrialProposed,
)
from hposweep.trial import Direction, TrialState

FILE_NAME = "journal.jsonl"


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
