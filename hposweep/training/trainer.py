"""The trainer of a trial: d2l's Trainer with whole epochs as programs, checkpoints and a trial's value."""

from __future__ import annotations

import contextlib
import logging
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.utils.naming import reset_uids

from hposweep.errors import ConfigError
from hposweep.job.running import EndsSoon, RunningJob, job_or_none
from hposweep.number_text import number_text
from hposweep.sweep_folder import learning_curve
from hposweep.sweep_folder.files import done_without
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.training import checkpoint
from hposweep.training.book_classes import d2l
from hposweep.training.checkpoint import Checkpoint
from hposweep.training.curve_rules import EarlyStopping, ReduceOnPlateau
from hposweep.training.data import ArrayData
from hposweep.training.fit_program import FitProgram
from hposweep.training.keras_errors import reason
from hposweep.training.metrics import ERROR, LOSS, VALIDATION_ERROR, name_in, tested_name
from hposweep.training.program import Data, Program, ProgramCache, first_outputs
from hposweep.training.streams import StreamData
from hposweep.trial import Direction

log = logging.getLogger(__name__)

PROGRAMS = ProgramCache()
TRAIN_LOSS, VALIDATION_LOSS = "train_loss", "validation_loss"
# Methods by which a model may train in its own way.
OWN_STEPS = ("train_step", "test_step", "compute_loss", "compute_metrics")


@dataclass(frozen=True)
class Learner:
    """What a trainer fits: how to build the model, its loss and its optimizer, and by which seed.

    `architecture` names the program: learners with equal ones differ in weights, seeds and learning rates alone.
    `identity` names the training: all that the trained weights depend on.

    Attributes:
        xla: compile with XLA; None: if all layers suit it.
        loop: "compiled", "fit", or "auto": compiled wherever data are in memory, and the step is the standard one.
        dtype_policy: of Keras, for the model's layers, such as "mixed_bfloat16"; None: float32.
    """

    build_model: Callable[[], keras.Model]
    build_loss: Callable[[], keras.losses.Loss]
    build_optimizer: Callable[[], keras.optimizers.Optimizer]
    seed: int
    architecture: str
    identity: str
    xla: bool | None = None
    loop: str = "auto"
    build_callbacks: Callable[[], list[keras.callbacks.Callback]] | None = None
    dtype_policy: str | None = None

    def program(self, data: Data) -> Program:
        """The learner's program with fresh weights, as the seed gives them, and a fresh optimizer.

        The weights are always drawn eagerly: the same seed gives other numbers inside of XLA than outside.

        Raises:
            ConfigError: if the parts don't fit together.
        """
        keras.utils.set_random_seed(self.seed)
        reset_uids()  # the names of layers are part of a program: see `xla_cache`
        with _dtype_policy(self.dtype_policy):
            model, optimizer = self.build_model(), self.build_optimizer()
            if not isinstance(model, keras.Model):
                raise ConfigError(f"model: the function must return a keras.Model, got {type(model).__name__}")
            if not model.built:
                first_outputs(model, data)
        if self.dtype_policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(model.trainable_variables)
        fresh = [np.asarray(variable.value) for variable in (*model.variables, *optimizer.variables)]
        kind = self._kind_of_program(model, data)
        key = f"{self.architecture} on {data.input_shape} in {data.batch_size}"
        if data.program_key or kind is FitProgram:
            key += f" as {data.program_key} by {kind.__name__}"
        program = PROGRAMS.get(key, lambda: kind(model, self.build_loss(), optimizer, data, self.xla, key))
        program.restore(fresh)
        program.begin(self.build_callbacks)
        return program

    def _kind_of_program(self, model: keras.Model, data: Data) -> type[Program]:
        """Which of the loops trains; it depends on the configuration alone, and is said where it is Keras's own."""
        reasons = []
        if self.build_callbacks is not None:
            reasons.append("trainer.callbacks are given")
        if isinstance(data, StreamData):
            reasons.append("the data stream")
        own = [name for name in OWN_STEPS if getattr(type(model), name) is not getattr(keras.Model, name)]
        if own:
            reasons.append(f"the model has a {own[0]} of its own")
        if self.loop == "compiled" and reasons:
            raise ConfigError(f"trainer.loop: can't be compiled, since {reasons[0]}; set it to auto or fit")
        if self.loop == "fit":
            reasons.append("trainer.loop says so")
        if reasons:
            log.info("trained by Keras's fit, since %s", reasons[0])
        return FitProgram if reasons else Program


