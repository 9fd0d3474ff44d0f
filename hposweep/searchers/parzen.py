"""Parzen estimators: densities over the unit cube of some hyperparameters, made of kernels around points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hposweep.search_space import Choice, Hyperparameter
from hposweep.search_space.priors import LARGEST_QUANTILE

N_OF_FULL_WEIGHT = 25  # points, the newest
SMALLEST_DENSITY = 1e-300  # of one kernel, or its weight, so that it has a logarithm; the prior's share is far larger
NARROWEST_CELL = 1e-12  # of a whole number whose probability is no rounding error


@dataclass(frozen=True)
class Candidates:
    """Points of the unit cube with the cells that they lie in."""

    points: np.ndarray  # shape (m, d)
    cells: np.ndarray  # shape (m, d, 2), the ends

    @classmethod
    def of(cls, priors: Sequence[Hyperparameter], points: np.ndarray) -> Candidates:
        """The candidates at these points, shape (m, d)."""
        cells = [prior.cells(column) for prior, column in zip(priors, points.T, strict=True)]
        return cls(points, np.stack(cells, axis=1))


class ParzenEstimator:
    """A mixture of the prior and, around each point, a product of one kernel for each hyperparameter.

    Its density is that over the unit cube, where the prior has the density 1 everywhere. A number has a normal kernel,
    truncated to [0, 1], and over the cell of a whole number its mean. The kernel of an option gives most to itself, and
    the same little to every option.

    Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011, section 4; with
    products of kernels instead of products of mixtures, as in Falkner, Klein and Hutter, "BOHB", ICML 2018, and with
    weights that decay with age, as in Bergstra, Yamins and Cox, ICML 2013. A width is the larger distance to the
    neighbours along its axis, and at least 1 / min(100, n + 2) for n points, times `widening`.

    Args:
        priors: of the d hyperparameters, all of them active.
        points: shape (n, d), the oldest first.
        weights: shape (n,), of the points, where the prior has 1; by their age if left out.
        widening: a factor of the widths of numbers' kernels.
    """

    def __init__(
        self,
        priors: Sequence[Hyperparameter],
        points: np.ndarray,
        weights: np.ndarray | None = None,
        widening: float = 1.0,
    ) -> None:
        self.priors = priors
        all_weights = np.append(recency_weights(len(points)) if weights is None else weights, 1.0)
        self.weights = all_weights / all_weights.sum()  # of the points, and of the prior
        self._kernels = [_kernels(prior, centres, widening) for prior, centres in zip(priors, points.T, strict=True)]

    def sample(self, n: int, rng: np.random.Generator) -> Candidates:
        """Draws n points, each from one part of the mixture."""
        parts = rng.choice(len(self.weights), size=n, p=self.weights)
        drawn = [kernels.sample(parts, rng) for kernels in self._kernels]
        return Candidates.of(self.priors, np.column_stack(drawn))

    def log_density(self, candidates: Candidates) -> np.ndarray:
        """The logarithm of the density at m candidates, shape (m,)."""
        logs = np.tile(np.log(np.maximum(self.weights, SMALLEST_DENSITY)), (len(candidates.points), 1))
        for column, kernels in enumerate(self._kernels):
            logs[:, :-1] += kernels.log_density(candidates.points[:, column], candidates.cells[:, column])
        largest = logs.max(axis=1)
        total: np.ndarray = largest + np.log(np.exp(logs - largest[:, np.newaxis]).sum(axis=1))
        return total


class Kernels(Protocol):
    """The kernels of one hyperparameter around n centres; number n is the prior."""

    def sample(self, numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A quantile from each of the kernels with these numbers, in [0, 1)."""

    def log_density(self, points: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """The logarithms of the kernels around the centres at m quantiles with cells of shape (m, 2): shape (m, n)."""


@dataclass(frozen=True)
class NormalKernels:
    """Normal kernels of the numbers of one hyperparameter, truncated to [0, 1]."""

    centres: np.ndarray
    widths: np.ndarray

    def sample(self, numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        from scipy.special import ndtr, ndtri

        drawn = rng.random(len(numbers))
        is_normal = numbers < len(self.centres)
        centres, widths = self.centres[numbers[is_normal]], self.widths[numbers[is_normal]]
        below, above = ndtr(-centres / widths), ndtr((1 - centres) / widths)
        drawn[is_normal] = centres + widths * ndtri(below + drawn[is_normal] * (above - below))
        return np.clip(drawn, 0.0, LARGEST_QUANTILE)

    def log_density(self, points: np.ndarray, cells: np.ndarray) -> np.ndarray:
        from scipy.special import ndtr

        inside = ndtr((1 - self.centres) / self.widths) - ndtr(-self.centres / self.widths)
        lower, upper = cells.T[:, :, np.newaxis]
        found: np.ndarray
        if (upper - lower > NARROWEST_CELL).all():
            within = ndtr((upper - self.centres) / self.widths) - ndtr((lower - self.centres) / self.widths)
            found = np.log(np.maximum(within / (upper - lower) / inside, SMALLEST_DENSITY))
        else:
            distances = (points[:, np.newaxis] - self.centres) / self.widths
            found = -(distances**2) / 2 - np.log(math.sqrt(2 * math.pi) * self.widths * inside)
        return found


@dataclass(frozen=True)
class OptionKernels:
    """Kernels of the options of one choice: `smoothing` is what all options share where the centre's own has 1."""

    centres: np.ndarray
    n_options: int
    smoothing: float

    def sample(self, numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn, chance = rng.random(len(numbers)), rng.random(len(numbers))
        is_own = (numbers < len(self.centres)) & (chance >= self.smoothing / (1 + self.smoothing))
        drawn[is_own] = self.centres[numbers[is_own]]
        return drawn

    def log_density(self, points: np.ndarray, cells: np.ndarray) -> np.ndarray:
        option = np.floor(points * self.n_options)[:, np.newaxis]
        is_same = option == np.floor(self.centres * self.n_options)
        found: np.ndarray = np.log((is_same * self.n_options + self.smoothing) / (1 + self.smoothing))
        return found


def _kernels(prior: Hyperparameter, centres: np.ndarray, widening: float) -> Kernels:
    if isinstance(prior, Choice):
        n_options = len(prior.options)
        return OptionKernels(centres, n_options, smoothing=n_options / (len(centres) + 1))
    return NormalKernels(centres, widening * kernel_widths(centres))


def kernel_widths(centres: np.ndarray) -> np.ndarray:
    """The larger of the distances to both neighbours, from 1 / min(100, n + 2) to 1.

    The ends of the range are the neighbours of a centre that is alone.
    """
    n = len(centres)
    if n < 2:
        alone: np.ndarray = np.maximum(centres, 1 - centres)
        return alone
    order = np.argsort(centres, kind="stable")
    gaps = np.diff(centres[order])
    widths = np.empty(n)
    widths[order] = np.maximum(np.append(gaps[0], gaps), np.append(gaps, gaps[-1]))
    found: np.ndarray = np.clip(widths, 1 / min(100, n + 2), 1.0)
    return found


def recency_weights(n: int) -> np.ndarray:
    """Weights of n points, the oldest first: 1 for the 25 newest, and falling to 1/n for the oldest."""
    n_old = max(0, n - N_OF_FULL_WEIGHT)
    return np.concatenate([np.linspace(1 / n, 1.0, n_old), np.ones(n - n_old)]) if n_old else np.ones(n)


def improvement_weights(good: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Weights of good losses by how far they are below the smallest of the others, with a mean of 1.

    Watanabe, "Tree-Structured Parzen Estimator: Understanding Its Algorithm Components and Their Roles for Better
    Empirical Performance", arXiv:2304.11127, 2023: the weights by expected improvement. All are 1 where none is below.

    Args:
        good: shape (n,), finite.
        others: shape (m,), none of them below one of the good ones; infinite for failures.
    """
    if not len(good):
        return np.ones(0)
    threshold = others.min(initial=math.inf)
    # Halves, since the difference of two huge losses would be infinite.
    improvements = (threshold if math.isfinite(threshold) else good.max()) / 2 - good / 2
    largest = improvements.max()
    if not largest > 0:
        return np.ones(len(good))
    relative = improvements / largest
    found: np.ndarray = relative / relative.mean()
    return found
