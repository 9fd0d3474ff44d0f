"""Jobs that are told that their engine is going to end them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import hposweep
from hposweep.job import run
from hposweep.job.running import RunningJob
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import SegmentEnd, SegmentResult

N_EPOCHS = 4


def result(folder: Path, objective: Callable[[], float], target_epoch: int | None = None) -> SegmentResult:
    """What becomes of the trial's next job."""
    job = RunningJob(TrialFiles(folder, "."), "error", target_epoch)
    try:
        value = run.run(job, objective, seed=0)
    except Exception as error:
        return run.failed(job.files, error, 1.0, ".")
    return run.returned(value, job, 1.0, ".")


def trained(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "trained").read_text().split()]


def tell(folder: Path) -> None:
    TrialFiles(folder, ".").end_notice.touch()


def objective_of(folder: Path, *, told_in: int | None, asks: bool = True) -> Callable[[], float]:
    """The loop of the documentation, which is told during this epoch."""

    def objective() -> float:
        path = hposweep.checkpoint_dir() / "epoch"
        start = int(path.read_text()) if path.exists() else 0
        last = hposweep.target_epoch(default=N_EPOCHS)
        for epoch in range(start + 1, last + 1):
            with open(folder / "trained", "a") as file:
                print(epoch, file=file)
            if epoch == told_in:
                tell(folder)
            if asks and hposweep.ends_soon():
                path.write_text(str(epoch))
            hposweep.report(epoch, 1 / epoch)
        return 1 / last

    return objective


@pytest.mark.parametrize("told_in", range(1, N_EPOCHS))
def test_an_objective_that_asks_ends_at_its_report_and_goes_on_in_another_job(tmp_path: Path, told_in: int) -> None:
    first = result(tmp_path, objective_of(tmp_path, told_in=told_in))
    assert (first.end, first.value, first.first_epoch) == (SegmentEnd.LOST, None, 1)
    assert first.failure == "it was told to end"
    assert trained(tmp_path) == list(range(1, told_in + 1))
    second = result(tmp_path, objective_of(tmp_path, told_in=None))
    assert (second.end, second.value, second.first_epoch) == (SegmentEnd.RETURNED, 1 / N_EPOCHS, told_in + 1)
    assert trained(tmp_path) == list(range(1, N_EPOCHS + 1))
    assert len(TrialFiles(tmp_path, ".").read_curve()) == N_EPOCHS


def test_one_that_is_told_in_its_last_epoch_returns_its_value(tmp_path: Path) -> None:
    assert result(tmp_path, objective_of(tmp_path, told_in=N_EPOCHS)).value == 1 / N_EPOCHS


@pytest.mark.parametrize("asks", [True, False])
def test_its_last_epoch_is_that_of_the_segment(tmp_path: Path, asks: bool) -> None:
    found = result(tmp_path, objective_of(tmp_path, told_in=2, asks=asks), target_epoch=2)
    assert (found.end, found.value) == (SegmentEnd.RETURNED, 1 / 2)


def test_one_that_never_asks_is_left_alone(tmp_path: Path) -> None:
    found = result(tmp_path, objective_of(tmp_path, told_in=1, asks=False))
    assert (found.end, found.value) == (SegmentEnd.RETURNED, 1 / N_EPOCHS)


def test_one_that_is_ended_by_its_report_at_the_target_has_its_value(tmp_path: Path) -> None:
    def objective() -> float:
        for epoch in range(1, N_EPOCHS + 1):
            if epoch == 2:
                tell(tmp_path)
                assert hposweep.ends_soon()
            hposweep.report(epoch, 1 / epoch)
        return 0.0

    assert result(tmp_path, objective, target_epoch=2).value == 1 / 2


def test_one_that_catches_every_exception_is_ended_all_the_same(tmp_path: Path) -> None:
    def objective() -> float:
        try:
            return objective_of(tmp_path, told_in=1)()
        except Exception:
            return 0.0

    assert result(tmp_path, objective).end is SegmentEnd.LOST


def test_the_notice_of_a_former_job_does_not_count(tmp_path: Path) -> None:
    assert result(tmp_path, lambda: 0.5).value == 0.5
    tell(tmp_path)
    assert result(tmp_path, lambda: float(hposweep.ends_soon())).value == 0.0


def test_outside_of_a_job_nobody_can_be_told() -> None:
    with pytest.raises(ValueError, match="HydraConfig was not set"):
        hposweep.ends_soon()
