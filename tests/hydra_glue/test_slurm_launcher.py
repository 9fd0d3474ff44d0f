"""Sweeps on a real Slurm: as on the local pool, and with a controller that dies."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hydra_plugins.hposweep_launcher import HposweepSlurmConf
from support.apps import App
from support.processes import kill, wait_for
from support.slurm import Slurm, slurm
from support.sweeps import events, rows, without_seconds

pytestmark = pytest.mark.process

# Each epoch after the first one waits for its file, where the test says so.
APP = """
import time
from pathlib import Path
import hydra
import hposweep

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    kept = hposweep.checkpoint_dir() / "state"
    epoch, state = map(float, kept.read_text().split()) if kept.exists() else (0, cfg.x)
    for epoch in range(int(epoch) + 1, hposweep.target_epoch(4) + 1):
        while epoch > 1 and cfg.text == "wait" and not Path(GO).exists():
            time.sleep(0.02)
        state = state / 2 + epoch
        kept.write_text(f"{epoch} {state!r}")
        hposweep.report(epoch, state)
    return state

if __name__ == "__main__":
    main()
"""
SLURM = ["hydra/launcher=hposweep_slurm", "x=interval(0,4)"]
LOCAL = ["hydra/launcher=hposweep", "x=interval(0,4)"]


@pytest.fixture(scope="module")
def running_slurm() -> Iterator[Slurm]:
    with slurm() as found:
        yield found


@pytest.fixture
def cluster(running_slurm: Slurm) -> Iterator[Slurm]:
    """A Slurm without jobs."""
    yield running_slurm
    running_slurm.end_all()


@pytest.fixture
def trained(app: App) -> App:
    app.write("main.py", APP.replace("GO", repr(str(app.folder / "go"))))
    return app


def curves(sweep: Path) -> dict[str, list[dict[str, str]]]:
    return {path.parents[1].name: without_seconds(path) for path in sweep.glob("*/hposweep/learning_curve.csv")}


def told(sweep: Path) -> list[dict[str, str]]:
    """What the table of trials says, but for what differs from run to run."""
    kept = ("trial", "state", "value", "epochs", "seed", "x", "failure")
    return [{name: row[name] for name in kept} for row in rows(sweep)]


def environment() -> dict[str, str]:
    return {"SLURM_CONF": os.environ["SLURM_CONF"]}


def start(app: App, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "main.py", "--multirun", "hydra/sweeper=hposweep", "hydra.sweep.dir=swept", *words]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=app.folder, text=True, **streams)


def n_training(sweep: Path) -> int:
    return len(list(sweep.glob("*/hposweep/learning_curve.csv")))


def n_started(sweep: Path) -> list[int]:
    return [event["trial"] for event in events(sweep) if event["event"] == "segment_started"]


def test_the_jobs_of_a_controller_that_was_killed_go_on_and_are_adopted(cluster: Slurm, trained: App) -> None:
    words = [*SLURM, "hydra.sweeper.n_trials=3", "hydra.launcher.n_workers=2", "text=wait"]
    sweep = trained.folder / "swept"
    process = start(trained, *words)
    wait_for(lambda: n_training(sweep) == 2)
    kill(process)
    assert len(cluster.running()) == 2
    resumed = start(trained, *words)
    wait_for(lambda: sum(event["event"] == "sweep_started" for event in events(sweep)) == 2)
    (trained.folder / "go").touch()
    out, _ = resumed.communicate(timeout=60)
    assert resumed.returncode == 0, out
    assert "2 jobs of the controller before this one run on" in out
    assert n_started(sweep) == [0, 1, 2]
    local = trained.sweep(*LOCAL, "hydra.sweeper.n_trials=3", "hydra.sweep.dir=local", "text=wait")
    assert local.exit_code == 0, local.err
    assert (told(sweep), curves(sweep)) == (told(trained.folder / "local"), curves(trained.folder / "local"))


def test_jobs_that_ended_while_no_controller_was_there_count(cluster: Slurm, trained: App) -> None:
    words = [*SLURM, "hydra.sweeper.n_trials=2", "text=wait"]
    sweep = trained.folder / "swept"
    process = start(trained, *words)
    wait_for(lambda: n_training(sweep) == 2)
    kill(process)
    (trained.folder / "go").touch()
    wait_for(lambda: not cluster.jobs())
    done = trained.sweep(*words, env=environment())
    assert done.exit_code == 0, done.err
    assert n_started(sweep) == [0, 1]
    assert [row["state"] for row in rows(sweep)] == ["COMPLETE"] * 2


def test_another_sweeper_launches_on_slurm_from_a_job_of_slurm(cluster: Slurm, app: App) -> None:
    # What the job of the controller was given is not what those of the trials are given.
    of_a_job = {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "64", "SLURM_NTASKS": "8"}
    words = ["--multirun", "hydra/launcher=hposweep_slurm", "x=1,2", "hydra.sweep.dir=swept"]
    done = app.run(*words, env=environment() | of_a_job)
    assert done.exit_code == 0, done.err
    assert not (app.folder / "swept" / ".slurm").exists()
    assert sorted(path.parent.name for path in (app.folder / "swept").glob("*/.hydra")) == ["0", "1"]


# hydra-submitit-launcher 1.2.0, the node of submitit_slurm
THEIRS = {
    "submitit_folder": "${hydra.sweep.dir}/.submitit/%j",
    "timeout_min": 60,
    "cpus_per_task": None,
    "gpus_per_node": None,
    "tasks_per_node": 1,
    "mem_gb": None,
    "nodes": 1,
    "name": "${hydra.job.name}",
    "stderr_to_stdout": False,
    "partition": None,
    "qos": None,
    "comment": None,
    "constraint": None,
    "exclude": None,
    "gres": None,
    "cpus_per_gpu": None,
    "gpus_per_task": None,
    "mem_per_gpu": None,
    "mem_per_cpu": None,
    "account": None,
    "signal_delay_s": 120,
    "max_num_timeout": 0,
    "additional_parameters": {},
    "array_parallelism": 256,
    "setup": None,
}


def test_a_config_of_hydra_submitit_launcher_moves_over() -> None:
    ours = dataclasses.asdict(HposweepSlurmConf())
    assert set(THEIRS) <= set(ours)
    differing = {key for key, value in THEIRS.items() if ours[key] != value}
    assert differing == {"cpus_per_task", "max_num_timeout"}
    assert set(ours) - set(THEIRS) == {"_target_", "n_workers", "preload", "max_worker_memory_mb"}


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("nodes=2", "hydra.launcher.nodes: must be 1, as a trial is one process, got 2"),
        ("tasks_per_node=4", "hydra.launcher.tasks_per_node: must be 1, as a trial is one process, got 4"),
        ("n_workers=0", "hydra.launcher.n_workers: must be at least 1, got 0"),
        ("timeout_min=1", "hydra.launcher.signal_delay_s: must be less than timeout_min, in seconds 60, got 120"),
    ],
)
def test_what_slurm_jobs_can_not_do_is_refused_in_one_line(app: App, word: str, line: str) -> None:
    done = app.sweep(*SLURM, "hydra.sweeper.n_trials=1", f"hydra.launcher.{word}")
    assert done.exit_code != 0
    assert done.error_lines[-1:] == [line]


def test_without_slurm_one_line_says_so(app: App) -> None:
    done = app.sweep(*SLURM, "hydra.sweeper.n_trials=1", env={"PATH": "/nowhere"})
    assert done.exit_code != 0
    assert done.error_lines[-1:] == [
        "hydra/launcher=hposweep_slurm: no 'sbatch' on PATH; start the sweep on a machine that submits to Slurm"
    ]
