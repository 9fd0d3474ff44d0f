"""Data in memory, as d2l's data modules."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from hposweep.errors import ConfigError
from hposweep.training import fashion_mnist
from hposweep.training.book_classes import d2l
from hposweep.training.examples import Examples, Feature, Inputs, Shape, Splits, shape_of
from hposweep.training.streams import StreamData, is_arrays
from hposweep.training.tasks import MULTILABEL, Task

N_FIRST = 32
PARTS = ("train", "val", "test")

Part = tuple[Inputs, np.ndarray] | tuple[Inputs, np.ndarray, np.ndarray | None] | Examples


class ArrayData(d2l.DataModule):
    """A d2l data module whose examples are arrays in memory: what the compiled epoch loops over.

    Args:
        train, val, test: inputs, targets and, where examples differ in weight, their weights, as `Examples` describes
            them; val and test may be None. Inputs of unsigned bytes are scaled to [0, 1] in the training step.
        batch_size: examples a step.
        features: of a table, by column.
        class_names: of the classes, by number, where the data has names for them.

    Raises:
        ConfigError: if parts don't fit together, or inputs are NaN or infinite.
    """

    def __init__(
        self,
        train: Part,
        val: Part | None,
        test: Part | None,
        batch_size: int,
        features: Mapping[str, Feature] | None = None,
        class_names: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.train, self.val, self.test = train, val, test
        self.batch_size = batch_size
        self.features, self.class_names = features, class_names
        self.task = Task()
        self._targets: dict[str, np.ndarray] = {}
        self._tensors: dict[str, tuple[Any, ...]] = {}
        self._fingerprint: list[str] = []  # one, once it is known; the copies share it
        self._check_parts()
        self.check_batch_size()

    @classmethod
    def of(cls, splits: Splits, batch_size: int) -> ArrayData:
        """The examples that a reader of data has returned."""
        return cls(splits.train, splits.val, splits.test, batch_size, splits.features, splits.class_names)

    @property
    def n_train(self) -> int:
        return len(self.train[1])

    @property
    def input_shape(self) -> Shape:
        """The shape of one example, or of each of its inputs by name."""
        return shape_of(self.train[0])

    @property
    def n_classes(self) -> int | None:
        """None where the targets are no classes."""
        return self.task.n_classes_in(self.output_shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the model's output for one example."""
        return self.task.output_shape(*(self.targets(part) for part in ("train", "val") if self.has(part)))

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of what is right or wrong in one example."""
        return self.output_shape if self.task.kind == MULTILABEL else ()

    def has(self, part: str) -> bool:
        """Whether there is a part "train", "val" or "test"."""
        return getattr(self, part) is not None

    def n_examples(self, part: str) -> int:
        """The number of examples of a part; 0 where there is none."""
        return len(getattr(self, part)[1]) if self.has(part) else 0

    def targets(self, part: str) -> np.ndarray:
        """The targets of a part as the task has them."""
        if part not in self._targets:
            self._targets[part] = self.task.target_array(getattr(self, part)[1])
        return self._targets[part]

    @property
    def scale(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and deviation of targets that the model learns standardised; else None."""
        return self.task.scale(self.targets("train"))

    def baseline_error(self) -> float:
        """The validation error of always answering the class that is most frequent in the training data."""
        most_frequent = np.bincount(self.targets("train")).argmax()
        return float(np.mean(self.targets("val") != most_frequent))

    def tensors(self, part: str) -> tuple[Any, ...]:
        """Inputs, targets and, where there are any, weights of a part as tensors for the programs; made once."""
        if part not in self._tensors:
            examples, targets = Examples(*getattr(self, part)), self.targets(part)
            weights = examples.weights
            if part == "train":
                weights = self.task.training_weights(examples, targets)
            if self.scale is not None:
                mean, deviation = self.scale
                targets = ((targets - mean) / deviation).astype(np.float32)
            arrays = (examples.inputs, targets, *(() if weights is None else (np.asarray(weights, np.float32),)))
            self._tensors[part] = tf.nest.map_structure(tf.constant, arrays)
        return self._tensors[part]

    def first_examples(self) -> tuple[Any, np.ndarray]:
        """Inputs and targets of the first training examples, on which a new model is tried."""
        inputs, targets, *_ = self.tensors("train")
        return tf.nest.map_structure(lambda array: array[:N_FIRST], inputs), np.asarray(targets[:N_FIRST])

    def epoch(
        self, part: tuple[Any, ...], seed: int, epoch: int, n_steps: int | None
    ) -> tuple[tuple[Any, ...], np.ndarray]:
        """The training part with the order of its examples in an epoch, which (seed, epoch) gives.

        Args:
            epoch: counted from 0.
            n_steps: of the epoch, which then ends before all examples; None: all.
        """
        order = np.random.default_rng([seed, epoch]).permutation(self.n_train).astype(np.int32)
        return part, order if n_steps is None else order[: n_steps * self.batch_size]

    @property
    def program_key(self) -> str:
        """What of the data is part of a compiled program besides its shapes; empty where nothing is."""
        return "" if self.scale is None else " ".join(array.tobytes().hex() for array in self.scale)

    def with_batch_size(self, batch_size: int) -> ArrayData:
        """The same examples, not copied, in batches of another size."""
        other = copy.copy(self)
        other.batch_size = batch_size
        other.check_batch_size()
        return other

    def for_task(self, task: Task) -> ArrayData:
        """The same examples, not copied, with the targets of this task.

        Raises:
            ConfigError: if the targets are none of the task.
        """
        other = copy.copy(self)
        other.task, other._targets, other._tensors = task, {}, {}
        for part in ("train", "val", "test"):
            if other.has(part):
                other.targets(part)
        task.check_parts(other.targets("train"), other.targets("val") if other.has("val") else None)
        return other

    def with_validation_in_training(self) -> ArrayData:
        """The same examples, with those for validation added to those for training, for the training before the test.

        Raises:
            ConfigError: if there is no test set.
        """
        if self.test is None:
            raise ConfigError("trainer.stage: retrain needs a test set, and this data has none")
        if self.val is None:
            return self
        other = copy.copy(self)
        both = [Examples(*part) for part in (self.train, self.val)]
        weights = None
        if any(part.weights is not None for part in both):
            weights = np.concatenate(
                [np.ones(len(part.targets)) if part.weights is None else part.weights for part in both]
            )
        inputs = tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *(part.inputs for part in both))
        targets = np.concatenate([part.targets for part in both])
        other.train = (inputs, targets) if weights is None else (inputs, targets, weights)
        other.val, other._targets, other._tensors, other._fingerprint = None, {}, {}, []
        return other

    def fingerprint(self) -> str:
        """The SHA-256 of all examples; read once, as each job asks."""
        if not self._fingerprint:
            self._fingerprint.append(self._digest())
        return self._fingerprint[0]

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for part in (self.train, self.val, self.test):
            for array in tf.nest.flatten(() if part is None else tuple(part)):
                if array is not None:
                    digest.update(f"{array.dtype} {array.shape}".encode())
                    digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def check_batch_size(self) -> None:
        """Raises a ConfigError unless there are enough training examples for a batch."""
        if not 1 <= self.batch_size <= self.n_train:
            raise ConfigError(f"data.batch_size: must be from 1 to {self.n_train} (examples), got {self.batch_size}")

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        """Batches as the book's own loops read them; ours loop over `tensors`."""
        part = self.train if train else self.val
        assert part is not None
        return self.get_tensorloader((part[0], part[1]), train)

    def _check_parts(self) -> None:
        shapes: dict[str, tuple[int, ...]] = {}
        for name in ("train", "val", "test"):
            part = getattr(self, name)
            if part is None:
                continue
            inputs, n = part[0], len(part[1])
            for key, array in inputs.items() if isinstance(inputs, Mapping) else (("inputs", inputs),):
                shown = f"data: {name}" if key == "inputs" else f"data: {name}: {key}"
                if len(array) != n:
                    raise ConfigError(f"{shown}: {len(array)} inputs, and {n} targets")
                if array.dtype.kind == "f" and not np.isfinite(array).all():
                    n_bad = int(np.count_nonzero(~np.isfinite(array)))
                    raise ConfigError(f"{shown}: {n_bad} inputs are NaN or infinite")
                if array.dtype.kind not in "biuf":
                    raise ConfigError(f"{shown}: inputs must be numbers, got {array.dtype}")
                shape = shapes.setdefault(key, array.shape[1:])
                if array.shape[1:] != shape:
                    raise ConfigError(f"{shown}: one example has the shape {array.shape[1:]}, in training {shape}")


