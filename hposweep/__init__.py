"""Hyperparameter optimization as Hydra multirun sweeps."""

from typing import TYPE_CHECKING, Any

from hposweep.job.report import checkpoint_dir, ends_soon, report, target_epoch

if TYPE_CHECKING:
    from hposweep.api.sweep import Sweep, load
    from hposweep.api.tuning import tune

    __version__: str

__all__ = ["Sweep", "checkpoint_dir", "ends_soon", "load", "report", "target_epoch", "tune"]


def __getattr__(name: str) -> Any:
    # Every Hydra app imports this package at its start, and few want a sweep in Python.
    if name in ("Sweep", "load"):
        from hposweep.api import sweep

        return getattr(sweep, name)
    if name == "tune":
        from hposweep.api import tuning

        return tuning.tune
    if name == "__version__":
        from hposweep.sweep_folder import environment

        return environment.version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
