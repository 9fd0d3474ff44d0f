"""Ends a process with its parent, however the parent ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Lets the kernel send this process a signal when its parent is gone, whatever it is doing; on Linux only.

    A thread that waits for the parent can't do so while an import or a library in C holds the interpreter.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:  # the parent was gone before the call
        os._exit(1)
