"""Text files written atomically, and new folders."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path


def write_atomically(path: Path, text: str, errors: str = "strict") -> None:
    """Replaces the file atomically; `errors` as in `str.encode`."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8", errors=errors)
    temporary.replace(path)


def unique_folder(wanted: Path) -> Path:
    """The wanted folder or, if it exists, the first of its name with `-2`, `-3` and so on that doesn't."""
    return next(folder for folder in _names(wanted) if not folder.exists())


def made_unique_folder(wanted: Path) -> Path:
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
