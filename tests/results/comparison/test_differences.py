"""What makes two configs differ: a line a leaf."""

import math
import pickle
from typing import Any

import pytest

from hposweep.results.comparison.differences import unequal_leaves

ALIKE: list[Any] = [
    *(None, True, 1, 1.0, "1", b"1", math.nan, math.inf, -0.0, [], {}),
    *([math.nan, [math.nan]], [{"a": math.nan}], {"a": {1: math.nan}}, {True: "x", 2: [1, "a"]}),
]
UNLIKE: list[tuple[Any, Any]] = [
    *((1, True), (1, 1.0), (1, "1"), ("1", b"1"), (math.nan, 1.0), (math.nan, None), (0, None), ([], {}), ([], None)),
    *(([1], [1.0]), ([1], [True]), ([1, 2], [1]), ([{"a": 1}], [{"a": 2}]), ([{"a": 1}], [{"b": 1}])),
]


@pytest.mark.parametrize("value", ALIKE, ids=repr)
def test_what_is_alike_is_no_difference(value: Any) -> None:
    # Other objects, as another file gives them: to Python the NaN of one file is not that of another.
    again = pickle.loads(pickle.dumps(value))
    assert list(unequal_leaves("", {"key": value}, {"key": again})) == []


@pytest.mark.parametrize(("one", "other"), UNLIKE, ids=repr)
def test_what_yaml_writes_in_two_ways_is_one(one: Any, other: Any) -> None:
    for first, second in ((one, other), (other, one)):
        (line,) = unequal_leaves("", {"a": {"key": first}}, {"a": {"key": second}})
        assert line == f"a.key: {first!r} -> {second!r}"
