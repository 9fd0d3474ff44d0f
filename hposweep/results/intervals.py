"""Confidence intervals of errors that were measured on a number of examples."""

from __future__ import annotations

import math

QUANTILE_OF_95_PERCENT = 1.959963984540054  # of the normal distribution, at 0.975


def wilson_interval(error: float, n_examples: int) -> tuple[float, float]:
    """The 95% interval of a share that was observed on `n_examples` independent examples.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927. Near 0 and 1
    it stays inside of [0, 1] and keeps a width above 0, unlike the normal interval.
    """
    z2 = QUANTILE_OF_95_PERCENT**2
    center = (error + z2 / (2 * n_examples)) / (1 + z2 / n_examples)
    variance = error * (1 - error) / n_examples + z2 / (4 * n_examples**2)
    half_width = QUANTILE_OF_95_PERCENT / (1 + z2 / n_examples) * math.sqrt(variance)
    return max(0.0, center - half_width), min(1.0, center + half_width)


def overlap(one: tuple[float, float], other: tuple[float, float] | None) -> bool:
    """Whether both have a point in common; never with None, an unknown interval."""
    return other is not None and one[0] <= other[1] and other[0] <= one[1]
