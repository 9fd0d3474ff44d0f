"""`report.html`: what it says, that it shows foreign text as text, and that it works in a browser."""

import base64
import functools
import hashlib
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from hposweep import optional_packages
from hposweep.history import (
    Ending,
    FinalEnded,
    SegmentEnded,
    SegmentStarted,
    SweepEnded,
    SweepStarted,
    TrialProposed,
    values_of,
)
from hposweep.hydra_glue import run_again
from hposweep.hydra_glue.overrides import render
from hposweep.results import sweep_data
from hposweep.results.figures import hyperparameters, incumbents, learning_curves
from hposweep.results.html import in_a_process, sweep_page
from hposweep.results.terminal import summary
from hposweep.schedulers.asha import AshaScheduler
from hposweep.search_space import Configuration
from hposweep.simulation import AugmentedBranin, simulate
from hposweep.sweep_folder.journal import FILE_NAME as JOURNAL
from hposweep.sweep_folder.journal import Journal
from hposweep.sweep_folder.sweep_yaml import AppRecord, read_record
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Direction, TrialState
from support.apps import App
from support.browser import log_of, requested_urls
from support.processes import Run, RunText

LONG = "y" * 10_000
HOSTILE = (
    f"""</script><script>owned = 1</script><img src=x onerror="owned = 1"> ' " &amp; <!-- %{{x}} $&\u2028\n{LONG}"""
)
HOSTILE_NAME = """<img src=x onerror="owned=1"><script>owned=1<\n'&lt;"""

Row = tuple[TrialState, float | None, Configuration, str]
ROWS: list[Row] = [
    (TrialState.COMPLETE, 0.200, {"rate": 0.1, "name": "sgd"}, ""),
    (TrialState.COMPLETE, 0.205, {"rate": 0.01, "name": "adam"}, ""),
    (TrialState.COMPLETE, 0.400, {"rate": 0.001, "name": "sgd"}, ""),
    (TrialState.DIVERGED, float("inf"), {"rate": 1.0, "name": "adam"}, ""),
    (TrialState.FAILED, None, {"rate": 0.2, "name": "sgd"}, "Traceback\n  here\nValueError: no"),
    (TrialState.FAILED, None, {"rate": 0.3, "name": "sgd"}, "Traceback\n  there\nValueError: no"),
]


def made(folder: Path, rows: list[Row] = ROWS, n_validation: int | None = 10_000) -> Path:
    """The folder of a sweep by hand: whose trials ended so, the first one the winner."""
    files = TrialFiles(folder, "trials/0")
    files.make_folder()
    if n_validation is not None:
        sizes = {"n_validation": n_validation, "n_test": 10_000, "baseline_error": 0.9}
        files.data_summary.write_text(json.dumps(sizes))
    journal = Journal.open(folder)
    journal.append(SweepStarted(len(rows), 0, "validation_error", Direction.minimize))
    for number, (state, value, configuration, failure) in enumerate(rows):
        journal.append(TrialProposed(number, configuration, 7), SegmentStarted(number, 0, None, 1))
        journal.append(
            SegmentEnded(
                number, state, 3, values_of("validation_error", value), 1.0, failure, folder=f"trials/{number}"
            )
        )
    journal.append(*([FinalEnded(0, 0.21)] if rows else []), SweepEnded(Ending.COMPLETE))
    journal.close()
    return folder


def page_of(folder: Path) -> str:
    has_command = isinstance(read_record(folder), AppRecord)
    command = functools.partial(run_again.trial_command, run_again.read(folder)) if has_command else None
    return sweep_page.write(folder, command).read_text()


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found.group(1))
    return data


