"""How numbers and times are told to people."""

from __future__ import annotations


def number_text(value: float) -> str:
    """A number in four digits."""
    return f"{value:.4g}"


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
    return f"{seconds / scale:.3g} {unit}"


def plural(n: int, word: str) -> str:
    """So many of them: `1 trial`, `2 trials`."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"
