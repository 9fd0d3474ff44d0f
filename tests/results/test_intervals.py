"""Wilson's interval, against figures that are known."""

import pytest

from hposweep.results.intervals import wilson_interval


@pytest.mark.parametrize(
    ("n_wrong", "n_examples", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion", Stat. Med. 17, 1998, table I.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_the_interval_is_the_known_one(n_wrong: int, n_examples: int, low: float, high: float) -> None:
    assert wilson_interval(n_wrong / n_examples, n_examples) == pytest.approx((low, high), abs=5e-5)
