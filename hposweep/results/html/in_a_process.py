"""The report at the end of a sweep, made in a process of its own: no plotting library comes into the sweep's."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from pathlib import Path

from hposweep.optional_packages import PACKAGES
from hposweep.results.terminal.summary import relative

log = logging.getLogger(__name__)

FILE_NAME = "report.html"


def make(sweep_dir: Path) -> None:
    """Makes `report.html` in the sweep's folder, and says where it is; where it can't be made, the sweep goes on."""
    if any(importlib.util.find_spec(name) is None for name in PACKAGES["report"]):
        print("No report.html: it takes a few more packages, pip install 'hposweep[report]'")
        return
    command = [sys.executable, "-m", "hposweep", "report", str(sweep_dir.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (this program)
    except KeyboardInterrupt:
        log.warning("report.html was not made; it takes: python -m hposweep report %s", relative(sweep_dir))
        return
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        log.warning("report.html was not made: %s", reason)
        return
    print(f"Report: {relative(sweep_dir / FILE_NAME)}")
