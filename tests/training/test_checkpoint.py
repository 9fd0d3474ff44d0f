"""The file of a checkpoint: whatever happens to it, its state is right or refused."""

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hposweep.errors import WriteError
from hposweep.training import checkpoint
from hposweep.training.checkpoint import Checkpoint
from support.limits import LIMITS, Limit

STATE = [np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(6, dtype=np.float32)[::-1].reshape(2, 3), np.int64(7)]
IDENTITY = "model and seed"


def saved(folder: Path) -> Path:
    path = folder / "checkpoint.npz"
    checkpoint.save(path, IDENTITY, Checkpoint(3, [np.asarray(value) for value in STATE], 12345))
    return path


def loaded(path: Path) -> Checkpoint | None:
    return checkpoint.load(path, IDENTITY, [np.asarray(value) for value in STATE])


def is_right(found: Checkpoint | None) -> bool:
    assert found is not None
    return found.epoch == 3 and all(
        a.tobytes() == np.asarray(b).tobytes() for a, b in zip(found.state, STATE, strict=True)
    )


def test_what_was_saved_is_loaded_by_us_and_by_numpy(tmp_path: Path) -> None:
    path = saved(tmp_path)
    found = loaded(path)
    assert is_right(found)
    assert found is not None
    assert found.curve == 12345
    with np.load(path, allow_pickle=False) as file:
        assert sorted(file.files) == ["0000", "0001", "0002", "head"]
    assert list(tmp_path.iterdir()) == [path]


def test_no_flipped_bit_gives_another_state_or_another_error(tmp_path: Path) -> None:
    path = saved(tmp_path)
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 3):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"^damaged"):
            loaded(path)


def test_a_file_that_was_cut_off_is_damaged_wherever_that_was(tmp_path: Path) -> None:
    path = saved(tmp_path)
    whole = path.read_bytes()
    for n_bytes in range(len(whole)):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(ValueError, match=r"^damaged"):
            loaded(path)


def of_an_earlier_version() -> bytes:
    buffer = io.BytesIO()
    arrays = {f"{position:04d}": value for position, value in enumerate(STATE)}
    np.savez(buffer, **arrays, head=np.array(json.dumps({"identity": IDENTITY, "epoch": 3})))  # type: ignore[arg-type]
    return buffer.getvalue()


def test_one_of_an_earlier_version_has_no_checksum_and_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(of_an_earlier_version())
    found = loaded(path)
    assert is_right(found)
    assert found is not None
    assert found.curve is None


def test_damage_to_one_of_an_earlier_version_has_one_kind_of_error(tmp_path: Path) -> None:
    path, whole = tmp_path / "checkpoint.npz", of_an_earlier_version()
    n_refused = 0
    for bit in range(0, 8 * len(whole), 7):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        try:
            loaded(path)
        except ValueError:
            n_refused += 1
    assert n_refused > 500


@pytest.mark.parametrize("kind", ["folder", "empty", "text", "another zip file"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "checkpoint.npz"
    match kind:
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case "text":
            path.write_text("theirs")
        case "another zip file":
            np.savez(path, weights=np.zeros(3))
    with pytest.raises(ValueError, match=r"^(damaged|no file)"):
        loaded(path)


def test_no_file_is_no_checkpoint(tmp_path: Path) -> None:
    assert loaded(tmp_path / "checkpoint.npz") is None


@pytest.mark.parametrize("limit", LIMITS)
def test_a_full_disk_leaves_the_checkpoint_before_it(tmp_path: Path, limit: Limit) -> None:
    path = saved(tmp_path)
    with pytest.raises(WriteError, match=r"checkpoint\.npz: can't be written"), limit():
        saved(tmp_path)
    assert is_right(loaded(path))
    assert list(tmp_path.iterdir()) == [path]


def test_more_than_the_state_comes_back_with_arrays_and_numbers_that_are_infinite(tmp_path: Path) -> None:
    extra: dict[str, Any] = {
        "callbacks": [{"best": math.inf, "wait": 3, "name": None, "is_set": True}, {}],
        "best": {
            "epoch": 2,
            "loss": -0.1,
            "state": [np.arange(3.0), np.array([[1, 2]], np.uint8), np.asarray(np.float32(3))],
        },
        "nothing": [],
    }
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, IDENTITY, Checkpoint(3, [np.asarray(value) for value in STATE], 1, extra))
    found = loaded(path)
    assert is_right(found)
    assert found is not None
    np.testing.assert_equal(dict(found.extra), extra)
    types = [array.dtype for array in found.extra["best"]["state"]]
    assert types == [np.float64, np.uint8, np.float32]


def test_the_order_of_very_many_variables_is_kept(tmp_path: Path) -> None:
    state = [np.asarray(number, np.int32) for number in range(10_002)]
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, IDENTITY, Checkpoint(1, state))
    found = checkpoint.load(path, IDENTITY, state)
    assert found is not None
    assert [int(value) for value in found.state] == list(range(10_002))
