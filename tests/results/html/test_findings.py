"""The sentences at the top of a report, and its groups of failures."""

from pathlib import Path

from hposweep.results import sweep_data
from hposweep.results.html import findings
from hposweep.trial import TrialState
from support.report_pages import ROWS, made


def test_the_summary_names_the_winner_its_intervals_and_those_who_are_as_good(tmp_path: Path) -> None:
    sentences = findings.summary(tmp_path, sweep_data.read(made(tmp_path)))
    # Wilson's intervals of 2000 and 2100 out of 10,000.
    assert sentences[:3] == [
        "Trial 0 won: validation_error 0.2 (95% interval 0.1923 to 0.208, from 10,000 validation examples).",
        "Its final value: 0.21 (95% interval 0.2021 to 0.2181, from 10,000 test examples).",
        "1 of the 2 other complete trials is not distinguishable from it, since the intervals overlap: trial 1.",
    ]
    assert sentences[3].startswith("6 trials: 3 COMPLETE, 1 DIVERGED, 2 FAILED; 18 epochs in all, ")


def test_without_the_number_of_examples_there_is_no_interval(tmp_path: Path) -> None:
    sentences = findings.summary(tmp_path, sweep_data.read(made(tmp_path, n_validation=None)))
    assert sentences[:2] == ["Trial 0 won: validation_error 0.2.", "Its final value: 0.21."]
    assert "distinguishable" not in " ".join(sentences)


def test_failures_are_grouped_by_their_last_line(tmp_path: Path) -> None:
    rows = [*ROWS, (TrialState.TIMED_OUT, None, {"rate": 0.5, "name": "sgd"}, "too long")]
    groups = findings.failure_groups(sweep_data.read(made(tmp_path, rows)))
    assert [(group.n, group.line, group.states, group.trials) for group in groups] == [
        (2, "ValueError: no", "FAILED", "trials 4, 5"),
        (1, "too long", "TIMED_OUT", "trial 6"),
    ]
    assert groups[0].traceback == "Traceback\n  here\nValueError: no"
