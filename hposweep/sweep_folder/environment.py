"""What results depend on besides a sweep's config: versions, the commit, the machine."""

from __future__ import annotations

import platform
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("hposweep", "hydra-core", "omegaconf", "numpy", "scipy", "tensorflow", "keras", "d2l")


def record() -> dict[str, Any]:
    """The environment's part of `sweep.yaml`, with the versions of installed packages."""
    return {"versions": versions(), "commit": commit(), "platform": machine()}


def version() -> str:
    """The version of hposweep: that of its installation, or of the checkout that is used without one."""
    try:
        return metadata.version("hposweep")
    except metadata.PackageNotFoundError:
        pyproject = Path(__file__).resolve().parents[2] / "pyproject.toml"
        return str(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["version"])


def versions() -> dict[str, str]:
    """Python's version and those of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str]:
    """What floating-point results depend on besides versions: the processor and its instruction sets."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)
    vector = [flag for flag in (flags.group(1).split() if flags else []) if re.match(r"avx|fma|amx|sse4", flag)]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": model.group(1) if model else platform.processor(),
        "instruction_sets": " ".join(sorted(vector)),
    }


def processor() -> str | None:
    """What the system tells of this machine's kinds of processors; None where it doesn't."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return None
    text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    kind = r"^(?:vendor_id|cpu family|model|model name|stepping|flags|Features|CPU \w+)\s*:.*$"
    return "\n".join(sorted(set(re.findall(kind, text, re.MULTILINE)))) or None


def commit() -> str | None:
    """The commit of the checkout that hposweep runs from, `-dirty` where files were changed; None outside of one."""
    try:
        head = _git("rev-parse", "HEAD")
        # Not `git describe --dirty`, which writes the checkout's index: a full disk would leave its lock behind.
        changes = _git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}-dirty" if changes else head


def _git(*words: str) -> str:
    command = ["git", *words]
    package = Path(__file__).resolve().parent
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 (wherever git is)
    return done.stdout.strip()
