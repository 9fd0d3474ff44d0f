"""The app from which most Hydra users of deep learning start: `hydra.sweep.dir` and callbacks take their values from
keys of the app, and a file of `hparams_search` makes a sweep of it."""

import sys
from pathlib import Path

import pytest

from support.apps import App, make_lightning_app
from support.in_process import run_here
from support.lightning_sweeps import SEARCH, check_search
from support.processes import run_process
from support.sweeps import results_of, rows
from support.warm import WarmProcess


@pytest.fixture
def app(tmp_path: Path, warm_hydra: WarmProcess) -> App:
    return make_lightning_app(tmp_path / "project", warm_hydra)


LAUNCHERS = [
    pytest.param(["hydra/launcher=hposweep", "hydra.launcher.n_workers=2"], id="hposweep"),
    pytest.param([], id="basic"),
    pytest.param(["hydra.sweeper.max_batch_size=3"], id="basic in batches"),
]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_its_search_runs_under_any_launcher(app: App, launcher: list[str]) -> None:
    check_search(app, *launcher)


def test_its_search_is_tried_out_with_its_debug_group(app: App) -> None:
    sweep = check_search(app, "debug=default", task="debug")
    assert "No callback configs found" in (sweep / "0" / "debug.log").read_text()


def test_its_search_is_resumed_and_its_winner_run_by_itself(app: App) -> None:
    sweep = check_search(app, "hydra/launcher=hposweep")
    done = app.run(*SEARCH, "hydra/launcher=hposweep", f"hydra.sweep.dir={sweep}", "hydra.sweeper.n_trials=5")
    assert done.exit_code == 0, done.err + done.out
    assert [row["state"] for row in rows(sweep)] == ["COMPLETE"] * 5
    words = run_here(("best", str(sweep)), app.folder).out.split()[2:]
    overlay = process(sys.executable, "-m", "hposweep", "best", str(sweep), "--yaml", cwd=app.folder)
    app.write("configs/experiment/best.yaml", overlay)
    for number, again in enumerate((words, ["experiment=best"])):
        done = app.run(*again, f"hydra.run.dir={number}")
        assert done.exit_code == 0, done.err + done.out
    # Neither of them is a sweep, and both trained the same model.
    assert len(list(sweep.parent.iterdir())) == 1
    models = [(app.folder / str(number) / "checkpoints" / "best.ckpt").read_text() for number in range(2)]
    winner = sweep / str(results_of(sweep)["best_trial"])
    assert models == [(winner / "checkpoints" / "best.ckpt").read_text()] * 2


def process(*command: str, cwd: Path) -> str:
    done = run_process(list(command), cwd)
    assert done.exit_code == 0, done.err
    return done.out


@pytest.mark.parametrize("launcher", ["hposweep", "basic"])
def test_a_job_s_folder_takes_its_name_from_its_own_config(app: App, launcher: str) -> None:
    for number, (subdir, name) in enumerate(SUBDIRS):
        words = [f"hydra/launcher={launcher}", f"hydra.sweep.subdir={subdir}", f"hydra.sweep.dir={number}"]
        done = app.run(*SEARCH, *words, "hydra.sweeper.n_trials=2")
        assert done.exit_code == 0, done.err + done.out
        for row in rows(app.folder / str(number)):
            assert row["state"] == "COMPLETE", row["failure"]
            assert (
                app.folder / str(number) / name.format(trial=row["trial"], lr=row["model.optimizer.lr"]) / "train.log"
            ).exists()


SUBDIRS = [
    ("${task_name}/${hydra.job.num}", "train/{trial}"),
    ("${hydra:job.num}-${model.optimizer.lr}", "{trial}-{lr}"),
    ("lr_${model.optimizer.lr}", "lr_{lr}"),
]


@pytest.mark.parametrize("launcher", ["hposweep", "basic"])
def test_a_sweep_has_one_folder_also_where_it_is_named_by_a_key_that_is_searched(app: App, launcher: str) -> None:
    words = ["hydra.sweep.dir=${paths.log_dir}/${task_name}", f"hydra/launcher={launcher}", "task_name=one,two"]
    done = app.run("--multirun", *SEARCH, *words)
    assert done.exit_code == 0, done.err + done.out
    (sweep,) = (app.folder / "logs").iterdir()
    table = rows(sweep)
    assert [row["state"] for row in table] == ["COMPLETE"] * 4, [row["failure"] for row in table]
    assert {row["task_name"] for row in table} == {"one", "two"}
    assert all((sweep / row["trial"] / f"{row['task_name']}.log").exists() for row in table)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["hydra.sweep.subdir=${nosuch}/${hydra.job.num}"], "Interpolation key 'nosuch' not found"),
        (["hydra.sweep.dir=logs/${nosuch}"], "Interpolation key 'nosuch' not found"),
        (["hydra.sweep.dir=logs/${hydra.job.num}"], "Missing mandatory value: hydra.job.num"),
    ],
)
def test_a_folder_that_the_sweep_s_config_does_not_give_is_refused(app: App, words: list[str], why: str) -> None:
    done = app.run(*SEARCH, *words)
    assert done.exit_code == 1
    key, text = words[0].split("=")
    assert done.error_lines[-1].startswith(f"{key}: {text} can't be resolved in ")
    assert why in done.error_lines[-1]
    assert not (app.folder / "logs").exists()
