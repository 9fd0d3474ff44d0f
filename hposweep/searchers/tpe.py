"""TPE, the tree-structured Parzen estimator: looks where good configurations are dense and bad ones are not."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hposweep.search_space import Configuration, SearchSpace
from hposweep.searchers import Exhausted
from hposweep.searchers.observations import Observations, Results
from hposweep.searchers.one_thread import one_blas_thread
from hposweep.searchers.options import check_count, check_share
from hposweep.searchers.parzen import ParzenEstimator, improvement_weights
from hposweep.searchers.tried import Tried
from hposweep.shown_text import plural
from hposweep.trial import Trial

MOST_GOOD = 25
MOST_BAD = 1000  # the newest: a proposal takes milliseconds after any number of trials
WIDENING_OF_BAD = 1.5

Estimators = tuple[ParzenEstimator, ParzenEstimator]  # l and g


@dataclass
class TpeSearcher:
    """Proposes, of some draws from the density l of good configurations, the one with the largest l / g.

    Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011, section 4. l is
    estimated from the best share `gamma` of the trials, 25 at most, and g, the density of bad ones, from the others;
    each over all hyperparameters together (see `ParzenEstimator`), so that it knows which values belong together.

    A good trial weighs as much as it is better than the best of the others (Watanabe, arXiv:2304.11127, 2023). Unlike
    there, the kernels of g are 1.5 times as wide as those of l, which was better on benchmarks.

    Where options bring branches, the hyperparameters that are always active come first, the choices among them, and
    then those of the branches that were chosen, each branch with l and g of the trials that have it. So a branch is
    searched around its own best trials, be they worse than those of others (as Optuna's TPE does with `group`).

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

    def stage(self) -> str:
        """Whether anything is estimated yet."""
        n = self._observations.n_trials
        if n < self.n_startup_trials:
            return f"tpe: start-up, {n} of {plural(self.n_startup_trials, 'result')}"
        return f"tpe: densities of {plural(n, 'result')}"

    def _draws(self, number: int, pending: Sequence[Trial]) -> Iterator[Configuration]:
        """What trial `number` may be, first as l and g have it, and then draws from the prior without end."""
        results = self._observations.last_of_each()
        if len(results) >= self.n_startup_trials:
            lies = self._observations.pending([each for each in pending if not self._observations.has_result(each)])
            estimators = [self._estimators(branch, results, lies) for branch in self._branches]
            rng = np.random.default_rng([self.seed, number])
            for _ in range(self.n_candidates):
                yield from self.search_space.from_unit_cube(self._point(estimators, rng)[np.newaxis])
        yield from self.search_space.samples(self.seed, number)

    def _point(self, estimators: Sequence[Estimators], rng: np.random.Generator) -> np.ndarray:
        """A point of the unit cube, shape (d,), NaN where inactive."""
        point = np.full(len(self.search_space), math.nan)
        for branch, (good, bad) in zip(self._branches, estimators, strict=True):
            if self.search_space.is_active(point[np.newaxis])[0, branch[0]]:
                candidates = good.sample(self.n_candidates, rng)
                ratios = good.log_density(candidates) - bad.log_density(candidates)
                point[branch] = candidates.points[ratios.argmax()]
        return point

    def _estimators(self, branch: list[int], results: Results, lies: np.ndarray) -> Estimators:
        """l and g of the hyperparameters of a branch, from the trials that have it."""
        rows = ~np.isnan(results.points[:, branch[0]])
        points = results.points[rows][:, branch]
        losses = results.losses[rows]
        is_good = self._is_good(losses)
        weights = improvement_weights(losses[is_good], losses[~is_good])
        bad = np.vstack([points[~is_good], lies[~np.isnan(lies[:, branch[0]])][:, branch]])
        priors = [self.search_space.columns[column].prior for column in branch]
        return (
            ParzenEstimator(priors, points[is_good], weights),
            ParzenEstimator(priors, bad[-MOST_BAD:], widening=WIDENING_OF_BAD),
        )

    def _is_good(self, losses: np.ndarray) -> np.ndarray:
        """Which losses are among the best; of equal ones the older is better."""
        n_good = min(math.ceil(self.gamma * len(losses)), MOST_GOOD, int(np.isfinite(losses).sum()))
        found = np.zeros(len(losses), dtype=bool)
        found[np.argsort(losses, kind="stable")[:n_good]] = True
        return found

    @functools.cached_property
    def _branches(self) -> list[list[int]]:
        """The columns that are active together: those that always are, then those of each branch, below its choice."""
        found: dict[str, list[int]] = {}
        for column, dimension in enumerate(self.search_space.columns):
            found.setdefault(str(dimension.when), []).append(column)
        return list(found.values())
