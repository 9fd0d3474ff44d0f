"""A trial of `report.html` is marked in all plots and in the table at once, and has a panel of its own."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from hposweep.results import sweep_data
from hposweep.schedulers.asha import AshaScheduler
from hposweep.simulation import AugmentedBranin, simulate
from hposweep.sweep_folder.learning_curve import CurveWriter
from hposweep.sweep_folder.trial_files import TrialFiles
from support.browser import drag, point_at
from support.report_pages import ROWS, Page, data_of, made, page_of

# The trials that are marked in each plot: `hovered` or `selected`.
MARKED = """
return Object.fromEntries([...document.querySelectorAll("main .figure")].map((place) =>
  [place.id, place.querySelector(`canvas.${arguments[0]}`)?.dataset.trials ?? ""]));
"""
IS_DRAWN = """
const marked = [...document.querySelectorAll("canvas.hovered")].filter((canvas) => canvas.dataset.trials);
const bytes = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
return marked.every((canvas) => bytes(canvas).some(Boolean));
"""
# The position of the middle of a trial's points in a plot, in the window.
POSITION = """
const place = document.getElementById(arguments[0]);
place.scrollIntoView({ block: "center", behavior: "instant" });
const box = place.getBoundingClientRect();
const found = [...points_of(place, arguments[1]).values()].flatMap(({ points }) => points.filter(Boolean));
const [x, y] = found[Math.floor(found.length / 2)];
return [box.x + x, box.y + y, box.x, box.y, box.width, box.height];
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("linked") / "swept"
    simulate(AugmentedBranin(), AshaScheduler(r_max=9), n_trials=40, n_workers=4, folder=folder)
    page_of(folder)
    return folder


@pytest.fixture
def page(browser: webdriver.Chrome, sweep: Path) -> Iterator[Page]:
    found = Page(browser, sweep / "report.html")
    found.emulate("light", 1280)
    found.open()
    yield found
    assert found.errors == []


def marked(page: Page, kind: str) -> dict[str, str]:
    found: dict[str, str] = page.browser.execute_script(MARKED, kind)
    return found


def figures_of_trials(page: Page, number: int) -> list[str]:
    found: list[str] = page.browser.execute_script(
        "return Object.keys(page.figures).filter((id) => index_of(document.getElementById(id)).has(arguments[0]))",
        number,
    )
    return found


def point_at_trial(page: Page, id: str, number: int) -> ActionChains:
    x, y, *_ = page.browser.execute_script(POSITION, id, number)
    return point_at(page.browser, x, y)


def until(page: Page, holds: Callable[[], Any]) -> None:
    WebDriverWait(page.browser, 30).until(lambda _: holds())


def winner_of(sweep: Path) -> int:
    winner = sweep_data.read(sweep).history.incumbent
    assert winner is not None
    return winner.number


def test_a_trial_that_is_pointed_at_is_marked_in_all_plots_and_in_the_table(page: Page, sweep: Path) -> None:
    winner = winner_of(sweep)
    point_at_trial(page, "hyperparameter-0", winner).perform()
    until(page, lambda: marked(page, "hovered")["hyperparameter-0"])
    plots = figures_of_trials(page, winner)
    assert {"incumbent-trials", "curves", "hyperparameter-0", "hyperparameter-1", "parallel", "time-line"} <= {*plots}
    assert {id for id, text in marked(page, "hovered").items() if text} == {*plots}
    assert {*marked(page, "hovered").values()} <= {str(winner), ""}
    # It is drawn, not only told.
    assert page.run(IS_DRAWN)
    rows = page.run("return [...document.querySelectorAll('tr.hovered')].map((row) => row.dataset.trial)")
    assert rows == [str(winner)]
    row = page.browser.find_element(By.CSS_SELECTOR, "#table tbody tr:nth-child(3)")
    other = row.get_attribute("data-trial")
    page.run("document.getElementById('trials').scrollIntoView({ behavior: 'instant' })")
    ActionChains(page.browser, duration=0).move_to_element(row).perform()
    until(page, lambda: marked(page, "hovered")["hyperparameter-0"] == other)


def test_a_click_on_a_point_selects_its_trial_and_opens_its_panel(page: Page, sweep: Path) -> None:
    winner = winner_of(sweep)
    point_at_trial(page, "incumbent-trials", winner).click().perform()
    until(page, lambda: page.run("return panel.open"))
    assert page.run("return document.getElementById('title-panel').textContent") == f"★ Trial {winner}"
    assert page.run("return location.hash") == f"#trial-{winner}"
    assert marked(page, "selected")["curves"] == str(winner)
    ActionChains(page.browser).send_keys(Keys.ESCAPE).perform()
    assert not page.run("return panel.open")
    assert page.run("return location.hash") == ""
    assert page.browser.find_element(By.ID, "selected").text == "1 trial selected"
    ActionChains(page.browser).send_keys(Keys.ESCAPE).perform()
    assert page.run("return document.getElementById('selection').hidden")


def test_a_box_in_a_plot_selects_its_trials_everywhere_and_the_table_shows_them_alone(page: Page, sweep: Path) -> None:
    page.run("return Plotly.relayout('hyperparameter-0', { dragmode: 'select' }).then(() => null)")
    x, y, left, top, width, height = page.browser.execute_script(POSITION, "hyperparameter-0", winner_of(sweep))
    box = [(left + width * 0.2, top + 8), (left + width * 0.6, top + height * 0.5), (x + 4, y + 6)]
    drag(page.browser, *box)
    until(page, lambda: page.run("return marks.selected.size"))
    selected = {*page.run("return [...marks.selected]")}
    assert winner_of(sweep) in selected
    assert 1 < len(selected) < 40
    assert {int(text.removeprefix("★ ")) for text in page.column("trial")} == selected
    assert {*map(int, marked(page, "selected")["parallel"].split())} <= selected
    assert page.browser.find_element(By.ID, "selected").text == f"{len(selected)} trials selected"
    page.browser.find_element(By.ID, "clear-selection").send_keys(Keys.ENTER)
    assert len(page.column("trial")) == 40
    assert {*marked(page, "selected").values()} == {""}
    assert page.run("return document.getElementById('hyperparameter-0').layout.selections ?? []") == []


