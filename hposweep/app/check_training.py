"""Checks of how our own objective trains, as far as the config and Keras's source tell it: without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hposweep.errors import ConfigError, nearest
from hposweep.training import keras_source, metrics
from hposweep.training.curve_rules import EarlyStopping, ReduceOnPlateau
from hposweep.training.tasks import Task

DTYPE_POLICIES = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
# Keys of optimizer.schedule that stand for others, which count training steps.
IN_EPOCHS = {"boundaries": "boundary_epochs"}


def check_training(config: Mapping[str, Any], metric: str | None) -> None:
    """Checks the nodes `task`, `model`, `optimizer` and `trainer`.

    Args:
        config: as plain values.
        metric: of the sweep; None: another sweeper's.

    Raises:
        ConfigError: naming the key.
    """
    task = Task.of(config.get("task"), metric)
    trainer, optimizer = config["trainer"], config["optimizer"]
    loss = task.loss_node(config["model"].get("loss"))
    _check_target("model.loss" if task.loss is None else "task.loss", keras_source.LOSSES, str(loss.get("_target_")))
    for each in task.metrics:
        if each.target:
            _check_target(f"task.metrics: {each.name}", keras_source.METRICS, each.target)
    _check_optimizer(optimizer)
    memory = trainer.get("gpu_memory", "growth")
    if memory not in ("growth", "all") and not (isinstance(memory, int) and memory > 0):
        raise ConfigError(f"trainer.gpu_memory: must be growth, all, or a number of MB, got {memory}")
    policy = trainer.get("dtype_policy")
    if policy not in (None, *DTYPE_POLICIES):
        hint = nearest(str(policy), list(DTYPE_POLICIES))
        raise ConfigError(f"trainer.dtype_policy: no '{policy}'{hint}Available: {', '.join(DTYPE_POLICIES)}")
    if trainer.get("reduce_on_plateau") is not None and optimizer.get("schedule") is not None:
        raise ConfigError(
            "trainer.reduce_on_plateau: optimizer.schedule sets the learning rate already; take one of them"
        )
    _check_callbacks(trainer)
    directions = metrics.directions_of(task.metrics)
    column = metric if metric in directions else metrics.columns_of(task.metrics)[0]
    for name, rule in (("early_stopping", EarlyStopping), ("reduce_on_plateau", ReduceOnPlateau)):
        node = trainer.get(name)
        if node is not None and not isinstance(node, Mapping):
            raise ConfigError(f"trainer.{name}: must be null or its options, {{patience: 3}} for example; got {node}")
        rule.of(f"trainer.{name}", node, column, directions)
    if trainer.get("save") == "best" and metric not in (None, *directions):
        raise ConfigError(
            f"trainer.save: best needs the direction of {metric}; give its node in task.metrics one, "
            "direction: minimize or maximize"
        )


def _check_optimizer(node: Mapping[str, Any]) -> None:
    kinds = {name.lower(): name for name in keras_source.names(keras_source.OPTIMIZERS) if name not in ("Optimizer",)}
    name = str(node.get("name"))
    if kinds and name.lower() not in kinds:
        raise ConfigError(
            f"optimizer.name: no '{name}'{nearest(name, sorted(kinds))}Available: {', '.join(sorted(kinds))}"
        )
    schedule = node.get("schedule")
    if schedule is not None:
        _check_schedule({"name": schedule} if isinstance(schedule, str) else schedule)


def _check_schedule(node: Any) -> None:
    key = "optimizer.schedule"
    if not isinstance(node, Mapping):
        raise ConfigError(f"{key}: must be null, a schedule's name, or its name with its arguments; got {node}")
    if "_target_" in node:
        _check_target(f"{key}._target_", keras_source.SCHEDULES, str(node["_target_"]))
        return
    kinds = {
        each.lower(): each for each in keras_source.names(keras_source.SCHEDULES) if each != "LearningRateSchedule"
    }
    name = str(node.get("name", ""))
    kind = kinds.get(name.lower().replace("_", ""))
    if not kinds:
        return
    if kind is None:
        raise ConfigError(
            f"{key}.name: no '{name}'{nearest(name, list(kinds.values()))}Available: {', '.join(kinds.values())}"
        )
    known = [each for each in keras_source.arguments(keras_source.SCHEDULES, kind) if each != "name"]
    allowed = [*known, *(IN_EPOCHS.get(each, each.replace("_steps", "_epochs")) for each in known)]
    for each in node:
        if each != "name" and each not in allowed:
            raise ConfigError(f"{key}.{each}: {kind} has no such key{nearest(each, allowed)}Keys: {', '.join(known)}")


def _check_callbacks(trainer: Mapping[str, Any]) -> None:
    key, callbacks = "trainer.callbacks", trainer.get("callbacks")
    if callbacks is None:
        return
    if not isinstance(callbacks, list):
        raise ConfigError(f"{key}: must be a list, [TerminateOnNaN] for example; got {callbacks}")
    for node in callbacks:
        if not isinstance(node, str) and not (isinstance(node, Mapping) and node.get("_target_")):
            raise ConfigError(f"{key}: must be names of callbacks, or nodes with _target_; got {node}")
        target = str(node if isinstance(node, str) else node["_target_"])
        _check_target(key, keras_source.CALLBACKS, target if "." in target else f"keras.callbacks.{target}")
    if callbacks and trainer.get("loop") == "compiled":
        raise ConfigError(f"trainer.loop: can't be compiled, since {key} are given; set it to auto or fit")


def _check_target(key: str, package: str, target: str) -> None:
    """Checks the name of what stands in Keras; what stands elsewhere is known to its own module alone."""
    if not target.startswith("keras."):
        return
    allowed, (module, _, name) = keras_source.names(package), target.rpartition(".")
    if allowed and (module != f"keras.{package}" or name not in allowed):
        raise ConfigError(f"{key}: no {target}{nearest(name, list(allowed))}keras.{package} has {', '.join(allowed)}")
