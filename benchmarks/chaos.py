"""Compares a sweep of real trainings whose controller and workers are killed again and again with an undisturbed one.

    python benchmarks/chaos.py [--controllers 20] [--workers 5] [--seed 0] [--scheduler fifo]

Each kill is a SIGKILL at a random moment while at least one trial is RUNNING. 3 s after each kill of a controller, none
of its processes may be left. At the end draws, learning curves (all columns but `seconds`) and the winner must be those
of the undisturbed sweep, which has another number of workers. Exits with 1 if anything differs.

With `--scheduler asha` (or another that decides by the order of results) both sweeps have one worker, since with more
the promotions depend on the order in which trials finish. Then the undisturbed sweep is also compared with one of fifo:
each pair of curves must be the same as far as the shorter one goes.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from hposweep.sweep_folder.trial_files import TrialFiles

SWEEP = ["model=mlp", "search_space=mlp", "trainer.max_epochs=6", "data.train_fraction=0.5", "hydra.sweep.dir=swept"]
LONGEST_S = 3.0  # from the start of a training to the kill


def main() -> None:
    """Runs both sweeps and compares them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--controllers", type=int, default=20, help="kills of the controller")
    parser.add_argument("--workers", type=int, default=5, help="kills of a worker, at least")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments and the victims")
    parser.add_argument("--scheduler", default="fifo")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    kills = ["controller"] * arguments.controllers + ["worker"] * arguments.workers
    chance.shuffle(kills)
    with tempfile.TemporaryDirectory() as name:
        alone, killed, full = (Path(name) / each for each in ("alone", "killed", "full"))
        for folder in (alone, killed, full):
            folder.mkdir()
        words = [*SWEEP, f"hydra.sweeper.n_trials={arguments.trials}", "hydra.sweeper.max_retries=1000"]
        by_rungs = [*words, f"scheduler={arguments.scheduler}"]
        print(f"left alone: exit code {start(alone, by_rungs, 1).wait()}")
        n_done = run_killed(killed, by_rungs, kills, chance, n_workers=2 if arguments.scheduler == "fifo" else 1)
        problems = differences(alone / "swept", killed / "swept")
        if arguments.scheduler != "fifo":
            print(f"by fifo: exit code {start(full, words, 2).wait()}")
            problems += curves_that_part(alone / "swept", full / "swept")
    print(f"{n_done['controller']} controllers and {n_done['worker']} workers killed, each while a trial was RUNNING")
    for problem in problems:
        print(f"DIFFERS: {problem}")
    print("Not the same." if problems else "The same draws, curves and winner.")
    sys.exit(bool(problems))


def run_killed(
    folder: Path, words: list[str], kills: list[str], chance: random.Random, n_workers: int
) -> dict[str, int]:
    """Runs the sweep through all kills, and then to its end."""
    n_done = {"controller": 0, "worker": 0}
    process: subprocess.Popen[bytes] | None = None
    for kill in kills:
        since = n_events(folder)
        process = process or start(folder, words, n_workers)
        wait_for(lambda since=since, process=process: is_running(folder, since) or process.poll() is not None)
        time.sleep(chance.uniform(0, LONGEST_S))
        if process.poll() is not None or not is_running(folder, 0):
            print(f"too late for a {kill}: the sweep has ended")
            continue
        if kill == "worker":
            now = time.time()
            wait_for(lambda now=now, process=process: is_training(folder, now) or process.poll() is not None)
            time.sleep(chance.uniform(0, 0.2))
            victims = workers(folder, process.pid) if is_running(folder, 0) else []
            if victims:
                os.kill(chance.choice(victims), signal.SIGKILL)
                n_done["worker"] += 1
            continue
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        n_done["controller"] += 1
        process = None
        wait_for(lambda: not processes_of(folder), seconds=3)
        check_whole(folder / "swept")
    print(f"to its end: exit code {(process or start(folder, words, n_workers)).wait()}")
    return n_done


