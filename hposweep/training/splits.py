"""Splits examples into those to train on, to validate on and to test on: at random, by class, by group, by time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from hposweep.errors import ConfigError, nearest
from hposweep.training.examples import Splits
from hposweep.training.tasks import Task

How = Literal["auto", "random", "stratified", "group", "time", "column"]
BY_COLUMN = ("group", "time", "column")
# What the column of split=column may say, in small letters.
PART_OF = {"train": 0, "training": 0, "validation": 1, "val": 1, "test": 2}


class Parts(NamedTuple):
    """Indices of the examples of each part in ascending order; `val` and `test` may be empty."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def split(
    n: int,
    how: str,
    validation: float,
    test: float,
    seed: int,
    classes: np.ndarray | None = None,
    column: np.ndarray | None = None,
    column_name: str | None = None,
    has_files: bool = False,
) -> Parts:
    """Splits n examples; the same seed gives the same parts.

    Args:
        how: "random"; "stratified": each class in its share; "group": examples with the same value in the column stay
            together, as near to the shares as whole groups allow; "time": the last examples by the column are the test
            part, those before them the validation part; "column": the column says train, validation (or val) or test
            of each; "auto": stratified where there are classes, else random.
        validation, test: shares of the n examples, below 1, or numbers of examples, from 1 on; 0: no such part. With
            "column" they say nothing.
        classes: shape (n,), of tasks that have them.
        column: shape (n,), for "group", "time" and "column"; numbers or texts.
        has_files: whether validation or test examples are in files of their own, and not among the n.

    Raises:
        ConfigError: naming the key of `data` that is to blame.
    """
    how = check_method(how, classes is not None, column_name)
    if how == "column" and has_files:
        raise ConfigError("data.split: column says the parts, as do validation_path and test_path; give one")
    if how == "column":
        assert column is not None
        return by_column(column, column_name or "")
    n_val, n_test = n_held_out(n, validation, test)
    match how:
        case "stratified":
            assert classes is not None
            return stratified(classes, n_val, n_test, seed)
        case "group":
            assert column is not None
            return by_group(column, n_val, n_test, seed, column_name or "")
        case "time":
            assert column is not None
            return _in_order(np.argsort(column, kind="stable"), n_val, n_test)
    return _in_order(np.random.default_rng(seed).permutation(n), n_val, n_test)


def check_method(how: str, has_classes: bool, column_name: str | None) -> str:
    """The method that "auto" stands for, or `how` itself.

    Raises:
        ConfigError: if there is no such method, or it doesn't fit the task or the column.
    """
    if how not in get_args(How):
        allowed = list(get_args(How))
        raise ConfigError(f"data.split: no '{how}'{nearest(how, allowed)}Available: {', '.join(allowed)}")
    if how == "stratified" and not has_classes:
        raise ConfigError("data.split: stratified needs classes, and this task has none; use random, group or time")
    if how in BY_COLUMN and column_name is None:
        raise ConfigError(f"data.split_column: split={how} needs the name of a column")
    if how not in BY_COLUMN and column_name is not None:
        raise ConfigError(
            f"data.split_column: read by split=group, time and column alone; got {column_name} and split={how}"
        )
    if how == "auto":
        return "stratified" if has_classes else "random"
    return how


def n_held_out(n: int, validation: float, test: float) -> tuple[int, int]:
    """How many of n examples are for validation and for the test.

    Raises:
        ConfigError: if a part would be empty that is asked for, or nothing is left to train on.
    """
    n_val, n_test = (_number(n, key, value) for key, value in (("validation", validation), ("test", test)))
    if n_val + n_test >= n:
        raise ConfigError(
            f"data.validation, data.test: leave nothing of {n} examples to train on, got {validation:g} and {test:g}"
        )
    return n_val, n_test


def stratified(classes: np.ndarray, n_val: int, n_test: int, seed: int) -> Parts:
    """Each class in its share; less than one example of a class away from it, and exact in total.

    Raises:
        ConfigError: if a class has fewer examples than there are parts, or would have none to train on.
    """
    labels, counts = np.unique(classes, return_counts=True)
    n_parts = 1 + (n_val > 0) + (n_test > 0)
    if len(labels) < 2:
        raise ConfigError(f"data.target: all {len(classes)} examples are of one class, {labels[0]}")
    rare = int(counts.argmin())
    if counts[rare] < n_parts:
        raise ConfigError(
            f"data.split: class {labels[rare]} has {_examples(int(counts[rare]))} for {n_parts} parts; "
            "leave its rows out, or use split=random"
        )
    of_test = apportion(counts, n_test, counts - 1)
    of_val = apportion(counts, n_val, counts - 1 - of_test)
    if of_test.sum() < n_test or of_val.sum() < n_val:
        raise ConfigError(
            f"data.validation, data.test: can't take {n_val} and {n_test} of {len(classes)} examples so that each "
            "class keeps one to train on"
        )
    rng = np.random.default_rng(seed)
    part = np.zeros(len(classes), np.int8)
    for label, k_val, k_test in zip(labels, of_val, of_test, strict=True):
        shuffled = rng.permutation(np.flatnonzero(classes == label))
        part[shuffled[:k_test]] = 2
        part[shuffled[k_test : k_test + k_val]] = 1
    return _parts(part)


