"""Metrics of Keras for the outputs of a model: what its outputs answer, in which units, and how much of it is wrong."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hposweep.errors import ConfigError
from hposweep.training.data import ArrayData
from hposweep.training.keras_errors import reason
from hposweep.training.metrics import ERROR, LOSS, Metric
from hposweep.training.streams import StreamData
from hposweep.training.tasks import CLASSIFICATION, REGRESSION

N_EXAMPLES_TO_TRY = 8


class Answers:
    """What the outputs of a model answer.

    Metrics take probabilities, so of a loss that expects logits they get the softmax or the sigmoid of the outputs; and
    numbers in the units of the data, where the model learns standardised ones.
    """

    def __init__(self, data: ArrayData | StreamData, loss: keras.losses.Loss) -> None:
        self.kind, self.scale = data.task.kind, data.scale
        self.are_logits = bool(from_logits(loss))

    def __call__(self, outputs: tf.Tensor) -> tf.Tensor:
        """The answers, float32, of the shape of the outputs."""
        outputs = tf.cast(outputs, tf.float32)
        if self.kind == REGRESSION:
            return self.in_units(outputs)
        if not self.are_logits:
            return outputs
        return tf.nn.softmax(outputs) if self.kind == CLASSIFICATION else tf.sigmoid(outputs)

    def in_units(self, numbers: tf.Tensor) -> tf.Tensor:
        """The outputs or targets of a regression in the units of the data; those of other tasks as they are."""
        if self.scale is None:
            return numbers
        mean, deviation = (tf.constant(each, tf.float32) for each in self.scale)
        return numbers * deviation + mean

    def n_wrong(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """The number of wrong answers, int32; of numbers none is wrong."""
        if self.kind == REGRESSION:
            return tf.constant(0)
        if self.kind == CLASSIFICATION:
            wrong = tf.argmax(outputs, axis=-1, output_type=tf.int32) != tf.cast(targets, tf.int32)
        else:
            answers = outputs > (0.0 if self.are_logits else 0.5)
            wrong = answers != tf.reshape(tf.cast(targets, tf.float32) > 0.5, tf.shape(answers))
        return tf.reduce_sum(tf.cast(wrong, tf.int32))


class Measures:
    """The metrics of a program, beside its loss and error, with what they have counted so far.

    Raises:
        ConfigError: if a metric can't be built, or doesn't take the task's targets.
    """

    def __init__(self, metrics: Sequence[Metric], answers: Answers, n_outputs: int, targets: np.ndarray) -> None:
        self.answers, self._n_outputs = answers, n_outputs
        self._metrics: dict[str, tuple[Metric, keras.metrics.Metric]] = {}
        few = tf.constant(targets[:N_EXAMPLES_TO_TRY])
        # A number between 0 and 1 is an answer in any task.
        outputs = tf.fill([len(few), n_outputs] if few.ndim == 1 else few.shape, 0.5)
        for metric in metrics:
            if metric.name in (LOSS, ERROR):
                continue
            built = build(metric, n_outputs)
            self._metrics[metric.name] = metric, built
            try:
                # Some make their variables now, which they may not in a compiled program.
                built.update_state(self._as_taken(metric, few), outputs)
                result = np.asarray(built.result())
            except Exception as error:
                raise _refusal(metric, reason(error)) from None
            if result.size != 1:
                raise _refusal(metric, f"gives {result.size} numbers; an average, such as average=macro, gives one")
        self.reset()

    def update(self, targets: tf.Tensor, outputs: tf.Tensor) -> None:
        """Counts a batch."""
        if self._metrics:
            answers, targets = self.answers(outputs), self.answers.in_units(targets)
            for metric, built in self._metrics.values():
                built.update_state(self._as_taken(metric, targets), answers)

    def reset(self) -> None:
        """Begins to count anew."""
        for _, built in self._metrics.values():
            built.reset_state()

    def results(self) -> dict[str, float]:
        """Each metric's value by its name."""
        return {name: float(np.asarray(built.result()).reshape(())) for name, (_, built) in self._metrics.items()}

    def for_fit(self) -> list[keras.metrics.Metric]:
        """The same for Keras's own loop, which gives them a model's outputs."""
        return [OfOutputs(name, metric, built, self) for name, (metric, built) in self._metrics.items()]

    def _as_taken(self, metric: Metric, targets: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(targets, self._n_outputs) if metric.takes_one_hot else targets


class OfOutputs(keras.metrics.Metric):
    """A metric that takes a model's outputs."""

    def __init__(self, name: str, metric: Metric, built: keras.metrics.Metric, measures: Measures) -> None:
        super().__init__(name=name)
        self._metric, self._built, self._measures = metric, built, measures

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        answers = self._measures.answers
        targets = self._measures._as_taken(self._metric, answers.in_units(y_true))
        self._built.update_state(targets, answers(y_pred))

    def result(self) -> tf.Tensor:
        return self._built.result()

    def reset_state(self) -> None:
        self._built.reset_state()


class ErrorRate(keras.metrics.Metric):
    """The share of wrong answers, for Keras's own loop."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(name=ERROR)
        self._answers = answers
        self._n_wrong = self.add_variable((), initializer="zeros", dtype="float64", name="n_wrong")
        self._n = self.add_variable((), initializer="zeros", dtype="float64", name="n")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        self._n_wrong.assign_add(tf.cast(self._answers.n_wrong(y_pred, y_true), tf.float64))
        self._n.assign_add(tf.cast(tf.size(y_true), tf.float64))

    def result(self) -> tf.Tensor:
        return self._n_wrong / self._n


def build(metric: Metric, n_outputs: int) -> keras.metrics.Metric:
    """The metric of Keras, or of the user's own.

    Raises:
        ConfigError: if there is no such class, or it refuses its arguments.
    """
    module, _, name = metric.target.rpartition(".")
    arguments = dict(metric.arguments)
    if metric.takes_one_hot and name == "AUC":
        arguments["num_labels"] = n_outputs
    try:
        built = getattr(importlib.import_module(module), name)(**arguments)
    except Exception as error:
        raise _refusal(metric, f"{metric.target}: {reason(error)}") from None
    if not isinstance(built, keras.metrics.Metric):
        raise _refusal(metric, f"{metric.target} is no keras.metrics.Metric")
    return built


def baseline(data: ArrayData, loss: keras.losses.Loss, name: str) -> float | None:
    """The validation value of a metric for a model that always gives the same answer: the training targets' mean, or
    the classes by their shares. What is no better has learnt nothing. None where it can't be known.

    Args:
        name: of the metric.
    """
    targets, task = data.targets("val"), data.task
    n_outputs = int(np.prod(data.output_shape))
    constant = task.constant_output(data.targets("train"), n_outputs).astype(np.float32)
    answers = np.broadcast_to(constant, (len(targets), *constant.shape))
    if name == ERROR:
        if task.kind == CLASSIFICATION:
            return data.baseline_error()
        return float(np.mean((answers > 0.5) != (targets > 0.5)))
    if name == LOSS:
        return _loss_of(answers, targets, data, loss)
    metric = next((each for each in task.metrics if each.name == name), None)
    if metric is None:
        return None
    built = build(metric, n_outputs)
    as_taken = tf.one_hot(targets, n_outputs) if metric.takes_one_hot else targets
    built.update_state(as_taken, answers)
    return float(np.asarray(built.result()))


def _loss_of(answers: np.ndarray, targets: np.ndarray, data: ArrayData, loss: keras.losses.Loss) -> float:
    if data.scale is not None:
        mean, deviation = data.scale
        answers, targets = (answers - mean) / deviation, (targets - mean) / deviation
    elif from_logits(loss):
        clipped = np.clip(answers, 1e-7, 1 - 1e-7)
        answers = np.log(clipped) if data.task.kind == CLASSIFICATION else np.log(clipped / (1 - clipped))
    return float(loss(targets, answers.astype(np.float32)))


def from_logits(loss: keras.losses.Loss) -> bool | None:
    """Whether the loss expects logits; None where it knows no such difference."""
    found = getattr(loss, "from_logits", None)
    if found is None and isinstance(loss, keras.losses.Loss):
        found = _config(loss).get("from_logits")
    return found


def _config(loss: keras.losses.Loss) -> dict[str, Any]:
    try:
        config: dict[str, Any] = loss.get_config()
    except NotImplementedError:  # of the user's own, which need not have one
        return {}
    return config


def _refusal(metric: Metric, why: str) -> ConfigError:
    return ConfigError(f"task.metrics: {metric.name}: {why}")
