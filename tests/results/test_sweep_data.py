"""What is read from a sweep's folder."""

import dataclasses
import datetime
from pathlib import Path

import pytest

from hposweep.history import (
    Ending,
    Event,
    SegmentDied,
    SegmentEnded,
    SegmentLost,
    SegmentStarted,
    SweepEnded,
    SweepStarted,
    TrialProposed,
    values_of,
)
from hposweep.results import sweep_data
from hposweep.results.figures.time_line import time_line
from hposweep.results.sweep_data import CUT_OFF, DIED, LOST
from hposweep.sweep_folder.journal import Journal
from hposweep.sweep_folder.learning_curve import CurveWriter
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Direction, TrialState


def at(second: float, event: Event) -> Event:
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=second)
    return dataclasses.replace(event, time=moment.isoformat(timespec="milliseconds"))


def start() -> SweepStarted:
    return SweepStarted(n_trials=9, seed=0, metric="error", direction=Direction.minimize, controller="a test")


def ended(trial: int, state: TrialState, value: float | None, epoch: int = 3, failure: str = "") -> SegmentEnded:
    return SegmentEnded(trial, state, epoch, values_of("error", value), 1.0, failure, folder=f"trials/{trial}")


# Two workers. Trial 1's worker dies, then the controller is killed while trial 2 runs; an hour later it goes on.
EVENTS = [
    at(0, start()),
    at(0, TrialProposed(0, {"x": 0.1}, 1)),
    at(0, SegmentStarted(0, 0, 3, 1)),
    at(0, TrialProposed(1, {"x": 0.2}, 2)),
    at(1, SegmentStarted(1, 0, 3, 1)),
    at(3, SegmentDied(1, 2.0, "the worker died")),
    at(3, SegmentStarted(1, 0, 3, 2)),
    at(4, ended(0, TrialState.COMPLETE, 0.3)),
    at(4, TrialProposed(2, {"x": 0.3}, 3)),
    at(4, SegmentStarted(2, 0, 3, 1)),
    at(6, ended(1, TrialState.COMPLETE, 0.4)),
    at(3606, start()),
    at(3606, SegmentStarted(2, 0, 3, 1)),
    at(3610, ended(2, TrialState.COMPLETE, 0.2)),
    at(3610, SweepEnded(Ending.COMPLETE)),
]


