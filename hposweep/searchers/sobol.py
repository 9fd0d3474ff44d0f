"""Sobol' search: trials fill the search space more evenly than chance would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hposweep.search_space import Configuration, SearchSpace
from hposweep.searchers import Exhausted
from hposweep.searchers.tried import Tried
from hposweep.trial import Trial


@dataclass(frozen=True)
class SobolSearcher:
    """Takes trial i from point i of the scrambled Sobol' sequence.

    Owen, "Randomly permuted (t,m,s)-nets and (t,s)-sequences", 1995; the directions are those of Joe and Kuo, SIAM J.
    Sci. Comput. 30, 2008, and the scrambling is SciPy's. The first 2**m points are balanced, and so are the next 2**m.
    A column depends on the place of its hyperparameter in the search space: unlike in random search, one that is added
    moves those after it. Trials that the user starts leave out the points of their numbers.

    Where all values are options or whole numbers, a trial whose configuration was tried is drawn from those left.
    """

    search_space: SearchSpace
    seed: int
    _tried: Tried = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tried", Tried(self.search_space, self.seed))

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Exhausted:
        if self._tried.is_all:
            return Exhausted()
        return self._tried.at_point(number, self.point(number))

    def start(self, trial: Trial) -> None:
        self._tried.add(trial.configuration)

    def tell(self, trial: Trial, loss: float) -> None:
        """The sequence is fixed."""

    def point(self, number: int) -> np.ndarray:
        """Point `number` of the sequence, of shape (d,), values in [0, 1)."""
        return sobol_point(len(self.search_space), self.seed, number)


def sobol_point(n_columns: int, seed: int, number: int) -> np.ndarray:
    """Point `number` of the scrambled sequence, of shape (n_columns,), values in [0, 1): by the seed alone."""
    from scipy.stats import qmc

    sequence = qmc.Sobol(n_columns, seed=seed)
    if number:  # SciPy's fast_forward(0) overflows
        sequence.fast_forward(number)
    point: np.ndarray = sequence.random(1)[0]
    return point
