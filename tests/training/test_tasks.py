"""Tasks: which targets, losses and weights go with them. No TensorFlow here."""

from typing import Any

import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.training.examples import Examples, Splits
from hposweep.training.tasks import KINDS, USUAL_LOSS, Task, n_steps

BINARY, MULTILABEL, REGRESSION = (Task.of({"kind": kind}) for kind in ("binary", "multilabel", "regression"))


def array(*values: Any) -> np.ndarray:
    return np.array(values)


@pytest.mark.parametrize(
    ("task", "targets", "expected"),
    [
        (Task(), array(0, 2, 1), np.array([0, 2, 1], np.int32)),
        (Task(), array([0.0], [2.0]), np.array([0, 2], np.int32)),
        (BINARY, array(True, False), np.array([[1], [0]], np.float32)),
        (MULTILABEL, array([0, 1], [1, 1]), np.array([[0, 1], [1, 1]], np.float32)),
        (REGRESSION, array(1, 2), np.array([[1], [2]], np.float32)),
        (REGRESSION, array([1, 2], [3, 4]), np.array([[1, 2], [3, 4]], np.float32)),
    ],
    ids=str,
)
def test_targets_are_as_models_learn_them(task: Task, targets: np.ndarray, expected: np.ndarray) -> None:
    found = task.target_array(targets)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


