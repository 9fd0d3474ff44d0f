"""The launcher on Dask: a cluster of the user's config, one of this machine's own, and what is refused."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.apps import App
from support.processes import processes_in, wait_for
from support.sweeps import rows

pytestmark = pytest.mark.process

PROGRAM = """
import time
from pathlib import Path

import hydra

with open("imported", "a") as file:
    file.write("x")


@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    if cfg.gate:
        Path(f"began-{cfg.x}").touch()
    while cfg.gate and not Path(cfg.gate).exists():
        time.sleep(0.01)
    return cfg.x


if __name__ == "__main__":
    main()
"""
WORDS = ["hydra/launcher=hposweep_dask", "+x=interval(0,1)", "hydra.sweeper.n_trials=4"]


@pytest.fixture
def app(tmp_path: Path) -> App:
    app = App(tmp_path / "app")
    app.write("main.py", PROGRAM)
    return app


def test_without_an_address_workers_of_this_machine_run_the_trials_and_end_with_the_sweep(app: App) -> None:
    done = app.sweep(*WORDS, "+gate=''", "hydra.launcher.n_workers=2")
    assert done.exit_code == 0, done.err
    assert [row["state"] for row in rows(app.folder / "swept")] == ["COMPLETE"] * 4
    assert "Dask" not in done.err
    assert "distributed" not in done.err
    assert (app.folder / "imported").read_text() == "x"
    assert processes_in(app.folder) == []


def test_a_cluster_of_the_config_is_made_scaled_and_closed(app: App) -> None:
    cluster = "{_target_:distributed.LocalCluster,n_workers:0,threads_per_worker:1,dashboard_address:'127.0.0.1:0'}"
    done = app.sweep(*WORDS, "+gate=''", f"hydra.launcher.cluster={cluster}", "hydra.launcher.n_workers=1")
    assert done.exit_code == 0, done.err
    assert [row["state"] for row in rows(app.folder / "swept")] == ["COMPLETE"] * 4
    assert processes_in(app.folder) == []


def test_ctrl_c_in_a_terminal_reaches_the_controller_alone_which_winds_down(app: App) -> None:
    command = [app.python, app.script, "--multirun", "hydra/sweeper=hposweep", "hydra.sweep.dir=swept", *WORDS]
    command += ["+gate=gate", "hydra.launcher.n_workers=2"]
    sweep = subprocess.Popen(
        command, cwd=app.folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(lambda: len(list(app.folder.glob("began-*"))) == 2)
    os.killpg(sweep.pid, signal.SIGINT)
    (app.folder / "gate").touch()  # the running trials may end within the grace time: their workers must live
    _, errors = sweep.communicate(timeout=60)
    assert sweep.returncode == 130
    assert "Traceback" not in errors
    assert [row["state"] for row in rows(app.folder / "swept")] == ["COMPLETE"] * 2
    assert processes_in(app.folder) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["hydra.launcher.address=tcp://127.0.0.1:1", "hydra.launcher.cluster={_target_:distributed.LocalCluster}"],
            "hydra.launcher.cluster: there is an address, too; give one of them",
        ),
        (
            ["hydra.launcher.cluster={n_workers:2}"],
            "hydra.launcher.cluster: must hold the _target_ of a cluster's class, got {'n_workers': 2}",
        ),
        (
            ["hydra.launcher.cluster={_target_:distributed.NoCluster}"],
            "hydra.launcher.cluster: distributed.NoCluster can't be made",
        ),
        (
            ["+hydra.launcher.resources.gpu=1"],
            "hydra.launcher.resources: workers of this machine have none; give address or cluster",
        ),
        (["hydra.launcher.threads=0"], "hydra.launcher.threads: must be at least 1, got 0"),
        (["hydra.launcher.n_workers=0"], "hydra.launcher.n_workers: must be at least 1, or null, got 0"),
        (
            ["hydra.launcher.address=nowhere"],
            "hydra.launcher.address: no Dask scheduler at 'nowhere' (ValueError: missing port number",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(warm_hydra, tmp_path: Path, words: list[str], message: str) -> None:
    app = App(tmp_path / "app", warm_hydra)
    app.write("main.py", PROGRAM)
    done = app.sweep(*WORDS, "+gate=''", *words)
    assert done.exit_code == 1
    assert done.error_lines[-1].startswith(message)
    assert "Traceback" not in done.err
