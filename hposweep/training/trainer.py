"""The trainer of a trial: d2l's Trainer with whole epochs as compiled programs, checkpoints and a validation error."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from d2l import tensorflow as d2l

from hposweep.job.report import report_to, start_clock
from hposweep.sweep_folder import file_names, learning_curve
from hposweep.training import checkpoint
from hposweep.training.checkpoint import Checkpoint
from hposweep.training.data import ArrayData
from hposweep.training.program import Program, ProgramCache

log = logging.getLogger(__name__)

METRIC = "validation_error"
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
        model, optimizer = self.build_model(), self.build_optimizer()
        optimizer.build(model.trainable_variables)
        fresh = [np.asarray(variable.value) for variable in (*model.variables, *optimizer.variables)]
        key = f"{self.architecture} on {data.input_shape} in {data.batch_size}"
        program = PROGRAMS.get(key, lambda: Program(model, self.build_loss(), optimizer, data, self.xla))
        program.restore(fresh)
        return program


class HPOTrainer(d2l.Trainer):
    """A trainer that reports the validation error ("Dive into Deep Learning", section 19.1.1).

    Args:
        max_epochs: where to stop; training goes on from the checkpoint in `folder`, if there is one.
        folder: gets `learning_curve.csv` and the checkpoint.
        checkpoint_every: epochs from one checkpoint to the next; the last epoch always leaves one. None: only that.
    """

    def __init__(self, max_epochs: int, folder: Path, checkpoint_every: int | None = None) -> None:
        super().__init__(max_epochs)
        self.folder = folder
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
        """Trains from the epoch of the checkpoint to `max_epochs`, or until the loss is no number."""
        self.prepare_data(data)
        self.prepare_model(model)
        self.epoch = self._go_on_from_checkpoint()
        while self.epoch < self.max_epochs and not self.has_diverged():
            self.fit_epoch()

    def fit_epoch(self) -> None:
        """One pass over the training data, in the order that (trial seed, epoch) gives, and its row of the curve."""
        start_clock(self.folder)
        n_train = self.data.n_train
        order = np.random.default_rng([self.model.seed, self.epoch]).permutation(n_train).astype(np.int32)
        train_loss, train_error = self.program.train_epoch(self.train_examples, order)
        self._last_row = {"train_loss": train_loss, "train_error": train_error}
        if self.val_examples is not None:
            validation_loss, validation_error = self.program.evaluate(self.val_examples)
            self._last_row |= {"validation_loss": validation_loss, "validation_error": validation_error}
        self.epoch += 1
        # The row comes before the checkpoint: a curve that is ahead is cut back, one that lags behind would have a gap.
        metric = METRIC if METRIC in self._last_row else METRIC_WITHOUT_VALIDATION
        value, others = self._last_row[metric], {name: each for name, each in self._last_row.items() if name != metric}
        report_to(self.folder, self.epoch, value, metric, **others)
        log.info("epoch %d: loss %.4g, %s %.4g", self.epoch, train_loss, metric.replace("_", " "), value)
        is_due = self.checkpoint_every is not None and self.epoch % self.checkpoint_every == 0
        if is_due or self.epoch == self.max_epochs or self.has_diverged():
            checkpoint.save(self.checkpoint_path, self.model.identity, Checkpoint(self.epoch, self.program.state()))

    def validation_error(self) -> float:
        """The share of validation examples that the model gets wrong; NaN where it has diverged."""
        assert self.val_examples is not None
        if self.has_diverged():
            return math.nan
        if self._last_row is None:
            return self.program.evaluate(self.val_examples)[1]
        return self._last_row["validation_error"]

    def test_error(self) -> float:
        """The share of test examples that the model gets wrong."""
        return self.program.evaluate(self.data.tensors("test"))[1]

    def has_diverged(self) -> bool:
        """Whether the last epoch left a loss that is no number: nothing can be learnt after that."""
        row = self._last_row
        return row is not None and not all(math.isfinite(row[name]) for name in row if name.endswith("_loss"))

    @property
    def curve_path(self) -> Path:
        return self.folder / learning_curve.FILE_NAME

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / file_names.CHECKPOINT

    def _go_on_from_checkpoint(self) -> int:
        """Restores the checkpoint, cuts the curve back to it, and returns its epoch; 0 where there is none to use."""
        try:
            found = checkpoint.load(self.checkpoint_path, self.model.identity, self.program.state())
        except ValueError as error:
            log.warning("%s: %s; training starts again at epoch 0", self.checkpoint_path, error)
            found = None
        rows = learning_curve.read(self.curve_path)
        if found is not None and not found.epoch <= min(len(rows), self.max_epochs):
            log.warning("%s: ahead of the curve or the target; training starts again", self.checkpoint_path)
            found = None
        epoch = 0 if found is None else found.epoch
        if found is not None:
            self.program.restore(found.state)
        self._last_row = rows[epoch - 1] if epoch else None
        learning_curve.cut_back(self.curve_path, epoch)
        return epoch
