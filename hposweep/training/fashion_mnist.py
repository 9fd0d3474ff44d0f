"""The files of Fashion-MNIST: found, checked against their SHA-256, read and split. No TensorFlow here.

Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
arXiv:1708.07747, 2017. 60,000 training and 10,000 test images of 28 x 28 grey pixels in ten classes of equal size.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hposweep.errors import ConfigError
from hposweep.training.splits import apportion

SHA256 = {
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
N_TRAIN = 60_000
N_CLASSES = 10


class Examples(NamedTuple):
    """Images of shape (n, 28, 28, 1), uint8, and their classes of shape (n,), int32."""

    images: np.ndarray
    labels: np.ndarray


def data_folder() -> Path:
    """The folder of the files: `datasets/fashion_mnist` of the repository, else the cache that Keras downloads to."""
    embedded = Path(__file__).resolve().parents[2] / "datasets" / "fashion_mnist"
    if embedded.is_dir():
        return embedded
    keras_home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(keras_home) / "datasets" / "fashion-mnist"


def check_files(folder: Path) -> None:
    """Raises a ConfigError for a file that exists and isn't the original; each is read once in a process."""
    for name in SHA256:
        if (folder / name).exists():
            stat = (folder / name).stat()
            _check(folder / name, stat.st_size, stat.st_mtime_ns)


def load(folder: Path) -> tuple[Examples, Examples]:
    """The training and the test examples.

    Raises:
        ConfigError: if a file is missing, or damaged.
    """
    train = Examples(*(_array(folder / name) for name in list(SHA256)[:2]))
    test = Examples(*(_array(folder / name) for name in list(SHA256)[2:]))
    return train, test


def stratified_split(labels: np.ndarray, n_held_out: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the examples that stay and of those held out, each class in its share, both in ascending order.

    Where the shares are no whole numbers, the classes with the largest remainders get one example more.
    """
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    n_of_class = apportion(counts, n_held_out, counts)
    held_out = np.zeros(len(labels), dtype=bool)
    for label, n in zip(classes, n_of_class, strict=True):
        held_out[rng.permutation(np.flatnonzero(labels == label))[:n]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def n_train(validation: str, n_validation: int, train_fraction: float) -> int:
    """How many examples a trial trains on."""
    n_left = N_TRAIN if validation == "test" else N_TRAIN - n_validation
    return round(n_left * train_fraction)


def _array(path: Path) -> np.ndarray:
    content = gzip.decompress(_checked_bytes(path))
    # The IDX format: two zero bytes, the type (8: unsigned bytes), the number of dimensions, each as 4 bytes, the data.
    n_dimensions = content[3]
    shape = np.frombuffer(content, ">u4", count=n_dimensions, offset=4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * n_dimensions).reshape(shape)
    return values.astype(np.int32) if n_dimensions == 1 else values[..., np.newaxis]


@functools.cache
def _check(path: Path, size: int, mtime_ns: int) -> None:
    """Checks the file that has this size and was changed at this time; what fails is not remembered."""
    _checked_bytes(path)


def _checked_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}); data=fashion_mnist needs it") from None
    if hashlib.sha256(content).hexdigest() != SHA256[path.name]:
        raise ConfigError(
            f"{path}: damaged or not the original file ({len(content)} bytes, SHA-256 differs); put the original back"
        )
    return content
