"""Priors as `sweep.yaml` holds them: by what each is made of or, in files of the first schema, by its text alone."""

from __future__ import annotations

import ast

from hposweep.errors import ConfigError
from hposweep.search_space.dimensions import Condition, Dimension
from hposweep.search_space.parsing import LONGEST_TEXT, parse_hyperparameter
from hposweep.search_space.priors import (
    Choice,
    Constant,
    Distribution,
    Hyperparameter,
    Value,
    floor_of,
    integers,
    interval,
    literal,
    scipy_distribution,
)


def read_prior(record: Value) -> Hyperparameter:
    """The prior with this record: the inverse of `Hyperparameter.record`, and of `str` in the first schema.

    Raises:
        ConfigError: if it is no such record, or the installed SciPy has no such distribution.
    """
    try:
        return _prior(record)
    except OverflowError:
        raise ConfigError(f"{prior_text(record)}: holds numbers that are too large") from None


def _prior(record: Value) -> Hyperparameter:
    match record:
        case str():
            return _read_text(record)
        case {"distribution": str(name), "arguments": list(arguments), "keywords": dict(keywords)}:
            return scipy_distribution(name, arguments, keywords)
        case {"distribution": str(name), "arguments": list(arguments)} if "keywords" not in record:
            return scipy_distribution(name, arguments, {})
        case {"int": inner}:
            distribution = _prior(inner)
            if isinstance(distribution, Distribution):
                return floor_of(distribution)
        case {"interval": [int(low), int(high)], "log": bool(log), "text": str(text)}:
            return integers(low, high, log=log, text=text)
        case {"interval": [float(low), float(high)], "log": bool(log), "text": str(text)}:
            return interval(low, high, log=log, text=text)
        case {"choice": list(options)}:
            return Choice(tuple(options))
        case {"constant": value}:
            return Constant(value)
    raise ConfigError(f"{literal(record)}: no record of a hyperparameter")


def read_dimension(id: str, record: Value) -> Dimension:
    """The dimension with this record: the inverse of `Dimension.record`.

    Raises:
        ConfigError: as `read_prior`, or if it is no such record.
    """
    prior = read_prior(record)
    if not isinstance(record, dict) or "when" not in record:
        return Dimension(id, id, prior)
    match record:
        case {"key": str(key), "when": {"choice": str(choice), "option": option}}:
            return Dimension(id, key, prior, Condition(choice, option))
    raise ConfigError(f"{literal(record)}: no record of a hyperparameter")


def key_of(id: str, record: Value) -> str:
    """The config key of the dimension with this record."""
    return str(record["key"]) if isinstance(record, dict) and "when" in record else id


def prior_text(record: Value) -> str:
    """The text of the prior with this record."""
    return str(record["text"] if isinstance(record, dict) else record)


def is_record(node: object) -> bool:
    """Whether it has the form of a prior's record, in any schema."""
    return isinstance(node, str) or (
        isinstance(node, dict) and isinstance(node.get("text"), str) and isinstance(node.get("key", ""), str)
    )


# The first schema: what was given in Hydra's sweep syntax stands there as it was written.


def _read_text(text: str) -> Hyperparameter:
    if "interval(" not in text or len(text) > LONGEST_TEXT:
        return parse_hyperparameter(text)
    try:
        low, high, log = _hydra_interval(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, KeyError, OverflowError, RecursionError, MemoryError):
        return parse_hyperparameter(text)  # such as a choice of texts
    if isinstance(low, int):
        return integers(low, int(high), log=log, text=text)
    return interval(low, high, log=log, text=text)


def _hydra_interval(call: ast.expr) -> tuple[float, float, bool]:
    """Reads `interval(low, high)`, in `int(...)`, `float(...)` and `tag(log, ...)` in any order: low, high, log.

    Raises:
        ValueError, TypeError, KeyError: if it is something else.
    """
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError("not an interval")
    name, keywords = call.func.id, {str(keyword.arg): keyword.value for keyword in call.keywords}
    if name == "interval":
        ends = dict(zip(("start", "end"), call.args, strict=False)) | keywords
        return float(ast.literal_eval(ends["start"])), float(ast.literal_eval(ends["end"])), False
    *tags, inner = [*call.args, *keywords.values()]
    low, high, log = _hydra_interval(inner)
    if name == "int" and not tags:
        return int(low), int(high), log
    if name == "float" and not tags:
        return float(low), float(high), log
    if name == "tag":
        return low, high, log or any(isinstance(tag, ast.Name) and tag.id == "log" for tag in tags)
    raise ValueError("not an interval")
