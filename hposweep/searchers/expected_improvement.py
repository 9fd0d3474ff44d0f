"""The expected improvement over the unit cube, and the search for where it is large."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from hposweep.search_space.priors import LARGEST_QUANTILE
from hposweep.searchers.encoding import Encoding
from hposweep.searchers.gaussian_process import GaussianProcess

N_DRAWN = 256  # candidates from the whole cube
N_NEAR = 64  # candidates near good points, at each of these distances
NEAR = (0.1, 0.02)
N_STARTS = 4  # of the ascent along the gradient
N_ITERATIONS = 12
APART = 0.05  # distance of two starts, for one input
N_NEIGHBOURS = 96  # of the best point, at each of these distances, where values are discrete
NEIGHBOURS = (0.2, 0.05, 0.02, 0.005)


@dataclass(frozen=True)
class ExpectedImprovement:
    """The logarithm of the expected improvement at points of the unit cube that are clean (see `Encoding.clean`).

    Args:
        best: the value that is to be improved.
        branch: shape (d,), the columns that are inactive in the branch that is searched; None: all of the cube is.
    """

    process: GaussianProcess
    encoding: Encoding
    best: float
    branch: np.ndarray | None = None

    def at(self, points: np.ndarray) -> np.ndarray:
        """At each of n points, shape (n,); minus infinity outside the branch."""
        values = self.process.log_expected_improvement(self.encoding.inputs(points), self.best)
        if self.branch is not None:
            values[~is_in_branch(points, self.branch)] = -math.inf
        return values

    def climbed(self, points: np.ndarray) -> np.ndarray:
        """From each of n points up along the gradient, in all of its continuous coordinates: shape (n, d).

        The sum over the points is climbed, as one problem: its calls cost more than its arithmetic.
        """
        from scipy import optimize

        points = points.copy()
        is_free = self.encoding.is_continuous & ~np.isnan(points)
        if not is_free.any():  # those of other branches are
            return points

        def negative(coordinates: np.ndarray) -> tuple[float, np.ndarray]:
            points[is_free] = coordinates
            inputs = self.encoding.inputs(points)
            values, gradient = self.process.log_expected_improvement_and_gradient(inputs, self.best)
            return -float(values.sum()), -self.encoding.gradient(points, gradient)[is_free]

        start = points[is_free]
        bounds = [(0.0, LARGEST_QUANTILE)] * len(start)
        found = optimize.minimize(
            negative, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": N_ITERATIONS}
        )
        points[is_free] = found.x
        return points

    def apart(self, points: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The best points that are not too near to each other, `N_STARTS` or fewer."""
        inputs, left = self.encoding.inputs(points), values.copy()
        least = APART**2 * inputs.shape[1]
        found: list[int] = []
        while len(found) < N_STARTS and left.max() > -math.inf:
            found.append(int(left.argmax()))
            left[((inputs - inputs[found[-1]]) ** 2).sum(axis=1) <= least] = -math.inf
        return points[found]


class Candidates:
    """Clean points with their expected improvements; those that are taken have none."""

    def __init__(self, improvement: ExpectedImprovement, taken: Collection[bytes]) -> None:
        self._improvement, self._taken = improvement, taken
        self.points = np.empty((0, len(improvement.encoding.is_continuous)))
        self.values = np.empty(0)

    def add(self, points: np.ndarray) -> None:
        """Points of the unit cube, clean or not."""
        clean = self._improvement.encoding.clean(points)
        values = self._improvement.at(clean)
        if self._taken:
            values[[point.tobytes() in self._taken for point in clean]] = -math.inf
        self.points = np.vstack([self.points, clean])
        self.values = np.concatenate([self.values, values])

    def best(self) -> np.ndarray:
        """The best point, shape (d,)."""
        best: np.ndarray = self.points[self.values.argmax()]
        return best

    def ranked(self) -> np.ndarray:
        """Those that are not taken, the best first."""
        is_left = self.values > -math.inf
        return self.points[is_left][np.argsort(-self.values[is_left], kind="stable")]


def promising_points(
    improvement: ExpectedImprovement, good: np.ndarray, taken: Collection[bytes], rng: np.random.Generator
) -> np.ndarray:
    """Points where the expected improvement is large, the largest first: shape (n, d).

    Candidates are drawn from the whole cube and near good points. The best of them climb along the gradient, and
    discrete values are tried out around the best that there is then.

    Args:
        good: shape (n, d), clean points.
        taken: the bytes of clean points that are not to be found.
    """
    encoding = improvement.encoding
    candidates = Candidates(improvement, taken)
    near = [moved(good[rng.integers(len(good), size=N_NEAR)], distance, encoding, rng) for distance in NEAR]
    candidates.add(np.vstack([rng.random((N_DRAWN, good.shape[1])), *near]))
    if encoding.is_continuous.any():
        candidates.add(improvement.climbed(improvement.apart(candidates.points, candidates.values)))
    if encoding.is_discrete.any():
        for distance in NEIGHBOURS:
            best = np.tile(candidates.best(), (N_NEIGHBOURS, 1))
            candidates.add(moved(best, distance, encoding, rng))
    return candidates.ranked()


def is_in_branch(points: np.ndarray, branch: np.ndarray) -> np.ndarray:
    """Which clean points have exactly these columns inactive: shape (n,)."""
    found: np.ndarray = (np.isnan(points) == branch).all(axis=1)
    return found


def moved(points: np.ndarray, distance: float, encoding: Encoding, rng: np.random.Generator) -> np.ndarray:
    """Points near these, reflected at the cube's faces: some coordinates move, some discrete ones are drawn anew."""
    n, d = points.shape
    # What becomes active when its choice is moved can lie anywhere.
    found = np.where(np.isnan(points), rng.random((n, d)), points)
    steps = rng.normal(0, distance, (n, d))
    found += np.where(rng.random((n, d)) < max(0.3, 2 / d), steps, 0)
    is_drawn = encoding.is_discrete & (rng.random((n, d)) < 1 / max(2, d))
    found = np.where(is_drawn, rng.random((n, d)), found)
    reflected: np.ndarray = np.clip(1 - np.abs(1 - np.abs(found)), 0, LARGEST_QUANTILE)
    return reflected
