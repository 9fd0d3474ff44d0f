"""The tables: made from journal and curves, and made anew while the sweep runs."""

import csv
import dataclasses
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hposweep.history import (
    FinalEnded,
    History,
    SegmentEnded,
    SegmentStarted,
    SweepStarted,
    TrialProposed,
    values_of,
)
from hposweep.results import sweep_data
from hposweep.schedulers import Scheduler
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.median_stopping import MedianStoppingScheduler
from hposweep.search_space import SearchSpace, parse_hyperparameter
from hposweep.searchers.random import RandomSearcher
from hposweep.simulation import EventList
from hposweep.sweep_folder import tables
from hposweep.sweep_folder.journal import Journal
from hposweep.sweep_folder.keeper import SECONDS_BETWEEN_TABLES, CheckpointKeeper, Rewriter
from hposweep.sweep_folder.learning_curve import CurveWriter
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Direction, Segment, SegmentResult, Trial, TrialState
from hposweep.tuner import Tuner
from hposweep.workers.virtual import VirtualWorkers

NAN = float("nan")


def history(*ends: tuple[TrialState, float | None]) -> History:
    found = History(metric="error")
    for number, (state, value) in enumerate(ends):
        found.apply(TrialProposed(number, {"a.b": 0.1 + number, "c": None, "d": [1, "x"]}, seed=7, time="then"))
        found.apply(SegmentStarted(number, 0, None, 1))
        failure = 'Traceback\nValueError: a, "b"' if state is TrialState.FAILED else ""
        found.apply(
            SegmentEnded(number, state, None, values_of("error", value), 1.25, failure, folder=f"trials/{number}")
        )
    return found


def test_tables_of_a_sweep_under_way_are_those_made_at_once_and_read_a_curve_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def read_curve(files: TrialFiles) -> list[dict[str, float]]:
        read.append(files.job_folder)
        return [{"epoch": 3.0, "error": 0.5}]

    monkeypatch.setattr(TrialFiles, "read_curve", read_curve)
    found = history((TrialState.COMPLETE, 0.5), (TrialState.FAILED, None), (TrialState.PAUSED, 0.25))
    under_way = tables.TablesUnderWay(tmp_path, found, None)

    def curves_read(beforehand: bool = False) -> int:
        read.clear()
        if beforehand:
            under_way.make_rows()
        text = under_way.trials_csv()
        n_read = len(read)
        assert text == tables.trials_csv(tmp_path, found)
        return n_read

    assert curves_read() == 3
    assert curves_read() == 1  # of the one that waits
    found.apply(SegmentEnded(2, TrialState.COMPLETE, None, values_of("error", 0.125), 1.0, folder="trials/2"))
    assert curves_read() == 1
    assert curves_read() == 0
    found.apply(TrialProposed(3, {"a.b": 0.1, "of a branch": 7}, seed=7, time="then"))
    assert curves_read(beforehand=True) == 4  # all rows have a new column
    assert curves_read(beforehand=True) == 1
    found.apply(TrialProposed(4, {"a.b": 0.1, "of a branch": 7}, seed=8, time="then", repeats=3))
    for number in (3, 4):
        found.apply(SegmentStarted(number, 0, None, 1))
        values = values_of("error", float(number))
        found.apply(SegmentEnded(number, TrialState.COMPLETE, None, values, 1.0, folder=f"trials/{number}"))
        assert curves_read() == 5  # their mean stands in the row of each


def test_one_row_a_trial_with_exact_floats(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path, "trials/0")
    files.make_folder()
    for epoch in (1, 2):
        CurveWriter(files.learning_curve).write({"epoch": epoch, "error": 0.5})
    found = history((TrialState.COMPLETE, 0.1 + 0.2), (TrialState.FAILED, None), (TrialState.DIVERGED, NAN))
    rows = list(csv.reader(tables.trials_csv(tmp_path, found).splitlines()))
    head = [
        "trial",
        "state",
        "error",
        "epochs",
        "seed",
        "a.b",
        "c",
        "d",
        "attempts",
        "started_at",
        "duration_s",
        "failure",
    ]
    assert rows == [
        head,
        ["0", "COMPLETE", "0.30000000000000004", "2", "7", "0.1", "null", '[1, "x"]', "1", "then", "1.25", ""],
        ["1", "FAILED", "", "", "7", "1.1", "null", '[1, "x"]', "1", "then", "1.25", 'ValueError: a, "b"'],
        ["2", "DIVERGED", "nan", "", "7", "2.1", "null", '[1, "x"]', "1", "then", "1.25", ""],
    ]


def trial(number: int, failure: str = "", **configuration: Any) -> Trial:
    return Trial(number, configuration, seed=7, failure=failure)


