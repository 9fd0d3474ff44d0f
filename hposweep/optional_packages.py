"""Packages of the extras: imported where something needs them, and named where they are missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from hposweep.errors import ConfigError

OF_THE_REPORT = ("plotly", "jinja2", "sklearn")
PACKAGES = {
    "report": OF_THE_REPORT,
    "notebook": (*OF_THE_REPORT, "pandas"),
    "optuna": ("optuna",),
    "tensorboard": ("tensorboard",),
}


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
        raise ConfigError(f"{what} needs '{package}': pip install 'hposweep[{extra}]'") from None
