"""A real sweep that is started, killed and resumed while its pages are open in a browser."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from hposweep.history import count_states, replay
from hposweep.sweep_folder.journal import read_events
from results.dashboard.conftest import Dashboard, Serve
from support.browser import log_of, requested_urls
from support.processes import kill, wait_for

pytestmark = pytest.mark.process

# Each training stands before its second epoch until there is a ticket, which it takes.
GATE = """
import time
from pathlib import Path

import keras


class Gate(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        while epoch == 1 and not any(self.takes(ticket) for ticket in Path("tickets").iterdir()):
            time.sleep(0.02)

    def takes(self, ticket):
        ticket.unlink()
        return True
"""
WORDS = [
    *("model=mlp", "data.train_fraction=0.1", "data.n_validation=500", "trainer.max_epochs=3"),
    *("trainer.callbacks=[gate.Gate]", "hydra.sweeper.n_trials=5", "hydra.launcher.n_workers=1"),
    "hydra.sweep.dir=outputs/followed",
]


def start(folder: Path, command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


@pytest.fixture
def pages(browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    log_of(browser, "browser")
    requested_urls(browser)
    yield browser
    browser.get("about:blank")


def in_the_journal(sweep: Path) -> dict[str, Any]:
    history = replay(read_events(sweep))
    best = history.incumbent
    return {"states": count_states(history), "best": None if best is None else best.number}


def in_the_page(browser: webdriver.Chrome) -> dict[str, Any]:
    """What the table of trials shows: how many are in each state, and the winner."""
    found: dict[str, Any] = browser.execute_script(
        """
        const cells = [...document.querySelectorAll("#table tbody tr")];
        const states = {};
        for (const row of cells) {
          const word = row.textContent.match(/RUNNING|COMPLETE|INTERRUPTED|FAILED|DIVERGED/)[0];
          states[word] = (states[word] ?? 0) + 1;
        }
        const winner = document.querySelector("#table tr.winner-row");
        return { states, best: winner && Number(winner.dataset.trial) };
        """
    )
    return found


def text_of(browser: webdriver.Chrome, selector: str) -> str:
    found: str = browser.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)
    return found


def check_quiet(browser: webdriver.Chrome, dashboard: Dashboard) -> None:
    assert [entry for entry in log_of(browser, "browser") if entry["level"] == "SEVERE"] == []
    own = (dashboard.url, "data:", "blob:", "about:")
    assert [url for url in requested_urls(browser) if not url.startswith(own)] == []


def test_a_sweep_is_followed_from_its_start_over_its_death_to_its_end(
    tmp_path: Path, serve: Serve, pages: webdriver.Chrome
) -> None:
    outputs, sweep, tickets = tmp_path / "outputs", tmp_path / "outputs" / "followed", tmp_path / "tickets"
    (tmp_path / "gate.py").write_text(GATE)
    outputs.mkdir()
    tickets.mkdir()
    dashboard = serve(outputs)
    pages.get(dashboard.url)
    wait_for(lambda: "no sweep yet" in text_of(pages, "#none:not([hidden])"))

    running = start(tmp_path, [sys.executable, "-m", "hposweep", "--multirun", *WORDS])
    wait_for(lambda: "running" in text_of(pages, "#sweeps tbody"))
    pages.find_element(By.LINK_TEXT, "followed").click()
    wait_for(lambda: "Running, by process" in text_of(pages, "#live"))
    pages.execute_script("opened_once = true")
    wait_for(lambda: in_the_journal(sweep)["states"] == {"RUNNING": 1})
    wait_for(lambda: in_the_page(pages) == in_the_journal(sweep))
    for number in (0, 1):
        (tickets / f"{number}").touch()
    wait_for(lambda: in_the_journal(sweep)["states"] == {"COMPLETE": 2, "RUNNING": 1})
    wait_for(lambda: in_the_page(pages) == in_the_journal(sweep))

    kill(running)
    wait_for(lambda: text_of(pages, "#live").startswith("Killed"))
    assert in_the_page(pages) == in_the_journal(sweep)
    row = dashboard.sweeps()["followed"]
    assert row["state"] == "killed"
    assert text_of(pages, "#resume .command") == row["resume"]

    resumed = start(tmp_path, shlex.split(row["resume"].replace("python", sys.executable, 1)))
    wait_for(lambda: "Running, by process" in text_of(pages, "#live"))
    assert text_of(pages, "#resume") == ""
    wait_for(lambda: in_the_page(pages) == in_the_journal(sweep))
    for number in (2, 3, 4):
        (tickets / f"{number}").touch()
    assert resumed.wait() == 0
    wait_for(lambda: text_of(pages, "#live").startswith("Finished"))
    assert in_the_page(pages) == in_the_journal(sweep)
    assert in_the_page(pages)["states"] == {"COMPLETE": 5}
    assert pages.execute_script("return opened_once")
    check_quiet(pages, dashboard)
