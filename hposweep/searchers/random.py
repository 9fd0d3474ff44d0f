"""Random search: every configuration is drawn from the prior of the search space."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hposweep.search_space import Configuration, SearchSpace
from hposweep.searchers import Exhausted
from hposweep.searchers.tried import Tried
from hposweep.trial import Trial


@dataclass(frozen=True)
class RandomSearcher:
    """Draws trials independently (Bergstra and Bengio, JMLR 13, 2012), and none twice while another is left.

    Where all values are options or whole numbers, a draw can repeat a trial before it. Then the trial is drawn again
    and, if that finds nothing new, from what is left. Its configuration still depends on the search space, the seed and
    its number alone, unless others than this searcher propose some. Where nothing is left, draws repeat; where nothing
    is searched, there is one trial.
    """

    search_space: SearchSpace
    seed: int
    _tried: Tried = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tried", Tried(self.search_space, self.seed))

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Exhausted:
        if not len(self.search_space) and self._tried.is_all:
            return Exhausted()
        return self._tried.new_if_possible(number, self.search_space.samples(self.seed, number))

    def start(self, trial: Trial) -> None:
        self._tried.add(trial.configuration)

    def tell(self, trial: Trial, loss: float) -> None:
        """Random search does not learn from results."""
