"""Losses as a Gaussian process can model them: what is bad is compressed, what is good may be spread."""

from __future__ import annotations

import math

import numpy as np

POWERS = (1.0, 0.5, 0.0)  # among which the most probable one is chosen
LARGEST = 1e100  # losses beyond are cut, so that squares are finite
OFFSET = 0.05  # of the best loss from zero, in standard deviations: a floor, below which nothing is spread


def half_rank(losses: np.ndarray) -> np.ndarray:
    """Losses above the median are replaced by what a normal distribution around the median has at their ranks.

    Its standard deviation is that of the losses below, about the median. A bad loss can be any number of times as large
    as a good one, which would leave no difference between good ones. Equal losses stay equal. (Song et al., "The Vizier
    Gaussian Process Bandit Algorithm", arXiv:2408.11527, 2024, "half-rank warping".)
    """
    from scipy import special

    losses = np.clip(losses, -LARGEST, LARGEST)
    median = np.median(losses)
    is_bad = losses > median
    width = math.sqrt(np.mean((losses[~is_bad] - median) ** 2)) or 1.0
    _, which, counts = np.unique(losses, return_inverse=True, return_counts=True)
    mean_ranks = (np.cumsum(counts) - counts / 2)[which] / len(losses)
    return np.where(is_bad, median + width * special.ndtri(mean_ranks), losses)


def standardized_power(values: np.ndarray, power: float) -> tuple[np.ndarray, float]:
    """Box and Cox's transform of the distances to the smallest value, of mean 0 and variance 1.

    Small powers spread the values near the smallest one; 0 is the logarithm, 1 changes nothing.

    Returns:
        The transformed values, and the sum of the logarithms of the transform's slopes. With it, probability densities
        of differently transformed values are comparable: added to the logarithm of one, it gives that of the values
        themselves, up to a constant (Snelson, Rasmussen and Ghahramani, "Warped Gaussian Processes", NeurIPS 2003).
    """
    if not np.ptp(values) > 0:
        return np.zeros(len(values)), 0.0
    logarithms, transformed, _ = _power(values, power)
    slopes = (power - 1) * logarithms.sum() - len(values) * math.log(transformed.std())
    return (transformed - transformed.mean()) / transformed.std(), float(slopes)


def _power(values: np.ndarray, power: float) -> tuple[np.ndarray, np.ndarray, float]:
    """The logarithms of the distances to the smallest value, their transform, and the unit of the distances."""
    distances = values - values.min()
    largest = distances.max()
    distances /= largest  # else squares of tiny ones are zero
    deviation = distances.std()
    logarithms = np.log(distances / deviation + OFFSET)
    return logarithms, logarithms if power == 0 else np.expm1(power * logarithms) / power, float(largest * deviation)


def unwarped(targets: np.ndarray, losses: np.ndarray, power: float) -> np.ndarray:
    """The losses that `half_rank` and `standardized_power` would make these targets: the way back.

    It keeps the order, so quantiles of targets become those of losses; means don't. Small powers have no value far
    below the smallest loss: there the way ends. Beyond the largest loss it goes on as steeply as it comes there from
    the median.

    Args:
        targets: any shape.
        losses: shape (n,), those that were warped, and whose targets were not all 0.
    """
    losses = np.clip(losses, -LARGEST, LARGEST)
    values = half_rank(losses)
    _, transformed, unit = _power(values, power)
    powers = targets * transformed.std() + transformed.mean()
    if power == 0:
        distances = np.exp(powers)
    else:
        distances = 1 + power * powers
        distances = distances if power == 1 else np.maximum(distances, 0) ** (1 / power)
    ranked = values.min() + unit * (distances - OFFSET)

    ascending, rows = np.unique(values, return_index=True)
    median, largest = np.median(losses), losses.max()
    inside = np.interp(ranked, ascending, losses[rows])
    below, above = np.minimum(ranked - ascending[0], 0), np.maximum(ranked - ascending[-1], 0)
    if largest > median:
        above = (largest - median) * (above / (ascending[-1] - median))
    return np.asarray(inside + below + above)