def table_of(*trials: Trial) -> tables.TrialTable:
    return tables.trial_table(trials, History(metric="error"), lambda trial: trial.epoch)


def test_null_is_a_value_and_not_set_is_none() -> None:
    table = table_of(trial(0, x=1), trial(1, x=None), trial(2))
    (x,) = [column for column in table.columns if column.key == "x"]
    assert x.cells == [1, None, tables.NOT_SET]
    assert [x.text(cell) for cell in x.cells] == ["1", "null", ""]
    assert x.is_numeric


def test_no_two_columns_have_one_name() -> None:
    odd = {"seed": 1, "epochs": 2, "error": 3, "configuration.seed": 4, "x": 5}
    table = table_of(Trial(0, odd, seed=7))
    names = {column.key: column.name for column in table.columns if column.key is not None}
    assert names == {
        "seed": "configuration.configuration.seed",
        "epochs": "configuration.epochs",
        "error": "configuration.error",
        "configuration.seed": "configuration.seed",
        "x": "x",
    }
    heads = [column.name for column in table.columns]
    assert len(set(heads)) == len(heads)
    assert heads[:5] == ["trial", "state", "error", "epochs", "seed"]
    assert heads[-4:] == ["attempts", "started_at", "duration_s", "failure"]


def test_epochs_are_counted_by_the_last_one_that_was_reported(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path, "trials/0")
    files.make_folder()
    for epoch in (5, 10):
        CurveWriter(files.learning_curve).write({"epoch": epoch, "error": 0.5})
    (row,) = csv.DictReader(tables.trials_csv(tmp_path, history((TrialState.COMPLETE, 0.5))).splitlines())
    assert row["epochs"] == "10"
    assert sweep_data_epochs(tmp_path) == [10]


def sweep_data_epochs(folder: Path) -> list[int]:
    """What a report counts in the same folder."""
    journal = Journal.open(folder)
    journal.append(SweepStarted(1, 0, "error", Direction.minimize), TrialProposed(0, {}, 7))
    journal.append(
        SegmentStarted(0, 0, None, 1), SegmentEnded(0, TrialState.COMPLETE, None, {"error": 0.5}, 1.0, "", "trials/0")
    )
    journal.close()
    sweep = sweep_data.read(folder)
    return [sweep.n_epochs(trial) for trial in sweep.trials]


# What JSON can hold, and texts that look like it.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
LIKE_JSON = st.sampled_from(
    ["", "null", "true", "1", "1e5", " 1", "NaN", "nan", "-inf", "[1]", '"a"', '"', "{}", "\r", "\ud800"]
)


@given(st.lists(VALUES | LIKE_JSON, min_size=1))
def test_cells_are_read_back_from_the_file(values: list[Any]) -> None:
    found = History()
    for number, value in enumerate(values):
        found.apply(TrialProposed(number, {"x": value}, 7))
    text = tables.trials_csv(Path("nowhere"), found)
    rows = list(csv.DictReader(io.StringIO(text.encode("utf-8").decode("utf-8"), newline="")))
    assert [repr(tables.cell_value(row["x"])) for row in rows] == [repr(value) for value in values]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("sgd", "sgd"),
        ("it's", "it's"),
        ("two words", "two words"),
        ("Grüße", "Grüße"),
        ("null", '"null"'),
        ("1", '"1"'),
        ("", '""'),
        ("a\nb", r'"a\nb"'),
        # What a spreadsheet would compute.
        ('=HYPERLINK("http://x")', r'"=HYPERLINK(\"http://x\")"'),
        ("+1+1", '"+1+1"'),
        ("-x", '"-x"'),
        ("@SUM(A1)", '"@SUM(A1)"'),
        ("\uff1d1", r'"\uff1d1"'),
        (-1, "-1"),
        (-0.5, "-0.5"),
        (None, "null"),
        (True, "true"),
        (0.1, "0.1"),
        (1.0, "1.0"),
        (-math.inf, "-inf"),
        ([1, "x"], '[1, "x"]'),
    ],
    ids=repr,
)
def test_a_cell_is_plain_unless_it_would_be_read_as_something_else(value: Any, text: str) -> None:
    assert tables.cell_text(value) == text
    assert repr(tables.cell_value(text)) == repr(value)


def test_a_failure_is_no_formula_either(tmp_path: Path) -> None:
    found = history((TrialState.FAILED, None))
    found.trials[0] = dataclasses.replace(found.trials[0], failure="=1+1")
    (row,) = csv.DictReader(io.StringIO(tables.trials_csv(tmp_path, found)))
    assert row["failure"] == '"=1+1"'


