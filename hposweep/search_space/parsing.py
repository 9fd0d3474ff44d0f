"""Hyperparameters from text, from YAML, and from Python code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hposweep.errors import ConfigError, object_text
from hposweep.search_space.dimensions import ConditionalChoice, Node
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


def parse_search_space(
    node: Mapping[Any, Any], read: Callable[[str, Any], Hyperparameter], *, nested: bool
) -> dict[str, Node]:
    """Reads hyperparameters under their config keys, and the branches of choices.

    Args:
        read: reads what stands at a key, but for choices with branches.
        nested: whether keys may be nested like the config that they override; with dots they may stand anyway.

    Raises:
        ConfigError: with the key in front, if something can't be read, stands twice, or holds itself.
    """
    return _TreeReader(read, nested).branch(node, ())


@dataclass(frozen=True)
class _TreeReader:
    read: Callable[[str, Any], Hyperparameter]
    nested: bool

    def branch(self, node: Mapping[Any, Any], inside: tuple[object, ...]) -> dict[str, Node]:
        """Reads a branch.

        Args:
            inside: the mappings that it stands in.
        """
        found: dict[str, Node] = {}
        for key, value, path in self._entries("", node, inside):
            try:
                if key in found:
                    raise ConfigError("stands twice, once with dots and once nested")
                check_text(key)
                found[key] = self._conditional(value, path) if _has_branches(value) else self.read(key, value)
            except ConfigError as error:
                raise ConfigError(f"{key}: {error}") from None
        return found

    def _entries(
        self, prefix: str, node: Mapping[Any, Any], inside: tuple[object, ...]
    ) -> Iterator[tuple[str, Any, tuple[object, ...]]]:
        """Each key with what stands there; a mapping that spells out a hyperparameter is no level of keys."""
        path = _entered(node, inside)
        for name, value in node.items():
            if not (self.nested or isinstance(name, str)):
                raise ConfigError(f"{prefix}{object_text(name)}: a name must be text")
            if self.nested and isinstance(value, Mapping) and not is_spelt_out(value):
                yield from self._entries(f"{prefix}{name}.", value, path)
            else:
                yield f"{prefix}{name}", value, path

    def _conditional(self, node: Mapping[Any, Any], inside: tuple[object, ...]) -> Node:
        """Reads a choice whose options are the keys of a mapping, each with its branch or nothing."""
        _check_alone(node)
        path, branches = _entered(node, inside), []
        for option, branch in node["choice"].items():
            if isinstance(option, str):
                check_text(option)
            elif not isinstance(option, bool | int | float | None):
                kinds = "text, a number, a boolean or null"
                raise ConfigError(f"{object_text(option)}: an option that may bring a branch is {kinds}")
            try:
                if branch is not None and not isinstance(branch, Mapping):
                    kinds = "a mapping of config keys to hyperparameters"
                    raise ConfigError(f"its branch is {kinds}, got {object_text(branch)}")
                branches.append(self.branch({} if branch is None else branch, path))
            except ConfigError as error:
                raise ConfigError(f"option {literal(option)}: {error}") from None
        choice = Choice(tuple(node["choice"]))
        return ConditionalChoice(choice, tuple(branches)) if any(branches) else choice


def _entered(node: Mapping[Any, Any], inside: tuple[object, ...]) -> tuple[object, ...]:
    if any(each is node for each in inside):
        raise ConfigError("a mapping that holds itself has no end")
    return (*inside, node)


def _has_branches(node: object) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("choice"), Mapping)


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
    return isinstance(node, Mapping) and ("distribution" in node or "choice" in node or is_of_optuna(node))


def is_of_optuna(node: object) -> bool:
    """Whether it is written as for hydra-optuna-sweeper: `{type: float, low: 0, high: 1}`."""
    return isinstance(node, Mapping) and node.get("type") in ("float", "int", "categorical") and len(node) > 1


def _parse_text(text: str) -> Hyperparameter:
    """Reads `name(arguments)`; text of any other form is a constant."""
    if "(" not in text:
        return Constant(text)
    if len(text) > LONGEST_TEXT:
        raise ConfigError(f"text of {len(text)} characters; at most {LONGEST_TEXT} are read")
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError(f"{_short(text)}: can't be read; {_advice(text)}") from None
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
        _check_alone(node)
        options = node["choice"]
        if not isinstance(options, Sequence) or isinstance(options, str):
            raise ConfigError(f"choice: takes a list of options, got {literal(options)}")
        return Choice(tuple(options))
    if "distribution" in node:
        arguments = {str(key): value for key, value in node.items() if key != "distribution"}
        return scipy_distribution(str(node["distribution"]), (), arguments)
    raise ConfigError("a hyperparameter that is spelt out has the key 'distribution' or 'choice'")


def _advice(text: str) -> str:
    if text.count("(") > text.count(")"):
        return "in braces YAML ends a text at a comma: write it in quotes, or on a line of its own"
    return "write name(argument, name=argument)"


def _check_alone(node: Mapping[Any, Any]) -> None:
    """Raises a ConfigError if something stands beside the options of a choice."""
    other = next((key for key in node if key != "choice"), None)
    if other is not None:
        raise ConfigError(
            f"'{other}' can't stand beside 'choice'. What exists under one option stands below it, as in "
            "{choice: {softmax: , mlp: {model.num_layers: 'randint(1, 4)'}}}; what all options share has a dotted key"
        )


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:97]}..."
