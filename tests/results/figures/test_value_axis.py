"""The axis of a metric, for whatever values objectives return."""

import math

from hypothesis import given
from hypothesis import strategies as st

from hposweep.results.figures.style import LARGEST_FLOAT, ValueAxis
from hposweep.trial import Direction

VALUES = st.lists(st.floats(), max_size=12) | st.lists(st.floats(min_value=0, exclude_min=True), max_size=12)


@given(VALUES, VALUES, st.none() | st.sampled_from(Direction))
def test_any_values_have_an_axis_that_holds_those_that_must_be_inside(
    values: list[float], inside: list[float], better_half: Direction | None
) -> None:
    axis = ValueAxis.of(values, inside, better_half)
    assert -math.inf < axis.low < axis.high < math.inf
    assert all(math.isfinite(end) for end in axis.layout()["range"])
    assert all(axis.low <= value <= axis.high for value in inside if abs(value) < LARGEST_FLOAT)
    edge, higher = axis.with_edge()
    assert axis.high < edge < higher.high
