"""Where conf/ is, for those who read its files."""

from __future__ import annotations

from pathlib import Path


def conf_dir() -> Path:
    """conf/ inside of the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"
