"""Keras optimizers from the `optimizer` node of the config."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any

import keras

from hposweep.errors import ConfigError, nearest

log = logging.getLogger(__name__)


def build_optimizer(node: Mapping[str, Any]) -> keras.optimizers.Optimizer:
    """The optimizer `node["name"]` with the other keys as its arguments; null leaves Keras's own default.

    Keys that only other optimizers know are left out, with a line in the log: in a search over `optimizer.name` the
    node has the arguments of every optimizer.

    Raises:
        ConfigError: if Keras has no optimizer of this name, none has such an argument, or it refuses its value.
    """
    kinds = {
        name.lower(): kind
        for name, kind in vars(keras.optimizers).items()
        if inspect.isclass(kind) and issubclass(kind, keras.optimizers.Optimizer) and name not in ("Optimizer",)
    }
    name = str(node["name"])
    if name.lower() not in kinds:
        allowed = sorted(kinds)
        raise ConfigError(f"optimizer.name: no '{name}'{nearest(name, allowed)}Available: {', '.join(allowed)}")
    kind = kinds[name.lower()]
    known = inspect.signature(kind).parameters
    given = {key: value for key, value in node.items() if key != "name" and value is not None}
    unused = [key for key in given if key not in known]
    for key in unused:
        of_any = sorted({each for other in kinds.values() for each in inspect.signature(other).parameters})
        if key not in of_any:
            raise ConfigError(f"optimizer.{key}: no optimizer of Keras has it{nearest(key, of_any)}".rstrip(" ."))
    if unused:
        log.info("%s has no %s: left out", name, ", ".join(f"optimizer.{key}" for key in unused))
    try:
        return kind(**{key: value for key, value in given.items() if key in known})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optimizer: {' '.join(str(error).split())}") from None
