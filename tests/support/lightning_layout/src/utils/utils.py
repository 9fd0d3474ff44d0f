import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

log = logging.getLogger(__name__)


def extras(cfg: DictConfig) -> None:
    """What the group `extras` asks for, before the task begins."""
    if cfg.extras.get("enforce_tags") and not cfg.get("tags"):
        raise ValueError("Specify tags before launching a multirun!")
    if cfg.extras.get("print_config"):
        Path(cfg.paths.output_dir, "config_tree.log").write_text(OmegaConf.to_yaml(cfg, resolve=True))


def task_wrapper(task_func: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Logs how the task ends."""

    @functools.wraps(task_func)
    def wrap(cfg: DictConfig) -> Any:
        try:
            return task_func(cfg)
        except Exception:
            log.exception("")
            raise
        finally:
            log.info("Output dir: %s", cfg.paths.output_dir)

    return wrap


def instantiate_callbacks(callbacks_cfg: DictConfig | None) -> list[Any]:
    """The callbacks that the config names."""
    if not callbacks_cfg:
        log.warning("No callback configs found! Skipping...")
        return []
    return [hydra.utils.instantiate(each) for each in callbacks_cfg.values() if "_target_" in each]


def get_metric_value(metric_dict: dict[str, Any], metric_name: str | None) -> float | None:
    """The metric that the search is to optimize."""
    if not metric_name:
        log.info("Metric name is None! Skipping metric value retrieval...")
        return None
    if metric_name not in metric_dict:
        raise ValueError(f"Metric value not found! <metric_name={metric_name}>")
    value: float = metric_dict[metric_name]
    log.info("Retrieved metric value! <%s=%s>", metric_name, value)
    return value
