"""The main job on real data: a sweep's folder, its guard against objectives that don't learn, and its ends."""

import json
import math
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from hposweep import optional_packages
from support.processes import ROOT, SMALL, TINY, Run, wait_for
from support.sweeps import read_csv, results_of, rows
from support.warm import WarmProcess


def test_the_folder_holds_what_the_documentation_says(small_sweep: Path) -> None:
    assert {path.name for path in small_sweep.iterdir()} == {
        *("sweep.yaml", "journal.jsonl", "trials.csv", "optimization_results.yaml", "multirun.yaml", "trials"),
        "report.html",
    }
    for number in range(4):
        job = small_sweep / "trials" / str(number)
        of_the_winner = {"model.keras", "model.yaml"} if number == results_of(small_sweep)["best_trial"] else set()
        assert {path.name for path in job.iterdir()} == {".hydra", "hposweep.log", "hposweep", *of_the_winner}
        kept = {path.name for path in (job / "hposweep").iterdir()}
        assert kept == {"output.txt", "learning_curve.csv", "checkpoint.npz", "data.json", "job"}
        curve = read_csv(job / "hposweep" / "learning_curve.csv")
        assert [row["epoch"] for row in curve] == ["1", "2", "3"]
        row = rows(small_sweep)[number]
        assert row["validation_error"] == curve[-1]["validation_error"]
        assert (row["state"], row["epochs"], row["attempts"]) == ("COMPLETE", "3", "1")
        config = yaml.safe_load((job / ".hydra" / "config.yaml").read_text())
        assert repr(config["optimizer"]["learning_rate"]) == row["optimizer.learning_rate"]
        assert str(config["seed"]) == row["seed"]


def test_the_test_error_is_that_of_the_winners_saved_weights(small_sweep: Path) -> None:
    from hposweep.training import fashion_mnist

    results = results_of(small_sweep)
    best = min(rows(small_sweep), key=lambda row: float(row["validation_error"]))
    assert results["best_trial"] == int(best["trial"])
    assert results["best_value"] == float(best["validation_error"])
    checkpoint = np.load(small_sweep / "trials" / best["trial"] / "hposweep" / "checkpoint.npz")
    weights, bias = checkpoint["0000"], checkpoint["0001"]
    _, test = fashion_mnist.load(fashion_mnist.data_folder())
    logits = (test.images.reshape(10_000, -1).astype(np.float32) / np.float32(255)) @ weights + bias
    error = np.mean(logits.argmax(axis=1) != test.labels)
    # Two examples of 10,000 may fall differently, where rounding decides between two classes.
    assert abs(results["test_error"] - error) <= 2e-4
    assert results["test_error"] != results["best_value"]
    # Hydra's record of the winner is that of its training.
    overrides = yaml.safe_load((small_sweep / "trials" / best["trial"] / ".hydra" / "overrides.yaml").read_text())
    assert "trainer.stage=test" not in overrides


def test_what_the_sweep_prints(small_sweep: Path) -> None:
    out = (small_sweep.parents[1] / "stdout.txt").read_text()
    assert "loguniform(0.0001, 1)" in out
    assert "0.0001 to 1" in out
    assert "4 trials: 4 COMPLETE" in out
    assert "Folder: outputs/sweep" in out
    assert "The winner again: python -m hposweep data.train_fraction=0.1 trainer.max_epochs=3" in out


def test_only_the_winners_checkpoint_stays(hposweep_warm: Run, tmp_path: Path) -> None:
    done = hposweep_warm("--multirun", *TINY, "hydra.sweeper.n_trials=3")
    assert done.exit_code == 0, done.err
    best = results_of(tmp_path / "swept")["best_trial"]
    assert [path.parents[1].name for path in (tmp_path / "swept").rglob("checkpoint.npz")] == [str(best)]


def test_hydras_own_launcher_runs_the_same_trials(hposweep_warm: Run, tmp_path: Path, small_sweep: Path) -> None:
    words = ["hydra.sweeper.n_trials=2", "hydra.sweep.dir=swept", "hydra/launcher=basic"]
    done = hposweep_warm("--multirun", *SMALL, *words)
    assert done.exit_code == 0, done.err
    same = ("validation_error", "seed", "optimizer.learning_rate", "epochs")
    found, expected = ([{k: row[k] for k in same} for row in rows(f)[:2]] for f in (tmp_path / "swept", small_sweep))
    assert found == expected


