"""The tables: made from journal and curves, and made anew while the sweep runs."""

import csv
import json
from pathlib import Path

from hposweep import learning_curve
from hposweep.journal import FinalEnded, History, SegmentEnded, SegmentStarted, TrialProposed
from hposweep.results import tables
from hposweep.trial import TrialState

NAN = float("nan")


def history(*ends: tuple[TrialState, float | None]) -> History:
    found = History(metric="error")
    for number, (state, value) in enumerate(ends):
        found.apply(TrialProposed(number, {"a.b": 0.1 + number, "c": None, "d": [1, "x"]}, seed=7, time="then"))
        found.apply(SegmentStarted(number, 0, None, 1))
        failure = 'Traceback\nValueError: a, "b"' if state is TrialState.FAILED else ""
        found.apply(SegmentEnded(number, state, None, value, 1.25, failure, folder=f"trials/{number}"))
    return found


def test_one_row_a_trial_with_exact_floats(tmp_path: Path) -> None:
    job = tmp_path / "trials" / "0"
    job.mkdir(parents=True)
    for epoch in (1, 2):
        learning_curve.append_row(job / learning_curve.FILE_NAME, {"epoch": epoch, "error": 0.5})
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
        ["0", "COMPLETE", "0.30000000000000004", "2", "7", "0.1", "", '[1, "x"]', "1", "then", "1.25", ""],
        ["1", "FAILED", "", "", "7", "1.1", "", '[1, "x"]', "1", "then", "1.25", 'ValueError: a, "b"'],
        ["2", "DIVERGED", "nan", "", "7", "2.1", "", '[1, "x"]', "1", "then", "1.25", ""],
    ]


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
    (tmp_path / "trials" / "0").mkdir(parents=True)
    (tmp_path / "trials" / "0" / "data.json").write_text(json.dumps({"baseline_error": 0.9}))
    assert "nothing was learnt" in tables.warning_of_no_learning(tmp_path, history((TrialState.COMPLETE, 0.9)))
    assert tables.warning_of_no_learning(tmp_path, history((TrialState.COMPLETE, 0.899))) == ""


def test_the_tables_are_rewritten_now_and_then(tmp_path: Path) -> None:
    now = [0.0]
    rewrite = tables.Rewriter(tmp_path, history((TrialState.COMPLETE, 0.3)), None, lambda: now[0])
    rewrite()
    assert not (tmp_path / "trials.csv").exists()
    now[0] = tables.SECONDS_BETWEEN_TABLES
    rewrite()
    assert (tmp_path / "trials.csv").exists()
    (tmp_path / "trials.csv").unlink()
    rewrite()
    assert not (tmp_path / "trials.csv").exists()
