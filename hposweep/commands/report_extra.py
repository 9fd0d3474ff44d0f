"""The packages of the extra `report`, which nothing else of the program needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from hposweep.errors import ConfigError
from hposweep.results.report_process import PACKAGES


@contextlib.contextmanager
def needed_by(what: str) -> Iterator[None]:
    """Imports them inside of it.

    Raises:
        ConfigError: if one of them is missing, with how to get it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        raise ConfigError(f"{what} needs '{package}': pip install 'hposweep[report]'") from None
