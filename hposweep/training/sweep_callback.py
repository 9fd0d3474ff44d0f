"""The callback that makes a script's own `model.fit` an objective."""

from __future__ import annotations

import json
import logging
import random
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from hposweep.errors import ConfigError, nearest
from hposweep.job.running import EndsSoon, RunningJob, job_or_none
from hposweep.sweep_folder import learning_curve
from hposweep.sweep_folder.files import done_without
from hposweep.training import checkpoint
from hposweep.training.checkpoint import Checkpoint

log = logging.getLogger(__name__)

FILE_NAME = "fit.npz"
# `fit` looks at `stop_training` after its first step only: with this as its first epoch it makes none.
NOTHING_LEFT = sys.maxsize


class SweepCallback(keras.callbacks.Callback):
    """Reports each epoch of a `model.fit` to the sweep, and lets it continue where an earlier job of the trial stopped.

        callback = SweepCallback(model, metric="val_accuracy")
        model.fit(x, y, validation_data=..., epochs=20, initial_epoch=callback.initial_epoch, callbacks=[callback])
        return callback.value

    In a job, of a Hydra app or of `hposweep.tune`, each epoch becomes a row of the learning curve with all of Keras's
    logs, and leaves a checkpoint in `hposweep.checkpoint_dir()`. Training ends at the scheduler's target epoch, or
    after `epochs` where there is none. Outside of a job it writes no file, and leaves `fit` as it is.

    A continued training has the same bits as one that was not interrupted. Weights, the optimizer with its learning
    rate, and the seeds of layers such as Dropout come from the checkpoint. The callback seeds Python's, NumPy's and
    TensorFlow's global generators with the trial's seed when it is made, and Python's and NumPy's before each epoch
    with the trial's seed and the epoch.

    - Where TensorFlow has a seed, `fit` shuffles arrays in one order, the same in each epoch. The shuffling of a
      `tf.data.Dataset` takes `reshuffle_each_iteration=False`: else a continued training meets the orders of the first
      epochs once more. A PyDataset draws its order from Python's or NumPy's global generator at each epoch's begin;
      data that counts epochs by itself is told `epochs_trained`.
    - A layer of yours draws random numbers from a `keras.random.SeedGenerator` that it holds.
    - Other callbacks, such as EarlyStopping, begin anew in each job. This one stands last among them, so that its
      checkpoint holds what they have changed.

    Args:
        model: compiled and built (it begins with `keras.Input`, or its `build` was called); its `fit` is called once.
        metric: the name in Keras's logs of the trial's value, such as "val_accuracy" or "loss".

    Attributes:
        epochs_trained: by earlier jobs of the trial; 0 in its first one, and outside of a job.
        initial_epoch: for `fit`: the same number or, where nothing is left to train, one above any number of epochs.

    Raises:
        ConfigError: in a job, if the model is not built or not compiled, or if the sweep's metric is another log.
    """

    def __init__(self, model: keras.Model, metric: str) -> None:
        super().__init__()
        self.metric = metric
        self.epochs_trained = self.initial_epoch = 0
        self._value: float | None = None
        self._found: Checkpoint | None = None
        self._job = job_or_none()
        if self._job is None:
            return
        _prepare(model)
        self._identity = _identity(model, self._job.seed)
        self._checkpoint = self._job.checkpoint_dir() / FILE_NAME
        target_epoch = self._job.target_epoch(NOTHING_LEFT)
        self._found = self._load(model, target_epoch)
        if self._found is not None:
            self.epochs_trained = self._found.epoch
            self.initial_epoch = self.epochs_trained if self.epochs_trained < target_epoch else NOTHING_LEFT
        if self._job.seed is not None:
            # Now: `fit` takes the seed of its order before it calls any callback.
            keras.utils.set_random_seed(self._job.seed % 2**32)

    @property
    def value(self) -> float:
        """The metric after the last epoch, also of an earlier job where this one had nothing left to train.

        Raises:
            ValueError: if no epoch was trained.
        """
        if self._value is None:
            raise ValueError("SweepCallback: no epoch was trained, so there is no value")
        return self._value

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._job is None:
            return
        self._target_epoch = self._job.target_epoch(self.params["epochs"])
        if self._found is not None:
            _restore(self.model, self._found.state)
            self._found = None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._job is None or self._job.seed is None:
            return
        (seed,) = np.random.SeedSequence([self._job.seed, epoch]).generate_state(1).tolist()
        random.seed(seed)
        np.random.seed(seed)
        # Not TensorFlow's: that would begin the numbers of its operations inside of compiled functions anew, so that
        # each epoch had the same noise.

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        if self.metric not in values:
            raise ConfigError(self._not_in(values, epoch))
        self._value = values[self.metric]
        if self._job is None:
            return
        if self._job.metric != self.metric and self._job.metric in values:
            raise ConfigError(
                f"SweepCallback: metric must be {self._job.metric!r}, that of the sweep, which is one of Keras's logs; "
                f"got {self.metric!r}"
            )
        # The row comes before the checkpoint: a curve that is ahead is cut back, one that lags behind would have a gap.
        self._job.report(epoch + 1, self._value, **values)
        self._save(self._job, epoch + 1)
        if epoch + 1 >= self._target_epoch:
            self.model.stop_training = True
        elif self._job.ends_soon():
            raise EndsSoon

    def _not_in(self, values: Mapping[str, float], epoch: int) -> str:
        names = sorted(values)
        return (
            f"SweepCallback: metric {self.metric!r} is none of the logs of epoch {epoch + 1}"
            f"{nearest(self.metric, names)}Available: {', '.join(names)}"
        )

    def _load(self, model: keras.Model, target_epoch: int) -> Checkpoint | None:
        """The checkpoint to continue from, None where there is none; the curve is cut back to it."""
        assert self._job is not None
        files = self._job.files
        try:
            found = checkpoint.load(self._checkpoint, self._identity, _state(model))
        except ValueError as error:
            log.warning("%s: %s; training starts again at epoch 0", self._checkpoint, error)
            found = None
        rows = {row["epoch"]: row for row in files.read_curve()}
        if found is not None and (found.epoch > target_epoch or self._job.metric not in rows.get(found.epoch, {})):
            log.warning("%s: ahead of the curve or the target; training starts again at epoch 0", self._checkpoint)
            found = None
        # Not even a value may come from a curve that somebody has changed.
        if found is not None and found.curve != learning_curve.checksum(files.learning_curve, found.epoch):
            log.warning("%s: changed since its checkpoint; training starts again at epoch 0", files.learning_curve)
            found = None
        epoch = 0 if found is None else found.epoch
        if found is not None:
            self._value = rows[epoch][self._job.metric]
        with self._job.writing_files():
            learning_curve.cut_back(files.learning_curve, epoch)
        return found

    def _save(self, job: RunningJob, epoch: int) -> None:
        curve = learning_curve.checksum(job.files.learning_curve, epoch)
        with job.writing_files(), done_without():
            checkpoint.save(self._checkpoint, self._identity, Checkpoint(epoch, _state(self.model), curve))


