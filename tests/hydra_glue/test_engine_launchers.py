"""Sweeps on real engines: what holds on one machine holds there. An engine is a row in `support.engines.LAUNCHERS`."""

import csv
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import hposweep
from hposweep.history import SegmentStarted
from hposweep.sweep_folder.journal import read_events
from support.apps import App
from support.engines import LAUNCHERS
from support.processes import kill, processes_in, wait_for

pytestmark = pytest.mark.process

PROGRAM = """
import json
import time
from pathlib import Path

import hydra
import hposweep


@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    path = hposweep.checkpoint_dir() / "state.json"
    weight, start = json.loads(path.read_text()) if path.exists() else (1.0, 0)
    for epoch in range(start + 1, hposweep.target_epoch(default=9) + 1):
        while epoch == 5 and cfg.gate and not Path(cfg.gate).exists():
            time.sleep(0.01)
        weight -= cfg.rate * (weight - 0.3)
        hposweep.report(epoch, abs(weight - 0.3))
        part = path.with_suffix(".part")
        part.write_text(json.dumps([weight, epoch]))
        part.replace(path)
    return abs(weight - 0.3)


if __name__ == "__main__":
    main()
"""
SPACE = ["+rate=tag(log,interval(1e-3,1))", "hydra.sweeper.n_trials=6"]
ASHA = ["hydra/sweeper/scheduler=asha", "hydra.sweeper.scheduler.r_max=9", "hydra.launcher.n_workers=1"]
SCHEDULES = {"random": [], "asha": ASHA}


@dataclass(frozen=True)
class Engine:
    """An engine that runs, and the words that take a launcher on it."""

    name: str
    words: Sequence[str]


@pytest.fixture(scope="module", params=LAUNCHERS)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with LAUNCHERS[request.param]() as words:
        yield Engine(request.param, words)


def app_in(folder: Path) -> App:
    app = App(folder)
    app.write("main.py", PROGRAM)
    return app


@pytest.fixture
def app(tmp_path: Path) -> App:
    return app_in(tmp_path / "app")


@pytest.fixture(scope="module")
def of_one_machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same sweeps with the local launcher."""
    folders = {}
    for name, words in SCHEDULES.items():
        app = app_in(tmp_path_factory.mktemp(name))
        done = app.sweep("hydra/launcher=hposweep", "+gate=''", *SPACE, *words)
        assert done.exit_code == 0, done.err
        folders[name] = app.folder / "swept"
    return folders


def rows(sweep: Path) -> list[dict[str, str]]:
    """The table without what depends on time."""
    with open(sweep / "trials.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k not in ("started_at", "duration_s")} for row in csv.DictReader(file)]


def curves(sweep: Path) -> dict[str, list[str]]:
    """The learning curves, to the last digit, without their seconds."""
    found = {}
    for path in sorted(sweep.rglob("learning_curve.csv")):
        lines = path.read_text().splitlines()
        found[str(path.relative_to(sweep))] = [line.rpartition(",")[0] for line in lines]
    return found


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_draws_curves_and_winner_are_those_of_one_machine(
    engine: Engine, app: App, of_one_machine: dict[str, Path], schedule: str
) -> None:
    done = app.sweep(*engine.words, "+gate=''", *SPACE, *SCHEDULES[schedule])
    assert done.exit_code == 0, done.err
    there, here = app.folder / "swept", of_one_machine[schedule]
    assert rows(there) == rows(here)
    assert curves(there) == curves(here)
    assert len(curves(there)) == 6
    segments = hposweep.load(there).segments
    assert all(segments["place"])
    assert not any(hposweep.load(here).segments["place"])


def begun(app: App, engine: Engine, *words: str) -> subprocess.Popen[str]:
    """A sweep two of whose trials stand in their fifth epoch."""
    command = [app.python, app.script, "--multirun", "hydra/sweeper=hposweep", "hydra.sweep.dir=swept", *engine.words]
    command += ["+gate=gate", *SPACE, "hydra.launcher.n_workers=2", *words]
    sweep = subprocess.Popen(command, cwd=app.folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def are_there() -> bool:
        assert sweep.poll() is None, sweep.communicate()
        return [len(lines) for lines in curves(app.folder / "swept").values()].count(5) == 2

    wait_for(are_there)
    return sweep


def resumed(app: App) -> None:
    (app.folder / "gate").touch()
    subprocess.run([app.python, "-m", "hposweep", "resume", "swept"], cwd=app.folder, check=True, capture_output=True)


def test_ctrl_c_interrupts_and_the_sweep_goes_on_where_it_stood(
    engine: Engine, app: App, of_one_machine: dict[str, Path]
) -> None:
    sweep = begun(app, engine)
    sweep.send_signal(signal.SIGINT)
    _, errors = sweep.communicate(timeout=60)
    assert sweep.returncode == 130
    assert "Traceback" not in errors
    assert [row["state"] for row in rows(app.folder / "swept")] == ["INTERRUPTED"] * 2
    wait_for(lambda: processes_in(app.folder) == [])
    resumed(app)
    assert curves(app.folder / "swept") == curves(of_one_machine["random"])


def test_a_controller_that_is_killed_leaves_a_sweep_to_resume(
    engine: Engine, app: App, of_one_machine: dict[str, Path]
) -> None:
    if engine.name == "slurm":
        pytest.skip("its jobs live on: see test_slurm_launcher.py")
    sweep = begun(app, engine)
    kill(sweep)
    wait_for(lambda: processes_in(app.folder) == [])
    resumed(app)
    assert curves(app.folder / "swept") == curves(of_one_machine["random"])
    starts = [event for event in read_events(app.folder / "swept") if isinstance(event, SegmentStarted)]
    assert [event.start_epoch for event in starts if event.trial == 0] == [0, 0]
