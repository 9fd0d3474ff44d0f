"""Hyperparameter optimization as Hydra multirun sweeps."""

from hposweep.report import checkpoint_dir, report, target_epoch

__all__ = ["checkpoint_dir", "report", "target_epoch"]
