"""Data in memory: what is trained on when nothing is left to choose."""

import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.training.data import ArrayData


def part(*values: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array(values, np.uint8).reshape(-1, 1), np.array(values, np.int32)


def test_validation_examples_join_the_training_examples_of_the_copy_alone() -> None:
    data = ArrayData(part(0, 1), part(2), part(3), batch_size=2)
    data.tensors("train")
    joined = data.with_validation_in_training()
    assert [np.asarray(column).tolist() for column in joined.train] == [[[0], [1], [2]], [0, 1, 2]]
    assert joined.val is None
    assert joined.tensors("train")[1].numpy().tolist() == [0, 1, 2]
    assert joined.n_classes == data.n_classes == 3
    assert data.n_train == 2


def test_nothing_is_joined_where_no_test_is_left() -> None:
    with pytest.raises(ConfigError, match="retrain needs a test set, and this data has none"):
        ArrayData(part(0, 1), part(2), None, batch_size=1).with_validation_in_training()
