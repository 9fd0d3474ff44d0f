"""Our own writing: whole files atomically, new folders, and what is said when it fails."""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import logging
import os
import secrets
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from hposweep.errors import TakenError, WriteError

log = logging.getLogger(__name__)

# What the system says where something else stands in the way of a file or a folder.
TAKEN = (IsADirectoryError, NotADirectoryError, FileExistsError)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within it we write a file of ours: if the system refuses, that is an error of a kind of its own.

    Raises:
        TakenError: if something else stands in its place.
        WriteError: for any other OSError: a full disk, a quota, a folder that is read-only, no descriptors.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise  # the configuration that the folder's name holds is to blame, and no disk
        is_taken = isinstance(error, TAKEN) or error.errno == errno.ENOTEMPTY
        kind = TakenError if is_taken else WriteError
        raise kind(f"{path}: can't be written ({error.strerror or error})") from error


@contextlib.contextmanager
def done_without() -> Iterator[None]:
    """Within it a file is written that a sweep can do without, if something else stands in its place: said once."""
    try:
        yield
    except TakenError as error:
        warn_once(f"{error}; hposweep does without it")


@functools.lru_cache(maxsize=1000)
def warn_once(message: str) -> None:
    """Warns, once in a process."""
    log.warning("%s", message)


def write_atomically(path: Path, content: str | bytes, *, errors: str = "strict", durable: bool = True) -> None:
    """Replaces the file: whoever reads it has all of the old content or all of the new, however the writer ends.

    Several writers at once don't disturb each other, and no link is followed.

    Args:
        errors: as in `str.encode`.
        durable: whether it is on disk when this returns, and there after a power cut. Without, it is faster.

    Raises:
        WriteError: if it can't be written; then the old file is as it was.
    """
    data = content if isinstance(content, bytes) else content.encode(errors=errors)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with writing(path):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                write_all(descriptor, data)
                if durable:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        if durable:
            sync_folder(path.parent)


def read_file(path: Path) -> bytes:
    """What a file holds that somebody else may have put there.

    Raises:
        OSError: also for a pipe or a device, which reading might never come to the end of.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise PermissionError(errno.EPERM, "a pipe or a device", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def remove_temporaries(folder: Path, names: Collection[str]) -> None:
    """Removes what killed writers of these files have left; for who knows that nobody writes them now."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 (half the time)
            if name.startswith(".") and name.endswith(".tmp") and name[1:].rsplit(".", 2)[0] in names:
                (folder / name).unlink()


def write_all(descriptor: int, content: bytes) -> None:
    """Writes all of it, or raises an OSError: the system may take a part at a time."""
    left = memoryview(content)
    while left:
        n_written = os.write(descriptor, left)
        if n_written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left = left[n_written:]


def sync_folder(folder: Path) -> None:
    """Puts on disk which files the folder has.

    Raises:
        OSError: if the disk fails.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has no such operation for folders
            raise
    finally:
        os.close(descriptor)


def unique_folder(wanted: Path) -> Path:
    """The wanted folder or, if it exists, the first of its name with `-2`, `-3` and so on that doesn't."""
    return next(folder for folder in _names(wanted) if not folder.exists())


def made_unique_folder(wanted: Path) -> Path:
    """The same, made: no other process that asks at the same time gets it, too."""
    for folder in _names(wanted):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError  # names don't end


def _names(wanted: Path) -> Iterator[Path]:
    yield wanted
    yield from (wanted.with_name(f"{wanted.name}-{number}") for number in itertools.count(2))