def start(folder: Path, words: list[str], n_workers: int) -> subprocess.Popen[bytes]:
    """A controller of our own app."""
    command = [sys.executable, "-m", "hposweep", "--multirun", *words, f"hydra.launcher.n_workers={n_workers}"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def events(folder: Path) -> list[dict]:
    """The whole lines of the journal."""
    path = folder / "swept" / "journal.jsonl"
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []


def n_events(folder: Path) -> int:
    """The number of events in the journal."""
    return len(events(folder))


def is_running(folder: Path, since: int) -> bool:
    """Whether a trial that was started after the first `since` events has not ended."""
    started: set[int] = set()
    for event in events(folder)[since:]:
        if event["event"] == "segment_started":
            started.add(event["trial"])
        elif event["event"] in ("segment_ended", "segment_died"):
            started.discard(event["trial"])
    return bool(started)


def processes_of(folder: Path) -> list[int]:
    """Living processes that work in this folder, the oldest first."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:
            continue
    return sorted(found)


def workers(folder: Path, controller: int) -> list[int]:
    """The processes that the forkserver, a child of the controller, has forked."""
    found = []
    for number in processes_of(folder):
        try:
            parent = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
            is_forked = b"forkserver" in Path(f"/proc/{parent}/cmdline").read_bytes() and parent != controller
        except OSError:
            continue
        if is_forked:
            found.append(number)
    return found


def is_training(folder: Path, since: float) -> bool:
    """Whether a trial has trained an epoch since this moment, and another one is under way."""
    curves = (folder / "swept").glob("trials/*/hposweep/learning_curve.csv")
    return is_running(folder, 0) and any(curve.stat().st_mtime > since for curve in curves)


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Raises an AssertionError if the condition doesn't hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.02)


def check_whole(sweep: Path) -> None:
    """Checks that no table and no record is half-written."""
    for path in sweep.glob("*.yaml"):
        assert yaml.safe_load(path.read_text()) is not None, path
    for path in sweep.rglob("*.npz"):
        import numpy as np

        with np.load(path, allow_pickle=False) as file:
            assert all(file[name] is not None for name in file.files), path


def differences(one: Path, other: Path) -> list[str]:
    """How the sweeps differ."""
    found = []
    tables = [rows(sweep) for sweep in (one, other)]
    if len(tables[0]) != len(tables[1]):
        found.append(f"{len(tables[0])} and {len(tables[1])} trials")
    same = [key for key in tables[0][0] if key not in ("attempts", "started_at", "duration_s")]
    for row, row_again in zip(*tables, strict=False):
        found += [
            f"trial {row['trial']}, {key}: {row[key]} {row_again[key]}" for key in same if row[key] != row_again[key]
        ]
        curves = [curve(TrialFiles(sweep, f"trials/{row['trial']}")) for sweep in (one, other)]
        if curves[0] != curves[1]:
            found.append(f"trial {row['trial']}: learning curve")
    winners = [yaml.safe_load((sweep / "optimization_results.yaml").read_text()) for sweep in (one, other)]
    found += [
        f"winner, {key}" for key in ("best_trial", "best_value", "test_error") if winners[0][key] != winners[1][key]
    ]
    drawn = [tuple(row[key] for key in same if "." in key) for row in tables[1]]
    if len(set(drawn)) < len(drawn):
        found.append("a configuration stands twice")
    return found


def curves_that_part(one: Path, other: Path) -> list[str]:
    """Trials whose curves differ before the shorter one ends."""
    found = []
    for row in rows(one):
        curves = [curve(TrialFiles(sweep, f"trials/{row['trial']}")) for sweep in (one, other)]
        n_both = min(map(len, curves))
        if curves[0][:n_both] != curves[1][:n_both] or not n_both:
            found.append(f"trial {row['trial']}: learning curve, against fifo's")
    return found


def rows(sweep: Path) -> list[dict[str, str]]:
    """The table of trials."""
    with open(sweep / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def curve(files: TrialFiles) -> list[dict[str, str]]:
    """The learning curve without its seconds."""
    with open(files.learning_curve, newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


if __name__ == "__main__":
    main()
