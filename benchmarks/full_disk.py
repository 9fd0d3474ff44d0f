"""Fills the disk under real sweeps at random moments, and resumes each when there is room again.

    python benchmarks/full_disk.py [--moments 200] [--seed 0] [--total benchmarks/full_disk.json]

A moment is one sweep, which noticed, of a small Hydra app under one of three: no file of its processes may grow beyond
a size from some event on (RLIMIT_FSIZE); its folder is a small tmpfs; its folder is a tmpfs of few files. The last two
need the right to mount; without it all moments are of the first kind, which is said. Of each sweep that stopped it is
checked that it said why in one line with exit code 1, that its journal can be read, that no trial is FAILED, and that
the same command ends with the draws, learning curves and results of a sweep that nothing disturbed. Exits with 1 if
anything is wrong.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import small_app

from hposweep.errors import ConfigError
from hposweep.history import replay
from hposweep.sweep_folder.journal import FILE_NAME, read_events
from hposweep.trial import TrialState

SWEEP = ["hydra.sweeper.n_trials=3", "epochs=4"]
LAUNCHERS = {"basic": ["hydra/launcher=basic"], "hposweep": ["hydra.launcher.n_workers=1"]}
LARGEST_FILE = 6000  # bytes; some files of each sweep are larger
LAST_EVENT = 15  # of about 20
TMPFS_KB = (8, 100)
PAUSE_S = 0.03  # of an epoch, where its moment is awaited
TMPFS_FILES = (4, 55)


@dataclass
class Total:
    """What came of the moments so far."""

    n_moments: int = 0
    n_stopped: int = 0  # those in which the sweep noticed
    kinds: collections.Counter[str] = field(default_factory=collections.Counter)
    files: collections.Counter[str] = field(default_factory=collections.Counter)  # that could not be written
    problems: list[str] = field(default_factory=list)

    def note(self, kind: str, stopped_by: str | None, problems: Sequence[str]) -> None:
        self.n_moments += 1
        self.kinds[kind] += 1
        if stopped_by is not None:
            self.n_stopped += 1
            self.files[stopped_by] += 1
        self.problems += problems


def main() -> None:
    """Runs the moments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=200, help="moments in which a sweep noticed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--total", type=Path, help="JSON file to which the counts are added")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    total = Total()
    with tempfile.TemporaryDirectory() as name:
        app = Path(name)
        small_app.make(app)
        kinds = ["file size", *(["tmpfs", "tmpfs of few files"] if can_mount(app) else [])]
        if len(kinds) == 1:
            print("no right to mount: only limits on the size of files are tried")
        for scheduler in ("fifo", "asha"):
            words = [*SWEEP, *LAUNCHERS["hposweep"], *small_app.words_of(scheduler)]
            small_app.run(app, *words, f"hydra.sweep.dir=whole-{scheduler}")
        for number in itertools.count():
            if total.n_stopped == arguments.moments:
                break
            kind, launcher = chance.choice(kinds), chance.choice(list(LAUNCHERS))
            scheduler = chance.choice(["fifo", "asha"])
            words = [*SWEEP, *LAUNCHERS[launcher], *small_app.words_of(scheduler), f"noise={chance.choice([10, 2000])}"]
            stopped_by, problems = moment(app, f"sweep-{number}", kind, words, scheduler, chance)
            total.note(kind, stopped_by, [f"seed {arguments.seed}, moment {number}: {each}" for each in problems])
            shutil.rmtree(app / f"sweep-{number}", ignore_errors=True)
            print(
                f"{number}: {kind}, {launcher}, {scheduler}: {stopped_by or 'not noticed'}, {len(problems)} wrong",
                flush=True,
            )
    print(f"{total.n_moments} moments, {total.n_stopped} of them noticed, by {dict(total.files)}")
    if arguments.total is not None:
        add(arguments.total, total)
    print(*(f"WRONG: {problem}" for problem in total.problems), sep="\n")
    sys.exit(bool(total.problems))


