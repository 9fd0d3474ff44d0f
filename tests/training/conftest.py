"""TensorFlow on one thread, and data and learners that train in a moment."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    from hposweep.training.objective import configure_tensorflow

    configure_tensorflow(threads=1, use_gpu=True)


@pytest.fixture(scope="session")
def data():
    """A part of Fashion-MNIST whose size is no multiple of the batch size."""
    from hposweep.training import fashion_mnist
    from hposweep.training.data import ArrayData

    train, test = fashion_mnist.load(fashion_mnist.data_folder())
    return ArrayData(
        (train.images[:1003], train.labels[:1003]),
        (train.images[2000:3205], train.labels[2000:3205]),
        (test.images[:500], test.labels[:500]),
        batch_size=16,
    )


@pytest.fixture
def learner(data: Any) -> Callable[..., Any]:
    """Makes learners by architecture and optimizer."""
    import keras

    from hposweep.training import models
    from hposweep.training.optimizers import build_optimizer
    from hposweep.training.trainer import Learner

    def mlp(**options: object) -> Callable[[], Any]:
        arguments: dict[str, Any] = {
            "num_hiddens": 24,
            "num_layers": 1,
            "dropout": 0.0,
            "activation": "relu",
            "batch_norm": False,
        }
        arguments |= options
        return lambda: models.mlp((28, 28, 1), (10,), **arguments)

    architectures = {
        "softmax": lambda: models.softmax((28, 28, 1), (10,)),
        "mlp": mlp(),
        "wide": mlp(num_hiddens=40),
        "batch_norm": mlp(batch_norm=True),
        "dropout": mlp(dropout=0.3),
        "lenet": lambda: models.lenet((28, 28, 1), (10,), activation="relu"),
    }

    def make(
        model: str = "softmax", optimizer: dict[str, Any] | None = None, seed: int = 3, xla: bool | None = None
    ) -> Learner:
        node = {"name": "sgd", "learning_rate": 0.1, **(optimizer or {})}
        constants = {key: value for key, value in node.items() if key != "learning_rate"}
        return Learner(
            build_model=architectures[model],
            build_loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            build_optimizer=lambda: build_optimizer(node),
            seed=seed,
            architecture=f"{model} {constants} {xla}",
            identity=f"{model} {node} {seed} {xla}",
            xla=xla,
        )

    return make


def without_seconds(curve: list[dict[str, float]]) -> list[dict[str, str]]:
    return [{name: repr(value) for name, value in row.items() if name != "seconds"} for row in curve]


@pytest.fixture(scope="session")
def numpy_softmax() -> Callable[..., Any]:
    """Softmax regression by gradient descent, written out in NumPy: an independent reference."""

    def fit(data, weights, bias, learning_rate, orders):
        inputs, labels = data.train
        inputs = inputs.reshape(len(labels), -1).astype(np.float64) / 255
        weights, bias = weights.astype(np.float64), bias.astype(np.float64)
        for order in orders:
            for start in range(0, len(order), data.batch_size):
                batch = order[start : start + data.batch_size]
                logits = inputs[batch] @ weights + bias
                probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
                probabilities /= probabilities.sum(axis=1, keepdims=True)
                probabilities[np.arange(len(batch)), labels[batch]] -= 1
                weights -= learning_rate * inputs[batch].T @ probabilities / len(batch)
                bias -= learning_rate * probabilities.mean(axis=0)
        return weights, bias

    return fit
