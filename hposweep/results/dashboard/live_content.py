"""The contents of pages that live: made anew once something has changed, but never most of the time."""

from __future__ import annotations

import gzip
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# Where making a content takes long, it is made seldom, so that the sweep beside it has the processor.
SHARE_OF_THE_TIME = 0.2

# A content, as JSON has it, and the state: when it was read, and of what.
Content = tuple[Any, Mapping[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What a page's script is given."""

    version: str  # another one for each other text
    text: bytes
    packed: bytes  # the same, by gzip

    @classmethod
    def of(cls, text: bytes, version: str = "") -> Answer:
        """This text; its version is made of it where none is given."""
        return cls(version or hashlib.sha256(text).hexdigest(), text, gzip.compress(text, compresslevel=1, mtime=0))

    @classmethod
    def of_json(cls, content: Any, version: str = "") -> Answer:
        """The content as JSON; NaN and infinity, which JSON lacks, would be a bug of ours."""
        return cls.of(json.dumps(content, allow_nan=False, separators=(",", ":")).encode(), version)


@dataclass(frozen=True)
class Made:
    """A content, and what a page's script is given of it."""

    content: Any
    state: Mapping[str, Any]  # when it was read, and what the sweep was at
    answer: Answer


class LiveContent:
    """The content of one page, for any number of threads.

    Args:
        make: the content as it is now.
        clock: seconds, of any origin.
    """

    def __init__(
        self,
        make: Callable[[], Content],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make, self._clock = make, clock
        self._lock = threading.Lock()
        self._of: str | None = None  # the version of what the content was made of
        self._made: Made | None = None
        self._again_at = 0.0
        # Another server may have given the same number to something else.
        self._token, self._n_made = secrets.token_hex(4), 0

    @property
    def is_made(self) -> bool:
        """Whether there is a content already."""
        return self._made is not None

    def get(self, version: str) -> Made:
        """The content of this version or, where that would take too much of the time, of one a little older."""
        made = self._made
        if made is not None and (self._of == version or self._clock() < self._again_at):
            return made
        # Who has an older one need not wait until somebody else has made the new one.
        if not self._lock.acquire(blocking=made is None):
            assert made is not None
            return made
        try:
            if self._made is None or self._of != version:
                started = self._clock()
                content, state = self._make()
                self._n_made += 1
                state = {**state, "version": f"{self._token}-{self._n_made}"}
                answer = Answer.of_json({"content": content, **state}, state["version"])
                self._made, self._of = Made(content, state, answer), version
                now = self._clock()
                self._again_at = now + (now - started) * (1 / SHARE_OF_THE_TIME - 1)
            return self._made
        finally:
            self._lock.release()
