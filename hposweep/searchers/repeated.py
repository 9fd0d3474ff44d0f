"""Each configuration under several seeds: the searcher learns their mean."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hposweep.search_space import Configuration
from hposweep.searchers import Exhausted, Searcher, Wait, expected, stage_of
from hposweep.trial import Expected, Trial


@dataclass
class RepeatedSearcher:
    """Proposes each configuration of a searcher `n_seeds` times in a row, and tells it the mean of the losses.

    The searcher sees one trial a configuration, whose number is the configuration's: its draws are those of a sweep
    without repetitions. It hears of a rung when all of the trials have been there, and a failure of one is the
    configuration's.
    """

    searcher: Searcher
    n_seeds: int
    _configurations: dict[int, Configuration] = field(default_factory=dict, init=False)  # by the searcher's numbers
    _losses: dict[tuple[int, int], dict[int, float]] = field(default_factory=dict, init=False)  # by rung, then trial

    def propose(self, number: int, pending: Sequence[Trial]) -> Configuration | Wait | Exhausted:
        configuration, repetition = divmod(number, self.n_seeds)
        if repetition:
            return self._configurations[configuration]
        under_way = {trial.number // self.n_seeds: trial for trial in pending}
        alone = [replace(trial, number=each) for each, trial in sorted(under_way.items())]
        return self.searcher.propose(configuration, alone)

    def expected(self, configurations: Sequence[Configuration]) -> list[Expected]:
        return expected(self.searcher, configurations)

    def start(self, trial: Trial) -> None:
        configuration, repetition = divmod(trial.number, self.n_seeds)
        if not repetition:
            self._configurations[configuration] = trial.configuration
            self.searcher.start(replace(trial, number=configuration))

    def tell(self, trial: Trial, loss: float) -> None:
        configuration = trial.number // self.n_seeds
        losses = self._losses.setdefault((configuration, trial.target_epoch or 0), {})
        losses[trial.number] = loss
        if len(losses) == self.n_seeds:
            mean = statistics.fmean(losses.values()) if all(map(math.isfinite, losses.values())) else math.inf
            self.searcher.tell(replace(trial, number=configuration), mean)

    def stage(self) -> str:
        """That of the searcher."""
        return stage_of(self.searcher)


def first_of(number: int, n_seeds: int) -> int | None:
    """The first trial with the configuration of this one; None where this one is the first."""
    return None if number % n_seeds == 0 else number - number % n_seeds
