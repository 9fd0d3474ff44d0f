"""NumPy's files: several inputs by name, split already or to be split."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.training import array_files
from hposweep.training.array_files import arrays
from hposweep.training.tasks import Task

N = 20


def saved(folder: Path, name: str = "data.npz", **values: Any) -> str:
    np.savez(folder / name, **values)
    return str(folder / name)


def plain(**changed: Any) -> dict[str, Any]:
    """Arrays of N examples, whose input tells their number."""
    values: dict[str, Any] = {"inputs": np.arange(N, dtype=np.float64)[:, np.newaxis], "targets": np.arange(N) % 2}
    return {key: value for key, value in (values | changed).items() if value is not None}


def numbers(splits: Any) -> list[list[float]]:
    """Which examples the parts have."""
    return [part.inputs.ravel().tolist() for part in (splits.train, splits.val, splits.test) if part is not None]


def test_arrays_are_split_by_class(tmp_path: Path) -> None:
    splits: Any = arrays(saved(tmp_path, **plain()), "classification")
    assert [len(part) for part in numbers(splits)] == [12, 4, 4]
    assert sorted(itertools.chain(*numbers(splits))) == list(range(N))
    assert np.bincount(splits.val.targets).tolist() == [2, 2]
    assert splits.train.inputs.dtype == np.float32
    assert splits.train.targets.dtype == np.int32
    assert splits.class_names == ()


@pytest.mark.parametrize("has_validation", [True, False])
def test_files_named_as_those_of_keras_are_split_already(tmp_path: Path, has_validation: bool) -> None:
    values: dict[str, Any] = {
        "x_train": np.zeros((10, 3), np.uint8),
        "y_train": np.repeat([["cat"], ["dog"]], 5, axis=0),
    }
    values |= {"x_test": np.ones((2, 3), np.uint8), "y_test": np.array([["dog"], ["cat"]])}
    if has_validation:
        values |= {"x_val": np.full((3, 3), 7, np.uint8), "y_val": np.array([["dog"]] * 3)}
    splits: Any = arrays(saved(tmp_path, **values), "binary", validation=4)
    assert [len(part.targets) for part in (splits.train, splits.val, splits.test)] == (
        [10, 3, 2] if has_validation else [6, 4, 2]
    )
    assert splits.test.targets.tolist() == [1, 0]
    assert splits.class_names == ("cat", "dog")
    assert splits.train.inputs.dtype == np.uint8


def test_several_inputs_go_to_the_model_by_name(tmp_path: Path) -> None:
    values = plain(inputs=None, image=np.zeros((N, 4, 4, 1), np.uint8), words=np.ones((N, 5), np.int64), w=np.ones(N))
    splits: Any = arrays(saved(tmp_path, **values), "classification", inputs=["image", "words"], weights="w")
    assert {name: (array.shape, array.dtype.name) for name, array in splits.train.inputs.items()} == {
        "image": ((12, 4, 4, 1), "uint8"),
        "words": ((12, 5), "int32"),
    }
    assert splits.train.weights is not None
    assert splits.train.weights.shape == (12,)


def test_arrays_of_a_folder_are_mapped_into_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x_train.npy", np.zeros((10, 3), np.float32))
    np.save(tmp_path / "y_train.npy", np.arange(10.0))
    splits: Any = arrays(str(tmp_path), "regression", validation=0, test=0)
    assert isinstance(splits.train.inputs, np.memmap)
    assert splits.train.targets.tolist() == list(range(10))
    before = array_files.fingerprint(str(tmp_path))
    np.save(tmp_path / "y_train.npy", np.arange(10.0) + 1)
    assert array_files.fingerprint(str(tmp_path)) != before


def test_groups_times_and_parts_come_from_an_array(tmp_path: Path) -> None:
    site, days = np.arange(N) // 4, np.arange("2024-01-01", "2024-01-21", dtype="datetime64[D]")
    part = np.repeat(["train", "val", "test"], [10, 6, 4])
    path = saved(tmp_path, **plain(site=site, days=days[::-1], part=part))
    grouped = numbers(arrays(path, "classification", split="group", split_column="site"))
    assert sorted(len({int(number) // 4 for number in each}) for each in grouped) == [1, 1, 3]
    timed = numbers(arrays(path, "classification", split="time", split_column="days"))
    assert timed == [list(range(8, 20)), list(range(4, 8)), list(range(4))]
    said = numbers(arrays(path, "classification", split="column", split_column="part"))
    assert said == [list(range(10)), list(range(10, 16)), list(range(16, 20))]


def test_validation_and_test_examples_in_files_of_their_own(tmp_path: Path) -> None:
    path = saved(tmp_path, **plain())
    other = saved(tmp_path, "test.npz", inputs=np.full((2, 1), 100), targets=np.array([1, 0]))
    splits: Any = arrays(path, "classification", validation=4, test_path=other)
    assert splits.test.inputs.ravel().tolist() == [100, 100]
    assert splits.test.targets.tolist() == [1, 0]
    assert [len(each) for each in numbers(splits)] == [16, 4, 2]


def test_the_check_of_a_config_counts_the_training_examples(tmp_path: Path) -> None:
    node = {"_target_": "...", "path": saved(tmp_path, **plain()), "batch_size": 13}
    with pytest.raises(ConfigError, match=r"data\.batch_size: must be from 1 to 12, the training examples; got 13"):
        array_files.check(node, Task())


NAN = np.arange(N, dtype=np.float32)[:, np.newaxis].copy()
NAN[7] = np.nan
BAD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"targets": None}, {}, "data.target: no array 'targets' in {path}. Arrays: inputs"),
    ({"inputs": None}, {}, "data.inputs: no array 'inputs' in {path}"),
    ({}, {"inputs": ["input"]}, "data.inputs: no array 'input' in {path}; did you mean 'inputs'?"),
    ({}, {"inputs": []}, "data.inputs: must name an array"),
    ({}, {"path": "{folder}/x.npy"}, "data.path: {folder}/x.npy is one array; name its folder"),
    ({}, {"path": "{folder}/empty"}, "data.path: no .npy files in the folder"),
    ({}, {"path": "{folder}/text.npz"}, "data.path: {folder}/text.npz holds pickled objects or is no file of NumPy"),
    ({}, {"path": "{folder}/cut.npz"}, "data.path: {folder}/cut.npz is no file of NumPy that can be read"),
    ({}, {"path": "{folder}/dat.npz"}, "did you mean 'data.npz'"),
    ({"inputs": np.array([{}] * N)}, {}, "data.path: {path} holds pickled objects"),
    ({"inputs": NAN}, {}, "'inputs' in {path} has NaN or infinite numbers, in example 7 (from 0)"),
    ({"inputs": np.array(["a"] * N)}, {}, "'inputs' in {path} has the type <U1; inputs are numbers"),
    ({"inputs": np.full((N, 1), 2**40)}, {}, "'inputs' in {path} has whole numbers of more than 32 bits"),
    ({"inputs": np.zeros((N - 1, 1))}, {}, "'inputs' in {path} has 19 examples, 'targets' has 20"),
    ({"inputs": np.zeros((0, 1)), "targets": np.zeros(0)}, {}, "the array 'inputs' in {path} has no examples"),
    ({"targets": np.eye(N)}, {}, "classification needs one class an example, and 'targets' has 20 values"),
    ({"targets": np.arange(N) / 7}, {}, "'targets' has numbers with fractions"),
    ({"targets": np.full(N, np.nan)}, {"task": "regression"}, "20 of 20 rows have no value in 'targets'"),
    ({"targets": np.array(["a"] * N)}, {"task": "regression"}, "regression needs numbers, 'targets' has others"),
    ({"w": np.ones(3)}, {"weights": "w"}, "data.weights: 'w' must be 20 numbers, got float64 (3,)"),
    ({"w": -np.ones(N)}, {"weights": "w"}, "data.weights: 'w' must be at least 0"),
    (
        {"g": np.zeros((N, 2))},
        {"split": "group", "split_column": "g"},
        "data.split_column: 'g' must have the shape (20,)",
    ),
    ({"g": np.full(N, np.nan)}, {"split": "time", "split_column": "g"}, "data.split_column: 'g' has NaN, in example 0"),
    ({"g": np.array(["a"] * N)}, {"split": "time", "split_column": "g"}, "'g' must have numbers or dates, got <U1"),
    ({"x_train": np.zeros((9, 1))}, {}, "data.target: no array 'y_train'"),
    (
        {"x_train": np.zeros((9, 1)), "y_train": np.arange(9)},
        {"weights": "w"},
        "data.weights: not read where {path} has x_train",
    ),
    (
        {"x_train": np.zeros((9, 1)), "y_train": np.arange(9)},
        {"split": "time", "split_column": "w"},
        "data.split: {path} is split already",
    ),
]


@pytest.mark.parametrize(("changed", "options", "message"), BAD, ids=[message[:70] for *_, message in BAD])
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, changed, options: dict[str, Any], message: str) -> None:
    path = saved(tmp_path, **plain(**changed))
    np.save(tmp_path / "x.npy", np.zeros(3))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "cut.npz").write_bytes(Path(path).read_bytes()[:200])
    names = {"path": path, "folder": str(tmp_path)}
    options = {key: value.format(**names) if isinstance(value, str) else value for key, value in options.items()}
    with pytest.raises(ConfigError) as raised:
        arrays(**({"path": path, "task": "classification"} | options))
    assert message.format(**names) in str(raised.value)
    assert str(raised.value).startswith("data.")
    assert "\n" not in str(raised.value)
