"""`report.html`: what it says, that it shows foreign text as text, and that it works in a browser."""

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from hposweep import optional_packages
from hposweep.results import sweep_data
from hposweep.results.figures import hyperparameters, incumbents, learning_curves
from hposweep.results.html import in_a_process, sweep_page, trial_rows
from hposweep.results.terminal import summary
from hposweep.schedulers.asha import AshaScheduler
from hposweep.simulation import AugmentedBranin, simulate
from hposweep.sweep_folder.journal import FILE_NAME as JOURNAL
from hposweep.trial import TrialState
from support.apps import App
from support.processes import Run, RunText
from support.report_pages import (
    HOSTILE,
    HOSTILE_NAME,
    ROWS,
    Elements,
    Row,
    all_texts,
    data_of,
    hostile,
    made,
    page_of,
)


def test_of_very_many_trials_the_best_and_others_evenly_chosen_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_rows, "MOST_LISTED_TRIALS", 8)
    rows = simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=40, n_workers=2, folder=tmp_path).history
    page = page_of(tmp_path)
    numbers = [int(text) for text in data_of(page)["table"]["columns"][0]["values"]]
    assert len(numbers) == 8 and numbers == sorted(numbers)
    assert rows.incumbent is not None and rows.incumbent.number in numbers
    assert numbers[data_of(page)["table"]["winner"]] == rows.incumbent.number
    assert "8 of 40 trials are listed, the best among them; trials.csv has all." in page


def test_a_sweep_without_a_complete_trial_says_so(tmp_path: Path) -> None:
    rows = [(TrialState.PAUSED, 0.5, {"x": 1}, ""), (TrialState.FAILED, None, {"x": 2}, "ValueError: no")]
    page = page_of(made(tmp_path, rows))
    assert "No trial is complete. The best so far is trial 0, 0.5." in page
    (course,) = [trace for trace in data_of(page)["figures"]["incumbent-trials"]["data"] if trace["mode"] == "lines"]
    assert course["name"] == "3 epochs"


def test_a_sweep_that_has_just_started_has_a_report(tmp_path: Path) -> None:
    page = page_of(made(tmp_path, []))
    assert data_of(page)["figures"] == {}
    assert "No trial has started yet." in page
    assert "Not shown" not in page


FAILED: Row = (TrialState.FAILED, None, {"rate": 0.2, "name": "sgd"}, "ValueError: no")


@pytest.mark.parametrize(
    ("rows", "is_first"),
    [
        pytest.param([FAILED], True, id="no trial is complete"),
        pytest.param([*ROWS[:3], *[FAILED] * 4], True, id="more than half failed"),
        pytest.param([*ROWS[:3], *[FAILED] * 3], False, id="half failed"),
    ],
)
def test_failures_come_first_where_they_are_the_story(tmp_path: Path, rows: list[Row], *, is_first: bool) -> None:
    page = page_of(made(tmp_path, rows))
    for name in ('id="title-{}"', '<a href="#{}">'):
        failures, trials = (page.index(name.format(id)) for id in ("failures", "trials"))
        assert (failures < trials) is is_first
    assert bool(re.search(r'<details class="failure" id="failure-\d+" open>', page)) is is_first


def test_a_plot_without_anything_to_show_has_no_place_and_its_reason_is_told_once(tmp_path: Path) -> None:
    page = page_of(made(tmp_path, [FAILED]))
    assert "curves" not in data_of(page)["figures"]
    assert 'id="title-curves"' not in page
    assert page.count("no trial has reported an epoch") == 1


def test_the_best_trials_come_first_and_failures_last(tmp_path: Path) -> None:
    rows: list[Row] = [
        (TrialState.COMPLETE, 0.2, {"rank": 8, "rate": 1}, ""),
        FAILED,
        (TrialState.PAUSED, 0.1, {"rank": 4}, ""),
        (TrialState.DIVERGED, float("nan"), {"rank": 4}, ""),
        (TrialState.COMPLETE, 0.15, {"rank": 16}, ""),
        (TrialState.RUNNING, None, {"rank": 4}, ""),
    ]
    columns = data_of(page_of(made(tmp_path, rows)))["table"]["columns"]
    assert [column["name"] for column in columns[:4]] == ["trial", "rank", "validation_error", "state"]
    assert columns[1]["values"] == ["2", "", "3", "", "1", ""]
    # A hyperparameter may have that name.
    own = next(column for column in columns if column["key"] == "rank")
    assert (own["name"], own["values"][0]) == ("configuration.rank", "8")


