"""Data in memory, as d2l's data modules."""

from __future__ import annotations

import copy

import numpy as np
import tensorflow as tf
from d2l import tensorflow as d2l

from hposweep.errors import ConfigError
from hposweep.training import fashion_mnist
from hposweep.training.fashion_mnist import Examples


class ArrayData(d2l.DataModule):
    """A d2l data module whose examples are arrays in memory: what the compiled epoch loops over.

    Args:
        train, val, test: pairs of inputs, shape (n, ...), and integer classes, shape (n,); val and test may be None.
            Inputs of unsigned bytes are scaled to [0, 1] in the training step.
        batch_size: examples a step.
    """

    def __init__(
        self,
        train: tuple[np.ndarray, np.ndarray],
        val: tuple[np.ndarray, np.ndarray] | None,
        test: tuple[np.ndarray, np.ndarray] | None,
        batch_size: int,
    ) -> None:
        super().__init__()
        self.train, self.val, self.test = train, val, test
        self.batch_size = batch_size
        self._tensors: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}
        self.check_batch_size()

    @property
    def n_train(self) -> int:
        return len(self.train[1])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.train[0].shape[1:])

    @property
    def n_classes(self) -> int:
        return int(max(part[1].max() for part in (self.train, self.val) if part is not None)) + 1

    def baseline_error(self) -> float:
        """The validation error of always answering the class that is most frequent in the training data."""
        assert self.val is not None
        most_frequent = np.bincount(self.train[1]).argmax()
        return float(np.mean(self.val[1] != most_frequent))

    def tensors(self, part: str) -> tuple[tf.Tensor, tf.Tensor]:
        """Inputs and classes of "train", "val" or "test" as tensors for the compiled programs; made once."""
        if part not in self._tensors:
            inputs, labels = getattr(self, part)
            self._tensors[part] = tf.constant(inputs), tf.constant(labels, tf.int32)
        return self._tensors[part]

    def with_batch_size(self, batch_size: int) -> ArrayData:
        """The same examples, not copied, in batches of another size."""
        other = copy.copy(self)
        other.batch_size = batch_size
        other.check_batch_size()
        return other

    def with_validation_in_training(self) -> ArrayData:
        """The same examples, with those for validation added to those for training, for the training before the test.

        Raises:
            ConfigError: if there is no test set.
        """
        if self.test is None:
            raise ConfigError("trainer.stage: retrain needs a test set, and this data has none")
        assert self.val is not None
        other = copy.copy(self)
        inputs, labels = (np.concatenate(parts) for parts in zip(self.train, self.val, strict=True))
        other.train, other.val, other._tensors = (inputs, labels), None, {}
        return other

    def check_batch_size(self) -> None:
        """Raises a ConfigError unless there are enough training examples for a batch."""
        if not 1 <= self.batch_size <= self.n_train:
            raise ConfigError(f"data.batch_size: must be from 1 to {self.n_train} (examples), got {self.batch_size}")

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        """Batches as the book's own loops read them; ours loop over `tensors`."""
        return self.get_tensorloader(self.train if train else self.val, train)


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
        val: Examples
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


def _at(examples: Examples, indices: np.ndarray) -> Examples:
    return Examples(examples.images[indices], examples.labels[indices])


def _download() -> None:
    """Lets Keras download the files into its cache; they are checked like any others when they are read."""
    import keras

    keras.datasets.fashion_mnist.load_data()
