"""`best`: the winner as a command line and as an experiment, either of which runs it again."""

import csv
import shutil
from pathlib import Path

import pytest
import yaml

from hposweep.hydra_glue.overrides import render_value
from support.apps import App
from support.processes import Run, RunText


def curve(job: Path) -> list[dict[str, str]]:
    with open(job / "hposweep" / "learning_curve.csv", newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def winner_of(sweep: Path) -> Path:
    results = yaml.safe_load((sweep / "optimization_results.yaml").read_text())
    return sweep / "trials" / str(results["best_trial"])


def test_the_line_runs_the_winner_again(
    hposweep_warm: Run, warm_shell: RunText, small_sweep: Path, tmp_path: Path
) -> None:
    done = hposweep_warm("best", str(small_sweep))
    assert (done.exit_code, done.err) == (0, "")
    (line,) = done.out.splitlines()
    again = warm_shell(f"{line} hydra.run.dir=again")
    assert again.exit_code == 0, again.err
    assert curve(tmp_path / "again") == curve(winner_of(small_sweep))


def test_the_yaml_is_an_experiment_of_the_winners_config(hposweep_warm: Run, small_sweep: Path, tmp_path: Path) -> None:
    done = hposweep_warm("best", str(small_sweep), "--yaml")
    assert done.exit_code == 0, done.err
    assert done.out.startswith("# @package _global_\n")
    overlay = yaml.safe_load(done.out)
    assert {"override /model": "softmax"} in overlay.pop("defaults")
    config = yaml.safe_load((winner_of(small_sweep) / ".hydra" / "config.yaml").read_text())
    assert overlay == {
        "seed": config["seed"],
        "trainer": {"max_epochs": 3, "keep_checkpoints": True},
        "data": {"train_fraction": 0.1},
        "optimizer": {"learning_rate": config["optimizer"]["learning_rate"]},
    }
    path = tmp_path / "my_conf" / "experiment" / "winner.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(done.out)
    again = hposweep_warm("--config-dir", "my_conf", "experiment=winner", "--cfg", "job", "--resolve")
    assert again.exit_code == 0, again.err
    assert yaml.safe_load(again.out) == config


def test_an_unfinished_sweep_of_an_experiment_and_of_groups(
    hposweep_warm: Run, warm_shell: RunText, tmp_path: Path
) -> None:
    # Two trials of ASHA with rungs at 1, 3, 9 and 27 epochs: none gets to the last one.
    words = ["experiment=mlp_asha", "optimizer=sgd,adam", "data.train_fraction=0.02", "hydra.sweeper.n_trials=2"]
    words.append("data.n_validation=500")
    done = hposweep_warm("--multirun", *words, "hydra.sweep.dir=outputs/swept")
    assert done.exit_code == 0, done.err
    line, overlay = hposweep_warm("best"), hposweep_warm("best", "--yaml")
    partial = yaml.safe_load((tmp_path / "outputs" / "swept" / "optimization_results.yaml").read_text())
    for shown in (line, overlay):
        assert shown.exit_code == 0, shown.err
        newest, note, *_ = shown.error_lines
        assert newest == "The newest sweep: outputs/swept"
        trial = f"trial {partial['best_partial_trial']}"
        assert note.startswith(f"No trial is complete; the best so far is {trial}, PAUSED with validation_error 0.")
    optimizer = partial["best_partial_params"]["optimizer"]
    assert {"override /optimizer": optimizer} in yaml.safe_load(overlay.out)["defaults"]
    (tmp_path / "my_conf" / "experiment").mkdir(parents=True)
    (tmp_path / "my_conf" / "experiment" / "mine.yaml").write_text(overlay.out)
    by_line = warm_shell(f"{line.out.strip()} --cfg job")
    by_experiment = hposweep_warm("--config-dir", "my_conf", "experiment=mine", "--cfg", "job")
    assert by_line.exit_code == by_experiment.exit_code == 0, by_line.err + by_experiment.err
    assert by_line.out == by_experiment.out


@pytest.mark.parametrize("text", ["it's $HOME", "a b=[c]", "1"])
def test_the_line_of_somebody_elses_app_is_quoted(hposweep_warm: Run, warm_shell: RunText, app: App, text: str) -> None:
    space = f"hydra.sweeper.search_space.text={render_value({'choice': [text]})}"
    done = app.sweep(space, "hydra.sweeper.n_trials=2", "x=1.0,3.0", "db=postgres", "+new=[1,2]", "hydra.verbose=true")
    assert done.exit_code == 0, done.err
    (line,) = hposweep_warm("best", "swept").out.splitlines()
    assert line.startswith("python main.py db=postgres ")
    shown = warm_shell(f"{line} --cfg job")
    assert shown.exit_code == 0, shown.err
    best = yaml.safe_load((app.folder / "swept" / "optimization_results.yaml").read_text())["best_trial"]
    config = yaml.safe_load((app.folder / "swept" / str(best) / ".hydra" / "config.yaml").read_text())
    assert config["text"] == text
    assert yaml.safe_load(shown.out) == config


def test_a_sweep_without_a_value_is_refused(hposweep_here: Run, small_sweep: Path, tmp_path: Path) -> None:
    shutil.copytree(small_sweep, tmp_path / "begun")
    journal = tmp_path / "begun" / "journal.jsonl"
    journal.write_text(journal.read_text().splitlines()[0] + "\n")
    done = hposweep_here("best", "begun")
    assert (done.exit_code, done.out) == (1, "")
    assert done.error_lines == ["best: begun: no trial has a value yet"]
