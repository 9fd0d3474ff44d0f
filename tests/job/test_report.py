"""hposweep.report: an objective's own learning curve."""

import csv
import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import hposweep
from hposweep.job.running import RunningJob, TargetReached, current_job, running
from hposweep.shown_text import plural
from hposweep.sweep_folder import learning_curve
from hposweep.sweep_folder.trial_files import TrialFiles
from support.apps import App

APP = """
import hydra, hposweep

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    for epoch in (1, 2, 3):
        hposweep.report(epoch, cfg.x / epoch, loss=2 * cfg.x)
    return cfg.x / 3

if __name__ == "__main__":
    main()
"""


def test_any_objective_reports_its_curve(app: App) -> None:
    app.write("main.py", APP)
    words = ["x=interval(1,4)", "hydra.sweeper.n_trials=2", "hydra.sweeper.metric=height", "hydra/launcher=hposweep"]
    done = app.sweep(*words)
    assert done.exit_code == 0, done.err
    rows = learning_curve.read(app.folder / "swept" / "1" / "hposweep" / "learning_curve.csv")
    assert [list(row) for row in rows] == [["epoch", "loss", "height", "seconds"]] * 3
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    table = (app.folder / "swept" / "trials.csv").read_text().splitlines()
    assert table[0].split(",")[:4] == ["trial", "state", "height", "epochs"]
    assert [line.split(",")[3] for line in table[1:]] == ["3", "3"]


@pytest.fixture
def job(tmp_path: Path) -> RunningJob:
    """A job outside of any sweep."""
    return RunningJob(TrialFiles(tmp_path, "."), "error")


def test_what_a_cut_off_run_left_is_replaced(job: RunningJob, tmp_path: Path) -> None:
    for epoch, value in [(1, 0.5), (2, 0.4), (3, 0.3), (2, 0.45)]:
        job.report(epoch, value)
    assert [(row["epoch"], row["error"]) for row in job.files.read_curve()] == [(1, 0.5), (2, 0.45)]
    again = RunningJob(TrialFiles(tmp_path, "."), "error")
    again.report(2, 0.4)
    assert [(row["epoch"], row["error"]) for row in job.files.read_curve()] == [(1, 0.5), (2, 0.4)]


def test_what_a_killed_job_left_of_a_row_is_cut_before_the_next_one(job: RunningJob, tmp_path: Path) -> None:
    job.report(1, 0.5)
    job.report(2, 0.4)
    path = job.files.learning_curve
    path.write_bytes(path.read_bytes()[:-3])
    RunningJob(TrialFiles(tmp_path, "."), "error").report(2, 0.25)
    assert [(row["epoch"], row["error"]) for row in job.files.read_curve()] == [(1, 0.5), (2, 0.25)]
    path.write_bytes(path.read_bytes()[:4])  # not even the head
    RunningJob(TrialFiles(tmp_path, "."), "error").report(1, 0.5)
    assert [row["error"] for row in job.files.read_curve()] == [0.5]


def test_seconds_are_those_since_the_job_began_or_reported(tmp_path: Path) -> None:
    now = iter([10.0, 12.5, 13.5])
    job = RunningJob(TrialFiles(tmp_path, "."), "error", clock=lambda: next(now))
    job.report(1, 0.5)
    job.report(2, 0.5)
    assert [row["seconds"] for row in job.files.read_curve()] == [2.5, 1.0]


def test_a_job_outside_of_hydra_is_reported_to_while_it_is_the_current_one(job: RunningJob, tmp_path: Path) -> None:
    with running(job):
        with running(RunningJob(TrialFiles(tmp_path, "inner"), "error")) as inner:
            assert current_job() is inner
        hposweep.report(1, 0.5)
        assert hposweep.checkpoint_dir() == tmp_path / "hposweep" / "checkpoint"
        assert hposweep.target_epoch(default=9) == 9
    assert [row["epoch"] for row in job.files.read_curve()] == [1]
    with pytest.raises(ValueError, match="HydraConfig was not set"):
        hposweep.report(2, 0.5)


