"""The priors of hyperparameters: distributions of `scipy.stats`, choices, and constants."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from hposweep.errors import ConfigError, nearest

Value = Any  # what a YAML file can hold: a number, text, a boolean, null, or a list or mapping of them
SMALLEST_QUANTILE = 2.0**-54
LARGEST_QUANTILE = 1.0 - 2.0**-53
LARGEST_WHOLE_FLOAT = 2**53
LOG_FAMILIES = ("loguniform", "reciprocal")  # SciPy's two names of one distribution


class Hyperparameter(Protocol):
    """The prior of one hyperparameter; `str` gives its text."""

    @property
    def is_log(self) -> bool:
        """Whether it is spread evenly over the logarithm of its values."""

    @property
    def n_values(self) -> float:
        """How many values there are; infinity where they can't be counted to the end."""

    def at(self, quantiles: np.ndarray) -> list[Value]:
        """The values at these quantiles, an array of shape (n,) with values in [0, 1), as plain Python."""

    def quantile(self, value: Value) -> float:
        """The middle of the value's cell, in [0, 1): there `at` gives it back (for floats, up to rounding)."""

    def quantiles(self, values: Sequence[Value]) -> np.ndarray:
        """The same of many values, shape (n,), to the bit; much faster than one by one."""

    def cell(self, value: Value) -> tuple[float, float]:
        """The ends of the interval of quantiles that have this value, both in [0, 1]; equal for a continuous prior."""

    def cells(self, quantiles: np.ndarray) -> np.ndarray:
        """The cells of the values at these quantiles, shape (n, 2); a continuous prior has the quantiles themselves."""

    def grid(self, n: int) -> list[Value]:
        """The values at the middles of n equal cells of probability, each once; all values where these are not more."""

    def record(self) -> dict[str, Value]:
        """What `sweep.yaml` holds of it: its `text`, and from what `read_prior` makes it again to the bit."""

    def __contains__(self, value: object) -> bool: ...

    def support(self) -> str:
        """The values that it can take, as text for people."""


@dataclass(frozen=True)
class Distribution:
    """A frozen distribution of `scipy.stats`, continuous or discrete, or the floor of one.

    Args:
        lower, upper: the ends of the support, both included; infinite where it has none.
        made_of: its record, without the text.
    """

    text: str
    frozen: Any = field(compare=False, repr=False)
    integer: bool
    lower: float
    upper: float
    is_log: bool
    made_of: Mapping[str, Value] = field(compare=False, repr=False)

    @property
    def n_values(self) -> float:
        return self.upper - self.lower + 1 if self.integer else math.inf

    def at(self, quantiles: np.ndarray) -> list[Value]:
        # At 0 SciPy's inverse gives an infinity for an unbounded support and `low - 1` for a discrete one.
        values = self.frozen.ppf(np.clip(quantiles, SMALLEST_QUANTILE, LARGEST_QUANTILE))
        if self.integer:
            values = np.floor(values)
        # Rounding in the inverse can leave the support by one unit in the last place.
        values = np.clip(values, self.lower, self.upper)
        return [int(value) if self.integer else float(value) for value in values]

    def quantile(self, value: Value) -> float:
        return _middle(self.cell(value))

    def quantiles(self, values: Sequence[Value]) -> np.ndarray:
        cells = self._cells_of(np.array(values, dtype=float))
        middles: np.ndarray = np.clip((cells[:, 0] + cells[:, 1]) / 2, 0.0, LARGEST_QUANTILE)
        return middles

    def cell(self, value: Value) -> tuple[float, float]:
        lower, upper = self._cells_of(np.array([value], dtype=float))[0]
        return float(lower), float(upper)

    def cells(self, quantiles: np.ndarray) -> np.ndarray:
        if not self.integer:
            return np.column_stack([quantiles, quantiles])
        return self._cells_of(np.array(self.at(quantiles), dtype=float))

    def _cells_of(self, values: np.ndarray) -> np.ndarray:
        ends = self.frozen.cdf(values)
        if not self.integer:
            return np.column_stack([ends, ends])
        if _is_discrete(self.frozen):
            return np.column_stack([self.frozen.cdf(values - 1), ends])
        return np.column_stack([ends, self.frozen.cdf(values + 1)])

    def grid(self, n: int) -> list[Value]:
        if self.integer and self.upper - self.lower < n:
            return list(range(int(self.lower), int(self.upper) + 1))
        return list(dict.fromkeys(self.at(_middles(n))))

    def record(self) -> dict[str, Value]:
        return {"text": self.text, **self.made_of}

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.integer else float):
            return False
        return self.lower <= value <= self.upper

    def support(self) -> str:
        if self.integer:
            lower = "..." if math.isinf(self.lower) else f"{int(self.lower)}"
            upper = "..." if math.isinf(self.upper) else f"{int(self.upper)}"
            return f"integers {lower} to {upper}"
        return f"{self.lower:g} to {self.upper:g}"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Choice:
    """One of several values, each equally likely."""

    options: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ConfigError("choice() needs at least one option")
        for number, option in enumerate(self.options):
            if any(same(option, other) for other in self.options[:number]):
                raise ConfigError(f"{self}: option {literal(option)} stands twice")

    @property
    def n_values(self) -> float:
        return len(self.options)

    def at(self, quantiles: np.ndarray) -> list[Value]:
        last = len(self.options) - 1
        return [self.options[min(int(quantile * len(self.options)), last)] for quantile in quantiles]

    @property
    def is_log(self) -> bool:
        return False

    def quantile(self, value: Value) -> float:
        return _middle(self.cell(value))

    def quantiles(self, values: Sequence[Value]) -> np.ndarray:
        return np.array([self.quantile(value) for value in values], dtype=float)

    def cell(self, value: Value) -> tuple[float, float]:
        for number, option in enumerate(self.options):
            if same(option, value):
                return number / len(self.options), (number + 1) / len(self.options)
        raise ValueError(f"{value!r} is not among the options of {self}")

    def cells(self, quantiles: np.ndarray) -> np.ndarray:
        n_options = len(self.options)
        numbers = np.minimum(np.floor(quantiles * n_options), n_options - 1)
        return np.column_stack([numbers, numbers + 1]) / n_options

    def grid(self, n: int) -> list[Value]:
        return list(self.options) if len(self.options) <= n else self.at(_middles(n))

    def record(self) -> dict[str, Value]:
        return {"text": str(self), "choice": list(self.options)}

    def __contains__(self, value: object) -> bool:
        return any(same(option, value) for option in self.options)

    def support(self) -> str:
        n_options = len(self.options)
        return f"{n_options} option{'s' if n_options > 1 else ''}"

    def __str__(self) -> str:
        return f"choice({', '.join(literal(option) for option in self.options)})"


