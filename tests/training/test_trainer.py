"""Training: right, reproducible bit for bit, and continued where it stopped."""

import json
import math
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from hposweep.job.running import RunningJob, running
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.training import checkpoint
from hposweep.training.metrics import COLUMNS, VALIDATION_ERROR
from hposweep.training.trainer import HPOTrainer


def curve(folder: Path) -> list[dict[str, str]]:
    rows = TrialFiles(folder, ".").read_curve()
    return [{name: repr(value) for name, value in row.items() if name != "seconds"} for row in rows]


def fit(folder: Path, learner, data, epochs: int = 3, metric: str = VALIDATION_ERROR, **options):
    with running(RunningJob(TrialFiles(folder, "."), metric)):
        trainer = HPOTrainer(epochs, **options)
        trainer.fit(learner, data)
    return trainer


@pytest.mark.parametrize("xla", [True, False])
def test_an_epoch_is_gradient_descent_on_every_example_once(tmp_path, learner, data, numpy_softmax, xla) -> None:
    start = fit(tmp_path, learner(xla=xla), data, epochs=0)
    weights, bias = (variable.numpy() for variable in start.program.model.variables)
    orders = [np.random.default_rng([3, epoch]).permutation(data.n_train) for epoch in range(2)]
    expected = numpy_softmax(data, weights, bias, 0.1, orders)

    trained = fit(tmp_path, learner(xla=xla), data, epochs=2)
    for variable, reference in zip(trained.program.model.variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), reference, rtol=1e-3, atol=1e-4)


def test_the_curve_counts_examples_and_not_batches(tmp_path, learner, data) -> None:
    trainer = fit(tmp_path, learner(), data)
    model = trainer.program.model
    for part, error in (("val", trainer.validation_error()), ("test", trainer.test_error())):
        inputs, labels = getattr(data, part)
        logits = np.array(model(inputs.astype(np.float32) / 255))
        assert error == np.mean(logits.argmax(axis=1) != labels)
    last = trainer.job.files.read_curve()[-1]
    assert last["validation_error"] == trainer.validation_error()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    logits = model(data.val[0].astype(np.float32) / 255)
    assert last["validation_loss"] == pytest.approx(float(loss(data.val[1], logits)), rel=1e-5)
    assert list(last) == ["epoch", "train_loss", "train_error", "validation_loss", "validation_error", "seconds"]


def test_a_sweep_may_know_the_value_by_another_name(tmp_path, learner, data) -> None:
    fit(tmp_path, learner(), data, epochs=1, metric="height")
    trainer = fit(tmp_path, learner(), data, epochs=2, metric="height")
    for row in trainer.job.files.read_curve():
        assert row["height"] == row["validation_error"]
    assert trainer.validation_error() == row["height"]


@pytest.mark.parametrize("metric", COLUMNS)
def test_the_value_is_the_column_that_the_metric_names(tmp_path, learner, data, metric) -> None:
    """At epoch 0, too, where there is no row yet, and in a job that finds its trial trained."""
    assert fit(tmp_path / "untrained", learner(), data, epochs=0, metric=metric).value() > 0
    trained = fit(tmp_path / "trained", learner(), data, epochs=2, metric=metric)
    last = trained.job.files.read_curve()[-1]
    again = fit(tmp_path / "trained", learner(), data, epochs=2, metric=metric)
    assert trained.value() == again.value() == last[metric]
    assert len({last[column] for column in COLUMNS}) == len(COLUMNS)


def test_a_fitted_model_is_better_than_chance(tmp_path, learner, data) -> None:
    assert fit(tmp_path, learner(), data).validation_error() < 0.4


OPTIMIZERS = [
    pytest.param("softmax", {"name": "sgd"}, None, id="softmax-sgd"),
    pytest.param("mlp", {"name": "sgd", "momentum": 0.9}, None, id="mlp-momentum"),
    pytest.param("mlp", {"name": "adam", "learning_rate": 0.01}, None, id="mlp-adam"),
    pytest.param("mlp", {"name": "adamw", "learning_rate": 0.01}, False, id="mlp-adamw-graph"),
    pytest.param("batch_norm", {"name": "rmsprop", "learning_rate": 0.01}, None, id="batch_norm-rmsprop"),
    pytest.param("batch_norm", {"name": "adam", "learning_rate": 0.01}, False, id="batch_norm-adam-graph"),
    pytest.param("dropout", {"name": "adam", "learning_rate": 0.01}, None, id="dropout-adam"),
    pytest.param("dropout", {"name": "sgd", "momentum": 0.9}, True, id="dropout-momentum-xla"),
    pytest.param("lenet", {"name": "sgd", "momentum": 0.9}, None, id="lenet-momentum"),
]


