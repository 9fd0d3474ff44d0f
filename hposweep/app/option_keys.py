"""Which option of which config group has a key: for a line on a key that the chosen option lacks."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from hposweep.conf_dir import conf_dir

CONFIG_DIR = ("--config-dir", "-cd")  # Hydra's
NO_PART_OF_A_TRIAL = ("search_space", "searcher", "scheduler", "experiment")


def whose(key: str) -> str:
    """The options that have this key, in words: `a key of optimizer=adam, optimizer=adamw alone`; else empty."""
    options = options_with(key)
    return f"a key of {', '.join(options)} alone" if options else ""


def options_with(key: str) -> list[str]:
    """The options of the key's group, in `conf/` and in a folder of `--config-dir`, that have it: `optimizer=adam`."""
    group, _, name = key.partition(".")
    if not name or group in NO_PART_OF_A_TRIAL:
        return []
    files = [path for folder in _config_dirs() for path in sorted((folder / group).glob("*.yaml"))]
    return [f"{group}={path.stem}" for path in files if name in _keys("", _node(path, group))]


def _config_dirs() -> Iterator[Path]:
    yield conf_dir()
    for word, following in itertools.zip_longest(sys.argv[1:], sys.argv[2:], fillvalue=""):
        option, equals, value = word.partition("=")
        if option in CONFIG_DIR:
            yield Path(value if equals else following)


def _node(path: Path, group: str) -> Any:
    """What the file puts at the group's key."""
    text = path.read_text(encoding="utf-8")
    node = yaml.safe_load(text)
    is_global = text.startswith("# @package _global_") and isinstance(node, Mapping)
    return node.get(group) if is_global else node


def _keys(prefix: str, node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            if f"{prefix}{name}" != "defaults":
                yield f"{prefix}{name}"
                yield from _keys(f"{prefix}{name}.", value)
