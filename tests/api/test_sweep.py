"""`hposweep.load`: a folder as data frames and plots."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import hposweep
from hposweep.errors import ConfigError
from hposweep.history import SegmentEnded, SegmentLost, SegmentStarted, SweepStarted, TrialProposed
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.simulation import AugmentedBranin, simulate
from hposweep.sweep_folder.journal import Journal
from hposweep.trial import Direction, TrialState

TIMES = [f"2026-01-02T03:04:{second:02}.000+00:00" for second in range(60)]


@pytest.fixture
def sweep(tmp_path: Path) -> hposweep.Sweep:
    """Two complete trials with curves, one that failed and one that runs; a hyperparameter has a column's name."""
    folder = tmp_path / "a<b"
    folder.mkdir()
    journal = Journal.open(folder)
    events: list[Any] = [SweepStarted(4, 0, "error", Direction.minimize)]
    configurations = [
        {"x": 0.5, "seed": "<script>"},
        {"x": 0.25, "seed": "b"},
        {"x": 0.1, "seed": "b"},
        {"x": 0.2, "seed": "b", "extra": None},
    ]
    for number, configuration in enumerate(configurations):
        events += [TrialProposed(number, configuration, 10 + number, None), SegmentStarted(number, 0, None, 1)]
    events += [
        SegmentEnded(0, TrialState.COMPLETE, None, {"error": 0.5}, 2.0, "", "trials/0"),
        SegmentEnded(1, TrialState.COMPLETE, None, {"error": 0.25}, 2.5, "", "trials/1"),
        SegmentEnded(2, TrialState.FAILED, None, {}, 0.5, "Traceback\nValueError: no", "trials/2"),
    ]
    journal.append(*(type(event)(**{**vars(event), "time": at}) for event, at in zip(events, TIMES, strict=False)))
    journal.close()
    for number, values in ((0, (0.9, 0.5)), (1, (0.8, 0.25))):
        path = folder / "trials" / str(number) / "hposweep" / "learning_curve.csv"
        path.parent.mkdir(parents=True)
        rows = [f"{epoch},{value / 2},{value},0.1" for epoch, value in enumerate(values, start=1)]
        path.write_text("\n".join(["epoch,train_loss,error,seconds", *rows]) + "\n")
    return hposweep.load(folder)


def test_trials_are_a_frame(sweep: hposweep.Sweep) -> None:
    expected = pandas.DataFrame(
        {
            "state": ["COMPLETE", "COMPLETE", "FAILED", "RUNNING"],
            "error": [0.5, 0.25, np.nan, np.nan],
            "epochs": pandas.array([2, 2, pandas.NA, pandas.NA], dtype="Int64"),
            "seed": [10, 11, 12, 13],
            "x": [0.5, 0.25, 0.1, 0.2],
            "configuration.seed": ["<script>", "b", "b", "b"],
            "extra": pandas.array([pandas.NA, pandas.NA, pandas.NA, None], dtype="object"),
            "attempts": [1, 1, 1, 1],
            "started_at": pandas.to_datetime(TIMES[1:9:2], format="ISO8601"),
            "duration_s": [2.0, 2.5, 0.5, 0.0],
            "failure": ["", "", "ValueError: no", ""],
        },
        index=pandas.Index([0, 1, 2, 3], name="trial"),
    )
    pandas.testing.assert_frame_equal(sweep.trials, expected)


