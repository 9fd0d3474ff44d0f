"""The files of Fashion-MNIST and their splits."""

import shutil
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.training import fashion_mnist


def test_the_embedded_files_are_the_original_ones() -> None:
    train, test = fashion_mnist.load(fashion_mnist.data_folder())
    assert train.images.shape == (60_000, 28, 28, 1)
    assert test.images.shape == (10_000, 28, 28, 1)
    assert train.images.dtype == np.uint8
    assert (np.bincount(train.labels) == 6000).all()
    assert (np.bincount(test.labels) == 1000).all()
    # The first training example is an ankle boot.
    assert train.labels[0] == 9


@pytest.mark.parametrize("damage", ["cut in half", "one byte changed", "empty"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "data"
    shutil.copytree(fashion_mnist.data_folder(), folder)
    path = folder / "t10k-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    if damage == "one byte changed":
        content[1000] ^= 1
    path.write_bytes(bytes({"cut in half": content[: len(content) // 2], "empty": b""}.get(damage, content)))
    for check in (fashion_mnist.check_files, fashion_mnist.load):
        with pytest.raises(ConfigError, match=r"t10k-images-idx3-ubyte\.gz: damaged"):
            check(folder)


def test_files_are_checked_once_in_a_process_and_again_when_they_have_changed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(fashion_mnist.data_folder(), folder)
    with patch.object(fashion_mnist, "_checked_bytes", wraps=fashion_mnist._checked_bytes) as checked:
        fashion_mnist.check_files(folder)
        fashion_mnist.check_files(folder)
        assert checked.call_count == len(fashion_mnist.SHA256)
        path = folder / "t10k-labels-idx1-ubyte.gz"
        content = path.read_bytes()
        path.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
        for _ in range(2):
            with pytest.raises(ConfigError, match=r"t10k-labels-idx1-ubyte\.gz: damaged"):
                fashion_mnist.check_files(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train-images-idx3-ubyte\.gz: can't be read"):
        fashion_mnist.load(tmp_path)


def test_a_split_is_stratified_complete_and_a_function_of_the_seed() -> None:
    labels = np.repeat(np.arange(4), [10, 20, 31, 39])
    left, held_out = fashion_mnist.stratified_split(labels, 33, seed=0)
    assert sorted([*left, *held_out]) == list(range(100))
    # Shares of 3.3, 6.6, 10.23 and 12.87: the largest remainders are rounded up.
    assert list(np.bincount(labels[held_out])) == [3, 7, 10, 13]
    assert (fashion_mnist.stratified_split(labels, 33, seed=0)[1] == held_out).all()
    assert (fashion_mnist.stratified_split(labels, 33, seed=1)[1] != held_out).any()
