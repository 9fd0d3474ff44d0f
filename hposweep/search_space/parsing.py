"""Hyperparameters from text, from YAML, and from Python code."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hposweep.errors import ConfigError, object_text
from hposweep.search_space.priors import (
    WORDS,
    Choice,
    Constant,
    Distribution,
    Hyperparameter,
    Value,
    floor_of,
    literal,
    scipy_distribution,
)

LONGEST_TEXT = 10_000


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
        return Constant(plain_value(prior.value))
    if isinstance(prior, Choice):
        return Choice(tuple(plain_value(option) for option in prior.options))
    if isinstance(prior, Distribution):
        return prior
    if isinstance(prior, list | tuple):
        raise ConfigError(f"{literal(prior)}: a list is no distribution; write {{'choice': {literal(prior)}}}")
    family = getattr(prior, "dist", None)
    if family is None:
        return parse_hyperparameter(plain_value(prior))
    arguments = [plain_value(value) for value in prior.args]  # type: ignore[attr-defined]
    keywords = {key: plain_value(value) for key, value in prior.kwds.items()}  # type: ignore[attr-defined]
    return scipy_distribution(family.name, arguments, keywords)


def plain_value(value: Any) -> Value:
    """The value as YAML and JSON hold it: Python's own number for NumPy's, and lists for tuples.

    Raises:
        ConfigError: if they can't.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        check_text(value)
        return value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):  # JSON, in which trials are recorded, knows no other
                raise ConfigError(f"{object_text(value)}: the keys of a mapping are texts, got {object_text(name)}")
            check_text(name)
        return {name: plain_value(item) for name, item in value.items()}
    raise ConfigError(f"{object_text(value)}: a value is a number, text, True, False, None, or a list or dict of them")


def check_text(text: str) -> None:
    """Raises a ConfigError unless the text can be written into a file, in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{object_text(text)}: can't be written as UTF-8; take another text") from None


def is_spelt_out(node: object) -> bool:
    """Whether a mapping is one hyperparameter (it has a reserved word), and not a level of nested keys."""
    return isinstance(node, Mapping) and ("distribution" in node or "choice" in node)


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


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:97]}..."
