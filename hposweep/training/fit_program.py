"""Keras's own loop, `fit`, for what the compiled loop can't do: callbacks, data that stream, steps of a model's own."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hposweep.training.measures import ErrorRate
from hposweep.training.program import Program, scaled
from hposweep.training.streams import Batches, as_keras_takes_it

PLAIN = (bool, int, float, str, type(None))
# What a callback may hold that is no state of its own.
NO_STATE = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, np.ufunc)
OWN_OF_KERAS = ("_model", "params", "validation_data")  # attributes that Keras sets


class FitProgram(Program):
    """A model that is trained by `fit`, one epoch a call, and its callbacks.

    Arrays are trained on in the same order and batches as by the compiled loop.
    """

    def _compile(self, key: str) -> None:
        super()._compile(key)
        metrics = [ErrorRate(self.answers)] if self._has_error else []
        self.model.compile(
            optimizer=self.optimizer,
            loss=self.loss,
            metrics=[*metrics, *self.measures.for_fit()],
            jit_compile=self.uses_xla,
        )
        self._evaluates_by_itself = type(self.model).test_step is keras.Model.test_step
        # Those of examples in memory are among the examples' weights.
        self._class_weights = self.task.class_weights
        self._callbacks = _Callbacks([], model=self.model)
        self._stopped = False
        self._restored: list[dict[str, Any]] = []

    @property
    def wants_to_stop(self) -> bool:
        return self._stopped

    def begin(self, build_callbacks: Callable[[], list[keras.callbacks.Callback]] | None) -> None:
        callbacks = build_callbacks() if build_callbacks is not None else []
        self._callbacks = _Callbacks(callbacks, model=self.model)
        self._stopped, self._restored = False, []

    @contextlib.contextmanager
    def training(self, epoch: int, target_epoch: int) -> Iterator[None]:
        """Calls what callbacks have for the beginning and the end of a training."""
        self._callbacks.set_params({"verbose": 0, "epochs": target_epoch, "steps": None})
        self._callbacks.begin()
        for callback, state in zip(self._callbacks.callbacks, self._restored, strict=False):
            vars(callback).update(state)
        yield
        self._callbacks.end()

    def extra(self) -> dict[str, Any]:
        states = [state_of(callback) for callback in self._callbacks.callbacks]
        return {"callbacks": None if None in states else states, "stopped": self._stopped}

    def can_go_on(self, extra: Mapping[str, Any]) -> bool:
        return extra.get("callbacks", ()) is not None

    def restore_extra(self, extra: Mapping[str, Any]) -> None:
        self._restored, self._stopped = extra.get("callbacks", []), bool(extra.get("stopped", False))

    def run_epoch(
        self, examples: Any, epoch: int, validate: Callable[[], dict[str, float]] | None
    ) -> tuple[dict[str, float], dict[str, float]]:
        part, order = examples
        if isinstance(order, np.ndarray):
            batches, n_steps = self._in_batches(part, order), None
        else:
            batches, n_steps = as_keras_takes_it(part), order
        self.measures.reset()
        self._callbacks.validate = validate
        self._callbacks.stream = None
        if isinstance(batches, Batches):
            if n_steps is None:
                self._callbacks.stream = batches
            batches = batches.generator()
        self.model.history = None  # Keras's own list of callbacks would set it; the learning curve is ours
        self.model.fit(
            batches,
            initial_epoch=epoch,
            epochs=epoch + 1,
            steps_per_epoch=n_steps,
            class_weight=None if isinstance(order, np.ndarray) else self._class_weights,
            callbacks=self._callbacks,
            shuffle=isinstance(batches, keras.utils.PyDataset),
            verbose=0,
        )
        self._stopped = bool(self.model.stop_training)
        return self._callbacks.trained, self._callbacks.validated

    def evaluate(self, part: Any) -> dict[str, float]:
        is_in_memory = isinstance(part, tuple)
        if is_in_memory and self._evaluates_by_itself:
            return super().evaluate(part)
        batches = self._in_batches(part, np.arange(len(part[1]))) if is_in_memory else as_keras_takes_it(part)
        self.measures.reset()
        end = []
        if isinstance(batches, Batches):
            end, batches = [_EndOfTest(batches)], batches.generator()
        with self.averaged_weights():
            logs = self.model.evaluate(batches, callbacks=end, return_dict=True, verbose=0)
        return {name: float(logs[name]) for name in self.names if name in logs}

    def _in_batches(self, part: tuple[Any, ...], order: np.ndarray) -> tf.data.Dataset:
        def batch(numbers: tf.Tensor) -> tuple[Any, ...]:
            inputs, *others = tf.nest.map_structure(lambda array: tf.gather(array, numbers), part)
            return (scaled(inputs), *others)

        numbers = tf.data.Dataset.from_tensor_slices(order).batch(self.batch_size)
        return numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


class _EndOfTest(keras.callbacks.Callback):
    """Ends an evaluation after the last batch."""

    def __init__(self, stream: Batches) -> None:
        super().__init__()
        self._stream = stream

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch + 1 == self._stream.n:
            self.model.stop_evaluating = True


class _Callbacks(keras.callbacks.CallbackList):
    """The callbacks of a training that calls `fit` once an epoch: they see one training."""

    def __init__(self, callbacks: list[keras.callbacks.Callback], model: keras.Model) -> None:
        super().__init__(callbacks, model=model)
        self.validate: Callable[[], dict[str, float]] | None = None
        self.trained: dict[str, float] = {}
        self.validated: dict[str, float] = {}
        self.stream: Batches | None = None  # which the epoch ends with
        self._is_at_end = False
        self._weights: list[np.ndarray] = []

    def begin(self) -> None:
        super().on_train_begin()

    def end(self) -> None:
        super().on_train_end()

    def on_train_begin(self, logs: Any = None) -> None:
        """That of one epoch is none of the training."""

    def on_train_end(self, logs: Any = None) -> None:
        """Keras has put the moving averages in the place of the weights, if the optimizer keeps them."""
        for variable, value in zip(self._model.trainable_variables, self._weights, strict=False):
            variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(batch, logs)
        if self.stream is not None and batch + 1 == self.stream.n and not self._model.stop_training:
            self._model.stop_training = self._is_at_end = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._is_at_end:  # of the stream, not of the training
            self._model.stop_training = self._is_at_end = False
        self.trained = {name: float(value) for name, value in (logs or {}).items()}
        self.validated = self.validate() if self.validate is not None else {}
        of_validation = {f"val_{name}": value for name, value in self.validated.items()}
        super().on_epoch_end(epoch, {**self.trained, **of_validation})
        optimizer = getattr(self._model.optimizer, "inner_optimizer", self._model.optimizer)
        if optimizer.use_ema:
            self._weights = [np.asarray(variable.value) for variable in self._model.trainable_variables]


def state_of(callback: keras.callbacks.Callback) -> dict[str, Any] | None:
    """What the callback remembers, as plain values and arrays; None where it holds something that can't be saved."""
    state = {}
    for name, value in vars(callback).items():
        if name in OWN_OF_KERAS or isinstance(value, NO_STATE) or (callable(value) and not isinstance(value, PLAIN)):
            continue
        plain = value.item() if isinstance(value, np.generic) else value
        if not _is_plain(plain):
            return None
        state[name] = plain
    return state


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return type(value) in PLAIN
