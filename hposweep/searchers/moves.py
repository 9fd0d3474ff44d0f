"""Small changes of a configuration: the moves of local search, the mutations of evolution."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hposweep.search_space import Choice, Hyperparameter, SearchSpace
from hposweep.search_space.priors import LARGEST_QUANTILE

MOST_STEPS = 10  # each twice as wide as the one before: the last crosses the range of any prior


def moved(
    search_space: SearchSpace, point: np.ndarray, columns: Iterable[int], step: float, rng: np.random.Generator
) -> np.ndarray:
    """The point of a configuration with these columns changed, shape (d,).

    What was inactive is drawn from its prior: a branch that a changed choice brings has values, too.

    Args:
        point: shape (d,), NaN where inactive.
        columns: numbers of active ones.
        step: standard deviation of a number's step, as a share of probability.
    """
    found = np.where(np.isnan(point), rng.random(len(point)), point)
    for column in columns:
        prior = search_space.columns[column].prior
        if isinstance(prior, Choice):
            found[column] = _other_option(prior, point[column], rng)
        else:
            found[column] = _stepped(prior, point[column], step, rng)
    return found


def _other_option(prior: Choice, quantile: float, rng: np.random.Generator) -> float:
    """The quantile of another option, each of them equally likely; the same one where there is no other."""
    n_options = len(prior.options)
    if n_options == 1:
        return quantile
    other = (int(quantile * n_options) + rng.integers(1, n_options)) % n_options
    return float((other + 0.5) / n_options)


def _stepped(prior: Hyperparameter, quantile: float, step: float, rng: np.random.Generator) -> float:
    """A normal step, reflected at the ends of the range, and a wider one where a whole number has not changed."""
    (value,) = prior.at(np.array([quantile]))
    there = quantile
    for doubled in range(MOST_STEPS):
        there = float(reflected(np.array(quantile + rng.normal(0.0, step * 2**doubled))))
        if prior.at(np.array([there])) != [value]:
            break
    return there


def reflected(quantiles: np.ndarray) -> np.ndarray:
    """Numbers of any size, reflected at 0 and 1 until they lie in [0, 1)."""
    found: np.ndarray = np.minimum(1.0 - np.abs(1.0 - np.abs(quantiles) % 2.0), LARGEST_QUANTILE)
    return found
