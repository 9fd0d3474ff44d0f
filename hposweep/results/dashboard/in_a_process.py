"""The dashboard of a sweep that runs, in a process of its own: it ends with the sweep, and never disturbs it."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from hposweep import optional_packages
from hposweep.errors import ConfigError
from hposweep.results.dashboard.listening import LOOPBACK, link_to, listening_at
from hposweep.shown_text import shell_line

log = logging.getLogger(__name__)

PAGE = "sweep?id=."  # of the one sweep, whose folder is the listed one
# `serve_inherited` in a process that ends with the one that waits for it, however that ends.
PROGRAM = """
import sys
from hposweep.workers.local.parent_death import die_with
die_with(int(sys.argv[1]))
from hposweep.commands.dashboard import serve_inherited
serve_inherited(int(sys.argv[2]), sys.argv[3])
"""
# Once it is asked to end, it gives open pages the time to ask for the sweep's end.
LINGERS_S = 5.0
ENDS_IN_S = LINGERS_S + 5.0


@contextlib.contextmanager
def shown(sweep_dir: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Shows the sweep in this folder within it, if that is possible; if not, says why, and the sweep goes on.

    Args:
        tell: is given the link, which can be opened from then on.
    """
    lacking = optional_packages.missing("dashboard")
    if lacking:
        packages = ", ".join(map(repr, lacking))
        log.warning("no dashboard: it needs %s: %s", packages, optional_packages.installation("dashboard"))
        yield
        return
    try:
        process, link = _started(sweep_dir)
    except (ConfigError, OSError) as error:
        log.warning("no dashboard: %s", error)
        yield
        return
    tell(link)
    try:
        yield
    finally:
        _end(process, sweep_dir)


def _started(sweep_dir: Path) -> tuple[subprocess.Popen[bytes], str]:
    # The port is taken here: the link can be told, and opened, before the server has imported anything.
    with listening_at(LOOPBACK, None) as listening:
        descriptor = listening.fileno()
        process = subprocess.Popen(  # noqa: S603 (this program)
            [sys.executable, "-c", PROGRAM, str(os.getpid()), str(descriptor), str(sweep_dir.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
            # Ctrl-C stops the sweep, which ends the dashboard when it has stopped.
            process_group=0,
        )
        return process, f"{link_to(LOOPBACK, listening.getsockname()[1])}{PAGE}"


def _end(process: subprocess.Popen[bytes], sweep_dir: Path) -> None:
    if process.poll() is not None:
        again = shell_line(["python", "-m", "hposweep", "dashboard", str(sweep_dir)])
        log.warning("the dashboard has ended before the sweep, with exit code %d; %s", process.returncode, again)
        return
    process.terminate()
    try:
        process.wait(ENDS_IN_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()
