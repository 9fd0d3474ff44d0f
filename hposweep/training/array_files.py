"""Examples in NumPy's files, .npz or a folder of .npy: several inputs by name, split already or to be split."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hposweep.errors import ConfigError, nearest
from hposweep.training import data_files, splits, targets
from hposweep.training.examples import Examples, Inputs, Splits
from hposweep.training.tasks import Task

# Names of the arrays of the parts, as Keras's own files have them.
SPLIT_NAMES = (("train", ("x_train", "y_train")), ("val", ("x_val", "y_val")), ("test", ("x_test", "y_test")))
INPUTS = "inputs"
N_CHECKED = 1 << 24  # numbers that are checked at once, so that a mapped file needs no memory of its size

Arrays = Mapping[str, np.ndarray]


def arrays(
    path: str,
    task: str,
    inputs: Sequence[str] | None = None,
    target: str = "targets",
    weights: str | None = None,
    validation: float = 0.2,
    test: float = 0.2,
    split: str = "auto",
    split_column: str | None = None,
    split_seed: int = 0,
    validation_path: str | None = None,
    test_path: str | None = None,
) -> Splits:
    """The arrays in an .npz file, or in a folder's .npy files, which are mapped into memory, as examples.

    Where there are `x_train`, `y_train` and perhaps `x_val`, `y_val`, `x_test`, `y_test`, they are the parts;
    validation and test examples that lack are split from the training ones. Else each array has one row an example.
    Targets of shape (n, 1) become (n,). Nothing in a file is executed: pickled objects are refused.

    Args:
        task: "classification", "binary", "multilabel" or "regression".
        inputs: names of the arrays that the model gets, one as an array, several by name; None: the array "inputs".
        target: name of the array of targets.
        weights: name of the array of the examples' weights in the loss.
        validation, test, split, split_seed: as `splits.split` has them.
        split_column: name of an array of shape (n,): groups, times, or parts.
        validation_path, test_path: files with the same arrays, in the place of shares of `path`.

    Raises:
        ConfigError: in one line, naming the key of `data`, if something in the files or these arguments can't be used.
    """
    targets.check_task(task)
    splits.check_method(split, task in targets.WITH_CLASSES, split_column)
    found = _read("path", path)
    if "x_train" in found and inputs is None:
        others = {"weights": weights, "validation_path": validation_path, "test_path": test_path}
        for key, value in others.items():
            if value is not None:
                raise ConfigError(f"data.{key}: not read where {path} has x_train; name the arrays by data.inputs")
        return _of_parts(found, path, task, validation, test, split, split_seed)
    names = [INPUTS] if inputs is None else list(inputs)
    if not names:
        raise ConfigError("data.inputs: must name an array")
    files = {"val": ("validation_path", validation_path), "test": ("test_path", test_path)}
    given = {part: (key, each, _read(key, each)) for part, (key, each) in files.items() if each is not None}
    whole = [("path", path, found), *given.values()]
    examples = [_examples(key, each, values, names, target, weights) for key, each, values in whole]
    encoded = _encoded([each.targets for each in examples], task, target)
    values, class_names = encoded.values, encoded.names
    n = len(examples[0].targets)
    column = None if split_column is None else _split_column(found, path, split_column, split, n)
    parts = splits.split(
        n,
        split,
        0 if "val" in given else validation,
        0 if "test" in given else test,
        split_seed,
        values[:n] if task in targets.WITH_CLASSES else None,
        column,
        split_column,
        has_files=bool(given),
    )
    first = examples[0]._replace(targets=values[:n])
    result = {part: take(first, indices) for part, indices in parts._asdict().items()}
    start = n
    for part, each in zip(given, examples[1:], strict=True):
        end = start + len(each.targets)
        result[part] = each._replace(targets=values[start:end])
        start = end
    train = result["train"]
    assert train is not None
    return Splits(train, result["val"], result["test"], None, class_names)


def take(examples: Examples, indices: np.ndarray) -> Examples | None:
    """Those examples; None where there are no indices, the arrays themselves where they are all, not copied."""
    if not len(indices):
        return None
    if len(indices) == len(examples.targets):
        return examples
    inputs = examples.inputs
    return Examples(
        {name: array[indices] for name, array in inputs.items()} if isinstance(inputs, dict) else inputs[indices],
        examples.targets[indices],
        None if examples.weights is None else examples.weights[indices],
    )


def fingerprint(path: str, validation_path: str | None = None, test_path: str | None = None) -> str:
    """As `data_files.fingerprint`, of the files of `arrays`."""
    return data_files.fingerprint([path, validation_path, test_path])


def check(arguments: Mapping[str, Any], task: Task) -> frozenset[str]:
    """As `splits.check_by_reading`, of `arrays`."""
    return splits.check_by_reading(arrays, arguments, task)


def split_from_training(
    train: Examples,
    val: Examples | None,
    test: Examples | None,
    task: str,
    validation: float,
    test_share: float,
    split: str,
    seed: int,
) -> tuple[Examples, Examples | None, Examples | None]:
    """The parts, where those that lack are split from the training examples."""
    parts = splits.split(
        len(train.targets),
        split,
        0 if val is not None else validation,
        0 if test is not None else test_share,
        seed,
        train.targets if task in targets.WITH_CLASSES else None,
    )
    left = take(train, parts.train)
    assert left is not None
    return left, val or take(train, parts.val), test or take(train, parts.test)


def _of_parts(
    found: Arrays, path: str, task: str, validation: float, test: float, split: str, split_seed: int
) -> Splits:
    """Of arrays that are split already."""
    if split in splits.BY_COLUMN:
        raise ConfigError(f"data.split: {path} is split already, into x_train and others; got {split}")
    given: dict[str, Examples] = {}
    for part, (x, y) in SPLIT_NAMES:
        if part == "train" or x in found:
            given[part] = _examples("path", path, found, [x], y, None)
    encoded = _encoded([each.targets for each in given.values()], task, "y_train")
    start = 0
    for part, each in given.items():
        end = start + len(each.targets)
        given[part] = each._replace(targets=encoded.values[start:end])
        start = end
    parts = split_from_training(
        given["train"], given.get("val"), given.get("test"), task, validation, test, split, split_seed
    )
    return Splits(*parts, None, encoded.names)


def _encoded(values: Sequence[np.ndarray], task: str, name: str) -> targets.Targets:
    """All parts' targets together, so that they share the numbers of classes."""
    if len({each.shape[1:] for each in values}) > 1:
        raise ConfigError(f"data.target: {name} has other shapes in other parts: {[each.shape for each in values]}")
    return targets.encode(np.concatenate(values), task, f"'{name}'")


