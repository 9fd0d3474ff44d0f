"""What stands in the folder of a sweep."""

import csv
import json
import zlib
from pathlib import Path
from typing import Any

import yaml


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def rows(sweep: Path) -> list[dict[str, str]]:
    """The rows of trials.csv."""
    return read_csv(sweep / "trials.csv")


def load_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def results_of(sweep: Path) -> dict[str, Any]:
    """What optimization_results.yaml says."""
    found: dict[str, Any] = load_yaml(sweep / "optimization_results.yaml")
    return found


def events(sweep: Path) -> list[dict[str, Any]]:
    """The whole lines of the journal; none where there is no journal yet."""
    path = sweep / "journal.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def without_seconds(curve: Path) -> list[dict[str, str]]:
    """The rows of a learning curve, but for the column that differs from run to run."""
    return [{name: text for name, text in row.items() if name != "seconds"} for row in read_csv(curve)]


def change_journal(sweep: Path, old: str, new: str, count: int = -1) -> None:
    """Replaces text in the journal, as a sweep would have written it: each line gets the checksum that it then has."""
    path = sweep / "journal.jsonl"
    text = path.read_text()
    assert old in text
    lines = text.replace(old, new, count).splitlines()
    contents = [line[: line.rindex(', "check": ')] + "}" for line in lines]
    path.write_text("".join(f'{each[:-1]}, "check": "{zlib.crc32(each.encode()):08x}"}}\n' for each in contents))