def test_there_is_a_plot_for_each_thing_and_no_other_script_may_run(tmp_path: Path) -> None:
    page = page_of(made(tmp_path))
    plots = ["incumbent-trials", "incumbent-epochs", "incumbent-time", "curves", "contour"]
    plots += ["hyperparameter-0", "hyperparameter-1", "parallel", "time-line"]
    assert list(data_of(page)["figures"]) == plots
    assert "Not shown: Importance of hyperparameters (4 trials are finished" in page
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    assert policy is not None
    assert policy.group(1).startswith("default-src 'none'; ")
    assert f"'sha256-{digest}'" in policy.group(1)
    assert "unsafe-inline" not in policy.group(1).split("script-src")[1]


def test_a_log_prior_has_a_log_axis(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "sweep.yaml").write_text("search_space: {rate: 'loguniform(0.001, 1)', name: 'choice(sgd, adam)'}\n")
    sweep = sweep_data.read(tmp_path)
    rate, name = (hyperparameters.hyperparameter(sweep, key).figure for key in ("rate", "name"))
    assert (rate.layout.xaxis.type, list(rate.layout.xaxis.ticktext)) == ("log", ["0.001", "0.01", "0.1", "1"])
    assert list(name.layout.xaxis.ticktext) == ["adam<br>2", "sgd<br>4"]


def test_a_record_without_a_config_is_a_record(tmp_path: Path) -> None:
    made(tmp_path)
    denial = "The folder holds no sweep.yaml."
    assert denial in sweep_page.render(tmp_path, sweep_data.read(tmp_path), run_again=None)
    # A sweep of a plain Python function has no config.
    (tmp_path / "sweep.yaml").write_text("search_space: {rate: 'uniform(0, 1)'}\nversions: {numpy: '2.0'}\n")
    page = sweep_page.render(tmp_path, sweep_data.read(tmp_path), run_again=None)
    assert denial not in all_texts(page)
    assert "Full config" not in page
    assert "<dd>2.0</dd>" in page


def test_values_that_are_no_numbers_or_huge_break_no_axis(tmp_path: Path) -> None:
    values = [*np.linspace(0.2, 0.3, 10), 1e30, 1e300, float("nan"), float("inf"), -float("inf")]
    rows = [
        (TrialState.COMPLETE if np.isfinite(value) else TrialState.DIVERGED, value, {"x": i, "huge": 10**i}, "")
        for i, value in enumerate(values)
    ]
    sweep = sweep_data.read(made(tmp_path, rows))
    for plot in (
        hyperparameters.hyperparameter(sweep, "x"),
        incumbents.incumbent(sweep, "time"),
        learning_curves.learning_curves(sweep),
    ):
        assert plot is not None
        low, high = plot.figure.layout.yaxis.range
        assert 0.0 < low < high < 1.0
        assert all(np.isfinite(trace.y[~np.isnan(trace.y)]).all() for trace in plot.figure.data)
        assert "values lie outside of the plot" in plot.notes[-1]
    diverged = next(t for t in hyperparameters.hyperparameter(sweep, "x").figure.data if t.name == "DIVERGED")
    assert len(set(diverged.y)) == 1
    assert "NaN" not in json.dumps(data_of(page_of(tmp_path)))


def test_foreign_text_is_text_in_the_page(tmp_path: Path) -> None:
    folder = hostile(tmp_path)
    page = page_of(folder)
    elements = Elements(page)
    assert elements.tags.count("script") == 3
    assert "img" not in elements.tags
    assert elements.texts["h1"].startswith(HOSTILE_NAME)
    assert "<!--" not in page.replace("<!doctype", "")
    for column in data_of(page)["table"]["columns"]:
        if column["name"] == f"key{HOSTILE}":
            assert column["values"][0] == json.dumps(HOSTILE)
    for figure in data_of(page)["figures"].values():
        texts = json.dumps(figure)
        assert "<img" not in texts
        assert "</script" not in texts
        assert len(texts) < 20_000  # long texts are cut


# The command, and the end of a sweep.