@dataclass(frozen=True)
class Constant:
    """A value that is the same for every trial: no dimension of the space, but part of each configuration."""

    value: Value

    @property
    def n_values(self) -> float:
        return 1

    def at(self, quantiles: np.ndarray) -> list[Value]:
        return [self.value] * len(quantiles)

    @property
    def is_log(self) -> bool:
        return False

    def quantile(self, value: Value) -> float:
        return 0.5

    def quantiles(self, values: Sequence[Value]) -> np.ndarray:
        return np.full(len(values), 0.5)

    def cell(self, value: Value) -> tuple[float, float]:
        return 0.0, 1.0

    def cells(self, quantiles: np.ndarray) -> np.ndarray:
        return np.tile([0.0, 1.0], (len(quantiles), 1))

    def grid(self, n: int) -> list[Value]:
        return [self.value]

    def record(self) -> dict[str, Value]:
        return {"text": str(self), "constant": self.value}

    def __contains__(self, value: object) -> bool:
        return same(self.value, value)

    def support(self) -> str:
        return "constant"

    def __str__(self) -> str:
        return literal(self.value)


SPELT_OUT = {
    "choice": "a choice is spelt out as {choice: [a, b]}",
    "int": "whole numbers are written as text, int(loguniform(32, 1024))",
}


@functools.cache
def distribution_names() -> list[str]:
    """The names of all univariate distributions of the installed SciPy."""
    from scipy import stats  # half a second: only a sweep pays for it

    kinds = (stats.rv_continuous, stats.rv_discrete)
    return sorted(name for name in dir(stats) if isinstance(getattr(stats, name), kinds))


def scipy_distribution(name: str, arguments: Sequence[Value], keywords: Mapping[str, Value]) -> Distribution:
    """`scipy.stats.<name>(*arguments, **keywords)`, checked."""
    from scipy import stats

    if name not in distribution_names():
        if name in ("choice", "int"):
            raise ConfigError(f"'{name}' is no distribution of scipy.stats; {SPELT_OUT[name]}")
        known = ["choice", "int", *distribution_names()]
        raise ConfigError(
            f"no distribution '{name}'{nearest(name, known)}"
            "Allowed: choice(...), int(...), and the distributions of scipy.stats by their names"
        )
    family = getattr(stats, name)
    text = _call_text(name, arguments, keywords)
    usage = _usage(family)
    for value in (*arguments, *keywords.values()):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{text}: arguments of a distribution are numbers, got {literal(value)}; {usage}")
    try:
        frozen = family(*arguments, **keywords)
        lower, upper = (float(end) for end in frozen.support())
        with np.errstate(all="ignore"):
            quartiles = np.asarray(frozen.ppf([0.25, 0.5, 0.75]), dtype=float)
    except (TypeError, ValueError, OverflowError):  # a wrong number or name of arguments, or numbers beyond SciPy's
        raise ConfigError(f"{text}: wrong arguments; {usage}") from None
    # NaN where the arguments are impossible; a discrete distribution may have a single value.
    if not (lower < upper or (lower == upper and _is_discrete(frozen))):
        raise ConfigError(_why_impossible(name, frozen, text, usage))
    if not np.isfinite(quartiles).all():
        raise ConfigError(f"{text}: half of its draws or more would not be finite; {usage}")
    made_of: dict[str, Value] = {"distribution": name, "arguments": list(arguments)}
    if keywords:
        made_of["keywords"] = dict(keywords)
    return Distribution(text, frozen, _is_discrete(frozen), lower, upper, _is_log(frozen), made_of)


