"""learning_curve.csv: rows are appended, cut back and read with the same bits."""

from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hposweep.errors import ConfigError
from hposweep.sweep_folder import learning_curve
from hposweep.sweep_folder.learning_curve import CurveWriter

numbers = st.floats(allow_nan=False)


def curve(path: Path, n_epochs: int) -> None:
    writer = CurveWriter(path)
    for epoch in range(1, n_epochs + 1):
        writer.write({"epoch": epoch, "train_loss": 1 / epoch, "validation_error": 0.1 * epoch})


@given(value=numbers)
def test_a_float_reads_back_as_the_same_bits(tmp_path_factory, value: float) -> None:
    path = tmp_path_factory.mktemp("curve") / "learning_curve.csv"
    CurveWriter(path).write({"epoch": 1, "train_loss": value})
    assert repr(learning_curve.read(path)[0]["train_loss"]) == repr(value)


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert learning_curve.read(tmp_path / "learning_curve.csv") == []


def test_cutting_back_leaves_the_rows_up_to_the_epoch_as_they_were(tmp_path: Path) -> None:
    path, other = tmp_path / "a.csv", tmp_path / "b.csv"
    curve(path, 5)
    curve(other, 3)
    learning_curve.cut_back(path, 3)
    assert path.read_bytes() == other.read_bytes()


def test_cutting_back_to_the_begin_removes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    curve(path, 2)
    learning_curve.cut_back(path, 0)
    assert not path.exists()


def test_a_torn_last_row_is_left_out_and_cut_away(tmp_path: Path) -> None:
    path, other = tmp_path / "a.csv", tmp_path / "b.csv"
    curve(path, 3)
    curve(other, 2)
    path.write_bytes(path.read_bytes()[:-3])
    assert len(learning_curve.read(path)) == 2
    learning_curve.cut_back(path, 3)
    assert path.read_bytes() == other.read_bytes()


epochs = st.lists(st.integers(1, 6), min_size=1, max_size=12)


@given(reported=epochs, at=st.integers(0, 12), torn=st.integers(0, 60))
def test_the_rows_are_those_before_the_last_report_of_each_epoch(tmp_path_factory, reported, at, torn) -> None:
    path = tmp_path_factory.mktemp("curve") / "learning_curve.csv"
    expected: dict[int, float] = {}
    writer = CurveWriter(path)
    for n, epoch in enumerate(reported):
        if n == at and path.exists():  # the writer is killed in the middle of a row, and another one goes on
            content = path.read_bytes()
            path.write_bytes(content[: max(0, len(content) - torn)])
            expected = {int(row["epoch"]): row["value"] for row in learning_curve.read(path)}
            writer = CurveWriter(path)
        writer.write({"epoch": epoch, "value": float(n)})
        expected = {other: value for other, value in expected.items() if other < epoch} | {epoch: float(n)}
        assert {row["epoch"]: row["value"] for row in learning_curve.read(path)} == expected
    assert path.read_bytes().count(b"epoch") == 1


def test_the_file_is_read_once_for_all_rows_that_are_added_and_for_a_last_one_that_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "learning_curve.csv"
    curve(path, 3)
    with patch.object(learning_curve, "read", wraps=learning_curve.read) as read:
        writer = CurveWriter(path)
        writer.write({"epoch": 4, "train_loss": 0.25, "validation_error": 0.4})
        n_reads = read.call_count
        for epoch in (5, 6, 6, 6, 7):
            writer.write({"epoch": epoch, "train_loss": 1 / epoch, "validation_error": 0.1})
        assert read.call_count == n_reads
    assert [row["epoch"] for row in learning_curve.read(path)] == [1, 2, 3, 4, 5, 6, 7]


def test_what_somebody_else_has_changed_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "learning_curve.csv"
    writer = CurveWriter(path)
    writer.write({"epoch": 1, "error": 0.5})
    writer.write({"epoch": 2, "error": 0.4})
    path.unlink()
    writer.write({"epoch": 3, "error": 0.3})
    assert learning_curve.read(path) == [{"epoch": 3, "error": 0.3}]


DAMAGES = {
    "no text": b"epoch,error\n1,\xff\n",
    "no number": b"epoch,error\n1,half\n",
    "a cell too few": b"epoch,error\n1\n",
    "a cell too many": b"epoch,error\n1,0.5,0.5\n",
    "no epochs": b"step,error\n1,0.5\n",
    "epochs in disorder": b"epoch,error\n1,0.5\n3,0.5\n2,0.5\n",
    "an epoch twice": b"epoch,error\n1,0.5\n1,0.5\n",
    "zeros after a power cut": bytes(4096) + b"\n1,0.5\n",
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_named_and_whoever_writes_begins_anew(tmp_path: Path, caplog, content: bytes) -> None:
    path = tmp_path / "learning_curve.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"learning_curve\.csv: damaged"):
        learning_curve.read(path)
    curve(path, 2)
    assert [row["epoch"] for row in learning_curve.read(path)] == [1, 2]
    assert (tmp_path / "learning_curve.csv.damaged").read_bytes() == content
    (warning,) = [record.message for record in caplog.records]
    assert warning.startswith(f"{path}: damaged")


def test_a_folder_in_its_place_is_put_aside(tmp_path: Path, caplog) -> None:
    path = tmp_path / "learning_curve.csv"
    for name in ("first", "second"):  # the second can't be: there is one already
        path.unlink(missing_ok=True)
        path.mkdir()
        (path / name).touch()
        curve(path, 2)
    assert (tmp_path / "learning_curve.csv.damaged" / "first").exists()
    assert (path / "second").exists()
    assert len({record.message for record in caplog.records}) == len(caplog.records) == 3


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_fails_who_writes_on(tmp_path_factory, position: int, bit: int) -> None:
    path = tmp_path_factory.mktemp("curve") / "learning_curve.csv"
    curve(path, 4)
    checksum = learning_curve.checksum(path, 3)
    content = bytearray(path.read_bytes())
    position %= len(content)
    content[position] ^= 1 << bit
    path.write_bytes(content)
    is_of_3 = position < sum(len(line) + 1 for line in bytes(content).split(b"\n")[:4])
    assert (learning_curve.checksum(path, 3) == checksum) != is_of_3
    writer = CurveWriter(path)
    writer.write({"epoch": 5, "train_loss": 1 / 5, "validation_error": 0.5})
    assert learning_curve.read(path)[-1] == {"epoch": 5, "train_loss": 1 / 5, "validation_error": 0.5}


def test_the_checksum_is_that_of_the_rows_to_an_epoch_whatever_follows(tmp_path: Path) -> None:
    path = tmp_path / "learning_curve.csv"
    assert learning_curve.checksum(path, 3) == 0
    curve(path, 3)
    checksum = learning_curve.checksum(path, 3)
    curve(path, 5)
    assert learning_curve.checksum(path, 3) == checksum != learning_curve.checksum(path, 5)
