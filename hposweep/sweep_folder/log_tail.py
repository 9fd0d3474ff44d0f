"""What a trial has printed and logged, a piece at a time: from files of the sweep's own folder alone."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from hposweep.secret_keys import masked_line
from hposweep.shown_text import visible_lines
from hposweep.sweep_folder.trial_files import TrialFiles

MOST_BYTES = 64 * 1024
LOG_SUFFIX = ".log"  # Hydra's, whose files stand in the job's folder
MOST_LOGS = 8
LONGEST_CHARACTER = 4  # bytes, in UTF-8
TERMINAL_STYLE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


@dataclass(frozen=True)
class Piece:
    """A piece of a file."""

    text: str  # whole lines, or of a very long one as much as fits
    rest: str  # what stands behind them at the end of the file: a line that is not all there
    start: int  # where the text begins and ends, in bytes
    end: int
    size: int  # of the whole file


def names(files: TrialFiles) -> list[str]:
    """The files that can be followed: what the job printed, and its logs."""
    found = []
    with contextlib.suppress(OSError), _opened_folder(files, _steps_to(files, files.output.name)[:-1]) as folder:
        if _is_file(files.output.name, folder):
            found.append(files.output.name)
    with contextlib.suppress(OSError), _opened_folder(files, _steps(files.job_folder)) as folder:
        logs = sorted(name for name in _names_in(folder) if name.endswith(LOG_SUFFIX) and _is_file(name, folder))
        found += logs[:MOST_LOGS]
    return found


def piece(files: TrialFiles, name: str, start: int | None) -> Piece:
    """The next piece of a file from a position on, at most `MOST_BYTES`.

    Args:
        name: one of `names`.
        start: in bytes; None: the last piece, from the beginning of a line on. In a file that has become shorter, it
            begins anew.

    Raises:
        OSError: if there is no such file, or a link, a pipe or the like is in its place or on the way to it.
    """
    *steps, last = _steps_to(files, name)
    with _opened_folder(files, steps) as folder:
        descriptor = os.open(last, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise PermissionError(f"{name}: no file")
        is_tail = start is None or start > found.st_size
        begin = max(0, found.st_size - MOST_BYTES) if is_tail else start or 0
        file.seek(begin)
        content = file.read(MOST_BYTES)
    if is_tail and begin:
        cut = content.find(b"\n") + 1
        cut = cut if cut < len(content) else 0  # a line that is longer than that
        begin, content = begin + cut, content[cut:]
    end = content.rfind(b"\n") + 1
    if not end and len(content) == MOST_BYTES:
        end = _whole(content)
    text, rest = content[:end].decode(errors="replace"), content[end:].decode(errors="replace")
    is_all = begin + len(content) >= found.st_size
    return Piece(text, rest if is_all else "", begin, begin + end, found.st_size)


def shown(text: str) -> str:
    """What a terminal would show of it, but for secrets: of a line that was written over and over, the last state."""
    lines = [TERMINAL_STYLE.sub("", line.rstrip("\r").rpartition("\r")[2]).expandtabs() for line in text.split("\n")]
    return visible_lines("\n".join(map(masked_line, lines)))


def _steps_to(files: TrialFiles, name: str) -> list[str]:
    is_output = name == files.output.name
    folder = files.folder if is_output else files.job_dir
    if "/" in name or not (is_output or name.endswith(LOG_SUFFIX)) or not folder.is_relative_to(files.sweep_dir):
        raise PermissionError(f"{name}: can't be followed")
    return [*_steps(str(folder.relative_to(files.sweep_dir))), name]


def _steps(folder: str) -> list[str]:
    """The folders on the way; the journal may be anybody's."""
    path = PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts or "\0" in folder:
        raise PermissionError("the folder is outside of the sweep's")
    return list(path.parts)


@contextlib.contextmanager
def _opened_folder(files: TrialFiles, steps: list[str]) -> Iterator[int]:
    """The descriptor of a folder below the sweep's, no link followed on the way."""
    descriptor = os.open(files.sweep_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for step in steps:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(step, flags, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _names_in(folder: int) -> list[str]:
    return os.listdir(folder)


def _is_file(name: str, folder: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _whole(content: bytes) -> int:
    """The number of bytes up to the end of the last character that is all there."""
    for back in range(1, min(LONGEST_CHARACTER, len(content)) + 1):
        byte = content[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:  # begins a character
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(content) - back if back < length else len(content)
    return len(content)