@pytest.mark.parametrize(
    ("task", "targets", "message"),
    [
        (Task(), array(0.5, 1), "classes must be whole numbers from 0 on, got 0.5; task=regression takes others"),
        (Task(), array(-1, 1), "classes must be whole numbers from 0 on, got -1"),
        (Task(), np.eye(3), "one-hot ones become numbers by argmax"),
        (Task(), array("a", "b"), "the targets of a classification task must be numbers, got <U1"),
        (BINARY, array(0, 1, 2), "the targets of a binary task must be 0 or 1, got 2"),
        (BINARY, np.eye(2), r"the targets of a binary task have the shape \(n,\)"),
        (MULTILABEL, array(0, 1), r"the targets of a multilabel task have the shape \(n, n_labels\)"),
        (MULTILABEL, array([0, 0.5]), "must be 0 or 1, got 0.5"),
        (REGRESSION, array(1, np.nan), "1 targets are NaN or infinite"),
    ],
    ids=str,
)
def test_targets_of_another_task_are_refused(task: Task, targets: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task.target_array(targets)


@pytest.mark.parametrize("kind", KINDS)
def test_the_usual_loss_fits(kind: str) -> None:
    assert Task.of({"kind": kind}).loss_node(None) == USUAL_LOSS[kind]


def test_the_task_s_loss_comes_before_the_model_s() -> None:
    of_task, of_model = ({"_target_": f"keras.losses.{name}"} for name in ("Huber", "LogCosh"))
    assert Task.of({"kind": "regression", "loss": of_task}).loss_node(of_model) == of_task
    assert REGRESSION.loss_node(of_model) == of_model


@pytest.mark.parametrize(
    ("kind", "loss", "key"),
    [
        ("classification", "MeanSquaredError", "model.loss"),
        ("classification", "CategoricalCrossentropy", "model.loss"),
        ("binary", "SparseCategoricalCrossentropy", "model.loss"),
        ("regression", "BinaryCrossentropy", "task.loss"),
    ],
)
def test_a_loss_for_other_targets_is_refused(kind: str, loss: str, key: str) -> None:
    node = {"_target_": f"keras.losses.{loss}"}
    task = Task.of({"kind": kind, "loss": node if key == "task.loss" else None})
    with pytest.raises(ConfigError, match=rf"^{key}: keras.losses.{loss} doesn't fit the targets of a {kind} task"):
        task.loss_node(None if key == "task.loss" else node)


def test_a_loss_of_ones_own_is_taken() -> None:
    assert Task().loss_node({"_target_": "mine.loss"}) == {"_target_": "mine.loss"}


def test_the_output_has_an_entry_for_each_class_label_or_number() -> None:
    assert Task().output_shape(array(0, 1), array(4)) == (5,)
    assert Task.of({"kind": "classification", "n_classes": 7}).output_shape(array(0, 1)) == (7,)
    assert BINARY.output_shape(BINARY.target_array(array(0, 1))) == (1,)
    assert MULTILABEL.output_shape(np.zeros((2, 3))) == (3,)
    assert REGRESSION.output_shape(np.zeros((2, 2))) == (2,)


def splits(targets: np.ndarray, weights: np.ndarray | None = None) -> Splits:
    return Splits(Examples(np.zeros((len(targets), 1)), targets, weights), None, None)


@pytest.mark.parametrize(
    ("node", "targets", "message"),
    [
        ({"kind": "classification"}, array(1, 1), "all 2 training targets have one class, 1"),
        ({"kind": "regression"}, array(2.5, 2.5), "all 2 training targets have one value, 2.5"),
        ({"kind": "classification", "n_classes": 2}, array(0, 2), "task.n_classes: is 2, and the data has the class 2"),
        ({"kind": "classification", "class_weights": {0: 1.0}}, array(0, 1), "task.class_weights: class 1 has none"),
    ],
    ids=str,
)
def test_examples_that_can_not_be_learnt_from_are_refused(
    node: dict[str, Any], targets: np.ndarray, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Task.of(node).check(splits(targets))


@pytest.mark.parametrize("weights", [array(1.0, -1.0), array(1.0, np.inf), array(1.0), array([1.0], [1.0])], ids=str)
def test_weights_that_are_none_are_refused(weights: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="weights must be 2 finite numbers from 0 on, one for each example"):
        Task().check(splits(array(0, 1), weights))


def test_balanced_classes_weigh_the_same_in_total_and_one_on_average() -> None:
    classes = array(0, 0, 0, 1)
    weights = Task.of({"kind": "classification", "class_weights": "balanced"}).training_weights(
        Examples(classes, classes), classes
    )
    assert weights is not None
    assert weights[classes == 0].sum() == pytest.approx(weights[classes == 1].sum())
    assert weights.mean() == pytest.approx(1)


def test_the_weights_of_classes_and_of_examples_multiply() -> None:
    classes = BINARY.target_array(array(0, 1, 1))
    task = Task.of({"kind": "binary", "class_weights": {"0": 2, "1": 3}})
    weights = task.training_weights(Examples(classes, classes, array(1.0, 0.5, 0.0)), classes)
    assert weights is not None
    assert weights.tolist() == [2, 1.5, 0]


def test_standardised_targets_have_mean_0_and_deviation_1_and_constant_columns_stay_finite() -> None:
    targets = array([1.0, 5.0], [3.0, 5.0]).astype(np.float32)
    assert REGRESSION.scale(targets) is None
    scale = Task.of({"kind": "regression", "standardize": True}).scale(targets)
    assert scale is not None
    assert ((targets - scale[0]) / scale[1]).tolist() == [[-1, 0], [1, 0]]


def test_the_smaller_last_batch_is_a_step() -> None:
    assert [n_steps(n, 16) for n in (15, 16, 17)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"kind": "ranking"}, r"^task\.kind: no 'ranking'"),
        (
            {"kind": "regression", "class_weights": "balanced"},
            r"^task\.class_weights: a regression task has no classes",
        ),
        (
            {"kind": "binary", "class_weights": "even"},
            r"^task\.class_weights: must be balanced, a weight for each class",
        ),
        ({"kind": "binary", "class_weights": {0: True}}, "must be finite numbers from 0 on, got True for class 0"),
        ({"kind": "binary", "class_weights": {-1: 1}}, "classes are whole numbers from 0 on, got -1"),
        ({"kind": "binary", "class_weights": {0: float("inf")}}, "got inf for class 0"),
    ],
    ids=str,
)
def test_a_node_that_is_none_is_refused(node: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Task.of(node)
