"""learning_curve.csv: rows are appended, cut back and read with the same bits."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hposweep.sweep_folder import learning_curve

numbers = st.floats(allow_nan=False)


def curve(path: Path, n_epochs: int) -> None:
    for epoch in range(1, n_epochs + 1):
        learning_curve.append_row(path, {"epoch": epoch, "train_loss": 1 / epoch, "validation_error": 0.1 * epoch})


@given(value=numbers)
def test_a_float_reads_back_as_the_same_bits(tmp_path_factory, value: float) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("curve") / "learning_curve.csv"
    learning_curve.append_row(path, {"epoch": 1, "train_loss": value})
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
