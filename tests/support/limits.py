"""Limits of the system on this process, which fail as a full disk and a full table of descriptors do."""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Limit = Callable[[], AbstractContextManager[None]]


@contextmanager
def no_room() -> Iterator[None]:
    """No file may grow."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with _limited(resource.RLIMIT_FSIZE, 0):
        yield
    signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def no_descriptors() -> Iterator[None]:
    """No file can be opened."""
    first_free = os.dup(0)
    os.close(first_free)
    with _limited(resource.RLIMIT_NOFILE, first_free):
        yield


@contextmanager
def _limited(kind: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


LIMITS = [no_room, no_descriptors]
