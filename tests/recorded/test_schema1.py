"""Sweeps of the first schema, as the version before left them: read, reported, exported, compared, resumed, reproduced.

What they hold is read here by `json` and `csv` alone, so that nothing checks itself.
"""

import csv
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pandas
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import hposweep
from hposweep.commands import compare, export, report
from hposweep.history import SegmentEnded
from hposweep.hydra_glue import run_again
from hposweep.results.comparison.differences import differences
from hposweep.sweep_folder import environment, tables
from hposweep.sweep_folder.journal import read_events
from hposweep.sweep_folder.sweep_yaml import AppRecord, read_record
from hposweep.trial import TrialState
from support.processes import Run, RunText
from support.report_pages import all_texts

RECORDED = Path(__file__).parent / "schema1"
FINISHED_APPS = ("fifo", "asha", "killed-whole", "app-whole", "failed", "alike")
FINISHED_CALLS = ("tuned", "tuned-whole")
UNFINISHED = ("killed", "app", "interrupted", "tuned-unfinished")
ALL = (*FINISHED_APPS, *FINISHED_CALLS, *UNFINISHED)
WITH_TABLES = tuple(name for name in ALL if name not in ("killed", "app"))
WITH_A_WINNER = tuple(name for name in ALL if name not in ("killed", "app", "alike"))
# Between kinds of processors; elsewhere bits are equal.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Place:
    """A folder with the recorded program in it, and the sweeps in its `outputs`."""

    folder: Path
    run: Callable[..., Any]  # python -m hposweep ...
    shell: Callable[[str], Any]

    def call(self, folder: Path) -> Any:
        """The call of `tuned.py` that made the recorded sweeps, without a time budget."""
        return self.shell(f"python tuned.py {folder} 0")

    def take(self, name: str) -> Path:
        """A copy of a recorded sweep, where it stood when it was recorded."""
        return Path(shutil.copytree(RECORDED / name, self.folder / "outputs" / name))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hposweep_warm: Run, warm_shell: RunText) -> Place:
    shutil.copytree(RECORDED / "program", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, hposweep_warm, warm_shell)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """The events of a journal; a torn last line is none."""
    *whole, _torn = (folder / "journal.jsonl").read_text().split("\n")
    return [json.loads(line) for line in whole]


def last_of(folder: Path, event: str) -> dict[int, dict[str, Any]]:
    """The last event of this kind of each trial."""
    return {line["trial"]: line for line in lines_of(folder) if line["event"] == event}


def curve_rows(folder: Path, number: int) -> list[dict[str, float]]:
    """The epochs of a trial, where the first schema kept them; none before the end of its first segment names it."""
    path = folder / "trials" / str(number) / "learning_curve.csv"
    if number not in last_of(folder, "segment_ended") or not path.exists():
        return []
    return [{name: float(text) for name, text in row.items()} for row in csv.DictReader(path.read_text().splitlines())]


def compared(folder: Path) -> AppRecord:
    """The record as `reproduce` compares it; of a call, which has no config, as if that were empty."""
    record = read_record(folder)
    assert record is not None
    if isinstance(record, AppRecord):
        return run_again.completed(record)
    environment_then: dict[str, Any] = {"versions": record.versions, "platform": record.platform}
    return AppRecord(command="", task_overrides=[], hydra_overrides=[], config={}, **environment_then)


def important(first: Path, second: Path) -> list[str]:
    """What matters of the differences: to the bit where the first was recorded on such a machine as this one."""
    # A sweep that is taken up again keeps the record of where it began. Versions of hposweep give the same bits.
    here = environment.record()
    del here["versions"]["hposweep"]
    recorded = compared(first)
    versions = {name: version for name, version in recorded.versions.items() if name != "hposweep"}
    again = replace(compared(second), **here)
    found = differences(first, replace(recorded, versions=versions), second, again, TOLERANCE)
    return [difference.text for difference in found if difference.matters]


def segments_of(folder: Path) -> list[tuple[int, str, int | None]]:
    """What the segments came to, but for those that were cut off."""
    ends = [event for event in read_events(folder) if isinstance(event, SegmentEnded)]
    return [(end.trial, str(end.state), end.epoch) for end in ends if end.state is not TrialState.INTERRUPTED]


def assert_goes_on(before: Path, folder: Path) -> None:
    """The sweep has come to its end, and its journal begins with what stood there."""
    assert (folder / "journal.jsonl").read_bytes().startswith((before / "journal.jsonl").read_bytes())
    assert hposweep.load(folder).data.is_finished()


