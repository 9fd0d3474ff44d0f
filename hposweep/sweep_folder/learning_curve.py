"""`learning_curve.csv`: the epochs of a trial, written by its job and read by tables and reports.

One row an epoch, counted from 1; the first column is `epoch`, the others are numbers by name. Floats are written by
`repr`, so that reading gives the same bits.
"""

from __future__ import annotations

import csv
import io
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from hposweep.errors import ConfigError
from hposweep.sweep_folder.files import done_without, read_file, warn_once, write_all, writing

FILE_NAME = "learning_curve.csv"
LARGEST_EPOCH = 2**53
NO_METRICS = ("epoch", "seconds")  # columns that tell when, and not how well

Row = Mapping[str, float]


class CurveWriter:
    """Writes the rows of a curve one after the other; each costs the same, however many there are.

    What the file holds is read once, and again only where somebody else has changed it. When `write` returns, the row
    is with the system: it outlives the process, however that ends. A damaged file is begun anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size: int | None = None  # of the file, in bytes, as it was left; None: nobody has looked
        self._columns: list[str] = []  # of its rows; none where there are no rows
        self._n_own = 0  # rows that were written here
        self._first_epoch = self._last_epoch = 0
        self._last_row_at: int | None = None  # where the last row begins, if it was written here

    def write(self, row: Row) -> None:
        """Adds an epoch; rows of this epoch and later ones, from a run that was cut off, are replaced.

        Raises:
            ValueError: if an earlier epoch has other columns.
            WriteError: if the file can't be written.
        """
        with done_without(), writing(self._path):
            self._write(row)

    def _write(self, row: Row) -> None:
        if self._size != _size(self._path):
            self._look()
        assert self._size is not None
        epoch = int(row["epoch"])
        if self._columns and self._first_epoch < epoch and {*row} != {*self._columns}:
            if self._n_own:
                raise ValueError(f"epoch {epoch} reports {_names(row)}; the one before it {_names(self._columns)}")
            _put_aside(self._path, f"{self._path}: has other columns ({_names(self._columns)})")
            self._look()
        if self._columns and epoch <= self._last_epoch:
            self._cut_back_to(epoch - 1)
        head = b""
        if not self._columns:
            self._columns, self._first_epoch = list(row), epoch
            head = _line(self._columns)
        lines = head + _line([repr(row[name]) for name in self._columns])
        with open(self._path, "ab", buffering=0) as file:
            write_all(file.fileno(), lines)
        self._n_own += 1
        self._last_row_at, self._last_epoch = self._size + len(head), epoch
        self._size += len(lines)

    def _look(self) -> None:
        """Learns what the file holds, and cuts what a killed writer has left of a row."""
        rows = read_whole(self._path)
        cut_back(self._path, int(rows[-1]["epoch"]) if rows else 0)
        self._size = _size(self._path)
        self._columns = list(rows[0]) if rows else []
        self._first_epoch, self._last_epoch = (int(rows[at]["epoch"]) if rows else 0 for at in (0, -1))
        self._last_row_at = None

    def _cut_back_to(self, epoch: int) -> None:
        if self._last_row_at is None or epoch < self._last_epoch - 1 or epoch < self._first_epoch:
            cut_back(self._path, epoch)
            self._look()
            return
        # The last epoch once more: nothing has to be read for that.
        os.truncate(self._path, self._last_row_at)
        self._size, self._last_epoch, self._last_row_at = self._last_row_at, epoch, None


def metrics_of(row: Row) -> dict[str, float]:
    """What was measured in an epoch, by name."""
    return {name: value for name, value in row.items() if name not in NO_METRICS}


def read(path: Path) -> list[dict[str, float]]:
    """The rows of the file, `epoch` as an integer; no rows where there is no file. A torn last line is left out.

    Raises:
        ConfigError: if somebody has damaged it.
    """
    try:
        *lines, _torn = read_file(path).decode().split("\n")
        rows = [
            {name: int(text) if name == "epoch" else float(text) for name, text in row.items()}
            for row in csv.DictReader(lines)
        ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (IsADirectoryError, PermissionError) as error:
        raise ConfigError(f"{path}: no file that can be read ({error.strerror})") from None
    # No text, a cell too many or too few, or one that holds no number.
    except (TypeError, ValueError, csv.Error):
        rows = None
    if rows is None or not _is_ascending([row.get("epoch", 0) for row in rows]):
        raise ConfigError(f"{path}: damaged; each row needs an epoch after the one before, and numbers in all columns")
    return rows


def _is_ascending(epochs: list[float]) -> bool:
    return all(before < epoch < LARGEST_EPOCH for before, epoch in zip([0, *epochs], epochs, strict=False))


def read_whole(path: Path) -> list[dict[str, float]]:
    """The same, for who is going to write the file: a damaged one is put aside, so that it can be begun anew.

    Raises:
        WriteError: if it can't be put aside.
    """
    try:
        return read(path)
    except ConfigError as error:
        _put_aside(path, f"{error}")
        return []


def _put_aside(path: Path, reason: str) -> None:
    aside = path.with_name(f"{path.name}.damaged")
    warn_once(f"{reason}. It stands aside as {aside.name}, and is written anew")
    with done_without(), writing(path):
        path.replace(aside)


def cut_back(path: Path, epoch: int) -> None:
    """Removes the rows after this epoch, which a trial that goes on from its checkpoint will write again.

    Raises:
        WriteError: if that can't be done.
    """
    n_kept = sum(row["epoch"] <= epoch for row in read_whole(path))
    with writing(path):
        if n_kept:
            os.truncate(path, _end(path.read_bytes(), n_kept))
        else:
            path.unlink(missing_ok=True)


def checksum(path: Path, epoch: int) -> int:
    """The CRC-32 of the file as far as it goes to this epoch; 0 where there is no file to read."""
    try:
        content = path.read_bytes()
    except OSError:
        return 0
    return zlib.crc32(content[: _end(content, epoch)])


def _end(content: bytes, n_rows: int) -> int:
    """Where the file's first rows end, in bytes."""
    return sum(len(line) + 1 for line in content.split(b"\n")[: 1 + n_rows])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _names(columns: Iterable[str]) -> str:
    return ", ".join(sorted({*columns} - {"epoch", "seconds"}))


def _line(cells: list[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode()
