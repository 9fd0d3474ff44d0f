"""Compiled programs: a whole epoch as one loop over data in memory, and the evaluation of a data set.

Compared with Keras's `fit`, this saves the Python and the data pipeline of every step: for small models nearly all of
the time. A program belongs to an architecture, a batch size and an optimizer; learning rates and weights are variables,
so trials that differ only in these share one program, compiled once in a process.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python.xla import optimization_barrier

from hposweep.errors import ConfigError
from hposweep.training import xla_cache
from hposweep.training.data import ArrayData
from hposweep.training.keras_errors import reason
from hposweep.training.measures import Answers, Measures, from_logits
from hposweep.training.metrics import ERROR, LOSS
from hposweep.training.streams import StreamData
from hposweep.training.tasks import CLASSIFICATION, MULTILABEL, REGRESSION

Data = ArrayData | StreamData
Sums = tuple[tf.Tensor, tf.Tensor]  # of the loss, and of wrong answers

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
        ConfigError: if the model's output does not fit the loss or the targets.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: keras.losses.Loss,
        optimizer: keras.optimizers.Optimizer,
        data: Data,
        xla: bool | None,
        key: str,
    ) -> None:
        outputs = check_output_fits_loss(model, loss, data)
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.batch_size = data.batch_size
        self.uses_xla = suits_xla(model) if xla is None else xla
        self.task, self.answers = data.task, Answers(data, loss)
        self.measures = Measures(data.task.metrics, self.answers, outputs.shape[-1], data.first_examples()[1])
        self.names = tuple(metric.name for metric in data.task.metrics)
        self._n_answers = int(np.prod(data.output_shape)) if data.task.kind == MULTILABEL else 1
        self._has_error = data.task.kind != REGRESSION
        if not optimizer.built:  # one that scales losses would make its variables anew
            optimizer.build(model.trainable_variables)
        self._compile(key)

    def _compile(self, key: str) -> None:
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

    def begin(self, build_callbacks: Callable[[], list[keras.callbacks.Callback]] | None) -> None:
        """Makes the program ready for another job; the compiled loop calls no callbacks."""

    @contextlib.contextmanager
    def training(self, epoch: int, target_epoch: int) -> Iterator[None]:
        """Around the epochs of a job, from this one on."""
        yield

    @property
    def wants_to_stop(self) -> bool:
        """Whether a callback has ended the training."""
        return False

    def extra(self) -> dict[str, Any]:
        """What the training goes on from besides `state`."""
        return {}

    def can_go_on(self, extra: Mapping[str, Any]) -> bool:
        """Whether all that `extra` had to return could be saved."""
        return True

    def restore_extra(self, extra: Mapping[str, Any]) -> None:
        """Sets what `extra` returned."""

    def run_epoch(
        self, examples: Any, epoch: int, validate: Callable[[], dict[str, float]] | None
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Trains an epoch and validates.

        Args:
            examples: what the data's `epoch` returned.
            epoch: counted from 0.
            validate: measures the model after the epoch; None: there is no validation part.

        Returns:
            What was measured in training and in validation, by name.
        """
        part, order = examples
        trained = self.train_epoch(part, order)
        return trained, validate() if validate is not None else {}

    def train_epoch(self, part: tuple[Any, ...], order: np.ndarray) -> dict[str, float]:
        """Trains on examples once, in this order, the smaller last batch included.

        Args:
            part: tensors of inputs, targets and, where there are any, weights.
            order: the examples' numbers, shape (n,), int32.

        Returns:
            Loss, error and metrics by name, of the examples as each was seen before its step.
        """
        self.measures.reset()
        return self._means(self._train_epoch(part, tf.constant(order)), len(order))

    def evaluate(self, part: tuple[Any, ...]) -> dict[str, float]:
        """Loss, error and metrics by name on these examples, each counted once.

        With the optimizer's `use_ema` those of the averaged weights, which are the ones that a saved model has.
        """
        self.measures.reset()
        with self.averaged_weights():
            return self._means(self._evaluate(part), len(part[1]))

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within it the model has the moving averages of its weights, if the optimizer keeps them (`use_ema`)."""
        inner = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if not inner.use_ema or not int(inner.iterations):
            yield
            return
        variables = self.model.trainable_variables
        kept = [np.asarray(variable.value) for variable in variables]
        inner.finalize_variable_values(variables)
        try:
            yield
        finally:
            for variable, value in zip(variables, kept, strict=True):
                variable.assign(value)

    def set_learning_rate(self, value: float) -> None:
        """Sets the optimizer's learning rate, which a schedule would set itself."""
        self.optimizer.learning_rate = value

    def _epoch(self, part: tuple[Any, ...], order: tf.Tensor) -> Sums:
        def step(start: tf.Tensor | int, size: int) -> Sums:
            batch = tf.slice(order, [start], [size])
            return self._step(*tf.nest.map_structure(lambda array: tf.gather(array, batch), part))

        return _sum_over_batches(step, order.shape[0], self.batch_size)

    def _evaluation(self, part: tuple[Any, ...]) -> Sums:
        def step(start: tf.Tensor | int, size: int) -> Sums:
            def batch(array: tf.Tensor) -> tf.Tensor:
                return tf.slice(array, [start] + [0] * (len(array.shape) - 1), [size, *array.shape[1:]])

            inputs, targets, *weights = tf.nest.map_structure(batch, part)
            outputs = self.model(scaled(inputs), training=False)
            self.measures.update(targets, outputs)
            return self.loss(targets, outputs, *weights), self.answers.n_wrong(outputs, targets)

        n = part[1].shape[0]
        return _sum_over_batches(step, n, min(n, EVALUATION_BATCH_SIZE))

    def _step(self, inputs: Any, targets: tf.Tensor, *weights: tf.Tensor) -> Sums:
        substitutes = {"MatMul": SUM_OF_OUTER_PRODUCTS} if self.uses_xla else {}
        with tf.compat.v1.get_default_graph().gradient_override_map(substitutes):
            outputs = self.model(scaled(inputs), training=True)
            loss = self.loss(targets, outputs, *weights)
            # Penalties on weights are trained on, but they are no part of the loss that is reported.
            objective = self.optimizer.scale_loss(tf.add_n([loss, *self.model.losses]))
        variables = self.model.trainable_variables
        self.optimizer.apply(tf.gradients(objective, [variable.value for variable in variables]), variables)
        self.measures.update(targets, outputs)
        return loss, self.answers.n_wrong(outputs, targets)

    def _means(self, sums: Sums, n: int) -> dict[str, float]:
        loss, wrong = sums
        means = {LOSS: float(loss) / n}
        if self._has_error:
            means[ERROR] = int(wrong) / (n * self._n_answers)
        return means | self.measures.results()


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
    if n_rows in ROWS_AS_SUM and left.dtype == tf.float32:
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