def apportion(counts: np.ndarray, n: int, at_most: np.ndarray) -> np.ndarray:
    """Distributes n seats in proportion to the counts, and at most so many each, by largest remainders.

    Fewer than n are given where rounding up would exceed what each may get.
    """
    shares = counts * n / counts.sum()
    seats = np.minimum(np.floor(shares).astype(int), at_most)
    by_remainder = np.argsort(seats - shares, kind="stable")
    may_have_more = by_remainder[(seats < at_most)[by_remainder]]
    seats[may_have_more[: n - seats.sum()]] += 1
    return np.asarray(seats)


def by_group(column: np.ndarray, n_val: int, n_test: int, seed: int, name: str) -> Parts:
    """Whole groups, taken in random order as long as each brings its part nearer to its number of examples.

    Raises:
        ConfigError: if there are fewer groups than parts.
    """
    groups, group_of, sizes = np.unique(column, return_inverse=True, return_counts=True)
    n_parts = 1 + (n_val > 0) + (n_test > 0)
    if len(groups) < n_parts:
        found = "1 group" if len(groups) == 1 else f"{len(groups)} groups"
        raise ConfigError(f"data.split_column: '{name}' has {found} for {n_parts} parts")
    left = list(np.random.default_rng(seed).permutation(len(groups)))
    part_of_group = np.zeros(len(groups), np.int8)
    for part, n in ((2, n_test), (1, n_val)):
        if n == 0:
            continue
        n_parts -= 1
        taken = _groups_near(n, sizes, left, n_parts)
        part_of_group[taken] = part
        left = [group for group in left if group not in set(taken)]
    return _parts(part_of_group[group_of])


def by_column(column: np.ndarray, name: str) -> Parts:
    """As the column says; in capitals or not.

    Raises:
        ConfigError: if it says something else, or of no example that it is for training.
    """
    texts = np.array([str(value).strip().lower() for value in column])
    unknown = np.flatnonzero(~np.isin(texts, list(PART_OF)))
    if len(unknown):
        raise ConfigError(
            f"data.split_column: '{name}' must say train, validation or test, got '{column[unknown[0]]}' "
            f"in row {unknown[0] + 1}"
        )
    parts = _parts(np.array([PART_OF[text] for text in texts], np.int8))
    if not len(parts.train):
        raise ConfigError(f"data.split_column: '{name}' says train of no row")
    return parts


def check_batch_size(batch_size: int | None, n_train: int) -> None:
    """Raises a ConfigError unless there are enough training examples for a batch; None: not said."""
    if batch_size is not None and not 1 <= batch_size <= n_train:
        raise ConfigError(f"data.batch_size: must be from 1 to {n_train}, the training examples; got {batch_size}")


def check_by_reading(read: Callable[..., Splits], arguments: Mapping[str, Any], task: Task) -> frozenset[str]:
    """Checks the node `data` of a config, as a plain dict, by reading the data.

    Args:
        read: the reader that the node names.

    Returns:
        The parts that there are, of "train", "val" and "test".

    Raises:
        ConfigError: as the reader, if a batch has more examples than there are, or if the task can't learn from them.
    """
    given = {key: value for key, value in arguments.items() if key not in ("_target_", "batch_size")}
    found = read(**given, task=task.kind)
    check_batch_size(arguments.get("batch_size"), len(found.train.targets))
    task.check(found)
    return found.parts


def _number(n: int, key: str, value: float) -> int:
    if value < 0 or (value >= 1 and value != int(value)) or value != value:
        raise ConfigError(f"data.{key}: must be a share below 1 or a whole number of examples, got {value}")
    number = round(n * value) if value < 1 else int(value)
    if value > 0 and number == 0:
        raise ConfigError(f"data.{key}: {value:g} of {_examples(n)} is none")
    return number


def _groups_near(n: int, sizes: np.ndarray, groups: list[int], n_kept: int) -> list[int]:
    """Some of the groups with about n examples; at least one, and `n_kept` groups are left."""
    taken: list[int] = []
    lacking = n
    for group in groups:
        if len(taken) == len(groups) - n_kept:
            break
        if abs(lacking - sizes[group]) < abs(lacking):
            taken.append(group)
            lacking -= int(sizes[group])
    return taken or [min(groups, key=lambda group: int(sizes[group]))]


def _in_order(order: np.ndarray, n_val: int, n_test: int) -> Parts:
    part = np.zeros(len(order), np.int8)
    end = len(order) - n_test
    part[order[end:]] = 2
    part[order[end - n_val : end]] = 1
    return _parts(part)


def _parts(part: np.ndarray) -> Parts:
    return Parts(*(np.flatnonzero(part == each) for each in range(3)))


def _examples(n: int) -> str:
    return "1 example" if n == 1 else f"{n} examples"
