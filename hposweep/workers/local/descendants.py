"""The processes that jobs have started: they end with their job, however that ends.

On Linux a worker inherits what its job's processes leave behind when they end, and the forkserver what a worker leaves
behind: none gets away by outliving its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Collection

import psutil

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
# Seconds for the system to remove a killed process; it can't be waited for where somebody else is its parent.
SECONDS_TO_DIE = 5.0


def inherit_orphans() -> None:
    """Makes this process the parent of all that its descendants leave behind; on Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def has_children() -> bool:
    """Whether this process has any, ended ones included that nobody has waited for; a matter of microseconds."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def forget_ended_children() -> None:
    """Takes note of the children of this process that have ended, so that the system forgets them."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def kill_children(of: int, spared: Collection[int] = ()) -> bool:
    """Kills the children of a process and all that they have started, except the spared ones and theirs.

    Returns:
        Whether there was one that was still running.
    """
    found_any = False
    while found := _living_children(of, spared):
        found_any = True
        for process in found:
            with contextlib.suppress(psutil.Error):
                # First those below: else they would come up as orphans, which the next turn finds.
                for each in reversed(process.children(recursive=True)):
                    with contextlib.suppress(psutil.Error):
                        each.kill()
                process.kill()
        left = found
        with contextlib.suppress(psutil.Error):
            _, left = psutil.wait_procs(found, timeout=SECONDS_TO_DIE)
        if left:
            break  # in an uninterruptible call of the system
    return found_any


def _living_children(of: int, spared: Collection[int]) -> list[psutil.Process]:
    try:
        children = psutil.Process(of).children()
    except psutil.Error:
        return []
    living = []
    for child in children:
        with contextlib.suppress(psutil.Error):
            if child.pid not in spared and child.status() != psutil.STATUS_ZOMBIE:
                living.append(child)
    return living
