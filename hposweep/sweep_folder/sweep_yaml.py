"""`sweep.yaml`: what is needed to run a sweep again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hposweep.errors import ConfigError
from hposweep.sweep_folder.files import write_atomically

RECORD_FILE = "sweep.yaml"


def read_record(sweep_dir: Path) -> dict[str, Any]:
    """What `sweep.yaml` holds, interpolations as they were written; nothing where there is none."""
    path = sweep_dir / RECORD_FILE
    if not path.is_file():
        return {}
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        record = None
    return check_record(record, path)


def check_record(record: object, path: Path) -> dict[str, Any]:
    """What a `sweep.yaml` holds.

    Raises:
        ConfigError: if somebody has damaged it.
    """
    if isinstance(record, dict):
        # That of a Hydra app, which can be run again, has more than that of a function.
        keys = ("search_space", "config", "overrides") if "command" in record else ("search_space",)
        if all(isinstance(record.get(key), dict) for key in keys):
            return record
    raise ConfigError(f"{path}: damaged; it must hold what the sweep was started with")


def config_node(record: Mapping[str, Any], *names: str) -> Any:
    """What stands at this key in the config of a sweep's record; None where nothing does."""
    node: Any = record.get("config")
    for name in names:
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def write_record(sweep_dir: Path, record: dict[str, Any]) -> None:
    """Writes the file, whole or not at all."""
    text = yaml.safe_dump(record, sort_keys=False, allow_unicode=True)
    write_atomically(sweep_dir / RECORD_FILE, text)
