"""`retrain`: the winner trained on validation data, too, with an error on the test set that plain Keras confirms."""

import csv
import json
import shutil
import statistics
from pathlib import Path

import pytest
import yaml

from hposweep.number_text import number_text
from hposweep.training import fashion_mnist
from support.processes import Run, RunText
from support.sweeps import change_journal

# Whoever uses the model has Keras, and the images as they come.
PLAIN_KERAS = """
import sys
sys.modules["hposweep"] = None
import keras, numpy as np
model = keras.models.load_model({path!r})
test = np.load("test.npz")
assert test["images"].dtype == np.uint8
print("error", np.mean(model.predict(test["images"], verbose=0).argmax(axis=1) != test["labels"]))
"""


def test_the_saved_model_has_the_reported_error_in_plain_keras(
    hposweep_warm: Run, python: RunText, small_sweep: Path, tmp_path: Path
) -> None:
    sweep = Path(shutil.copytree(small_sweep, tmp_path / "sweep"))
    (sweep / "retrained").mkdir()  # somebody has retrained before
    done = hposweep_warm("retrain", "sweep", "--seeds", "2")
    assert done.exit_code == 0, done.out + done.err

    folder = sweep / "retrained-2"
    results = yaml.safe_load((folder / "retrained.yaml").read_text())
    errors = results["test_error"]
    assert len(errors) == 2
    assert results["mean"] == statistics.fmean(errors.values())
    low, high = results["interval_95"]
    assert low < results["mean"] < high
    # 5,000 of the 50,000 training examples, and the 10,000 for validation.
    assert (results["n_train"], results["n_test"], results["epochs"]) == (15_000, 10_000, 3)
    winner = yaml.safe_load((sweep / "optimization_results.yaml").read_text())["best_trial"]
    config = yaml.safe_load((sweep / "trials" / str(winner) / ".hydra" / "config.yaml").read_text())
    assert next(iter(errors)) == config["seed"]

    _, test = fashion_mnist.load(fashion_mnist.data_folder())
    import numpy as np

    np.savez(tmp_path / "test.npz", images=test.images, labels=test.labels)
    for seed, error in errors.items():
        job = folder / f"seed-{seed}"
        assert f"seed {seed:<10}  test error {number_text(error)}" in done.out
        beside = yaml.safe_load((job / "model.yaml").read_text())
        assert beside == {**config, "seed": seed, "trainer": {**config["trainer"], "stage": "retrain", "max_epochs": 3}}
        with open(job / "hposweep" / "learning_curve.csv", newline="") as file:
            assert next(csv.reader(file)) == ["epoch", "train_loss", "train_error", "seconds"]
    shown = python(PLAIN_KERAS.format(path=str(job / "model.keras")))
    assert shown.exit_code == 0, shown.err
    # One example of 10,000 may fall differently, where another order of additions decides between two classes.
    assert float(shown.out.split()[-1]) == pytest.approx(error, abs=1.01e-4)


def test_a_seed_that_diverges_leaves_no_model(hposweep_warm: Run, small_sweep: Path, tmp_path: Path) -> None:
    sweep = Path(shutil.copytree(small_sweep, tmp_path / "sweep"))
    best = yaml.safe_load((small_sweep / "optimization_results.yaml").read_text())["best_params"]
    change_journal(sweep, repr(best["optimizer.learning_rate"]), "1e+38")
    done = hposweep_warm("retrain", "sweep", "--epochs", "1", "--into", "models")
    assert done.exit_code == 1
    said = [line for line in done.out.splitlines() if "no model" in line]
    (job,) = (tmp_path / "models").iterdir()
    assert said == [f"Seed {job.name[5:]}: no model (it diverged); see models/{job.name}/output.txt"]
    assert "the training diverged: no model is saved" in (job / "output.txt").read_text()


def test_a_job_that_fails_is_told(hposweep_warm: Run, small_sweep: Path, tmp_path: Path) -> None:
    sweep = Path(shutil.copytree(small_sweep, tmp_path / "sweep"))
    change_journal(sweep, "optimizer.learning_rate", "optimizer.nosuch")
    done = hposweep_warm("retrain", "sweep", "--into", "models")
    assert done.exit_code == 1
    (job,) = (tmp_path / "models").iterdir()
    assert f"no model (exit code 1); see models/{job.name}/output.txt" in done.out
    assert (job / "output.txt").read_text().startswith("optimizer.nosuch: not in the config")


def test_data_that_validate_on_the_test_set_are_refused(hposweep_warm: Run, tmp_path: Path) -> None:
    words = ["data=fashion_mnist_book", "data.train_fraction=0.02", "trainer.max_epochs=1", "hydra.sweeper.n_trials=1"]
    assert hposweep_warm("--multirun", *words, "hydra.sweep.dir=swept").exit_code == 0
    before = sorted(tmp_path.rglob("*"))
    done = hposweep_warm("retrain", "swept")
    message = "swept: validated on the test set, so nothing is left to test a new model on"
    assert (done.exit_code, done.error_lines) == (1, [f"retrain: {message}"])
    assert sorted(tmp_path.rglob("*")) == before
    single = hposweep_warm(*words[:3], "trainer.stage=retrain", "hydra.run.dir=run")
    assert single.error_lines == ["trainer.stage: retrain needs a test set, and data.validation=test leaves none"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0"], "--seeds: must be at least 1, got 0"),
        (["--epochs", "-1"], "--epochs: must be at least 1, got -1"),
        (["--into", "taken"], "--into: taken exists already; name a new folder"),
        (
            ["--into", "a${b}"],
            "--into: a${b}: Hydra takes ${ in a job's folder for an interpolation; name another folder",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments(hposweep_here: Run, small_sweep: Path, tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "taken").mkdir()
    done = hposweep_here("retrain", str(small_sweep), *words)
    assert (done.exit_code, done.error_lines) == (1, [f"retrain: {message}"])


def test_trials_of_another_objective_are_refused(hposweep_here: Run, small_sweep: Path, tmp_path: Path) -> None:
    shutil.copytree(small_sweep, tmp_path / "sweep", ignore=shutil.ignore_patterns("data.json"))
    done = hposweep_here("retrain", "sweep")
    best = json.dumps(yaml.safe_load((small_sweep / "optimization_results.yaml").read_text())["best_trial"])
    reason = "not found; only trials of hposweep's own objective can be retrained"
    assert done.error_lines == [f"retrain: sweep/trials/{best}/hposweep/data.json: {reason}"]


def test_a_sweep_whose_trials_got_no_seed_is_refused(hposweep_here: Run, small_sweep: Path, tmp_path: Path) -> None:
    record = Path(shutil.copytree(small_sweep, tmp_path / "sweep")) / "sweep.yaml"
    record.write_text(record.read_text().replace("seed_key: seed", "seed_key: null"))
    done = hposweep_here("retrain", "sweep")
    message = "sweep: its config names no seed_key, the key that would get a new model's seed"
    assert (done.exit_code, done.error_lines) == (1, [f"retrain: {message}"])
