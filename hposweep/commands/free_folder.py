"""A folder that nobody has yet."""

from __future__ import annotations

from pathlib import Path


def free_folder(wanted: Path) -> Path:
    """The folder that is wanted or, where it is there already, the first of its name with `-2`, `-3` and so on."""
    folder, number = wanted, 1
    while folder.exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder
