"""Slurm's own commands: which jobs wait and run, what became of one that is gone, and the end of those not wanted."""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from hposweep.trial import SegmentEnd
from hposweep.workers.slurm_job import END_SIGNAL

log = logging.getLogger(__name__)

MOST_SECONDS_FOR_AN_ANSWER = 60.0  # of Slurm's
MOST_SECONDS_TO_SIGNAL = 5.0
MOST_JOBS_A_COMMAND = 500
# A job in one of these is on no node.
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
TIMEOUT = "TIMEOUT"
# What the job itself is to blame for.
OF_THE_JOB = ("OUT_OF_MEMORY", "FAILED", "COMPLETED")
FORMAT = "%i|%T|%N|%M|%r|%j"


@dataclass(frozen=True)
class ListedJob:
    """A job that Slurm has in its queue, or on a node."""

    slurm_id: str  # of an array's task, such as 12_3, or of a job by itself
    state: str
    node: str
    seconds: float  # that it has run
    name: str
    reason: str  # why it waits

    @property
    def is_waiting(self) -> bool:
        """Whether it is on no node."""
        return self.state in WAITING

    @property
    def index(self) -> int:
        """Its number in its array, from 0."""
        return int(self.slurm_id.partition("_")[2] or 0)


def listed_jobs() -> list[ListedJob]:
    """The jobs of this user that wait or run.

    Raises:
        OSError, subprocess.SubprocessError: if Slurm doesn't answer.
    """
    text = _told("squeue", "-h", "-r", "-u", str(os.getuid()), "-o", FORMAT)
    found = []
    for line in text.splitlines():
        slurm_id, state, node, seconds, reason, name = line.split("|", 5)
        found.append(ListedJob(slurm_id, state, node, _seconds(seconds), name, reason))
    return found


def last_state(slurm_id: str) -> tuple[str, int]:
    """The state in which a job ended, and the signal by which its script did; an empty state where nobody knows.

    Slurm itself knows it for some minutes (`MinJobAge`), its accounting, where there is one, for good.
    """
    shown = _told_or_nothing("scontrol", "-o", "show", "job", slurm_id)
    state, code = re.search(r"\bJobState=(\w+)", shown), re.search(r"\bExitCode=\d+:(\d+)", shown)
    if state is not None:
        return state[1], 0 if code is None else int(code[1])
    accounted = _told_or_nothing("sacct", "-X", "-n", "-P", "-o", "State,ExitCode", "-j", slurm_id).splitlines()
    if not accounted:
        return "", 0
    # Such as "CANCELLED by 1000|0:15"; the last line is of the last time that it was queued.
    word, _, exit_code = accounted[-1].partition("|")
    return word.split(" ")[0], int(exit_code.partition(":")[2] or 0)


def end_by(state: str, by_signal: int) -> SegmentEnd:
    """How a job ended that left no answer, by Slurm's word for it.

    A script that was killed was killed by somebody else: the objective runs in a process of its own.
    """
    is_to_blame = state in OF_THE_JOB and not (state == "FAILED" and by_signal)
    return SegmentEnd.DIED if is_to_blame else SegmentEnd.LOST


def end_jobs(slurm_ids: Sequence[str], running: Sequence[str] = ()) -> None:
    """Ends jobs.

    Args:
        running: those of them that run: they end within a second or so, whatever their objectives ignore.
    """
    for first in range(0, len(running), MOST_JOBS_A_COMMAND):
        # Where one of them has been put back into the queue, scancel tries it for a minute.
        signal_them = ("scancel", f"--signal={END_SIGNAL.name[3:]}", *running[first : first + MOST_JOBS_A_COMMAND])
        _told_or_nothing(*signal_them, limit_s=MOST_SECONDS_TO_SIGNAL)
    for first in range(0, len(slurm_ids), MOST_JOBS_A_COMMAND):
        _told_or_nothing("scancel", *slurm_ids[first : first + MOST_JOBS_A_COMMAND])


def end_jobs_named(name: str) -> None:
    """Ends all jobs of this user that have the name."""
    _told_or_nothing("scancel", "-u", str(os.getuid()), f"--name={name}")


def _told(*command: str, limit_s: float = MOST_SECONDS_FOR_AN_ANSWER) -> str:
    """What a command prints.

    Raises:
        OSError, subprocess.SubprocessError: if it fails.
    """
    return subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=True).stdout  # noqa: S603


def _told_or_nothing(*command: str, limit_s: float = MOST_SECONDS_FOR_AN_ANSWER) -> str:
    try:
        return _told(*command, limit_s=limit_s)
    except (OSError, subprocess.SubprocessError) as error:
        log.debug("%s: %s", command[0], getattr(error, "stderr", "") or error)
        return ""


def _seconds(text: str) -> float:
    """Slurm's duration: days-hours:minutes:seconds, of which the first ones may be left out."""
    days, _, clock = text.rpartition("-")
    try:
        parts = [int(each) for each in clock.split(":")]
        total = 86400 * int(days or 0)
    except ValueError:  # INVALID, where the clocks differ
        return 0.0
    return float(total + sum(part * 60**power for power, part in enumerate(reversed(parts))))