def test_the_command_makes_the_report_anew(hposweep_warm: Run, tmp_path: Path) -> None:
    folder = made(tmp_path / "outputs" / "swept")
    done = hposweep_warm("report", "outputs/swept")
    assert (done.exit_code, done.out.strip()) == (0, "Report: outputs/swept/report.html"), done.err
    first = (folder / "report.html").read_text()
    (folder / "report.html").write_text("old")
    assert hposweep_warm("report").exit_code == 0
    assert (folder / "report.html").read_text() == first


def test_a_folder_without_a_sweep_is_one_line(hposweep_warm: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = hposweep_warm("report", "empty")
    assert (done.exit_code, len(done.error_lines)) == (1, 1)
    assert done.error_lines[0].startswith("report: empty: holds no sweep")


MAIN = """
import atexit
import sys
import hydra

def imported():
    return [name for name in ("plotly", "jinja2", "sklearn") if name in sys.modules]

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    assert not imported()
    return cfg.x

if __name__ == "__main__":
    atexit.register(lambda: print("imported", imported()))
    main()
"""


@pytest.mark.process
def test_a_sweep_ends_with_a_report_and_imports_no_plotting_library(app: App) -> None:
    app.write("main.py", MAIN)
    done = app.fresh.sweep("hydra/launcher=hposweep", "x=interval(0.0,1.0)", "hydra.sweeper.n_trials=3")
    assert done.exit_code == 0, done.err
    assert "Report: swept/report.html" in done.out.splitlines()
    assert done.out.splitlines()[-1] == "imported []"
    page = (app.folder / "swept" / "report.html").read_text()
    assert "3 trials: 3 COMPLETE" in page
    assert "python main.py x=" in Elements(page).texts["pre"]


@pytest.mark.process
def test_a_sweep_that_stops_before_its_end_has_a_report_too(app: App) -> None:
    app.write("main.py", MAIN.replace("assert not imported()", "import time; time.sleep(0.6)"))
    done = app.with_report.sweep("x=interval(0.0,1.0)", "hydra.sweeper.n_trials=100", "hydra.sweeper.time_budget=2")
    assert done.exit_code == 0, done.err
    assert '<span aria-hidden="true">◌</span> stopped: ' in (app.folder / "swept" / "report.html").read_text()


def test_without_the_extra_the_sweep_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(optional_packages.PACKAGES, "report", ("plotly", "no_such_package"))
    summary.print_report(in_a_process.make(made(tmp_path)))
    assert capsys.readouterr().out == "No report.html: it needs more packages: pip install 'hposweep[report]'\n"
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("name", ["plotly", "jinja2", "sklearn"])
def test_the_command_without_the_extra_is_one_line(python: RunText, tmp_path: Path, name: str) -> None:
    rows: list[Row] = [(TrialState.COMPLETE, 0.2 + 0.01 * i, {"x": 0.1 * i, "y": -i}, "") for i in range(25)]
    made(tmp_path / "swept", rows)
    code = f"import sys; sys.modules['{name}'] = None; sys.argv = ['hposweep', 'report', 'swept']\n"
    done = python(f"{code}from hposweep.__main__ import main; main()")
    assert done.error_lines == [f"report: the report needs '{name}': pip install 'hposweep[report]'"]


@pytest.mark.process
@pytest.mark.process
def test_a_sweep_says_why_its_report_can_not_be_made_and_how_to_make_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (made(tmp_path) / JOURNAL).write_text("{}\n")
    summary.print_report(in_a_process.make(tmp_path))
    said = capsys.readouterr().out
    assert said.startswith("No report.html: report: ")
    assert "line 1 is damaged" in said
    assert said.endswith(f". Make it with: python -m hposweep report {tmp_path}\n")


@pytest.mark.parametrize("where", ["config", "configuration", "failure", "override"])
def test_of_a_huge_text_the_page_has_beginning_or_nothing(tmp_path: Path, where: str) -> None:
    huge = "y" * 200_000
    rows = [
        (TrialState.COMPLETE, 0.5, {"name": huge if where == "configuration" else "a"}, ""),
        (TrialState.FAILED, None, {"name": "b"}, huge if where == "failure" else "ValueError: no"),
    ]
    made(tmp_path, rows)
    lines = [f"name={huge}"] if where == "override" else []
    record = {
        "command": "python main.py",
        "overrides": {"task": lines, "hydra": []},
        "search_space": {"name": "choice(a)"},
    }
    record |= {"config": {"a": [huge] if where == "config" else []}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(record))
    assert "y" * 21_000 not in all_texts(page_of(tmp_path))
