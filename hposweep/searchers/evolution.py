"""Regularized evolution: mutations of good configurations, while old ones die whatever they are worth."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hposweep.search_space import Configuration, SearchSpace
from hposweep.searchers import Exhausted
from hposweep.searchers.moves import moved
from hposweep.searchers.options import check_count
from hposweep.searchers.tried import Tried
from hposweep.shown_text import plural
from hposweep.trial import Trial

STEP = 0.1  # standard deviation of a number's mutation, as a share of probability


@dataclass
class EvolutionSearcher:
    """Mutates the best of a random sample of the population; of the population only the youngest stay.

    Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019,
    Algorithm 1 (aging evolution). A mutation changes one hyperparameter: a number by a normal step, an option to any
    other, with what that brings drawn from the prior.

    Differences: nobody waits. A trial joins the population with its first result, at which its age begins, and so a
    child may have a parent that is older than `population_size` trials by number. The first `population_size` trials
    are drawn from the prior, and more while none has a result. A trial under a scheduler has its last loss.

    Args:
        population_size: P in the paper.
        sample_size: S in the paper: the parent is the best of so many members, drawn with replacement.

    Raises:
        ConfigError: if an option is out of its range.
    """

    search_space: SearchSpace
    seed: int
    population_size: int = 20
    sample_size: int = 10
    _tried: Tried = field(init=False, repr=False)
    _points: dict[int, np.ndarray] = field(default_factory=dict, init=False)  # by the trial's number
    _losses: dict[int, float] = field(default_factory=dict, init=False)  # in the order of the first results

    def __post_init__(self) -> None:
        check_count("population_size", self.population_size, 1)
        check_count("sample_size", self.sample_size, 1)
        self._tried = Tried(self.search_space, self.seed)

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Exhausted:
        if self._tried.is_all:
            return Exhausted()
        return self._tried.new_if_possible(number, self._draws(number))

    def start(self, trial: Trial) -> None:
        self._tried.add(trial.configuration)
        self._points[trial.number] = self.search_space.to_unit_cube([trial.configuration])[0]

    def tell(self, trial: Trial, loss: float) -> None:
        self._losses[trial.number] = loss

    def stage(self) -> str:
        """How full its population is."""
        n = len(self._losses)
        if n < self.population_size:
            return f"evolution: first population, {n} of {plural(self.population_size, 'result')}"
        return f"evolution: mutations of the youngest {self.population_size}"

    @property
    def population(self) -> list[int]:
        """The numbers of the members, the oldest first."""
        return list(itertools.islice(reversed(self._losses), self.population_size))[::-1]

    def _draws(self, number: int) -> Iterator[Configuration]:
        """What trial `number` may be, without end."""
        population = self.population
        if len(self._points) < self.population_size or not population:
            yield from self.search_space.samples(self.seed, number)
            return
        rng = np.random.default_rng([self.seed, number])
        while True:
            sample = rng.choice(population, self.sample_size)
            parent = self._points[min(sample, key=lambda member: (self._losses[member], member))]
            column = rng.choice(np.flatnonzero(~np.isnan(parent)))
            yield from self.search_space.from_unit_cube(
                moved(self.search_space, parent, [column], STEP, rng)[np.newaxis]
            )
