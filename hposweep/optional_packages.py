"""Packages of the extras: imported where something needs them, and named where they are missing."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator

from hposweep.errors import ConfigError

OF_THE_REPORT = ("plotly", "jinja2", "sklearn")
PACKAGES = {
    "keras": ("tensorflow", "keras", "pandas"),
    "d2l": ("d2l", "IPython"),
    "report": OF_THE_REPORT,
    "dashboard": (*OF_THE_REPORT, "starlette", "uvicorn"),
    "notebook": (*OF_THE_REPORT, "pandas"),
    "optuna": ("optuna",),
    "tensorboard": ("tensorboard",),
    "parquet": ("pandas", "pyarrow"),
    "cmaes": ("cmaes",),
    "ray": ("ray",),
    "dask": ("distributed", "dask_jobqueue"),
    "slurm": ("submitit",),
}


def installation(extra: str) -> str:
    """The command that installs this extra; in a checkout, too, once `pip install .` has installed hposweep."""
    return f"pip install 'hposweep[{extra}]'"


def missing(extra: str) -> list[str]:
    """The packages of this extra that are not installed; none of them is imported for that."""
    return [package for package in PACKAGES[extra] if importlib.util.find_spec(package) is None]


def check(what: str, extra: str) -> None:
    """Checks that the packages of this extra are installed, before anything imports them.

    Raises:
        ConfigError: as `needed_by`.
    """
    packages = missing(extra)
    if packages:
        raise ConfigError(f"{what} needs {', '.join(map(repr, packages))}: {installation(extra)}")


@contextlib.contextmanager
def needed_by(what: str, extra: str) -> Iterator[None]:
    """Imports packages of this extra inside of it.

    Raises:
        ConfigError: if one of them is missing, with how to get it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES[extra]:
            raise
        raise ConfigError(f"{what} needs '{package}': {installation(extra)}") from None
