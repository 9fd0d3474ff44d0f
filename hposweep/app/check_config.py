"""Checks of our own app's config beyond types, in the controller, before anything is written."""

from __future__ import annotations

from omegaconf import DictConfig

from hposweep.errors import ConfigError
from hposweep.training import fashion_mnist

LARGEST_TRIAL_SEED = 2**31 - 1
FASHION_MNIST = "hposweep.training.data.FashionMNIST"


def check_config(cfg: DictConfig) -> None:
    """Checks ranges, and the files of the data, without TensorFlow.

    Raises:
        ConfigError: naming the key or the file.
    """
    _check(cfg, "seed", 0, LARGEST_TRIAL_SEED)
    _check(cfg, "trainer.max_epochs", 1)
    _check(cfg, "trainer.target_epoch", 0)
    _check(cfg, "trainer.threads", 1)
    _check(cfg, "trainer.checkpoint_every", 1)
    if cfg.data.get("_target_") == FASHION_MNIST:
        _check_fashion_mnist(cfg)


def check_sweep(cfg: DictConfig) -> None:
    """Checks the config of a sweep's first trial.

    Raises:
        ConfigError: as `check_config`, or if its trials would do something else than train.
    """
    check_config(cfg)
    stage = str(getattr(cfg.trainer.stage, "value", cfg.trainer.stage))
    if stage != "train":
        raise ConfigError(f"trainer.stage: a sweep trains its trials, and tests its winner by itself; got {stage}")


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
    if not 1 <= cfg.data.batch_size <= n_train:
        raise ConfigError(
            f"data.batch_size: must be from 1 to {n_train}, the training examples; got {cfg.data.batch_size}"
        )
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
