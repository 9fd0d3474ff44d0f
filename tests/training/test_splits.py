"""Splits into training, validation and test examples."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hposweep.errors import ConfigError
from hposweep.training import splits
from hposweep.training.splits import Parts, split

seeds = st.integers(0, 2**32 - 1)
shares = st.floats(0.1, 0.4)


def is_a_partition(parts: Parts, n: int) -> bool:
    return sorted(np.concatenate(parts)) == list(range(n)) and all((np.diff(part) > 0).all() for part in parts)


@given(n=st.integers(10, 300), validation=shares, test=shares, seed=seeds)
def test_a_random_split_is_complete_and_has_its_shares(n: int, validation: float, test: float, seed: int) -> None:
    parts = split(n, "random", validation, test, seed)
    assert is_a_partition(parts, n)
    assert abs(len(parts.val) - n * validation) <= 0.5
    assert abs(len(parts.test) - n * test) <= 0.5
    again = split(n, "random", validation, test, seed)
    assert all((one == other).all() for one, other in zip(parts, again, strict=True))


@given(
    counts=st.lists(st.integers(3, 40), min_size=2, max_size=6),
    validation=shares,
    test=shares,
    seed=seeds,
    shuffle=st.randoms(),
)
def test_a_stratified_split_gives_each_class_its_share(counts, validation, test, seed, shuffle) -> None:
    classes = np.repeat(np.arange(len(counts)), counts)
    shuffle.shuffle(classes)
    try:
        parts = split(len(classes), "stratified", validation, test, seed, classes)
    except ConfigError as error:
        # Only where rounding up would take a class's last example.
        assert "each class keeps one to train on" in str(error)
        assert min(counts) * (1 - validation - test) < 2
        return
    assert is_a_partition(parts, len(classes))
    for part, share in ((parts.val, len(parts.val)), (parts.test, len(parts.test))):
        expected = np.array(counts) * share / len(classes)
        found = np.bincount(classes[part], minlength=len(counts))
        assert (found > expected - 2).all()
        assert (found < expected + 1).all()
    assert (np.bincount(classes[parts.train], minlength=len(counts)) >= 1).all()
    assert (len(parts.val), len(parts.test)) == splits.n_held_out(len(classes), validation, test)


def test_a_class_is_less_than_one_example_away_from_its_share() -> None:
    classes = np.repeat(np.arange(4), [10, 20, 31, 39])
    parts = split(100, "auto", 0.33, 20, 0, classes)
    assert list(np.bincount(classes[parts.test])) == [2, 4, 6, 8]
    assert list(np.bincount(classes[parts.val])) == [3, 7, 10, 13]  # shares of 3.3, 6.6, 10.23 and 12.87


@given(groups=st.lists(st.integers(0, 9), min_size=12, max_size=120), validation=shares, test=shares, seed=seeds)
def test_groups_stay_together_as_near_to_the_share_as_they_allow(groups, validation, test, seed) -> None:
    column = np.array(groups)
    assume(len(set(groups)) >= 3)
    n = len(groups)
    parts = split(n, "group", validation, test, seed, column=column, column_name="site")
    assert is_a_partition(parts, n)
    inside = [set(column[part]) for part in parts]
    assert all(inside)
    assert not (inside[0] & inside[1] or inside[0] & inside[2] or inside[1] & inside[2])
    sizes = np.bincount(column)
    if len(inside[0]) > 1:
        # No group that went to training would have brought the last part nearer.
        lacking = round(n * validation) - len(parts.val)
        assert all(abs(lacking - sizes[group]) >= abs(lacking) for group in inside[0])


@given(times=st.lists(st.floats(-1e6, 1e6), min_size=10, max_size=100), validation=shares, test=shares, seed=seeds)
def test_time_passes_from_training_to_validation_to_test(times, validation, test, seed) -> None:
    column = np.array(times)
    parts = split(len(times), "time", validation, test, seed, column=column, column_name="date")
    assert is_a_partition(parts, len(times))
    assert column[parts.train].max() <= column[parts.val].min()
    assert column[parts.val].max() <= column[parts.test].min()


def test_a_column_says_the_parts() -> None:
    column = np.array(["train", "Val", "test ", "validation", "TRAIN"], object)
    parts = split(5, "column", 0.2, 0.2, 0, column=column, column_name="part")
    assert [list(part) for part in parts] == [[0, 4], [1, 3], [2]]


def test_another_seed_gives_another_split_of_each_kind() -> None:
    classes, column = np.repeat([0, 1], 50), np.arange(100) // 5
    for how, name in (("random", None), ("stratified", None), ("group", "site")):
        one, other = (split(100, how, 0.2, 0.2, seed, classes, column, name) for seed in (0, 1))
        assert list(one.val) != list(other.val)


def test_a_part_that_is_not_asked_for_is_empty() -> None:
    classes = np.repeat([0, 1], 5)
    for how in ("random", "stratified"):
        parts = split(10, how, 2, 0, 0, classes)
        assert [len(part) for part in parts] == [8, 2, 0]


BAD = [
    ({"how": "stratifed"}, "data.split: no 'stratifed'; did you mean 'stratified'?"),
    ({"how": "stratified"}, "data.split: stratified needs classes"),
    ({"how": "group"}, "data.split_column: split=group needs the name of a column"),
    ({"column_name": "site"}, "data.split_column: read by split=group, time and column alone; got site and split=auto"),
    ({"validation": 0.01}, "data.validation: 0.01 of 10 examples is none"),
    ({"test": 0.01}, "data.test: 0.01 of 10 examples is none"),
    ({"validation": 5, "test": 0.5}, "data.validation, data.test: leave nothing of 10 examples to train on"),
    ({"validation": -0.1}, "data.validation: must be a share below 1 or a whole number of examples, got -0.1"),
    ({"test": 2.5}, "data.test: must be a share below 1 or a whole number of examples, got 2.5"),
    ({"test": float("nan")}, "data.test: must be a share below 1"),
    ({"classes": np.zeros(10)}, "data.target: all 10 examples are of one class"),
    ({"classes": np.arange(10) == 3}, "data.split: class True has 1 example for 3 parts"),
    ({"how": "group", "column": np.arange(10) % 2, "column_name": "site"}, "'site' has 2 groups for 3 parts"),
    (
        {"how": "column", "column": np.array(["train"] * 9 + ["tset"]), "column_name": "part"},
        "data.split_column: 'part' must say train, validation or test, got 'tset' in row 10",
    ),
    (
        {"how": "column", "column": np.array(["test"] * 10), "column_name": "part"},
        "data.split_column: 'part' says train of no row",
    ),
    (
        {"how": "column", "column": np.array(["train"] * 10), "column_name": "part", "has_files": True},
        "data.split: column says the parts, as do validation_path and test_path",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[message[:60] for _, message in BAD])
def test_what_can_not_be_split_is_refused_in_one_line(arguments, message: str) -> None:
    given_arguments = {"n": 10, "how": "auto", "validation": 0.2, "test": 0.2, "seed": 0} | arguments
    with pytest.raises(ConfigError) as raised:
        split(**given_arguments)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