def as_data(build: Callable[[], Any], batch_size: int) -> ArrayData | StreamData:
    """What a reader of data, or a function of the user's, returns as a data module.

    Args:
        build: returns a data module, `Splits`, or the parts for training, validation and, if there is one, test, as a
            tuple or by the names "train", "val" and "test". A part is inputs and targets in memory, or a stream.

    Raises:
        ConfigError: if it returns anything else.
    """
    found = build()
    if isinstance(found, ArrayData | StreamData):
        return found
    if isinstance(found, Splits):
        return ArrayData.of(found, batch_size)
    parts = _parts(found)
    if all(is_arrays(part) for part in parts.values() if part is not None):
        train, val, test = (_as_examples(parts.get(name)) for name in PARTS)
        assert train is not None
        return ArrayData(train, val, test, batch_size)
    return StreamData(lambda: _parts(build()), batch_size)


def _as_examples(part: Any) -> Examples | None:
    if part is None:
        return None
    inputs, *others = part
    return Examples(
        {str(name): np.asarray(array) for name, array in inputs.items()}
        if isinstance(inputs, Mapping)
        else np.asarray(inputs),
        *map(np.asarray, others),
    )


def _parts(found: Any) -> dict[str, Any]:
    if isinstance(found, tuple | list) and len(found) in (2, 3):
        return dict(zip(PARTS, found, strict=False))
    if isinstance(found, Mapping) and {"train", "val"} <= {*found} <= {*PARTS}:
        return dict(found)
    raise ConfigError(
        "data._target_: must return the parts for training, validation and, if there is one, test, as a tuple or by "
        f"their names {', '.join(PARTS)}; got {type(found).__name__}"
    )