def test_trials_are_selected_and_opened_in_the_table_by_keys(page: Page) -> None:
    boxes = page.browser.find_elements(By.CSS_SELECTOR, "#table tbody input")
    boxes[0].send_keys(Keys.SPACE)
    boxes = page.browser.find_elements(By.CSS_SELECTOR, "#table tbody input")
    boxes[2].send_keys(Keys.SPACE)
    assert page.run("return document.activeElement.closest('tr').rowIndex") == 3
    selected = [page.run("return [...marks.selected]")[i] for i in (0, 1)]
    assert marked(page, "selected")["parallel"] == " ".join(map(str, selected))
    assert len(page.column("trial")) == 40
    page.browser.find_element(By.ID, "only-selected").send_keys(Keys.SPACE)
    assert len(page.column("trial")) == 2
    page.browser.find_element(By.CSS_SELECTOR, "#table tbody th button").send_keys(Keys.ENTER)
    assert page.run("return document.activeElement.id") == "title-panel"
    page.browser.find_element(By.CSS_SELECTOR, "#panel [aria-label='Next trial']").send_keys(Keys.ENTER)
    assert page.run("return document.getElementById('title-panel').textContent") == f"Trial {selected[1]}"
    # There is no next one: the focus stays in the panel.
    assert page.run("return document.activeElement.id") == "panel-close"


def test_a_selection_stays_when_the_page_takes_new_content(page: Page, sweep: Path) -> None:
    page.run("select([3, 5]); open_panel(3); document.getElementById('panel-next').focus()")
    page.update(data_of((sweep / "report.html").read_text()) | {"parts": {}})
    assert page.run("return [[...marks.selected], panel.open, opened]") == [[3, 5], True, 3]
    assert page.run("return document.activeElement.id") == "panel-next"
    assert marked(page, "selected")["parallel"] == "3 5"


def test_the_panel_tells_all_of_a_trial(browser: webdriver.Chrome, tmp_path: Path) -> None:
    folder = made(tmp_path / "swept", ROWS)
    output = folder / "trials" / "4" / "hposweep" / "output.txt"
    output.parent.mkdir(parents=True)
    output.write_text("first\n" * 30 + "10%\r100%\nrate=0.1 api_key=abc123 def\n\x1b[31mred\x1b[0m <b>&amp;\n")
    page_of(folder)
    page = Page(browser, folder / "report.html")
    page.url += "#trial-4"
    page.emulate("light", 390)
    page.open()
    assert page.run("return panel.open")
    assert page.run("return panel.getBoundingClientRect().width") == 390
    text = page.browser.find_element(By.ID, "panel").text
    assert "✖ FAILED" in text
    assert "≠ 0.2\n0.1" in text.replace(" 0.1", "\n0.1")
    assert "ValueError: no" in text
    assert "Traceback\n  here\nValueError: no" in text
    shown = page.run("return [...panel.querySelectorAll('pre')].at(-1).textContent").split("\n")
    assert (shown[-3:], len(shown)) == (["100%", "rate=0.1 api_key=***", "red <b>&amp;"], 20)
    page.run("open_panel(5)")
    assert "trial 4, which failed alike" in page.browser.find_element(By.ID, "panel").text
    page.run("open_panel(1)")
    assert "95% interval 0.1972 to 0.213" in page.browser.find_element(By.ID, "panel").text
    assert page.errors == []


def test_the_panel_has_the_curve_of_each_trial_also_of_those_that_no_plot_draws(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    folder = tmp_path / "swept"
    simulate(AugmentedBranin(), AshaScheduler(r_max=9), n_trials=400, n_workers=4, folder=folder)
    page_of(folder)
    page = Page(browser, folder / "report.html")
    page.emulate("light", 390)
    page.open()
    drawn = {*page.run("return [...index_of(document.getElementById('curves')).keys()]")}
    assert winner_of(folder) in drawn
    for number in (min({*range(400)} - drawn), winner_of(folder)):
        page.run(f"open_panel({number})")
        until(page, lambda: page.run("return document.getElementById('panel-curve').data"))
        lines = page.run("return document.getElementById('panel-curve').data.map((line) => [line.x, line.y])")
        own = sweep_data.read(folder).curves[number]
        assert lines[-1] == [own.epochs.tolist(), pytest.approx(own.values.tolist(), rel=1e-3)]
    assert page.errors == []


def test_a_long_curve_is_thinned_and_says_so(browser: webdriver.Chrome, tmp_path: Path) -> None:
    folder = made(tmp_path / "swept", ROWS)
    files = TrialFiles(folder, "trials/1")
    files.make_folder()
    curve = CurveWriter(files.learning_curve)
    for epoch in range(1, 1001):
        curve.write({"epoch": epoch, "validation_error": 1 / epoch if epoch > 1 else math.inf})
    page_of(folder)
    page = Page(browser, folder / "report.html")
    page.open()
    page.run("open_panel(1)")
    assert "200 of its 1000 points are drawn" in page.browser.find_element(By.ID, "panel").text
    own = data_of((folder / "report.html").read_text())["curves"]["1"]
    assert (own["epochs"][0], own["epochs"][-1], len(own["epochs"])) == (1, 1000, 200)
    assert (own["values"][0], own["values"][-1]) == (None, 0.001)
    assert page.errors == []
