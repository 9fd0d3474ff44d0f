"""The files of a user's data: found, and known again by their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from hposweep.errors import ConfigError, nearest

BUNDLED = "datasets"  # the folder of ours, in a checkout and in a wheel


def located(path: str, folder: Path) -> Path:
    """Where this file is: relative to the folder; if it isn't there, one of the files that come with hposweep.

    `datasets/penguins/penguins.csv` is found from any folder in this way, and from a wheel.
    """
    given = folder / Path(path).expanduser()
    if given.exists() or Path(path).parts[:1] != (BUNDLED,):
        return given
    package = Path(__file__).resolve().parents[1]
    return next((each for each in (package / path, package.parent / path) if each.exists()), given)


def existing(key: str, path: str, *, may_be_folder: bool = False) -> Path:
    """The file of this path, relative to the working folder.

    Raises:
        ConfigError: naming the key, if there is none.
    """
    check_given(key, path)
    found = located(path, Path.cwd())
    if not found.exists():
        folder = found.parent
        if not folder.is_dir():
            raise ConfigError(f"data.{key}: no file {path}, and no folder {folder}")
        hint = nearest(found.name, sorted(each.name for each in folder.iterdir())).rstrip(". ")
        raise ConfigError(f"data.{key}: no file {path} in {Path.cwd()}{hint}")
    if found.is_dir() and not may_be_folder:
        raise ConfigError(f"data.{key}: {path} is a folder, not a file")
    return found


def check_given(key: str, value: object) -> None:
    """Raises a ConfigError where a value that the user has to give is as it stands in conf/."""
    if value in ("???", "", None):
        raise ConfigError(f"data.{key}: must be given: data.{key}=...")


def fingerprint(paths: Iterable[str | None]) -> str:
    """The SHA-256 of the bytes of these files, and of those in the folders among them, in this order, in hexadecimal.

    Raises:
        ConfigError: if one can't be read.
    """
    total = hashlib.sha256()
    for path in paths:
        if path is None:
            total.update(b"none")
            continue
        found = existing("path", path, may_be_folder=True)
        files = sorted(found.glob("*.npy")) if found.is_dir() else [found]
        for file in files:
            try:
                with open(file, "rb") as opened:
                    digest = hashlib.file_digest(opened, "sha256").digest()
            except OSError as error:
                raise ConfigError(f"data.path: {file} can't be read ({error.strerror})") from None
            total.update((file.name.encode() if found.is_dir() else b"") + b"\0" + digest)
    return total.hexdigest()
