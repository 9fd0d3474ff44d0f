"""A program that a command runs and waits for: what stops the command stops the program, and nothing is left."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

from hposweep.results.terminal.summary import CALLED_FROM
from hposweep.workers.local import parent_death

PASSED_ON = (signal.SIGINT, signal.SIGTERM)


@dataclass
class ChildProcesses:
    """Runs programs one after another, and passes on the signals that arrive while it is entered.

    A program has a process group of its own: a signal to the command's whole group, as Ctrl-C is, reaches it once, and
    not as the second one that stops a sweep at once.
    """

    stopped_by: int = 0  # the first signal; 0: none came

    def __post_init__(self) -> None:
        self._running: subprocess.Popen[bytes] | None = None
        self._signals: list[int] = []
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """That of a command that was stopped; 0 where it was not."""
        return 128 + self.stopped_by if self.stopped_by else 0

    def __enter__(self) -> ChildProcesses:
        for number in PASSED_ON:
            self._before[number] = signal.signal(number, self._pass_on)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self, command: Sequence[str], cwd: Path, output: IO[bytes] | None = None) -> int:
        """Runs a program to its end, and returns its exit code; nothing is started once a signal has come.

        Args:
            output: what it prints goes there; None: to the command's own.
        """
        if self.stopped_by:
            return self.exit_code
        self._running = subprocess.Popen(  # noqa: S603 (the words of a record that is ours, or trusted)
            command,
            cwd=cwd,
            env={**os.environ, CALLED_FROM: str(Path.cwd())},
            stdin=subprocess.DEVNULL,  # in a group of its own it can't read from the terminal
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            process_group=0,
            # Also where the command is killed.
            preexec_fn=functools.partial(parent_death.die_with, os.getpid()),
        )
        for number in self._signals:  # that came while it was being started
            self._running.send_signal(number)
        code = self._running.wait()
        self._running = None
        return code if code >= 0 else 128 - code

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.stopped_by = self.stopped_by or number
        if self._running is None:
            self._signals.append(number)
        else:
            self._running.send_signal(number)
