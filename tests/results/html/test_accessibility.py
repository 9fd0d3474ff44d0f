"""`report.html` for those who use no mouse, no colours or a screen reader."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from hposweep.schedulers.asha import AshaScheduler
from hposweep.simulation import AugmentedBranin, simulate
from hposweep.trial import TrialState
from support.browser import CONTRAST, NUMBER_THEM, walk
from support.report_pages import ROWS, Page, made, page_of

# Elements that a screen reader would name by nothing.
NAMELESS = """
const named_by_text = (each) => each.textContent.trim() && !each.matches("section, [role]");
const named_by_other = (each) => document.getElementById(each.getAttribute("aria-labelledby") ?? "");
const all = document.querySelectorAll("button, input, a[href], [role=img], [role=region], section, dialog[open]");
const is_named = (each) => each.ariaLabel || each.labels?.length || named_by_text(each) || named_by_other(each);
return [...all].filter((each) => each.checkVisibility() && !is_named(each)).map((each) => each.outerHTML);
"""


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One by hand with failures, and an ASHA sweep."""
    folder = tmp_path_factory.mktemp("accessible")
    rows = [
        *ROWS,
        (TrialState.RUNNING, None, {"rate": 0.4, "name": "sgd"}, ""),
        (TrialState.PAUSED, 0.3, {"rate": 0.5}, ""),
    ]
    made(folder / "by hand", rows)
    simulate(AugmentedBranin(), AshaScheduler(r_max=9), n_trials=60, n_workers=4, folder=folder / "asha")
    found = [folder / "by hand", folder / "asha"]
    for each in found:
        page_of(each)
    return found


@pytest.fixture
def page(browser: webdriver.Chrome, sweeps: list[Path]) -> Iterator[Page]:
    found = Page(browser, sweeps[0] / "report.html")
    found.emulate("light", 1280)
    found.open()
    yield found
    assert found.errors == []


def test_tab_reaches_all_that_can_be_used_and_is_seen_there(page: Page) -> None:
    expected = page.run(NUMBER_THEM)
    assert len(expected) > 30
    walked = walk(page.browser, len(expected))
    assert [number for number, _ in walked] == expected
    assert all(is_seen for _, is_seen in walked)
    # From the last one on it leaves the page.
    assert walk(page.browser, 1)[0][0] in ("body", expected[0])


def test_the_panel_keeps_the_focus_until_it_is_closed_and_gives_it_back(page: Page) -> None:
    button = page.browser.find_element(By.CSS_SELECTOR, "#table tbody tr:nth-child(2) button")
    button.send_keys(Keys.ENTER)
    assert page.run("return panel.matches(':modal')")
    page.run(NUMBER_THEM)
    within = page.run("return [...panel.querySelectorAll('[data-number]')].map((each) => each.dataset.number)")
    walked = [number for number, _ in walk(page.browser, 2 * len(within) + 2)]
    assert {*within} <= {*walked} <= {*within, "body", "dialog"}
    ActionChains(page.browser).send_keys(Keys.ESCAPE).perform()
    assert page.run("return document.activeElement.ariaLabel") == button.get_attribute("aria-label")


def test_the_menu_of_columns_is_used_by_keys(page: Page) -> None:
    summary = page.browser.find_element(By.CSS_SELECTOR, "#columns summary")
    summary.send_keys(Keys.ENTER)
    seed = page.browser.find_element(By.XPATH, "//fieldset//label[contains(., 'seed')]/input")
    seed.send_keys(Keys.SPACE)
    assert page.column("seed") == ["7"] * 8
    ActionChains(page.browser).send_keys(Keys.ESCAPE).perform()
    assert not page.run("return document.getElementById('columns').open")
    assert page.run("return document.activeElement.localName") == "summary"


def test_nothing_is_without_a_name_and_each_state_has_a_sign_of_its_own(page: Page) -> None:
    assert page.run(NAMELESS) == []
    page.run("open_panel(4)")
    assert page.run(NAMELESS) == []
    signs = {text.split()[-1]: text.split()[0] for text in page.column("state")}
    assert len(signs) == len({*signs.values()}) == 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_marks_have_enough_contrast(browser: webdriver.Chrome, sweeps: list[Path], scheme: str) -> None:
    for folder in sweeps:
        page = Page(browser, folder / "report.html")
        page.emulate(scheme, 1280)
        page.open()
        page.run("for (const each of document.querySelectorAll('details')) each.open = true; select([0, 1])")
        assert page.run(f"{CONTRAST}; return [too_weak_texts(), too_weak_marks()]") == [[], []]
        page.run("open_panel(1)")
        assert page.run(f"{CONTRAST}; return too_weak_texts()") == []


def test_weak_texts_and_marks_would_be_found(page: Page) -> None:
    page.run("document.querySelector('h1').style.color = '#ccc'; document.querySelector('h1').style.fontSize = '16px'")
    page.run("return Plotly.restyle('curves', { 'line.color': '#eee' }).then(() => null)")
    assert [text.partition(":")[0] for text in page.run(f"{CONTRAST}; return too_weak_texts()")] == ["by hand"]
    assert page.run(f"{CONTRAST}; return too_weak_marks()")[0].startswith("curves, ")


def test_who_wants_less_motion_gets_none(page: Page) -> None:
    assert page.run("return getComputedStyle(document.documentElement).scrollBehavior") == "smooth"
    media = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    assert page.run("return getComputedStyle(document.documentElement).scrollBehavior") == "auto"
