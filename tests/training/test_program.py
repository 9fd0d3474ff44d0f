"""Compiled programs: which are compiled how, how many are kept, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hposweep.errors import ConfigError
from hposweep.training import models
from hposweep.training.data import ArrayData
from hposweep.training.program import (
    SUM_OF_OUTER_PRODUCTS,
    Program,
    ProgramCache,
    check_output_fits_loss,
    scaled,
    suits_xla,
)

SHAPE = (28, 28, 1)


def mlp(**options: object) -> keras.Model:
    arguments = {"num_hiddens": 8, "num_layers": 2, "dropout": 0.0, "activation": "relu", "batch_norm": True}
    return models.mlp(SHAPE, (10,), **{**arguments, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (lambda: models.softmax(SHAPE, (10,)), True),
        (mlp, True),
        (lambda: mlp(dropout=0.5), False),
        (lambda: models.lenet(SHAPE, (10,), activation="relu"), False),
    ],
    ids=["softmax", "mlp", "dropout", "lenet"],
)
def test_xla_is_chosen_by_the_layers(model, expected: bool) -> None:
    assert suits_xla(model()) is expected


def test_a_layer_of_ones_own_is_not_compiled_by_xla() -> None:
    class Mine(keras.layers.Dense):
        pass

    assert not suits_xla(keras.Sequential([keras.Input((3,)), Mine(4)]))


class Tiny:
    """Stands for a program in the cache."""


def test_the_cache_is_bounded_and_drops_what_was_not_used_for_longest() -> None:
    cache, built = ProgramCache(2), []

    def get(key: str) -> Program:
        return cache.get(key, lambda: built.append(key) or Tiny())  # type: ignore[func-returns-value, arg-type, return-value]

    first = get("a")
    get("b")
    assert get("a") is first
    get("c")
    assert get("a") is first
    get("b")
    assert built == ["a", "b", "c", "b"]


SPARSE = keras.losses.SparseCategoricalCrossentropy


def network(*last: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), *last])


@pytest.mark.parametrize(
    ("last", "loss", "message"),
    [
        (
            [keras.layers.Dense(10)],
            SPARSE(),
            "model.loss.from_logits: is false, but the model's last layer gives logits",
        ),
        ([keras.layers.Dense(10, activation="softmax")], SPARSE(from_logits=True), "model.loss.from_logits: is true"),
        ([keras.layers.Dense(9)], SPARSE(from_logits=True), "the last layer must have 10 outputs"),
        ([keras.layers.Dense(10, activation="relu")], SPARSE(), "gives logits, not probabilities"),
    ],
    ids=["the source's own adaptation", "softmax twice", "too few outputs", "relu"],
)
def test_a_last_layer_that_does_not_fit_the_loss_is_refused(data, last, loss, message) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        check_output_fits_loss(network(*last), loss, data)


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        ([keras.layers.Dense(10)], SPARSE(from_logits=True)),
        ([keras.layers.Dense(10, activation="softmax")], SPARSE()),
        ([keras.layers.Dense(10), keras.layers.Softmax()], SPARSE()),
        ([keras.layers.Dense(12)], SPARSE(from_logits=True)),
    ],
)
def test_one_that_fits_is_taken(data, last, loss) -> None:
    check_output_fits_loss(network(*last), loss, data)


def test_bytes_are_scaled_and_anything_else_is_left_alone() -> None:
    import tensorflow as tf

    assert np.array(scaled(tf.constant([0, 51, 255], tf.uint8))).tolist() == pytest.approx([0, 0.2, 1])
    assert np.array(scaled(tf.constant([0.0, 51.0]))).tolist() == [0.0, 51.0]


def test_a_batch_larger_than_the_data_is_refused() -> None:
    few = (np.zeros((5, 2), np.float32), np.array([0, 1, 0, 1, 0]))
    with pytest.raises(ConfigError, match=r"data\.batch_size: must be from 1 to 5"):
        ArrayData(few, few, None, batch_size=6)


def test_always_answering_the_most_frequent_class_has_its_error() -> None:
    train = (np.zeros((5, 2), np.float32), np.array([2, 2, 2, 0, 1]))
    val = (np.zeros((4, 2), np.float32), np.array([2, 0, 1, 1]))
    assert ArrayData(train, val, None, batch_size=1).baseline_error() == 0.75


@pytest.mark.parametrize("n_rows", [8, 16, 19, 24, 32])
@pytest.mark.parametrize(("transpose_a", "transpose_b"), [(False, False), (True, False), (False, True), (True, True)])
def test_the_gradient_of_a_product_is_that_of_tensorflow(n_rows: int, transpose_a: bool, transpose_b: bool) -> None:
    rng = np.random.default_rng(n_rows)
    left = rng.normal(size=(12, n_rows) if transpose_a else (n_rows, 12)).astype("float32")
    right = rng.normal(size=(10, 12) if transpose_b else (12, 10)).astype("float32")
    weights = rng.normal(size=(n_rows, 10)).astype("float32")

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def gradients(substitutes: dict[str, str]) -> list[tf.Tensor]:
        a, b = tf.constant(left), tf.constant(right)
        with tf.compat.v1.get_default_graph().gradient_override_map(substitutes):
            product = tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
        found: list[tf.Tensor] = tf.gradients(tf.reduce_sum(product * weights), [a, b])
        return found

    for ours, theirs in zip(gradients({"MatMul": SUM_OF_OUTER_PRODUCTS}), gradients({}), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
