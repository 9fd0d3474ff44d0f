"""`journal.jsonl`: the append-only record of a sweep's events, one a line.

A line is a JSON object: `line`, its number from 1; `event`, the event's kind; the event's fields; and at the end
`check`, the CRC-32 of what stands before it. So a line that was changed, removed, doubled or moved is noticed. An event
counts once it is on disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import errno
import fcntl
import json
import logging
import math
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from hposweep.errors import ConfigError
from hposweep.history import (
    SCHEMA,
    Ending,
    Event,
    FinalEnded,
    SegmentDied,
    SegmentEnded,
    SegmentLost,
    SegmentStarted,
    SweepEnded,
    SweepStarted,
    TrialProposed,
)
from hposweep.sweep_folder import lease as leases
from hposweep.sweep_folder.files import write_all, writing
from hposweep.sweep_folder.journal_schema1 import Schema1
from hposweep.sweep_folder.lease import HeldError, Lease
from hposweep.trial import Direction, Expected, TrialState

log = logging.getLogger(__name__)

FILE_NAME = "journal.jsonl"
# What a file system says that has no locks: NFS without its lock service, some of those in user space, Lustre.
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
# A reader that looks whether the journal is locked has it locked for a moment.
N_ATTEMPTS = 25
SECONDS_BETWEEN_ATTEMPTS = 0.02
CHECK = re.compile(r', "check": "([0-9a-f]{8})"\}$')

KINDS: list[type[Event]] = [SweepStarted, TrialProposed, SegmentStarted, SegmentDied, SegmentLost, SegmentEnded]
KINDS += [FinalEnded, SweepEnded]
OF_A_SEGMENT = (SegmentStarted, SegmentDied, SegmentLost, SegmentEnded)
LARGEST_COUNT = 2**53  # what comes after is no trial, epoch or job
TYPES: dict[str, Callable[[Any], bool]] = {  # by the annotation of a field; what has none here is made of its text
    "str": lambda value: isinstance(value, str),
    "int": lambda value: _is_count(value),
    "bool": lambda value: isinstance(value, bool),
    "int | None": lambda value: value is None or _is_count(value),
    "float": lambda value: _is_number(value),
    "Configuration": lambda value: isinstance(value, dict),
    "Mapping[str, float]": lambda value: isinstance(value, dict),
    "Expected | None": lambda value: value is None or _is_expected(value),
}
EVENTS: dict[str, type[Event]] = {re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): kind for kind in KINDS}
# What is left out of the lines of trials that repeat none or of which nothing was expected, and of jobs on the one
# machine.
OF_FEW = {"repeats": None, "confirms": False, "expected": None, "place": ""}
NAMES = {kind: name for name, kind in EVENTS.items()}
FIELDS = {kind: [each.name for each in dataclasses.fields(kind)] for kind in KINDS}
# The fields whose values have one type, with its check; a seed may be the user's own.
CHECKS: dict[type[Event], list[tuple[str, Callable[[Any], bool]]]] = {
    kind: [
        (each.name, TYPES[str(each.type)])
        for each in dataclasses.fields(kind)
        if str(each.type) in TYPES and each.name != "seed"
    ]
    for kind in KINDS
}


def to_line(event: Event, number: int) -> str:
    """The event as line `number` of the file, without its end; what is no number is a word, as JSON has none for it."""
    fields = {"line": number, "event": NAMES[type(event)], **_fields(event)}
    if "value" in fields:
        fields["value"] = _worded(fields["value"])
    if "values" in fields:
        fields["values"] = {name: _worded(value) for name, value in fields["values"].items()}
    if "expected" in fields:
        fields["expected"] = vars(fields["expected"])
    text = json.dumps(fields, ensure_ascii=False)
    return f'{text[:-1]}, "check": "{_check(text)}"}}'


def from_line(line: str, number: int) -> Event:
    """The event of line `number` of the file.

    Raises:
        ValueError, KeyError, TypeError: if the line is damaged or another one, or of a later version.
    """
    found = CHECK.search(line)
    if found is None:
        raise ValueError("it has no checksum")
    text = f"{line[: found.start()]}}}"
    if _check(text) != found[1]:
        raise ValueError("its checksum is wrong")
    fields = json.loads(text)
    if fields.pop("line") != number:
        raise ValueError("it is not the line that was written here")
    return _event(fields)


def _fields(event: Event) -> dict[str, Any]:
    # Not `asdict`: it would copy every configuration in depth.
    found = {name: getattr(event, name) for name in FIELDS[type(event)]}
    return {name: value for name, value in found.items() if value != OF_FEW.get(name, ...)}


def _event(fields: Mapping[str, Any]) -> Event:
    fields = dict(fields)
    if fields.get("time"):
        datetime.datetime.fromisoformat(fields["time"])
    kind = EVENTS[fields.pop("event")]
    _check_types(kind, fields)
    if fields.get("value") is not None:
        fields["value"] = float(fields["value"])
    if "values" in fields:
        fields["values"] = {name: float(value) for name, value in fields["values"].items()}
    if fields.get("expected") is not None:
        fields["expected"] = _expected(fields["expected"])
    for name, enumeration in (("state", TrialState), ("direction", Direction), ("ending", Ending)):
        if name in fields:
            fields[name] = enumeration(fields[name])
    return kind(**fields)


def _check_types(kind: type[Event], fields: Mapping[str, Any]) -> None:
    """Raises a TypeError where a value is not of the type that its field has: somebody has made the line."""
    for name, is_right in CHECKS[kind]:
        if name in fields and not is_right(fields[name]):
            raise TypeError(f"its field {name!r} can't be this")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < LARGEST_COUNT


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_expected(value: object) -> bool:
    return isinstance(value, dict) and all(
        TYPES["int | None"](each) if name == "epoch" else _is_number(each) for name, each in value.items()
    )


def _expected(fields: Mapping[str, Any]) -> Expected:
    numbers = {name: float(each) for name, each in fields.items() if name != "epoch"}
    return Expected(**numbers, epoch=fields["epoch"])


def _worded(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else repr(value)


def _check(text: str) -> str:
    return f"{zlib.crc32(text.encode(errors='surrogatepass')):08x}"


class Journal:
    """Appends events to the file of a sweep; each is on disk when `append` returns.

    One controller at a time: the file is locked until it is closed or its process ends, however that happens. Where the
    file system has no locks, a lease beside it does the same, ten seconds later.

    Args:
        is_watched: whether others are to see that the controller lives: then there is a lease in any case.

    Attributes:
        lease: None where there is none.
    """

    def __init__(self, path: Path, *, is_watched: bool = False) -> None:
        self.path = path
        self.lease: Lease | None = None
        with writing(path):
            # Unbuffered: a buffer would write what a full disk refused when it is closed, behind the cut.
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (open as long as the sweep)
            try:
                is_locked = self._is_locked()
                if is_watched or not is_locked:
                    lease = Lease(path.with_name(leases.FILE_NAME))
                    lease.take(is_locked=is_locked)
                    self.lease = lease
                self._n_lines, self._size = self._cut_torn_line()
            except (BlockingIOError, HeldError):
                self.close()
                raise ConfigError(f"{path.parent}: is being run by {_controller_of(path.parent)}") from None
            except BaseException:
                self.close()
                raise

    @classmethod
    def open(cls, sweep_dir: Path, *, is_watched: bool = False) -> Self:
        """The journal of the sweep in this folder, new or to be continued; a torn last line is cut first.

        Raises:
            ConfigError: if another controller has it.
            WriteError: if it can't be written.
        """
        return cls(sweep_dir / FILE_NAME, is_watched=is_watched)

    def append(self, *events: Event) -> None:
        """Writes events that arrived together, with one flush to disk.

        Raises:
            WriteError: if they can't be written, since the disk is full, say; then the file is as it was before.
            ConfigError: as `check`.
        """
        if not events:
            return
        self.check()
        lines = [to_line(event, number) for number, event in enumerate(events, start=self._n_lines + 1)]
        content = "".join(f"{line}\n" for line in lines).encode()
        with writing(self.path):
            try:
                write_all(self._file.fileno(), content)
                os.fsync(self._file.fileno())
            except OSError:
                os.ftruncate(self._file.fileno(), self._size)
                raise
        self._size += len(content)
        self._n_lines += len(lines)

    def check(self) -> None:
        """Looks whether this is still the sweep's controller, before it changes anything in the folder.

        Raises:
            ConfigError: if the file was removed, replaced or written by somebody else, or the lease is another's: one
                that runs the sweep, or has run it, since this one stood still.
        """
        if self.lease is not None:
            self.lease.check()
        try:
            found = self.path.stat()
            is_there = os.path.samestat(found, os.fstat(self._file.fileno()))
        except OSError:
            is_there = False
        if not is_there or found.st_size != self._size:
            how = "written by somebody else" if is_there else "removed or replaced"
            raise ConfigError(f"{self.path}: was {how} while the sweep ran; the sweep has stopped")

    def close(self) -> None:
        if self.lease is not None:
            self.lease.release()
        self._file.close()

    def _is_locked(self) -> bool:
        """Whether the file could be locked; not where its file system has no locks.

        Raises:
            BlockingIOError: if another process has locked it.
        """
        for _ in range(N_ATTEMPTS - 1):
            with contextlib.suppress(BlockingIOError):
                return self._lock()
            time.sleep(SECONDS_BETWEEN_ATTEMPTS)
        return self._lock()

    def _lock(self) -> bool:
        """As `_is_locked`, at once."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            log.info("%s: its file system has no locks; a lease stands in for them", self.path)
            return False
        return True

    def _cut_torn_line(self) -> tuple[int, int]:
        """Cuts what stands behind the last line's end, so that the next event isn't glued to it.

        Returns:
            How many lines and bytes are left.
        """
        content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.ftruncate(self._file.fileno(), end)
            os.fsync(self._file.fileno())
        return content.count(b"\n"), end


