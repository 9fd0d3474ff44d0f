"""A trial's output is read a piece at a time, from the sweep's own folder alone."""

import os
from pathlib import Path

import pytest

from hposweep.secret_keys import MASK
from hposweep.sweep_folder import log_tail
from hposweep.sweep_folder.log_tail import MOST_BYTES, names, piece, shown
from hposweep.sweep_folder.trial_files import TrialFiles


@pytest.fixture
def files(tmp_path: Path) -> TrialFiles:
    found = TrialFiles(tmp_path / "sweep", "trials/0")
    found.make_folder()
    found.output.write_text("first\nsecond\n")
    (found.job_dir / "main.log").write_text("logged\n")
    return found


def test_pieces_put_together_are_the_file(files: TrialFiles) -> None:
    text = "".join(f"{'é€😀' * (i % 40)} {i}\n" for i in range(4000)) + "€" * MOST_BYTES + "\nthe end"
    files.output.write_text(text)
    found, position = "", 0
    while True:
        next_piece = piece(files, "output.txt", position)
        assert next_piece.start == position and next_piece.end - next_piece.start <= MOST_BYTES
        found += next_piece.text
        if next_piece.end == position:
            break
        position = next_piece.end
    assert found + next_piece.rest == text and next_piece.rest == "the end"


def test_the_last_piece_begins_with_a_line(files: TrialFiles) -> None:
    files.output.write_text("".join(f"line {i}\n" for i in range(20_000)))
    found = piece(files, "output.txt", None)
    assert found.text.startswith("line ") and found.text.endswith("line 19999\n") and found.end == found.size


def test_what_is_added_is_the_next_piece(files: TrialFiles) -> None:
    position = piece(files, "output.txt", None).end
    with open(files.output, "a") as file:
        file.write("third\nfour")
    found = piece(files, "output.txt", position)
    assert (found.text, found.rest) == ("third\n", "four")


def test_a_file_that_was_begun_anew_is_read_from_its_start(files: TrialFiles) -> None:
    position = piece(files, "output.txt", None).end
    files.output.write_text("new\n")
    found = piece(files, "output.txt", position)
    assert (found.start, found.text) == (0, "new\n")


def test_output_and_logs_are_offered_and_nothing_else(files: TrialFiles) -> None:
    for name in ("config.yaml", "checkpoint.npz"):
        (files.job_dir / name).write_text("x")
    (files.job_dir / "linked.log").symlink_to("/etc/passwd")
    (files.job_dir / "folder.log").mkdir()
    os.mkfifo(files.job_dir / "pipe.log")
    assert names(files) == ["output.txt", "main.log"]


@pytest.mark.parametrize(
    "name", ["config.yaml", "../0/main.log", "/etc/passwd", "..", ".", "", "a/b.log", "hposweep/../main.log"]
)
def test_other_files_are_refused(files: TrialFiles, name: str) -> None:
    (files.job_dir / "config.yaml").write_text("secret")
    with pytest.raises(OSError):
        piece(files, name, None)


@pytest.mark.parametrize("where", ["output.txt", "hposweep", "0", "trials"])
def test_no_link_is_followed(files: TrialFiles, tmp_path: Path, where: str) -> None:
    """Neither in the place of the file nor on the way to it, not even to the same folder."""
    path = next(each for each in (files.output, *files.output.parents) if each.name == where)
    moved = tmp_path / "moved"
    path.rename(moved)
    path.symlink_to(moved)
    assert "output.txt" not in names(files)
    with pytest.raises(OSError):
        piece(files, "output.txt", None)


@pytest.mark.parametrize("folder", ["../outside", "/etc", "trials/../../outside", "trials/0/../../..", "a\0b"])
def test_a_folder_outside_of_the_sweep_is_refused(files: TrialFiles, tmp_path: Path, folder: str) -> None:
    (tmp_path / "outside" / "hposweep").mkdir(parents=True)
    (tmp_path / "outside" / "hposweep" / "output.txt").write_text("secret")
    (tmp_path / "outside" / "main.log").write_text("secret")
    hostile = TrialFiles(files.sweep_dir, folder)
    assert names(hostile) == []
    for name in ("output.txt", "main.log"):
        with pytest.raises(OSError):
            piece(hostile, name, None)


def test_a_pipe_in_the_place_of_the_output_is_not_waited_for(files: TrialFiles) -> None:
    files.output.unlink()
    os.mkfifo(files.output)
    assert "output.txt" not in names(files)
    with pytest.raises(OSError):
        piece(files, "output.txt", None)


def test_what_is_no_text_is_shown_as_far_as_it_is(files: TrialFiles) -> None:
    files.output.write_bytes(b"a\xff\xfe\nb\xc3")
    found = piece(files, "output.txt", 0)
    assert (found.text, found.rest) == ("a\ufffd\ufffd\n", "b\ufffd")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("\x1b[31mred\x1b[0m\n", "red\n"),
        ("1 of 2\r2 of 2\r\n", "2 of 2\n"),
        ("a\tb", "a       b"),
        ("\x1b]0;owned\x07\x00", "\\x1b]0;owned\\x07\\x00"),
        ("password=hunter2 next", f"password={MASK}"),
    ],
)
def test_a_text_is_shown_as_a_terminal_would_without_secrets(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_names_are_few(files: TrialFiles) -> None:
    for i in range(100):
        (files.job_dir / f"{i}.log").write_text("")
    assert len(names(files)) == 1 + log_tail.MOST_LOGS