@pytest.mark.parametrize("name", ALL)
def test_a_recorded_sweep_is_read(place: Place, name: str) -> None:
    folder = place.take(name)
    sweep = hposweep.load(folder)
    frame = sweep.trials
    proposed, ended = last_of(folder, "trial_proposed"), last_of(folder, "segment_ended")
    started = last_of(folder, "segment_started")
    assert list(frame.index) == sorted(proposed)
    for number, line in proposed.items():
        trial, row = sweep.data.history.trials[number], frame.loc[number]
        assert {key: repr(value) for key, value in trial.configuration.items()} == {
            key: repr(value) for key, value in line["configuration"].items()
        }
        assert trial.seed == row["seed"] == line["seed"]
        end = ended.get(number, {"state": "RUNNING", "value": None, "failure": ""})
        is_running = lines_of(folder).index(started[number]) > lines_of(folder).index(end) if number in ended else True
        assert row["state"] == ("RUNNING" if is_running else end["state"])
        assert repr(trial.value) == repr(None if end["value"] is None else float(end["value"]))
        assert row["failure"] == (end["failure"].splitlines()[-1] if end["failure"] else "")
        rows = curve_rows(folder, number)
        assert pandas.isna(row["epochs"]) if not rows else row["epochs"] == rows[-1]["epoch"]
    assert sweep.data.is_finished() == (name not in UNFINISHED)


@pytest.mark.parametrize("name", ALL)
def test_a_recorded_sweep_has_its_learning_curves(place: Place, name: str) -> None:
    folder = place.take(name)
    curves = hposweep.load(folder).curves
    for number in last_of(folder, "trial_proposed"):
        rows = curve_rows(folder, number)
        if not rows:
            assert number not in curves.index
            continue
        found = curves.loc[number].reset_index()[list(rows[0])]
        pandas.testing.assert_frame_equal(found, pandas.DataFrame(rows), check_dtype=False, check_exact=True)


@pytest.mark.parametrize("name", WITH_TABLES)
def test_a_recorded_sweep_s_tables_are_written_as_they_were(place: Place, name: str) -> None:
    folder = place.take(name)
    before = {file: (folder / file).read_text() for file in ("trials.csv", "optimization_results.yaml")}
    record = yaml.safe_load((folder / "sweep.yaml").read_text())
    final_metric = record["config"]["hydra"]["sweeper"]["final_metric"] if "config" in record else None
    tables.write(folder, hposweep.load(folder).data.history, final_metric)
    assert {file: (folder / file).read_text() for file in before} == before


@pytest.mark.parametrize("name", WITH_A_WINNER)
def test_a_recorded_sweep_has_its_winner(place: Place, name: str) -> None:
    folder = place.take(name)
    results = yaml.safe_load((folder / "optimization_results.yaml").read_text())
    best = hposweep.load(folder).best
    assert best is not None
    assert (best.number, best.value) == (results["best_trial"], results["best_value"])
    assert best.configuration == results["best_params"]


@pytest.mark.parametrize("name", ALL)
def test_a_recorded_sweep_is_reported(place: Place, name: str) -> None:
    folder = place.take(name)
    assert report.main([str(folder)]) == 0
    page = all_texts((folder / "report.html").read_text())
    assert f"{name}: report of a sweep" in page
    for line in last_of(folder, "trial_proposed").values():
        assert str(line["seed"]) in page


@pytest.mark.parametrize("name", ALL)
def test_a_recorded_sweep_is_exported_to_optuna(place: Place, name: str) -> None:
    folder = place.take(name)
    storage = f"sqlite:///{place.folder}/study.db"
    assert export.main([str(folder), "--to", "optuna", storage]) == 0
    study = optuna.load_study(study_name=None, storage=storage)
    proposed, ended = last_of(folder, "trial_proposed"), last_of(folder, "segment_ended")
    assert len(study.trials) == len(proposed)
    complete = {number: end["value"] for number, end in ended.items() if end["state"] == "COMPLETE"}
    found = {trial.number: trial.value for trial in study.get_trials(states=[optuna.trial.TrialState.COMPLETE])}
    assert found == complete


@pytest.mark.parametrize("name", ALL)
def test_a_recorded_sweep_is_exported_to_tensorboard(place: Place, name: str) -> None:
    folder = place.take(name)
    logs = place.folder / "logs"
    assert export.main([str(folder), "--to", "tensorboard", str(logs)]) == 0
    metric = lines_of(folder)[0]["metric"]
    for number in last_of(folder, "trial_proposed"):
        rows = curve_rows(folder, number)
        (run,) = [path for path in logs.iterdir() if path.is_dir() and path.name.split("-")[-1] == str(number)]
        found = EventAccumulator(str(run)).Reload()
        if rows and all(math.isfinite(row[metric]) for row in rows):
            assert [point.step for point in found.Scalars(metric)] == [row["epoch"] for row in rows]


