"""Data that are read in batches while the training goes on: datasets of tf.data, of Keras and loaders of PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hposweep.errors import ConfigError
from hposweep.training.book_classes import d2l
from hposweep.training.examples import Shape, shape_of
from hposweep.training.tasks import CLASSIFICATION, REGRESSION, Task


class StreamData(d2l.DataModule):
    """A d2l data module whose parts are read in batches.

    What draws random numbers, such as the shuffling of a dataset, must give the same in epoch e of each run. So the
    parts are built anew for each epoch, under seeds that come from (trial seed, epoch).

    Args:
        build: returns the parts "train", "val" and "test" (the last two may be missing): each a tf.data.Dataset, a
            keras.utils.PyDataset, or any iterable of batches, such as a PyTorch DataLoader; a batch is a tuple of
            inputs, targets and, where there are any, weights. The training part may be a function that returns one:
            then it alone is called for each epoch.
        batch_size: for the record; the parts know their batches themselves.

    Raises:
        ConfigError: if a part is none of these.
    """

    features = None
    class_names = ()
    label_shape = ()
    scale = None
    n_train = None

    def __init__(self, build: Callable[[], Mapping[str, Any]], batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.task = Task()
        self._build, self._is_joined = build, False
        self._parts = {name: part for name, part in build().items() if part is not None}
        for name, part in self._parts.items():
            if not is_stream(part) and not (name == "train" and callable(part)) and not is_arrays(part):
                raise ConfigError(
                    f"data: {name}: must be arrays or a dataset that gives batches, got {type(part).__name__}"
                )
        self._first: tuple[Any, Any] | None = None
        self._has_weights = False

    def has(self, part: str) -> bool:
        """As that of `ArrayData`."""
        return part in self._parts and not (part == "val" and self._is_joined)

    def n_examples(self, part: str) -> None:
        """Nobody knows before they are read."""

    def first_examples(self) -> tuple[Any, np.ndarray]:
        """Inputs and targets of a first batch, on which a new model is tried."""
        if self._first is None:
            part = self._parts["train"]
            batch = next(iter(_batches(part() if callable(part) and not is_stream(part) else part)), None)
            if batch is None:
                raise ConfigError("data: train: gives no batches")
            if len(batch) not in (2, 3):
                raise ConfigError(
                    f"data: train: a batch must be inputs, targets and, where there are any, weights; got {len(batch)}"
                )
            inputs, targets = batch[:2]
            self._has_weights = len(batch) == 3
            self._first = tf.nest.map_structure(tf.convert_to_tensor, inputs), np.asarray(targets)
        inputs, targets = self._first
        return inputs, self.task.target_array(targets)

    @property
    def input_shape(self) -> Shape:
        """As that of `ArrayData`."""
        return shape_of(self.first_examples()[0])

    @property
    def output_shape(self) -> tuple[int, ...]:
        """As that of `ArrayData`.

        Raises:
            ConfigError: if nobody has said how many classes there are.
        """
        if self.task.kind == CLASSIFICATION and self.task.n_classes is None:
            raise ConfigError("task.n_classes: must be given, since these data don't tell beforehand")
        return self.task.output_shape(self.first_examples()[1])

    @property
    def n_classes(self) -> int | None:
        """As that of `ArrayData`."""
        return self.task.n_classes_in(self.output_shape)

    @property
    def program_key(self) -> str:
        """Nothing of the data is part of a program but their shapes, and the weights of their classes."""
        return "" if self.task.class_weights is None else f"{self.task.class_weights}"

    def tensors(self, part: str) -> Any:
        """The part itself; of one in memory, its tensors."""
        found = self._parts[part]
        if not is_arrays(found):
            return found
        inputs, targets, *weights = found
        arrays = (inputs, self.task.target_array(targets), *(each for each in weights if each is not None))
        return tf.nest.map_structure(tf.constant, arrays)

    def epoch(self, part: Any, seed: int, epoch: int, n_steps: int | None) -> tuple[Any, int | None]:
        """The training part of an epoch, built under its seeds, and its steps.

        Args:
            epoch: counted from 0.
            n_steps: None: until it ends.
        """
        (of_epoch,) = np.random.SeedSequence([seed, epoch]).generate_state(1)
        keras.utils.set_random_seed(int(of_epoch) % 2**31)
        if callable(part) and not is_stream(part):
            train = part()
        else:
            train = self._build()["train"]
            train = train() if callable(train) and not is_stream(train) else train
        return (_joined(train, self._parts["val"]) if self._is_joined else train), n_steps

    def for_task(self, task: Task) -> StreamData:
        """The same with the targets of this task.

        Raises:
            ConfigError: if those of the first batch are none, or the task needs to know all of them.
        """
        if task.kind == REGRESSION and task.standardizes:
            raise ConfigError(
                "task.standardize: must be false, since these data's mean isn't known before they are read"
            )
        if task.class_weights == "balanced":
            raise ConfigError(
                "task.class_weights: give a weight for each class: the shares of these data aren't known beforehand"
            )
        self.task = task
        self.first_examples()
        if task.class_weights is not None and self._has_weights:
            raise ConfigError("task.class_weights: the batches of these data have weights already; multiply them there")
        return self

    def with_batch_size(self, batch_size: int) -> StreamData:
        """The parts know their batches themselves."""
        return self

    def with_validation_in_training(self) -> StreamData:
        """The same with the validation part's batches after those of the training part.

        Raises:
            ConfigError: if there is no test part.
        """
        if not self.has("test"):
            raise ConfigError("trainer.stage: retrain needs a test set, and this data has none")
        # A copy: a later job of the process may find this one among the data that it has read.
        other = copy.copy(self)
        other._is_joined = True
        return other

    def fingerprint(self) -> str:
        """Not known before they are read."""
        return ""


def is_stream(part: Any) -> bool:
    """Whether it gives batches."""
    if isinstance(part, tf.data.Dataset | keras.utils.PyDataset):
        return True
    return hasattr(part, "__iter__") and not isinstance(part, tuple | list | Mapping | np.ndarray | str)


def is_arrays(part: Any) -> bool:
    """Whether it is inputs and targets in memory."""
    return isinstance(part, tuple | list) and len(part) in (2, 3)


class Batches:
    """The batches of a stream of which nobody knows beforehand how many there are.

    Keras finds the end by a step without a batch, in which it may still count, and draw random numbers. So it has to be
    stopped after the last batch; `n` tells which that is as soon as it has been given.
    """

    def __init__(self, part: Any) -> None:
        self._part = part
        self.n: int | None = None

    def generator(self) -> Iterator[tuple[Any, ...]]:
        """The batches, each given when the next one is there or known to lack."""
        n, last = 0, None
        for batch in _batches(self._part):
            if last is not None:
                yield last
            n, last = n + 1, batch
        self.n = n
        if last is not None:
            yield last


def as_keras_takes_it(part: Any) -> Any:
    """The stream for Keras's loops: as it is where it tells its number of batches, else as `Batches`."""
    if isinstance(part, keras.utils.PyDataset):
        return part
    if isinstance(part, tf.data.Dataset) and int(part.cardinality()) != tf.data.UNKNOWN_CARDINALITY:
        return part
    return Batches(part)


def _batches(part: Any) -> Iterator[tuple[Any, ...]]:
    if is_arrays(part):
        yield tuple(part)
        return
    if isinstance(part, keras.utils.PyDataset):
        for number in range(part.num_batches):
            yield part[number]
        return
    for batch in part:
        yield tuple(tf.nest.map_structure(_array, tuple(batch)))


def _array(value: Any) -> Any:
    return value.numpy() if hasattr(value, "detach") else value


def _joined(train: Any, val: Any) -> Any:
    if isinstance(train, tf.data.Dataset) and isinstance(val, tf.data.Dataset):
        return train.concatenate(val)

    def both() -> Iterator[tuple[Any, ...]]:
        yield from _batches(train)
        yield from _batches(val)

    return both()
