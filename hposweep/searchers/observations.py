"""What a searcher that learns was told: points of the unit cube with their losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hposweep.search_space import SearchSpace
from hposweep.trial import Trial


@dataclass(frozen=True)
class Results:
    """Results in the order in which they came."""

    points: np.ndarray  # shape (n, d), NaN where inactive
    losses: np.ndarray  # shape (n,); infinite for failures
    epochs: np.ndarray  # shape (n,); at which the loss was measured; 0 where no scheduler cuts trials into segments

    def __len__(self) -> int:
        return len(self.losses)

    def finite(self) -> np.ndarray:
        """The losses with the worst finite one in place of infinity; zeros where none is finite."""
        is_finite = np.isfinite(self.losses)
        worst = self.losses[is_finite].max() if is_finite.any() else 0.0
        return np.where(is_finite, self.losses, worst)


@dataclass
class Observations:
    """Keeps the points of trials, and what came of them.

    The way from a configuration to its point takes SciPy a millisecond: it is gone once, when the trial starts.
    """

    search_space: SearchSpace
    _points: dict[int, np.ndarray] = field(default_factory=dict, init=False)  # by the trial's number
    _results: list[tuple[int, float, int]] = field(default_factory=list, init=False)  # number, loss, epoch

    def start(self, trial: Trial) -> None:
        """Takes note of a trial's configuration."""
        self._points[trial.number] = self.search_space.to_unit_cube([trial.configuration])[0]

    def tell(self, trial: Trial, loss: float) -> None:
        """Takes note of a result, of a trial that was started."""
        self._results.append((trial.number, loss, trial.target_epoch or 0))

    @property
    def n_results(self) -> int:
        """How often something was told."""
        return len(self._results)

    def all(self) -> Results:
        """All results, several of a trial that came to several rungs."""
        return self._of(self._results)

    def last_of_each(self) -> Results:
        """The last result of each trial that has one, in the order of these."""
        last = {number: position for position, (number, _, _) in enumerate(self._results)}
        return self._of([self._results[position] for position in sorted(last.values())])

    def pending(self, trials: Sequence[Trial]) -> np.ndarray:
        """The points of these trials, shape (n, d)."""
        points = [self._points[trial.number] for trial in trials]
        return np.array(points, dtype=float).reshape(len(points), len(self.search_space))

    def _of(self, results: Sequence[tuple[int, float, int]]) -> Results:
        numbers, losses, epochs = zip(*results, strict=True) if results else ((), (), ())
        points = np.array([self._points[number] for number in numbers], dtype=float)
        return Results(
            points.reshape(len(numbers), len(self.search_space)),
            np.array(losses, dtype=float),
            np.array(epochs, dtype=int),
        )
