"""Bayesian optimization: a Gaussian process of the loss, and the point of the largest expected improvement."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hposweep.errors import ConfigError
from hposweep.search_space import Configuration, SearchSpace
from hposweep.searchers import Exhausted
from hposweep.searchers.encoding import Encoding
from hposweep.searchers.expected_improvement import ExpectedImprovement, is_in_branch, promising_points
from hposweep.searchers.gaussian_process import GaussianProcess, KernelParameters, fit
from hposweep.searchers.observations import Observations, Results
from hposweep.searchers.one_thread import one_blas_thread
from hposweep.searchers.sobol import sobol_point
from hposweep.searchers.tried import LARGEST_LISTED, Tried
from hposweep.searchers.warping import POWERS, half_rank, standardized_power, unwarped
from hposweep.shown_text import plural
from hposweep.trial import Expected, Trial, TrialState

MOST_KEPT = 192  # results in the model, whose time grows with their cube
MOST_FITTED = 128  # results that kernels are fitted to, which is the longest part of an ask
ALWAYS_FITTED = 20  # up to this many results each new one moves the kernel's parameters
# Every third trial is proposed by the model without a power: one that spreads the losses near a local minimum may find
# improvements too small to matter there, and search nowhere else.
EVERY_PLAIN = 3
# Where so many results in a row are no better than those before, the model sees nothing more to gain, and may be wrong:
# losses that are steps are flat between them. Every second trial is then proposed by a model that is less sure of what
# lies away from its results.
STUCK_FOR = 16
EVERY_NARROW = 2
NARROW = 0.25  # of the length scales
# Every fourth trial is for a branch with too few trials. The expected improvement over the best of all branches knows
# that a branch may be better only as far as the kernel does, and that was fitted where most trials are.
EVERY_OF_BRANCH = 4
TRIALS_PER_COEFFICIENT = 2  # of a quadratic function of a branch's hyperparameters: enough trials there
N_DRAWN_FOR_BRANCHES = 1000  # points of the cube; what none of them lies in is no branch to care for
MOST_PENDING = 256  # trials under way, the newest, that the model believes in
MOST_UNPROMOTED = 32  # trials, the newest, that a model without their results keeps away from
FEWEST_LATE = 5  # results from a rung on, by which models are judged there
CERTAIN_FORESIGHT = 1.0  # standard deviations: one model in six has as much by chance
HALF_WIDTH = 1.959964  # of an interval with 95% probability, in standard deviations
N_GOOD = 8  # points near which the next one is searched, besides everywhere

Posterior = tuple[Results, GaussianProcess]
FittedTo = tuple[int, int, bool]  # the number of results, their largest epoch, and whether there are rungs


@dataclass(frozen=True)
class Model:
    """What is fitted: to which results, how losses are transformed, and the kernel."""

    first_epoch: int  # results at earlier epochs are left out
    power: float  # of `standardized_power`
    parameters: KernelParameters
    log_density: float  # of the parameters and the losses together, up to a constant

    def narrow(self) -> Model:
        """The model whose results tell less of what lies beside them."""
        parameters = replace(self.parameters, length_scales=NARROW * self.parameters.length_scales)
        return replace(self, parameters=parameters)


@dataclass
class BayesianSearcher:
    """Models the loss by a Gaussian process and proposes where the expected improvement is the largest.

    As Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box Functions", Journal of Global
    Optimization 13, 1998, with a Matérn 5/2 kernel and the logarithm of the expected improvement (Ament et al., NeurIPS
    2023). What differs:

    - An improvement is one over the smallest posterior mean, not over the smallest loss, which noise may have made.
    - Losses are transformed first: those above the median by their ranks (`half_rank`), then all by the power that
      makes the model the most probable (`standardized_power`), but for every third trial.
    - Where results are no better any more, every second trial is proposed by the model with shorter length scales,
      until there is a better one; but not under a scheduler, where most results are of early epochs.
    - A trial under way has its posterior mean for a loss, or the smallest of all means where that is larger, until its
      result is there (after the kriging believer of Ginsbourger, Le Riche and Carraro, "Kriging Is Well-Suited to
      Parallelize Optimization", 2010). One that waits at a rung has a result and needs none. Of very many, the newest
      have one: an ask takes the cube of their number.
    - Kernel parameters are fitted when the results have grown by a tenth, always from the same start: they are a
      function of those results, and a resumed sweep needs one fit.
    - Where a scheduler cuts trials into segments, the epoch of a result is one more input of the model, and the
      expected improvement is that at the largest epoch so far. So all rungs teach (after Swersky, Snoek and Adams,
      "Multi-Task Bayesian Optimization", NeurIPS 2013; ours has a kernel over the logarithm of epochs, not over tasks).
      Early epochs can mislead. So a second model has only the results from the last rung on that has enough of them (as
      in Falkner, Klein and Hutter, "BOHB", ICML 2018). The one is taken that better predicts the order of the losses
      there, each of a trial whose own results are left out; and only if it does so better than chance would. Until
      then trials spread evenly as at the start: those that a misleading model proposes are good at early epochs, and a
      scheduler would promote them in place of others.
    - Where options bring branches, every fourth trial is for the branch that has the fewest trials for its size, and
      there it is the best of this branch that is to be improved, be it worse than those of others.

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
    _has_rungs: bool = field(default=False, init=False, repr=False)  # whether a trial has come to one before the last
    _fitted: tuple[FittedTo, list[Model]] | None = field(default=None, init=False, repr=False, compare=False)
    # The last posterior, with its model and the number of results: who proposes is asked what it expects.
    _last: tuple[Model, int, Posterior] | None = field(default=None, init=False, repr=False, compare=False)

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

    @one_blas_thread()
    def expected(self, configurations: Sequence[Configuration]) -> list[Expected]:
        """The loss of a new trial of each configuration, by the most probable model, its noise included."""
        if self._observations.n_results < self._n_startup:
            return []
        assert self._encoding is not None
        results, largest_epoch = self._results()
        models = self._models(results, largest_epoch)
        if not models:
            return []
        model = most_probable(models)
        kept, process = self._posterior(model, results, largest_epoch)
        if not process.targets.any():  # all losses are equal, and have no unit
            return []
        points = self._encoding.clean(self.search_space.to_unit_cube(configurations))
        mean, deviation = process.posterior(self._encoding.inputs(points))
        half_width = HALF_WIDTH * np.sqrt(deviation**2 + model.parameters.noise_variance)
        targets = np.array([mean - half_width, mean, mean + half_width])
        losses = np.sort(unwarped(targets, kept.losses, model.power), axis=0)  # rounding may turn near ones round
        return [Expected(median, low, high, largest_epoch or None) for low, median, high in losses.T.tolist()]

    def start(self, trial: Trial) -> None:
        self._tried.add(trial.configuration)
        self._observations.start(trial)

    def tell(self, trial: Trial, loss: float) -> None:
        if self._encoding is None:
            self._encoding = Encoding(self.search_space, with_fidelity=trial.target_epoch is not None)
        self._has_rungs = self._has_rungs or trial.state in (TrialState.PAUSED, TrialState.STOPPED)
        self._observations.tell(trial, loss)

    def stage(self) -> str:
        """Whether there is a model yet, and of how many results."""
        n = self._observations.n_results
        if n < self._n_startup:
            return f"bayesian: start-up, {n} of {plural(self._n_startup, 'result')}"
        if self._fitted is not None and not self._fitted[1]:
            return f"bayesian: even spread, no model of {plural(n, 'result')} predicts late epochs"
        return f"bayesian: model of {plural(n, 'result')}"

    @property
    def _n_startup(self) -> int:
        return self.n_startup or min(max(5, 2 * len(self.search_space)), 10)

    def _startup_point(self, number: int) -> np.ndarray:
        """Point `number` of a scrambled sequence, which depends on the seed alone."""
        return sobol_point(len(self.search_space), self.seed, number)

    def _promising_points(self, number: int, pending: Sequence[Trial]) -> np.ndarray:
        """Points of a large expected improvement, the largest first."""
        assert self._encoding is not None
        results, largest_epoch = self._results()
        model = self._model(results, largest_epoch, number)
        if model is None:
            return self._startup_point(number)[np.newaxis]
        kept, process = self._posterior(model, results, largest_epoch)
        means = process.mean(self._encoding.inputs(kept.points))
        best = float(means.min())
        without_value = [trial for trial in pending if trial.state is not TrialState.PAUSED]
        under_way = self._observations.pending(without_value[-MOST_PENDING:])
        without_result = np.vstack([under_way, unpromoted(results.points, results.epochs >= model.first_epoch)])
        if len(without_result):
            inputs = self._encoding.inputs(without_result)
            process = process.with_values(inputs, np.maximum(process.mean(inputs), best))
        branches = [*self._neglected(number, under_way), None]
        found = (self._improving(process, kept.points, means, branch, number) for branch in branches)
        return next((points for points in found if len(points)), np.empty((0, len(self.search_space))))

    def _results(self) -> tuple[Results, int]:
        """All results, those without an epoch at the largest one, and that; 0 where no scheduler cuts trials."""
        results = self._observations.all()
        largest_epoch = int(results.epochs.max())
        return replace(results, epochs=np.where(results.epochs > 0, results.epochs, largest_epoch)), largest_epoch

    def _improving(
        self, process: GaussianProcess, known: np.ndarray, means: np.ndarray, branch: np.ndarray | None, number: int
    ) -> np.ndarray:
        """Points that may be better than the best known one, of a branch or of all; none where all were tried.

        Args:
            known: shape (n, d), points with results.
            means: shape (n,), of the model at them.
            branch: its inactive columns.
        """
        assert self._encoding is not None
        ranked = np.argsort(means, kind="stable")
        of_branch = ranked if branch is None else ranked[is_in_branch(known[ranked], branch)]
        good = of_branch if len(of_branch) else ranked
        improvement = ExpectedImprovement(process, self._encoding, float(means[good[0]]), branch)
        rng = np.random.default_rng([self.seed, number])
        return promising_points(improvement, known[good[:N_GOOD]], self._observations.seen, rng)

    def _neglected(self, number: int, under_way: np.ndarray) -> list[np.ndarray]:
        """The branches that this trial is for if they have a point left, by their inactive columns."""
        if not self.search_space.is_conditional or number % EVERY_OF_BRANCH != 1:
            return []
        return neglected(self._branches, np.vstack([self._observations.last_of_each().points, under_way]))

    @functools.cached_property
    def _branches(self) -> np.ndarray:
        """The columns that are inactive together: shape (n_branches, d)."""
        assert self._encoding is not None
        points = np.random.default_rng(self.seed).random((N_DRAWN_FOR_BRANCHES, len(self.search_space)))
        return np.unique(np.isnan(self._encoding.clean(points)), axis=0)

    def _model(self, results: Results, largest_epoch: int, number: int) -> Model | None:
        """The model for this trial; None where it may mislead."""
        models = self._models(results, largest_epoch)
        if not models:
            return None
        model = most_probable(models)
        if number % EVERY_PLAIN == 0:
            model = models[POWERS.index(1.0)]
        if number % EVERY_NARROW == 1 and not self._has_rungs and is_stuck(results.finite()):
            return model.narrow()
        return model

    def _models(self, results: Results, largest_epoch: int) -> list[Model]:
        """Those of the first results, as many as `n_fitted` says; none where they may mislead."""
        key = n_fitted(len(results)), largest_epoch, self._has_rungs
        if self._fitted is None or self._fitted[0] != key:
            self._fitted = key, self._most_reliable(results[: key[0]], largest_epoch)
        return self._fitted[1]

    def _most_reliable(self, results: Results, largest_epoch: int) -> list[Model]:
        """The models of all results, or of those at late epochs where all together mislead; none where both may."""
        first_epoch, late_epoch = int(results.epochs.min()), last_with(FEWEST_LATE, results.epochs)
        if late_epoch == first_epoch:
            return [] if self._has_rungs else self._fit(results, first_epoch, largest_epoch)
        of_all = self._fit(results, first_epoch, largest_epoch)
        of_late = self._fit(results, late_epoch, largest_epoch)
        found = [(self._foresight(models, results, late_epoch, largest_epoch), models) for models in (of_all, of_late)]
        foresight, models = max(found, key=lambda pair: pair[0])
        return models if foresight > CERTAIN_FORESIGHT else []

    def _fit(self, results: Results, first_epoch: int, largest_epoch: int) -> list[Model]:
        """The most probable models of the results from an epoch on, one for each power."""
        assert self._encoding is not None
        _, inputs, losses = self._training_set(results[results.epochs >= first_epoch], largest_epoch, MOST_FITTED)
        models = []
        for power in POWERS:
            targets, log_slopes = standardized_power(losses, power)
            parameters, log_density = fit(inputs, self._encoding.groups, targets)
            models.append(Model(first_epoch, power, parameters, log_density + log_slopes))
        return models

    def _foresight(self, models: list[Model], results: Results, epoch: int, largest_epoch: int) -> float:
        """The rank correlation of the losses at an epoch with what the most probable model predicts of new trials.

        In standard deviations of what it is by chance, where the one does not depend on the other.
        """
        kept, process = self._process(most_probable(models), results, largest_epoch, MOST_FITTED)
        _, trials = np.unique(np.nan_to_num(kept.points, nan=-1.0), axis=0, return_inverse=True)
        is_at_epoch = kept.epochs == epoch
        correlation = rank_correlation(process.means_without_own(trials)[is_at_epoch], process.targets[is_at_epoch])
        return correlation * math.sqrt(is_at_epoch.sum() - 1)

    def _posterior(self, model: Model, results: Results, largest_epoch: int) -> Posterior:
        """As `_process`, of as many results as are kept."""
        if self._last is None or self._last[0] is not model or self._last[1] != len(results):
            self._last = model, len(results), self._process(model, results, largest_epoch, MOST_KEPT)
        return self._last[2]

    def _process(self, model: Model, results: Results, largest_epoch: int, most: int) -> Posterior:
        """The model's posterior, and the results that it is given."""
        assert self._encoding is not None
        kept, inputs, losses = self._training_set(results[results.epochs >= model.first_epoch], largest_epoch, most)
        targets, _ = standardized_power(losses, model.power)
        return kept, GaussianProcess(model.parameters, inputs, self._encoding.groups, targets)

    def _training_set(self, results: Results, largest_epoch: int, most: int) -> tuple[Results, np.ndarray, np.ndarray]:
        """The most telling results, with finite losses, then their inputs, and the losses by half-ranks."""
        assert self._encoding is not None
        losses = results.finite()
        rows = most_telling(losses, results.epochs, most)
        kept = replace(results, losses=losses)[rows]
        inputs = self._encoding.inputs(kept.points, fidelities(kept.epochs, largest_epoch))
        return kept, inputs, half_rank(kept.losses)


def most_probable(models: Sequence[Model]) -> Model:
    """The first of the most probable ones."""
    return max(models, key=lambda model: model.log_density)


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


def is_stuck(losses: np.ndarray) -> bool:
    """Whether the newest ones, the last in the array, are not below those before."""
    return len(losses) > STUCK_FOR and bool(losses[:-STUCK_FOR].min() <= losses[-STUCK_FOR:].min())


def last_with(n_results: int, epochs: np.ndarray) -> int:
    """The last of these epochs from which on there are so many results; the first one where there are fewer."""
    return int(np.sort(epochs)[max(len(epochs) - n_results, 0)])


def neglected(branches: np.ndarray, points: np.ndarray) -> list[np.ndarray]:
    """The branches without enough of these points, the one with the fewest for its size first.

    Args:
        branches: shape (n_branches, d), the inactive columns of each.
        points: shape (n, d), clean.
    """
    n_active = (~branches).sum(axis=1)
    n_coefficients = (n_active + 1) * (n_active + 2) / 2
    n_points = np.array([is_in_branch(points, branch).sum() for branch in branches])
    shares = n_points / (n_coefficients * TRIALS_PER_COEFFICIENT)
    return [branches[i] for i in np.argsort(shares, kind="stable") if shares[i] < 1]


def unpromoted(points: np.ndarray, is_in: np.ndarray) -> np.ndarray:
    """The points of trials that have no result among those that are in, the newest of them: shape (n, d)."""
    if is_in.all():  # as without rungs, where there may be ten thousands
        return np.empty((0, points.shape[1]))
    known = {point.tobytes() for point in points[is_in]}
    found = {point.tobytes(): point for point in points[~is_in][::-1] if point.tobytes() not in known}
    return np.array(list(found.values())[:MOST_UNPROMOTED]).reshape(-1, points.shape[1])


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's; 0 where one is constant."""
    if not (len(one) and np.ptp(one) > 0 and np.ptp(other) > 0):
        return 0.0
    ranks = np.vstack([np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (one, other)])
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def most_telling(losses: np.ndarray, epochs: np.ndarray, most: int) -> np.ndarray:
    """Which results a model keeps, in their order: all, or the best, the last, and others evenly by their ranks.

    One at a later epoch ranks before one at an earlier epoch. Without the last ones a model could forget a result that
    it has just asked for, and ask again.
    """
    n = len(losses)
    if n <= most:
        return np.arange(n)
    ranked = np.lexsort((losses, -epochs))
    best, others = ranked[: most // 2], ranked[most // 2 :]
    is_last = others >= n - most // 4
    last, others = others[is_last], others[~is_last]
    evenly = np.linspace(0, len(others) - 1, most - len(best) - len(last)).astype(int)
    return np.sort(np.concatenate([best, last, others[evenly]]))
