"""The first module that our forkserver imports. In that process, and no other, the import prepares the process.

It leaves the controller's process group, so that Ctrl-C reaches only the controller, and discards what libraries print
while they are imported. `restore_output` gives workers their output back.
"""

import os

from hposweep.workers.local import parent_death

CONTROLLER = "HPOSWEEP_CONTROLLER"  # its process number, in the environment of the forkserver alone

_output: tuple[int, int] | None = None


def restore_output() -> None:
    """Gives the process that was forked from here the output of the controller."""
    global _output
    if _output is not None:
        for descriptor, saved in zip((1, 2), _output, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)
        _output = None


def _prepare() -> None:
    global _output
    parent_death.die_with(int(os.environ.pop(CONTROLLER)))
    os.setsid()
    _output = (os.dup(1), os.dup(2))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.close(silence)


# multiprocessing.forkserver runs preloads as plain imports.
if CONTROLLER in os.environ:
    _prepare()
