"""What Keras offers, read in its source: to import it takes seconds, and TensorFlow, which the controller lacks."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Mapping
from pathlib import Path

OPTIMIZERS, SCHEDULES, CALLBACKS, LOSSES, METRICS = (
    "optimizers",
    "optimizers.schedules",
    "callbacks",
    "losses",
    "metrics",
)


def names(package: str) -> tuple[str, ...]:
    """The classes of `keras.<package>`, such as "callbacks"; empty where Keras's source can't be read."""
    return tuple(_modules(package))


def arguments(package: str, name: str) -> tuple[str, ...]:
    """What the constructor of this class takes; empty where it has none of its own, or its source can't be read."""
    module = _modules(package).get(name)
    tree = None if module is None else _parsed(module)
    for node in [] if tree is None else tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == "__init__":
                    found = each.args
                    return tuple(argument.arg for argument in (*found.posonlyargs, *found.args, *found.kwonlyargs)[1:])
    return ()


@functools.cache
def _modules(package: str) -> Mapping[str, str]:
    """The module of each class."""
    tree = _parsed(f"keras.{package}")
    return {
        alias.asname or alias.name: node.module
        for node in ([] if tree is None else tree.body)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if alias.name[0].isupper()
    }


@functools.cache
def _parsed(module: str) -> ast.Module | None:
    found = importlib.util.find_spec("keras")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0], *module.split(".")[1:])
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return ast.parse(file.read_text(encoding="utf-8"))
    return None
