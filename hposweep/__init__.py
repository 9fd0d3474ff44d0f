"""Hyperparameter optimization as Hydra multirun sweeps."""