class Elements(HTMLParser):
    """The elements of a page, and the texts in those that are asked for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts[self.tags[-1] if self.tags else ""] = self.texts.get(self.tags[-1] if self.tags else "", "") + data


def test_the_summary_names_the_winner_its_intervals_and_those_who_are_as_good(tmp_path: Path) -> None:
    sentences = sweep_page.summary(tmp_path, sweep_data.read(made(tmp_path)))
    # Wilson's intervals of 2000 and 2100 out of 10,000.
    assert sentences[:3] == [
        "Trial 0 won: validation_error 0.2 (95 % interval 0.1923 to 0.208, from 10,000 validation examples).",
        "Its final value: 0.21 (95 % interval 0.2021 to 0.2181, from 10,000 test examples).",
        "1 of the 2 other complete trials is not distinguishable from it, since the intervals overlap: trial 1.",
    ]
    assert sentences[3].startswith("6 trials: 3 COMPLETE, 1 DIVERGED, 2 FAILED; 18 epochs in all, ")


def test_of_very_many_trials_the_best_and_others_evenly_chosen_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_page, "MOST_LISTED_TRIALS", 8)
    rows = simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=40, n_workers=2, folder=tmp_path).history
    page = page_of(tmp_path)
    numbers = [int(text) for text in data_of(page)["table"]["columns"][0]["values"]]
    assert len(numbers) == 8 and numbers == sorted(numbers)
    assert rows.incumbent is not None and rows.incumbent.number in numbers
    assert numbers[data_of(page)["table"]["winner"]] == rows.incumbent.number
    assert "8 of 40 trials are listed, the best among them; trials.csv has all." in page


def test_without_the_number_of_examples_there_is_no_interval(tmp_path: Path) -> None:
    sentences = sweep_page.summary(tmp_path, sweep_data.read(made(tmp_path, n_validation=None)))
    assert sentences[:2] == ["Trial 0 won: validation_error 0.2.", "Its final value: 0.21."]
    assert "distinguishable" not in " ".join(sentences)


def test_a_sweep_without_a_complete_trial_says_so(tmp_path: Path) -> None:
    rows = [(TrialState.PAUSED, 0.5, {"x": 1}, ""), (TrialState.FAILED, None, {"x": 2}, "ValueError: no")]
    page = page_of(made(tmp_path, rows))
    assert "No trial is complete. The best so far is trial 0, 0.5." in page
    assert "incumbent-trials" not in data_of(page)["figures"]


def test_a_sweep_that_has_just_started_has_a_report(tmp_path: Path) -> None:
    page = page_of(made(tmp_path, []))
    assert data_of(page)["figures"] == {}
    assert "No segment has started." in page


def test_failures_are_grouped_by_their_last_line(tmp_path: Path) -> None:
    rows = [*ROWS, (TrialState.TIMED_OUT, None, {"rate": 0.5, "name": "sgd"}, "too long")]
    groups = sweep_page.failure_groups(sweep_data.read(made(tmp_path, rows)))
    assert [(group.n, group.line, group.states, group.trials) for group in groups] == [
        (2, "ValueError: no", "FAILED", "trials 4, 5"),
        (1, "too long", "TIMED_OUT", "trial 6"),
    ]
    assert groups[0].traceback == "Traceback\n  here\nValueError: no"


def test_there_is_a_plot_for_each_thing_and_no_other_script_may_run(tmp_path: Path) -> None:
    page = page_of(made(tmp_path))
    plots = ["incumbent-trials", "incumbent-time", "curves", "hyperparameter-0", "hyperparameter-1", "parallel"]
    assert list(data_of(page)["figures"]) == [*plots, "time-line"]
    assert "Not shown: 4 trials are finished (COMPLETE or DIVERGED); fewer than 20 tell little" in page
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
    assert list(name.layout.xaxis.ticktext) == ["adam", "sgd"]


def test_a_record_without_a_config_is_a_record(tmp_path: Path) -> None:
    made(tmp_path)
    denial = "The folder holds no sweep.yaml."
    assert denial in sweep_page.render(tmp_path, sweep_data.read(tmp_path), run_again=None)
    # A sweep of a plain Python function has no config.
    (tmp_path / "sweep.yaml").write_text("search_space: {rate: 'uniform(0, 1)'}\nversions: {numpy: '2.0'}\n")
    page = sweep_page.render(tmp_path, sweep_data.read(tmp_path), run_again=None)
    assert denial not in page
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
        assert "2 values lie outside of the plot" in plot.notes[-1]
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


def hostile(folder: Path) -> Path:
    key = f"key{HOSTILE}"
    rows = [
        (TrialState.COMPLETE, 0.2, {key: HOSTILE, "x": 0.1}, ""),
        (TrialState.COMPLETE, 0.3, {key: "<b>other</b>", "x": 0.2}, ""),
        (TrialState.FAILED, None, {key: "'\"", "x": 0.3}, f"Traceback\n{HOSTILE}\nValueError: {HOSTILE}"),
    ]
    made(folder / HOSTILE_NAME, rows)
    record = {"command": HOSTILE, "search_space": {key: f"choice({HOSTILE})"}, "overrides": {"task": [], "hydra": []}}
    record |= {"config": {"x": HOSTILE, "hydra": {"sweeper": dict.fromkeys(["seed_key", "budget_key", "scheduler"])}}}
    record |= {"versions": {"<b>python</b>": HOSTILE}, "platform": {"cpu": HOSTILE}, "commit": HOSTILE}
    record["command"] = "python <b>main</b>.py"
    (folder / HOSTILE_NAME / "sweep.yaml").write_text(yaml.safe_dump(record))
    return folder / HOSTILE_NAME


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


# In a browser.


class Page:
    """A report in headless Chromium."""

    def __init__(self, browser: webdriver.Chrome, path: Path) -> None:
        self.browser, self.url = browser, path.resolve().as_uri()

    def open(self) -> None:
        for kind in ("browser", "performance"):
            log_of(self.browser, kind)
        self.browser.get(self.url)
        WebDriverWait(self.browser, 120).until(lambda _: self.run("return document.documentElement.dataset.ready"))

    def run(self, script: str) -> Any:
        return self.browser.execute_script(script)

    def emulate(self, scheme: str, width: int) -> None:
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    @property
    def errors(self) -> list[str]:
        return [entry["message"] for entry in log_of(self.browser, "browser") if entry["level"] == "SEVERE"]

    @property
    def requests(self) -> list[str]:
        return requested_urls(self.browser)

    def column(self, name: str) -> list[str]:
        """What stands in a column of the table now."""
        found: list[str] = self.run(
            "const i = [...document.querySelectorAll('#table thead th')].findIndex("
            f"(cell) => cell.textContent.replace(/ [▲▼]$/, '') === {json.dumps(name)});"
            "return [...document.querySelectorAll('#table tbody tr:not(.more)')].map((row) => row.cells[i].textContent)"
        )
        return found

    def sort_by(self, name: str) -> None:
        for button in self.browser.find_elements(By.CSS_SELECTOR, "#table thead button"):
            if button.text.rstrip(" ▲▼") == name:
                button.send_keys(Keys.ENTER)
                return
        raise AssertionError(name)

    def filter_by(self, text: str) -> str:
        field = self.browser.find_element(By.ID, "filter")
        field.clear()
        field.send_keys(text, " ")
        return self.browser.find_element(By.ID, "count").text


class Unsteady(AugmentedBranin):
    """Diverges in a corner."""

    def value(self, configuration: Configuration, epoch: int) -> float:
        return float("nan") if configuration["x1"] > 13 else super().value(configuration, epoch)


def real(folder: Path, small_sweep: Path) -> Path:
    shutil.copytree(small_sweep, folder)
    return folder


def with_failures(folder: Path, small_sweep: Path) -> Path:
    scheduler = AshaScheduler(r_max=81)
    simulate(Unsteady(), scheduler, n_trials=150, n_workers=8, death_rate=0.02, max_retries=1, folder=folder)
    return folder


def thousand(folder: Path, small_sweep: Path) -> Path:
    simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=1000, n_workers=25, folder=folder)
    return folder


SWEEPS: list[Any] = [
    pytest.param(real, 4, id="4 real trials"),
    pytest.param(with_failures, 150, id="ASHA with failures"),
    pytest.param(thousand, 1000, id="1,000 trials"),
]


@pytest.mark.parametrize(("make", "n_trials"), SWEEPS)
def test_the_page_works_in_a_browser(
    browser: webdriver.Chrome, tmp_path: Path, small_sweep: Path, make: Callable[[Path, Path], Path], n_trials: int
) -> None:
    folder = make(tmp_path / "swept", small_sweep)
    text = page_of(folder)
    assert len(text.encode()) < 6e6
    page = Page(browser, folder / "report.html")
    page.emulate("light", 1280)
    page.open()
    figures_of_page = list(data_of(text)["figures"])
    drawn = page.run(
        "return Object.keys(page.figures).filter((id) => document.querySelector(`#${id} .main-svg`) "
        "&& document.getElementById(id).clientHeight > 100)"
    )
    assert drawn == figures_of_page
    assert "WebGL is not supported" not in page.run("return document.body.textContent")

    page.sort_by("validation_error")
    values = [float(value) for value in page.column("validation_error") if value]
    assert values == sorted(values)
    assert len(page.column("trial")) == min(n_trials, 50)
    page.sort_by("validation_error")
    shown = [float(value) for value in page.column("validation_error") if value]
    assert shown == sorted(shown, reverse=True)
    assert (shown[-1] if n_trials <= 50 else values[0]) == values[0]

    n_complete = sweep_data.read(folder).history
    complete = [t for t in n_complete.trials.values() if t.state is TrialState.COMPLETE]
    assert page.filter_by("complete").startswith(str(len(complete)))
    assert {state.split()[-1] for state in page.column("state")} == {"COMPLETE"}
    limit = sorted(trial.value or 0.0 for trial in complete)[len(complete) // 2]
    better = [trial for trial in complete if (trial.value or 0.0) < limit]
    assert page.filter_by(f"COMPLETE validation_error<{limit!r}").startswith(str(len(better)))
    assert page.filter_by("no such text").startswith("0 of")
    page.filter_by("")

    page.emulate("dark", 390)
    last = figures_of_page[-1]
    WebDriverWait(browser, 60).until(
        lambda _: page.run(f"return document.getElementById('{last}')._fullLayout.font.color") == "#e4e8ed"
    )
    assert page.run("return document.documentElement.scrollWidth") <= 390
    assert page.errors == []
    assert {url.partition(":")[0] for url in page.requests} <= {"file", "data", "blob"}


def test_pages_of_rows_and_the_keyboard(browser: webdriver.Chrome, tmp_path: Path) -> None:
    folder = made(tmp_path, [(TrialState.COMPLETE, 0.2 + i / 1000, {"x": i}, "") for i in range(120)])
    page_of(folder)
    page = Page(browser, folder / "report.html")
    page.emulate("light", 1280)
    page.open()
    assert page.column("x")[0] == "0"
    browser.find_element(By.CSS_SELECTOR, "[data-go=last]").send_keys(Keys.ENTER)
    assert page.column("x") == [str(i) for i in range(100, 120)]
    assert browser.find_element(By.ID, "page").text == "rows 101 to 120"
    browser.find_element(By.CSS_SELECTOR, "[data-go=first]").send_keys(Keys.ENTER)
    toggle = browser.find_element(By.CSS_SELECTOR, "#table tbody button")
    toggle.send_keys(Keys.ENTER)
    toggle = browser.switch_to.active_element
    assert toggle.get_attribute("aria-expanded") == "true"
    assert "seed" in browser.find_element(By.CSS_SELECTOR, "tr.more").text
    assert browser.find_element(By.CSS_SELECTOR, "th[aria-sort=ascending]").text == "trial ▲"


def test_null_not_set_and_names_of_columns_are_told_apart(browser: webdriver.Chrome, tmp_path: Path) -> None:
    rows: list[Row] = [
        (TrialState.COMPLETE, 1e-6, {"x": 0.123456789, "seed": 3, "text": "null"}, ""),
        (TrialState.COMPLETE, 3106867.9220, {"x": None, "seed": 4, "text": None}, ""),
        (TrialState.DIVERGED, float("nan"), {"seed": 5, "text": ""}, ""),
        (TrialState.FAILED, None, {"x": 1.0, "seed": 6}, "Traceback\nValueError: \x1b[31m" + "y" * 1000),
    ]
    page_of(made(tmp_path, rows))
    page = Page(browser, tmp_path / "report.html")
    page.emulate("light", 1280)
    page.open()
    assert page.column("x") == ["0.1235", "null", "", "1"]
    assert page.column("text") == ['"null"', "null", '""', ""]
    assert page.column("configuration.seed") == ["3", "4", "5", "6"]
    assert page.column("validation_error") == ["1e-06", "3.107e+06", "nan", ""]
    page.sort_by("x")
    assert page.column("trial")[:2] == ["★ 0", "3"]
    assert page.filter_by("x>0.1234").startswith("2 of 4")
    assert page.filter_by("seed>5").startswith("4 trials")  # the trial's own, which is 7
    assert page.filter_by("configuration.seed>5").startswith("1 of 4")
    browser.find_element(By.CSS_SELECTOR, "#table tbody button").send_keys(Keys.ENTER)
    names, values = (
        page.run(f"return [...document.querySelectorAll('tr.more {tag}')].map((cell) => cell.textContent)")
        for tag in ("dt", "dd")
    )
    details = dict(zip(names, values, strict=True))
    assert list(details) == ["seed", "attempts", "failure", "x", "configuration.seed"]
    assert (details["seed"], details["x"], details["configuration.seed"]) == ("7", "1.0", "6")
    assert details["failure"] == r"ValueError: \x1b[31m" + "y" * 283 + "… (1,017 characters)"
    assert page.errors == []


def test_each_row_has_the_command_that_runs_its_trial_again(
    browser: webdriver.Chrome, tmp_path: Path, small_sweep: Path, hposweep: Any
) -> None:
    folder = real(tmp_path / "swept", small_sweep)
    page_of(folder)
    page = Page(browser, folder / "report.html")
    page.open()
    history = sweep_data.read(folder).history
    assert history.incumbent is not None
    winners = shlex.split(hposweep("best", "swept").out)
    assert shlex.split(browser.find_element(By.CSS_SELECTOR, "#summary pre").text) == winners
    assert shlex.split(page.run(f"return command_of({history.incumbent.number})")) == winners
    record = run_again.read(folder)
    for number, trial in history.trials.items():
        words = shlex.split(page.run(f"return command_of({number})"))
        assert words == run_again.trial_command(record, trial)
        assert f"optimizer.learning_rate={trial.configuration['optimizer.learning_rate']!r}" in words
        assert f"seed={trial.seed}" in words


def words_of(command: str) -> list[str]:
    """What a shell makes of the command."""
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def test_foreign_text_is_text_in_a_browser(browser: webdriver.Chrome, tmp_path: Path) -> None:
    folder = hostile(tmp_path)
    page_of(folder)
    page = Page(browser, folder / "report.html")
    page.emulate("light", 390)
    page.open()
    assert page.run("return typeof owned") == "undefined"
    assert page.run("return document.images.length") == 0
    assert page.run("return document.querySelector('h1').textContent") == HOSTILE_NAME
    assert page.run("return document.documentElement.scrollWidth") <= 390
    browser.find_element(By.CSS_SELECTOR, "#table tbody button").send_keys(Keys.ENTER)
    values = page.run("return [...document.querySelectorAll('tr.more dd')].map((cell) => cell.textContent)")
    assert json.dumps(HOSTILE) in values
    override = f"key{HOSTILE}={render({'k': HOSTILE})[0].removeprefix('k=')}"
    assert words_of(page.run("return command_of(0)")) == ["python", "<b>main</b>.py", override, "x=0.1"]
    assert page.errors == []


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
    assert "y" * 21_000 not in page_of(tmp_path)
