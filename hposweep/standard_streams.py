"""The standard streams of a process whose caller has closed them, or reads no further, or takes ASCII alone."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import IO, TextIO

NAMES = ("stdin", "stdout", "stderr")  # by their descriptors


@contextlib.contextmanager
def usable() -> Iterator[None]:
    """Within it what is printed or logged disturbs nothing, wherever it goes.

    - A closed stream (`>&-`) is opened to nowhere. Else the next file that is opened gets its descriptor, and what
      libraries print would stand in it.
    - What a reader who has gone (`| head`) no longer takes goes nowhere, too: a sweep is worth more than its lines.
    - A character that the stream's encoding lacks is shown as an escape.
    """
    _open_closed_ones()
    take_any_character()
    of_logging = logging.StreamHandler.handleError

    def handle_error(handler: logging.StreamHandler[TextIO], record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            go_nowhere(handler.stream)
        else:
            of_logging(handler, record)

    # Of the class, as Hydra makes new handlers for each job that runs in this process.
    logging.StreamHandler.handleError = handle_error  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        _flush()
        logging.StreamHandler.handleError = of_logging  # type: ignore[method-assign]


def take_any_character() -> None:
    """From now on a character that the encoding of the standard streams lacks is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        # Somebody may have put an object of his own there.
        with contextlib.suppress(AttributeError, ValueError):
            if stream.errors == "strict":
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def pass_on_lines() -> None:
    """From now on each line that is printed is passed on at once, to a file, too, which somebody may follow."""
    with contextlib.suppress(AttributeError, ValueError):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def go_nowhere(stream: IO[str]) -> None:
    """Discards what is written to this stream from now on, and what it has not passed on yet."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _open_closed_ones() -> None:
    for descriptor, name in enumerate(NAMES):
        place: int | str = descriptor
        try:
            os.fstat(descriptor)
            if getattr(sys, name) is None:
                place = os.devnull  # another file has got the descriptor meanwhile
        except OSError:
            # The lowest descriptor that is free: this one.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            stream = open(place, mode, encoding="utf-8", closefd=isinstance(place, str))  # noqa: SIM115 (for good)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            go_nowhere(stream)
        except (AttributeError, ValueError, OSError):  # somebody's own object, or closed
            continue
