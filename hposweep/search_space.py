"""The search space: hyperparameters with their distributions, and the way between the unit cube and configurations.

A hyperparameter is written as text, `loguniform(1e-4, 1)`, or spelt out, `{distribution: beta, a: 5, b: 1}`. The text
is parsed and never evaluated: the names of `scipy.stats` distributions, `choice` and `int`, with literal arguments, are
all that it may hold.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from hposweep.errors import ConfigError, nearest

Value = Any  # what a YAML file can hold: a number, text, a boolean, null, or a list or mapping of them
Configuration = dict[str, Value]

SMALLEST_QUANTILE = 2.0**-54
LARGEST_QUANTILE = 1.0 - 2.0**-53
LONGEST_TEXT = 10_000
LARGEST_SEED = 2**32 - 1
LARGEST_WHOLE_FLOAT = 2**53


class Hyperparameter(Protocol):
    """The prior of one hyperparameter."""

    def at(self, quantiles: np.ndarray) -> list[Value]:
        """The values at these quantiles, an array of shape (n,) with values in [0, 1), as plain Python."""

    def quantile(self, value: Value) -> float:
        """A quantile in [0, 1) at which `at` gives this value back (for floats, up to rounding)."""

    def __contains__(self, value: object) -> bool: ...

    def support(self) -> str:
        """What values it can take, for people."""


@dataclass(frozen=True)
class Distribution:
    """A frozen distribution of `scipy.stats`, continuous or discrete, or the floor of one.

    `lower` and `upper` are the ends of the support, both included; infinite where it has none.
    """

    text: str
    frozen: Any = field(compare=False, repr=False)
    integer: bool
    lower: float
    upper: float

    def at(self, quantiles: np.ndarray) -> list[Value]:
        # At 0 SciPy's inverse gives an infinity for an unbounded support and `low - 1` for a discrete one.
        values = self.frozen.ppf(np.clip(quantiles, SMALLEST_QUANTILE, LARGEST_QUANTILE))
        if self.integer:
            values = np.floor(values)
        # Rounding in the inverse can leave the support by one unit in the last place.
        values = np.clip(values, self.lower, self.upper)
        return [int(value) if self.integer else float(value) for value in values]

    def quantile(self, value: Value) -> float:
        if not self.integer:
            return _inside(float(self.frozen.cdf(value)))
        if _is_discrete(self.frozen):
            return _inside(float(self.frozen.cdf(value) - self.frozen.pmf(value) / 2))
        return _inside(float(self.frozen.cdf(value) + self.frozen.cdf(value + 1)) / 2)

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
            if any(_same(option, other) for other in self.options[:number]):
                raise ConfigError(f"{self}: option {literal(option)} stands twice")

    def at(self, quantiles: np.ndarray) -> list[Value]:
        last = len(self.options) - 1
        return [self.options[min(int(quantile * len(self.options)), last)] for quantile in quantiles]

    def quantile(self, value: Value) -> float:
        for number, option in enumerate(self.options):
            if _same(option, value):
                return (number + 0.5) / len(self.options)
        raise ValueError(f"{value!r} is not among the options of {self}")

    def __contains__(self, value: object) -> bool:
        return any(_same(option, value) for option in self.options)

    def support(self) -> str:
        n_options = len(self.options)
        return f"{n_options} option{'s' if n_options > 1 else ''}"

    def __str__(self) -> str:
        return f"choice({', '.join(literal(option) for option in self.options)})"


@dataclass(frozen=True)
class Constant:
    """A value that is the same for every trial: no dimension of the space, but part of each configuration."""

    value: Value

    def at(self, quantiles: np.ndarray) -> list[Value]:
        return [self.value] * len(quantiles)

    def quantile(self, value: Value) -> float:
        return 0.5

    def __contains__(self, value: object) -> bool:
        return _same(self.value, value)

    def support(self) -> str:
        return "constant"

    def __str__(self) -> str:
        return literal(self.value)


@dataclass(frozen=True)
class SearchSpace:
    """Named hyperparameters, in the order in which the user wrote them.

    A name is the config key that the hyperparameter overrides, with a `+` or `@package` where the override has one.

        >>> space = SearchSpace({"optimizer.learning_rate": parse_hyperparameter("loguniform(1e-4, 1)")})
        >>> space.sample(seed=0, number=0)
        {'optimizer.learning_rate': 0.0018213857208353885}
        >>> space.from_unit_cube(np.array([[0.5]]))
        [{'optimizer.learning_rate': 0.01}]
    """

    hyperparameters: Mapping[str, Hyperparameter]

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """The hyperparameters that vary: the columns of the unit cube."""
        return tuple(key for key, prior in self.hyperparameters.items() if not isinstance(prior, Constant))

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self.hyperparameters)

    def sample(self, seed: int, number: int) -> Configuration:
        """The configuration of trial `number`, drawn from the prior.

        Each value depends on the seed, the trial's number and its own key alone: neither other trials nor other
        hyperparameters move it.
        """
        point = np.array([[uniform(seed, number, key) for key in self.keys]]).reshape(1, len(self))
        return self.from_unit_cube(point)[0]

    def from_unit_cube(self, points: np.ndarray) -> list[Configuration]:
        """Maps n points of the unit cube to n configurations, each column by its inverse distribution function.

        Args:
            points: shape (n, d), values in [0, 1); column j belongs to the hyperparameter `self.keys[j]`.

        Raises:
            ValueError: if `points` has not d columns or leaves [0, 1).
        """
        if points.ndim != 2 or points.shape[1] != len(self):
            raise ValueError(f"points must have shape (n, {len(self)}), got {points.shape}")
        if points.size and not (points.min() >= 0 and points.max() < 1):
            raise ValueError("points must lie in [0, 1)")
        columns = dict(zip(self.keys, points.T, strict=True))
        middle = np.full(len(points), 0.5)
        values = {key: prior.at(columns.get(key, middle)) for key, prior in self.hyperparameters.items()}
        return [{key: values[key][row] for key in values} for row in range(len(points))]

    def to_unit_cube(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """The way back: shape (n, d); the middle of its cell for a value of a discrete hyperparameter."""
        return np.array(
            [[self.hyperparameters[key].quantile(each[key]) for key in self.keys] for each in configurations],
            dtype=float,
        ).reshape(len(configurations), len(self))

    def __contains__(self, configuration: object) -> bool:
        return (
            isinstance(configuration, dict)
            and configuration.keys() == self.hyperparameters.keys()
            and all(configuration[key] in prior for key, prior in self.hyperparameters.items())
        )


def uniform(seed: int, number: int, key: str) -> float:
    """A number in [0, 1) that depends on the sweep's seed, the trial's number and the hyperparameter's key alone."""
    digest = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little")
    return float(np.random.default_rng([seed, number, digest]).random())


