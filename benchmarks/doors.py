"""Seconds of a stranger's way through each of the README's three doors, from a Python with nothing installed.

    python benchmarks/doors.py [--python python3.13] [--wheel dist/hposweep-0.1.0-py3-none-any.whl] [--json FILE]

Each door gets an environment of its own, in which pip installs hposweep (from the wheel, or from this checkout) and
then what the door takes; in an empty folder the files of the README's section are written and its commands run, as a
reader would. It needs a network or a package index near by; what pip has downloaded before comes from its cache.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "Keras model": ["hposweep[keras,dashboard]"],
    "Hydra app": ["hposweep"],
    "Python function": ["hposweep[report]"],
}
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
FILE_NAME = re.compile(r"# ([\w./]+\.(?:py|yaml))\n")


def main() -> None:
    """Goes through the doors and prints what each took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="python3", help="the interpreter that the environments are made of")
    parser.add_argument("--wheel", type=Path, default=ROOT, help="what is installed; by default this checkout")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    options = parser.parse_args()
    rows = []
    print(f"{'door':<18}{'install':>10}{'run':>8}{'disk':>10}")
    for door, packages in PACKAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            row = {"door": door, **go_through(door, packages, Path(folder), options.python, options.wheel.resolve())}
        rows.append(row)
        print(f"{door:<18}{row['install_s']:>8.0f} s{row['run_s']:>6.0f} s{row['disk_mb']:>7.0f} MB", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def go_through(door: str, packages: list[str], folder: Path, python: str, what: Path) -> dict[str, float]:
    """Seconds of installation and of the door's commands, and the size of its environment."""
    start = time.monotonic()
    subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True)
    pip = [str(folder / "venv" / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(what)], check=True)
    subprocess.run([*pip, *packages], check=True)
    installed = time.monotonic()
    (folder / "project").mkdir()
    for language, text in blocks(door):
        named = FILE_NAME.match(text)
        if named:
            path = folder / "project" / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif language == "bash":
            run(text, folder)
    size = sum(path.lstat().st_size for path in (folder / "venv").rglob("*"))
    return {"install_s": installed - start, "run_s": time.monotonic() - installed, "disk_mb": size / 1e6}


def blocks(door: str) -> list[tuple[str, str]]:
    """Language and text of each block of the door's section."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## I have a {door}\n(.*?)(?=^## )", readme, re.MULTILINE | re.DOTALL)
    return BLOCK.findall(section)


def run(command: str, folder: Path) -> None:
    """Runs a block of commands in the project's folder, in the environment."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env["PATH"] = f"{folder / 'venv' / 'bin'}{os.pathsep}{env['PATH']}"
    words = ["bash", "-e", "-c", command]
    done = subprocess.run(words, cwd=folder / "project", env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command}\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    main()