def floor_of(distribution: Distribution) -> Distribution:
    """`int(...)`: the floor of a draw; for `loguniform(a, b)` of whole numbers both ends are values."""
    text = f"int({distribution})"
    if distribution.integer:
        raise ConfigError(f"{text}: {distribution} gives integers already")
    made_of = {"int": distribution.made_of}
    # Whose ends are named is floored as it stands: draws of recorded sweeps must not move.
    if distribution.frozen.dist.name in LOG_FAMILIES and "keywords" not in distribution.made_of:
        low, high = distribution.lower, distribution.upper
        if low.is_integer() and high.is_integer():
            return replace(integers(int(low), int(high), log=True, text=text), made_of=made_of)
    # The upper end of a continuous distribution is never drawn, so a whole number there is no value.
    lower, upper = np.floor(distribution.lower), np.ceil(distribution.upper) - 1
    return Distribution(text, distribution.frozen, True, lower, upper, distribution.is_log, made_of)


def integers(low: int, high: int, *, log: bool, text: str) -> Distribution:
    """The whole numbers from low to high, both included: evenly, or evenly in their logarithm."""
    from scipy import stats

    _check_bounds(low, high, log=log, text=text)
    if max(abs(low), abs(high)) > LARGEST_WHOLE_FLOAT:
        raise ConfigError(f"{text}: whole numbers are drawn up to 2**53")
    frozen = stats.loguniform(low, high + 1) if log else stats.uniform(low, high + 1 - low)
    return Distribution(text, frozen, True, low, high, log, _interval_record(low, high, log=log))


def interval(low: float, high: float, *, log: bool, text: str) -> Distribution:
    """Hydra's half-open interval: low <= x < high, evenly, or evenly in the logarithm."""
    from scipy import stats

    _check_bounds(low, high, log=log, text=text)
    frozen = stats.loguniform(low, high) if log else stats.uniform(low, high - low)
    made_of = _interval_record(float(low), float(high), log=log)
    return Distribution(text, frozen, False, float(low), float(np.nextafter(high, low)), log, made_of)


def _interval_record(low: float, high: float, *, log: bool) -> dict[str, Value]:
    return {"interval": [low, high], "log": log}  # of whole numbers where its ends are


def literal(value: Value) -> str:
    """A value as the text of a hyperparameter holds it: `parse_hyperparameter` reads it back."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if value.isidentifier() and value.lower() not in WORDS else repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
    return repr(value)


WORDS: dict[str, Value] = {"true": True, "false": False, "null": None, "none": None, "inf": math.inf, "nan": math.nan}


def _check_bounds(low: float, high: float, *, log: bool, text: str) -> None:
    if log and low <= 0:
        raise ConfigError(f"{text}: a log scale needs 0 < low, got {low!r}")
    if not low < high:
        raise ConfigError(f"{text}: needs low < high, got {low!r} and {high!r}")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(f"{text}: the ends must be finite")


def _why_impossible(name: str, frozen: Any, text: str, usage: str) -> str:
    shapes, _loc, scale = frozen.dist._parse_args(*frozen.args, **frozen.kwds)
    got = ", ".join(f"{key}={value!r}" for key, value in zip(_shape_names(frozen.dist), shapes, strict=True))
    if name in LOG_FAMILIES:
        return f"{name}(a, b) needs 0 < a < b, got {got}"
    if name == "randint":
        return f"randint(low, high) needs low < high, got {got}"
    if not scale > 0:
        return f"{text}: scale must be above 0, got {scale!r}; {usage}"
    return f"{text}: SciPy's {name} does not exist for these values; {usage}"


def _usage(family: Any) -> str:
    optional = ["loc=0"] if _is_discrete(family) else ["loc=0", "scale=1"]
    return f"usage: {family.name}({', '.join([*_shape_names(family), *optional])})"


def _shape_names(family: Any) -> list[str]:
    return [name.strip() for name in family.shapes.split(",")] if family.shapes else []


def _is_discrete(distribution: Any) -> bool:
    from scipy import stats

    return isinstance(getattr(distribution, "dist", distribution), stats.rv_discrete)


def _call_text(name: str, arguments: Sequence[Value], keywords: Mapping[str, Value]) -> str:
    parts = [literal(value) for value in arguments]
    parts += [f"{key}={literal(value)}" for key, value in keywords.items()]
    return f"{name}({', '.join(parts)})"


def _is_log(frozen: Any) -> bool:
    _shapes, loc, _scale = frozen.dist._parse_args(*frozen.args, **frozen.kwds)[:3]
    return frozen.dist.name in LOG_FAMILIES and loc == 0


def _middle(cell: tuple[float, float]) -> float:
    return min(max((cell[0] + cell[1]) / 2, 0.0), LARGEST_QUANTILE)


def _middles(n: int) -> np.ndarray:
    """The middles of n equal cells of [0, 1)."""
    return (np.arange(n) + 0.5) / n


def same(one: object, other: object) -> bool:
    """Equality that tells 1 from True and from 1.0, as YAML does."""
    return type(one) is type(other) and one == other
