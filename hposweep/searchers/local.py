"""Local search: neighbours of the best configuration so far, and a random draw now and then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hposweep.search_space import Configuration, SearchSpace
from hposweep.searchers import Exhausted
from hposweep.searchers.moves import moved
from hposweep.searchers.observations import Observations
from hposweep.searchers.options import check_share
from hposweep.searchers.tried import Tried
from hposweep.trial import Trial


@dataclass
class LocalSearcher:
    """Proposes a neighbour of the incumbent, or with some probability a draw from the prior.

    The local searcher of the exercises in Zhang et al., "Dive into Deep Learning", section 19.2. A neighbour differs in
    one hyperparameter, often in two, sometimes in more: a number moves by a normal step, an option changes to any
    other, and what another option brings is drawn from the prior. The incumbent is the trial with the smallest last
    loss, whatever its epochs; while none has a finite one, all is drawn. Trials that are under way are not repeated.

    Args:
        probability_random: of a draw from the prior, from 0 to 1.
        step: standard deviation of a number's step, as a share of probability: 0.1 of a uniform range, say.

    Raises:
        ConfigError: if an option is out of its range.
    """

    search_space: SearchSpace
    seed: int
    probability_random: float = 0.2
    step: float = 0.1
    _tried: Tried = field(init=False, repr=False)
    _observations: Observations = field(init=False)

    def __post_init__(self) -> None:
        check_share("probability_random", self.probability_random, may_be_0=True)
        check_share("step", self.step, may_be_0=False)
        self._tried = Tried(self.search_space, self.seed)
        self._observations = Observations(self.search_space)

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Exhausted:
        if self._tried.is_all:
            return Exhausted()
        return self._tried.new_if_possible(number, self._draws(number))

    def start(self, trial: Trial) -> None:
        self._tried.add(trial.configuration)
        self._observations.start(trial)

    def tell(self, trial: Trial, loss: float) -> None:
        self._observations.tell(trial, loss)

    def _draws(self, number: int) -> Iterator[Configuration]:
        """What trial `number` may be, without end."""
        rng = np.random.default_rng([self.seed, number])
        incumbent = self._incumbent()
        if incumbent is None or rng.random() < self.probability_random:
            yield from self.search_space.samples(self.seed, number)
            return
        active = np.flatnonzero(~np.isnan(incumbent))
        while True:
            # One column surely, each other one with a chance that makes it one more on average.
            columns = active[(rng.random(len(active)) < 1 / len(active)) | (active == rng.choice(active))]
            yield from self.search_space.from_unit_cube(
                moved(self.search_space, incumbent, columns, self.step, rng)[np.newaxis]
            )

    def _incumbent(self) -> np.ndarray | None:
        """The point of the trial with the smallest last loss; None where none has a finite one."""
        results = self._observations.last_of_each()
        if not np.isfinite(results.losses).any():
            return None
        best: np.ndarray = results.points[results.losses.argmin()]
        return best
