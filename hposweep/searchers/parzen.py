"""Parzen estimators: densities over the unit cube of a search space, made of kernels around the points of trials."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hposweep.search_space import Choice, Dimension, SearchSpace
from hposweep.search_space.priors import LARGEST_QUANTILE

N_OF_FULL_WEIGHT = 25  # points, the newest
SMALLEST_DENSITY = 1e-300  # of one kernel, so that it has a logarithm; the prior's share of a mixture is far larger
NARROWEST_CELL = 1e-12  # of a whole number whose probability is no rounding error


@dataclass(frozen=True)
class Candidates:
    """Points of the unit cube with the cells that they lie in."""

    points: np.ndarray  # shape (m, d), NaN where inactive
    cells: np.ndarray  # shape (m, d, 2), the ends; NaN where inactive

    @classmethod
    def of(cls, search_space: SearchSpace, points: np.ndarray) -> Candidates:
        """The candidates at these points, shape (m, d), with any numbers where a dimension is inactive."""
        active = search_space.is_active(points)
        cells = np.full((*points.shape, 2), math.nan)
        for column, dimension in enumerate(search_space.columns):
            rows = active[:, column]
            if rows.any():
                cells[rows, column] = dimension.prior.cells(points[rows, column])
        return cls(np.where(active, points, math.nan), cells)


class ParzenEstimator:
    """A mixture of the prior and, around each point, a product of one kernel for each hyperparameter.

    Its density is that over the unit cube, where the prior has the density 1 everywhere. A number has a normal kernel,
    truncated to [0, 1], and over the cell of a whole number its mean. The kernel of an option gives most to itself, and
    the same little to every option. A point that lacks a hyperparameter, since it lies in another branch, has the
    prior there; what a candidate lacks does not count.

    Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011, section 4; with
    products of kernels instead of products of mixtures, as in Falkner, Klein and Hutter, "BOHB", ICML 2018, and with
    weights that decay with age, as in Bergstra, Yamins and Cox, ICML 2013. A width is the larger distance to the
    neighbours along its axis, and at least 1 / min(100, n + 2) for n points.

    Args:
        points: shape (n, d), NaN where inactive, the oldest first.
    """

    def __init__(self, search_space: SearchSpace, points: np.ndarray) -> None:
        self.search_space = search_space
        weights = np.append(recency_weights(len(points)), 1.0)
        self.weights = weights / weights.sum()  # of the points, and of the prior
        # A point that lacks all hyperparameters is the prior.
        centres = np.vstack([points, np.full((1, len(search_space)), math.nan)])
        self._kernels = [_kernels(each, column) for each, column in zip(search_space.columns, centres.T, strict=True)]

    def sample(self, n: int, rng: np.random.Generator) -> Candidates:
        """Draws n points, each from one part of the mixture."""
        parts = rng.choice(len(self.weights), size=n, p=self.weights)
        drawn = [kernels.sample(parts, rng) for kernels in self._kernels]
        return Candidates.of(self.search_space, np.column_stack(drawn))

    def log_density(self, candidates: Candidates) -> np.ndarray:
        """The logarithm of the density at m candidates, shape (m,)."""
        logs = np.tile(np.log(self.weights), (len(candidates.points), 1))
        for column, kernels in enumerate(self._kernels):
            rows = ~np.isnan(candidates.points[:, column])
            logs[rows] += kernels.log_density(candidates.points[rows, column], candidates.cells[rows, column])
        largest = logs.max(axis=1)
        total: np.ndarray = largest + np.log(np.exp(logs - largest[:, np.newaxis]).sum(axis=1))
        return total


class Kernels(Protocol):
    """The kernels of one hyperparameter, around n centres; that of a centre that is NaN is the prior."""

    def sample(self, numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A quantile from each of the kernels with these numbers, in [0, 1)."""

    def log_density(self, points: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """The logarithms of all kernels at m quantiles with cells of shape (m, 2): shape (m, n)."""


@dataclass(frozen=True)
class NormalKernels:
    """Normal kernels of the numbers of one hyperparameter, truncated to [0, 1]."""

    centres: np.ndarray
    widths: np.ndarray

    def sample(self, numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        from scipy.special import ndtr, ndtri

        centres, widths, uniform = self.centres[numbers], self.widths[numbers], rng.random(len(numbers))
        below, above = ndtr(-centres / widths), ndtr((1 - centres) / widths)
        normal = centres + widths * ndtri(below + uniform * (above - below))
        return np.where(np.isnan(centres), uniform, np.clip(normal, 0.0, LARGEST_QUANTILE))

    def log_density(self, points: np.ndarray, cells: np.ndarray) -> np.ndarray:
        from scipy.special import ndtr

        lower, upper = cells.T[:, :, np.newaxis]
        inside = ndtr((1 - self.centres) / self.widths) - ndtr(-self.centres / self.widths)
        if (upper - lower > NARROWEST_CELL).all():
            within = ndtr((upper - self.centres) / self.widths) - ndtr((lower - self.centres) / self.widths)
            logs = np.log(np.maximum(within / (upper - lower) / inside, SMALLEST_DENSITY))
        else:
            distances = (points[:, np.newaxis] - self.centres) / self.widths
            logs = -(distances**2) / 2 - np.log(math.sqrt(2 * math.pi) * self.widths * inside)
        found: np.ndarray = np.where(np.isnan(self.centres), 0.0, logs)
        return found


@dataclass(frozen=True)
class OptionKernels:
    """Kernels of the options of one choice: `smoothing` is what all options share where the centre's own has 1."""

    centres: np.ndarray
    n_options: int
    smoothing: float

    def sample(self, numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        centres = self.centres[numbers]
        is_other = rng.random(len(numbers)) < self.smoothing / (1 + self.smoothing)
        return np.where(np.isnan(centres) | is_other, rng.random(len(numbers)), centres)

    def log_density(self, points: np.ndarray, cells: np.ndarray) -> np.ndarray:
        option = np.floor(points * self.n_options)[:, np.newaxis]
        is_same = option == np.floor(self.centres * self.n_options)
        density = (is_same * self.n_options + self.smoothing) / (1 + self.smoothing)
        found: np.ndarray = np.where(np.isnan(self.centres), 0.0, np.log(density))
        return found


def _kernels(dimension: Dimension, centres: np.ndarray) -> Kernels:
    """The kernels of a dimension around its values in n - 1 points, and the prior."""
    if isinstance(dimension.prior, Choice):
        n_options = len(dimension.prior.options)
        return OptionKernels(centres, n_options, smoothing=n_options / len(centres))
    return NormalKernels(centres, kernel_widths(centres))


def kernel_widths(centres: np.ndarray) -> np.ndarray:
    """The larger of the distances to both neighbours, from 1 / min(100, n + 2) to 1; 1 where the centre is NaN.

    The ends of the range are neighbours of a centre that is alone.
    """
    is_centre = ~np.isnan(centres)
    n = int(is_centre.sum())
    order = np.flatnonzero(is_centre)[np.argsort(centres[is_centre], kind="stable")]
    gaps = np.diff(centres[order]) if n > 1 else np.array([])
    before, after = (gaps[:1], gaps[-1:]) if n > 1 else (centres[order], 1 - centres[order])
    distances = np.concatenate([before, gaps, after])
    widths = np.ones(len(centres))
    widths[order] = np.clip(np.maximum(distances[:-1], distances[1:]), 1 / min(100, n + 2), 1.0) if n else []
    return widths


def recency_weights(n: int) -> np.ndarray:
    """Weights of n points, the oldest first: 1 for the 25 newest, and falling to 1/n for the oldest."""
    n_old = max(0, n - N_OF_FULL_WEIGHT)
    return np.concatenate([np.linspace(1 / n, 1.0, n_old), np.ones(n - n_old)]) if n_old else np.ones(n)