def trial_seed(seed: int, number: int) -> int:
    """The seed of trial `number`: a function of the sweep's seed and the number, from 0 to 2**31 - 1."""
    return int(np.random.default_rng([seed, number]).integers(2**31))


def parse_hyperparameter(node: object) -> Hyperparameter:
    """Reads one hyperparameter from what a YAML file holds: text, a mapping that spells it out, or a constant.

    Raises:
        ConfigError: if it names no distribution, or the arguments don't fit. The key is the caller's to add.
    """
    if isinstance(node, str):
        return _parse_text(node)
    if isinstance(node, Mapping):
        return _parse_mapping(node)
    return Constant(node)


def as_hyperparameter(prior: object) -> Hyperparameter:
    """Reads one hyperparameter from what Python code holds: also a frozen distribution of SciPy.

        >>> from scipy import stats
        >>> str(as_hyperparameter(stats.loguniform(1e-4, 1)))
        'loguniform(0.0001, 1)'

    Raises:
        ConfigError: as `parse_hyperparameter`; also for a list, which here is more likely meant as a choice, and for
            values that no YAML file holds.
    """
    if isinstance(prior, Constant):
        return Constant(_plain(prior.value))
    if isinstance(prior, Choice):
        return Choice(tuple(_plain(option) for option in prior.options))
    if isinstance(prior, Distribution):
        return prior
    if isinstance(prior, list | tuple):
        raise ConfigError(f"{literal(prior)}: a list is no distribution; write {{'choice': {literal(prior)}}}")
    family = getattr(prior, "dist", None)
    if family is None:
        return parse_hyperparameter(_plain(prior))
    arguments = [_plain(value) for value in prior.args]  # type: ignore[attr-defined]
    keywords = {key: _plain(value) for key, value in prior.kwds.items()}  # type: ignore[attr-defined]
    return scipy_distribution(family.name, arguments, keywords)


