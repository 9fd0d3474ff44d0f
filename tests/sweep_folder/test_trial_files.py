"""What hposweep keeps of a trial stands in a folder of its own, and nothing else of the job's is read or removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hposweep.errors import ConfigError
from hposweep.history import FinalEnded, History, SegmentEnded, SegmentStarted, SweepStarted, TrialProposed
from hposweep.job.running import RunningJob
from hposweep.sweep_folder import tables
from hposweep.sweep_folder.keeper import CheckpointKeeper
from hposweep.sweep_folder.learning_curve import CurveWriter
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Direction, TrialState


def filled(files: TrialFiles) -> TrialFiles:
    """The files of a trial that has trained two epochs."""
    files.make_folder()
    CurveWriter(files.learning_curve).write({"epoch": 2, "error": 0.5})
    files.data_summary.write_text(json.dumps({"baseline_error": 0.9}))
    files.checkpoint_dir.mkdir(parents=True)
    (files.checkpoint_dir / "state").write_text("weights")
    files.checkpoint.write_text("weights")
    return files


@pytest.mark.parametrize(("schema", "folder"), [(1, "trials/7"), (2, "trials/7/hposweep"), (None, "trials/7/hposweep")])
def test_the_schema_with_which_the_sweep_began_tells_where_they_are(tmp_path: Path, schema, folder: str) -> None:
    files = filled(TrialFiles(tmp_path, "trials/7", schema))
    assert files.folder == tmp_path / folder
    assert {path.name for path in (tmp_path / folder).iterdir()} == {
        *("learning_curve.csv", "data.json", "checkpoint", "checkpoint.npz")
    }
    assert files.read_curve() == [{"epoch": 2, "error": 0.5}]
    assert files.read_data_summary() == {"baseline_error": 0.9}
    files.remove_checkpoints()
    assert {path.name for path in (tmp_path / folder).iterdir()} == {"learning_curve.csv", "data.json"}


def test_a_trial_without_a_folder_has_no_files(tmp_path: Path) -> None:
    filled(TrialFiles(tmp_path, "."))
    files = TrialFiles(tmp_path, "")
    files.remove_checkpoints()
    assert (files.read_curve(), files.read_data_summary()) == ([], {})
    assert (tmp_path / "hposweep" / "checkpoint" / "state").exists()


@pytest.mark.parametrize("linked", ["trials", "trials/0", "trials/0/hposweep", "trials/0/hposweep/checkpoint"])
@pytest.mark.parametrize("schema", [1, 2])
def test_no_link_out_of_the_sweep_is_followed(tmp_path: Path, linked: str, schema: int) -> None:
    sweep, elsewhere = tmp_path / "sweep", tmp_path / "elsewhere"
    files = filled(TrialFiles(sweep, "trials/0", schema))
    link = sweep / linked.replace("/hposweep", "" if schema == 1 else "/hposweep")
    link.rename(elsewhere)
    link.symlink_to(elsewhere)
    left = sorted(path.relative_to(tmp_path) for path in elsewhere.rglob("*"))
    files.remove_checkpoints()
    assert sorted(path.relative_to(tmp_path) for path in elsewhere.rglob("*")) == left
    assert link.is_symlink()
    if not linked.endswith("checkpoint"):
        assert (files.read_curve(), files.read_data_summary()) == ([], {})


def test_a_file_that_is_linked_is_not_read(tmp_path: Path) -> None:
    files = filled(TrialFiles(tmp_path / "sweep", "trials/0"))
    for path in (files.learning_curve, files.data_summary):
        path.rename(tmp_path / path.name)
        path.symlink_to(tmp_path / path.name)
    assert (files.read_curve(), files.read_data_summary()) == ([], {})


def test_a_folder_outside_of_the_sweep_is_left_alone(tmp_path: Path) -> None:
    filled(TrialFiles(tmp_path / "other", "trials/0"))
    (tmp_path / "sweep").mkdir()
    files = TrialFiles(tmp_path / "sweep", "../other/trials/0")
    files.remove_checkpoints()
    assert files.read_curve() == []
    assert files.checkpoint.exists()


def test_a_sweep_whose_own_folder_is_linked_and_links_inside_of_it_are_followed(tmp_path: Path) -> None:
    filled(TrialFiles(tmp_path / "sweep", "trials/0"))
    (tmp_path / "link").symlink_to(tmp_path / "sweep")
    (tmp_path / "sweep" / "latest").symlink_to("trials/0")
    assert TrialFiles(tmp_path / "link", "trials/0").read_curve()
    files = TrialFiles(tmp_path / "link", "latest")
    assert files.read_curve()
    files.remove_checkpoints()
    assert not files.checkpoint.exists()


def test_a_job_writes_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    files = TrialFiles(tmp_path / "sweep", "trials/0")
    files.job_dir.mkdir(parents=True)
    files.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"trials/0/hposweep: is a link"):
        files.make_folder()


@pytest.mark.parametrize("schema", [1, 2])
def test_what_another_sweep_left_is_cleared_and_the_app_s_own_files_stay(tmp_path: Path, schema: int) -> None:
    files = filled(TrialFiles(tmp_path, "trials/0", schema))
    (files.job_dir / ".hydra").mkdir()
    (files.job_dir / "model.pt").touch()
    files.clear()
    assert {path.name for path in files.job_dir.iterdir()} == {".hydra", "model.pt"}
    files.clear()
    TrialFiles(tmp_path, "").clear()


def test_what_is_linked_or_no_folder_is_not_cleared(tmp_path: Path) -> None:
    elsewhere = filled(TrialFiles(tmp_path / "elsewhere", "trials/0")).folder
    files = TrialFiles(tmp_path / "sweep", "trials/0")
    files.job_dir.mkdir(parents=True)
    files.folder.symlink_to(elsewhere)
    files.clear()
    assert (elsewhere / "checkpoint.npz").exists()
    files.folder.unlink()
    files.folder.write_text("theirs")
    files.clear()
    assert files.folder.read_text() == "theirs"


def test_a_folder_in_the_place_of_a_checkpoint_is_not_removed(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path, "trials/0")
    files.checkpoint.mkdir(parents=True)
    (files.folder / ".checkpoint.npz.0a1b2c3d.tmp").touch()
    files.remove_checkpoints()
    assert [path.name for path in files.folder.iterdir()] == ["checkpoint.npz"]


def test_what_an_app_keeps_under_the_same_names_is_its_own(tmp_path: Path) -> None:
    history = History()
    events = [SweepStarted(2, 0, "error", Direction.minimize)]
    for number in range(2):
        job = tmp_path / "trials" / str(number)
        (job / "checkpoint").mkdir(parents=True)
        for name in ("checkpoint/model.pt", "checkpoint.npz", "learning_curve.csv", "data.json", "failure.txt"):
            (job / name).write_text("mine")
        events += [TrialProposed(number, {}, 0), SegmentStarted(number, 0, None, 1)]  # type: ignore[list-item]
        events += [SegmentEnded(number, TrialState.COMPLETE, None, {"error": 0.5}, 1.0, folder=f"trials/{number}")]  # type: ignore[list-item]
    for event in (*events, FinalEnded(0, 0.5)):
        history.apply(event)
    before = sorted(tmp_path.rglob("*"))
    keeper = CheckpointKeeper(tmp_path, history)
    keeper()
    keeper.end()
    assert sorted(tmp_path.rglob("*")) == before
    assert tables.warning_of_no_learning(tmp_path, history) == ""
    assert [line.split(",")[3] for line in tables.trials_csv(tmp_path, history).splitlines()[1:]] == ["", ""]


def test_a_job_removes_what_a_killed_one_of_its_trial_left_half_written(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path, "trials/0")
    files.make_folder()
    for name in (".job.0a1b2c3d.tmp", ".checkpoint.npz.0a1b2c3d.tmp", ".mine.0a1b2c3d.tmp", ".failure.txt"):
        (files.folder / name).touch()
    RunningJob(files, "error")
    assert {path.name for path in files.folder.iterdir()} == {"job", ".mine.0a1b2c3d.tmp", ".failure.txt"}