def _examples(key: str, path: str, found: Arrays, names: Sequence[str], target: str, weights: str | None) -> Examples:
    inputs = {name: _input(key, path, name, _named(found, "inputs", name, path)) for name in names}
    values = _named(found, "target", target, path)
    n = len(values)
    for name, array in inputs.items():
        if len(array) != n:
            raise ConfigError(f"data.{key}: '{name}' in {path} has {len(array)} examples, '{target}' has {n}")
    of_loss = None
    if weights is not None:
        of_loss = _named(found, "weights", weights, path)
        if of_loss.shape != (n,) or of_loss.dtype.kind not in "fiub":
            raise ConfigError(f"data.weights: '{weights}' must be {n} numbers, got {of_loss.dtype} {of_loss.shape}")
        of_loss = of_loss.astype(np.float32)
        if not (np.isfinite(of_loss) & (of_loss >= 0)).all() or not of_loss.any():
            raise ConfigError(f"data.weights: '{weights}' must be at least 0, and finite, and not all 0")
    all_inputs: Inputs = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    return Examples(all_inputs, values, of_loss)


def _input(key: str, path: str, name: str, array: np.ndarray) -> np.ndarray:
    """As float32, int32 or uint8, checked; mapped files of these types stay mapped."""
    where = f"data.{key}: '{name}' in {path}"
    match array.dtype.kind:
        case "f":
            flat = array.reshape(len(array), -1)
            rows = max(1, N_CHECKED // max(1, flat.shape[1]))
            for start in range(0, len(flat), rows):
                wrong = np.flatnonzero(~np.isfinite(flat[start : start + rows]).all(axis=1))
                if len(wrong):
                    raise ConfigError(f"{where} has NaN or infinite numbers, in example {start + wrong[0]} (from 0)")
            return array if array.dtype in (np.float32, np.float16) else array.astype(np.float32)
        case "b":
            return array.astype(np.float32)
        case "i" | "u":
            if array.dtype in (np.uint8, np.int32):
                return array
            if array.size and (array.max() > np.iinfo(np.int32).max or array.min() < np.iinfo(np.int32).min):
                raise ConfigError(f"{where} has whole numbers of more than 32 bits")
            return array.astype(np.int32)
    raise ConfigError(f"{where} has the type {array.dtype}; inputs are numbers")


def _split_column(found: Arrays, path: str, name: str, how: str, n: int) -> np.ndarray:
    column = _named(found, "split_column", name, path)
    if column.shape != (n,):
        raise ConfigError(f"data.split_column: '{name}' must have the shape ({n},), got {column.shape}")
    if column.dtype.kind == "f" and np.isnan(column).any():
        raise ConfigError(f"data.split_column: '{name}' has NaN, in example {np.isnan(column).argmax()} (from 0)")
    if how == "time" and column.dtype.kind not in "fiuM":
        raise ConfigError(f"data.split_column: '{name}' must have numbers or dates, got {column.dtype}")
    return column


def _named(found: Arrays, key: str, name: str, path: str) -> np.ndarray:
    if name not in found:
        raise ConfigError(
            f"data.{key}: no array '{name}' in {path}{nearest(name, list(found))}Arrays: {', '.join(sorted(found))}"
        )
    array = found[name]
    if array.ndim == 0 or not len(array):
        raise ConfigError(f"data.{key}: the array '{name}' in {path} has no examples")
    return array


def _read(key: str, path: str) -> Arrays:
    """The arrays of a file or folder, by name; those of a folder mapped into memory."""
    found = data_files.existing(key, path, may_be_folder=True)
    if not found.is_dir():
        if found.suffix == ".npy":
            raise ConfigError(
                f"data.{key}: {path} is one array; name its folder, and the arrays in it by data.inputs and data.target"
            )
        return _loaded(key, found)
    files = sorted(found.glob("*.npy"))
    if not files:
        raise ConfigError(f"data.{key}: no .npy files in the folder {path}")
    return {file.stem: _load(key, file, mmap_mode="r") for file in files}


def _loaded(key: str, path: Path) -> Arrays:
    found = _load(key, path)
    if isinstance(found, np.ndarray):
        raise ConfigError(f"data.{key}: {path} is one array; a file of several ends in .npz")
    with found:
        try:
            return {name: found[name] for name in found.files}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise _unreadable(key, path, error) from None


def _load(key: str, path: Path, mmap_mode: Any = None) -> Any:
    try:
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(key, path, error) from None


def _unreadable(key: str, path: Path, error: Exception) -> ConfigError:
    if "allow_pickle" in str(error):
        return ConfigError(
            f"data.{key}: {path} holds pickled objects or is no file of NumPy; objects are not read: save plain arrays"
        )
    return ConfigError(f"data.{key}: {path} is no file of NumPy that can be read ({error})")
