"""`report.html` in headless Chromium."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from hposweep.hydra_glue import run_again
from hposweep.hydra_glue.overrides import render
from hposweep.results import sweep_data
from hposweep.results.html import sweep_page
from hposweep.schedulers.asha import AshaScheduler
from hposweep.search_space import Configuration
from hposweep.simulation import AugmentedBranin, simulate
from hposweep.trial import TrialState
from support.browser import point_at
from support.report_pages import (
    HOSTILE,
    HOSTILE_NAME,
    ROWS,
    Page,
    Row,
    data_of,
    hostile,
    made,
    page_of,
    words_of,
)


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


STATE_OF_PAGE = """
const shown = document.documentElement.cloneNode(true);
for (const each of shown.querySelectorAll("head, script, .figure > *, body > svg")) each.remove();
for (const each of shown.querySelectorAll("[style]")) each.removeAttribute("style");
for (const each of shown.querySelectorAll(".figure")) each.className = "figure";
const drawn = [...document.querySelectorAll(".figure")].map((place) =>
  [place.id, (place._fullData ?? []).map((trace) => [trace.name ?? "", trace.type])]);
return [document.title, shown.innerHTML.replace(/\\s+/g, " "), drawn];
"""


def test_a_page_with_another_states_content_shows_what_that_states_own_page_shows(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    states: list[list[Row]] = [
        [],
        [(TrialState.FAILED, None, {"rate": 0.1, "name": "a"}, "ValueError: no")],
        [(TrialState.RUNNING, 0.3, {"rate": 0.1, "name": "a"}, ""), *ROWS],
        [(TrialState.COMPLETE, 0.1, {"rate": 0.1, "name": "a", "new": i}, "") for i in range(60)],
    ]
    pages, contents = [], []
    for number, rows in enumerate(states):
        folder = made(tmp_path / f"{number}" / "swept", rows)
        page_of(folder)
        pages.append(Page(browser, folder / "report.html"))
        contents.append(sweep_page.content(folder, sweep_data.read(folder), None))
    expected = []
    for page in pages:
        page.emulate("light", 1280)
        page.open()
        expected.append(page.run(STATE_OF_PAGE))
    pages[0].open()
    for state in (1, 2, 3, 1, 0):
        pages[0].update(contents[state])
        assert pages[0].run(STATE_OF_PAGE) == expected[state], state
    assert pages[0].errors == []


def test_new_content_leaves_the_page_as_its_reader_has_it(browser: webdriver.Chrome, tmp_path: Path) -> None:
    folder = made(tmp_path / "swept")
    page_of(folder)
    more = made(
        tmp_path / "more" / "swept", [*ROWS, ROWS[-1], (TrialState.COMPLETE, 0.1, {"rate": 0.5, "name": "new"}, "")]
    )
    page = Page(browser, folder / "report.html")
    page.emulate("light", 1280)
    page.open()
    page.sort_by("rate")
    page.filter_by("sgd")
    page.run("document.querySelector('#failures details').open = true")
    page.run("document.querySelector('#failures summary').focus()")
    page.run("document.querySelector('#hyperparameter-0').is_mine = true")
    zoomed = page.zoom("hyperparameter-0")
    page.update(sweep_page.content(more, sweep_data.read(more), None))
    assert page.column("rate") == ["0.001", "0.1", "0.2", "0.3", "0.3"]
    assert page.run("return document.getElementById('hyperparameter-0').is_mine")
    assert page.run("return document.getElementById('hyperparameter-0')._fullLayout.xaxis.range") == zoomed
    assert page.run("return document.querySelector('#failures details').open")
    assert page.run("return document.activeElement === document.querySelector('#failures summary')")
    assert page.filter_by("new").startswith("1 of 8")


def test_a_plot_that_grows_keeps_its_zoom_until_a_double_click_takes_it_back(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    contents = []
    for n_trials in (5, 20, 40):
        folder = made(tmp_path / f"{n_trials}" / "swept", [*(ROWS[i % len(ROWS)] for i in range(n_trials))])
        contents.append(sweep_page.content(folder, sweep_data.read(folder), None))
    page_of(tmp_path / "5" / "swept")
    page = Page(browser, tmp_path / "5" / "swept" / "report.html")
    page.emulate("light", 1280)
    page.open()
    script = "return document.getElementById('incumbent-trials')._fullLayout.xaxis.range"
    own = [content["figures"]["incumbent-trials"]["layout"]["xaxis"]["range"] for content in contents]
    assert own[0] != own[1] != own[2]
    zoomed = page.zoom("incumbent-trials")
    page.update(contents[1])
    assert page.run(script) == zoomed
    page.double_click("incumbent-trials")
    WebDriverWait(browser, 30).until(lambda _: page.run(script) == pytest.approx(own[1]))
    page.update(contents[2])
    assert page.run(script) == pytest.approx(own[2])
    assert page.errors == []


def test_what_is_hidden_by_the_legend_stays_hidden_when_there_are_more_traces(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    contents = []
    for r_min in (3, 1):
        folder = tmp_path / f"{r_min}" / "swept"
        simulate(AugmentedBranin(), AshaScheduler(r_min=r_min, r_max=9), n_trials=40, n_workers=4, folder=folder)
        contents.append(sweep_page.content(folder, sweep_data.read(folder), None))
    names = [[trace["name"] for trace in content["figures"]["curves"]["data"]] for content in contents]
    hidden = "complete"
    assert names[0].index(hidden) != names[1].index(hidden)
    page_of(tmp_path / "3" / "swept")
    page = Page(browser, tmp_path / "3" / "swept" / "report.html")
    page.emulate("light", 1280)
    page.open()
    x, y = browser.execute_script(
        """
        const place = document.getElementById("curves");
        place.scrollIntoView({ block: "center", behavior: "instant" });
        const item = [...place.querySelectorAll(".legend .traces")].find((each) => each.textContent === arguments[0]);
        const { x, y, width, height } = item.querySelector(".legendtoggle").getBoundingClientRect();
        return [x + width / 2, y + height / 2];
        """,
        hidden,
    )
    traces = "document.getElementById('curves')._fullData"
    script = f"return {traces}.filter((each) => each.visible !== true).map((each) => each.name)"
    point_at(browser, x, y).click().perform()
    WebDriverWait(browser, 30).until(lambda _: page.run(script) == [hidden])
    page.update(contents[1])
    assert page.run(script) == [hidden]
    assert page.errors == []


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
    assert browser.find_element(By.CSS_SELECTOR, "th[aria-sort=ascending]").text == "rank ▲"


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
    details = page.open_first_trial()
    assert {"state", "seed", "attempts", "configuration.seed"} <= {*details}
    assert (details["seed"], details["x"], details["configuration.seed"]) == ("7", "≠ 1", "≠ 6")
    line = page.run("return panel.querySelector('.line').textContent")
    assert line == r"ValueError: \x1b[31m" + "y" * 283 + "… (1,017 characters)"
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
    assert json.dumps(HOSTILE) in page.open_first_trial().values()
    for number in range(3):
        page.run(f"open_panel({number})")
        # What a terminal would take for commands is text, too.
        output = page.run("return [...panel.querySelectorAll('pre')].at(-1).textContent")
        assert output.endswith(r"\x1b]0;title\x07")
        assert page.run("return panel.scrollWidth <= panel.clientWidth")
    page.run("panel.close(); location.hash = '#trial-<img src=x onerror=\"owned = 1\">'")
    page.run("document.getElementById('columns').open = true")
    for box in browser.find_elements(By.CSS_SELECTOR, "#columns input"):
        box.send_keys(Keys.SPACE)
    page.run("select([0, 1, 2], true); hover(1)")
    page.update(sweep_page.content(folder, sweep_data.read(folder), None))
    assert page.run("return [typeof owned, document.images.length]") == ["undefined", 0]
    page.open()
    override = f"key{HOSTILE}={render({'k': HOSTILE})[0].removeprefix('k=')}"
    assert words_of(page.run("return command_of(0)")) == ["python", "<b>main</b>.py", override, "x=0.1"]
    assert page.errors == []


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_a_command_is_copied_from_a_page_of_any_kind(
    browser: webdriver.Chrome, tmp_path: Path, *, has_clipboard: bool
) -> None:
    folder = hostile(tmp_path)
    page_of(folder)
    page = Page(browser, folder / "report.html")
    page.emulate("light", 1280)
    page.open()
    if not has_clipboard:
        page.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    field = browser.find_element(By.ID, "filter")
    for place in ("winner", "panel"):
        if place == "panel":
            page.run("open_panel(2)")
        button = browser.find_element(By.ID, f"copy-{place}-command")
        button.send_keys(Keys.ENTER)
        page.until(f"document.getElementById('copy-{place}-command').textContent === 'Copied'")
        page.until(
            f"document.querySelector('{'#panel .told' if place == 'panel' else '#told'}').textContent === 'Copied'"
        )
        command = page.run(f"return document.querySelector('#copy-{place}-command + pre').textContent")
        assert words_of(command)[:2] == ["python", "<b>main</b>.py"]
        page.run("if (panel.open) panel.close()")
        field.clear()
        field.send_keys(Keys.CONTROL, "v")
        assert page.run("return document.getElementById('filter').value") == command
