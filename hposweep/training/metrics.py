"""The metrics of our trainer: columns of its learning curve, any of which can be a trial's value.

Light: the controller asks which columns a task has, and which values are the better ones.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hposweep.errors import ConfigError, nearest
from hposweep.trial import Direction

VALIDATION_ERROR = "validation_error"
PARTS = ("train", "validation", "test")
LOSS, ERROR = "loss", "error"
MODULE = "keras.metrics."

# Of keras.metrics; of all others that stand in `GREATER_IS_BETTER` or here, more or less of them is better.
LESS_IS_BETTER = (
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "RootMeanSquaredError",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
)
GREATER_IS_BETTER = (
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "IoU",
    "MeanIoU",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
)
# Metrics of Keras that fail with the targets of other tasks, or compare what can't be compared.
_OF_LABELS, _OF_NUMBERS = ("binary", "multilabel"), ("regression",)
TASKS_OF_METRIC: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(
        (
            "AUC",
            "F1Score",
            "FBetaScore",
            "FalseNegatives",
            "FalsePositives",
            "Precision",
            "PrecisionAtRecall",
            "Recall",
            "RecallAtPrecision",
            "SensitivityAtSpecificity",
            "SpecificityAtSensitivity",
            "TrueNegatives",
            "TruePositives",
        ),
        (*_OF_LABELS, "classification"),
    ),
    **dict.fromkeys(("BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU", "Hinge", "SquaredHinge"), _OF_LABELS),
    **dict.fromkeys(
        (
            "CategoricalAccuracy",
            "CategoricalCrossentropy",
            "CategoricalHinge",
            "KLDivergence",
            "OneHotIoU",
            "OneHotMeanIoU",
            "SparseCategoricalAccuracy",
            "SparseCategoricalCrossentropy",
            "SparseTopKCategoricalAccuracy",
            "TopKCategoricalAccuracy",
        ),
        ("classification",),
    ),
    **dict.fromkeys(("MeanAbsoluteError", "MeanSquaredError", "RootMeanSquaredError"), (*_OF_LABELS, *_OF_NUMBERS)),
    **dict.fromkeys(
        (
            "ConcordanceCorrelation",
            "CosineSimilarity",
            "LogCoshError",
            "MeanAbsolutePercentageError",
            "MeanSquaredLogarithmicError",
            "PearsonCorrelation",
            "Poisson",
            "R2Score",
        ),
        _OF_NUMBERS,
    ),
    "Accuracy": (),  # of answers that are classes already
}


@dataclass(frozen=True)
class Metric:
    """A metric of the config: what its columns are called, and what Keras is to build.

    `target` and `arguments` are empty for the loss and the error, which a training step gives anyway.
    """

    name: str
    direction: Direction | None  # None: of a class of the user's, who has not said it
    target: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    takes_one_hot: bool = False  # of the classes


def _keras(name: str, kind: str, *, takes_one_hot: bool = False, **arguments: Any) -> Metric:
    return Metric(name, direction_of(f"{MODULE}{kind}"), f"{MODULE}{kind}", arguments, takes_one_hot)


def direction_of(target: str) -> Direction | None:
    """The direction of a metric of Keras; None for any other class."""
    kind = target.rpartition(".")[2]
    if not target.startswith(("keras.", "tensorflow.keras.", "tf.keras.")):
        return None
    if kind in LESS_IS_BETTER:
        return Direction.minimize
    return Direction.maximize if kind in GREATER_IS_BETTER else None


OF_EACH_TASK = (Metric(LOSS, Direction.minimize),)
OF_CLASSES = (*OF_EACH_TASK, Metric(ERROR, Direction.minimize))
# The short names of each task. Any class of keras.metrics has its own name besides.
SHORT_NAMES: Mapping[str, Sequence[Metric]] = {
    "classification": (
        *OF_CLASSES,
        _keras("accuracy", "SparseCategoricalAccuracy"),
        _keras("top_5_accuracy", "SparseTopKCategoricalAccuracy", k=5),
        _keras("auc", "AUC", multi_label=True, takes_one_hot=True),  # one class against the others, their mean
        _keras("f1", "F1Score", average="macro", takes_one_hot=True),
    ),
    "binary": (
        *OF_CLASSES,
        _keras("accuracy", "BinaryAccuracy"),
        _keras("auc", "AUC"),
        _keras("pr_auc", "AUC", curve="PR"),
        _keras("precision", "Precision"),
        _keras("recall", "Recall"),
        _keras("f1", "F1Score", average="micro", threshold=0.5),
    ),
    "multilabel": (
        *OF_CLASSES,
        _keras("accuracy", "BinaryAccuracy"),
        _keras("auc", "AUC", multi_label=True),
        _keras("precision", "Precision"),
        _keras("recall", "Recall"),
        _keras("f1", "F1Score", average="macro", threshold=0.5),
    ),
    "regression": (
        *OF_EACH_TASK,
        _keras("mae", "MeanAbsoluteError"),
        _keras("mse", "MeanSquaredError"),
        _keras("rmse", "RootMeanSquaredError"),
        _keras("mape", "MeanAbsolutePercentageError"),
        _keras("r2", "R2Score"),
    ),
}


def metrics_of(kind: str, entries: Sequence[Any], wanted: str | None = None) -> tuple[Metric, ...]:
    """The metrics whose columns the learning curve of a task has, in their order.

    Args:
        kind: of the task.
        entries: `task.metrics`: short names, names of classes of keras.metrics, or nodes with `_target_`.
        wanted: the metric of the sweep, which is added if it is known and not among them.

    Raises:
        ConfigError: naming the entry that is none.
    """
    found = {metric.name: metric for metric in SHORT_NAMES[kind] if metric.name in (LOSS, ERROR)}
    for entry in entries:
        metric = _of_node(kind, entry) if isinstance(entry, Mapping) else _named(kind, str(entry))
        if metric is None:
            names = names_of(kind)
            raise ConfigError(
                f"task.metrics: no metric '{entry}' of a {kind} task{nearest(str(entry), names)}Allowed: "
                f"{', '.join(names)}, any class of keras.metrics, or a node with name and _target_"
            )
        found[metric.name] = metric
    name = "" if wanted is None else name_in(wanted)
    if name and name not in found:
        added = _named(kind, name)
        if added is not None:
            found[name] = added
    return tuple(found.values())


def columns_of(metrics: Sequence[Metric]) -> tuple[str, ...]:
    """The columns of these metrics, those of the validation first."""
    names = sorted((metric.name for metric in metrics), key=lambda name: name != ERROR)
    return tuple(f"{part}_{name}" for part in ("validation", "train") for name in names)


def directions_of(metrics: Sequence[Metric]) -> dict[str, Direction]:
    """The direction of each column; those of unknown direction are left out."""
    of_name = {metric.name: metric.direction for metric in metrics}
    directions = {column: of_name[name_in(column)] for column in columns_of(metrics)}
    return {column: direction for column, direction in directions.items() if direction is not None}


def names_of(kind: str) -> list[str]:
    """The short names of a task's metrics."""
    return [metric.name for metric in SHORT_NAMES[kind]]


