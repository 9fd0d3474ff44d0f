"""The overhead of a trial: trials that do nothing, on two workers, from few to ten thousand of them.

    python benchmarks/overhead.py [--most 10000] [--json FILE]

The overhead is the wall time of a sweep of n trials minus that of a small one, over the difference in trials.
The sweeps take turns. The same in hposweep's own app, whose config is larger, with an objective that does nothing; and
the ratio of the two. Also: the time to the first trial's end, the largest memory of the controller, and the idle time
of trials that last 0.1 s and 2 s in turn, against the greedy schedule of the same order.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

N_WORKERS = 2
SMALL = 50
N_TURNS = 3
MAIN = """
import time
import hydra

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    time.sleep(cfg.get("even", 0) if cfg.x % 2 == 0 else cfg.get("odd", 0))
    return cfg.x

if __name__ == "__main__":
    main()
"""

OBJECTIVE = """
def objective(cfg):
    return cfg.optimizer.learning_rate
"""
SMALL_APP = ("main.py", "--multirun", "hydra/sweeper=hposweep", "hydra/launcher=hposweep", "+x=range(0,1000)")
OWN_APP = ("-m", "hposweep", "--multirun", "objective._target_=nothing.objective", "objective.preload=[]")
OWN_APP += ("hydra.sweeper.final_overrides=null", "hydra.sweeper.final_metric=null")


def main() -> None:
    """Runs all of it, prints tables and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=10_000, help="trials of the largest sweep")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    sizes = [n for n in (500, 2000, 10_000) if n <= arguments.most]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "main.py").write_text(MAIN)
        (folder / "nothing.py").write_text(OBJECTIVE)
        report = {
            "overhead": [overhead(folder, n) for n in sizes],
            "own_app": own_app(folder, sizes[0]),
            "idle": idle(folder),
            "first_trial_s": first_trial(folder),
        }
    arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report)


def sweep(folder: Path, name: str, n_trials: int, *words: str, app: Sequence[str] = SMALL_APP) -> tuple[float, float]:
    """Seconds and the controller's largest memory in MB."""
    overrides = [f"hydra.launcher.n_workers={N_WORKERS}", f"hydra.sweeper.n_trials={n_trials}"]
    overrides += [f"hydra.sweep.dir={name}", "hydra.sweeper.progress=none"]
    command = [sys.executable, *app, *overrides, *words]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=env)
    peak_mb = 0.0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status")
        if status.exists():
            lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
            peak_mb = max([peak_mb, *(int(line.split()[1]) / 1024 for line in lines)])
        time.sleep(0.05)
    assert process.returncode == 0, command
    return time.monotonic() - started, peak_mb


def overhead(folder: Path, n_trials: int) -> dict[str, float]:
    """Milliseconds a trial."""
    few_s, _ = sweep(folder, f"few-{n_trials}", SMALL)
    many_s, peak_mb = sweep(folder, f"many-{n_trials}", n_trials)
    return {"n_trials": n_trials, "ms": 1000 * (many_s - few_s) / (n_trials - SMALL), "controller_peak_mb": peak_mb}


def own_app(folder: Path, n_trials: int) -> dict[str, float]:
    """Milliseconds a trial in the small app and in hposweep's own: medians of sweeps that take turns."""
    found: dict[str, list[float]] = {"small": [], "own": []}
    for turn in range(N_TURNS):
        for app, words in (("small", SMALL_APP), ("own", OWN_APP)):
            few_s, _ = sweep(folder, f"{app}-few-{turn}", SMALL, app=words)
            many_s, _ = sweep(folder, f"{app}-many-{turn}", n_trials, app=words)
            found[app].append(1000 * (many_s - few_s) / (n_trials - SMALL))
    small_ms, own_ms = (statistics.median(found[app]) for app in ("small", "own"))
    return {"n_trials": n_trials, "small_ms": small_ms, "own_ms": own_ms, "ratio": own_ms / small_ms}


def idle(folder: Path, name: str = "idle", app: Sequence[str] = SMALL_APP) -> dict[str, float]:
    """24 trials that last 0.1 s and 2 s in turn, from the first start to the last end, against the greedy schedule."""
    sweep(folder, name, 24, "+even=0.1", "+odd=2.0", app=app)
    events = [json.loads(line) for line in (folder / name / "journal.jsonl").read_text().splitlines()]
    at = [(event["event"], datetime.fromisoformat(event["time"]).timestamp(), event) for event in events]
    values = {e["trial"]: e["configuration"]["+x"] for kind, _, e in at if kind == "trial_proposed"}
    durations = [2.0 if values[number] % 2 else 0.1 for number in sorted(values)]
    free = [0.0] * N_WORKERS
    for duration in durations:
        free[free.index(min(free))] += duration
    ends = sorted(moment for kind, moment, _ in at if kind == "segment_ended")
    # From the end of the first trial on, without the start of the workers.
    first = min(durations[:N_WORKERS])
    took = ends[-1] - ends[0] + first
    return {"seconds": took, "greedy_s": max(free), "ratio": took / max(free)}


def first_trial(folder: Path) -> float:
    """Seconds from the command to the end of the first trial that does nothing."""
    started = time.time()
    sweep(folder, "first", 1)
    events = [json.loads(line) for line in (folder / "first" / "journal.jsonl").read_text().splitlines()]
    ended = next(event["time"] for event in events if event["event"] == "segment_ended")
    return datetime.fromisoformat(ended).timestamp() - started


def show(report: dict) -> None:
    """The tables."""
    console = Console()
    table = Table("trials", "overhead, ms a trial", "controller's peak, MB")
    for row in report["overhead"]:
        table.add_row(str(row["n_trials"]), f"{row['ms']:.1f}", f"{row['controller_peak_mb']:.0f}")
    console.print(table)
    row = report["own_app"]
    console.print(
        f"{row['n_trials']} trials in a small app {row['small_ms']:.1f} ms, in hposweep's own {row['own_ms']:.1f} ms, "
        f"{row['ratio']:.2f} times"
    )
    row = report["idle"]
    console.print(
        f"0.1 s and 2 s in turn: {row['seconds']:.2f} s, greedy {row['greedy_s']:.2f} s, {row['ratio']:.3f} times"
    )
    console.print(f"first trial's end: {report['first_trial_s']:.2f} s after the command")


if __name__ == "__main__":
    main()
