"""Latin hypercube search: in each block of trials every hyperparameter has values from all parts of its range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hposweep.search_space import Configuration, SearchSpace
from hposweep.search_space.priors import LARGEST_QUANTILE
from hposweep.searchers import Exhausted
from hposweep.searchers.options import check_count
from hposweep.searchers.tried import Tried
from hposweep.trial import Trial


@dataclass(frozen=True)
class LatinHypercubeSearcher:
    """Draws blocks of n trials that have, of each hyperparameter, one value from each of n equal parts of probability.

    McKay, Beckman and Conover, Technometrics 21, 1979. A block depends on the seed and its own number alone, so that
    trials that are added to a sweep change none before them. Trials that the user starts leave out the points of their
    numbers.

    Where all values are options or whole numbers, a trial whose configuration was tried is drawn from those left.

    Args:
        block: trials of a block.

    Raises:
        ConfigError: if a block has not two trials or more.
    """

    search_space: SearchSpace
    seed: int
    block: int = 16
    _tried: Tried = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_count("block", self.block, 2)
        object.__setattr__(self, "_tried", Tried(self.search_space, self.seed))

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Exhausted:
        if self._tried.is_all:
            return Exhausted()
        return self._tried.at_point(number, self.point(number))

    def start(self, trial: Trial) -> None:
        self._tried.add(trial.configuration)

    def tell(self, trial: Trial, loss: float) -> None:
        """The draws are fixed."""

    def point(self, number: int) -> np.ndarray:
        """The point of trial `number`, of shape (d,), values in [0, 1)."""
        from scipy.stats import qmc

        block, row = divmod(number, self.block)
        rng = np.random.default_rng([self.seed, block])
        points = qmc.LatinHypercube(len(self.search_space), seed=rng).random(self.block)
        # SciPy's largest value is 1, by rounding.
        point: np.ndarray = np.minimum(points[row], LARGEST_QUANTILE)
        return point
