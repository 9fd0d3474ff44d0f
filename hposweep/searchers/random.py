"""Random search: every configuration is drawn from the prior of the search space."""

from collections.abc import Sequence
from dataclasses import dataclass

from hposweep.search_space import Configuration, SearchSpace
from hposweep.trial import Trial


@dataclass(frozen=True)
class RandomSearcher:
    """Draws trials independently (Bergstra and Bengio, JMLR 13, 2012)."""

    search_space: SearchSpace
    seed: int

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration:
        return self.search_space.sample(self.seed, number)

    def start(self, trial: Trial) -> None:
        """A draw depends on no other trial."""

    def tell(self, trial: Trial, loss: float) -> None:
        """Random search does not learn from results."""
