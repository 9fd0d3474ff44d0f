"""Checks of our own app's config beyond types, in the controller, before anything is written."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hposweep import optional_packages
from hposweep.app.check_training import check_training
from hposweep.app.option_keys import whose
from hposweep.errors import ConfigError
from hposweep.hydra_glue import unread_keys
from hposweep.results.terminal import summary
from hposweep.sweep_folder.journal import first_schema
from hposweep.training import array_files, fashion_mnist, keras_datasets, metrics, splits, tabular
from hposweep.training.curve_rules import check_validation
from hposweep.training.tasks import Task
from hposweep.trial import Direction

log = logging.getLogger(__name__)

LARGEST_TRIAL_SEED = 2**31 - 1
FASHION_MNIST = "hposweep.training.data.FashionMNIST"
TEST_STAGE = ["trainer.stage=test"]
DEFAULT_FINAL_METRICS = ("test_error", "test_mae")  # of conf/task
READERS: Mapping[str, Any] = {
    "hposweep.training.tabular.csv": tabular,
    "hposweep.training.array_files.arrays": array_files,
    "hposweep.training.keras_datasets.keras_dataset": keras_datasets,
}
OBJECTIVE = "hposweep.training.objective.objective"


def check_config(cfg: DictConfig) -> None:
    """Checks ranges, and the files of the data, without TensorFlow.

    Raises:
        ConfigError: naming the key or the file.
    """
    _check(cfg, "seed", 0, LARGEST_TRIAL_SEED)
    _check(cfg, "trainer.max_epochs", 1)
    _check(cfg, "trainer.target_epoch", 0)
    _check(cfg, "trainer.threads", 1)
    for key in ("checkpoint_every", "validate_every", "steps_per_epoch"):
        _check(cfg, f"trainer.{key}", 1)
    if cfg.data.get("_target_") == FASHION_MNIST:
        _check_fashion_mnist(cfg)


def check_extra(cfg: DictConfig) -> None:
    """Checks that what our own objective imports is installed; other objectives import their own.

    Raises:
        ConfigError: naming the extra.
    """
    if _is_ours(cfg):
        optional_packages.check(f"objective._target_: {OBJECTIVE}", "keras")
        if cfg.trainer.tensorboard:
            optional_packages.check("trainer.tensorboard", "tensorboard")


def check_sweep(cfg: DictConfig, of_options: Sequence[DictConfig]) -> None:
    """Checks the config of a sweep's first trial, Hydra's node included.

    Args:
        of_options: the same with each option of the groups that are searched.

    Raises:
        ConfigError: as `check_config`, or if its trials would do something else than train, or can't be judged by the
            sweep's metric.
    """
    check_extra(cfg)
    for each in (cfg, *of_options):
        check_config(each)
    if first_schema(Path(str(cfg.hydra.sweep.dir))) is None:
        for each in (cfg, *of_options):
            check_keys(each, each)
    for each in (cfg, *of_options):
        check_metric(each, cfg.hydra.sweeper)
    if _is_ours(cfg):
        for each in (cfg, *of_options):
            _check_parts(each, str(cfg.hydra.sweeper.metric))
        _check_direction(cfg)
        _check_old_metric(cfg)
    stage = _stage(cfg)
    if stage != "train":
        raise ConfigError(f"trainer.stage: a sweep trains its trials, and tests its winner by itself; got {stage}")


def check_keys(cfg: DictConfig, with_hydra: DictConfig) -> None:
    """Checks that something reads each key. Of an objective of one's own nobody knows what it reads.

    Args:
        with_hydra: has Hydra's node.

    Raises:
        ConfigError: naming the key, and where it belongs.
    """
    of_hydra = {f"hydra.{name}.": with_hydra.hydra[name] for name in ("sweep", "run", "sweeper", "launcher")}
    chooses_optimizer = any(line.startswith("optimizer.name=") for line in with_hydra.hydra.overrides.task)

    def is_read(key: str) -> bool:
        """Also keys of Keras's optimizers that conf/ does not name, and those of all that the name may choose."""
        return key == "hydra" or (key.startswith("optimizer.") and (chooses_optimizer or not whose(key)))

    unread_keys.check(
        {**of_hydra, **({"": cfg} if _is_ours(cfg) else {})},
        [cfg] if cfg is with_hydra else [cfg, with_hydra],
        has_short_names=True,
        whose=whose,
        is_read=is_read,
    )


