"""Optimizers from the config."""

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


def test_a_warm_up_rises_to_the_learning_rate_over_its_epochs_and_is_followed_by_the_decay() -> None:
    schedule = build_schedule({"name": "CosineDecay", "warmup_epochs": 1}, 0.1, steps_per_epoch=10, n_epochs=5)
    rates = [float(schedule(step)) for step in (0, 5, 10, 50)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0], abs=1e-6)
