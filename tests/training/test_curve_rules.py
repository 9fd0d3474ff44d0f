"""Early stopping and the reduction of the learning rate decide as Keras's callbacks of these names."""

import math
import types
from typing import Any

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hposweep.errors import ConfigError
from hposweep.training.curve_rules import EarlyStopping, ReduceOnPlateau, check_validation
from hposweep.trial import Direction

COLUMN = "validation_loss"
DIRECTIONS = {COLUMN: Direction.minimize, "validation_auc": Direction.maximize, "train_loss": Direction.minimize}
MODE = {Direction.minimize: "min", Direction.maximize: "max"}
# Whole numbers of eighths: Keras computes in 32 bits, where their differences are exact, too.
eighths = st.integers(-16, 16).map(lambda number: number / 8)
curves = st.lists(eighths, min_size=1, max_size=40)
directions = st.sampled_from(Direction)


def rows(curve: list[float]) -> list[dict[str, float]]:
    return [{COLUMN: value} for value in curve]


def fake_model(learning_rate: float = 1.0) -> Any:
    """What the callbacks use of a model."""
    return types.SimpleNamespace(stop_training=False, optimizer=types.SimpleNamespace(learning_rate=learning_rate))


@given(curves, directions, st.integers(1, 5), st.integers(0, 8).map(lambda number: number / 8), st.integers(0, 6))
def test_early_stopping_ends_a_training_when_keras_does(
    curve: list[float], direction: Direction, patience: int, min_delta: float, start: int
) -> None:
    rule = EarlyStopping(
        monitor=COLUMN, direction=direction, patience=patience, min_delta=min_delta, start_from_epoch=start
    )
    callback = keras.callbacks.EarlyStopping(
        monitor=COLUMN, mode=MODE[direction], patience=patience, min_delta=min_delta, start_from_epoch=start
    )
    model = fake_model()
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(curve):
        callback.on_epoch_end(epoch, {COLUMN: value})
        assert rule.stops_after(rows(curve[: epoch + 1])) == model.stop_training
        if model.stop_training:
            return


@given(
    curves,
    directions,
    st.integers(1, 4),
    st.integers(0, 8).map(lambda number: number / 8),
    st.integers(0, 5),
    st.sampled_from([0.0, 1 / 64, 0.5, 4.0]),
)
def test_the_learning_rate_is_lowered_when_keras_lowers_it(
    curve: list[float], direction: Direction, patience: int, min_delta: float, cooldown: int, min_lr: float
) -> None:
    options: dict[str, Any] = {
        "patience": patience,
        "min_delta": min_delta,
        "cooldown": cooldown,
        "min_lr": min_lr,
        "factor": 0.5,
    }
    rule = ReduceOnPlateau(monitor=COLUMN, direction=direction, **options)
    callback = keras.callbacks.ReduceLROnPlateau(monitor=COLUMN, mode=MODE[direction], **options)
    model = fake_model(learning_rate=2.0)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(curve):
        callback.on_epoch_end(epoch, {COLUMN: value})
        assert rule.learning_rate_after(rows(curve[: epoch + 1]), 2.0) == float(model.optimizer.learning_rate)


def test_epochs_that_were_not_validated_do_not_count() -> None:
    rule = EarlyStopping(monitor=COLUMN, direction=Direction.minimize, patience=2)
    curve = [1.0, math.nan, 1.0, math.nan, math.nan]
    assert not rule.stops_after(rows(curve))
    assert rule.stops_after(rows([*curve, 1.0]))
    plateau = ReduceOnPlateau(monitor=COLUMN, direction=Direction.minimize, patience=2)
    assert plateau.learning_rate_after(rows(curve), 1.0) == 1.0
    assert plateau.learning_rate_after(rows([*curve, 1.0]), 1.0) == 0.1


def test_a_node_without_a_column_watches_the_metric_in_its_direction() -> None:
    rule = EarlyStopping.of("trainer.early_stopping", {"patience": 4}, "validation_auc", DIRECTIONS)
    assert rule == EarlyStopping(monitor="validation_auc", direction=Direction.maximize, patience=4)
    assert EarlyStopping.of("trainer.early_stopping", None, "validation_auc", DIRECTIONS) is None


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"patience": 0}, "k.patience: must be a number of at least 1, got 0"),
        ({"patience": True}, "k.patience: must be a number of at least 1, got True"),
        ({"patience": "three"}, "k.patience: must be a number of at least 1, got three"),
        ({"min_delta": -1}, "k.min_delta: must be a number of at least 0, got -1"),
        ({"min_delta": math.nan}, "k.min_delta: must be a number of at least 0, got nan"),
        ({"cooldown": -1}, "k.cooldown: must be a number of at least 0, got -1"),
        ({"factor": 1}, "k.factor: must be above 0 and below 1, got 1"),
        ({"factor": "half"}, "k.factor: must be above 0 and below 1, got half"),
        ({"monitor": "loss"}, "k.monitor: no column 'loss' in the learning curve; there are validation_loss, "),
        ({"mode": "min"}, "k.mode: no such option"),
    ],
)
def test_what_a_rule_can_not_be_is_refused(node: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        ReduceOnPlateau.of("k", node, COLUMN, DIRECTIONS)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("trainer", "metric"),
    [
        ({}, "train_loss"),
        ({"early_stopping": {"patience": 3}}, "train_loss"),
        ({"early_stopping": {"monitor": "train_loss"}, "reduce_on_plateau": {}}, "train_loss"),
        ({"save": "last"}, "train_loss"),
    ],
)
def test_what_watches_the_training_part_needs_no_validation(trainer: dict[str, Any], metric: str) -> None:
    check_validation(trainer, metric, has_validation=False)


def test_what_watches_the_validation_needs_one() -> None:
    with pytest.raises(ConfigError, match=r"^hydra\.sweeper\.metric: validation_auc .*, or take train_auc$"):
        check_validation({}, "validation_auc", has_validation=False)
    with pytest.raises(ConfigError, match=r"^trainer\.reduce_on_plateau\.monitor: "):
        check_validation({"reduce_on_plateau": {"monitor": COLUMN}}, "train_auc", has_validation=False)
    check_validation({"save": "best"}, "validation_auc", has_validation=True)
