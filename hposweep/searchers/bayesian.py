"""Bayesian optimization: a Gaussian process of the loss, and the point of the largest expected improvement."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hposweep.errors import ConfigError
from hposweep.search_space import Configuration, SearchSpace
from hposweep.search_space.priors import LARGEST_QUANTILE
from hposweep.searchers import Exhausted
from hposweep.searchers.encoding import Encoding
from hposweep.searchers.expected_improvement import ExpectedImprovement, promising_points
from hposweep.searchers.gaussian_process import GaussianProcess, KernelParameters, fit
from hposweep.searchers.observations import Observations, Results
from hposweep.searchers.one_thread import one_blas_thread
from hposweep.searchers.tried import LARGEST_LISTED, Tried
from hposweep.searchers.warping import POWERS, half_rank, standardized_power
from hposweep.trial import Trial, TrialState

MOST_KEPT = 192  # results in the model, whose time grows with their cube
MOST_FITTED = 128  # results that kernels are fitted to, which is the longest part of an ask
ALWAYS_FITTED = 20  # up to this many results each new one moves the kernel's parameters
# Every third trial is proposed by the model without a power: one that spreads the losses near a local minimum may find
# improvements too small to matter there, and search nowhere else.
EVERY_PLAIN = 3
N_GOOD = 8  # points near which the next one is searched, besides everywhere


@dataclass(frozen=True)
class Model:
    """What is fitted: how losses are transformed, and the kernel."""

    power: float  # of `standardized_power`
    parameters: KernelParameters
    log_density: float  # of the parameters and the losses together, up to a constant


@dataclass
class BayesianSearcher:
    """Models the loss by a Gaussian process and proposes where the expected improvement is the largest.

    As Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box Functions", Journal of Global
    Optimization 13, 1998, with a Matérn 5/2 kernel and the logarithm of the expected improvement (Ament et al., NeurIPS
    2023). What differs:

    - An improvement is one over the smallest posterior mean, not over the smallest loss, which noise may have made.
    - Losses are transformed first: those above the median by their ranks (`half_rank`), then all by the power that
      makes the model the most probable (`standardized_power`), but for every third trial.
    - A trial under way has its posterior mean for a loss, or the smallest of all means where that is larger, until its
      result is there (after the kriging believer of Ginsbourger, Le Riche and Carraro, "Kriging Is Well-Suited to
      Parallelize Optimization", 2010). One that waits at a rung has a result and needs none.
    - Kernel parameters are fitted when the results have grown by a tenth, always from the same start: they are a
      function of those results, and a resumed sweep needs one fit.
    - Where a scheduler cuts trials into segments, the epoch of a result is one more input of the model, and the
      expected improvement is that at the largest epoch so far. So all rungs teach (after Swersky, Snoek and Adams,
      "Multi-Task Bayesian Optimization", NeurIPS 2013; ours has a kernel over the logarithm of epochs, not over tasks).

    Args:
        n_startup: results before there is a model; until then, points of Sobol's sequence spread evenly. None: twice as
            many as searched hyperparameters, but from 5 to 10.

    Raises:
        ConfigError: if `n_startup` is below 1 or no whole number.
    """

    search_space: SearchSpace
    seed: int
    n_startup: int | None = None
    _observations: Observations = field(init=False, repr=False)
    _tried: Tried = field(init=False, repr=False)
    _encoding: Encoding | None = field(default=None, init=False, repr=False)  # once there is a result
    _taken: set[bytes] = field(default_factory=set, init=False, repr=False)  # points of trials
    _fitted: tuple[tuple[int, int], list[Model]] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.n_startup is not None and (type(self.n_startup) is not int or self.n_startup < 1):
            raise ConfigError(f"n_startup: must be null or a whole number from 1, got {self.n_startup!r}")
        self._observations = Observations(self.search_space)
        self._tried = Tried(self.search_space, self.seed)

    @one_blas_thread()
    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Exhausted:
        if self._tried.is_all:
            return Exhausted()
        if self._observations.n_results < self._n_startup:
            points: Iterable[np.ndarray] = [self._startup_point(number)]
        else:
            points = self._promising_points(number, pending)
        found = (self.search_space.from_unit_cube(point[np.newaxis])[0] for point in points)
        draws = itertools.chain(found, self.search_space.samples(self.seed, number))
        first = next(draws)
        new = self._tried.first_new(number, itertools.chain([first], draws))
        if new is None and self.search_space.n_configurations <= LARGEST_LISTED:
            return Exhausted()
        return new or first

    def start(self, trial: Trial) -> None:
        self._tried.add(trial.configuration)
        self._observations.start(trial)
        self._taken.add(self._observations.pending([trial]).tobytes())

    def tell(self, trial: Trial, loss: float) -> None:
        if self._encoding is None:
            self._encoding = Encoding(self.search_space, with_fidelity=trial.target_epoch is not None)
        self._observations.tell(trial, loss)

    @property
    def _n_startup(self) -> int:
        return self.n_startup or min(max(5, 2 * len(self.search_space)), 10)

    def _startup_point(self, number: int) -> np.ndarray:
        """Point `number` of a scrambled sequence, which depends on the seed alone."""
        from scipy.stats import qmc

        if not len(self.search_space):
            return np.empty(0)
        sequence = qmc.Sobol(len(self.search_space), seed=self.seed)
        if number:  # SciPy's fast_forward(0) overflows
            sequence.fast_forward(number)
        point: np.ndarray = np.minimum(sequence.random(1)[0], LARGEST_QUANTILE)
        return point

    def _promising_points(self, number: int, pending: Sequence[Trial]) -> np.ndarray:
        """Points of a large expected improvement, the largest first."""
        assert self._encoding is not None
        results = self._observations.all()
        largest_epoch = int(results.epochs.max())
        model = self._model(results, largest_epoch, number)
        points, inputs, losses = self._training_set(results, largest_epoch, MOST_KEPT)
        targets, _ = standardized_power(losses, model.power)
        process = GaussianProcess(model.parameters, inputs, self._encoding.groups, targets)

        means = process.mean(self._encoding.inputs(points))
        best = float(means.min())
        under_way = self._observations.pending([trial for trial in pending if trial.state is not TrialState.PAUSED])
        if len(under_way):
            inputs = self._encoding.inputs(under_way)
            process = process.with_values(inputs, np.maximum(process.mean(inputs), best))
        good = points[np.argsort(means, kind="stable")[:N_GOOD]]
        improvement = ExpectedImprovement(process, self._encoding, best)
        return promising_points(improvement, good, self._taken, np.random.default_rng([self.seed, number]))

    def _model(self, results: Results, largest_epoch: int, number: int) -> Model:
        """The model of the first results, as many as `n_fitted` says, by which trial `number` is proposed."""
        key = n_fitted(len(results)), largest_epoch
        if self._fitted is None or self._fitted[0] != key:
            self._fitted = key, self._fit(results[: key[0]], largest_epoch)
        models = self._fitted[1]
        if number % EVERY_PLAIN == 0:
            return models[POWERS.index(1.0)]
        return max(models, key=lambda model: model.log_density)

    def _fit(self, results: Results, largest_epoch: int) -> list[Model]:
        """The most probable models of these results, one for each power."""
        assert self._encoding is not None
        _, inputs, losses = self._training_set(results, largest_epoch, MOST_FITTED)
        models = []
        for power in POWERS:
            targets, log_slopes = standardized_power(losses, power)
            parameters, log_density = fit(inputs, self._encoding.groups, targets)
            models.append(Model(power, parameters, log_density + log_slopes))
        return models

    def _training_set(
        self, results: Results, largest_epoch: int, most: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points, inputs and losses of the most telling results."""
        assert self._encoding is not None
        losses = results.finite()
        rows = most_telling(losses, most)
        points = results.points[rows]
        fidelity = fidelities(results.epochs[rows], largest_epoch)
        return points, self._encoding.inputs(points, fidelity), half_rank(losses[rows])


def fidelities(epochs: np.ndarray, largest: int) -> np.ndarray:
    """Epochs on a logarithmic scale, where 1 epoch is 0 and the largest number is 1; 0 stands for the largest, too."""
    trained = np.where(epochs > 0, epochs, max(largest, 1))
    return 1 - np.log(largest / trained) / math.log(max(largest, 2)) if largest else np.ones(len(epochs))


def n_fitted(n_results: int) -> int:
    """To how many of the results the kernel was last fitted: all of the first ones, then at steps of a tenth."""
    fitted = min(n_results, ALWAYS_FITTED)
    while fitted + fitted // 10 <= n_results and fitted >= ALWAYS_FITTED:
        fitted += fitted // 10
    return fitted


def most_telling(losses: np.ndarray, most: int) -> np.ndarray:
    """Which results a model keeps, in their order: all, or the best, the last, and others evenly by their ranks.

    Without the last ones a model could forget a result that it has just asked for, and ask again.
    """
    n = len(losses)
    if n <= most:
        return np.arange(n)
    ranked = np.argsort(losses, kind="stable")
    best, others = ranked[: most // 2], ranked[most // 2 :]
    is_last = others >= n - most // 4
    last, others = others[is_last], others[~is_last]
    evenly = np.linspace(0, len(others) - 1, most - len(best) - len(last)).astype(int)
    return np.sort(np.concatenate([best, last, others[evenly]]))
