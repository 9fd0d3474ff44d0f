"""Metrics by their names: columns, directions, and which task has which."""

from typing import Any

import keras
import pytest

from hposweep.errors import ConfigError
from hposweep.training import keras_source
from hposweep.training.metrics import (
    GREATER_IS_BETTER,
    LESS_IS_BETTER,
    SHORT_NAMES,
    TASKS_OF_METRIC,
    columns_of,
    directions_of,
    metrics_of,
    name_in,
    snake_case,
)
from hposweep.training.tasks import KINDS
from hposweep.trial import Direction


def test_the_columns_begin_with_the_validation_and_the_error() -> None:
    found = columns_of(metrics_of("classification", ["auc"]))
    assert found == (
        *("validation_error", "validation_loss", "validation_auc"),
        *("train_error", "train_loss", "train_auc"),
    )
    assert columns_of(metrics_of("regression", []))[0] == "validation_loss"


def test_the_metric_of_the_sweep_is_added_once() -> None:
    assert [each.name for each in metrics_of("binary", ["auc"], "validation_auc")] == ["loss", "error", "auc"]
    assert [each.name for each in metrics_of("binary", [], "train_f1")] == ["loss", "error", "f1"]
    assert [each.name for each in metrics_of("binary", [], "value")] == ["loss", "error"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_short_name_has_a_direction(kind: str) -> None:
    metrics = metrics_of(kind, [each.name for each in SHORT_NAMES[kind] if each.target])
    assert set(directions_of(metrics)) == set(columns_of(metrics))


def test_the_classes_whose_direction_is_known_are_those_of_keras() -> None:
    """A later Keras may have more: their direction is to be said here."""
    known = {*LESS_IS_BETTER, *GREATER_IS_BETTER}
    without_direction = {"Mean", "MeanMetricWrapper", "Metric", "Sum"}
    assert known == {*keras_source.names(keras_source.METRICS)} - without_direction
    assert not {*LESS_IS_BETTER} & {*GREATER_IS_BETTER}
    assert {*TASKS_OF_METRIC} <= known


@pytest.mark.parametrize(
    ("package", "module"),
    [
        (keras_source.CALLBACKS, keras.callbacks),
        (keras_source.LOSSES, keras.losses),
        (keras_source.METRICS, keras.metrics),
        (keras_source.OPTIMIZERS, keras.optimizers),
        (keras_source.SCHEDULES, keras.optimizers.schedules),
    ],
)
def test_the_source_of_keras_has_the_classes_that_keras_has(package: str, module: Any) -> None:
    assert {*keras_source.names(package)} == {name for name in dir(module) if name[0].isupper()}


def test_the_source_of_keras_has_the_arguments_of_its_classes() -> None:
    found = keras_source.arguments(keras_source.SCHEDULES, "ExponentialDecay")
    assert found == ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")
    assert keras_source.arguments(keras_source.SCHEDULES, "Nosuch") == ()
    assert keras_source.names("nosuch") == ()


@pytest.mark.parametrize("name", ["MeanAbsoluteError", "mean_absolute_error", "mae"])
def test_a_class_of_keras_has_its_own_name_besides(name: str) -> None:
    (found,) = (each for each in metrics_of("regression", [name]) if each.target)
    assert found.target == "keras.metrics.MeanAbsoluteError"
    assert found.direction is Direction.minimize


def test_classes_are_given_as_one_hot_vectors_to_what_takes_them() -> None:
    entries = ["auc", "Precision", {"_target_": "keras.metrics.F1Score", "average": "macro"}]
    assert all(each.takes_one_hot for each in metrics_of("classification", entries) if each.target)
    sparse = ["accuracy", "SparseCategoricalCrossentropy", {"_target_": "mine.Metric"}]
    assert not any(each.takes_one_hot for each in metrics_of("classification", sparse))
    assert not any(each.takes_one_hot for each in metrics_of("multilabel", ["auc", "Precision"]))


def test_a_metric_of_ones_own_has_the_name_and_the_direction_that_are_given() -> None:
    node = {"_target_": "mine.Metric", "name": "gain", "direction": "maximize", "k": 3}
    metrics = metrics_of("regression", [node, {"_target_": "mine.OtherOne"}])
    assert [each.name for each in metrics] == ["loss", "gain", "other_one"]
    assert metrics[1].arguments == {"k": 3}
    assert directions_of(metrics)["validation_gain"] is Direction.maximize
    assert "validation_other_one" not in directions_of(metrics)


@pytest.mark.parametrize(
    ("kind", "entry", "message"),
    [
        ("regression", "accuracy", "no metric 'accuracy' of a regression task"),
        ("classification", "mae", "no metric 'mae' of a classification task"),
        ("binary", "acuracy", "no metric 'acuracy' of a binary task; did you mean 'accuracy'?"),
        ("regression", {"_target_": "keras.metrics.AUC"}, "keras.metrics.AUC doesn't fit the targets of a regression"),
        ("regression", {"name": "x"}, "has no _target_, the metric's class"),
        ("regression", {"_target_": "mine.X", "name": "a b"}, "'a b' can't be the name of a metric"),
        ("regression", {"_target_": "mine.X", "name": "seconds"}, "'seconds' can't be the name of a metric"),
        ("regression", {"_target_": "mine.X", "direction": "up"}, "x: direction must be minimize or maximize, got up"),
    ],
)
def test_what_is_no_metric_of_the_task_is_refused(kind: str, entry: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        metrics_of(kind, [entry])
    assert message in str(error.value)
    assert str(error.value).startswith("task.metrics: ")


def test_a_column_is_of_a_metric_if_it_begins_with_a_part() -> None:
    assert [name_in(each) for each in ("validation_auc", "test_top_5_accuracy", "value", "seconds", "trained_x")] == [
        *("auc", "top_5_accuracy", "", "", "")
    ]


@pytest.mark.parametrize(("name", "expected"), [("AUC", "auc"), ("R2Score", "r2_score"), ("MeanIoU", "mean_io_u")])
def test_names_of_classes_become_those_of_columns(name: str, expected: str) -> None:
    assert snake_case(name) == expected