def test_a_job_with_a_target_ends_there_unless_its_objective_asks(tmp_path: Path) -> None:
    job = RunningJob(TrialFiles(tmp_path, "."), "error", target_epoch=2)
    job.report(1, 0.5)
    assert (job.first_epoch, job.heeds_target) == (1, False)
    with pytest.raises(TargetReached):
        job.report(2, 0.25)
    assert job.heeds_target
    asks = RunningJob(TrialFiles(tmp_path, "."), "error", target_epoch=2)
    assert asks.target_epoch(default=9) == 2
    asks.report(3, 0.125)
    assert (asks.first_epoch, asks.heeds_target) == (3, True)


def test_the_function_has_its_name_for_itself() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("hposweep.report")
    assert callable(hposweep.report)


def test_an_epoch_is_a_whole_number_of_any_kind(job: RunningJob) -> None:
    epochs: Any = np.arange(1, 3)
    value: Any = np.float32(0.5)
    for epoch in epochs:
        job.report(epoch, value)
    assert [row["epoch"] for row in job.files.read_curve()] == [1, 2]
    with pytest.raises(ValueError, match=r"epoch must be a whole number, got 1\.5"):
        job.report(1.5, 0.5)  # type: ignore[arg-type]


def test_each_epoch_reports_the_same_metrics_in_any_order(job: RunningJob) -> None:
    job.report(1, 0.5, a=1, b=2)
    job.report(2, 0.4, b=4, a=3)
    with pytest.raises(ValueError, match="epoch 3 reports a, error; the one before it a, b, error"):
        job.report(3, 0.3, a=5)
    assert [(row["a"], row["b"]) for row in job.files.read_curve()] == [(1, 2), (3, 4)]
    job.report(1, 0.5, c=1)  # another program's run, from the start
    assert [row["c"] for row in job.files.read_curve()] == [1]


def test_epochs_count_from_1(job: RunningJob) -> None:
    with pytest.raises(ValueError, match="epoch counts from 1, got 0"):
        job.report(0, 0.5)


ROOT = Path(__file__).resolve().parents[2]
ASHA = ["hydra/launcher=hposweep", "hydra/sweeper/scheduler=asha", "hydra.sweeper.scheduler.r_max=9"]
# What it trains is written down, to be counted.
LOOP = """
import json
from pathlib import Path
import hydra, hposweep
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    {begin}
    for epoch in range(start + 1, {end} + 1):
        with open(Path(HydraConfig.get().runtime.output_dir) / "trained", "a") as file:
            print(epoch, file=file)
        {report}
    {save}
    return cfg.x + 1 / epoch

if __name__ == "__main__":
    main()
"""
RESTARTS = {"begin": "start = 0", "save": ""}
CONTINUES = {
    "begin": "path = hposweep.checkpoint_dir() / 'epoch'; start = int(path.read_text()) if path.exists() else 0",
    "save": "path.write_text(str(epoch))",
}
REPORT = "hposweep.report(epoch, cfg.x + 1 / epoch)"


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def trained(app: App, number: str) -> list[int]:
    return [int(line) for line in (app.folder / "swept" / number / "trained").read_text().split()]


