"""Errors that a user can mend, and the words in them."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from hposweep.shown_text import cut, visible

MOST_CHARACTERS = 5_000
# A disk that is full, over its quota, read-only or broken, a file that may not grow further, no descriptors.
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.EMFILE, errno.ENFILE)


class ConfigError(ValueError):
    """Something that the user wrote can't be used; the message is one line: where, what, what is allowed.

    It is shown without a traceback. Any other exception is our own bug, and keeps its traceback. What the message holds
    of the user's, or of a folder's, is shown with control characters as escapes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(visible(cut(message, MOST_CHARACTERS)))


class WriteError(ConfigError):
    """A file of ours can't be written, since the disk is full, say; the message names it.

    The sweep stops, no trial is to blame, and it is resumed once that is mended.
    """


class TakenError(WriteError):
    """Something else, such as a folder, stands in the place of one of our files; the sweep can do without most."""


def write_error(error: BaseException, where: Path) -> WriteError | None:
    """What Hydra or a launcher raised, if that is because a file can't be written; else None.

    They don't say so by a kind of their own: the error's number tells it, or that of its cause.

    Args:
        where: what is named where the error names no file.
    """
    if isinstance(error, WriteError):
        return error
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in OF_THE_DISK:
            file = where if cause.filename is None else cause.filename
            return WriteError(f"{file}: can't be written ({cause.strerror})")
        cause = cause.__cause__
    return None


class SweepError(RuntimeError):
    """A sweep stopped early; its results so far are in its folder."""


def nearest(word: str, allowed: list[str]) -> str:
    """`; did you mean 'x'? ` for the closest of the allowed words, and where none is close a full stop."""
    import difflib  # only where something is misspelt

    close = difflib.get_close_matches(word, allowed, n=1)
    return f"; did you mean '{close[0]}'? " if close else ". "


def type_text(value: object) -> str:
    """What stands for a value that has no text."""
    return f"<{type(value).__module__}.{type(value).__qualname__} object>"


def object_text(value: object) -> str:
    """The value in one line, the same for values that are alike in two processes, and never an error."""
    try:
        text = repr(value)
    except Exception:
        text = type_text(value)
    return " ".join(re.sub(" at 0x[0-9a-f]+", "", text).split()).encode(errors="backslashreplace").decode()
