"""What a model is to learn: its targets, its output's shape, its usual loss. The controller asks: no TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hposweep.errors import ConfigError, nearest
from hposweep.training.examples import Examples, Splits
from hposweep.training.metrics import Metric, metrics_of

CLASSIFICATION, BINARY, MULTILABEL, REGRESSION = KINDS = ("classification", "binary", "multilabel", "regression")
USUAL_LOSS: Mapping[str, Mapping[str, Any]] = {
    CLASSIFICATION: {"_target_": "keras.losses.SparseCategoricalCrossentropy", "from_logits": True},
    BINARY: {"_target_": "keras.losses.BinaryCrossentropy", "from_logits": True},
    MULTILABEL: {"_target_": "keras.losses.BinaryCrossentropy", "from_logits": True},
    REGRESSION: {"_target_": "keras.losses.MeanSquaredError"},
}
# Losses of Keras that make no sense with the targets of other tasks: they fail there, or learn nothing.
TASKS_OF_LOSS: Mapping[str, Sequence[str]] = {
    "SparseCategoricalCrossentropy": (CLASSIFICATION,),
    "BinaryCrossentropy": (BINARY, MULTILABEL),
    "BinaryFocalCrossentropy": (BINARY, MULTILABEL),
    "Hinge": (BINARY, MULTILABEL),
    "SquaredHinge": (BINARY, MULTILABEL),
    "CategoricalCrossentropy": (),  # of one-hot classes
    "CategoricalFocalCrossentropy": (),
    "CategoricalHinge": (),
    "MeanSquaredError": (BINARY, MULTILABEL, REGRESSION),
    "MeanAbsoluteError": (BINARY, MULTILABEL, REGRESSION),
    "MeanAbsolutePercentageError": (REGRESSION,),
    "MeanSquaredLogarithmicError": (REGRESSION,),
    "Huber": (REGRESSION,),
    "LogCosh": (REGRESSION,),
    "CosineSimilarity": (REGRESSION,),
    "Poisson": (REGRESSION,),
}


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        kind: "classification" (one of several classes), "binary" (one of two), "multilabel" (any of several labels) or
            "regression" (numbers).
        loss: a node for Hydra's `instantiate`; None: the model's own one or, where it has none, the task's usual one.
        metrics: whose columns the learning curve has.
        n_classes: of a classification whose data don't tell; None: one more than the greatest class in the data.
        standardizes: of a regression: the model learns (target - mean) / deviation, with those of the training part.
            Metrics and the saved model are in the units of the data all the same.
        class_weights: of the classes in the training loss: "balanced", a weight for each class, or None.

    Raises:
        ConfigError: if an attribute doesn't fit the kind.
    """

    kind: str = CLASSIFICATION
    loss: Mapping[str, Any] | None = None
    metrics: tuple[Metric, ...] = field(default_factory=lambda: metrics_of(CLASSIFICATION, ()))
    n_classes: int | None = None
    standardizes: bool = False
    class_weights: str | Mapping[int, float] | None = None

    @classmethod
    def of(cls, node: Mapping[str, Any] | None, metric: str | None = None) -> Task:
        """The task of the config's node; None, in configs of earlier versions, is a classification.

        Args:
            metric: of the sweep, which is measured, too.

        Raises:
            ConfigError: naming the key.
        """
        if node is None:
            node = {"kind": CLASSIFICATION}
        kind = str(node["kind"])
        if kind not in KINDS:
            raise ConfigError(f"task.kind: no '{kind}'{nearest(kind, list(KINDS))}Allowed: {', '.join(KINDS)}")
        class_weights = node.get("class_weights")
        if class_weights is not None and kind not in (CLASSIFICATION, BINARY):
            raise ConfigError(f"task.class_weights: a {kind} task has no classes to weigh; set it to null")
        if class_weights is not None:
            class_weights = _class_weights(class_weights)
        return cls(
            kind=kind,
            loss=node.get("loss"),
            metrics=metrics_of(kind, node.get("metrics") or (), metric),
            n_classes=node.get("n_classes"),
            standardizes=bool(node.get("standardize", False)) and kind == REGRESSION,
            class_weights=class_weights,
        )

    @property
    def has_classes(self) -> bool:
        """Whether each target is one class, by its number."""
        return self.kind in (CLASSIFICATION, BINARY)

    def loss_node(self, of_model: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """The loss to train on.

        Args:
            of_model: `model.loss`, if the model has one.

        Raises:
            ConfigError: if it is a loss of Keras for other targets.
        """
        key = "model.loss" if self.loss is None and of_model is not None else "task.loss"
        node = self.loss or of_model or USUAL_LOSS[self.kind]
        target = str(node.get("_target_", ""))
        name = target.rpartition(".")[2]
        if target.startswith("keras.") and self.kind not in TASKS_OF_LOSS.get(name, KINDS):
            usual = str(USUAL_LOSS[self.kind]["_target_"])
            raise ConfigError(
                f"{key}: {target} doesn't fit the targets of a {self.kind} task; the usual one is {usual}"
            )
        return node

    def target_array(self, targets: np.ndarray) -> np.ndarray:
        """The targets as a model learns them: int32 classes, shape (n,), or float32 numbers, shape (n, ...).

        Raises:
            ConfigError: if they are none of this task.
        """
        targets = np.asarray(targets)
        if targets.dtype.kind not in "biuf":
            raise ConfigError(f"data: the targets of a {self.kind} task must be numbers, got {targets.dtype}")
        if targets.dtype.kind == "f" and not np.isfinite(targets).all():
            n_bad = int(np.count_nonzero(~np.isfinite(targets)))
            raise ConfigError(f"data: {n_bad} targets are NaN or infinite")
        if self.kind == CLASSIFICATION:
            return self._classes(targets)
        if self.kind == REGRESSION:
            return targets.astype(np.float32).reshape(len(targets), *(targets.shape[1:] or (1,)))
        if self.kind == BINARY and targets.ndim > 1 and targets.shape[1:] != (1,):
            raise ConfigError(f"data: the targets of a binary task have the shape (n,), got {targets.shape}")
        if self.kind == MULTILABEL and targets.ndim != 2:
            raise ConfigError(
                f"data: the targets of a multilabel task have the shape (n, n_labels), got {targets.shape}"
            )
        if not np.isin(targets, (0, 1)).all():
            raise ConfigError(f"data: the targets of a {self.kind} task must be 0 or 1, got {_first_other(targets)}")
        return targets.astype(np.float32).reshape(len(targets), -1)

    def _classes(self, targets: np.ndarray) -> np.ndarray:
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = targets[:, 0]
        if targets.ndim != 1:
            raise ConfigError(
                f"data: the targets of a classification are the classes' numbers, shape (n,), got {targets.shape}; "
                "one-hot ones become numbers by argmax(axis=1)"
            )
        classes = targets.astype(np.int32)
        if (classes != targets).any() or (classes < 0).any():
            bad = targets[(classes != targets) | (classes < 0)][0]
            raise ConfigError(f"data: classes must be whole numbers from 0 on, got {bad}; task=regression takes others")
        return classes

    def output_shape(self, *parts: np.ndarray) -> tuple[int, ...]:
        """The shape of the model's output for one example.

        Args:
            parts: the target arrays of the training and of the validation part.
        """
        if self.kind == CLASSIFICATION:
            return (self.n_classes or int(max(part.max() for part in parts)) + 1,)
        return tuple(parts[0].shape[1:])

    def n_classes_in(self, output_shape: tuple[int, ...]) -> int | None:
        """The number of classes for this shape of the output; None where the targets are no classes."""
        if self.kind == BINARY:
            return 2
        return output_shape[0] if self.has_classes else None

    def check(self, examples: Splits) -> None:
        """Refuses examples that this task can't learn from.

        Raises:
            ConfigError: as `target_array`, `check_parts` and `training_weights`.
        """
        train, val = (
            None if part is None else self.target_array(part.targets) for part in (examples.train, examples.val)
        )
        assert train is not None
        self.check_parts(train, val)
        self.training_weights(examples.train, train)

    def check_parts(self, train: np.ndarray, val: np.ndarray | None) -> None:
        """Refuses target arrays from which nothing can be learnt.

        Raises:
            ConfigError: if all targets are alike, or classes are more than they may be.
        """
        for name, part in (("training", train), ("validation", val)):
            if part is not None and not len(part):
                raise ConfigError(f"data: there are no {name} examples")
        if (train == train[:1]).all():
            what = "class" if self.has_classes else "value"
            raise ConfigError(f"data: all {len(train)} training targets have one {what}, {train.flat[0]:g}")
        if self.kind == CLASSIFICATION and self.n_classes is not None:
            greatest = int(max(part.max() for part in (train, val) if part is not None))
            if greatest >= self.n_classes:
                raise ConfigError(f"task.n_classes: is {self.n_classes}, and the data has the class {greatest}")

    def scale(self, train: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and deviation of standardised targets, each of the shape of one target; None where they aren't."""
        if not self.standardizes:
            return None
        deviation = train.std(axis=0, dtype=np.float64)
        return train.mean(axis=0, dtype=np.float64), np.where(deviation > 0, deviation, 1.0)

    def training_weights(self, examples: Examples, classes: np.ndarray) -> np.ndarray | None:
        """The weights of training examples in the loss, those of their classes included; None: all alike.

        Args:
            classes: the target array.

        Raises:
            ConfigError: if a class has no weight, or a weight is no finite number from 0 on.
        """
        weights = None if examples.weights is None else np.asarray(examples.weights, np.float32)
        if weights is not None and (
            weights.shape != (len(classes),) or not np.isfinite(weights).all() or (weights < 0).any()
        ):
            raise ConfigError(f"data: weights must be {len(classes)} finite numbers from 0 on, one for each example")
        if self.class_weights is None:
            return weights
        flat = classes.reshape(-1).astype(np.int64)
        n_classes = int(flat.max()) + 1
        if isinstance(self.class_weights, str):
            counts = np.bincount(flat, minlength=n_classes)
            of_class = len(flat) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        else:
            lacking = sorted({*range(n_classes)} - {*self.class_weights})
            if lacking:
                raise ConfigError(
                    f"task.class_weights: class {lacking[0]} has none; there are {n_classes} classes from 0 on"
                )
            of_class = np.array([self.class_weights[number] for number in range(n_classes)])
        product = of_class[flat] * (1.0 if weights is None else weights)
        return product.astype(np.float32)

    def constant_output(self, train: np.ndarray, n_outputs: int) -> np.ndarray:
        """The answer of a model that has learnt nothing but the training targets' mean, or the classes' shares.

        Returns:
            What metrics take in the place of a model's answers: probabilities, or numbers in the data's units.
        """
        if self.kind == CLASSIFICATION:
            return np.bincount(train, minlength=n_outputs) / len(train)
        return np.asarray(train.mean(axis=0, dtype=np.float64))


def _class_weights(given: Any) -> str | dict[int, float]:
    """As `Task.class_weights`; in a config that was written as JSON the classes are texts."""
    key = "task.class_weights"
    if given == "balanced":
        return "balanced"
    if not isinstance(given, Mapping):
        raise ConfigError(f"{key}: must be balanced, a weight for each class or null; got {given}")
    for number, weight in given.items():
        if not str(number).isdecimal():
            raise ConfigError(f"{key}: classes are whole numbers from 0 on, got {number}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise ConfigError(f"{key}: must be finite numbers from 0 on, got {weight} for class {number}")
    return {int(number): float(weight) for number, weight in given.items()}


def _first_other(targets: np.ndarray) -> str:
    return f"{targets[~np.isin(targets, (0, 1))].flat[0]}"


def n_steps(n_examples: int, batch_size: int) -> int:
    """Training steps of one pass over the examples, that with the smaller last batch included."""
    return math.ceil(n_examples / batch_size)
