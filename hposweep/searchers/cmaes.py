"""CMA-ES, the covariance matrix adaptation evolution strategy: a normal distribution that moves, grows and turns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hposweep.optional_packages import needed_by
from hposweep.search_space import Choice, Configuration, Distribution, Hyperparameter, SearchSpace
from hposweep.searchers import Exhausted
from hposweep.searchers.moves import reflected
from hposweep.searchers.options import check_count
from hposweep.searchers.tried import MOST_DRAWS, Tried, identity
from hposweep.shown_text import plural
from hposweep.trial import Trial

MOST_LEVELS = 100  # whole numbers that are told apart; more are numbers of a continuous range that are rounded
FIRST_DEVIATION = 1 / 6  # standard deviation of the first generation, as a share of probability


@dataclass
class CmaesSearcher:
    """Samples generations from a distribution, and moves it to where the better half of each was.

    CatCMA with margin (Hamano et al., "CatCMA with Margin: Stochastic Optimization for Continuous, Integer, and
    Categorical Variables", GECCO 2025) of the package `cmaes`, over the unit cube: CMA-ES (Hansen, arXiv:1604.00772)
    for numbers, with a margin that keeps whole numbers from being fixed too early, and probabilities of the options.
    Of two whole numbers each is an option; more than 100 are rounded. A sample outside of the cube is reflected at its
    ends. There are no restarts: once the distribution has shrunk to a point, it stays.

    Nobody waits: as many trials as are asked for are sampled from one distribution, and the first `population_size`
    of them that have a result are the generation. Later results of that distribution are not used, and neither are
    those of trials that the user starts. The package is told ranks: equal losses rank in the order in which they came,
    failures come last, and a generation of failures alone changes nothing. A trial under a scheduler has its last loss
    when its generation is complete.

    It knows no branches: the columns of all of them are sampled, and those that are inactive rank with their trial.

    Args:
        population_size: trials of a generation; None: 4 + floor(3 ln d) for d hyperparameters.

    Raises:
        ConfigError: if a population has not four trials, or the package is not installed.
    """

    search_space: SearchSpace
    seed: int
    population_size: int | None = None
    _tried: Tried = field(init=False, repr=False)
    _samples: dict[int, Any] = field(default_factory=dict, init=False)  # of this distribution, by the trial's number
    _losses: dict[int, float] = field(default_factory=dict, init=False)  # of those, in the order of the first results

    def __post_init__(self) -> None:
        if self.population_size is not None:
            check_count("population_size", self.population_size, 4)
        self._tried = Tried(self.search_space, self.seed)
        levels = [_levels(dimension.prior) for dimension in self.search_space.columns]
        self._numbers = [column for column, each in enumerate(levels) if each is None]
        self._wholes: dict[int, list[float]] = {}  # the levels of whole numbers, by column
        self._options: dict[int, list[float]] = {}  # and of what has no order
        for column, each in enumerate(levels):
            if each is None or len(each) == 1:
                continue
            is_option = isinstance(self.search_space.columns[column].prior, Choice) or len(each) == 2
            (self._options if is_option else self._wholes)[column] = each
        self._distribution = self._first_distribution()

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Exhausted:
        if self._tried.is_all:
            return Exhausted()
        return self._tried.new_if_possible(number, (configuration for _, configuration in self._draws(number)))

    def start(self, trial: Trial) -> None:
        self._tried.add(trial.configuration)
        # What was sampled is not on record, but it is what is sampled again: nothing was told since it was proposed.
        for sample, configuration in itertools.islice(self._draws(trial.number), MOST_DRAWS):
            if identity(configuration) == identity(trial.configuration):
                self._samples[trial.number] = sample
                return

    def tell(self, trial: Trial, loss: float) -> None:
        if trial.number not in self._samples:
            return
        self._losses[trial.number] = loss
        if len(self._losses) == self._distribution.population_size:
            self._update()

    def stage(self) -> str:
        """Which generation it samples, from 1, and how much of that is there."""
        of_generation = f"{len(self._losses)} of {plural(self._distribution.population_size, 'result')}"
        return f"cmaes: generation {self._distribution.generation + 1}, {of_generation}"

    def _update(self) -> None:
        """Moves the distribution to the better ones of its generation, and begins the next."""
        ranked = sorted(self._losses, key=self._losses.__getitem__)
        has_shrunk = bool(self._numbers or self._wholes) and self._distribution.should_stop()
        if np.isfinite(self._losses[ranked[0]]) and not has_shrunk:
            self._distribution.tell([(self._samples[number], float(rank)) for rank, number in enumerate(ranked)])
        self._samples.clear()
        self._losses.clear()

    def _draws(self, number: int) -> Iterator[tuple[Any, Configuration]]:
        """Samples for trial `number` without end, as the package and as the search space have them."""
        self._distribution.reseed_rng(int(np.random.default_rng([self.seed, number]).integers(2**32)))
        while True:
            sample = self._distribution.ask()
            yield sample, self.search_space.from_unit_cube(self._point(sample)[np.newaxis])[0]

    def _point(self, sample: Any) -> np.ndarray:
        """The sample as a point of the unit cube, shape (d,)."""
        point = np.full(len(self.search_space), 0.5)
        if self._numbers:
            point[self._numbers] = reflected(sample.x)
        if self._wholes:
            point[list(self._wholes)] = sample.z
        for row, (column, levels) in enumerate(self._options.items()):
            point[column] = levels[sample.c[row].argmax()]
        return point

    def _first_distribution(self) -> Any:
        """That of the first generation: in the middle of the unit cube, and each option equally likely."""
        with needed_by("_target_: CMA-ES", "cmaes"):
            from cmaes import CatCMAwM

        n_normal = len(self._numbers) + len(self._wholes)
        return CatCMAwM(
            # Not [0, 1]: the package would move what is outside to the ends, where a prior has its extreme values.
            x_space=[[-math.inf, math.inf]] * len(self._numbers) or None,
            z_space=list(self._wholes.values()) or None,
            # A space without anything to vary has one trial, and its samples are not looked at.
            c_space=[len(levels) for levels in self._options.values()] or (None if n_normal else [2]),
            population_size=self.population_size,
            mean=np.full(n_normal, 0.5) if n_normal else None,
            sigma=FIRST_DEVIATION,
            cov=np.eye(n_normal) if n_normal else None,
        )


def _levels(prior: Hyperparameter) -> list[float] | None:
    """The quantiles of the values that are told apart, in order; None: those of a continuous range."""
    is_continuous = isinstance(prior, Distribution) and not (prior.integer and prior.n_values <= MOST_LEVELS)
    if is_continuous:
        return None
    return sorted({prior.quantile(value) for value in prior.grid(int(prior.n_values))})
