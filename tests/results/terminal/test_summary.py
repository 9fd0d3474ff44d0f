"""What a sweep prints at its end."""

from pathlib import Path
from typing import Any

import pytest

from hposweep.history import FinalEnded, History, SegmentEnded, SegmentStarted, TrialProposed, values_of
from hposweep.results.terminal import summary
from hposweep.search_space import Choice, ConditionalChoice, SearchSpace, parse_hyperparameter
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import TrialState


def ended(*trials: tuple[TrialState, float | None, dict[str, Any]], metric: str = "error") -> History:
    found = History(metric=metric)
    for number, (state, value, configuration) in enumerate(trials):
        found.apply(TrialProposed(number, configuration, 0))
        found.apply(SegmentStarted(number, 0, None, 1))
        found.apply(SegmentEnded(number, state, None, values_of(metric, value), 1.0, folder=f"{number}"))
    return found


def lines_of(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines() if line.strip()]


def test_the_best_trials_stand_in_a_table_of_the_hyperparameters_that_they_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = ended(
        (TrialState.COMPLETE, 0.3, {"rate": 0.024544919521156016, "error": "a", "width": 3}),
        (TrialState.COMPLETE, 1e-6, {"rate": None, "error": "null"}),
        (TrialState.FAILED, None, {"unseen": 1}),
    )
    history.apply(FinalEnded(1, 3106867.9220))
    summary.print_end(tmp_path, history, "test_error", ["python", "main.py"])
    lines = lines_of(capsys.readouterr().out)
    assert lines[0] == ["trial", "error", "rate", "configuration.error", "width"]
    assert lines[2:4] == [
        ["1", "1e-06", "null", '"null"'],
        ["0", "0.3", "0.02454", "a", "3"],
    ]
    assert " ".join(lines[5]) == "Winner: trial 1, error 1e-06, test_error 3.107e+06"


def test_what_was_measured_beside_the_metric_stands_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = ended((TrialState.COMPLETE, 0.25, {"rate": 0.1}), metric="validation_error")
    folder = TrialFiles(tmp_path, history.trials[0].folder, history.schema).folder
    folder.mkdir(parents=True)
    (folder / "learning_curve.csv").write_text(
        "epoch,train_loss,train_auc,validation_loss,validation_auc,validation_error,seconds\n1,9.0,9.0,0.7,0.875,0.25,1.0\n"
    )
    summary.print_end(tmp_path, history, None, [])
    lines = lines_of(capsys.readouterr().out)
    assert lines[0] == ["trial", "validation_error", "validation_auc", "rate"]
    assert lines[2] == ["0", "0.25", "0.875", "0.1"]


def test_a_branch_is_shown_below_its_option_and_a_remark_below_all(capsys: pytest.CaptureFixture[str]) -> None:
    layers = {"layers": parse_hyperparameter("randint(1, 4)")}
    space = SearchSpace({"model": ConditionalChoice(Choice(("softmax", "mlp")), ({}, layers))})
    summary.print_search_space(space, "Few.")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[2:] == [
        "model choice(softmax, mlp) 2 options",
        "mlp: layers randint(1, 4) integers 1 to 3",
        "Few.",
    ]


def test_without_a_complete_trial_the_best_so_far_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary.print_end(tmp_path, ended((TrialState.PAUSED, 0.00001234567, {"x": 1})), None, [])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["1 trial: 1 PAUSED", "No trial is complete; the best so far is trial 0, 1.235e-05"]