def test_the_books_split_has_no_test_error(hposweep_warm: Run, tmp_path: Path) -> None:
    words = ["data=fashion_mnist_book", *TINY, "trainer.max_epochs=1", "hydra.sweeper.n_trials=1"]
    done = hposweep_warm("--multirun", *words)
    assert done.exit_code == 0, done.err
    assert "test_error" not in results_of(tmp_path / "swept")
    summary = json.loads((tmp_path / "swept" / "trials" / "0" / "hposweep" / "data.json").read_text())
    assert summary == {"n_train": 1200, "n_validation": 10_000, "n_test": 0, "baseline_error": 0.9}


def test_the_broken_adaptation_of_the_source_is_refused(hposweep_warm: Run, tmp_path: Path) -> None:
    """Logits for a loss that wants probabilities: its trials end between 0.81 and 0.86, and nothing complained."""
    done = hposweep_warm("--multirun", *SMALL, "model.loss.from_logits=false", "hydra.sweep.dir=swept")
    assert done.exit_code == 3
    assert "model.loss.from_logits: is false, but the model's last layer gives logits" in done.out + done.err
    single = hposweep_warm(*SMALL, "model.loss.from_logits=false", "hydra.run.dir=run")
    assert single.exit_code == 1
    assert "Traceback" not in single.err
    assert "model.loss.from_logits: is false" in single.err


def test_a_sweep_that_learns_nothing_ends_with_a_warning(hposweep_warm: Run, tmp_path: Path) -> None:
    # A model that always answers the first class, and steps too small to change that.
    words = [*TINY, "data.n_validation=10000", "trainer.max_epochs=1", "hydra.sweeper.n_trials=2"]
    constant = ["model._target_=constant.build", "optimizer.learning_rate=interval(0.0,1e-30)"]
    (tmp_path / "constant.py").write_text(CONSTANT_MODEL)
    done = hposweep_warm("--multirun", *words, *constant, env={"PYTHONPATH": str(tmp_path)})
    assert done.exit_code == 0, done.err
    assert "Warning: nothing was learnt" in done.out
    results = results_of(tmp_path / "swept")
    assert results["warning"].startswith("nothing was learnt: the best validation_error, 0.9, is no better")


CONSTANT_MODEL = """
import keras

def build(input_shape, n_classes):
    last = keras.layers.Dense(n_classes, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), last])
    last.bias.assign([5.0] + [0.0] * (n_classes - 1))
    return model
"""


def test_a_sweep_by_its_loss_ranks_by_the_loss_and_takes_it_for_no_error(hposweep_warm: Run, tmp_path: Path) -> None:
    words = [*TINY, "trainer.max_epochs=2", "hydra.sweeper.n_trials=3"]
    done = hposweep_warm("--multirun", *words, "hydra.sweeper.metric=validation_loss", "scheduler=asha")
    assert done.exit_code == 0, done.err
    table, results = rows(tmp_path / "swept"), results_of(tmp_path / "swept")
    for row in table:
        trial = tmp_path / "swept" / "trials" / row["trial"] / "hposweep"
        last = read_csv(trial / "learning_curve.csv")[-1]
        assert row["validation_loss"] == last["validation_loss"] != last["validation_error"]
        # No interval of a rate to hold a loss against, but the loss of a constant answer.
        summary = json.loads((trial / "data.json").read_text())
        assert summary.keys() == {"n_train", "n_test", "baseline"}
        assert summary["baseline"] == pytest.approx(math.log(10), rel=1e-3)
    complete = [row for row in table if row["state"] == "COMPLETE"]
    assert results["best_value"] == min(float(row["validation_loss"]) for row in complete)
    assert 0 < results["test_error"] < 1


DRY_RUN = "hydra.sweeper.dry_run=true"