def check_metric(cfg: DictConfig, sweeper: DictConfig) -> None:
    """Checks how our own objective trains, and that it can return the metric; any other objective knows its own.

    Raises:
        ConfigError: naming the key, and of a metric the columns that there are.
    """
    if not _is_ours(cfg):
        return
    metric = sweeper.get("metric")  # which only our sweeper has
    nodes = {name: _plain(cfg.get(name)) for name in ("task", "model", "optimizer", "trainer")}
    check_training(nodes, None if metric is None else str(metric))
    if metric is None:
        return
    task = task_of(cfg, str(metric))
    columns = metrics.columns_of(task.metrics)
    if metric not in columns:
        others = [name for name in metrics.names_of(task.kind) if f"validation_{name}" not in columns]
        more = f"; or train_ or validation_ and one of {', '.join(others)}" if others else ""
        raise ConfigError(
            f"hydra.sweeper.metric: must be a column of the learning curve, {', '.join(columns)}{more}; got {metric}"
        )


def name_of_value(cfg: DictConfig, sweeper: DictConfig) -> str:
    """What the value that a job returns is called."""
    metric = str(sweeper.get("metric", "value"))
    return final_metric_of(cfg, metric) if _is_ours(cfg) and _stage(cfg) != "train" else metric


def final_metric_of(cfg: DictConfig, metric: str) -> str:
    """What the winner's test value is called, for the trials' metric."""
    names = [each.name for each in task_of(cfg, metric).metrics]
    return f"test_{metrics.tested_name(metric, names)}"


def task_of(cfg: DictConfig, metric: str | None) -> Task:
    """The task of the config; that of an earlier version has none."""
    return Task.of(_plain(cfg.get("task")), metric)


def _check_parts(cfg: DictConfig, metric: str) -> None:
    """Checks the data, where a reader of ours reads them, and that they have the parts that are needed."""
    parts = _parts(cfg)
    if parts is not None:
        check_validation(_plain(cfg.trainer), metric, has_validation="val" in parts)


def _parts(cfg: DictConfig) -> frozenset[str] | None:
    """The parts "train", "val" and "test" that the data have; None where only a job can tell."""
    target = str(cfg.data.get("_target_"))
    if target == FASHION_MNIST:
        is_tested = str(getattr(cfg.data.validation, "value", cfg.data.validation)) != "test"
        return frozenset({"train", "val", "test"} if is_tested else {"train", "val"})
    if target not in READERS:
        return None
    return _read_parts(target, json.dumps(_plain(cfg.data)), json.dumps(_plain(cfg.task)))


@functools.lru_cache(maxsize=8)  # of each option of a searched group, and of what follows from them
def _read_parts(reader: str, node: str, task: str) -> frozenset[str]:
    found: frozenset[str] = READERS[reader].check(json.loads(node), Task.of(json.loads(task)))
    return found


def data_fingerprint(cfg: DictConfig) -> str | None:
    """The SHA-256 of the files of the data; None where they are not read by one of our readers."""
    reader = READERS.get(str(cfg.data.get("_target_"))) if _is_ours(cfg) else None
    if reader is None or not hasattr(reader, "fingerprint"):
        return None
    node = _plain(cfg.data)
    fingerprint: str = reader.fingerprint(**{key: node.get(key) for key in ("path", "validation_path", "test_path")})
    return fingerprint


