"""Folders that are expensive to make, and made once for all processes that run the tests."""

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from support.processes import ROOT


class NewEnvironment(Protocol):
    """Makes an environment of the base package and of more packages; returns its interpreter."""

    def __call__(self, *packages: str) -> str: ...


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder of this name, made by the first process that asks for it while others wait; nobody may change it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all processes of this run
    folder = base / "shared" / re.sub(r"[^\w.-]+", "_", name)
    folder.parent.mkdir(exist_ok=True)
    with open(folder.with_name(f"{folder.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.with_name(f"{folder.name}.done")
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def make_environment(folder: Path, packages: Sequence[str], interpreter: str = sys.executable) -> None:
    """Installs the base package, in the versions of the lock, and more packages into folder/venv."""
    uv, python = str(Path(sys.executable).with_name("uv")), folder / "venv" / "bin" / "python"
    env = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    subprocess.run([uv, "venv", "--quiet", "--python", interpreter, str(folder / "venv")], check=True, env=env)
    locked = (ROOT / "requirements" / "lock.txt").read_text().splitlines()
    # Hydra's own Optuna sweeper needs an Optuna of years ago.
    others = (" ", "#", "optuna==")
    pins = [line.split()[0] for line in locked if line and not line.startswith(others)]
    (folder / "constraints.txt").write_text("\n".join(pins) + "\n")
    install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    constraints = ["--constraints", str(folder / "constraints.txt")]
    subprocess.run([*install, *constraints, str(ROOT), *packages], check=True, env=env)
