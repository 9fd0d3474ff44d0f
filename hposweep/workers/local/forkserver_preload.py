"""The first module that our forkserver imports. In that process, and no other, the import prepares the process.

It leaves the controller's process group, so that Ctrl-C reaches only the controller, and discards what libraries print
while they are imported. When the controller is gone, it ends all that its workers' jobs have started, its workers, and
itself. `restore` gives workers their output back.
"""

import atexit
import os
import signal
import warnings
from types import FrameType

from hposweep.workers.local import descendants, parent_death

CONTROLLER = "HPOSWEEP_CONTROLLER"  # its process number, in the environment of the forkserver alone

_output: tuple[int, int] | None = None
# What a program inherits: it ignores the signal, or ends by it.
_at_sigterm = signal.SIG_IGN if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN else signal.SIG_DFL


def restore() -> None:
    """Gives the process that was forked from here the controller's output, and SIGTERM the meaning that it had."""
    global _output
    signal.signal(signal.SIGTERM, _at_sigterm)
    if _output is not None:
        for descriptor, saved in zip((1, 2), _output, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)
        _output = None


def _prepare() -> None:
    global _output
    controller = int(os.environ.pop(CONTROLLER))
    itself = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != itself:  # a worker that has just been forked
            os._exit(128 + number)
        # A parent is a thread to the kernel: the signal comes also when only the thread that started us has ended. And
        # whoever sends it to all processes alike leaves it to the controller to end us.
        if os.getppid() != controller:
            descendants.kill_children(itself)
            os._exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    # multiprocessing ends it by itself when the controller has ended without a word. Workers pass this over.
    atexit.register(descendants.kill_children, itself)
    descendants.inherit_orphans()
    parent_death.die_with(controller, by=signal.SIGTERM)
    os.setsid()
    # multiprocessing's forkserver warns of each orphan that ends; as an error that would be its own end.
    warnings.filterwarnings("ignore", "forkserver: waitpid returned unexpected pid")
    silence = os.open(os.devnull, os.O_WRONLY)
    _output = (_copy_of(1, silence), _copy_of(2, silence))
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.close(silence)


def _copy_of(descriptor: int, silence: int) -> int:
    try:
        return os.dup(descriptor)
    except OSError:  # it was closed
        return os.dup(silence)


# multiprocessing.forkserver runs preloads as plain imports.
if CONTROLLER in os.environ:
    _prepare()