def settled_options(cfg: DictConfig) -> dict[str, Any]:
    """Keys of `hydra.sweeper` whose values follow from others, where the user has not given them.

    Args:
        cfg: of the sweep, Hydra's node included.
    """
    sweeper, given = cfg.hydra.sweeper, {line.partition("=")[0] for line in cfg.hydra.overrides.hydra}
    if not _is_ours(cfg) or not sweeper.get("metric"):
        return {}
    settled: dict[str, Any] = {}
    if "hydra.sweeper.direction" not in given and sweeper.direction == Direction.minimize:
        meant = direction_of(cfg, str(sweeper.metric))
        if meant is Direction.maximize:
            settled["direction"] = str(meant)
    final_metric = final_metric_of(cfg, str(sweeper.metric))
    is_default = sweeper.final_metric in DEFAULT_FINAL_METRICS and "hydra.sweeper.final_metric" not in given
    if is_default and metrics.name_in(str(sweeper.metric)) and sweeper.final_metric != final_metric:
        settled["final_metric"] = final_metric
    if is_default and sweeper.final_overrides == TEST_STAGE and not _has_test_part(cfg):
        log.info("the data have no test part: the winner is not tested")
        settled |= {"final_overrides": None, "final_metric": None}
    return settled


def _has_test_part(cfg: DictConfig) -> bool:
    """Whether there may be one: data that can't be read are refused later."""
    try:
        parts = _parts(cfg)
    except ConfigError:
        return True
    return parts is None or "test" in parts


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True, enum_to_str=True) if OmegaConf.is_config(node) else node


def _stage(cfg: DictConfig) -> str:
    return str(getattr(cfg.trainer.stage, "value", cfg.trainer.stage))


def _is_ours(cfg: DictConfig) -> bool:
    return bool(cfg.objective._target_ == OBJECTIVE)


def _check_direction(cfg: DictConfig) -> None:
    sweeper = cfg.hydra.sweeper
    meant = direction_of(cfg, str(sweeper.metric))
    if meant is not None and sweeper.direction != meant:
        less = "less" if meant is Direction.minimize else "more"
        raise ConfigError(
            f"hydra.sweeper.direction: must be {meant}, since {less} {sweeper.metric} is better; "
            f"got {sweeper.direction}"
        )


def direction_of(cfg: DictConfig, metric: str) -> Direction | None:
    """The direction of a column of the learning curve; None where nobody knows it."""
    return metrics.directions_of(task_of(cfg, metric).metrics).get(metric)


def _check_old_metric(cfg: DictConfig) -> None:
    """A sweep of the first schema has validation errors, whatever its metric is called."""
    metric, folder = cfg.hydra.sweeper.metric, Path(str(cfg.hydra.sweep.dir))
    if metric != metrics.VALIDATION_ERROR and first_schema(folder) == 1:
        raise ConfigError(
            f"hydra.sweep.dir: the values in {summary.relative(folder)} are validation errors, which an earlier "
            f"version called {metric}; this sweep can't be gone on with: name another folder"
        )


def _check_fashion_mnist(cfg: DictConfig) -> None:
    validation, stage = (str(getattr(each, "value", each)) for each in (cfg.data.validation, cfg.trainer.stage))
    if validation == "test" and stage != "train":
        raise ConfigError(f"trainer.stage: {stage} needs a test set, and data.validation=test leaves none")
    if validation == "held_out":
        _check(cfg, "data.n_validation", 1, fashion_mnist.N_TRAIN - 1)
    _check(cfg, "data.split_seed", 0)
    _check(cfg, "data.train_fraction", 0.0, 1.0)
    n_train = fashion_mnist.n_train(validation, cfg.data.n_validation, cfg.data.train_fraction)
    if n_train < 1:
        raise ConfigError(f"data.train_fraction: must leave at least one example, got {cfg.data.train_fraction}")
    splits.check_batch_size(cfg.data.batch_size, n_train)
    fashion_mnist.check_files(fashion_mnist.data_folder())


def _check(cfg: DictConfig, key: str, lowest: float, highest: float | None = None) -> None:
    node, name = key.rpartition(".")[::2]
    value = (cfg[node] if node else cfg)[name]
    if value is None:
        return
    if highest is None and value < lowest:
        raise ConfigError(f"{key}: must be at least {lowest}, got {value}")
    if highest is not None and not lowest <= value <= highest:
        raise ConfigError(f"{key}: must be from {lowest} to {highest}, got {value}")
