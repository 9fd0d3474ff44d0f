"""Training: right, reproducible bit for bit, and continued where it stopped."""

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from hposweep.job.running import EndsSoon, GivenUp, RunningJob, running
from hposweep.sweep_folder import learning_curve
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.training import checkpoint
from hposweep.training.metrics import VALIDATION_ERROR
from hposweep.training.trainer import HPOTrainer
from support.warm import WarmProcess

COLUMNS = ("validation_error", "validation_loss", "train_error", "train_loss")


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


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "theirs").touch()


DAMAGES: dict[str, Callable[[TrialFiles], object]] = {
    "checkpoint truncated": lambda files: os.truncate(files.checkpoint, 100),
    "checkpoint flipped": lambda files: flip(files.checkpoint, 500),
    "checkpoint a folder": lambda files: replace_by_a_folder(files.checkpoint),
    "curve no text": lambda files: files.learning_curve.write_bytes(b"\xff" * 100),
    "curve a folder": lambda files: replace_by_a_folder(files.learning_curve),
    # The first digit of a number: the curve reads as well as before.
    "curve flipped": lambda files: flip(files.learning_curve, files.learning_curve.read_bytes().index(b"\n1,") + 5),
    "curve missing": lambda files: files.learning_curve.unlink(),
    "both missing": lambda files: shutil.rmtree(files.folder),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("epochs", [2, 3], ids=["at the target already", "short of the target"])
def test_files_that_can_not_be_used_mean_epoch_0_and_the_same_curve(
    tmp_path, learner, data, caplog, damage, epochs
) -> None:
    whole = fit(tmp_path / "one", learner("mlp"), data, epochs=epochs)
    fit(tmp_path / "two", learner("mlp"), data, epochs=2)
    damage(TrialFiles(tmp_path / "two", "."))
    caplog.clear()
    again = fit(tmp_path / "two", learner("mlp"), data, epochs=epochs)
    assert curve(tmp_path / "two") == curve(tmp_path / "one")
    assert again.validation_error() == whole.validation_error()
    assert bool(caplog.text) == (damage is not DAMAGES["both missing"])


def test_a_checkpoint_of_another_training_is_not_gone_on_from(tmp_path, learner, data, caplog) -> None:
    fit(tmp_path / "one", learner("mlp"), data, epochs=3)
    fit(tmp_path / "two", learner("mlp"), data, epochs=2)
    fit(tmp_path / "other", learner("mlp", seed=8), data, epochs=2)
    TrialFiles(tmp_path / "other", ".").checkpoint.replace(TrialFiles(tmp_path / "two", ".").checkpoint)
    fit(tmp_path / "two", learner("mlp"), data, epochs=3)
    assert curve(tmp_path / "two") == curve(tmp_path / "one")
    assert "training starts again" in caplog.text


def test_a_checkpoint_without_a_checksum_is_gone_on_from(tmp_path, learner, data, caplog, monkeypatch) -> None:
    """As earlier versions wrote it."""
    fit(tmp_path / "one", learner("mlp"), data, epochs=3)
    monkeypatch.setattr(checkpoint, "_with_checksum", lambda content: content)
    monkeypatch.setattr(learning_curve, "checksum", lambda path, epoch: None)
    fit(tmp_path / "two", learner("mlp"), data, epochs=2)
    monkeypatch.undo()
    fit(tmp_path / "two", learner("mlp"), data, epochs=3)
    assert curve(tmp_path / "two") == curve(tmp_path / "one")
    assert "starts again" not in caplog.text


def test_a_trainer_that_was_given_up_writes_no_checkpoint(tmp_path, learner, data) -> None:
    files = TrialFiles(tmp_path, ".")
    with running(RunningJob(files, VALIDATION_ERROR)):
        trainer = HPOTrainer(2)
        trainer.fit(learner(), data)
        before = files.checkpoint.read_bytes(), files.learning_curve.read_bytes()
        RunningJob(files, VALIDATION_ERROR)
        trainer.max_epochs = 3
        with pytest.raises(GivenUp):
            trainer.fit_epoch()
    assert (files.checkpoint.read_bytes(), files.learning_curve.read_bytes()) == before


class ToldAfterEpoch2(RunningJob):
    def report(self, epoch: int, value: float, **metrics: float) -> None:
        super().report(epoch, value, **metrics)
        if epoch == 2:
            self.files.end_notice.touch()


def test_a_trainer_that_is_told_to_end_saves_and_the_next_job_has_the_same_bits(tmp_path, learner, data) -> None:
    fit(tmp_path / "whole", learner("mlp"), data, epochs=4)
    with running(ToldAfterEpoch2(TrialFiles(tmp_path / "told", "."), VALIDATION_ERROR)), pytest.raises(EndsSoon):
        HPOTrainer(4).fit(learner("mlp"), data)
    assert len(curve(tmp_path / "told")) == 2
    trainer = fit(tmp_path / "told", learner("mlp"), data, epochs=4)
    assert trainer.job.first_epoch == 3
    assert curve(tmp_path / "told") == curve(tmp_path / "whole")


def test_a_trainer_that_is_told_to_end_after_its_last_epoch_has_its_value(tmp_path, learner, data) -> None:
    with running(ToldAfterEpoch2(TrialFiles(tmp_path, "."), VALIDATION_ERROR)):
        trainer = HPOTrainer(2)
        trainer.fit(learner(), data)
    assert trainer.value() == trainer.job.files.read_curve()[-1]["validation_error"]


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


PROGRAM = """
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
from hposweep.training.metrics import VALIDATION_ERROR
from hposweep.training.trainer import HPOTrainer
from support.warm import WarmProcess
with initialize_config_dir(str(conf_dir()), version_base="1.3"):
    for number, overrides in enumerate(json.loads(sys.argv[1])):
        cfg = compose("config", ["data.train_fraction=0.02", *overrides])
        data = load_data(cfg.data)
        with running(RunningJob(TrialFiles(Path(sys.argv[2]), str(number)), "validation_error")):
            HPOTrainer(3).fit(learner(cfg, data), data)
"""


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["trainer.loop=compiled"], id="compiled"),
        pytest.param(["trainer.loop=fit", "trainer.dtype_policy=mixed_bfloat16"], id="fit"),
    ],
)
def test_a_trial_that_runs_second_in_a_process_has_the_bits_of_a_first_one(
    tmp_path: Path, warm_keras: WarmProcess, words: list[str]
) -> None:
    trial = ["model=mlp", "model.dropout=0.2", "optimizer=adam", "seed=5", "model.num_hiddens=32", *words]
    other = ["model=mlp", "model.dropout=0.1", "optimizer=sgd", "optimizer.momentum=0.9", "model.num_hiddens=48"]
    for name, trials in (("first", [trial]), ("second", [other, trial])):
        words = ["-c", PROGRAM, json.dumps(trials), str(tmp_path / name)]
        done = warm_keras.run(words, tmp_path)
        assert done.exit_code == 0, done.err
    assert curve(tmp_path / "second" / "1") == curve(tmp_path / "first" / "0")
    assert len(curve(tmp_path / "first" / "0")) == 3