@pytest.mark.parametrize(
    ("end", "report", "words"),
    [
        pytest.param("hposweep.target_epoch(9)", REPORT, [], id="asks and reports"),
        pytest.param("hposweep.target_epoch(9)", "pass", [], id="asks"),
        pytest.param("cfg.y", "pass", ["hydra.sweeper.budget_key=y", "y=9"], id="budget_key"),
    ],
)
def test_an_objective_that_goes_on_from_its_checkpoint_trains_no_epoch_twice(app: App, end, report, words) -> None:
    app.write("main.py", LOOP.format(end=end, report=report, **CONTINUES))
    done = app.sweep(*ASHA, *words, "x=interval(0,4)", "hydra.sweeper.n_trials=9")
    assert done.exit_code == 0, done.err + done.out
    assert "again" not in done.out.replace("The winner again", "")
    table = rows(app.folder / "swept")
    assert {row["state"] for row in table} == {"PAUSED", "COMPLETE"}
    for row in table:
        assert trained(app, row["trial"]) == list(range(1, int(row["epochs"]) + 1))
    # Nobody goes on any more: the winner's checkpoint alone is left.
    winner = yaml.safe_load((app.folder / "swept" / "optimization_results.yaml").read_text())["best_trial"]
    assert [path.parents[1].name for path in (app.folder / "swept").glob("*/hposweep/checkpoint")] == [str(winner)]


@pytest.mark.parametrize(
    "end", [pytest.param("hposweep.target_epoch(9)", id="asks"), pytest.param("9", id="is ended by its report")]
)
def test_one_without_checkpoints_is_started_again_and_its_user_is_told(app: App, end: str) -> None:
    app.write("main.py", LOOP.format(end=end, report=REPORT, **RESTARTS))
    done = app.sweep(*ASHA, "x=interval(0,4)", "hydra.sweeper.n_trials=9")
    assert done.exit_code == 0, done.err + done.out
    table = rows(app.folder / "swept")
    levels = [1, 3, 9]
    n_repeated = 0
    for row in table:
        reached = levels[: levels.index(int(row["epochs"])) + 1]
        assert trained(app, row["trial"]) == [epoch for level in reached for epoch in range(1, level + 1)]
        assert float(row["value"]) == float(row["x"]) + 1 / int(row["epochs"])
        curve = learning_curve.read(app.folder / "swept" / row["trial"] / "hposweep" / "learning_curve.csv")
        assert [each["epoch"] for each in curve] == list(range(1, int(row["epochs"]) + 1))
        n_repeated += sum(reached[:-1])
    assert (
        done.out.count("having no checkpoint to go on from: an objective keeps one in hposweep.checkpoint_dir()") == 1
    )
    assert f"trained {plural(n_repeated, 'epoch')} again because there was no checkpoint" in done.out


def test_one_that_knows_no_target_and_reports_nothing_ends_the_sweep_with_a_line(app: App) -> None:
    app.write("main.py", LOOP.format(end="9", report="pass", **RESTARTS))
    done = app.sweep(*ASHA, "x=interval(0,4)", "hydra.sweeper.n_trials=50", "hydra.launcher.n_workers=1")
    assert done.exit_code == 3
    assert "the scheduler compares trials at epochs, but the objective trained without knowing which" in done.out
    assert len(rows(app.folder / "swept")) == 1


def test_r_max_has_to_be_known(app: App) -> None:
    done = app.sweep("hydra/sweeper/scheduler=asha", "x=interval(0,4)")
    assert done.exit_code == 1
    assert done.error_lines[-1].startswith(
        "hydra.sweeper.scheduler.r_max: must be given, the epochs of a complete trial"
    )
    assert not (app.folder / "swept").exists()


def test_the_example_of_a_plain_loop_runs_as_its_readme_says_and_resumes(app: App) -> None:
    shutil.copytree(ROOT / "examples" / "plain_python_loop", app.folder, dirs_exist_ok=True)
    words = [*ASHA[:2], "hydra.sweeper.scheduler.r_max=27", "learning_rate=tag(log,interval(1e-4,1))"]
    words += ["momentum=interval(0,1)", "hydra.sweeper.n_trials=30"]
    done = app.sweep(*words)
    assert done.exit_code == 0, done.err
    assert "the sweep is finished" in app.sweep(*words).out
    alone = app.run("learning_rate=0.1", "hydra.run.dir=alone")
    assert alone.exit_code == 0, alone.err
    assert json.loads((app.folder / "alone" / "hposweep" / "checkpoint" / "state.json").read_text())["epoch"] == 27