def test_a_dry_run_prints_and_leaves_nothing(hposweep_here: Run, tmp_path: Path) -> None:
    done = hposweep_here("--multirun", DRY_RUN, "data.batch_size=choice(16,32)")
    assert done.exit_code == 0, done.err
    for text in ("loguniform(0.0001, 1)", "choice(16, 32)", "16 trials of 8 epochs, 128 epochs in all", "0.02454"):
        assert text in done.out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_counts_the_epochs_of_the_scheduler(hposweep_here: Run) -> None:
    done = hposweep_here(
        "--multirun", "hydra.sweeper.dry_run=true", "scheduler=asha", "hydra.sweeper.scheduler.r_max=3"
    )
    assert "16 trials of at most 3 epochs, at most 48 epochs in all" in done.out, done.err


def test_a_dry_run_of_what_searches_nothing_is_one_trial(hposweep_here: Run) -> None:
    done = hposweep_here("--multirun", "hydra.sweeper.dry_run=true", "optimizer.learning_rate=0.1")
    assert done.out.splitlines() == [
        "Nothing is searched: one trial is enough.",
        "1 trial of 8 epochs, 8 epochs in all. Dry run: nothing was run, no folder was made.",
    ]


WITHOUT_KERAS = "needs 'tensorflow', 'keras': pip install 'hposweep[keras]'"


@pytest.fixture
def no_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an environment of the base package."""
    monkeypatch.setattr(optional_packages, "missing", lambda extra: ["tensorflow", "keras"] if extra == "keras" else [])


@pytest.mark.usefixtures("no_keras")
@pytest.mark.parametrize(
    "words", [["seed=1"], ["--multirun"], ["--multirun", DRY_RUN], ["hydra.mode=MULTIRUN"]], ids=" ".join
)
def test_without_keras_our_objective_is_refused_before_a_folder_is_made(
    hposweep_here: Run, tmp_path: Path, words: list[str]
) -> None:
    done = hposweep_here(*words)
    assert done.exit_code == 1
    assert done.error_lines == [f"objective._target_: hposweep.training.objective.objective {WITHOUT_KERAS}"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_keras")
@pytest.mark.parametrize(
    "words",
    [["--help"], ["--cfg", "job"], ["--multirun", DRY_RUN, "objective._target_=mine.objective"], ["--version"], []],
    ids=" ".join,
)
def test_without_keras_all_else_works(hposweep_here: Run, words: list[str]) -> None:
    assert hposweep_here(*words).exit_code == 0


@pytest.mark.usefixtures("no_keras")
def test_without_keras_nothing_is_retrained(hposweep_here: Run, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "recorded" / "schema1" / "asha", tmp_path / "swept")
    done = hposweep_here("retrain", "swept", "--cwd", ".")
    assert (done.exit_code, done.error_lines[-1:]) == (1, [f"retrain: retrain {WITHOUT_KERAS}"])
    assert not (tmp_path / "swept" / "retrained").exists()


def test_a_single_run_ends_with_its_result_and_its_folder(
    hposweep_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "returns_a_rate.py").write_text("def objective(cfg):\n    return cfg.optimizer.learning_rate\n")
    monkeypatch.syspath_prepend(tmp_path)
    words = ["objective._target_=returns_a_rate.objective", "optimizer.learning_rate=1e-6"]
    done = hposweep_here(*words, "hydra.sweeper.metric=rate", "hydra.run.dir=outputs/one")
    assert done.exit_code == 0, done.err
    result, folder, again = done.out.splitlines()[-3:]
    assert (result, folder) == ("Result: rate 1e-06", "Folder: outputs/one")
    assert again.startswith("The same again: ")
    assert again.endswith(f" {words[0]} {words[1]} hydra.sweeper.metric=rate")


def test_ctrl_c_leaves_results_and_exits_with_130(tmp_path: Path, warm_keras: WarmProcess) -> None:
    words = ["-m", "hposweep", "--multirun", "hydra.sweep.dir=swept", "trainer.max_epochs=100"]
    command = [str(warm_keras.python), *words]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    curve = tmp_path / "swept" / "trials" / "0" / "hposweep" / "learning_curve.csv"
    wait_for(curve.exists, seconds=120)
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert {row["state"] for row in rows(tmp_path / "swept")} == {"INTERRUPTED"}
    results = results_of(tmp_path / "swept")
    assert results["best_trial"] is None
