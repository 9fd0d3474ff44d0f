"""The values that each hyperparameter of a sweep can take, in other tools' terms: a range, or options."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from hposweep.results.sweep_data import SweepData, is_number
from hposweep.search_space import Choice, Constant, Distribution, Hyperparameter, Value, literal


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, both included."""

    low: float  # an integer where `integer` is true
    high: float
    integer: bool
    log: bool  # spread over its logarithm; then low is above 0


@dataclass(frozen=True)
class Options:
    """Single values, in the order of the search space."""

    values: tuple[Value, ...]

    @functools.cached_property
    def texts(self) -> tuple[str, ...]:
        """Each value as text: strings as they are, others by `literal`; all by `literal` if two were alike."""
        texts = tuple(value if isinstance(value, str) else literal(value) for value in self.values)
        return texts if len(set(texts)) == len(texts) else tuple(literal(value) for value in self.values)

    def position(self, value: Value) -> int:
        """Where the value stands."""
        return self._positions[_identity(value)]

    @functools.cached_property
    def _positions(self) -> dict[str, int]:
        return {_identity(value): position for position, value in enumerate(self.values)}


Domain = Range | Options


def domains(sweep: SweepData) -> dict[str, Domain]:
    """For each hyperparameter of the trials what it can take, from the search space that `sweep.yaml` records.

    Where an end of the support is infinite, the trials' own least or greatest value stands for it. Of a hyperparameter
    that the record doesn't hold (a simulated sweep has none), and of one with a constant, the trials' values are all
    that is known. The value of each trial lies in its domain.
    """
    found: dict[str, Domain] = {}
    for key in sweep.keys:
        values = [trial.configuration[key] for trial in sweep.trials if key in trial.configuration]
        found[key] = _domain(sweep.priors(key), values, is_log=sweep.is_log(key))
    return found


def _domain(priors: Sequence[Hyperparameter], values: Sequence[Value], *, is_log: bool) -> Domain:
    if any(isinstance(prior, Constant | Choice) for prior in priors) or not all(_is_exact(value) for value in values):
        options = [option for prior in priors if isinstance(prior, Choice) for option in prior.options]
        return _options([*options, *values])
    ends = [float(value) for value in values]
    integer = all(isinstance(value, int) for value in values)
    for prior in priors:
        assert isinstance(prior, Distribution)
        ends += [float(end) for end in (prior.lower, prior.upper) if math.isfinite(end)]
        integer = integer and prior.integer
    low, high = min(ends), max(ends)
    return Range(int(low) if integer else low, int(high) if integer else high, integer, is_log and low > 0)


def _is_exact(value: Value) -> bool:
    """Whether it is a number that a float holds: all that the other tools keep of a number in a range."""
    return is_number(value) and float(value) == value


def _options(values: Sequence[Value]) -> Options:
    return Options(tuple({_identity(value): value for value in values}.values()))


def _identity(value: Value) -> str:
    # 1, 1.0 and true are equal in Python, and three values here.
    return literal(value)
