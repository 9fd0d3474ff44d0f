"""The engines beside each other, and beside what others run on them: overhead, idle time, and the same results.

    python benchmarks/engines.py [--engines local ray dask slurm] [--peers PYTHON] [--json FILE]

- The overhead of a trial that does nothing, with two workers: the wall time of a sweep of n trials minus that of a
  small one, over the difference in trials. The tools take turns; the table has the median of three.
- The idle time of trials that last 0.1 s and 2 s in turn, with two workers: the time that the sweep takes from the
  first trial's start to the last one's end, over that of the greedy schedule of the same order.
- The draws, learning curves (all columns but seconds), states and winner of sweeps that train by NumPy in epochs with
  checkpoints, compared with those of the local pool. ASHA runs with one worker: with more it decides by the order in
  which results come.

Each engine is started here: a Ray cluster of one node, a Dask scheduler with two workers, a Slurm of two nodes. What is
not installed is left out, which is said. `--peers` is the Python of an environment with other tools, which are left out
without it; the engines that they run on are the same:

    uv venv peers && uv pip install -p peers "ray[tune]==<ours>" hydra-ray-launcher hydra-submitit-launcher
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import engine_clusters
import overhead
import small_app
from rich.console import Console
from rich.table import Table

N_TURNS = 3
WARM_ENGINES = ("ray", "dask")  # of several machines; benchmarks/overhead.py measures the idle time on one
SCHEDULERS = {"fifo": 2, "asha": 1}  # and on how many workers
# Trials of the small sweep and of the large one, by what a trial takes.
SIZES = {"local": (20, 170), "ray": (20, 170), "dask": (20, 170), "slurm": (2, 8)}
SIZES |= {"hydra-ray-launcher": (2, 22), "hydra-submitit-launcher": (2, 8), "Ray Tune": (2, 6)}
RAY_TUNE = """
import logging, sys
import ray
from ray import tune


def nothing(config):
    tune.report({"value": config["x"]})


if __name__ == "__main__":
    n_trials, address, folder = int(sys.argv[1]), *sys.argv[2:]
    ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    tune.Tuner(
        nothing,
        param_space={"x": tune.randint(0, 1000)},
        tune_config=tune.TuneConfig(num_samples=n_trials, max_concurrent_trials=2, metric="value", mode="min"),
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    ).fit()
"""
RAY_CLUSTER = """
import sys
from ray.cluster_utils import Cluster

head = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args=head)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


