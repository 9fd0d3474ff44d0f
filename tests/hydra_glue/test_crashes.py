"""Real processes that really die: workers and controllers, and what is left of the sweep."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.apps import App
from support.processes import kill, processes_in, wait_for
from support.shared import made_once
from support.sweeps import events, results_of, rows, without_seconds
from support.warm import WarmProcess

pytestmark = pytest.mark.process

N = "hydra.sweeper.n_trials"
UNLUCKY_APP = """
import math, os, signal, sys, time
import hydra
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    luck = LUCK.get(HydraConfig.get().job.num)
    if luck == "raise": raise ValueError("three")
    if luck == "diverge": return math.nan
    if luck == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if luck == "exit": os._exit(4)
    if luck == "exit 0": os._exit(0)
    if luck == "sys.exit": sys.exit(4)
    if luck == "interrupt": raise KeyboardInterrupt
    if luck == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
    return cfg.x

# No guard on purpose: workers must not run the script again.
main()
"""
LUCK = {
    "raise": ("FAILED", "1", "ValueError: three"),
    "diverge": ("DIVERGED", "1", ""),
    "kill": ("FAILED", "3", "the worker process was killed by SIGKILL"),
    "exit": ("FAILED", "3", "the worker process exited with code 4"),
    "exit 0": ("FAILED", "3", "the worker process exited with code 0"),
    "sys.exit": ("FAILED", "1", "SystemExit: 4"),
    "interrupt": ("FAILED", "1", "KeyboardInterrupt"),
    "hang": ("TIMED_OUT", "1", "ran longer than trial_timeout allows"),
}


def test_each_bad_trial_of_a_sweep_costs_itself_alone(app: App) -> None:
    of_trials = {3 * place: luck for place, luck in enumerate(LUCK, start=1)}
    app.write("main.py", f"LUCK = {of_trials}\n{UNLUCKY_APP}")
    words = [f"{N}=26", "x=interval(0,4)", "hydra.launcher.n_workers=2", "hydra/launcher=hposweep"]
    done = app.with_report.sweep(*words, "hydra.sweeper.trial_timeout=2")
    assert done.exit_code == 0, done.err + done.out
    table = rows(app.folder / "swept")
    bad = {of_trials[int(row["trial"])]: row for row in table if int(row["trial"]) in of_trials}
    assert {luck: (row["state"], row["attempts"], row["failure"]) for luck, row in bad.items()} == LUCK
    assert {row["state"] for row in table if row not in bad.values()} == {"COMPLETE"}


def start(folder: Path, *words: str, python: str = sys.executable) -> subprocess.Popen[str]:
    return subprocess.Popen([python, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def is_training(sweep: Path, since: float) -> bool:
    """Whether a trial has trained an epoch after this moment, and has not ended."""
    found = events(sweep)
    under_way = {event["trial"] for event in found if event["event"] == "segment_started"}
    under_way -= {event["trial"] for event in found if event["event"] == "segment_ended"}
    curves = [sweep / "trials" / str(trial) / "hposweep" / "learning_curve.csv" for trial in under_way]
    return any(curve.exists() and curve.stat().st_mtime > since for curve in curves)


TRAINING = [
    *("model=mlp", "data.train_fraction=0.1", "data.n_validation=500", "trainer.max_epochs=8"),
    *(f"{N}=4", "hydra.sweep.dir=swept"),
]


def curves(sweep: Path) -> dict[str, list[dict[str, str]]]:
    paths = sorted(sweep.glob("trials/*/hposweep/learning_curve.csv"))
    return {path.parents[1].name: without_seconds(path) for path in paths}


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, warm_keras: WarmProcess) -> Path:
    """The folder of the sweep that others are compared with: one worker, and every trial in one go."""

    def sweep(folder: Path) -> None:
        done = warm_keras.run(["-m", "hposweep", "--multirun", *TRAINING, "hydra.launcher.n_workers=1"], folder)
        assert done.exit_code == 0, done.err

    return made_once(tmp_path_factory, "undisturbed", sweep) / "swept"


def test_a_sweep_that_was_killed_again_and_again_ends_as_one_that_was_not(tmp_path: Path, undisturbed: Path) -> None:
    words = ["-m", "hposweep", "--multirun", *TRAINING]
    folder = tmp_path
    for victim in ("controller", "worker"):
        since = time.time()
        process = start(folder, *words, "hydra.launcher.n_workers=2")
        wait_for(functools.partial(is_training, folder / "swept", since))
        if victim == "controller":
            kill(process)
            wait_for(lambda: not processes_in(folder), seconds=3)
        else:
            # The youngest process is a worker.
            os.kill(max(processes_in(folder)), signal.SIGKILL)
            out, _ = process.communicate(timeout=300)
            assert process.returncode == 0, out
            assert "it starts again from its checkpoint" in out
    assert curves(folder / "swept") == curves(undisturbed)
    same = ("trial", "state", "validation_error", "epochs", "seed", "optimizer.learning_rate")
    tables = [[{k: row[k] for k in same} for row in rows(sweep)] for sweep in (folder / "swept", undisturbed)]
    assert tables[0] == tables[1]


SLOW_APP = """
import time
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    time.sleep(cfg.y)
    return cfg.x