def first_outputs(model: keras.Model, data: Data) -> np.ndarray:
    """The model's outputs for the first examples; it is built by them, if it was not.

    Raises:
        ConfigError: if the model doesn't take the data's inputs.
    """
    few = data.first_examples()[0]
    try:
        outputs = model(scaled(few), training=False)
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        raise ConfigError(f"model: doesn't take inputs of the shape {data.input_shape}: {reason(error)}") from None
    if not tf.is_tensor(outputs):
        raise ConfigError(f"model: must have one output, got {len(outputs)} ({type(outputs).__name__})")
    return np.asarray(tf.cast(outputs, tf.float32))


def check_output_fits_loss(model: keras.Model, loss: keras.losses.Loss, data: Data) -> np.ndarray:
    """Refuses a model whose last layer does not fit its loss: it would hardly learn, without any error.

    A loss that expects probabilities clips what is outside of (0, 1) and passes no gradient there; one that expects
    logits flattens probabilities. Rows that are probabilities are non-negative and add up to 1, which logits do not; of
    single ones the last layer's activation tells, or one that is no probability.

    Returns:
        The model's outputs for the first examples.
    """
    outputs = first_outputs(model, data)
    kind, shape = data.task.kind, data.output_shape
    if kind == CLASSIFICATION:
        fits = outputs.ndim == 2 and outputs.shape[1] >= shape[0]
        needed = f"the data has {shape[0]} classes; the last layer must have {shape[0]} outputs"
    else:
        fits = outputs.shape[1:] == shape
        needed = f"one target of this {kind} task has the shape {shape}; the last layer must have {shape[-1]} outputs"
    if not fits:
        raise ConfigError(f"model: its output has the shape {outputs.shape[1:]}, {needed}")
    expects_logits = from_logits(loss)
    if expects_logits is None or kind == REGRESSION:
        return outputs
    if kind == CLASSIFICATION:
        are_probabilities = bool(np.all(outputs >= 0) and np.allclose(outputs.sum(axis=1), 1, atol=1e-3))
        activation, are_logits = "softmax", not are_probabilities
    else:
        are_probabilities = ends_with(model, keras.activations.sigmoid)
        activation, are_logits = "sigmoid", bool(np.any((outputs < 0) | (outputs > 1)))
    key = "model.loss" if data.task.loss is None else "task.loss"
    if are_probabilities and expects_logits:
        raise ConfigError(
            f"{key}.from_logits: is true, but the model's last layer gives probabilities (a {activation}): "
            f"set it to false, or take the {activation} away"
        )
    if are_logits and not expects_logits:
        raise ConfigError(
            f"{key}.from_logits: is false, but the model's last layer gives logits, not probabilities, and would "
            f"hardly learn: set it to true, or end the model with a {activation}"
        )
    return outputs


def ends_with(model: keras.Model, activation: Callable[..., Any]) -> bool:
    """Whether the last layer is known to have this activation."""
    layers = list(model._flatten_layers(include_self=False, recursive=False))
    return bool(layers) and getattr(layers[-1], "activation", None) is activation


def scaled(inputs: Any) -> Any:
    """Bytes as floats in [0, 1]; anything else as it is. In the step, since bytes in memory are a quarter of floats."""

    def one(array: tf.Tensor) -> tf.Tensor:
        return tf.cast(array, tf.float32) / 255.0 if array.dtype == tf.uint8 else array

    return tf.nest.map_structure(one, inputs)


def _sum_over_batches(step: Callable[[tf.Tensor | int, int], Sums], n: int, batch_size: int) -> Sums:
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
