"""`learning_curve.csv`: the epochs of a trial, written by its job and read by whoever looks at the sweep.

One row an epoch, counted from 1; the first column is `epoch`, the others are numbers by name. Floats are written by
`repr`, so that reading gives the same bits.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from hposweep.errors import ConfigError
from hposweep.sweep_folder.files import write_atomically

FILE_NAME = "learning_curve.csv"

Row = Mapping[str, float]


def append_row(path: Path, row: Row) -> None:
    """Adds an epoch to the file; the first one also writes the head."""
    new = not path.exists() or path.stat().st_size == 0
    with open(path, "a", newline="", encoding="utf-8") as file:
        if new:
            file.write(_line(list(row)))
        file.write(_line([repr(value) for value in row.values()]))


def of_trial(sweep_dir: Path, folder: str) -> list[dict[str, float]]:
    """The rows that a trial has left in its folder, which is relative to the sweep's; none while it has no folder."""
    return read(sweep_dir / folder / FILE_NAME) if folder else []


def read(path: Path) -> list[dict[str, float]]:
    """The rows of the file, `epoch` as an integer; no rows where there is no file. A torn last line is left out.

    Raises:
        ConfigError: if somebody has damaged it.
    """
    if not path.exists():
        return []
    *lines, _torn = path.read_text(encoding="utf-8").split("\n")
    try:
        return [
            {name: int(text) if name == "epoch" else float(text) for name, text in row.items()}
            for row in csv.DictReader(lines)
        ]
    except (TypeError, ValueError):  # a cell too many or too few, or one that holds no number
        raise ConfigError(f"{path}: damaged; each row needs a number in every column") from None


def cut_back(path: Path, epoch: int) -> None:
    """Removes the rows after this epoch: those that a trial which goes on from a checkpoint will write again."""
    rows = [row for row in read(path) if row["epoch"] <= epoch]
    if not rows:
        path.unlink(missing_ok=True)
        return
    head = _line(list(rows[0]))
    write_atomically(path, head + "".join(_line([repr(value) for value in row.values()]) for row in rows))


def _line(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
