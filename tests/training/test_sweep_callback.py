"""A script's own `model.fit` as an objective: continued bit for bit, ended at its target, and left alone outside."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from hposweep.errors import ConfigError
from hposweep.job import run
from hposweep.job.running import RunningJob
from hposweep.keras import SweepCallback
from hposweep.sweep_folder.trial_files import TrialFiles

N_EPOCHS = 3
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(52, 6)).astype(np.float32)
TARGETS = (INPUTS.sum(axis=1) > 0).astype(np.int32)
VALIDATION = (INPUTS[40:], TARGETS[40:])


class StoppedError(Exception):
    pass


class Interrupting(keras.callbacks.Callback):
    """Raises in the middle of an epoch, counted from 0."""

    def __init__(self, in_epoch: int | None) -> None:
        super().__init__()
        self.in_epoch, self.epoch = in_epoch, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.epoch == self.in_epoch and batch == 1:
            raise StoppedError


class Batches(keras.utils.PyDataset):
    """Draws its batches, and noise, from the global generators."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        chosen = np.random.permutation(40)[:8]
        return INPUTS[chosen] + random.random(), TARGETS[chosen]


def model(optimizer: Any = "adam", policy: str = "float32") -> keras.Model:
    dtype = keras.DTypePolicy(policy)
    layers = [
        keras.Input((6,)),
        keras.layers.GaussianNoise(0.1, dtype=dtype),
        keras.layers.Dense(5, dtype=dtype),
        keras.layers.BatchNormalization(dtype=dtype),
        keras.layers.Dropout(0.3, dtype=dtype),
        keras.layers.Dense(2, dtype=dtype),
    ]
    made = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"], jit_compile=False)
    return made


def arrays(callback: SweepCallback) -> dict[str, Any]:
    return {"x": INPUTS[:40], "y": TARGETS[:40], "batch_size": 8}


def shuffled_dataset(callback: SweepCallback) -> dict[str, Any]:
    dataset = tf.data.Dataset.from_tensor_slices((INPUTS[:40], TARGETS[:40]))
    return {"x": dataset.shuffle(40, reshuffle_each_iteration=False).batch(8)}


def py_dataset(callback: SweepCallback) -> dict[str, Any]:
    return {"x": Batches(), "shuffle": True}


class Trial:
    """The jobs of a trial, one after the other in one folder."""

    def __init__(self, folder: Path, metric: str = "val_loss", seed: int = 5) -> None:
        self.folder, self.metric, self.seed = folder, metric, seed
        self.n_jobs = 0

    def job(
        self,
        *,
        data: Callable[[SweepCallback], dict[str, Any]] = arrays,
        build: Callable[[], keras.Model] = model,
        metric: str = "val_loss",
        target_epoch: int | None = None,
        epochs: int = N_EPOCHS,
        interrupted_in: int | None = None,
        told_to_end_in: int | None = None,
    ) -> "Trial":
        self.n_jobs += 1

        def tell(epoch: int, logs: object) -> None:
            if epoch == told_to_end_in:
                self.running.files.end_notice.touch()

        def objective() -> float:
            self.model = build()
            # What somebody has drawn before must not matter.
            keras.utils.set_random_seed(self.n_jobs)
            self.callback = SweepCallback(self.model, metric=metric)
            self.history = self.model.fit(
                **data(self.callback),
                validation_data=VALIDATION,
                epochs=epochs,
                initial_epoch=self.callback.initial_epoch,
                callbacks=[
                    Interrupting(interrupted_in),
                    keras.callbacks.LambdaCallback(on_epoch_end=tell),
                    self.callback,
                ],
                verbose=0,
            )
            return self.callback.value

        self.running = RunningJob(TrialFiles(self.folder, "."), self.metric, target_epoch)
        self.value = run.run(self.running, objective, self.seed)
        return self

    @property
    def curve(self) -> list[dict[str, str]]:
        rows = TrialFiles(self.folder, ".").read_curve()
        return [{name: repr(value) for name, value in row.items() if name != "seconds"} for row in rows]

    @property
    def state(self) -> list[bytes]:
        variables = [*self.model.variables, *self.model.optimizer.variables]
        return [np.asarray(variable.value).tobytes() for variable in variables]

    @property
    def checkpoint(self) -> Path:
        (path,) = TrialFiles(self.folder, ".").checkpoint_dir.iterdir()
        return path


