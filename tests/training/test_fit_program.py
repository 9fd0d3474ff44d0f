"""Callbacks of Keras's own loop: what of them is kept in a checkpoint."""

import sys
from typing import Any

import keras
import numpy as np
import pytest

from hposweep.training.fit_program import state_of


class Mine(keras.callbacks.Callback):
    """A callback that holds something."""

    def __init__(self, **state: Any) -> None:
        super().__init__()
        for name, value in state.items():
            setattr(self, name, value)


def test_plain_values_and_arrays_are_kept() -> None:
    state = {
        "wait": 3,
        "best": np.float32(0.5),
        "names": ["a", None],
        "nested": {"deep": [{"x": 1.5}]},
        "array": np.arange(3),
    }
    found = state_of(Mine(**state))
    assert found is not None
    assert found["best"] == 0.5
    assert type(found["best"]) is float
    np.testing.assert_equal({name: found[name] for name in state}, state)


def test_what_keras_sets_and_what_is_called_is_no_state() -> None:
    callback = keras.callbacks.EarlyStopping(monitor="val_loss", patience=2)
    callback.set_params({"epochs": 3})
    callback.set_model(keras.Sequential([keras.layers.Dense(1)]))
    callback.on_train_begin()
    callback._set_monitor_op()
    found = state_of(callback)
    assert found is not None
    assert found["wait"] == 0
    assert found["best"] is None
    assert not {"_model", "params", "monitor_op"} & set(found)


@pytest.mark.parametrize(
    "value",
    [{1, 2}, (1, 2), {1: 2}, object(), np.array([None]), [{"a": {1}}], sys.stdout, 1 + 2j, b"bytes"],
    ids=lambda value: type(value).__name__,
)
def test_what_a_file_of_plain_values_can_not_hold_is_no_state_that_can_be_saved(value: Any) -> None:
    assert state_of(Mine(held=value)) is None