if __name__ == "__main__":
    main()
"""
SLOW = ["main.py", "--multirun", "hydra/sweeper=hposweep", "hydra/launcher=hposweep", "hydra.sweep.dir=swept"]


@pytest.fixture
def slow_app(app: App) -> App:
    app.write("main.py", SLOW_APP)
    return app


@pytest.fixture
def warm_python(warm_hydra: WarmProcess) -> str:
    """A command that passes on the signals that it gets."""
    return str(warm_hydra.python)


def n_started(app: App) -> int:
    return sum(event["event"] == "segment_started" for event in events(app.folder / "swept"))


def test_sigterm_leaves_results_and_a_sweep_to_be_resumed(slow_app: App, warm_python: str) -> None:
    words = [*SLOW, f"{N}=6", "x=interval(0,4)", "y=0.5", "hydra.launcher.n_workers=2"]
    process = start(slow_app.folder, *words, python=warm_python)
    wait_for(lambda: n_started(slow_app) >= 3)
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 143, out
    assert "Traceback" not in out
    left = rows(slow_app.folder / "swept")
    assert 2 <= len(left) < 6
    assert {row["state"] for row in left} == {"COMPLETE"}  # half a second is within the grace time
    assert not processes_in(slow_app.folder)
    done = start(slow_app.folder, *words, python=warm_python)
    out, _ = done.communicate(timeout=60)
    assert done.returncode == 0, out
    assert [row["state"] for row in rows(slow_app.folder / "swept")] == ["COMPLETE"] * 6


def test_a_second_ctrl_c_stops_at_once(slow_app: App, warm_python: str) -> None:
    process = start(slow_app.folder, *SLOW, f"{N}=6", "x=interval(0,4)", "y=1000", python=warm_python)
    wait_for(lambda: n_started(slow_app) >= 2)
    for _ in range(2):
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.5)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130, out
    assert {row["state"] for row in rows(slow_app.folder / "swept")} == {"INTERRUPTED"}
    assert not processes_in(slow_app.folder)


def test_the_time_budget_ends_the_sweep_with_0_and_it_can_be_resumed(slow_app: App, warm_python: str) -> None:
    words = [*SLOW, f"{N}=1000", "x=interval(0,4)", "y=0.2", "hydra.sweeper.time_budget=2"]
    process = start(slow_app.folder, *words, python=warm_python)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    n_before = len(rows(slow_app.folder / "swept"))
    assert 2 <= n_before < 100
    again = start(slow_app.folder, *words, python=warm_python)
    assert again.communicate(timeout=60) and again.returncode == 0
    assert len(rows(slow_app.folder / "swept")) > n_before


def test_a_finished_sweep_says_so_and_more_trials_extend_it(slow_app: App) -> None:
    words = ["hydra/launcher=hposweep", "x=interval(0,4)"]
    assert slow_app.sweep(*words, f"{N}=3").exit_code == 0
    before = (slow_app.folder / "swept" / "journal.jsonl").read_bytes()
    done = slow_app.sweep(*words, f"{N}=3")
    assert done.exit_code == 0
    assert "the sweep is finished: 3 trials" in done.out
    assert (slow_app.folder / "swept" / "journal.jsonl").read_bytes() == before
    assert slow_app.sweep(*words, f"{N}=5").exit_code == 0
    extended = [row["x"] for row in rows(slow_app.folder / "swept")]
    assert slow_app.sweep(*words, f"{N}=5", "hydra.sweep.dir=fresh").exit_code == 0
    assert extended == [row["x"] for row in rows(slow_app.folder / "fresh")]
    fewer = slow_app.sweep(*words, f"{N}=2")
    (line,) = fewer.error_lines
    assert line.startswith("hydra.sweeper.n_trials: the sweep in ")
    assert line.endswith("swept has 5 trials already, got 2")


def test_another_sweep_in_the_folder_is_refused_with_the_differences(slow_app: App) -> None:
    assert slow_app.sweep("hydra/launcher=hposweep", "x=interval(0,4)", f"{N}=2").exit_code == 0
    done = slow_app.sweep("hydra/launcher=hposweep", "x=interval(0,5)", "db=postgres", f"{N}=4")
    assert done.exit_code == 1
    (line,) = done.error_lines
    assert line.startswith("hydra.sweep.dir: swept holds another sweep; ")
    assert "db.name: 'mysql' -> 'postgres'" in line
    assert "search space: x: 'interval(0,4)' -> 'interval(0,5)'" in line


def test_configurations_and_curves_do_not_depend_on_the_number_of_workers(
    tmp_path: Path, warm_keras: WarmProcess, undisturbed: Path
) -> None:
    done = warm_keras.run(["-m", "hposweep", "--multirun", *TRAINING, "hydra.launcher.n_workers=2"], tmp_path)
    assert done.exit_code == 0, done.err
    assert curves(tmp_path / "swept") == curves(undisturbed)
    assert [row["seed"] for row in rows(tmp_path / "swept")] == [row["seed"] for row in rows(undisturbed)]
    assert results_of(tmp_path / "swept")["best_value"] < 0.9


@pytest.mark.parametrize("scheduler", ["asha", "median_stopping"])
def test_a_trial_has_the_same_curve_under_any_scheduler_as_far_as_it_goes(
    tmp_path: Path, warm_keras: WarmProcess, undisturbed: Path, scheduler: str
) -> None:
    words = ["-m", "hposweep", "--multirun", *TRAINING, f"scheduler={scheduler}", "hydra.sweeper.scheduler.eta=2"]
    done = warm_keras.run(words, tmp_path)
    assert done.exit_code == 0, done.err
    whole = curves(undisturbed)
    found = curves(tmp_path / "swept")
    assert found.keys() == whole.keys()
    assert all(curve == whole[trial][: len(curve)] for trial, curve in found.items())
    assert any(len(curve) < len(whole[trial]) for trial, curve in found.items())


def test_a_controller_that_dies_while_its_workers_start_leaves_none_behind(tmp_path: Path) -> None:
    """The import of TensorFlow takes longer than anybody waits."""
    process = start(tmp_path, "-m", "hposweep", "--multirun", *TRAINING)
    wait_for(lambda: len(processes_in(tmp_path)) > 1 and events(tmp_path / "swept"))
    time.sleep(0.5)
    kill(process)
    wait_for(lambda: not processes_in(tmp_path), seconds=3)
