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

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray) -> Results:
        """Those in these rows."""
        return Results(self.points[rows], self.losses[rows], self.epochs[rows])

    def finite(self) -> np.ndarray:
        """The losses with the worst finite one in place of infinity; zeros where none is finite."""
        is_finite = np.isfinite(self.losses)
        worst = self.losses[is_finite].max() if is_finite.any() else 0.0
        return np.where(is_finite, self.losses, worst)


@dataclass
class Observations:
    """Keeps the points of trials, and what came of them.

    The way from a configuration to its point takes SciPy a tenth of a millisecond for each value, and hardly more for
    thousands of values at once: it is gone when somebody asks, for all trials that have started since the last time.
    Results are kept as arrays, since a searcher asks for all of them at each trial.
    """

    search_space: SearchSpace
    _points: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False)  # by the trial's number
    _started: list[Trial] = field(default_factory=list, init=False, repr=False)  # whose points nobody has asked for
    _numbers: list[int] = field(default_factory=list, init=False)  # the trial of each result
    _n_placed: int = field(default=0, init=False, repr=False)  # results whose points stand in the rows
    _seen: set[bytes] = field(default_factory=set, init=False, repr=False)  # the points, as bytes
    _last: dict[int, int] = field(default_factory=dict, init=False)  # which result a trial had last, by its number
    _rows: Results = field(init=False, repr=False)  # has room for more results than there are

    def __post_init__(self) -> None:
        self._rows = Results(np.empty((16, len(self.search_space))), np.empty(16), np.empty(16, dtype=int))

    def start(self, trial: Trial) -> None:
        """Takes note of a trial's configuration."""
        self._started.append(trial)

    def has_result(self, trial: Trial) -> bool:
        """Whether something was told of the trial."""
        return trial.number in self._last

    def tell(self, trial: Trial, loss: float) -> None:
        """Takes note of a result, of a trial that was started."""
        row, rows = self.n_results, self._rows
        if row == len(rows):
            rows = self._rows = Results(
                *(np.concatenate([old, old]) for old in (rows.points, rows.losses, rows.epochs))
            )
        rows.losses[row] = loss
        rows.epochs[row] = trial.target_epoch or 0
        self._last[trial.number] = row
        self._numbers.append(trial.number)

    @property
    def n_results(self) -> int:
        """How often something was told."""
        return len(self._numbers)

    @property
    def n_trials(self) -> int:
        """How many trials something was told of."""
        return len(self._last)

    def all(self) -> Results:
        """All results, several of a trial that came to several rungs."""
        self._place()
        return self._rows[: self.n_results]

    def last_of_each(self) -> Results:
        """The last result of each trial that has one, in the order of these."""
        self._place()
        return self._rows[sorted(self._last.values())]

    def pending(self, trials: Sequence[Trial]) -> np.ndarray:
        """The points of these trials, shape (n, d)."""
        self._place()
        points = [self._points[trial.number] for trial in trials]
        return np.array(points, dtype=float).reshape(len(points), len(self.search_space))

    @property
    def seen(self) -> set[bytes]:
        """The points of all trials that were started, as bytes."""
        self._place()
        return self._seen

    def _place(self) -> None:
        """Finds the points of trials that have started, and puts them beside the results that have come."""
        points = self.search_space.to_unit_cube([trial.configuration for trial in self._started])
        self._points.update((trial.number, point) for trial, point in zip(self._started, points, strict=True))
        self._seen.update(point.tobytes() for point in points)
        self._started = []
        for row in range(self._n_placed, self.n_results):
            self._rows.points[row] = self._points[self._numbers[row]]
        self._n_placed = self.n_results
