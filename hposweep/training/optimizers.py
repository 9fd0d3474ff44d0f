"""Keras optimizers and their schedules from the `optimizer` node of the config."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Mapping
from typing import Any

import keras

from hposweep.errors import ConfigError, nearest
from hposweep.training.keras_errors import reason

log = logging.getLogger(__name__)


def build_optimizer(
    node: Mapping[str, Any], steps_per_epoch: int | None = None, n_epochs: int | None = None
) -> keras.optimizers.Optimizer:
    """The optimizer `node["name"]` with the other keys as its arguments; null leaves Keras's own default.

    Keys that only other optimizers know are left out, with a line in the log: in a search over `optimizer.name` the
    node has the arguments of every optimizer.

    Args:
        steps_per_epoch, n_epochs: of the whole training, for `node["schedule"]`; None: unknown.

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
    given = {key: value for key, value in node.items() if key not in ("name", "schedule") and value is not None}
    unused = [key for key in given if key not in known]
    for key in unused:
        of_any = sorted({each for other in kinds.values() for each in inspect.signature(other).parameters})
        if key not in of_any:
            raise ConfigError(f"optimizer.{key}: no optimizer of Keras has it{nearest(key, of_any)}".rstrip(" ."))
    if unused:
        log.info("%s has no %s: left out", name, ", ".join(f"optimizer.{key}" for key in unused))
    if node.get("schedule") is not None:
        given["learning_rate"] = build_schedule(node["schedule"], node["learning_rate"], steps_per_epoch, n_epochs)
    try:
        return kind(**{key: value for key, value in given.items() if key in known})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optimizer: {reason(error)}") from None


def build_schedule(
    node: Mapping[str, Any] | str, learning_rate: float, steps_per_epoch: int | None, n_epochs: int | None
) -> keras.optimizers.schedules.LearningRateSchedule:
    """A schedule of keras.optimizers.schedules, by its name, or any other by its `_target_`.

    Keras counts training steps. A key that ends in `_epochs` stands for that of Keras that ends in `_steps`, and
    `boundary_epochs` for `boundaries`. Where they are not given, `initial_learning_rate` is `optimizer.learning_rate`,
    and `decay_steps` the whole training after the warm-up. A warm-up without `warmup_target` goes from 0 to
    `optimizer.learning_rate`.

    Args:
        node: the schedule's name, or its name or `_target_` with its arguments.

    Raises:
        ConfigError: naming the key.
    """
    key = "optimizer.schedule"
    arguments = {"name": node} if isinstance(node, str) else dict(node)
    kind = _kind_of_schedule(key, arguments)
    known = inspect.signature(kind).parameters
    given: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None:
            continue
        in_steps = "boundaries" if name == "boundary_epochs" else f"{name.removesuffix('_epochs')}_steps"
        if name.endswith("_epochs") and name not in known and in_steps in known | {"boundaries": None}:
            if steps_per_epoch is None:
                raise ConfigError(f"{key}.{name}: these data don't tell how many steps an epoch has; give {in_steps}")
            given[in_steps] = _in_steps(value, steps_per_epoch)
        elif name in known:
            given[name] = value
        else:
            allowed = [each for each in known if each not in ("name", "kwargs")]
            raise ConfigError(
                f"{key}.{name}: {kind.__name__} has no such key{nearest(name, allowed)}Keys: {', '.join(allowed)}"
            )
    if given.get("warmup_steps") and "warmup_target" not in given:
        # Keras has no warm-up without a target, whatever its steps.
        given["warmup_target"] = learning_rate
        given.setdefault("initial_learning_rate", 0.0)
    if "initial_learning_rate" in known:
        given.setdefault("initial_learning_rate", learning_rate)
    if "decay_steps" in known and "decay_steps" not in given:
        if steps_per_epoch is None or n_epochs is None:
            raise ConfigError(
                f"{key}.decay_steps: must be given, since these data don't tell how many steps an epoch has"
            )
        given["decay_steps"] = max(1, steps_per_epoch * n_epochs - int(given.get("warmup_steps", 0)))
    try:
        schedule = kind(**given)
        float(schedule(0))
    except Exception as error:
        raise ConfigError(f"{key}: {reason(error)}") from None
    return schedule


def _in_steps(epochs: Any, steps_per_epoch: int) -> Any:
    if isinstance(epochs, list | tuple):
        return [round(each * steps_per_epoch) for each in epochs]
    return round(epochs * steps_per_epoch)


def _kind_of_schedule(key: str, arguments: dict[str, Any]) -> type[keras.optimizers.schedules.LearningRateSchedule]:
    base = keras.optimizers.schedules.LearningRateSchedule
    target = arguments.pop("_target_", None)
    if target is not None:
        module, _, name = str(target).rpartition(".")
        try:
            kind = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(f"{key}._target_: {target}: {error}") from None
    else:
        name = str(arguments.pop("name", ""))
        kinds = {
            each.lower(): value
            for each, value in vars(keras.optimizers.schedules).items()
            if inspect.isclass(value) and value is not base
        }
        kind = kinds.get(name.lower().replace("_", ""))
        if kind is None:
            allowed = [value.__name__ for value in kinds.values()]
            raise ConfigError(f"{key}.name: no '{name}'{nearest(name, allowed)}Available: {', '.join(allowed)}")
    if not (inspect.isclass(kind) and issubclass(kind, base)):
        raise ConfigError(f"{key}: {target} is no keras.optimizers.schedules.LearningRateSchedule")
    return kind