def moment(
    app: Path, name: str, kind: str, words: Sequence[str], scheduler: str, chance: random.Random
) -> tuple[str | None, list[str]]:
    """One sweep under a limit, and again without: which file could not be written (None: all could), what is wrong."""
    sweep = app / name
    words = [*words, f"hydra.sweep.dir={name}", f"pause_s={PAUSE_S if kind == 'file size' else 0}"]
    with_report = chance.random() < 0.1
    if kind == "file size":
        done = limited(app, sweep, words, chance, with_report=with_report)
        return judged(app, sweep, words, scheduler, done)
    size_kb = chance.randint(*TMPFS_KB) if kind == "tmpfs" else 10_000
    n_files = 10_000 if kind == "tmpfs" else chance.randint(*TMPFS_FILES)
    with tmpfs(sweep, size_kb, n_files):
        done = small_app.run(app, *words, with_report=with_report)
        subprocess.run(["mount", "-o", "remount,size=100m,nr_inodes=10000", sweep], check=True)
        return judged(app, sweep, words, scheduler, done)


def limited(
    app: Path, sweep: Path, words: Sequence[str], chance: random.Random, *, with_report: bool
) -> subprocess.CompletedProcess[str]:
    """Runs the sweep, and limits the size of files of all of its processes from some event on."""
    n_events, n_bytes = chance.randint(0, LAST_EVENT), chance.randint(0, LARGEST_FILE)
    env = os.environ if with_report else {**os.environ, "WITHOUT_REPORT": "1"}
    command = small_app.command(*words)
    process = subprocess.Popen(command, cwd=app, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    journal = sweep / FILE_NAME
    while process.poll() is None and (journal.read_bytes().count(b"\n") if journal.exists() else -1) < n_events:
        time.sleep(0.002)
    for number in processes_of(process.pid):
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(number, resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))
    out, err = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def judged(
    app: Path, sweep: Path, words: Sequence[str], scheduler: str, done: subprocess.CompletedProcess[str]
) -> tuple[str | None, list[str]]:
    """What is wrong with a sweep that ran under a limit, and with its resume."""
    problems, stopped_by = [], None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        stopped_by = Path(last.partition(": can't be ")[0]).name
        if done.returncode != 1 or ": can't be " not in last or "Traceback" in done.stdout + done.stderr:
            problems.append(f"exit code {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}")
    if (sweep / FILE_NAME).exists():
        try:
            states = {trial.state for trial in replay(read_events(sweep)).trials.values()}
        except ConfigError as error:
            return stopped_by, [*problems, f"{error}"]
        if TrialState.FAILED in states:
            problems.append("a trial is FAILED")
    again = small_app.run(app, *words)
    if again.returncode != 0:
        return stopped_by, [*problems, f"resumed: exit code {again.returncode}: {again.stderr[-1000:]}"]
    return stopped_by, problems + small_app.differences(app / f"whole-{scheduler}", sweep)


def processes_of(controller: int) -> list[int]:
    """The process and all that descend from it."""
    found = [controller]
    for process in found:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{process}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def can_mount(folder: Path) -> bool:
    """Whether this user may."""
    try:
        with tmpfs(folder / "try", 100, 100):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextlib.contextmanager
def tmpfs(folder: Path, size_kb: int, n_files: int) -> Iterator[None]:
    """A file system of this size in the folder."""
    folder.mkdir()
    options = f"size={size_kb}k,nr_inodes={n_files}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def add(path: Path, total: Total) -> None:
    """Adds the counts to those of former runs."""
    before = json.loads(path.read_text()) if path.exists() else {}
    counts = {
        "moments": before.get("moments", 0) + total.n_moments,
        "noticed": before.get("noticed", 0) + total.n_stopped,
        "kinds": dict(collections.Counter(before.get("kinds", {})) + total.kinds),
        "files": dict(collections.Counter(before.get("files", {})) + total.files),
        "problems": [*before.get("problems", []), *total.problems],
    }
    path.write_text(json.dumps(counts, indent=1) + "\n")


if __name__ == "__main__":
    main()
