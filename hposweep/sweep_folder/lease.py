"""`journal.lease`: a sign of life of the controller that runs a sweep, for whoever no lock can tell.

The file holds a random token, a counter that its holder moves on every second, and who that is. The clocks of machines
may differ, so nobody compares times: who wants to know whether the holder lives waits, by a clock of its own, for the
counter to move.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hposweep.errors import ConfigError, WriteError
from hposweep.sweep_folder.files import read_file, remove_temporaries, write_atomically

log = logging.getLogger(__name__)

FILE_NAME = "journal.lease"
CONTENT = re.compile(rb"([0-9a-f]{16}) (\d{1,18}) process \d+ on (.*)\n")
RENEWED_EVERY_S = 1.0
EXPIRES_S = 10.0  # without a move of the counter
# From writing the own token to reading it back: of several who found the lease free, the last one to write has it.
SETTLES_S = 2.0
SECONDS_BETWEEN_LOOKS = 0.2


class Holder(NamedTuple):
    """Who has a lease."""

    token: str  # as no other holder has it
    counter: int
    machine: str


class HeldError(Exception):
    """The lease has a holder that lives."""


class Lease:
    """The lease of one sweep, for the controller that wants to run it.

        lease = Lease(sweep_dir / FILE_NAME)
        lease.take()        # from here on a thread renews it
        lease.check()       # before each event that is written down
        lease.release()

    Attributes:
        token: names this holder; who can read it in the file sees the holder's file system.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path, self.token = path, secrets.token_hex(8)
        self._clock, self._sleep = clock, sleep
        self._counter = 0
        self._is_lost = False
        self._lock = threading.Lock()  # held while the file is looked at and written
        self._is_released = threading.Event()

    def take(self, *, is_locked: bool = False) -> None:
        """Takes the lease, if nobody has it whose counter moves.

        Args:
            is_locked: whether the journal's lock is held, so that no process of this machine can have the lease.

        Raises:
            HeldError: if somebody has it, or has taken it at the same time.
            WriteError: if it can't be written.
        """
        found = _content(self.path)
        holder = _holder(found)
        is_of_this_machine = holder is not None and holder.machine == platform.node()
        if found and not (is_locked and is_of_this_machine):
            self._wait_for_its_end(found)
        self._write()
        if not is_locked:
            self._sleep(SETTLES_S)
        if not self._is_own():
            raise HeldError
        remove_temporaries(self.path.parent, {self.path.name})
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    def renew(self) -> None:
        """Moves the counter on, unless another controller has taken the lease; a full disk is waited for."""
        with self._lock, contextlib.suppress(WriteError):
            if not self._is_released.is_set() and self._is_own():
                self._counter += 1
                self._write()

    def check(self) -> None:
        """Looks whether the lease is still held.

        Raises:
            ConfigError: if another controller has taken it: this one stood still for longer than a lease lasts.
        """
        with self._lock:
            if not self._is_own():
                raise ConfigError(
                    f"{self.path.parent}: another controller runs the sweep by now; this one stood still for more than "
                    f"{EXPIRES_S:g} s, and has stopped"
                )

    def release(self) -> None:
        """Gives the lease back: the next controller need not wait."""
        self._is_released.set()
        with self._lock, contextlib.suppress(OSError):
            if self._is_own():
                self.path.unlink()

    def _wait_for_its_end(self, found: bytes) -> None:
        """Raises a HeldError if the counter moves; returns once it has not for long enough, or the file is gone."""
        log.info("%s: is there; waiting %g s at most to see whether its controller lives", self.path, EXPIRES_S)
        deadline = self._clock() + EXPIRES_S
        while self._clock() < deadline:
            self._sleep(SECONDS_BETWEEN_LOOKS)
            content = _content(self.path)
            if not content:
                return
            if content != found:
                raise HeldError

    def _keep(self) -> None:
        while not self._is_released.wait(RENEWED_EVERY_S):
            self.renew()

    def _is_own(self) -> bool:
        """Whether nobody else has taken it; where somebody has removed the file, it is written again."""
        holder = read(self.path)
        self._is_lost = self._is_lost or (holder is not None and holder.token != self.token)
        return not self._is_lost

    def _write(self) -> None:
        text = f"{self.token} {self._counter} process {os.getpid()} on {platform.node()}\n"
        write_atomically(self.path, text, durable=False, errors="replace")


class LeaseWatch:
    """Whether the holder of a lease lives, for who must not outlive it: a job on another machine, say.

    watch = LeaseWatch(sweep_dir / FILE_NAME, token)
    while watch.is_alive(time.monotonic()): ...
    """

    def __init__(self, path: Path, token: str) -> None:
        self._path, self._token = path, token
        self._counter: int | None = None
        self._moved_at: float | None = None

    @property
    def folder(self) -> Path:
        """The sweep's."""
        return self._path.parent

    def is_seen(self) -> bool:
        """Whether this holder's lease is in the file."""
        holder = read(self._path)
        return holder is not None and holder.token == self._token

    def is_alive(self, now: float) -> bool:
        """Whether its counter has moved in the last `EXPIRES_S` seconds before `now`; to be asked every few seconds.

        Until the first look is so old, it is believed to live. A holder whose lease another one has taken is dead.
        """
        holder = read(self._path)
        if holder is not None and holder.token != self._token:
            return False
        if self._moved_at is None or (holder is not None and holder.counter != self._counter):
            self._moved_at = now
            self._counter = None if holder is None else holder.counter
        return now - self._moved_at < EXPIRES_S


def read(path: Path) -> Holder | None:
    """Who has the lease in this file; None where there is none, or none that can be read."""
    return _holder(_content(path))


def is_moving(
    path: Path, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Whether the lease in this file has a holder that lives: looks at its counter until it moves, for two moves."""
    found = read(path)
    if found is None:
        return False
    deadline = clock() + 2 * RENEWED_EVERY_S
    while clock() < deadline:
        sleep(SECONDS_BETWEEN_LOOKS)
        now = read(path)
        if now != found:
            return now is not None
    return False


def _holder(content: bytes) -> Holder | None:
    found = CONTENT.fullmatch(content)
    if found is None:
        return None
    return Holder(found[1].decode(), int(found[2]), found[3].decode(errors="replace"))


def _content(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError:
        return b""
