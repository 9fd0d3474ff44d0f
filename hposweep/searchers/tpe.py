"""TPE, the tree-structured Parzen estimator: looks where good configurations are dense and bad ones are not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hposweep.search_space import Configuration, SearchSpace
from hposweep.searchers import Exhausted
from hposweep.searchers.observations import Observations
from hposweep.searchers.one_thread import one_blas_thread
from hposweep.searchers.options import check_count, check_share
from hposweep.searchers.parzen import ParzenEstimator
from hposweep.searchers.tried import Tried
from hposweep.trial import Trial

MOST_GOOD = 25
MOST_BAD = 1000  # the newest: a proposal takes milliseconds after any number of trials


@dataclass
class TpeSearcher:
    """Proposes, of some draws from the density l of good configurations, the one with the largest l / g.

    Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011, section 4. l is
    estimated from the best share `gamma` of the trials, 25 at most, and g, the density of bad ones, from the others;
    each over all hyperparameters together (see `ParzenEstimator`), so that it knows which values belong together.

    Trials that are under way without a result count as bad, so that parallel workers keep apart. A trial under a
    scheduler has its last loss, whatever its epochs. A failure is worse than any loss, and never good.

    Args:
        n_startup_trials: so many results are of draws from the prior before anything is estimated.
        gamma: the share of good trials.
        n_candidates: draws from l.

    Raises:
        ConfigError: if an option is out of its range.
    """

    search_space: SearchSpace
    seed: int
    n_startup_trials: int = 10
    gamma: float = 0.15
    n_candidates: int = 24
    _tried: Tried = field(init=False, repr=False)
    _observations: Observations = field(init=False)

    def __post_init__(self) -> None:
        check_count("n_startup_trials", self.n_startup_trials, 1)
        check_share("gamma", self.gamma, may_be_0=False)
        check_count("n_candidates", self.n_candidates, 1)
        self._tried = Tried(self.search_space, self.seed)
        self._observations = Observations(self.search_space)

    @one_blas_thread()
    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Exhausted:
        if self._tried.is_all:
            return Exhausted()
        return self._tried.new_if_possible(number, self._draws(number, pending))

    def start(self, trial: Trial) -> None:
        self._tried.add(trial.configuration)
        self._observations.start(trial)

    def tell(self, trial: Trial, loss: float) -> None:
        self._observations.tell(trial, loss)

    def _draws(self, number: int, pending: Sequence[Trial]) -> Iterator[Configuration]:
        """What trial `number` may be, the best first, and then draws from the prior without end."""
        results = self._observations.last_of_each()
        if len(results) >= self.n_startup_trials:
            good, bad = self._split(results.losses)
            lies = self._observations.pending([each for each in pending if not self._observations.has_result(each)])
            density_of_good = ParzenEstimator(self.search_space, results.points[good])
            density_of_bad = ParzenEstimator(self.search_space, np.vstack([results.points[bad], lies])[-MOST_BAD:])
            candidates = density_of_good.sample(self.n_candidates, np.random.default_rng([self.seed, number]))
            ratios = density_of_good.log_density(candidates) - density_of_bad.log_density(candidates)
            for row in np.argsort(-ratios, kind="stable"):
                yield from self.search_space.from_unit_cube(candidates.points[[row]])
        yield from self.search_space.samples(self.seed, number)

    def _split(self, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The positions of the good and of the bad losses, each in their order; of equal losses the older is better."""
        n_good = min(math.ceil(self.gamma * len(losses)), MOST_GOOD, int(np.isfinite(losses).sum()))
        order = np.argsort(losses, kind="stable")
        return np.sort(order[:n_good]), np.sort(order[n_good:])
