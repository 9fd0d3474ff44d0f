"""Compiled programs: a whole epoch as one loop over data in memory, and the evaluation of a data set.

Compared with Keras's `fit`, this saves the Python and the data pipeline of every step: for small models nearly all of
the time. A program belongs to an architecture, a batch size and an optimizer; learning rates and weights are variables,
so trials that differ only in these share one program, compiled once in a process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python.xla import optimization_barrier

from hposweep.errors import ConfigError
from hposweep.training import xla_cache
from hposweep.training.data import ArrayData

N_CACHED_PROGRAMS = 8  # each distinct program leaks 4 to 6 MB even when it is freed
EVALUATION_BATCH_SIZE = 1000

SUM_OF_OUTER_PRODUCTS = "hposweep.SumOfOuterProducts"
ROWS_AS_SUM = range(16, 25)  # fewer rows, and XLA fuses too much; more, and the library's matrix product is faster

# On the CPU, XLA makes these faster and others, convolutions and dropout above all, many times slower.
XLA_LAYERS = (
    keras.layers.InputLayer,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Rescaling,
    keras.layers.Dense,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.Softmax,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Add,
    keras.layers.Concatenate,
)


def suits_xla(model: keras.Model) -> bool:
    """Whether the whole model is made of layers that XLA is good at; a function of the architecture alone."""
    return all(type(layer) in XLA_LAYERS for layer in model._flatten_layers(include_self=False))


class Program:
    """A model, its loss and its optimizer, compiled for one batch size.

    Args:
        xla: compile with XLA; None: if all layers suit it.
        key: names the program among those that XLA keeps on disk.

    Raises:
        ConfigError: if the model's output does not fit the loss or the classes.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: keras.losses.Loss,
        optimizer: keras.optimizers.Optimizer,
        data: ArrayData,
        xla: bool | None,
        key: str,
    ) -> None:
        check_output_fits_loss(model, loss, data)
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.batch_size = data.batch_size
        self.uses_xla = suits_xla(model) if xla is None else xla
        optimizer.build(model.trainable_variables)
        if self.uses_xla:
            self._train_epoch = xla_cache.kept(self._epoch, f"{key}: train")
            self._evaluate = xla_cache.kept(self._evaluation, f"{key}: evaluate")
        else:
            self._train_epoch = tf.function(self._epoch, autograph=False)
            self._evaluate = tf.function(self._evaluation, autograph=False)

    @property
    def variables(self) -> list[keras.Variable]:
        """All that training changes, by position; `model.variables` holds the seeds of dropout, `weights` does not."""
        return [*self.model.variables, *self.optimizer.variables]

    def state(self) -> list[np.ndarray]:
        """The values of `variables`."""
        return [np.asarray(variable.value) for variable in self.variables]

    def restore(self, state: Sequence[np.ndarray]) -> None:
        """Sets the variables to values that `state` returned."""
        for variable, value in zip(self.variables, state, strict=True):
            variable.assign(value)

    def train_epoch(self, examples: tuple[tf.Tensor, tf.Tensor], order: np.ndarray) -> tuple[float, float]:
        """Trains on all examples once, in this order, the smaller last batch included.

        Args:
            order: a permutation of the examples, shape (n,), int32.

        Returns:
            The loss and the error, averaged over the examples as each was seen before its step.
        """
        return _means(self._train_epoch(*examples, tf.constant(order)), len(order))

    def evaluate(self, examples: tuple[tf.Tensor, tf.Tensor]) -> tuple[float, float]:
        """Loss and error on these examples, each counted once."""
        return _means(self._evaluate(*examples), len(examples[1]))

    def _epoch(self, inputs: tf.Tensor, labels: tf.Tensor, order: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def step(start: tf.Tensor | int, size: int) -> tuple[tf.Tensor, tf.Tensor]:
            batch = tf.slice(order, [start], [size])
            return self._step(tf.gather(inputs, batch), tf.gather(labels, batch))

        return _sum_over_batches(step, labels.shape[0], self.batch_size)

    def _evaluation(self, inputs: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def step(start: tf.Tensor | int, size: int) -> tuple[tf.Tensor, tf.Tensor]:
            batch_inputs = tf.slice(inputs, [start] + [0] * (len(inputs.shape) - 1), [size, *inputs.shape[1:]])
            batch_labels = tf.slice(labels, [start], [size])
            outputs = self.model(scaled(batch_inputs), training=False)
            return self.loss(batch_labels, outputs), _n_wrong(outputs, batch_labels)

        n = labels.shape[0]
        return _sum_over_batches(step, n, min(n, EVALUATION_BATCH_SIZE))

    def _step(self, inputs: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        substitutes = {"MatMul": SUM_OF_OUTER_PRODUCTS} if self.uses_xla else {}
        with tf.compat.v1.get_default_graph().gradient_override_map(substitutes):
            outputs = self.model(scaled(inputs), training=True)
            loss = self.loss(labels, outputs)
            # Penalties on weights are trained on, but they are no part of the loss that is reported.
            objective = tf.add_n([loss, *self.model.losses])
        variables = self.model.trainable_variables
        self.optimizer.apply(tf.gradients(objective, [variable.value for variable in variables]), variables)
        return loss, _n_wrong(outputs, labels)


@tf.RegisterGradient(SUM_OF_OUTER_PRODUCTS)  # type: ignore[untyped-decorator]
def _matmul_gradient(operation: tf.Operation, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradient of a matrix product; for small batches as a sum that XLA fuses with the update of the weights.

    A product is a library call, whose result, as large as the weights, is written and read again; the sum is part of
    the loop that updates the weights, so they are passed over once.
    """
    left, right = operation.inputs
    is_transposed = operation.get_attr("transpose_a"), operation.get_attr("transpose_b")
    left, right = (tf.transpose(x) if flag else x for x, flag in zip((left, right), is_transposed, strict=True))
    of_left = tf.matmul(gradient, right, transpose_b=True)
    n_rows = left.shape[0]
    if n_rows in ROWS_AS_SUM:
        # Without it XLA takes the flattening of images into that loop, which then computes pixel positions each time.
        left, gradient = optimization_barrier(left, gradient)
        products = [a * b for a, b in zip(tf.unstack(left[:, :, None]), tf.unstack(gradient[:, None, :]), strict=True)]
        of_right = tf.add_n([tf.add_n(products[i : i + 4]) for i in range(0, n_rows, 4)])
    else:
        of_right = tf.matmul(left, gradient, transpose_a=True)
    return tuple(tf.transpose(x) if flag else x for x, flag in zip((of_left, of_right), is_transposed, strict=True))


class ProgramCache:
    """The programs of a process by key; a new one replaces the least recently used."""

    def __init__(self, n_programs: int = N_CACHED_PROGRAMS) -> None:
        self._programs: OrderedDict[str, Program] = OrderedDict()
        self._n_programs = n_programs

    def get(self, key: str, build: Callable[[], Program]) -> Program:
        """The program of this key, built if it is missing."""
        if key not in self._programs:
            self._programs[key] = build()
            if len(self._programs) > self._n_programs:
                self._programs.popitem(last=False)
        self._programs.move_to_end(key)
        return self._programs[key]


def check_output_fits_loss(model: keras.Model, loss: keras.losses.Loss, data: ArrayData) -> None:
    """Refuses a model whose last layer does not fit its loss: it would hardly learn, without any error.

    A loss that expects probabilities clips what is outside of (0, 1) and passes no gradient there; one that expects
    logits flattens probabilities. Rows that are probabilities are non-negative and add up to 1, which logits do not.
    """
    outputs = np.asarray(model(scaled(data.tensors("train")[0][:32]), training=False))
    if outputs.ndim != 2 or outputs.shape[1] < data.n_classes:
        raise ConfigError(
            f"model: its output has the shape {outputs.shape[1:]}, the data has {data.n_classes} classes; "
            f"the last layer must have {data.n_classes} outputs"
        )
    from_logits = getattr(loss, "from_logits", loss.get_config().get("from_logits"))
    if from_logits is None:
        return
    are_probabilities = bool(np.all(outputs >= 0) and np.allclose(outputs.sum(axis=1), 1, atol=1e-3))
    if are_probabilities and from_logits:
        raise ConfigError(
            "model.loss.from_logits: is true, but the model's last layer gives probabilities (a softmax): "
            "set it to false, or take the softmax away"
        )
    if not are_probabilities and not from_logits:
        raise ConfigError(
            "model.loss.from_logits: is false, but the model's last layer gives logits, not probabilities, and would "
            "hardly learn: set it to true, or end the model with a softmax"
        )


def scaled(inputs: tf.Tensor) -> tf.Tensor:
    """Bytes as floats in [0, 1]; anything else as it is. In the step, since bytes in memory are a quarter of floats."""
    return tf.cast(inputs, tf.float32) / 255.0 if inputs.dtype == tf.uint8 else inputs


def _sum_over_batches(
    step: Callable[[tf.Tensor | int, int], tuple[tf.Tensor, tf.Tensor]], n: int, batch_size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The sums over n examples of what `step(start, size)` returns for a batch: its mean loss and its errors."""
    n_full, remainder = divmod(n, batch_size)

    def body(i: tf.Tensor, loss: tf.Tensor, wrong: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        batch_loss, batch_wrong = step(i * batch_size, batch_size)
        return i + 1, loss + tf.cast(batch_loss, tf.float64) * batch_size, wrong + batch_wrong

    start = (tf.constant(0), tf.constant(0.0, tf.float64), tf.constant(0))
    _, loss, wrong = tf.while_loop(lambda i, *_: i < n_full, body, start, parallel_iterations=1)
    if remainder:
        last_loss, last_wrong = step(n_full * batch_size, remainder)
        return loss + tf.cast(last_loss, tf.float64) * remainder, wrong + last_wrong
    return loss, wrong


def _n_wrong(outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    answers = tf.argmax(outputs, axis=-1, output_type=tf.int32)
    return tf.reduce_sum(tf.cast(answers != labels, tf.int32))


def _means(sums: tuple[tf.Tensor, tf.Tensor], n: int) -> tuple[float, float]:
    loss, wrong = sums
    return float(loss) / n, int(wrong) / n