@pytest.mark.parametrize(
    "names",
    [("killed", "killed-whole"), ("app", "app-whole"), ("tuned-unfinished", "tuned-whole"), ("fifo", "asha")],
    ids=" ".join,
)
def test_recorded_sweeps_are_compared(place: Place, names: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    folders = [place.take(name) for name in names]
    assert compare.main([*map(str, folders), "--html", "compare.html"]) == 0
    shown = capsys.readouterr().out
    assert "of the incumbent" in shown and names[1] in shown
    assert names[1] in (place.folder / "compare.html").read_text()


@pytest.mark.parametrize("name", ["killed", "app"])
def test_a_recorded_sweep_whose_controller_was_killed_is_resumed_to_the_same_end(place: Place, name: str) -> None:
    folder, before, whole = place.take(name), RECORDED / name, RECORDED / f"{name}-whole"
    done = place.run("resume", f"outputs/{name}")
    assert done.exit_code == 0, done.out + done.err
    assert_goes_on(before, folder)
    assert important(whole, folder) == []
    assert segments_of(folder) == segments_of(whole)
    # Its files stay where it began to write them.
    assert [*folder.glob("trials/*/learning_curve.csv")] and not [*folder.glob("trials/*/hposweep")]
    curves = hposweep.load(folder).curves
    for number, end in last_of(before, "segment_ended").items():
        # What was trained before was not trained again.
        rows = curve_rows(before, number)[: end["epoch"]]
        assert curves.loc[number]["seconds"].iloc[: len(rows)].tolist() == [row["seconds"] for row in rows]


def test_interrupted_is_resumed(place: Place) -> None:
    main = place.folder / "main.py"
    quick = main.read_text().replace("time.sleep(cfg.seconds)", "pass")
    assert quick != main.read_text()
    main.write_text(quick)
    folder = place.take("interrupted")
    done = place.run("resume", "outputs/interrupted")
    assert done.exit_code == 0, done.out + done.err
    assert_goes_on(RECORDED / "interrupted", folder)
    sweep = hposweep.load(folder)
    assert list(sweep.trials["state"]) == ["COMPLETE"] * 6
    for number, trial in sweep.data.history.trials.items():
        factors = sweep.curves.loc[number]["value"] / ((trial.configuration["x"] - 2) ** 2 + 1)
        assert [round(factor, 9) for factor in factors] == [round(0.9**epoch, 9) for epoch in range(1, 10)]
        assert trial.value == sweep.curves.loc[(number, 9), "value"]
    before = curve_rows(RECORDED / "interrupted", 4)
    assert len(before) == 5
    assert sweep.curves.loc[4]["seconds"].iloc[:5].tolist() == [row["seconds"] for row in before]


def test_tuned_unfinished_is_resumed_by_the_same_call_to_the_same_end(place: Place) -> None:
    folder, whole = place.take("tuned-unfinished"), RECORDED / "tuned-whole"
    done = place.call(folder)
    assert done.exit_code == 0, done.err
    assert_goes_on(RECORDED / "tuned-unfinished", folder)
    assert important(whole, folder) == []
    assert segments_of(folder) == segments_of(whole)
    assert not [*folder.glob("trials/*/hposweep")]


@pytest.mark.parametrize("name", FINISHED_APPS)
def test_a_finished_recorded_sweep_says_so_when_it_is_named_again(place: Place, name: str) -> None:
    folder = place.take(name)
    (folder / "report.html").touch()  # which was not recorded, and else would be made
    before = (folder / "journal.jsonl").read_bytes()
    done = place.run("resume", f"outputs/{name}")
    assert done.exit_code == 0, done.out + done.err
    assert "the sweep is finished" in done.out + done.err
    assert (folder / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", FINISHED_CALLS)
def test_a_finished_recorded_call_returns_at_once(place: Place, name: str) -> None:
    folder = place.take(name)
    (folder / "report.html").touch()  # which was not recorded, and else would be made
    before = (folder / "journal.jsonl").read_bytes()
    done = place.call(folder)
    assert done.exit_code == 0, done.err
    assert f"Sweep {name}: 9 trials" in done.out
    assert (folder / "journal.jsonl").read_bytes() == before


def test_asha_is_extended(place: Place) -> None:
    folder = place.take("asha")
    done = place.run("resume", "outputs/asha", "--n-trials", "8")
    assert done.exit_code == 0, done.out + done.err
    assert_goes_on(RECORDED / "asha", folder)
    sweep, before = hposweep.load(folder), hposweep.load(RECORDED / "asha")
    assert list(sweep.trials.index) == list(range(8))
    for number, trial in before.data.history.trials.items():
        assert sweep.data.history.trials[number].configuration == trial.configuration
    assert all(sweep.trials["state"].isin(["COMPLETE", "PAUSED"]))
    assert (sweep.trials["epochs"] > 0).all()


def test_fifo_is_reproduced(place: Place) -> None:
    place.take("fifo")
    done = place.run("reproduce", "outputs/fifo", "--into", "outputs/again")
    assert done.exit_code == 0, done.out + done.err
    assert done.out.splitlines()[-1].startswith("Reproduced: ")
    assert important(RECORDED / "fifo", place.folder / "outputs" / "again") == []
