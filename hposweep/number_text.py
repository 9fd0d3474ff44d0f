"""Numbers and times as text for people."""

from __future__ import annotations

LARGEST_IN_FULL = 1e6


def number_text(value: float, n_digits: int = 4) -> str:
    """A number in so many significant digits, zeros at their end left out: `0.1514`, `0.3`, `1e-06`, `31069`.

    Below a million all digits in front of the point are shown; from there on there is an exponent: `3.107e+06`.
    """
    text = f"{value:.{n_digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < LARGEST_IN_FULL else text


def time_unit(seconds: float) -> tuple[float, str]:
    """Seconds in the unit that suits such a time, and the unit's name."""
    if seconds < 180:
        return 1.0, "seconds"
    if seconds < 3 * 3600:
        return 60.0, "minutes"
    return 3600.0, "hours"


def time_text(seconds: float) -> str:
    """A time in three digits."""
    scale, unit = time_unit(seconds)
    return f"{number_text(seconds / scale, 3)} {unit}"
