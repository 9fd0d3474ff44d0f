"""What functions of the user's are given: what their signatures name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def named(function: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the offered arguments that the function's signature names."""
    return {name: value for name, value in offered.items() if takes(function, name)}


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether the function's signature names this argument."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # one that has none, in C
        return False
    return name in parameters and parameters[name].kind is not inspect.Parameter.VAR_KEYWORD