@contextlib.contextmanager
def _dtype_policy(name: str | None) -> Iterator[None]:
    """Within it layers are made with this policy.

    Raises:
        ConfigError: if Keras knows none of this name.
    """
    before = keras.config.dtype_policy()
    if name is not None:
        try:
            keras.config.set_dtype_policy(name)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"trainer.dtype_policy: {reason(error)}") from None
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class HPOTrainer(d2l.Trainer):
    """A trainer that reports the metric of the current job, by default the validation error ("Dive into Deep Learning",
    section 19.1.1).

    Outside of a job learning curve and checkpoint stand in a temporary folder, and it is the book's:

        trainer = HPOTrainer(max_epochs=8)
        trainer.fit(model=d2l.SoftmaxRegression(num_outputs=10, lr=0.1), data=d2l.FashionMNIST(batch_size=16))
        trainer.validation_error()

    Args:
        max_epochs: where to stop; training goes on from the checkpoint that earlier jobs of the trial left, if any.
        checkpoint_every: epochs from one checkpoint to the next; the last epoch always leaves one. None: only that.
        validate_every: epochs from one validation to the next; the last epoch is always validated. The curve has NaN in
            the others.
        steps_per_epoch: training steps of an epoch, on the first examples of its order; None: all examples.
        early_stopping: ends the training early.
        reduce_on_plateau: lowers the learning rate.
        best_by: the column, with its direction, by which the weights of the best epoch are kept; None: they are not.
        tensorboard: folder of TensorBoard logs, which each epoch adds to; None: there are none.
    """

    def __init__(
        self,
        max_epochs: int,
        checkpoint_every: int | None = None,
        *,
        validate_every: int = 1,
        steps_per_epoch: int | None = None,
        early_stopping: EarlyStopping | None = None,
        reduce_on_plateau: ReduceOnPlateau | None = None,
        best_by: tuple[str, Direction] | None = None,
        tensorboard: Path | None = None,
    ) -> None:
        super().__init__(max_epochs)
        job = job_or_none()
        if job is None:
            self._folder = tempfile.TemporaryDirectory(prefix="hposweep-")  # as long as there is the trainer
            job = RunningJob(TrialFiles(Path(self._folder.name), "."), VALIDATION_ERROR)
        self.job = job
        self.checkpoint_every, self.validate_every = checkpoint_every, validate_every
        self.steps_per_epoch = steps_per_epoch
        self.early_stopping, self.reduce_on_plateau, self.best_by = early_stopping, reduce_on_plateau, best_by
        self._rows: list[dict[str, float]] = []
        self._best: dict[str, Any] = {}
        self._tensorboard = None if tensorboard is None else tf.summary.create_file_writer(str(tensorboard))

    def prepare_data(self, data: Data) -> None:
        self.data = data
        self.train_examples = data.tensors("train")
        self.val_examples = data.tensors("val") if data.has("val") else None

    def prepare_model(self, model: Learner) -> None:
        self.model = model
        self.program = model.program(self.data)
        if self.reduce_on_plateau is not None:
            self.learning_rate = float(self.program.optimizer.learning_rate)

    def fit(self, model: Learner | d2l.Module, data: Data | d2l.DataModule) -> None:
        """Trains from the epoch of the checkpoint to `max_epochs`, or until the loss is NaN or infinite.

        Args:
            model: may be a classifier of the book, which is trained itself.
            data: may be a data module of the book, whose examples fit into memory.
        """
        from hposweep.training import d2l_modules  # which makes learners

        seed = self.job.seed or 0
        if not isinstance(data, ArrayData | StreamData):
            data = d2l_modules.as_array_data(data, seed)
        if not isinstance(model, Learner):
            model = d2l_modules.as_learner(model, seed)
        self.prepare_data(data)
        self.prepare_model(model)
        self.epoch = self._go_on_from_checkpoint()
        if self._is_over():
            return
        with self.program.training(self.epoch, self.max_epochs):
            while not self._is_over():
                self.fit_epoch()

    def fit_epoch(self) -> None:
        """One pass over the training data, in the order that (trial seed, epoch) gives, and its row of the curve."""
        if self.reduce_on_plateau is not None:
            rate = self.reduce_on_plateau.learning_rate_after(self._rows, self.learning_rate)
            self.program.set_learning_rate(rate)
        trained, validated = self.program.run_epoch(
            self.data.epoch(self.train_examples, self.model.seed, self.epoch, self.steps_per_epoch),
            self.epoch,
            self._validate if self.val_examples is not None else None,
        )
        row = {f"train_{name}": value for name, value in trained.items()}
        row |= {f"validation_{name}": value for name, value in validated.items()}
        self.epoch += 1
        self._rows.append(row)
        self._keep_best(row)
        # The row comes before the checkpoint: a curve that is ahead is cut back, one that lags behind would have a gap.
        column = self._column()
        if column not in row:
            raise ConfigError(
                f"hydra.sweeper.metric: {column} is not among what the model's own steps measure: {', '.join(row)}"
            )
        self.job.report(self.epoch, row[column], **row)
        self._write_summary(row)
        shown = f"{column.replace('_', ' ')} {number_text(row[column])}"
        log.info("epoch %d: loss %s, %s", self.epoch, number_text(row[TRAIN_LOSS]), shown)
        is_due = self.checkpoint_every is not None and self.epoch % self.checkpoint_every == 0
        ends_soon = self.job.ends_soon()
        if is_due or ends_soon or self._is_over():
            self._save_checkpoint()
        if ends_soon and not self._is_over():
            raise EndsSoon

    def value(self) -> float:
        """The job's metric after the last epoch; NaN where it has diverged."""
        return self._after_last_epoch(self._column())

    def validation_error(self) -> float:
        """The share of validation examples that the model gets wrong; NaN where it has diverged."""
        return self._after_last_epoch(VALIDATION_ERROR)

    def test_value(self) -> float:
        """The test value of the metric that `tested_name` tells."""
        return self.program.evaluate(self.data.tensors("test"))[self.tested_name]

    @property
    def tested_name(self) -> str:
        """The metric by which the job tests."""
        return tested_name(self.job.metric, self.program.names)

    def test_error(self) -> float:
        """The share of test examples that the model gets wrong."""
        return self.program.evaluate(self.data.tensors("test"))[ERROR]

    def use_best_weights(self) -> None:
        """Gives the model the weights of the best epoch, if they are kept."""
        if self._best:
            self.program.restore(self._best["state"])

    def has_stopped_early(self) -> bool:
        """Whether early stopping or a callback has ended the training."""
        stops = self.early_stopping is not None and self.early_stopping.stops_after(self._rows)
        return stops or self.program.wants_to_stop

    def has_diverged(self) -> bool:
        """Whether the last epoch's loss is NaN or infinite: no later epoch can learn."""
        if not self._rows:
            return False
        row = self._rows[-1]
        losses = [TRAIN_LOSS, *([VALIDATION_LOSS] if self._is_validated(self.epoch) else [])]
        return not all(math.isfinite(row[name]) for name in losses if name in row)

    def _column(self) -> str:
        """The column that is the job's metric; a caller may have a name of its own for the value."""
        names, name = self.program.names, name_in(self.job.metric)
        if name not in names:
            return f"{self._judging_part()}_{ERROR if ERROR in names else LOSS}"
        return f"train_{name}" if self.job.metric.startswith("train_") else f"{self._judging_part()}_{name}"

    def _judging_part(self) -> str:
        return "train" if self.val_examples is None else "validation"

    def _is_over(self) -> bool:
        return self.epoch >= self.max_epochs or self.has_diverged() or self.has_stopped_early()

    def _write_summary(self, row: dict[str, float]) -> None:
        if self._tensorboard is None:
            return
        with self._tensorboard.as_default(step=self.epoch):
            for name, value in row.items():
                tf.summary.scalar(name, value)
            tf.summary.scalar("learning_rate", float(self.program.optimizer.learning_rate))
        self._tensorboard.flush()

    def _is_validated(self, epoch: int) -> bool:
        return epoch % self.validate_every == 0 or epoch == self.max_epochs

    def _validate(self) -> dict[str, float]:
        assert self.val_examples is not None
        if not self._is_validated(self.epoch + 1):
            return dict.fromkeys(self.program.names, math.nan)
        return self.program.evaluate(self.val_examples)

    def _keep_best(self, row: dict[str, float]) -> None:
        if self.best_by is None:
            return
        column, direction = self.best_by
        loss = direction.loss(row[column])
        if not self._best or loss < self._best["loss"]:
            self._best = {"epoch": self.epoch, "loss": loss, "state": self.program.state()}

    def _after_last_epoch(self, column: str) -> float:
        if self.has_diverged():
            return math.nan
        if self._rows and not math.isnan(self._rows[-1][column]):
            return self._rows[-1][column]
        examples = self.train_examples if column.startswith("train") else self.val_examples
        assert examples is not None
        return self.program.evaluate(examples)[name_in(column)]

    def _go_on_from_checkpoint(self) -> int:
        """Restores the checkpoint, cuts the curve back to it, and returns its epoch; 0 where there is none to use."""
        files = self.job.files
        try:
            found = checkpoint.load(files.checkpoint, self.model.identity, self.program.state())
        except ValueError as error:
            log.warning("%s: %s; training starts again at epoch 0", files.checkpoint, error)
            found = None
        rows = {row["epoch"]: row for row in files.read_curve()}
        if found is not None and (found.epoch not in rows or found.epoch > self.max_epochs):
            log.warning("%s: ahead of the curve or the target; training starts again", files.checkpoint)
            found = None
        # Not even a value may come from a curve that somebody has changed.
        if found is not None and found.curve not in (None, learning_curve.checksum(files.learning_curve, found.epoch)):
            log.warning("%s: changed since its checkpoint was written; training starts again", files.learning_curve)
            found = None
        if found is not None and not self.program.can_go_on(found.extra):
            log.warning("a callback's state can't be saved: training starts again at epoch 0")
            found = None
        epoch = 0 if found is None else found.epoch
        if found is not None:
            self.program.restore(found.state)
            self.program.restore_extra(found.extra)
            self._best = dict(found.extra.get("best", {}))
        self._rows = [rows[each] for each in sorted(rows) if each <= epoch]
        with self.job.writing_files():
            learning_curve.cut_back(files.learning_curve, epoch)
        return epoch

    def _save_checkpoint(self) -> None:
        files = self.job.files
        curve = learning_curve.checksum(files.learning_curve, self.epoch)
        extra = {**self.program.extra(), **({"best": self._best} if self._best else {})}
        found = Checkpoint(self.epoch, self.program.state(), curve, extra)
        with self.job.writing_files(), done_without():
            checkpoint.save(files.checkpoint, self.model.identity, found)
