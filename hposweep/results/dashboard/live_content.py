"""The contents of pages that live: made anew once something has changed, but never most of the time."""

from __future__ import annotations

import gzip
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Where making a content takes long, it is made seldom, so that the sweep beside it has the processor.
SHARE_OF_THE_TIME = 0.2


@dataclass(frozen=True)
class Answer:
    """What a page is given: as JSON, packed and not."""

    version: str  # another one for each other text
    text: bytes
    packed: bytes
    status: int = 200

    @classmethod
    def of(cls, version: str, content: Any, status: int = 200) -> Answer:
        """The content as JSON; NaN and infinity, which JSON lacks, would be a bug of ours."""
        text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
        return cls(version, text, gzip.compress(text, compresslevel=1, mtime=0), status)


class LiveContent:
    """The content of one page, for any number of threads.

    Args:
        make: the content as JSON has it.
        clock: seconds, of any origin.
    """

    def __init__(self, make: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._make, self._clock = make, clock
        self._lock = threading.Lock()
        self._of: str | None = None  # the version of what the content was made of
        self._answer: Answer | None = None
        self._again_at = 0.0
        # Another server may have given the same number to something else.
        self._token, self._n_made = secrets.token_hex(4), 0

    def get(self, version: str) -> Answer:
        """The content of this version or, where that would take too much of the time, of one a little older."""
        answer = self._answer
        if answer is not None and (self._of == version or self._clock() < self._again_at):
            return answer
        # Who has an older one need not wait until somebody else has made the new one.
        if not self._lock.acquire(blocking=answer is None):
            assert answer is not None
            return answer
        try:
            if self._answer is None or self._of != version:
                started = self._clock()
                content = self._make()
                self._n_made += 1
                self._answer, self._of = Answer.of(f"{self._token}-{self._n_made}", content), version
                now = self._clock()
                self._again_at = now + (now - started) * (1 / SHARE_OF_THE_TIME - 1)
            return self._answer
        finally:
            self._lock.release()
