"""Numbers as people read them."""

import math

import pytest

from hposweep.number_text import number_text, time_text
from hposweep.results.shown_values import value_shown
from hposweep.shown_text import plural


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1514, "0.1514"),
        (0.3, "0.3"),
        (0.0, "0"),
        (0.024544919521156016, "0.02454"),
        (1e-6, "1e-06"),
        (-0.00012345678, "-0.0001235"),
        (12.0, "12"),
        (9999.7, "10000"),
        (31068.67, "31069"),
        (-123456.7, "-123457"),
        (3106867.9220, "3.107e+06"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_has_the_digits_that_matter(value: float, text: str) -> None:
    assert number_text(value) == text


def test_values_of_hyperparameters_tell_null_from_text() -> None:
    assert [value_shown(value) for value in (0.123456, 1, None, "null", "", True)] == [
        *("0.1235", "1", "null", '"null"', '""', "true")
    ]


def test_counts_agree_with_their_nouns_and_times_with_their_units() -> None:
    assert [plural(n, "trial") for n in (0, 1, 1000)] == ["0 trials", "1 trial", "1,000 trials"]
    assert [time_text(seconds) for seconds in (1.5, 200, 3600 * 1234.5)] == [
        "1.5 seconds",
        "3.33 minutes",
        "1234 hours",
    ]
