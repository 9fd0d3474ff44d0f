"""What changes in a sweep's folder is read again, and nothing else."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from hposweep.errors import ConfigError
from hposweep.history import Ending, Event, SegmentEnded, SegmentStarted, SweepEnded, SweepStarted, TrialProposed
from hposweep.results import sweep_data
from hposweep.results.dashboard.sweep_reader import SweepReader
from hposweep.results.overview import SweepState
from hposweep.sweep_folder import lease as leases
from hposweep.sweep_folder.journal import FILE_NAME, Journal
from hposweep.sweep_folder.learning_curve import CurveWriter
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Direction, TrialState

START = SweepStarted(5, 0, "error", Direction.minimize, controller="a test")


def proposed(number: int) -> list[Event]:
    return [TrialProposed(number, {"x": number / 10}, 7), SegmentStarted(number, 0, 3, 1)]


def ended(number: int, value: float = 0.5, state: TrialState = TrialState.COMPLETE) -> Event:
    return SegmentEnded(number, state, 3, {"error": value}, 1.0, folder=f"trials/{number}")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep"
    folder.mkdir()
    append(folder, START, *proposed(0), ended(0))
    return folder


def append(folder: Path, *events: Event) -> None:
    journal = Journal.open(folder)
    journal.append(*events)
    journal.close()


def curve(folder: Path, number: int, *values: float) -> Path:
    files = TrialFiles(folder, f"trials/{number}")
    files.make_folder()
    writer = CurveWriter(files.learning_curve)
    for epoch, value in enumerate(values, start=1):
        writer.write({"epoch": epoch, "error": value})
    return files.folder


def test_each_event_changes_what_is_seen(sweep: Path) -> None:
    reader = SweepReader(sweep)
    versions = []
    for events in [(), proposed(1), (ended(1),), (SweepEnded(Ending.COMPLETE),)]:
        append(sweep, *events)
        look = reader.look()
        assert look is not None and look == reader.look()
        versions.append(look.version)
        assert dataclasses.replace(reader.data(), is_running=None) == sweep_data.read(sweep)
    assert len({*versions}) == len(versions)
    assert look is not None and look.overview.state is SweepState.FINISHED


def test_the_curve_of_an_ended_trial_is_read_once_and_that_of_a_running_one_as_it_grows(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = TrialFiles.read_curve

    def counted(files: TrialFiles) -> list[dict[str, float]]:
        read.append(files.job_folder)
        return real(files)

    monkeypatch.setattr(TrialFiles, "read_curve", counted)
    append(sweep, *proposed(1))
    curve(sweep, 0, 0.9, 0.7, 0.5)
    # The journal tells the folder of a trial at its end: until then the mark of its job does.
    (curve(sweep, 1, 0.8) / "job").write_text("0123abcd, job 1_1, process 7 on node3\n")
    reader = SweepReader(sweep)
    first = reader.look()
    assert [*reader.data().curves[1].values] == [0.8]
    assert reader.look() == first
    curve(sweep, 1, 0.8, 0.6)
    second = reader.look()
    assert first is not None and second is not None and second.version != first.version
    assert [*reader.data().curves[1].values] == [0.8, 0.6]
    assert read == ["trials/0", "trials/1", "trials/1"]


def test_a_removed_folder_is_seen_and_so_is_another_sweep_in_its_place(sweep: Path) -> None:
    reader = SweepReader(sweep)
    before = reader.look()
    shutil.rmtree(sweep)
    assert reader.look() is None
    with pytest.raises(ConfigError, match="removed"):
        reader.data()
    sweep.mkdir()
    append(sweep, START, *proposed(0), *proposed(1))
    after = reader.look()
    assert before is not None and after is not None and after.version != before.version
    assert {*after.overview.history.trials} == {0, 1}


def test_a_journal_that_is_damaged_and_mended_is_seen(sweep: Path) -> None:
    reader = SweepReader(sweep)
    reader.look()
    whole = (sweep / FILE_NAME).read_bytes()
    (sweep / FILE_NAME).write_bytes(whole + b"no event\n")
    look = reader.look()
    assert look is not None and look.overview.state is SweepState.UNREADABLE
    assert f"line {whole.count(chr(10).encode()) + 1} is damaged" in look.overview.why
    with pytest.raises(ConfigError, match="damaged"):
        reader.data()
    (sweep / FILE_NAME).write_bytes(whole)
    mended = reader.look()
    assert mended is not None and mended.overview.state is SweepState.KILLED
    assert dataclasses.replace(reader.data(), is_running=None) == sweep_data.read(sweep)


def test_a_torn_line_is_waited_for(sweep: Path) -> None:
    reader = SweepReader(sweep)
    before = reader.look()
    append(sweep, *proposed(1))
    whole = (sweep / FILE_NAME).read_bytes()
    (sweep / FILE_NAME).write_bytes(whole[:-20])
    torn = reader.look()
    assert torn is not None and before is not None and 1 in torn.overview.history.trials
    (sweep / FILE_NAME).write_bytes(whole)
    assert dataclasses.replace(reader.data(), is_running=None) == sweep_data.read(sweep)


def test_a_lease_that_moves_tells_that_the_sweep_runs(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system without locks; it is waited for once, and not at every look."""
    waited: list[Path] = []

    def is_moving(path: Path) -> bool:
        waited.append(path)
        return True

    monkeypatch.setattr(leases, "is_moving", is_moving)
    lease = sweep / leases.FILE_NAME
    lease.write_text(f"{'a' * 16} 1 process 7 on node3\n")
    reader = SweepReader(sweep)
    states = []
    for counter in (1, 2, 3):
        lease.write_text(f"{'a' * 16} {counter} process 7 on node3\n")
        look = reader.look()
        assert look is not None
        states.append(look.overview.state)
    lease.unlink()
    look = reader.look()
    assert look is not None
    assert [*states, look.overview.state] == [*[SweepState.RUNNING] * 3, SweepState.KILLED]
    assert len(waited) == 1


def test_secrets_are_masked(sweep: Path) -> None:
    append(sweep, TrialProposed(1, {"api_token": "hunter2"}, 7))
    assert "hunter2" not in repr(SweepReader(sweep).data())


def test_a_job_that_runs_is_told_from_one_that_was_cut_off(sweep: Path) -> None:
    append(sweep, *proposed(1))
    journal = Journal.open(sweep)
    journal.append(START, *proposed(2))
    reader = SweepReader(sweep)
    assert [(each.trial, each.end) for each in reader.data().segments] == [
        (0, "COMPLETE"),
        (1, "CUT_OFF"),
        (2, "RUNNING"),
    ]
    journal.close()
    assert [each.end for each in reader.data().segments] == ["COMPLETE", "CUT_OFF", "CUT_OFF"]
