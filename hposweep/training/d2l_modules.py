"""Models and data as "Dive into Deep Learning" writes them, as our trainer takes them.

The book's `d2l.Module` names its loss by a method `loss`, which Keras 3 hides: each `keras.Model` has an attribute of
that name. Here it is called through the class.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import keras
import numpy as np

from hposweep.errors import ConfigError
from hposweep.training.book_classes import d2l
from hposweep.training.data import ArrayData
from hposweep.training.program import suits_xla
from hposweep.training.trainer import Learner

# Of the modules of this process, each of which is trained by a program of its own.
_numbers = itertools.count()


class LossOfModule(keras.losses.Loss):
    """The loss that a d2l module defines, as Keras calls losses."""

    def __init__(self, module: d2l.Module) -> None:
        super().__init__()
        self._module = module

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return type(self._module).loss(self._module, y_pred, y_true)


def as_learner(module: d2l.Module, seed: int) -> Learner:
    """A d2l module as a learner, which trains the module itself.

    Weights that it has already are gone on from; others come from the seeds that its layers drew from Python's global
    generator when they were made. It is compiled with XLA if all layers of its `net` suit that.
    """
    hyperparameters = {name: repr(value) for name, value in getattr(module, "hparams", {}).items()}
    identity = [type(module).__qualname__, hyperparameters, seed, keras.version()]
    net = getattr(module, "net", None)
    return Learner(
        build_model=lambda: module,
        build_loss=lambda: LossOfModule(module),
        build_optimizer=module.configure_optimizers,
        seed=seed,
        architecture=f"{type(module).__qualname__} {next(_numbers)}",
        identity=json.dumps(identity),
        xla=isinstance(net, keras.Model) and suits_xla(net),
    )


def as_array_data(module: d2l.DataModule, seed: int) -> ArrayData:
    """The examples of a d2l data module in memory, which are read once; what it shuffles is shuffled by the seed.

    Raises:
        ConfigError: if its batches are no pairs of inputs and classes.
    """
    keras.utils.set_random_seed(seed)
    train = _examples(module.get_dataloader(True))
    val_loader = module.get_dataloader(False)
    return ArrayData(train, None if val_loader is None else _examples(val_loader), None, module.batch_size)


def _examples(batches: Any) -> tuple[np.ndarray, np.ndarray]:
    parts = [tuple(np.asarray(part) for part in batch) for batch in batches]
    if {len(part) for part in parts} != {2}:
        raise ConfigError("data: each batch of get_dataloader must be a pair of inputs and classes")
    inputs, classes = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return inputs, classes
