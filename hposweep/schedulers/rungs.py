"""Rungs: the budgets at which trials are compared, and the order of the trials on each."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field

from hposweep.errors import ConfigError


def rung_levels(r_min: int, r_max: int, eta: int) -> tuple[int, ...]:
    """Epochs at which trials are compared: r_min * eta**k below r_max, then r_max. (2, 10, 2) gives 2, 4, 8, 10.

    Raises:
        ConfigError: if they are no whole numbers, r_min is below 1 or above r_max, or eta is below 2.
    """
    for name, value, lowest in (("r_min", r_min, 1), ("r_max", r_max, 1), ("eta", eta, 2)):
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise ConfigError(f"{name}: must be a whole number of at least {lowest}, got {value!r}")
    if r_min > r_max:
        raise ConfigError(f"r_min: must be at most r_max ({r_max}), got {r_min}")
    levels, level = [], r_min
    while level < r_max:
        levels.append(level)
        level *= eta
    return (*levels, r_max)


@dataclass
class Rung:
    """The results at one level, the best first; the smaller trial number where two losses are equal.

    `add` and `rank` search a sorted list: they are fast with any number of results.
    """

    level: int
    results: list[tuple[float, int]] = field(default_factory=list)  # loss and trial number

    def add(self, trial: int, loss: float) -> None:
        """A trial has come to this level, or has failed on its way here: then its loss is infinite."""
        bisect.insort(self.results, (loss, trial))

    def rank(self, trial: int, loss: float) -> int:
        """How many results are better than this one, which need not stand here."""
        return bisect.bisect_left(self.results, (loss, trial))

    def living(self, position: int) -> int | None:
        """The trial at this position; None where there is none, or it failed or diverged."""
        if position >= len(self.results) or math.isinf(self.results[position][0]):
            return None
        return self.results[position][1]
