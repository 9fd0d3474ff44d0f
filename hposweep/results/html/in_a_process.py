"""The report at the end of a sweep, made in a process of its own: no plotting library comes into the sweep's."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hposweep.optional_packages import PACKAGES

FILE_NAME = "report.html"


@dataclass(frozen=True)
class Report:
    """What became of the report."""

    path: Path
    why_not: str = ""  # it was not made; empty where it was
    lacks_packages: bool = False  # which is how it is without the extra


def make(sweep_dir: Path) -> Report:
    """Makes `report.html` in the sweep's folder; where it can't be made, the sweep goes on."""
    path = sweep_dir / FILE_NAME
    if any(importlib.util.find_spec(name) is None for name in PACKAGES["report"]):
        why_not = "it takes a few more packages, pip install 'hposweep[report]'"
        return Report(path, why_not, lacks_packages=True)
    command = [sys.executable, "-m", "hposweep", "report", str(sweep_dir.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (this program)
    except KeyboardInterrupt:
        return Report(path, "it was interrupted")
    if done.returncode:
        return Report(path, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return Report(path)
