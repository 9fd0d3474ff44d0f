"""The dashboard's pages in headless Chromium, over sweeps by hand that change while the pages are open."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from hposweep.history import Ending, Event, SegmentEnded, SegmentStarted, SweepEnded, SweepStarted, TrialProposed
from hposweep.sweep_folder.journal import FILE_NAME, Journal
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Direction, TrialState
from results.dashboard.conftest import Dashboard, Serve, served
from support.browser import CONTRAST, NUMBER_THEM, log_of, requested_urls, walk
from support.processes import wait_for
from support.report_pages import HOSTILE, Page, hostile, made


class Pages:
    """The browser, while a dashboard is open in it."""

    def __init__(self, browser: webdriver.Chrome, dashboard: Dashboard) -> None:
        self.browser, self.dashboard = browser, dashboard

    def open(self, path: str = "/") -> None:
        self.browser.get(self.dashboard.url + path)
        wait_for(lambda: self.run("return document.documentElement.dataset.ready"))

    def run(self, script: str, *arguments: object) -> Any:
        return self.browser.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        found: str = self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector)
        return found

    def wait_for_text(self, selector: str, text: str) -> None:
        wait_for(lambda: text in self.text(selector))

    def click(self, selector: str) -> None:
        self.browser.find_element(By.CSS_SELECTOR, selector).click()

    def check_quiet(self) -> None:
        """No error on the console, no request to anywhere else, and nothing of the foreign text has run."""
        assert [entry for entry in log_of(self.browser, "browser") if entry["level"] == "SEVERE"] == []
        own = (self.dashboard.url, "data:", "blob:", "about:")
        assert [url for url in requested_urls(self.browser) if not url.startswith(own)] == []
        assert self.run("return typeof owned") == "undefined"
        assert self.run("return document.images.length") == 0


@pytest.fixture
def pages(browser: webdriver.Chrome, serve: Serve, tmp_path: Path) -> Iterator[Pages]:
    (tmp_path / "outputs").mkdir()
    log_of(browser, "browser")
    requested_urls(browser)
    found = Pages(browser, serve(tmp_path / "outputs"))
    yield found
    browser.get("about:blank")


class RunningSweep:
    """A sweep that this process has, without any trainings."""

    def __init__(self, folder: Path, n_trials: int = 10) -> None:
        folder.mkdir()
        self.folder, self.journal = folder, Journal.open(folder)
        self.n_started = 0
        self.append(SweepStarted(n_trials, 0, "error", Direction.minimize, controller="process 7 on node3"))

    def append(self, *events: Event) -> None:
        self.journal.append(*events)

    def start_trial(self) -> TrialFiles:
        number, self.n_started = self.n_started, self.n_started + 1
        configuration = {"x": number / 10, "y": 1.0 / (number + 1)}
        self.append(TrialProposed(number, configuration, 7), SegmentStarted(number, 0, 3, 1))
        files = TrialFiles(self.folder, f"trials/{number}")
        files.make_folder()
        files.job_mark.write_text(f"0123abcd, job {number}_1, process 7 on node3\n")
        return files

    def end_trial(self, number: int, value: float) -> None:
        self.append(SegmentEnded(number, TrialState.COMPLETE, 3, {"error": value}, 1.0, folder=f"trials/{number}"))


def test_two_sweeps_that_run_at_once_are_followed_in_the_list(pages: Pages, tmp_path: Path) -> None:
    one, other = (RunningSweep(tmp_path / "outputs" / name) for name in ("one", "other"))
    pages.open()
    row = "#sweeps tr[data-id={}]".format
    for value, sweep in [(0.5, one), (0.25, other), (0.125, one)]:
        sweep.start_trial()
        sweep.end_trial(sweep.n_started - 1, value)
        pages.wait_for_text(row(sweep.folder.name), str(value))
        pages.wait_for_text(row(sweep.folder.name), f"{sweep.n_started} of 10")
        assert "running" in pages.text(row(sweep.folder.name))
    one.append(SweepEnded(Ending.TIME_BUDGET))
    one.journal.close()
    pages.wait_for_text(row("one"), "stopped")
    assert pages.text("#sweeps .command") == f"python -m hposweep resume {one.folder}"
    assert "running" in pages.text(row("other"))
    other.journal.close()
    pages.wait_for_text(row("other"), "killed")
    pages.check_quiet()


def test_the_list_names_the_metric_and_what_went_wrong(pages: Pages, tmp_path: Path) -> None:
    made(tmp_path / "outputs" / "one")
    pages.open()
    pages.wait_for_text("#sweeps", "6 of 6, 1 DIVERGED, 2 FAILED")
    assert "validation_error, trial 0" in pages.text("#sweeps")


def test_the_list_is_sorted_filtered_and_ticked_and_stays_so(pages: Pages, tmp_path: Path) -> None:
    for name in ("b10", "b9", "a"):
        made(tmp_path / "outputs" / name)
    pages.open()
    names = "return [...document.querySelectorAll('#sweeps tbody a')].map((link) => link.textContent)"
    wait_for(lambda: len(pages.run(names)) == 3)
    pages.click("#sort-0")
    assert pages.run(names) == ["a", "b9", "b10"]
    pages.click("#sort-0")
    assert pages.run(names) == ["b10", "b9", "a"]
    pages.browser.find_element(By.ID, "filter").send_keys("B")
    assert pages.run(names) == ["b10", "b9"]
    assert pages.run("return document.getElementById('compare').disabled")
    for name in ("b10", "b9"):
        pages.click(f"#tick-{name}")
    made(tmp_path / "outputs" / "b11")
    wait_for(lambda: pages.run(names) == ["b11", "b10", "b9"])
    assert pages.run("return document.getElementById('filter').value") == "B"
    pages.click("#compare")
    pages.wait_for_text("h1", "b10")
    wait_for(lambda: pages.run("return document.documentElement.dataset.ready"))
    assert "2 sweeps" in pages.text(".status")
    pages.check_quiet()


def test_the_list_is_used_by_keys_and_legible(pages: Pages, tmp_path: Path) -> None:
    made(tmp_path / "outputs" / "finished")
    RunningSweep(tmp_path / "outputs" / "killed").journal.close()
    running = RunningSweep(tmp_path / "outputs" / "running")
    running.start_trial()
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        pages.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        pages.open()
        wait_for(lambda: pages.run("return document.querySelectorAll('#sweeps tbody a').length") == 3)
        assert pages.run(f"{CONTRAST}; return too_weak_texts()") == []
    expected = pages.run(NUMBER_THEM)
    assert len(expected) > 12
    assert walk(pages.browser, len(expected)) == [[number, True] for number in expected]
    signs = [
        pages.run("return document.querySelector(arguments[0]).textContent", f".state.{state}")[0]
        for state in ("finished", "killed", "running")
    ]
    assert len(set(signs)) == 3
    running.journal.close()


def test_a_comparison_that_is_open_shows_what_is_new(pages: Pages, tmp_path: Path) -> None:
    made(tmp_path / "outputs" / "one")
    other = made(tmp_path / "outputs" / "other")
    pages.open("/compare?id=one&id=other")
    assert "0.0625" not in pages.text("#sweeps")
    pages.run("opened_once = true")
    zoomed = Page(pages.browser, tmp_path).zoom("incumbents-epochs")
    shutil.rmtree(other)
    made(other, [(TrialState.COMPLETE, 0.0625, {"rate": 0.5, "name": "adam"}, "")])
    pages.wait_for_text("#sweeps", "0.0625")
    # It is the same page, with what its user has zoomed into.
    assert pages.run("return opened_once")
    wait_for(lambda: "0.0625" in pages.run("return JSON.stringify(document.getElementById('incumbents-epochs').data)"))
    assert pages.run("return document.getElementById('incumbents-epochs')._fullLayout.xaxis.range") == zoomed
    pages.check_quiet()


def test_a_page_whose_folder_is_removed_says_so_and_goes_on_when_it_is_back(pages: Pages, tmp_path: Path) -> None:
    sweep = made(tmp_path / "outputs" / "s")
    pages.open("/sweep?id=s")
    assert "Finished" in pages.text("#live")
    shutil.move(sweep, tmp_path / "elsewhere")
    pages.wait_for_text("#live", "The sweep's folder was removed. What is shown was read at")
    assert "0.2" in pages.text("#part-summary")
    shutil.move(tmp_path / "elsewhere", sweep)
    pages.wait_for_text("#live", "Finished")
    pages.open()
    shutil.rmtree(sweep)
    pages.wait_for_text("#sweeps", "The folder was removed.")
    pages.check_quiet()


def test_a_damaged_journal_is_said_on_the_open_page_and_instead_of_one(pages: Pages, tmp_path: Path) -> None:
    path = made(tmp_path / "outputs" / "s") / FILE_NAME
    pages.open("/sweep?id=s")
    whole = path.read_text()
    path.write_text(f"{whole}no event\n")
    pages.wait_for_text("#live", "is damaged")
    pages.browser.get(f"{pages.dashboard.url}/sweep?id=s")
    pages.wait_for_text("#live", "is damaged")
    path.write_text(whole)
    pages.wait_for_text("#live", "Finished")
    pages.check_quiet()


def test_what_a_running_trial_prints_is_followed_in_its_panel(pages: Pages, tmp_path: Path) -> None:
    sweep = RunningSweep(tmp_path / "outputs" / "s")
    files = sweep.start_trial()
    files.output.write_text(f"begins\n<img src=x onerror='owned = 1'>\n{'long line ' * 90}\n")
    (files.job_dir / "main.log").write_text("logged\n")
    pages.open("/sweep?id=s#trial-0")
    pages.wait_for_text("#log", "begins")
    for line in ("epoch 1", "epoch 2"):
        with open(files.output, "a") as file:
            file.write(f"{line}\n")
        pages.wait_for_text("#log", line)
    assert pages.text("#log").count("begins") == pages.text("#log").count("epoch 1") == 1
    assert "Followed" in pages.text("#log-state")
    # Another trial's news make the panel anew.
    sweep.start_trial()
    sweep.end_trial(1, 0.5)
    pages.wait_for_text("#table", "0.5")
    assert "epoch 2" in pages.text("#log")
    pages.run(
        "const choice = document.getElementById('log-name'); choice.value = 'main.log';"
        "choice.dispatchEvent(new Event('change'))"
    )
    pages.wait_for_text("#log", "logged")
    assert "epoch 1" not in pages.text("#log")
    sweep.journal.close()
    wait_for(lambda: pages.text("#log-state") == "")
    pages.check_quiet()


def test_foreign_text_is_text(pages: Pages, tmp_path: Path) -> None:
    sweep = hostile(tmp_path / "outputs")
    TrialFiles(sweep, "trials/0").output.write_text(HOSTILE)
    (sweep / "trials" / "0" / "<img src=x onerror='owned=1'>.log").write_text(HOSTILE)
    other = tmp_path / "outputs" / "<img src=x onerror=owned=2>"
    other.mkdir()
    journal = Journal.open(other)
    journal.append(
        SweepStarted(2, 0, HOSTILE, Direction.minimize, controller=HOSTILE),
        TrialProposed(0, {HOSTILE: HOSTILE}, 7),
        SegmentStarted(0, 0, 3, 1),
        SegmentEnded(0, TrialState.PAUSED, 1, {HOSTILE: 0.5}, 1.0, folder="trials/0"),
        SweepEnded(Ending.FAILURE_RATE, HOSTILE),
    )
    journal.close()
    pages.open()
    pages.wait_for_text("#sweeps", "<script>owned=1<")
    pages.check_quiet()
    wait_for(lambda: pages.run("return document.querySelectorAll('#sweeps tbody a').length") == 2)
    ids = pages.run("return [...document.querySelectorAll('#sweeps tbody a')].map((link) => link.getAttribute('href'))")
    assert len(ids) == 2
    for address in ids:
        pages.open(f"/{address}#trial-0")
        pages.wait_for_text("#panel", "Trial 0")
        pages.check_quiet()
    query = "&".join(address.partition("?")[2] for address in ids)
    pages.browser.get(f"{pages.dashboard.url}/compare?{query}")
    pages.wait_for_text("#live", "its metric is")
    pages.check_quiet()


@pytest.mark.parametrize("path", ["/", "/sweep?id=s", "/compare?id=s&id=other"])
def test_a_page_whose_server_has_gone_says_so_and_takes_nothing_of_another_folders(
    browser: webdriver.Chrome, tmp_path: Path, path: str
) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        made(tmp_path / folder / "other")
    made(tmp_path / "here" / "s")
    made(tmp_path / "there" / "s", [(TrialState.COMPLETE, 0.0625, {"rate": 0.5, "name": "adam"}, "")])
    with served(tmp_path / "here") as dashboard:
        pages = Pages(browser, dashboard)
        pages.open(path)
    pages.wait_for_text("#live", "No answer from the dashboard's server since")
    shown = pages.text("main")  # by now: there was more to come when the page opened
    with served(tmp_path / "there", port=dashboard.port):
        pages.wait_for_text("#live", "The dashboard of another folder answers at this address by now")
        assert pages.text("main") == shown
    pages.wait_for_text("#live", "No answer from the dashboard's server since")
    with served(tmp_path / "here", port=dashboard.port):
        pages.wait_for_text("#live", "it updates by itself")
    browser.get("about:blank")
    log_of(browser, "browser")
    requested_urls(browser)


def test_the_token_leaves_the_address_and_is_kept(browser: webdriver.Chrome, tmp_path: Path, serve: Serve) -> None:
    made(tmp_path / "s")
    pages = Pages(browser, serve(tmp_path, token="a-token"))
    log_of(browser, "browser")
    requested_urls(browser)
    pages.open("/?token=a-token")
    assert pages.browser.current_url == f"{pages.dashboard.url}/"
    assert pages.run("return document.cookie") == ""
    pages.browser.find_element(By.LINK_TEXT, "s").click()
    pages.wait_for_text("#live", "Finished")
    pages.check_quiet()
    pages.browser.delete_all_cookies()
    pages.wait_for_text("#live", "The server refuses this page")
    browser.get("about:blank")
    log_of(browser, "browser")
