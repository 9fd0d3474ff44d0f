"""What metrics measure, and what a model that has learnt nothing would get, beside scikit-learn's numbers."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from sklearn import metrics as sk

from hposweep.errors import ConfigError
from hposweep.training.data import ArrayData
from hposweep.training.examples import Examples
from hposweep.training.measures import Answers, Measures, baseline, build
from hposweep.training.metrics import Metric, metrics_of
from hposweep.training.tasks import Task

N = 300
TARGETS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "classification": lambda rng: rng.choice(6, N, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.1]),
    "binary": lambda rng: (rng.random(N) < 0.3).astype(int),
    "multilabel": lambda rng: (rng.random((N, 3)) < [0.3, 0.6, 0.5]).astype(int),
    "regression": lambda rng: rng.gamma(3.0, 2.0, (N, 1)) + 1,
}


def data_of(kind: str, **node: Any) -> ArrayData:
    """Training and validation examples of a task, with all of its metrics."""
    rng = np.random.default_rng(1)
    names = [each.name for each in metrics_of(kind, []) if each.target]
    task = Task.of({"kind": kind, "metrics": names, **node})
    train, val = (Examples(rng.normal(size=(N, 2)).astype("float32"), TARGETS[kind](rng)) for _ in range(2))
    return ArrayData(train, val, None, batch_size=16).for_task(task)


def constant(data: ArrayData) -> np.ndarray:
    """The training targets' mean, or the classes' shares, for each validation example; plain NumPy."""
    train = np.asarray(data.train[1])
    if data.task.kind == "classification":
        answer = np.array([(train == number).mean() for number in range(6)])
    else:
        answer = train.reshape(N, -1).mean(axis=0)
    return np.tile(answer, (N, 1))


LOSSES = {
    "classification": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "binary": lambda: keras.losses.BinaryCrossentropy(from_logits=True),
    "multilabel": lambda: keras.losses.BinaryCrossentropy(),
    "regression": keras.losses.MeanSquaredError,
}
BASELINES: list[tuple[str, str, Callable[[np.ndarray, np.ndarray], float]]] = [
    ("classification", "error", lambda y, p: float(np.mean(y != p.argmax(axis=1)))),
    ("classification", "accuracy", lambda y, p: float(np.mean(y == p.argmax(axis=1)))),
    ("classification", "loss", lambda y, p: sk.log_loss(y, p, labels=range(6))),
    ("classification", "auc", lambda y, p: 0.5),
    ("classification", "f1", lambda y, p: sk.f1_score(y, p.argmax(axis=1), average="macro")),
    ("classification", "top_5_accuracy", lambda y, p: sk.top_k_accuracy_score(y, p, k=5)),
    ("binary", "error", lambda y, p: float(np.mean(y != (p > 0.5)[:, 0]))),
    ("binary", "loss", lambda y, p: sk.log_loss(y, p[:, 0])),
    ("binary", "auc", lambda y, p: 0.5),
    ("binary", "recall", lambda y, p: 0.0),
    ("multilabel", "error", lambda y, p: float(np.mean(y != (p > 0.5)))),
    ("multilabel", "loss", lambda y, p: float(np.mean([sk.log_loss(y[:, i], p[:, i]) for i in range(3)]))),
    ("multilabel", "auc", lambda y, p: 0.5),
    ("regression", "mae", lambda y, p: sk.mean_absolute_error(y, p)),
    ("regression", "rmse", lambda y, p: float(np.sqrt(sk.mean_squared_error(y, p)))),
    ("regression", "mape", lambda y, p: 100 * sk.mean_absolute_percentage_error(y, p)),
    ("regression", "r2", lambda y, p: sk.r2_score(y, p)),
    ("regression", "loss", lambda y, p: sk.mean_squared_error(y, p)),
]


@pytest.mark.parametrize(("kind", "name", "expected"), BASELINES, ids=[f"{kind}-{name}" for kind, name, _ in BASELINES])
def test_a_model_that_has_learnt_nothing_is_the_baseline(
    kind: str, name: str, expected: Callable[[np.ndarray, np.ndarray], float]
) -> None:
    data = data_of(kind).for_task(Task.of({"kind": kind}, f"validation_{name}"))
    value = baseline(data, LOSSES[kind](), name)
    # Keras's AUC adds up over 200 thresholds, of which a constant answer crosses one.
    assert data.val is not None
    assert value == pytest.approx(expected(np.asarray(data.val[1]), constant(data)), rel=1e-4, abs=1e-4)


def test_a_loss_of_standardised_targets_is_that_of_them() -> None:
    task = Task.of({"kind": "regression", "standardize": True}, "validation_mae")
    data = data_of("regression").for_task(task)
    assert data.val is not None
    train, val = (np.asarray(part[1]) for part in (data.train, data.val))
    expected = np.mean(((val - train.mean()) / train.std()) ** 2)
    assert baseline(data, keras.losses.MeanSquaredError(), "loss") == pytest.approx(expected, rel=1e-5)
    assert baseline(data, keras.losses.MeanSquaredError(), "mae") == pytest.approx(
        np.abs(val - train.mean()).mean(), rel=1e-5
    )


def test_a_metric_that_the_task_lacks_has_no_baseline() -> None:
    assert baseline(data_of("binary"), LOSSES["binary"](), "mine") is None


def test_what_a_loss_of_logits_gets_is_turned_into_probabilities() -> None:
    logits = keras.ops.convert_to_tensor([[0.0, np.log(3.0)]])
    for kind, expected in (("classification", [[0.25, 0.75]]), ("multilabel", [[0.5, 0.75]])):
        np.testing.assert_allclose(Answers(data_of(kind), LOSSES["binary"]())(logits), expected, rtol=1e-6)
        np.testing.assert_allclose(Answers(data_of(kind), keras.losses.BinaryCrossentropy())(logits), logits)


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("nosuch.Metric", {}, "task.metrics: m: nosuch.Metric: No module named 'nosuch'"),
        (
            "keras.metrics.AUC",
            {"num_tresholds": 3},
            "task.metrics: m: keras.metrics.AUC: AUC.__init__() got an unexpec",
        ),
        ("keras.losses.Huber", {}, "task.metrics: m: keras.losses.Huber is no keras.metrics.Metric"),
    ],
)
def test_a_metric_that_can_not_be_built_is_one_line(target: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(Metric("m", None, target, arguments), 3)
    assert str(error.value).startswith(message)


def test_a_metric_that_gives_several_numbers_is_refused() -> None:
    data = data_of("multilabel")
    metrics = metrics_of("multilabel", [{"_target_": "keras.metrics.F1Score"}])
    with pytest.raises(
        ConfigError, match=r"^task\.metrics: f1_score: gives 3 numbers; an average, such as average=mac"
    ):
        Measures(metrics, Answers(data, LOSSES["binary"]()), 3, data.targets("train"))
