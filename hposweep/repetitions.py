"""A configuration under several seeds: its trials, and their mean."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Repetitions:
    """The values of the COMPLETE trials of one configuration, by their numbers.

    Its confirmations are trials that were run after all others because it was among the best. Once there are some,
    they alone tell how good it is: the values for which it was chosen had luck.
    """

    values: dict[int, float] = field(default_factory=dict)
    confirmations: dict[int, float] = field(default_factory=dict)

    @property
    def counting(self) -> Sequence[float]:
        """The values that tell how good it is."""
        return list((self.confirmations or self.values).values())

    @property
    def mean(self) -> float:
        """The mean of these.

        Raises:
            statistics.StatisticsError: if there are none.
        """
        return statistics.fmean(self.counting)

    @property
    def first(self) -> int:
        """The number of its first COMPLETE trial, which stands for all of them."""
        return min([*self.values, *self.confirmations])

    def rank_without_confirmations(self, sign: float) -> tuple[int, float, int]:
        """What sorted it as long as there were no confirmations; one without values has no rank."""
        return len(self.values), -sign * statistics.fmean(self.values.values()), -min(self.values)

    def rank(self, sign: float) -> tuple[int, int, float, int]:
        """Sorts the best one last: more confirmations first, then more trials, then the better mean.

        A configuration of which a seed has failed has fewer trials than the others, and is behind them.

        Args:
            sign: 1 where small values are the better ones, else -1.
        """
        return len(self.confirmations), len(self.values), -sign * self.mean, -self.first

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval of the mean over seeds (Student, "The Probable Error of a Mean", Biometrika 6, 1908).

        None with fewer than two values.
        """
        n = len(self.counting)
        if n < 2:
            return None
        from scipy.special import stdtrit  # late: only a sweep with repetitions pays for it

        half_width = float(stdtrit(n - 1, 0.975)) * statistics.stdev(self.counting) / math.sqrt(n)
        return self.mean - half_width, self.mean + half_width
