"""Files of a job that can't be written, are not ours, or belong to another job by now."""

import contextlib
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hposweep
from hposweep.errors import WriteError
from hposweep.job import run
from hposweep.job.running import GivenUp, RunningJob
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import SegmentEnd, SegmentResult
from support.limits import LIMITS, Limit, no_descriptors, no_room

Objective = Callable[[], Any]


def result(folder: Path, objective: Objective) -> SegmentResult:
    """What becomes of a job with this objective."""
    files = TrialFiles(folder, "trials/0")
    try:
        value = run.run(RunningJob(files, "error"), objective, seed=0)
    except Exception as error:
        return run.failed(files, error, 1.0, "trials/0")
    return run.returned(value, None, 1.0, "trials/0")


def reports() -> float:
    hposweep.report(1, 0.5)
    return 0.5


def reports_and_catches_what_that_raises() -> float:
    try:
        return reports()
    except Exception:
        return 0.25


def reports_and_raises_something_else() -> float:
    try:
        return reports()
    except Exception as error:
        raise RuntimeError("no curve") from error


def prints() -> float:
    os.write(1, b"text\n")
    return 0.5


def fails() -> float:
    raise ValueError("unlucky")


UNWRITABLE = [
    *((reports, "learning_curve.csv", limit) for limit in LIMITS),
    *((reports_and_catches_what_that_raises, "learning_curve.csv", limit) for limit in LIMITS),
    *((reports_and_raises_something_else, "learning_curve.csv", limit) for limit in LIMITS),
    *((fails, "failure.txt", limit) for limit in LIMITS),
    (prints, "output.txt", no_room),  # which is open
]


@pytest.mark.parametrize(("objective", "file", "limit"), UNWRITABLE)
def test_no_trial_fails_for_a_file_of_ours(tmp_path: Path, objective: Objective, file: str, limit: Limit) -> None:
    with contextlib.ExitStack() as stack:

        def limited() -> Any:
            stack.enter_context(limit())
            return objective()

        found = result(tmp_path, limited)
    assert (found.end, found.value) == (SegmentEnd.UNWRITABLE, None)
    if limit is no_descriptors:
        file = "job"  # which is looked at before each write
    assert found.failure.startswith(f"{tmp_path}/trials/0/hposweep/{file}: can't be written (")
    assert "\n" not in found.failure


def test_a_job_whose_folder_can_not_be_made_is_no_failed_trial_either(tmp_path: Path, monkeypatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "mkdir", full)
    found = result(tmp_path, reports)
    assert (found.end, found.failure) == (
        SegmentEnd.UNWRITABLE,
        f"{tmp_path}/trials/0/hposweep: can't be written (Read-only file system)",
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.EIO])
@pytest.mark.parametrize("name", ["their/model.pt", None])
def test_an_objective_that_can_not_write_its_own_files_has_failed(
    tmp_path: Path, number: int, name: str | None
) -> None:
    def objective() -> float:
        raise OSError(number, os.strerror(number), name)

    found = result(tmp_path, objective)
    assert found.end is SegmentEnd.RETURNED
    assert os.strerror(number) in found.failure.splitlines()[-1]


FILES = ("learning_curve.csv", "output.txt", "failure.txt", "checkpoint.npz", "checkpoint", "data.json", "job")


@pytest.mark.parametrize("name", [*FILES, ""])
@pytest.mark.parametrize("kind", ["file", "folder", "link", "damaged"])
@pytest.mark.parametrize("ends", ["well", "badly"])
def test_what_stands_in_the_place_of_our_files_costs_no_trial(
    tmp_path: Path, caplog, name: str, kind: str, ends: str
) -> None:
    folder = TrialFiles(tmp_path, "trials/0").folder
    path, elsewhere = folder / name, tmp_path / "elsewhere"
    path.parent.mkdir(parents=True)
    match kind:
        case "file":
            path.write_text("theirs")
        case "folder":
            path.mkdir()
            (path / "file").write_text("theirs")
        case "link":
            elsewhere.mkdir()
            path.symlink_to(elsewhere)
        case "damaged":
            path.write_bytes(bytes(range(256)))

    def objective() -> float:
        hposweep.report(1, 0.5)
        (hposweep.checkpoint_dir() / "state").write_text("epoch 1")
        os.write(1, b"printed\n")
        hposweep.report(2, 0.25)
        if ends == "badly":
            raise ValueError("unlucky")
        return 0.25

    with caplog.at_level(logging.WARNING):
        found = result(tmp_path, objective)
    assert found.end is SegmentEnd.RETURNED
    assert (found.value, found.failure.splitlines()[-1:]) == (
        (0.25, []) if ends == "well" else (None, ["ValueError: unlucky"])
    )
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(set(warnings)) == len(warnings) <= 2, warnings
    assert not elsewhere.exists() or not any(each.name != "state" for each in elsewhere.iterdir())


def test_an_objective_may_clear_its_own_folder(tmp_path: Path) -> None:
    import shutil

    def objective() -> float:
        hposweep.report(1, 0.5)
        shutil.rmtree(tmp_path / "trials" / "0")
        hposweep.report(2, 0.25)
        return 0.25

    assert result(tmp_path, objective).value == 0.25
    assert [row["epoch"] for row in TrialFiles(tmp_path, "trials/0").read_curve()] == [2]


def test_a_job_does_not_bring_back_a_sweep_that_was_removed(tmp_path: Path) -> None:
    import shutil

    def objective() -> float:
        shutil.rmtree(tmp_path / "trials")
        return reports()

    assert result(tmp_path, objective).end is SegmentEnd.UNWRITABLE
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_was_given_up_writes_no_more(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path, "trials/0")
    frozen = RunningJob(files, "error")
    frozen.report(1, 0.5)
    other = RunningJob(files, "error")
    other.report(1, 0.5)
    other.report(2, 0.4)
    before = {path: path.read_bytes() for path in files.folder.iterdir()}
    for act in (lambda: frozen.report(2, 0.3), frozen.checkpoint_dir, lambda: frozen.writing_files().__enter__()):
        with pytest.raises(GivenUp, match="hposweep/job: another job runs the trial by now"):
            act()
    assert {path: path.read_bytes() for path in files.folder.iterdir()} == before
    other.report(3, 0.3)
    assert [row["epoch"] for row in files.read_curve()] == [1, 2, 3]


def test_a_job_that_was_given_up_ends_whatever_its_objective_catches(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path, "trials/0")

    def objective() -> float:
        RunningJob(files, "error").report(1, 0.125)
        try:
            return reports()
        except Exception:
            return 0.25

    found = result(tmp_path, objective)
    assert (found.value, found.end, found.failure) == (
        None,
        SegmentEnd.LOST,
        f"{files.job_mark}: another job runs the trial by now",
    )
    assert not files.failure.exists()
    assert [row["error"] for row in files.read_curve()] == [0.125]


def test_a_mark_that_was_copied_or_touched_is_still_the_jobs(tmp_path: Path) -> None:
    job = RunningJob(TrialFiles(tmp_path, "trials/0"), "error")
    mark = job.files.job_mark
    text = mark.read_text()
    mark.unlink()
    mark.write_text(text)
    os.utime(mark)
    job.report(1, 0.5)
    assert len(job.files.read_curve()) == 1


def test_a_write_error_can_be_passed_between_processes() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(WriteError("a/file: can't be written (No space left on device)")))
    assert isinstance(error, WriteError)
