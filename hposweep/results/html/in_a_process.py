"""The report at the end of a sweep, made in its own process, so that the sweep's imports no plotting library."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hposweep.optional_packages import PACKAGES, installation

FILE_NAME = "report.html"
# `hposweep report` in a process that ends with the one that waits for it, however that ends.
PROGRAM = """
import sys
from hposweep.workers.local.parent_death import die_with
die_with(int(sys.argv.pop(1)))
from hposweep.__main__ import main
main()
"""


@dataclass(frozen=True)
class Report:
    """Whether the report was made, and if not, why."""

    path: Path
    why_not: str = ""  # why it was not made; empty if it was
    lacks_packages: bool = False  # the extra `report` is not installed


def make(sweep_dir: Path) -> Report:
    """Makes `report.html` in the sweep's folder; if that fails, the sweep goes on."""
    path = sweep_dir / FILE_NAME
    if any(importlib.util.find_spec(name) is None for name in PACKAGES["report"]):
        why_not = f"it needs more packages: {installation('report')}"
        return Report(path, why_not, lacks_packages=True)
    command = [sys.executable, "-c", PROGRAM, str(os.getpid()), "report", str(sweep_dir.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (this program)
    except KeyboardInterrupt:
        return Report(path, "it was interrupted")
    except OSError as error:
        return Report(path, f"no process can be started for it ({error.strerror})")
    if done.returncode:
        return Report(path, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return Report(path)