def write(folder: Path, events: list[Event]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal.open(folder)
    journal.append(*events)
    journal.close()
    return folder


def test_no_running_time_passes_between_a_kill_and_the_resume(tmp_path: Path) -> None:
    sweep = sweep_data.read(write(tmp_path, EVENTS))
    assert sweep.wall_s == 10.0
    assert [(p.trial, p.seconds, p.incumbent_value, p.n_started) for p in sweep.complete] == [
        (0, 4.0, 0.3, 2),
        (1, 6.0, 0.3, 3),
        (2, 10.0, 0.2, 3),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sweep.yaml", "{a: ["),
        ("sweep.yaml", ""),
        ("sweep.yaml", "- 1"),
        ("sweep.yaml", "command: python -m hposweep\nsearch_space: {}"),
        ("learning_curve.csv", "epoch,error\n1,half\n"),
        ("learning_curve.csv", "epoch,error\n1\n"),
        ("learning_curve.csv", "epoch,error\n1,0.5,0.5\n"),
        ("data.json", "{"),
    ],
)
def test_a_damaged_file_is_named_once_and_done_without(tmp_path: Path, caplog, name: str, text: str) -> None:
    write(tmp_path, [*EVENTS[:3], EVENTS[7]])
    path = tmp_path / name if name == "sweep.yaml" else TrialFiles(tmp_path, "trials/0").folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for _ in range(2):
        data = sweep_data.read(tmp_path)
        assert (data.record, data.n_validation, len(data.trials)) == (None, None, 1)
    (warning,) = [record.message for record in caplog.records]
    assert warning.startswith(f"{path}: damaged")


def test_segments_lie_in_the_first_lane_that_is_free(tmp_path: Path) -> None:
    segments = sweep_data.read(write(tmp_path, EVENTS)).segments
    assert [(s.trial, s.attempt, s.started_s, s.ended_s, s.end, s.lane) for s in segments] == [
        (0, 1, 0.0, 4.0, "COMPLETE", 0),
        (1, 1, 1.0, 3.0, DIED, 1),
        (1, 2, 3.0, 6.0, "COMPLETE", 1),
        (2, 1, 4.0, 6.0, CUT_OFF, 0),
        (2, 1, 6.0, 10.0, "COMPLETE", 0),
    ]


def test_lanes_of_a_place_stand_together_under_its_name(tmp_path: Path) -> None:
    # Two at once on node10, then one that is lost with node9, and one whose end is not known.
    places = ["node10", "node10", "node9", None]
    events: list[Event] = [at(0, start())]
    for trial, place in enumerate(places):
        events += [at(trial, TrialProposed(trial, {"x": 0.1}, trial)), at(trial, SegmentStarted(trial, 0, 3, 1))]
        if place == "node9":
            events.append(at(trial + 0.5, SegmentLost(trial, 0.5, "its node is gone", place=place)))
    for trial in (0, 1):
        done = dataclasses.replace(ended(trial, TrialState.COMPLETE, 0.1), place="node10")
        events.append(at(5 + trial, done))
    sweep = sweep_data.read(write(tmp_path, events))
    assert [(s.trial, s.place, s.end, s.lane) for s in sweep.segments] == [
        (0, "node10", "COMPLETE", 1),
        (1, "node10", "COMPLETE", 2),
        (2, "node9", LOST, 0),
        (3, "", CUT_OFF, 3),
    ]
    plot = time_line(sweep)
    assert plot is not None
    ticks = plot.figure.layout.yaxis
    assert list(zip(ticks.ticktext, ticks.tickvals, strict=True)) == [("node9", 1), ("node10", 2.5), ("unknown", 4)]


def test_of_very_many_lanes_some_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hposweep.results.figures.time_line.MOST_SEGMENTS", 5)
    monkeypatch.setattr("hposweep.results.figures.time_line.MOST_LANES", 3)
    events: list[Event] = [at(0, start())]
    for trial in range(6):
        events += [at(0, TrialProposed(trial, {"x": 0.1}, trial)), at(0, SegmentStarted(trial, 0, 3, 1))]
    events += [at(1, ended(trial, TrialState.COMPLETE, 0.1)) for trial in range(6)]
    plot = time_line(sweep_data.read(write(tmp_path, events)))
    assert plot is not None
    (marks,) = [trace for trace in plot.figure.data if trace.mode == "markers"]
    assert list(marks.y) == [1, 3, 5]
    assert plot.notes == ["6 workers at once, busy 100% of the time.", "3 of 6 workers are drawn."]


def test_without_places_the_lanes_have_numbers(tmp_path: Path) -> None:
    plot = time_line(sweep_data.read(write(tmp_path, EVENTS)))
    assert plot is not None
    assert (plot.figure.layout.yaxis.ticktext, list(plot.figure.layout.yaxis.tickvals)) == (None, [1, 2])


def test_a_curve_comes_from_its_file_or_from_the_rungs(tmp_path: Path) -> None:
    rungs = [at(11, SegmentStarted(0, 3, 9, 1)), at(12, ended(0, TrialState.COMPLETE, 0.1, epoch=9))]
    files = TrialFiles(tmp_path, "trials/1")
    files.make_folder()
    for epoch in (1, 2):
        CurveWriter(files.learning_curve).write({"epoch": epoch, "loss": 9.0, "error": 1 / epoch})
    sweep = sweep_data.read(write(tmp_path, [*EVENTS[:-1], *rungs]))
    curves = {number: (list(curve.epochs), list(curve.values)) for number, curve in sweep.curves.items()}
    assert curves == {0: ([3, 9], [0.3, 0.1]), 1: ([1, 2], [1.0, 0.5]), 2: ([3], [0.2])}
    assert sweep.rungs == [3, 9]


@pytest.mark.parametrize(
    ("prior", "is_log"),
    [
        ("loguniform(1e-4, 1)", True),
        ("int(loguniform(32, 1024))", True),
        ("tag(log,interval(1e-4,1))", True),
        ("tag(log, int(interval(1,9)))", True),
        ("reciprocal(0.1, 1)", True),
        ("uniform(0, 1)", False),
        ("choice(log, loguniform)", False),
    ],
)
def test_the_prior_tells_whether_an_axis_is_logarithmic(tmp_path: Path, prior: str, is_log: bool) -> None:
    (tmp_path / "sweep.yaml").write_text(f"search_space:\n  x: {prior}\n")
    assert sweep_data.read(write(tmp_path, EVENTS)).is_log("x") is is_log


def test_a_value_that_has_no_logarithm_gets_no_logarithmic_axis(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text("search_space:\n  x: loguniform(1e-4, 1)\n")
    events = [*EVENTS, at(3611, TrialProposed(3, {"x": 0.0}, 1))]
    assert not sweep_data.read(write(tmp_path, events)).is_log("x")


def test_epochs_by_an_end_are_those_of_all_trials_at_the_ends_of_their_segments(tmp_path: Path) -> None:
    # Trial 0 is promoted from epoch 3 to 9, trial 1 is interrupted once, and trial 2 fails in its third epoch.
    events = [at(0, start())]
    events += [at(0, TrialProposed(number, {"x": number}, 1)) for number in range(3)]
    events += [at(0, SegmentStarted(number, 0, 3, 1)) for number in range(3)]
    events += [at(1, ended(0, TrialState.PAUSED, 0.5)), at(2, ended(1, TrialState.INTERRUPTED, 0.5, epoch=0))]
    events += [at(3, ended(2, TrialState.FAILED, None, epoch=0)), at(3, SegmentStarted(1, 0, 3, 1))]
    events += [at(4, ended(1, TrialState.COMPLETE, 0.4)), at(5, SegmentStarted(0, 3, 9, 1))]
    events += [at(6, ended(0, TrialState.COMPLETE, 0.3, epoch=9))]
    for number, n_epochs in ((1, 3), (2, 2)):
        files = TrialFiles(tmp_path, f"trials/{number}")
        files.make_folder()
        for epoch in range(1, n_epochs + 1):
            CurveWriter(files.learning_curve).write({"epoch": epoch, "error": 0.5})
    sweep = sweep_data.read(write(tmp_path, events))
    assert [(point.trial, point.n_epochs) for point in sweep.complete] == [(1, 3 + 2 + 3), (0, 3 + 2 + 3 + 6)]
    assert sweep.epochs_used == 14


def test_epochs_that_no_trial_reports_are_unknown(tmp_path: Path) -> None:
    none = dataclasses.replace(ended(0, TrialState.COMPLETE, 0.3), epoch=None)
    sweep = sweep_data.read(write(tmp_path, [*EVENTS[:7], at(4, none), *EVENTS[8:]]))
    assert [point.n_epochs for point in sweep.complete] == [None] * 3
    assert sweep.epochs_used is None
