"""A folder that nobody has yet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path


def free_folder(wanted: Path) -> Path:
    """The folder that is wanted or, where it is there already, the first of its name with `-2`, `-3` and so on."""
    return next(folder for folder in _names(wanted) if not folder.exists())


def made_free_folder(wanted: Path) -> Path:
    """The same, made: no other process that asks at the same time gets it, too."""
    for folder in _names(wanted):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError  # names don't end


def _names(wanted: Path) -> Iterator[Path]:
    yield wanted
    yield from (wanted.with_name(f"{wanted.name}-{number}") for number in itertools.count(2))
