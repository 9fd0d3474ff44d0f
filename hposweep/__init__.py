"""Hyperparameter optimization as Hydra multirun sweeps."""

from hposweep.report import report

__all__ = ["report"]