def scheduled() -> keras.Model:
    return model(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 20), momentum=0.9, use_ema=True))


def test_a_fit_that_is_told_to_end_saves_and_the_next_job_has_the_same_bits(tmp_path) -> None:
    whole = Trial(tmp_path / "whole").job()
    told = Trial(tmp_path / "told")
    with pytest.raises(run.JobLostError, match="it was told to end"):
        told.job(told_to_end_in=1)
    assert len(told.curve) == 2
    told.job()
    assert told.running.first_epoch == 3
    assert (told.curve, told.state, told.value) == (whole.curve, whole.state, whole.value)


CASES = [
    pytest.param({"data": arrays}, id="arrays"),
    pytest.param({"data": shuffled_dataset}, id="tf.data"),
    pytest.param({"data": py_dataset}, id="PyDataset"),
    pytest.param({"build": scheduled}, id="schedule and average"),
    pytest.param({"build": lambda: model("adam", "mixed_float16")}, id="mixed precision"),
    pytest.param({"build": lambda: model("adam", "bfloat16")}, id="bfloat16"),
]


@pytest.mark.parametrize("options", CASES)
def test_a_training_that_is_interrupted_in_each_epoch_has_the_bits_of_one_that_is_not(tmp_path, options) -> None:
    whole = Trial(tmp_path / "whole").job(**options)
    assert len(whole.curve) == N_EPOCHS

    cut = Trial(tmp_path / "cut")
    for epoch in range(N_EPOCHS):
        with pytest.raises(StoppedError):
            cut.job(interrupted_in=epoch, **options)
        assert cut.callback.epochs_trained == cut.callback.initial_epoch == max(0, epoch - 1)
    cut.job(**options)
    assert cut.callback.epochs_trained == N_EPOCHS - 1
    assert cut.curve == whole.curve
    assert cut.state == whole.state
    assert repr(cut.value) == repr(whole.value)


def test_another_seed_trains_in_another_order(tmp_path) -> None:
    def fixed() -> keras.Model:
        keras.utils.set_random_seed(0)
        return model()

    first, second = (Trial(tmp_path / f"{seed}", seed=seed).job(build=fixed) for seed in (5, 6))
    assert first.curve != second.curve


def test_the_curve_holds_all_logs_and_the_value(tmp_path) -> None:
    trial = Trial(tmp_path, metric="score").job(metric="val_accuracy")
    rows = TrialFiles(tmp_path, ".").read_curve()
    names = ["epoch", "accuracy", "loss", "val_accuracy", "val_loss", "score", "seconds"]
    assert [sorted(row) for row in rows] == [sorted(names)] * N_EPOCHS
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["val_loss"] for row in rows] == trial.history.history["val_loss"]
    assert [row["score"] for row in rows] == [row["val_accuracy"] for row in rows]
    assert trial.value == rows[-1]["val_accuracy"]


def test_segments_end_at_their_targets_with_the_bits_of_one_training(tmp_path) -> None:
    whole = Trial(tmp_path / "whole").job()
    trial = Trial(tmp_path / "segments")
    for target in (1, 3):
        trial.job(target_epoch=target)
        assert len(trial.curve) == target
        assert trial.running.heeds_target and not trial.running.was_ended_at_target
    assert trial.curve == whole.curve
    assert trial.state == whole.state