def test_null_is_none_and_not_set_is_missing_in_the_frame(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.append(SweepStarted(3, 0, "error", Direction.minimize))
    configurations: list[dict[str, Any]] = [
        {"null": 1, "int": 1, "float": 0.5, "bool": True, "list": [1, 2], "huge": 2**70, "text": "a", "name": "a"},
        {"null": None, "int": 2, "float": 1.5, "bool": False, "list": [3, 4], "huge": 1, "text": "b", "name": None},
        {},
    ]
    journal.append(*(TrialProposed(number, each, 7) for number, each in enumerate(configurations)))
    journal.close()
    frame = hposweep.load(tmp_path).trials
    assert frame["null"].tolist() == [1, None, pandas.NA]
    dtypes = {"null": "object", "int": "Int64", "float": "float64"}
    dtypes |= dict.fromkeys(("bool", "list", "huge", "text", "name"), "object")
    assert {name: str(frame[name].dtype) for name in dtypes} == dtypes
    assert frame["name"].tolist() == ["a", None, pandas.NA]
    assert frame["list"].tolist() == [[1, 2], [3, 4], pandas.NA]
    assert (frame["int"].sum(), frame["float"].mean()) == (3, 1.0)
    assert all(pandas.isna(frame[name].iloc[2]) for name in dtypes)


def test_curves_are_a_frame(sweep: hposweep.Sweep) -> None:
    expected = pandas.DataFrame(
        {"trial": [0, 0, 1, 1], "epoch": [1, 2, 1, 2], "train_loss": [0.45, 0.25, 0.4, 0.125]}
        | {"error": [0.9, 0.5, 0.8, 0.25], "seconds": [0.1] * 4}
    ).set_index(["trial", "epoch"])
    pandas.testing.assert_frame_equal(sweep.curves, expected)


def test_segments_are_a_frame(sweep: hposweep.Sweep) -> None:
    journal = Journal.open(sweep.folder)
    lost = SegmentLost(3, 1.5, "its node is gone\nfor good", place="node7")
    retried = SegmentStarted(3, 0, None, 2, job=2)
    journal.append(*(type(event)(**{**vars(event), "time": TIMES[20]}) for event in (lost, retried)))
    journal.close()
    expected = pandas.DataFrame(
        {
            "attempt": [1, 1, 1, 1, 2],
            "start_epoch": [0] * 5,
            "target_epoch": pandas.array([pandas.NA] * 5, dtype="Int64"),
            "started_at": pandas.to_datetime([*TIMES[2:9:2], TIMES[20]], format="ISO8601"),
            "duration_s": [2.0, 2.5, 0.5, 1.5, np.nan],
            "end": ["COMPLETE", "COMPLETE", "FAILED", "LOST", "CUT_OFF"],
            "place": ["", "", "", "node7", ""],
            "failure": ["", "", "ValueError: no", "its node is gone", ""],
        },
        index=pandas.MultiIndex.from_tuples([(0, 1), (1, 1), (2, 1), (3, 1), (3, 2)], names=["trial", "job"]),
    )
    pandas.testing.assert_frame_equal(hposweep.load(sweep.folder).segments, expected)


def test_it_says_what_it_is(sweep: hposweep.Sweep) -> None:
    assert sweep.best is not None and sweep.best.number == 1
    text = "Sweep a<b: 4 trials (1 RUNNING, 2 COMPLETE, 1 FAILED), not finished; best: trial 1, error 0.25"
    assert repr(sweep) == f"<{text}>"
    page = sweep._repr_html_()
    assert "Sweep a&lt;b: 4 trials" in page
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert page.index("<td>1</td>") < page.index("<td>0</td>")  # the best first
    heads = ("trial", "state", "error", "x", "configuration.seed")
    assert "".join(f"<th>{head}</th>" for head in heads) in page


def test_each_plot_holds_the_trials(sweep: hposweep.Sweep) -> None:
    points = [trace for trace in sweep.plot_incumbent("time").data if trace.name == "complete trial"]
    assert list(points[0].customdata) == [0, 1]
    names = {trace.name for trace in sweep.plot_learning_curves().data}
    assert "winner, trial 1" in names
    shown = [number for trace in sweep.plot_hyperparameter("x").data for number in trace.customdata]
    assert sorted(shown) == [0, 1, 2, 3]
    lines = sweep.plot_parallel_coordinates().data
    assert sorted({number for trace in lines for number, _ in trace.customdata}) == [0, 1]
    assert sweep.plot_time_line().data


def test_a_plot_s_notes_stand_under_it(sweep: hposweep.Sweep) -> None:
    texts = [each.text for each in sweep.plot_parallel_coordinates().layout.annotations]
    assert "Not shown: 2 trials without a value." in texts


def test_what_can_not_be_plotted_is_said(sweep: hposweep.Sweep, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"key: no hyperparameter 'y'\. Available: x, seed, extra"):
        sweep.plot_hyperparameter("y")
    with pytest.raises(ConfigError, match="against: must be trials, epochs or time, got 'days'"):
        sweep.plot_incumbent("days")
    with pytest.raises(ConfigError, match="no importances: 2 trials are finished"):
        sweep.plot_importance()
    with pytest.raises(ConfigError, match=r"journal\.jsonl"):
        hposweep.load(tmp_path)


def test_a_simulated_sweep_has_importances_and_curves_at_its_rungs(tmp_path: Path) -> None:
    simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=400, n_workers=4, folder=tmp_path / "simulated")
    sweep = hposweep.load(tmp_path / "simulated")
    assert len(sweep.trials) == 400
    assert set(sweep.curves.index.get_level_values("epoch")) == {1, 3, 9, 27, 81}
    assert sweep.curves.loc[(sweep.best.number, 81), "validation_error"] == sweep.best.value  # type: ignore[union-attr]
    simulate(AugmentedBranin(), FifoScheduler(), n_trials=40, n_workers=4, folder=tmp_path / "random")
    assert sorted(hposweep.load(tmp_path / "random").plot_importance().data[0].y) == ["x1", "x2"]


@pytest.mark.parametrize(
    ("module", "ask", "message"),
    [
        ("pandas", lambda sweep: sweep.trials, "a data frame needs 'pandas'"),
        ("plotly.graph_objects", lambda sweep: sweep.plot_incumbent(), "a plot needs 'plotly'"),
    ],
    ids=["pandas", "plotly"],
)
def test_a_missing_package_is_named(sweep, monkeypatch, module: str, ask: Any, message: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for loaded in [name for name in sys.modules if name.startswith("hposweep.results.figures.")]:
        monkeypatch.delitem(sys.modules, loaded)
    with pytest.raises(ConfigError, match=rf"{message}: pip install 'hposweep\[notebook\]'"):
        ask(sweep)