class FashionMNIST(ArrayData):
    """Fashion-MNIST with a validation set of its own, or with the book's split.

    Args:
        batch_size: examples a step.
        validation: "held_out" keeps `n_validation` training examples for validation and the test set for the winner;
            "test" validates on the test set, as the book does, and leaves nothing to test on.
        n_validation: examples held out, the same number of each class.
        train_fraction: share of the other training examples to train on, the same for each class.
        split_seed: seed of the split, the same for all trials of a sweep.
    """

    def __init__(
        self, batch_size: int, validation: str, n_validation: int = 0, train_fraction: float = 1.0, split_seed: int = 0
    ) -> None:
        folder = fashion_mnist.data_folder()
        if not folder.is_dir():
            _download()
        train, test = fashion_mnist.load(folder)
        val: fashion_mnist.Examples
        left = np.arange(len(train.labels))
        if validation == "test":
            val, rest = test, None
        else:
            left, held_out = fashion_mnist.stratified_split(train.labels, n_validation, split_seed)
            val, rest = _at(train, held_out), test
        if train_fraction < 1:
            n_left_out = len(left) - round(len(left) * train_fraction)
            kept, _ = fashion_mnist.stratified_split(train.labels[left], n_left_out, split_seed)
            left = left[kept]
        super().__init__(_at(train, left), val, rest, batch_size)


def _at(examples: fashion_mnist.Examples, indices: np.ndarray) -> fashion_mnist.Examples:
    return fashion_mnist.Examples(examples.images[indices], examples.labels[indices])


def _download() -> None:
    """Lets Keras download the files into its cache; they are checked like any others when they are read."""
    import keras

    keras.datasets.fashion_mnist.load_data()