def _plain(value: Any) -> Value:
    """The value as YAML holds it: Python's own number for NumPy's, and lists for tuples.

    Raises:
        ConfigError: if it is something else.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {_plain(name): _plain(item) for name, item in value.items()}
    raise ConfigError(f"{value!r}: a value is a number, text, True, False, None, or a list or dict of them")


def is_spelt_out(node: object) -> bool:
    """Whether a mapping is one hyperparameter (it has a reserved word), and not a level of nested keys."""
    return isinstance(node, Mapping) and ("distribution" in node or "choice" in node)


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
    return Distribution(text, frozen, _is_discrete(frozen), lower, upper)


def floor_of(distribution: Distribution) -> Distribution:
    """`int(...)`: the floor of a draw; for `loguniform(a, b)` of whole numbers both ends are values."""
    text = f"int({distribution})"
    if distribution.integer:
        raise ConfigError(f"{text}: {distribution} gives integers already")
    if distribution.frozen.dist.name in ("loguniform", "reciprocal") and distribution.text.count("=") == 0:
        low, high = distribution.lower, distribution.upper
        if low.is_integer() and high.is_integer():
            return integers(int(low), int(high), log=True, text=text)
    # The upper end of a continuous distribution is never drawn, so a whole number there is no value.
    return Distribution(text, distribution.frozen, True, np.floor(distribution.lower), np.ceil(distribution.upper) - 1)


def integers(low: int, high: int, *, log: bool, text: str) -> Distribution:
    """The whole numbers from low to high, both included: evenly, or evenly in their logarithm."""
    from scipy import stats

    _check_bounds(low, high, log=log, text=text)
    if max(abs(low), abs(high)) > LARGEST_WHOLE_FLOAT:
        raise ConfigError(f"{text}: whole numbers are drawn up to 2**53")
    frozen = stats.loguniform(low, high + 1) if log else stats.uniform(low, high + 1 - low)
    return Distribution(text, frozen, True, low, high)


def interval(low: float, high: float, *, log: bool, text: str) -> Distribution:
    """Hydra's half-open interval: low <= x < high, evenly, or evenly in the logarithm."""
    from scipy import stats

    _check_bounds(low, high, log=log, text=text)
    frozen = stats.loguniform(low, high) if log else stats.uniform(low, high - low)
    return Distribution(text, frozen, False, float(low), float(np.nextafter(high, low)))


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


def _parse_text(text: str) -> Hyperparameter:
    """Reads `name(arguments)`; text of any other form is a constant."""
    if "(" not in text:
        return Constant(text)
    if len(text) > LONGEST_TEXT:
        raise ConfigError(f"text of {len(text)} characters; at most {LONGEST_TEXT} are read")
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError(f"{_short(text)}: can't be read; write name(argument, name=argument)") from None
    return _parse_call(call, text)


def _parse_call(call: ast.expr, text: str) -> Hyperparameter:
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ConfigError(
            f"{_short(text)}: not a distribution. Allowed: the name of a scipy.stats distribution, choice or int, "
            "with literal arguments in parentheses"
        )
    name = call.func.id
    if name == "int":
        if len(call.args) != 1 or call.keywords:
            raise ConfigError(f"{_short(text)}: int(...) takes one distribution, as in int(loguniform(32, 1024))")
        inner = _parse_call(call.args[0], text)
        if not isinstance(inner, Distribution):
            raise ConfigError(f"{_short(text)}: int(...) takes a distribution, not {inner}")
        return floor_of(inner)
    arguments = [_literal_argument(argument, text) for argument in call.args]
    keywords = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise ConfigError(f"{_short(text)}: ** is not allowed; write each argument out")
        if keyword.arg in keywords:
            raise ConfigError(f"{_short(text)}: {keyword.arg} stands twice")
        keywords[keyword.arg] = _literal_argument(keyword.value, text)
    if name == "choice":
        if keywords:
            raise ConfigError(f"{_short(text)}: choice(...) takes options without names")
        return Choice(tuple(arguments))
    return scipy_distribution(name, arguments, keywords)


def _literal_argument(node: ast.expr, text: str) -> Value:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.Name(id=word):
            return WORDS.get(word.lower(), word)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as number)):
            return -number if isinstance(sign, ast.USub) else number
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal_argument(item, text) for item in items]
        case ast.Dict(keys=names, values=items) if all(isinstance(name, ast.Constant | ast.Name) for name in names):
            return {
                _literal_argument(name, text): _literal_argument(item, text)  # type: ignore[arg-type]
                for name, item in zip(names, items, strict=True)
            }
    raise ConfigError(
        f"{_short(text)}: '{_short(ast.unparse(node))}' is not a literal; "
        "arguments are numbers, words, quoted text, true, false, null, or lists of them"
    )


def _parse_mapping(node: Mapping[Any, Any]) -> Hyperparameter:
    if "choice" in node:
        options = node["choice"]
        if len(node) > 1:
            other = next(key for key in node if key != "choice")
            raise ConfigError(f"'{other}' can't stand beside 'choice'")
        if isinstance(options, Mapping):
            raise ConfigError("choice: takes a list of options, as in {choice: [sgd, adam]}")
        if not isinstance(options, Sequence) or isinstance(options, str):
            raise ConfigError(f"choice: takes a list of options, got {literal(options)}")
        return Choice(tuple(options))
    if "distribution" in node:
        arguments = {str(key): value for key, value in node.items() if key != "distribution"}
        return scipy_distribution(str(node["distribution"]), (), arguments)
    raise ConfigError("a hyperparameter that is spelt out has the key 'distribution' or 'choice'")


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
    if name in ("loguniform", "reciprocal"):
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


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:97]}..."


def _inside(quantile: float) -> float:
    return min(max(quantile, 0.0), LARGEST_QUANTILE)


def _same(one: object, other: object) -> bool:
    """Equality that tells 1 from True and from 1.0, as YAML does."""
    return type(one) is type(other) and one == other
