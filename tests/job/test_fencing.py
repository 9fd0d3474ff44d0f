"""Jobs of one trial that run at the same time: what was taken for dead wakes up, or begins late."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hposweep
from hposweep.job import run
from hposweep.job.running import GivenUp, RunningJob, running
from hposweep.sweep_folder.files import write_atomically
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import SegmentEnd, SegmentResult


def begun(folder: Path, number: int | None, trial: int = 7) -> RunningJob:
    return RunningJob(TrialFiles(folder, "trials/7"), "error", job_id="" if number is None else f"{trial}_{number}")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leave_checkpoint(job: RunningJob) -> None:
    with job.writing_files():
        write_atomically(job.files.checkpoint, f"of {job}", durable=False)


def leave_checkpoint_of_its_own(job: RunningJob) -> None:
    (job.checkpoint_dir() / "state").write_text(f"of {job}")


WRITES: dict[str, Callable[[RunningJob], None]] = {
    "report": lambda job: job.report(1, 0.5),
    "checkpoint": leave_checkpoint,
    "checkpoint_dir": leave_checkpoint_of_its_own,
}
STEPS = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["begin", *WRITES])), min_size=2, max_size=14)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_only_the_latest_job_that_has_begun_writes(steps: list[tuple[int, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs: list[RunningJob | None] = [None] * 4  # the last incarnation of each number
        former: list[RunningJob] = []
        for number, step in steps:
            job, latest = jobs[number], max((n for n in (1, 2, 3) if jobs[n]), default=0)
            before = contents(folder)
            if step == "begin" or job is None:
                if number < latest:
                    with pytest.raises(GivenUp, match="another job runs the trial by now"):
                        begun(folder, number)
                    assert contents(folder) == before
                    continue
                former += [] if job is None else [job]
                jobs[number] = begun(folder, number)
            elif number < latest:
                with pytest.raises(GivenUp):
                    WRITES[step](job)
                assert contents(folder) == before
            else:
                WRITES[step](job)
        for job in former:
            before = contents(folder)
            for write in WRITES.values():
                with pytest.raises(GivenUp):
                    write(job)
            assert contents(folder) == before


def test_a_later_job_takes_over_again_from_one_that_marked_the_folder_in_the_same_moment(tmp_path: Path) -> None:
    second = begun(tmp_path, 2)
    mark = second.files.job_mark.read_bytes()
    third = begun(tmp_path, 3)
    # As if the second one had looked before the third one came, and written after it.
    second.files.job_mark.write_bytes(mark)
    third.report(1, 0.5)
    with pytest.raises(GivenUp):
        second.report(1, 0.25)
    assert [row["error"] for row in third.files.read_curve()] == [0.5]


def test_a_mark_of_an_earlier_version_is_that_of_an_earlier_job(tmp_path: Path) -> None:
    without_number = begun(tmp_path, None)
    assert ", job " not in without_number.files.job_mark.read_text()
    begun(tmp_path, 1).report(1, 0.5)
    with pytest.raises(GivenUp):
        without_number.report(1, 0.25)


def test_the_mark_of_another_trial_holds_nobody_up(tmp_path: Path) -> None:
    begun(tmp_path, 9, trial=8)
    begun(tmp_path, 1).report(1, 0.5)


def test_a_single_run_in_the_folder_of_a_trial_is_not_held_up(tmp_path: Path) -> None:
    begun(tmp_path, 3)
    begun(tmp_path, None).report(1, 0.5)


def result(job: RunningJob, objective: Callable[[], float]) -> SegmentResult:
    try:
        value = run.run(job, objective, seed=0)
    except Exception as error:
        return run.failed(job.files, error, 1.0, "trials/7")
    return run.returned(value, job, 1.0, "trials/7")


def test_a_job_that_was_given_up_is_lost_and_tells_what_it_reported_first(tmp_path: Path) -> None:
    def objective() -> float:
        hposweep.report(3, 0.5)
        begun(tmp_path, 2)
        hposweep.report(4, 0.25)
        return 0.25

    found = result(begun(tmp_path, 1), objective)
    assert (found.end, found.value, found.first_epoch) == (SegmentEnd.LOST, None, 3)
    assert found.failure.endswith("trials/7/hposweep/job: another job runs the trial by now")


def test_a_job_that_was_given_up_leaves_no_note_of_its_failure(tmp_path: Path) -> None:
    def objective() -> float:
        begun(tmp_path, 2)
        raise ValueError("at the end of its life")

    job = begun(tmp_path, 1)
    assert result(job, objective).end is SegmentEnd.LOST
    assert not job.files.failure.exists()


def test_a_late_job_removes_no_note_of_its_successor(tmp_path: Path) -> None:
    late = begun(tmp_path, 1)
    begun(tmp_path, 2).files.failure.write_text("why the second one failed")
    assert result(late, lambda: 0.5).end is SegmentEnd.LOST
    assert late.files.failure.read_text() == "why the second one failed"


def test_the_same_job_under_another_name_of_its_metric_writes_with_it(tmp_path: Path) -> None:
    job = begun(tmp_path, 1)
    with running(job.measured_by("loss")):
        hposweep.report(1, 0.5)
    assert [set(row) for row in job.files.read_curve()] == [{"epoch", "loss", "seconds"}]
    leave_checkpoint(job)
