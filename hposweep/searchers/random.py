"""Random search: every configuration is drawn from the prior of the search space."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from hposweep.search_space import Configuration, SearchSpace, uniform
from hposweep.searchers import Exhausted
from hposweep.trial import Trial

MOST_DRAWS = 100  # for one trial
LARGEST_LISTED = 10_000  # configurations of a space that are listed to find those that are left


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
    _tried: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Exhausted:
        if not len(self.search_space) and self._tried:
            return Exhausted()
        draws = itertools.islice(self.search_space.samples(self.seed, number), MOST_DRAWS)
        drawn = next(draws)
        if not self._is_tried(drawn):
            return drawn
        if len(self._tried) < self.search_space.n_configurations:
            again = next((each for each in draws if not self._is_tried(each)), None)
            return again or self._one_of_those_left(number) or drawn
        return drawn

    def start(self, trial: Trial) -> None:
        self._tried.add(_identity(trial.configuration))

    def tell(self, trial: Trial, loss: float) -> None:
        """Random search does not learn from results."""

    def _is_tried(self, configuration: Configuration) -> bool:
        return _identity(configuration) in self._tried

    def _one_of_those_left(self, number: int) -> Configuration | None:
        """Drawn from the prior, given that it is none of those tried; None where that can't be told."""
        if self.search_space.n_configurations > LARGEST_LISTED:
            return None
        left = [cell for cell in self.search_space.cells() if not self._is_tried(cell[0])]
        ends = list(itertools.accumulate(probability for _, probability in left))
        # Values that a prior has, but never draws, are not left.
        if not ends or not ends[-1] > 0:
            return None
        at = uniform(self.seed, number, "what is left") * ends[-1]
        return next(configuration for (configuration, _), end in zip(left, ends, strict=True) if at < end)


def _identity(configuration: Configuration) -> str:
    return repr(sorted(configuration.items()))