@pytest.mark.parametrize(("model", "optimizer", "xla"), OPTIMIZERS)
def test_continued_is_bit_for_bit_the_uninterrupted_curve(tmp_path, learner, data, model, optimizer, xla) -> None:
    one_go = fit(tmp_path / "one", learner(model, optimizer, xla=xla), data, epochs=4)
    state = one_go.program.state()
    fit(tmp_path / "two", learner(model, optimizer, xla=xla), data, epochs=1)
    # Another trial in between leaves its traces in the process: they must not matter.
    fit(tmp_path / "other", learner("wide", {"name": "adam"}, seed=9), data, epochs=1)
    fit(tmp_path / "two", learner(model, optimizer, xla=xla), data, epochs=3)
    continued = fit(tmp_path / "two", learner(model, optimizer, xla=xla), data, epochs=4)
    assert curve(tmp_path / "two") == curve(tmp_path / "one")
    for value, expected in zip(continued.program.state(), state, strict=True):
        assert value.dtype == expected.dtype
        assert value.tobytes() == expected.tobytes()


def test_learners_that_differ_in_learning_rate_share_a_program_and_nothing_else(tmp_path, learner, data) -> None:
    first = fit(tmp_path / "a", learner("mlp", {"learning_rate": 0.1}), data)
    slow = fit(tmp_path / "b", learner("mlp", {"learning_rate": 1e-4}), data)
    again = fit(tmp_path / "c", learner("mlp", {"learning_rate": 0.1}), data)
    assert first.program is slow.program is again.program
    assert curve(tmp_path / "c") == curve(tmp_path / "a")
    assert curve(tmp_path / "b") != curve(tmp_path / "a")


def test_another_seed_is_another_curve(tmp_path, learner, data) -> None:
    fit(tmp_path / "a", learner(seed=1), data)
    fit(tmp_path / "b", learner(seed=2), data)
    assert curve(tmp_path / "a")[0] != curve(tmp_path / "b")[0]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "another identity", "missing"])
def test_a_checkpoint_that_cannot_be_used_means_epoch_0_and_the_same_curve(
    tmp_path, learner, data, caplog, damage
) -> None:
    fit(tmp_path / "one", learner("mlp"), data, epochs=3)
    fit(tmp_path / "two", learner("mlp"), data, epochs=2)
    path = TrialFiles(tmp_path / "two", ".").checkpoint
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    elif damage == "another identity":
        fit(tmp_path / "other", learner("mlp", seed=8), data, epochs=2)
        path.write_bytes(TrialFiles(tmp_path / "other", ".").checkpoint.read_bytes())
    else:
        path.unlink()
    fit(tmp_path / "two", learner("mlp"), data, epochs=3)
    assert curve(tmp_path / "two") == curve(tmp_path / "one")
    assert ("training starts again" in caplog.text) == (damage != "missing")


def test_a_checkpoint_is_loaded_without_executing_what_is_in_it(tmp_path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "executed").touch, ())

    path = tmp_path / "checkpoint.npz"
    np.savez(path, head=np.array(Evil(), dtype=object))
    with pytest.raises(ValueError, match="damaged"):
        checkpoint.load(path, "identity", [])
    assert not (tmp_path / "executed").exists()


def test_a_training_that_diverges_ends_at_once_with_nan(tmp_path, learner, data) -> None:
    trainer = fit(tmp_path, learner("mlp", {"learning_rate": 1e30}), data, epochs=5)
    assert math.isnan(trainer.validation_error())
    assert len(curve(tmp_path)) < 5


def test_checkpoints_are_written_as_often_as_asked(tmp_path, learner, data, monkeypatch) -> None:
    saved: list[int] = []
    monkeypatch.setattr(checkpoint, "save", lambda path, identity, found: saved.append(found.epoch))
    fit(tmp_path / "a", learner(), data, epochs=5, checkpoint_every=2)
    assert saved == [2, 4, 5]
    saved.clear()
    fit(tmp_path / "b", learner(), data, epochs=3, checkpoint_every=None)
    assert saved == [3]


FRESH = """
import json, sys
from pathlib import Path
from hydra import compose, initialize_config_dir
from hposweep.app import schema
from hposweep.conf_dir import conf_dir
from hposweep.job.running import RunningJob, running
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.training.objective import configure_tensorflow, learner, load_data
schema.register()
configure_tensorflow(1, True)
from hposweep.training.metrics import COLUMNS, VALIDATION_ERROR
from hposweep.training.trainer import HPOTrainer
with initialize_config_dir(str(conf_dir()), version_base="1.3"):
    for number, overrides in enumerate(json.loads(sys.argv[1])):
        cfg = compose("config", ["data.train_fraction=0.02", *overrides])
        data = load_data(cfg.data)
        with running(RunningJob(TrialFiles(Path(sys.argv[2]), str(number)), "validation_error")):
            HPOTrainer(3).fit(learner(cfg, data), data)
"""


def test_a_trial_that_runs_second_in_a_warm_process_has_the_bits_of_a_fresh_one(tmp_path) -> None:
    trial = ["model=mlp", "model.dropout=0.2", "optimizer=adam", "seed=5", "model.num_hiddens=32"]
    other = ["model=mlp", "model.dropout=0.1", "optimizer=sgd", "optimizer.momentum=0.9", "model.num_hiddens=48"]
    for name, trials in (("fresh", [trial]), ("warm", [other, trial])):
        words = [sys.executable, "-c", FRESH, json.dumps(trials), str(tmp_path / name)]
        subprocess.run(words, check=True, capture_output=True)
    assert curve(tmp_path / "warm" / "1") == curve(tmp_path / "fresh" / "0")
    assert len(curve(tmp_path / "fresh" / "0")) == 3
