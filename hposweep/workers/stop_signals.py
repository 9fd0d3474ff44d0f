"""Ctrl-C and SIGTERM as requests to stop: the first one within a grace time, a second one at once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any


class StopSignals:
    """Notes the signals that arrive while it is entered.

    The handlers are set explicitly, since a shell's background job has SIGINT ignored.
    """

    def __init__(self) -> None:
        self.is_made = False
        self.is_urgent = False
        self.exit_code = 0
        self._raises = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def raised_at_once(self) -> Iterator[None]:
        """Within it a signal raises KeyboardInterrupt, since nothing polls the request meanwhile."""
        self._raises = True
        try:
            yield
        finally:
            self._raises = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_urgent = self.is_made
        self.is_made = True
        self.exit_code = self.exit_code or 128 + number
        if self._raises:
            raise KeyboardInterrupt
