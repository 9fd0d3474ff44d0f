"""Checks of searchers' options."""

from __future__ import annotations

from hposweep.errors import ConfigError


def check_count(name: str, value: object, lowest: int) -> None:
    """Checks that an option is a whole number of at least so much.

    Raises:
        ConfigError: if it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise ConfigError(f"{name}: must be a whole number of at least {lowest}, got {value!r}")


def check_share(name: str, value: object, *, may_be_0: bool) -> None:
    """Checks that an option is a number up to 1, and 0 or above 0.

    Raises:
        ConfigError: if it is not.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 0 <= value <= 1 and (value > 0 or may_be_0)):  # type: ignore[operator]
        raise ConfigError(f"{name}: must be {'from 0 to' if may_be_0 else 'above 0 and at most'} 1, got {value!r}")