def is_being_run(sweep_dir: Path) -> bool:
    """Whether a controller has the journal of this sweep now.

    Where a lease tells it and no lock does, on a file system without locks or of another machine, it takes a moment.
    """
    return is_locked(sweep_dir) or leases.is_moving(sweep_dir / leases.FILE_NAME)


def is_locked(sweep_dir: Path) -> bool:
    """Whether a controller of this machine, or of one that shares its locks, has the journal of this sweep now."""
    try:
        # Without waiting: in the place of the file there may be a pipe.
        descriptor = os.open(sweep_dir / FILE_NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # no journal
        return False
    try:
        # A shared lock, for a moment: other readers have theirs, and a controller that starts tries again.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks
        return False
    finally:
        os.close(descriptor)
    return False


def _controller_of(sweep_dir: Path) -> str:
    starts = [event for event in read_events(sweep_dir) if isinstance(event, SweepStarted)]
    return f"{starts[-1].controller}, since {starts[-1].time}" if starts else "another process"


def first_schema(sweep_dir: Path) -> int | None:
    """The schema with which the sweep in this folder began; None where none has begun.

    Raises:
        ConfigError: as `read_events`.
    """
    if not (sweep_dir / FILE_NAME).is_file():
        return None
    return next((event.schema for event in read_events(sweep_dir) if isinstance(event, SweepStarted)), None)


def read_events(sweep_dir: Path) -> Iterator[Event]:
    """The events of a sweep's journal; a torn last line, which never counted, is passed over.

    A journal may begin with lines of schema 1, and go on with those of schema 2 from a resume on.

    Raises:
        ConfigError: if there is no journal, or a line of it is damaged, missing, or stands in another place.
    """
    return JournalReader(sweep_dir).new_events()


class JournalReader:
    """Reads a journal while it grows: what was read once is not read again.

        reader = JournalReader(sweep_dir)
        list(reader.new_events())    # all events so far
        list(reader.new_events())    # those since

    Who has got an error, or has not taken all events, begins with another reader.
    """

    def __init__(self, sweep_dir: Path) -> None:
        self._path = sweep_dir / FILE_NAME
        self._n_lines = 0
        self._size = 0  # of the lines that were read, in bytes
        self._schema1: Schema1 | None = None
        self._proposed: set[int] = set()

    def new_events(self) -> Iterator[Event]:
        """The events that were written since the last call.

        Raises:
            ConfigError: as `read_events`.
        """
        path = self._path
        if not path.is_file():
            raise ConfigError(f"{path}: not found; the folder holds no sweep of hposweep")
        with open(path, "rb") as file:
            file.seek(self._size)
            *lines, _torn = file.read().split(b"\n")
        if lines and not self._n_lines and CHECK.search(lines[0].decode(errors="replace")) is None:
            self._schema1 = Schema1()
        for line in lines:
            event = self._event_of(line, self._n_lines + 1)
            self._n_lines += 1
            self._size += len(line) + 1
            yield event

    def _event_of(self, line: bytes, number: int) -> Event:
        path = self._path
        try:
            text = line.decode()
            if self._schema1 is not None and CHECK.search(text) is not None:
                self._schema1 = None  # from here on a later version has written
            if self._schema1 is None:
                event = from_line(text, number)
            else:
                event = _event(self._schema1.translated(json.loads(text)))
            if isinstance(event, TrialProposed):
                self._proposed.add(event.trial)
            elif isinstance(event, OF_A_SEGMENT) and event.trial not in self._proposed:
                raise ValueError("no line before it proposes its trial")
        # RecursionError: nested deeper than any event is.
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ConfigError(
                f"{path}: line {number} is damaged or of a later version of hposweep ({type(error).__name__}: {error})"
            ) from None
        if isinstance(event, SweepStarted) and event.schema > SCHEMA:
            raise ConfigError(
                f"{path}: schema {event.schema} is of a later version of hposweep; this one reads up to {SCHEMA}"
            )
        return event
