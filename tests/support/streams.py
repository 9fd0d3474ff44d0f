"""Data that stream, and models that train in their own way, as users write them."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

N, N_VAL, N_INPUTS, N_CLASSES = 90, 40, 4, 3
Arrays = tuple[np.ndarray, np.ndarray]


def arrays(task: str = "classification", seed: int = 0) -> tuple[Arrays, Arrays, Arrays]:
    """Examples of a task in memory: training, validation and test."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N + 2 * N_VAL, N_INPUTS)).astype("float32")
    noisy = x[:, :3] + rng.normal(scale=0.5, size=(len(x), 3))
    y = {
        "classification": noisy.argmax(axis=1),
        "binary": (noisy[:, 0] > 0).astype("int32"),
        "multilabel": (noisy > 0).astype("int32"),
        "regression": noisy.sum(axis=1).astype("float32"),
    }[task]
    first, second = N, N + N_VAL
    return (x[:first], y[:first]), (x[first:second], y[first:second]), (x[second:], y[second:])


def _dataset(part: tuple[Any, ...], batch_size: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(part).batch(batch_size)


def shuffled(batch_size: int, task: str) -> dict[str, tf.data.Dataset]:
    train, val, test = arrays(task)
    return {
        "train": tf.data.Dataset.from_tensor_slices(train).shuffle(N).batch(batch_size),
        "val": _dataset(val, batch_size),
        "test": _dataset(test, batch_size),
    }


def endless(batch_size: int) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    train, val, _ = arrays()
    return tf.data.Dataset.from_tensor_slices(train).shuffle(N).repeat().batch(batch_size), _dataset(val, batch_size)


def mixed(batch_size: int) -> tuple[tf.data.Dataset, Arrays, Arrays]:
    train, val, test = arrays()
    return tf.data.Dataset.from_tensor_slices(train).shuffle(N).batch(batch_size), val, test


def augmented(batch_size: int) -> tuple[tf.data.Dataset, Arrays]:
    """With random numbers of TensorFlow's."""
    train, val, _ = arrays()

    def noisy(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return x + tf.random.normal(tf.shape(x), stddev=0.1), y

    return _dataset(train, batch_size).map(noisy), val


def weighted(batch_size: int) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    (x, y), val, _ = arrays()
    return _dataset((x, y, (1.0 + (y == 0)).astype("float32")), batch_size), _dataset(val, batch_size)


def ordered(batch_size: int) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    train, val, _ = arrays()
    return _dataset(train, batch_size), _dataset(val, batch_size)


def filtered(batch_size: int) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Datasets that don't tell how many batches they have."""
    train, val, _ = arrays()
    examples = [tf.data.Dataset.from_tensor_slices(part).filter(lambda x, y: y >= 0) for part in (train, val)]
    return examples[0].shuffle(N).batch(batch_size), examples[1].batch(batch_size)


def empty(batch_size: int) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    train, val, _ = arrays()
    return _dataset(train, batch_size).take(0), _dataset(val, batch_size)


def inputs_alone(batch_size: int) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    train, val, _ = arrays()
    return _dataset(train[:1], batch_size), _dataset(val, batch_size)


def built_anew(batch_size: int) -> tuple[Any, tf.data.Dataset]:
    """The training part is a function."""
    train, val, _ = arrays()
    return lambda: tf.data.Dataset.from_tensor_slices(train).shuffle(N).batch(batch_size), _dataset(val, batch_size)


class Batches(keras.utils.PyDataset):
    """In an order of its own in each epoch."""

    def __init__(self, part: Arrays, batch_size: int, is_shuffled: bool) -> None:
        super().__init__()
        self.part, self.batch_size = part, batch_size
        self.order = np.random.permutation(len(part[1])) if is_shuffled else np.arange(len(part[1]))

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> Arrays:
        batch = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.part[0][batch], self.part[1][batch]


def of_keras(batch_size: int) -> dict[str, Batches]:
    train, val, test = arrays()
    return {
        "train": Batches(train, batch_size, is_shuffled=True),
        "val": Batches(val, batch_size, is_shuffled=False),
        "test": Batches(test, batch_size, is_shuffled=False),
    }


class Tensor:
    """What a DataLoader of PyTorch gives, as far as anybody asks."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def detach(self) -> "Tensor":
        return self

    def cpu(self) -> "Tensor":
        return self

    def numpy(self) -> np.ndarray:
        return self._array


class Loader:
    """Stands for a DataLoader: batches are lists of tensors, in another order each time."""

    def __init__(self, part: Arrays, batch_size: int, is_shuffled: bool) -> None:
        self.part, self.batch_size, self.is_shuffled = part, batch_size, is_shuffled

    def __len__(self) -> int:
        return -(-len(self.part[1]) // self.batch_size)

    def __iter__(self) -> Iterator[list[Tensor]]:
        n = len(self.part[1])
        order = np.random.permutation(n) if self.is_shuffled else np.arange(n)
        for start in range(0, n, self.batch_size):
            batch = order[start : start + self.batch_size]
            yield [Tensor(array[batch]) for array in self.part]


def of_torch(batch_size: int) -> tuple[Loader, Loader, Loader]:
    train, val, test = arrays()
    return (
        Loader(train, batch_size, is_shuffled=True),
        Loader(val, batch_size, is_shuffled=False),
        Loader(test, batch_size, is_shuffled=False),
    )


def named(batch_size: int) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Two inputs by name."""
    train, val, _ = arrays()

    def parted(part: Arrays) -> tuple[dict[str, np.ndarray], np.ndarray]:
        return {"left": part[0][:, :1], "right": part[0][:, 1:]}, part[1]

    shuffled = tf.data.Dataset.from_tensor_slices(parted(train)).shuffle(N).batch(batch_size)
    return shuffled, _dataset(parted(val), batch_size)


def in_memory(task: str) -> tuple[Arrays, Arrays, Arrays]:
    return arrays(task)


def two_inputs(input_shape: dict[str, tuple[int, ...]], output_shape: tuple[int, ...]) -> keras.Model:
    inputs = {name: keras.Input(shape, name=name) for name, shape in input_shape.items()}
    joined = layers.Concatenate()([inputs[name] for name in sorted(inputs)])
    return keras.Model(inputs, layers.Dense(output_shape[0])(layers.Dense(8, activation="relu")(joined)))


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """Written as a class."""

    def __init__(self, n_outputs: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.n_outputs = n_outputs
        self.hidden = layers.Dense(8, activation="relu")
        self.dropout = layers.Dropout(0.2)
        self.last = layers.Dense(n_outputs)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.last(self.dropout(self.hidden(inputs), training=training))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n_outputs": self.n_outputs}


@keras.saving.register_keras_serializable("tests")
class WithItsOwnStep(Subclassed):
    """Trains on twice the loss."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = 2 * self.compute_loss(y=y, y_pred=outputs)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, outputs)
        measured: dict[str, Any] = self.compute_metrics(x, y, outputs)
        return {metric.name: metric.result() for metric in self.metrics if metric.name == "loss"} | measured


def subclassed(output_shape: tuple[int, ...]) -> keras.Model:
    return Subclassed(output_shape[0])


def with_its_own_step(output_shape: tuple[int, ...]) -> keras.Model:
    return WithItsOwnStep(output_shape[0])


def transferred(input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> keras.Model:
    """A trained body, which is frozen, under a head of its own."""
    body = keras.Sequential([keras.Input(input_shape), layers.Dense(8, activation="relu"), layers.BatchNormalization()])
    body.trainable = False
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, layers.Dense(output_shape[0])(body(inputs, training=False)))