@pytest.mark.parametrize("target_epoch", [2, None])
def test_a_job_that_finds_its_trial_trained_trains_no_epoch(tmp_path, target_epoch) -> None:
    trial = Trial(tmp_path)
    trial.job(target_epoch=target_epoch, epochs=2 if target_epoch is None else N_EPOCHS)
    value, curve, state = trial.value, trial.curve, trial.state
    trial.job(target_epoch=target_epoch, epochs=2 if target_epoch is None else N_EPOCHS)
    assert trial.history.epoch == []
    assert trial.callback.epochs_trained == 2
    assert (trial.value, trial.curve, trial.state) == (value, curve, state)


def test_a_target_before_the_checkpoint_is_trained_for_anew(tmp_path) -> None:
    whole = Trial(tmp_path / "whole").job(target_epoch=1)
    trial = Trial(tmp_path / "behind").job(target_epoch=2).job(target_epoch=1)
    assert (trial.value, trial.curve) == (whole.value, whole.curve)


def damaged(trial: Trial) -> None:
    content = bytearray(trial.checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    trial.checkpoint.write_bytes(content)


def of_another_model(trial: Trial) -> None:
    Trial(trial.folder / "other").job(build=lambda: model("sgd"), epochs=2)
    (other,) = TrialFiles(trial.folder / "other", ".").checkpoint_dir.iterdir()
    trial.checkpoint.write_bytes(other.read_bytes())


def with_a_changed_curve(trial: Trial) -> None:
    path = TrialFiles(trial.folder, ".").learning_curve
    path.write_text(path.read_text().replace("0.", "1."))


def without_its_curve(trial: Trial) -> None:
    TrialFiles(trial.folder, ".").learning_curve.unlink()


@pytest.mark.parametrize("change", [damaged, of_another_model, with_a_changed_curve, without_its_curve])
def test_what_is_damaged_is_said_once_and_the_trial_begins_anew_with_the_same_bits(tmp_path, caplog, change) -> None:
    trial = Trial(tmp_path).job(epochs=2)
    curve, state = trial.curve, trial.state
    change(trial)
    caplog.clear()
    trial.job(epochs=2)
    assert trial.callback.epochs_trained == 0
    assert (trial.curve, trial.state) == (curve, state)
    (said,) = [record.getMessage() for record in caplog.records if record.name.startswith("hposweep")]
    assert said.endswith("training starts again at epoch 0")


def test_outside_of_a_job_it_leaves_fit_and_the_folder_alone(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    def trained(with_callback: bool) -> tuple[Any, Any]:
        keras.utils.set_random_seed(3)
        made = model()
        callback = SweepCallback(made, metric="val_loss")
        callbacks = [callback] if with_callback else []
        assert (callback.initial_epoch, callback.epochs_trained) == (0, 0)
        history = made.fit(
            INPUTS, TARGETS, validation_data=VALIDATION, epochs=2, initial_epoch=0, callbacks=callbacks, verbose=0
        )
        if with_callback:
            assert callback.value == history.history["val_loss"][-1]
        return history.history, random.getstate()

    assert trained(True) == trained(False)
    assert list(tmp_path.iterdir()) == []


def test_a_value_without_an_epoch_is_an_error() -> None:
    with pytest.raises(ValueError, match="no epoch was trained"):
        _ = SweepCallback(model(), metric="loss").value


def not_built() -> keras.Model:
    made = keras.Sequential([keras.layers.Dense(2)])
    made.compile("sgd", "mse")
    return made


def not_compiled() -> keras.Model:
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"build": not_built}, "SweepCallback: the model is not built; begin it with keras.Input"),
        ({"build": not_compiled}, "SweepCallback: the model is not compiled"),
        ({"metric": "val_acuracy"}, "'val_acuracy' is none of the logs of epoch 1; did you mean 'val_accuracy'?"),
        ({"metric": "loss"}, "metric must be 'val_loss', that of the sweep, which is one of Keras's logs; got 'loss'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, options, message) -> None:
    with pytest.raises(ConfigError) as caught:
        Trial(tmp_path).job(**options)
    assert message in f"{caught.value}"
    assert "\n" not in f"{caught.value}"