def _prepare(model: keras.Model) -> None:
    """Builds what `fit` would build later: a checkpoint is read into variables, which have to be there.

    Raises:
        ConfigError: if the model is not built or not compiled.
    """
    if not model.built:
        raise ConfigError(
            "SweepCallback: the model is not built; begin it with keras.Input, or call its build with the inputs' shape"
        )
    if not model.compiled:
        raise ConfigError("SweepCallback: the model is not compiled; call model.compile before")
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def _identity(model: keras.Model, seed: int | None) -> str:
    """What a checkpoint must agree in, beside the shapes of the variables."""
    return json.dumps([keras.version(), type(model.optimizer).__name__, seed])


def _variables(model: keras.Model) -> list[keras.Variable]:
    """All that training changes, by position; `model.variables` holds the seeds of Dropout, `weights` does not."""
    return [*model.variables, *model.optimizer.variables]


def _state(model: keras.Model) -> list[np.ndarray]:
    return [_storable(np.asarray(variable.value)) for variable in _variables(model)]


def _restore(model: keras.Model, state: Sequence[np.ndarray]) -> None:
    for variable, value in zip(_variables(model), state, strict=True):
        dtype = np.asarray(variable.value).dtype
        variable.assign(value if dtype == value.dtype else value.view(dtype))


def _storable(value: np.ndarray) -> np.ndarray:
    """The array as NumPy's files keep it: of a type that is not NumPy's own, such as bfloat16, as integers."""
    return value if value.dtype.isbuiltin == 1 else value.view(f"u{value.dtype.itemsize}")
