"""Whole files: written atomically, by several at once, on disks that are full, and through no link."""

import errno
import os
import threading
from pathlib import Path

import pytest

from hposweep.errors import TakenError, WriteError, write_error
from hposweep.sweep_folder.files import done_without, remove_temporaries, write_atomically, writing
from support.limits import LIMITS, Limit


@pytest.mark.parametrize("limit", LIMITS)
def test_what_the_disk_refuses_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, limit: Limit) -> None:
    path = tmp_path / "trials.csv"
    write_atomically(path, "old")
    with pytest.raises(WriteError, match=r"trials\.csv: can't be written \("), limit():
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "close", "replace"])
def test_so_it_does_wherever_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "trials.csv"
    write_atomically(path, "old")
    close = os.close

    def fail(*arguments: object) -> None:
        if step == "close":
            close(arguments[0])  # type: ignore[arg-type]
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch, pytest.raises(WriteError, match="Input/output error"):
        patch.setattr(Path if step == "replace" else os, step, fail)
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_and_its_folder_are_on_disk_when_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    write_atomically(tmp_path / "sweep.yaml", "text")
    file, folder = synced
    assert file.startswith(f"{tmp_path}/.sweep.yaml.")
    assert folder == str(tmp_path)
    write_atomically(tmp_path / "data.json", "text", durable=False)
    assert len(synced) == 2


def test_no_link_is_followed(tmp_path: Path) -> None:
    theirs, path = tmp_path / "theirs", tmp_path / "report.html"
    theirs.write_text("theirs")
    for name in ("report.html", "report.html.tmp", ".report.html.tmp"):
        (tmp_path / name).symlink_to(theirs)
    write_atomically(path, "ours")
    assert theirs.read_text() == "theirs"
    assert (path.read_text(), path.is_symlink()) == ("ours", False)


def test_a_new_file_has_the_permissions_that_others_have(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    write_atomically(tmp_path / "file", "")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_writers_at_once_leave_the_whole_text_of_one_of_them_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    texts = [letter * 300_000 for letter in "abc"]
    write_atomically(path, texts[0])

    def write(text: str) -> None:
        for _ in range(20):
            write_atomically(path, text, durable=False)

    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("sweep.yaml", ".sweep.yaml.0a1b2c3d.tmp", ".trials.csv.0a1b2c3d.tmp", ".sweep.yaml"):
        (tmp_path / name).touch()
    remove_temporaries(tmp_path, ["sweep.yaml"])
    assert {path.name for path in tmp_path.iterdir()} == {"sweep.yaml", ".trials.csv.0a1b2c3d.tmp", ".sweep.yaml"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO])
def test_an_error_of_the_disk_names_the_file_and_stops_the_sweep(number: int) -> None:
    message = rf"^a/file: can't be written \({os.strerror(number)}\)$"
    with pytest.raises(WriteError, match=message) as raised, done_without(), writing(Path("a/file")):
        raise OSError(number, os.strerror(number))
    assert not isinstance(raised.value, TakenError)


@pytest.mark.parametrize("way", ["a folder in its place", "a file in the place of its folder"])
def test_what_stands_in_the_place_of_a_file_is_left_alone_and_said_once(tmp_path: Path, caplog, way: str) -> None:
    path = tmp_path / "folder" / "file"
    if way == "a folder in its place":
        path.mkdir(parents=True)
    else:
        path.parent.write_text("theirs")
    for _ in range(2):
        with done_without():
            write_atomically(path, "ours")
    assert [record.message for record in caplog.records] == [
        f"{path}: can't be written ({'Is' if path.is_dir() else 'Not'} a directory); hposweep does without it"
    ]
    assert path.is_dir() or path.parent.read_text() == "theirs"
    assert len(list(tmp_path.rglob("*"))) == (2 if path.is_dir() else 1)


def test_a_name_that_is_too_long_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File name too long"):
        write_atomically(tmp_path / ("x" * 300), "")


class TheirError(Exception):
    """What others wrap an error of the disk into, as logging and launchers do."""


@pytest.mark.parametrize("is_wrapped", [False, True])
@pytest.mark.parametrize(("name", "shown"), [("0/.hydra/config.yaml", "0/.hydra/config.yaml"), (None, "swept/0")])
def test_what_others_could_not_write_is_known_by_its_number(name: str | None, shown: str, is_wrapped: bool) -> None:
    error: Exception = OSError(errno.ENOSPC, "No space left on device", name)
    if is_wrapped:
        error, error.__cause__ = TheirError("can't go on"), error
    assert str(write_error(error, Path("swept/0"))) == f"{shown}: can't be written (No space left on device)"


@pytest.mark.parametrize("error", [ValueError("no"), OSError(errno.ENOENT, "No such file or directory", "theirs")])
def test_other_errors_are_none_of_the_disk(error: Exception) -> None:
    assert write_error(error, Path("swept/0")) is None