def main() -> None:
    """Runs all of it, prints tables and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", default=engine_clusters.NAMES, choices=engine_clusters.NAMES)
    parser.add_argument("--peers", type=Path, help="the Python of an environment with the other tools")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name).resolve()
        (folder / "main.py").write_text(overhead.MAIN)
        small_app.make(folder / "small")
        words = {}
        for engine in arguments.engines:
            if reason := engine_clusters.missing(engine):
                print(f"{engine} is left out: {reason}")
            else:
                words[engine] = stack.enter_context(engine_clusters.cluster(engine)).words
        runs: dict[str, Callable[[int, str], float]] = {each: hposweep_on(folder, words[each]) for each in words}
        if arguments.peers is not None:
            runs |= stack.enter_context(peers(folder, arguments.peers, has_slurm="slurm" in words))
        report = {
            "load_before": os.getloadavg()[0],
            "overhead": overheads(runs),
            "idle": {
                engine: overhead.idle(folder, f"idle-{engine}", app_on(words[engine]))
                for engine in words
                if engine in WARM_ENGINES
            },
            "equality": equality(folder / "small", words),
        }
    arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report)


def app_on(words: Sequence[str]) -> Sequence[str]:
    """The app whose trials do nothing, on an engine."""
    return ("main.py", "--multirun", "hydra/sweeper=hposweep", *words, "+x=range(0,1000)")


def hposweep_on(folder: Path, words: Sequence[str]) -> Callable[[int, str], float]:
    """What runs so many trials on an engine, in a sweep of this name, and returns the seconds."""
    return lambda n_trials, name: overhead.sweep(folder, name, n_trials, app=app_on(words))[0]


@contextlib.contextmanager
def peers(folder: Path, python: Path, *, has_slurm: bool) -> Iterator[Mapping[str, Callable[[int, str], float]]]:
    """The other tools: what runs so many trials in a sweep of this name, and returns the seconds."""
    (folder / "tune_nothing.py").write_text(RAY_TUNE)
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}

    def seconds(*words: str) -> float:
        started = time.monotonic()
        done = subprocess.run(
            [python, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return time.monotonic() - started

    def hydra(launcher: str, *words: str) -> Callable[[int, str], float]:
        return lambda n, name: seconds(
            *("main.py", "--multirun", f"hydra/launcher={launcher}", f"hydra.sweep.dir={name}", *words),
            f"+x=range(0,{n})",
        )

    of_ray = ("address=local", "num_cpus=2", "include_dashboard=false")
    found = {"hydra-ray-launcher": hydra("ray", *(f"+hydra.launcher.ray.init.{each}" for each in of_ray))}
    if has_slurm:
        of_slurm = ("array_parallelism=2", "timeout_min=5")
        found["hydra-submitit-launcher"] = hydra("submitit_slurm", *(f"hydra.launcher.{each}" for each in of_slurm))
    # Its own cluster: Ray's workers are of the Python that has started the node.
    cluster = subprocess.Popen(
        [python, "-c", RAY_CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert cluster.stdin is not None
    assert cluster.stdout is not None
    address = cluster.stdout.readline().strip()
    found["Ray Tune"] = lambda n, name: seconds("tune_nothing.py", f"{n}", address, str(folder / name))
    try:
        yield found
    finally:
        cluster.stdin.close()
        cluster.wait()


def overheads(runs: Mapping[str, Callable[[int, str], float]]) -> dict[str, Any]:
    """Milliseconds a trial of each tool: of each turn, and their median."""
    turns: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(N_TURNS):
        for name, run in runs.items():
            few, many = SIZES[name]
            few_s, many_s = (run(n, f"{name}-{turn}-{n}".replace(" ", "-")) for n in (few, many))
            turns[name].append(1000 * (many_s - few_s) / (many - few))
            print(f"{name}, turn {turn + 1}: {turns[name][-1]:.0f} ms a trial", flush=True)
    return {
        name: {"n_trials": SIZES[name], "ms": statistics.median(found), "turns": found} for name, found in turns.items()
    }


def equality(app: Path, words: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """How sweeps on each engine differ from those of the local pool."""
    rows = []
    for scheduler, n_workers in SCHEDULERS.items():
        common = [*small_app.words_of(scheduler), "hydra.sweeper.n_trials=6", f"hydra.launcher.n_workers={n_workers}"]

        def sweep(name: str, words: Sequence[str], common: Sequence[str] = tuple(common)) -> Path:
            done = small_app.run(app, *common, *words, f"hydra.sweep.dir={name}")
            assert done.returncode == 0, done.stderr
            return app / name

        reference = sweep(f"reference-{scheduler}", ())
        for engine in words:
            found = sweep(f"{engine}-{scheduler}", words[engine])
            rows.append(
                {
                    "engine": engine,
                    "scheduler": scheduler,
                    "n_workers": n_workers,
                    "n_trials": len(small_app.table(found)),
                    "n_epochs": sum(len(small_app.curve(found, row["trial"])) for row in small_app.table(found)),
                    "winner": small_app.results(found)["best_trial"],
                    "differences": small_app.differences(reference, found),
                }
            )
    return rows


def show(report: Mapping[str, Any]) -> None:
    """The tables."""
    console = Console()
    table = Table("", "trials", "overhead, ms a trial", "turns")
    for name, row in report["overhead"].items():
        turns = ", ".join(f"{each:.0f}" for each in row["turns"])
        table.add_row(name, " and ".join(map(str, row["n_trials"])), f"{row['ms']:.1f}", turns)
    console.print(table)
    table = Table("0.1 s and 2 s in turn", "seconds", "greedy schedule", "ratio")
    for engine, row in report["idle"].items():
        table.add_row(engine, f"{row['seconds']:.2f}", f"{row['greedy_s']:.2f}", f"{row['ratio']:.3f}")
    console.print(table)
    table = Table("engine", "scheduler", "workers", "trials", "epochs", "winner", "differences from the local pool")
    for row in report["equality"]:
        cells = [str(row[name]) for name in ("engine", "scheduler", "n_workers", "n_trials", "n_epochs", "winner")]
        table.add_row(*cells, "; ".join(row["differences"]) or "none")
    console.print(table)
    if any(row["differences"] for row in report["equality"]):
        sys.exit(1)


if __name__ == "__main__":
    main()
