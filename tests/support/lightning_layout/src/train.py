import os
import random
import sys
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

# What `rootutils.setup_root` does: the project's root is known, and modules are imported from there.
os.environ["PROJECT_ROOT"] = str(Path(__file__).resolve().parents[1])
sys.path.insert(0, os.environ["PROJECT_ROOT"])

from src.utils.utils import extras, get_metric_value, instantiate_callbacks, task_wrapper


@task_wrapper
def train(cfg: DictConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    if cfg.get("seed") is not None:
        random.seed(cfg.seed)
    datamodule = hydra.utils.instantiate(cfg.data)
    model = hydra.utils.instantiate(cfg.model)
    callbacks = instantiate_callbacks(cfg.get("callbacks"))
    trainer = hydra.utils.instantiate(cfg.trainer, callbacks=callbacks)
    if cfg.get("train"):
        trainer.fit(model, datamodule)
    return trainer.callback_metrics, {"cfg": cfg, "model": model}


@hydra.main(version_base="1.3", config_path="../configs", config_name="train.yaml")
def main(cfg: DictConfig) -> float | None:
    extras(cfg)
    metric_dict, _ = train(cfg)
    return get_metric_value(metric_dict, cfg.get("optimized_metric"))


if __name__ == "__main__":
    main()