def test_the_results_name_the_winner_and_the_final_value(tmp_path: Path) -> None:
    found = history((TrialState.COMPLETE, 0.3), (TrialState.COMPLETE, 0.2), (TrialState.DIVERGED, NAN))
    found.apply(FinalEnded(1, 0.25))
    results = tables.optimization_results(tmp_path, found, "test_error")
    assert (results["best_trial"], results["best_value"], results["test_error"]) == (1, 0.2, 0.25)
    assert results["states"] == {"COMPLETE": 2, "DIVERGED": 1}


def test_without_a_complete_trial_the_best_partial_one_is_named_apart(tmp_path: Path) -> None:
    found = history((TrialState.PAUSED, 0.3), (TrialState.STOPPED, 0.2), (TrialState.FAILED, None))
    results = tables.optimization_results(tmp_path, found, None)
    assert (results["best_trial"], results["best_params"], results["best_value"]) == (None, None, None)
    assert (results["best_partial_trial"], results["best_partial_value"]) == (1, 0.2)


def test_a_winner_that_is_no_better_than_the_most_frequent_class_is_a_warning(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path, "trials/0")
    files.make_folder()
    files.data_summary.write_text(json.dumps({"baseline_error": 0.9}))
    assert "nothing was learnt" in tables.warning_of_no_learning(tmp_path, history((TrialState.COMPLETE, 0.9)))
    assert tables.warning_of_no_learning(tmp_path, history((TrialState.COMPLETE, 0.899))) == ""


def test_the_tables_are_rewritten_now_and_then(tmp_path: Path) -> None:
    now = [0.0]
    rewrite = Rewriter(tmp_path, history((TrialState.COMPLETE, 0.3)), None, lambda: now[0])
    rewrite()
    assert not (tmp_path / "trials.csv").exists()
    now[0] = SECONDS_BETWEEN_TABLES
    rewrite()
    assert (tmp_path / "trials.csv").exists()
    (tmp_path / "trials.csv").unlink()
    rewrite()
    assert not (tmp_path / "trials.csv").exists()


class FewestCheckpoints:
    """Simulated jobs that leave a checkpoint, and a look at how many there are whenever the tuner has looked."""

    n_most = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: dict[int, TrialFiles] = {}

    def outcome(self, segment: Segment, trial: Trial) -> SegmentResult:
        files = TrialFiles(self.folder, f"trials/{trial.number}")
        files.make_folder()
        files.checkpoint_dir.mkdir(exist_ok=True)
        files.checkpoint.touch()
        (files.checkpoint_dir / "state").touch()
        self.kept[trial.number] = files
        failure = "ValueError: no" if trial.number % 7 == 3 else ""
        value = None if failure else trial.configuration["x"]
        return SegmentResult(1.0, value, failure, folder=f"trials/{trial.number}")

    def check(self, history: History) -> None:
        may_go_on = {trial.number for trial in history.trials.values() if not trial.state.is_ended}
        self.kept = {
            number: files
            for number, files in self.kept.items()
            if files.checkpoint.exists() or files.checkpoint_dir.exists()
        }
        incumbent = set() if history.incumbent is None else {history.incumbent.number}
        assert self.kept.keys() <= may_go_on | incumbent
        self.n_most = max(self.n_most, len(self.kept))


@pytest.mark.parametrize(
    "scheduler",
    [AshaScheduler(r_max=27), AshaScheduler(r_max=27, stopping=True), MedianStoppingScheduler(r_max=27)],
    ids=["asha", "asha, stopping", "median_stopping"],
)
def test_a_sweep_of_500_trials_keeps_checkpoints_of_those_who_may_go_on_and_the_best_one_s(
    tmp_path: Path, scheduler: Scheduler
) -> None:
    space = SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")})
    jobs = FewestCheckpoints(tmp_path)
    workers = VirtualWorkers(jobs.outcome, n_workers=4)
    sweep = Tuner(
        searcher=RandomSearcher(space, seed=0),
        scheduler=scheduler,
        journal=EventList(),
        workers=workers,
        n_trials=500,
        seed=0,
        trial_seed=lambda number, configuration: number,
        clock=lambda: workers.now,
    )
    keeper = CheckpointKeeper(tmp_path, sweep.history)

    def observe() -> None:
        keeper()
        jobs.check(sweep.history)

    sweep.observer = observe
    sweep.run()
    keeper.end()
    assert sweep.history.incumbent is not None
    left = list(tmp_path.rglob("checkpoint*"))
    assert {path.parents[1].name for path in left} == {str(sweep.history.incumbent.number)}
    assert len(left) == 2
    assert jobs.n_most > 1
