"""The trainer of a trial: d2l's Trainer with whole epochs as compiled programs, checkpoints and a trial's value."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from d2l import tensorflow as d2l
from keras.src.utils.naming import reset_uids

from hposweep.job.report import report
from hposweep.job.running import current_job
from hposweep.number_text import number_text
from hposweep.sweep_folder import learning_curve
from hposweep.sweep_folder.files import done_without
from hposweep.training import checkpoint
from hposweep.training.checkpoint import Checkpoint
from hposweep.training.data import ArrayData
from hposweep.training.metrics import VALIDATION_ERROR, column_of
from hposweep.training.program import Program, ProgramCache

log = logging.getLogger(__name__)

METRIC_WITHOUT_VALIDATION = "train_error"
PROGRAMS = ProgramCache()


@dataclass(frozen=True)
class Learner:
    """What a trainer fits: how to build the model, its loss and its optimizer, and by which seed.

    `architecture` names the program: learners with equal ones differ in weights, seeds and learning rates alone.
    `identity` names the training: all that the trained weights depend on.
    """

    build_model: Callable[[], keras.Model]
    build_loss: Callable[[], keras.losses.Loss]
    build_optimizer: Callable[[], keras.optimizers.Optimizer]
    seed: int
    architecture: str
    identity: str
    xla: bool | None = None

    def program(self, data: ArrayData) -> Program:
        """The learner's program with fresh weights, as the seed gives them, and a fresh optimizer.

        The weights are always drawn eagerly: the same seed gives other numbers inside of XLA than outside.
        """
        keras.utils.set_random_seed(self.seed)
        reset_uids()  # the names of layers are part of a program: see `xla_cache`
        model, optimizer = self.build_model(), self.build_optimizer()
        optimizer.build(model.trainable_variables)
        fresh = [np.asarray(variable.value) for variable in (*model.variables, *optimizer.variables)]
        key = f"{self.architecture} on {data.input_shape} in {data.batch_size}"
        program = PROGRAMS.get(key, lambda: Program(model, self.build_loss(), optimizer, data, self.xla, key))
        program.restore(fresh)
        return program


class HPOTrainer(d2l.Trainer):
    """A trainer that reports the metric of the current job, by default the validation error ("Dive into Deep Learning",
    section 19.1.1).

    Outside of a Hydra job it needs one, which says where learning curve and checkpoint go:

        with running(RunningJob(TrialFiles(folder, "."), "validation_error")):
            HPOTrainer(max_epochs=10).fit(model, data)

    Args:
        max_epochs: where to stop; training goes on from the checkpoint that earlier jobs of the trial left, if any.
        checkpoint_every: epochs from one checkpoint to the next; the last epoch always leaves one. None: only that.
    """

    def __init__(self, max_epochs: int, checkpoint_every: int | None = None) -> None:
        super().__init__(max_epochs)
        self.job = current_job()
        self.checkpoint_every = checkpoint_every
        self._last_row: dict[str, float] | None = None

    def prepare_data(self, data: ArrayData) -> None:
        self.data = data
        self.train_examples = data.tensors("train")
        self.val_examples = None if data.val is None else data.tensors("val")

    def prepare_model(self, model: Learner) -> None:
        self.model = model
        self.program = model.program(self.data)

    def fit(self, model: Learner, data: ArrayData) -> None:
        """Trains from the epoch of the checkpoint to `max_epochs`, or until the loss is NaN or infinite."""
        self.prepare_data(data)
        self.prepare_model(model)
        self.epoch = self._go_on_from_checkpoint()
        while self.epoch < self.max_epochs and not self.has_diverged():
            self.fit_epoch()

    def fit_epoch(self) -> None:
        """One pass over the training data, in the order that (trial seed, epoch) gives, and its row of the curve."""
        n_train = self.data.n_train
        order = np.random.default_rng([self.model.seed, self.epoch]).permutation(n_train).astype(np.int32)
        train_loss, train_error = self.program.train_epoch(self.train_examples, order)
        self._last_row = {"train_loss": train_loss, "train_error": train_error}
        if self.val_examples is not None:
            validation_loss, validation_error = self.program.evaluate(self.val_examples)
            self._last_row |= {"validation_loss": validation_loss, "validation_error": validation_error}
        self.epoch += 1
        # The row comes before the checkpoint: a curve that is ahead is cut back, one that lags behind would have a gap.
        column = column_of(self.job.metric)
        if column not in self._last_row:
            column = METRIC_WITHOUT_VALIDATION
        value = self._last_row[column]
        report(self.epoch, value, **self._last_row)
        shown = f"{column.replace('_', ' ')} {number_text(value)}"
        log.info("epoch %d: loss %s, %s", self.epoch, number_text(train_loss), shown)
        is_due = self.checkpoint_every is not None and self.epoch % self.checkpoint_every == 0
        if is_due or self.epoch == self.max_epochs or self.has_diverged():
            self._save_checkpoint()

    def value(self) -> float:
        """The job's metric after the last epoch; NaN where it has diverged."""
        return self._after_last_epoch(column_of(self.job.metric))

    def validation_error(self) -> float:
        """The share of validation examples that the model gets wrong; NaN where it has diverged."""
        return self._after_last_epoch(VALIDATION_ERROR)

    def _after_last_epoch(self, column: str) -> float:
        if self.has_diverged():
            return math.nan
        if self._last_row is not None:
            return self._last_row[column]
        examples = self.train_examples if column.startswith("train") else self.val_examples
        assert examples is not None
        loss, error = self.program.evaluate(examples)
        return loss if column.endswith("_loss") else error

    def test_error(self) -> float:
        """The share of test examples that the model gets wrong."""
        return self.program.evaluate(self.data.tensors("test"))[1]

    def has_diverged(self) -> bool:
        """Whether the last epoch's loss is NaN or infinite: no later epoch can learn."""
        row = self._last_row
        return row is not None and not all(math.isfinite(row[name]) for name in row if name.endswith("_loss"))

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
        epoch = 0 if found is None else found.epoch
        if found is not None:
            self.program.restore(found.state)
        self._last_row = rows[epoch] if epoch else None
        learning_curve.cut_back(files.learning_curve, epoch)
        return epoch

    def _save_checkpoint(self) -> None:
        files = self.job.files
        curve = learning_curve.checksum(files.learning_curve, self.epoch)
        found = Checkpoint(self.epoch, self.program.state(), curve)
        with self.job.writing_files(), done_without():
            checkpoint.save(files.checkpoint, self.model.identity, found)