def tested_name(column: str, names: Collection[str]) -> str:
    """The metric by which the winner of a sweep by this column is tested: its own or, of classes, the error for a loss,
    which says little by itself.

    Args:
        names: of the task's metrics.
    """
    name = name_in(column)
    return name if name in names and not (name == LOSS and ERROR in names) else (ERROR if ERROR in names else LOSS)


def name_in(column: str) -> str:
    """The metric that a column is of; empty where it is of none."""
    part, _, name = column.partition("_")
    return name if part in PARTS else ""


def _named(kind: str, name: str) -> Metric | None:
    for metric in SHORT_NAMES[kind]:
        if metric.name == name:
            return metric
    for each in (*LESS_IS_BETTER, *GREATER_IS_BETTER):
        if name in (each, snake_case(each)) and kind in TASKS_OF_METRIC.get(each, (kind,)):
            return _keras(snake_case(each), each, takes_one_hot=_takes_one_hot(kind, each))
    return None


def _takes_one_hot(kind: str, metric: str) -> bool:
    """Whether a metric of Keras takes classes as one-hot vectors, which a classification's targets are not."""
    is_of_classes = kind == "classification" and metric in TASKS_OF_METRIC
    return is_of_classes and not metric.startswith("Sparse")


def _of_node(kind: str, node: Mapping[str, Any]) -> Metric:
    target = str(node.get("_target_") or "")
    if not target:
        raise ConfigError(f"task.metrics: {dict(node)} has no _target_, the metric's class")
    name = str(node.get("name") or snake_case(target.rpartition(".")[2]))
    if re.fullmatch(r"[A-Za-z]\w*", name) is None or name in (LOSS, ERROR, "seconds"):
        raise ConfigError(f"task.metrics: {name!r} can't be the name of a metric, which names columns of the curve")
    direction = node.get("direction")
    if direction is not None and direction not in list(Direction):
        raise ConfigError(f"task.metrics: {name}: direction must be minimize or maximize, got {direction}")
    arguments = {str(key): value for key, value in node.items() if key not in ("_target_", "name", "direction")}
    of_keras = target.removeprefix(MODULE) if target.startswith(MODULE) else ""
    if kind not in TASKS_OF_METRIC.get(of_keras, (kind,)):
        raise ConfigError(f"task.metrics: {target} doesn't fit the targets of a {kind} task")
    of_name = direction_of(target) if direction is None else Direction(direction)
    return Metric(name, of_name, target, arguments, _takes_one_hot(kind, of_keras))


def snake_case(name: str) -> str:
    """`MeanAbsoluteError` as `mean_absolute_error`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
