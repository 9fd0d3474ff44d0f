"""Ctrl-C before a command or a sweep has begun: the process ends at once, and quietly.

An exception would not do: raised in the midst of an import, it is printed, or swallowed by what cleans up after it.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

EXIT_INTERRUPTED = 130


def begin() -> None:
    """From now on Ctrl-C ends the process, as nothing has been begun that had to be left in order."""
    is_main_thread = threading.current_thread() is threading.main_thread()
    if is_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def are_over() -> None:
    """From now on Ctrl-C is KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(EXIT_INTERRUPTED)
