"""The overhead of a trial: trials that do nothing, on two workers, from few to ten thousand of them.

    python benchmarks/overhead.py [--most 10000] [--json FILE]

The overhead is the wall time of a sweep of n trials minus that of a small one, over the difference in trials.
The sweeps take turns. Also: the time to the first trial's end, the largest memory of the controller, and the idle time
of trials that last 0.1 s and 2 s in turn, against the greedy schedule of the same order.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

N_WORKERS = 2
SMALL = 50
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
        overheads = [overhead(folder, n) for n in sizes]
        report = {"overhead": overheads, "idle": idle(folder), "first_trial_s": first_trial(folder)}
    arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report)


def sweep(folder: Path, name: str, n_trials: int, *words: str) -> tuple[float, float]:
    """Seconds and the controller's largest memory in MB."""
    overrides = ["hydra/sweeper=hposweep", "hydra/launcher=hposweep", f"hydra.launcher.n_workers={N_WORKERS}"]
    overrides += ["+x=range(0,1000)", f"hydra.sweeper.n_trials={n_trials}", f"hydra.sweep.dir={name}"]
    command = [sys.executable, "main.py", "--multirun", *overrides, "hydra.sweeper.progress=none", *words]
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
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


def idle(folder: Path) -> dict[str, float]:
    """24 trials that last 0.1 s and 2 s in turn, from the first start to the last end, against the greedy schedule."""
    sweep(folder, "idle", 24, "+even=0.1", "+odd=2.0")
    events = [json.loads(line) for line in (folder / "idle" / "journal.jsonl").read_text().splitlines()]
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
    row = report["idle"]
    console.print(
        f"0.1 s and 2 s in turn: {row['seconds']:.2f} s, greedy {row['greedy_s']:.2f} s, {row['ratio']:.3f} times"
    )
    console.print(f"first trial's end: {report['first_trial_s']:.2f} s after the command")


if __name__ == "__main__":
    main()
