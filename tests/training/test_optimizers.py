"""Optimizers and their schedules from the config."""

from typing import Any

import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.training.optimizers import build_optimizer, build_schedule


def test_the_keys_are_keras_arguments_and_null_leaves_the_default() -> None:
    optimizer = build_optimizer({"name": "sgd", "learning_rate": 0.5, "momentum": 0.9, "weight_decay": None})
    assert float(optimizer.learning_rate) == 0.5
    assert optimizer.momentum == 0.9
    assert optimizer.weight_decay is None


def test_momentum_0_is_a_value() -> None:
    assert build_optimizer({"name": "rmsprop", "learning_rate": 0.5, "momentum": 0.0}).momentum == 0.0


def test_any_optimizer_of_keras_can_be_named() -> None:
    assert type(build_optimizer({"name": "Nadam", "learning_rate": 0.1})).__name__ == "Nadam"


def test_what_this_optimizer_does_not_know_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    build_optimizer({"name": "adam", "learning_rate": 0.1, "momentum": 0.9})
    assert "adam has no optimizer.momentum: left out" in caplog.text


def test_what_no_optimizer_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"^optimizer\.clipnrom: no optimizer of Keras has it; did you mean 'clipnorm'\?$"
    ):
        build_optimizer({"name": "sgd", "learning_rate": 0.1, "clipnrom": 1.0})


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.name: no 'adm'; did you mean 'adam'\? Available: "):
        build_optimizer({"name": "adm", "learning_rate": 0.1})


def test_a_value_that_keras_refuses_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^optimizer: .*momentum"):
        build_optimizer({"name": "sgd", "learning_rate": 0.1, "momentum": 2.0})


def rates(node: Any, steps: list[int], steps_per_epoch: int | None = 10, n_epochs: int | None = 4) -> list[float]:
    schedule = build_schedule(node, 0.5, steps_per_epoch, n_epochs)
    return [float(schedule(step)) for step in steps]


def test_a_decay_takes_the_whole_training() -> None:
    assert rates("CosineDecay", [0, 20, 40]) == pytest.approx([0.5, 0.25, 0])
    assert rates("polynomial_decay", [0, 40]) == pytest.approx([0.5, 0.0001])
    assert rates({"name": "CosineDecay", "decay_epochs": 2}, [20, 40]) == pytest.approx([0, 0])
    assert rates({"name": "CosineDecay", "decay_steps": 30}, [30], None, None) == pytest.approx([0])


def test_a_warm_up_is_followed_by_the_decay_of_the_rest() -> None:
    node = {"name": "CosineDecay", "warmup_epochs": 1, "warmup_target": 2.0}
    assert rates(node, [0, 5, 10, 25, 40]) == pytest.approx([0.5, 1.25, 2, 1, 0])


def test_epochs_stand_for_steps() -> None:
    assert rates({"name": "ExponentialDecay", "decay_epochs": 0.5, "decay_rate": 0.1}, [0, 5, 10]) == pytest.approx(
        [0.5, 0.05, 0.005]
    )
    assert rates({"name": "CosineDecayRestarts", "first_decay_epochs": 1}, [9, 10]) == pytest.approx(
        [0.25 * (1 + np.cos(0.9 * np.pi)), 0.5]
    )
    phases = {"name": "PiecewiseConstantDecay", "boundary_epochs": [1, 3], "values": [1.0, 0.1, 0.01]}
    assert rates(phases, [10, 11, 30, 31]) == pytest.approx([1, 0.1, 0.1, 0.01])


def test_a_schedule_by_its_class() -> None:
    node = {"_target_": "keras.optimizers.schedules.InverseTimeDecay", "decay_epochs": 1, "decay_rate": 1}
    assert rates(node, [10]) == pytest.approx([0.25])


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("CosineDecai", r"optimizer\.schedule\.name: no 'CosineDecai'; did you mean 'CosineDecay'\? Available: "),
        ({"decay_steps": 3}, r"optimizer\.schedule\.name: no ''"),
        ({"name": "CosineDecay", "alfa": 1}, r"\.alfa: CosineDecay has no such key; did you mean 'alpha'\? Keys: init"),
        ({"name": "CosineDecay", "alpha_epochs": 1}, r"\.alpha_epochs: CosineDecay has no such key"),
        (
            {"_target_": "keras.losses.Huber"},
            "keras.losses.Huber is no keras.optimizers.schedules.LearningRateSchedule",
        ),
        ({"_target_": "nosuch.Schedule"}, r"optimizer\.schedule\._target_: nosuch\.Schedule: No module named 'nosuch'"),
        ({"name": "PiecewiseConstantDecay", "boundary_epochs": [1], "values": [1.0]}, r"^optimizer\.schedule: "),
    ],
    ids=str,
)
def test_what_is_no_schedule_is_refused(node: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_schedule(node, 0.5, 10, 4)


@pytest.mark.parametrize(
    "node", ["CosineDecay", {"name": "CosineDecay", "decay_steps": 9, "warmup_epochs": 1}], ids=str
)
def test_epochs_are_refused_where_nobody_knows_their_steps(node: Any) -> None:
    with pytest.raises(ConfigError, match="these data don't tell how many steps an epoch has"):
        build_schedule(node, 0.5, None, 4)


def test_an_optimizer_takes_its_schedule() -> None:
    optimizer = build_optimizer({"name": "sgd", "learning_rate": 0.5, "schedule": "CosineDecay"}, 10, 4)
    assert float(optimizer.learning_rate) == pytest.approx(0.5)
    optimizer.iterations.assign(20)
    assert float(optimizer.learning_rate) == pytest.approx(0.25)


def test_a_warm_up_rises_to_the_learning_rate_over_its_epochs_and_is_followed_by_the_decay() -> None:
    schedule = build_schedule({"name": "CosineDecay", "warmup_epochs": 1}, 0.1, steps_per_epoch=10, n_epochs=5)
    rates = [float(schedule(step)) for step in (0, 5, 10, 50)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0], abs=1e-6)
