"""Reports of sweeps that are made by hand, and what they hold: as text, and in a browser."""

import base64
import functools
import gzip
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import yaml
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

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
from hposweep.results.html import sweep_page
from hposweep.search_space import Configuration
from hposweep.sweep_folder.journal import Journal
from hposweep.sweep_folder.sweep_yaml import AppRecord, read_record
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Direction, TrialState
from support.browser import drag, log_of, point_at, requested_urls

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
    found = re.search(r'<script type="text/plain" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found.group(1))))
    return data


def all_texts(page: str) -> str:
    """The page, and what is packed in it."""
    return page + json.dumps(data_of(page))


class Elements(HTMLParser):
    """The elements of a page, and the texts in each kind of them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        tag = self.tags[-1] if self.tags else ""
        self.texts[tag] = self.texts.get(tag, "") + data


def hostile(folder: Path) -> Path:
    key = f"key{HOSTILE}"
    rows = [
        (TrialState.COMPLETE, 0.2, {key: HOSTILE, "x": 0.1}, ""),
        (TrialState.COMPLETE, 0.3, {key: "<b>other</b>", "x": 0.2}, ""),
        (TrialState.FAILED, None, {key: "'\"", "x": 0.3}, f"Traceback\n{HOSTILE}\nValueError: {HOSTILE}"),
    ]
    made(folder / HOSTILE_NAME, rows)
    for number in range(len(rows)):
        files = TrialFiles(folder / HOSTILE_NAME, f"trials/{number}")
        files.make_folder()
        files.output.write_text(f"{HOSTILE}\x1b]0;title\x07\n")
    record = {"command": HOSTILE, "search_space": {key: f"choice({HOSTILE})"}, "overrides": {"task": [], "hydra": []}}
    record |= {"config": {"x": HOSTILE, "hydra": {"sweeper": dict.fromkeys(["seed_key", "budget_key", "scheduler"])}}}
    record |= {"versions": {"<b>python</b>": HOSTILE}, "platform": {"cpu": HOSTILE}, "commit": HOSTILE}
    record["command"] = "python <b>main</b>.py"
    (folder / HOSTILE_NAME / "sweep.yaml").write_text(yaml.safe_dump(record))
    return folder / HOSTILE_NAME


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

    def until(self, condition: str) -> None:
        WebDriverWait(self.browser, 30).until(lambda _: self.run(f"return {condition}"))

    def update(self, content: dict[str, Any]) -> None:
        """Gives the page another content, and waits until it is drawn."""
        self.browser.execute_async_script("update_page(arguments[0]).then(arguments[1])", content)

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
            "return [...document.querySelectorAll('#table tbody tr')].map((row) => row.cells[i].textContent)"
        )
        return found

    def zoom(self, id: str) -> list[float]:
        """Drags a box in a plot; the range of its x axis after that."""
        x, y, width, height = self._box(id)
        before = self.run(f"return document.getElementById({id!r})._fullLayout.xaxis.range")
        corners = [(x + width * part, y + height * (part - 0.1)) for part in (0.4, 0.6, 0.7)]
        drag(self.browser, *corners)
        script = f"return document.getElementById({id!r})._fullLayout.xaxis.range"
        WebDriverWait(self.browser, 30).until(lambda _: self.run(script) != before)
        after: list[float] = self.run(script)
        return after

    def double_click(self, id: str) -> None:
        """A double click into the middle of a plot, between its points."""
        x, y, width, height = self._box(id)
        point_at(self.browser, x + width / 2, y + height / 2).double_click().perform()

    def _box(self, id: str) -> tuple[float, float, float, float]:
        """Brings a plot into the window: the corner at its left and top, its width and height, in pixels."""
        x, y, width, height = self.run(
            f"const place = document.getElementById({id!r}); place.scrollIntoView({{ block: 'center', behavior: "
            "'instant' }); const { x, y, width, height } = place.getBoundingClientRect(); return [x, y, width, height]"
        )
        return x, y, width, height

    def open_first_trial(self) -> dict[str, str]:
        """Opens the panel of the first trial in the table by its button; what it tells, by names."""
        self.browser.find_element(By.CSS_SELECTOR, "#table tbody button").send_keys(Keys.ENTER)
        pairs: list[list[str]] = self.run(
            "return [...panel.querySelectorAll('dt'), ...panel.querySelectorAll('tbody th')].map((name) => "
            "[name.textContent, name.nextElementSibling.textContent])"
        )
        return dict(pairs)

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


def words_of(command: str) -> list[str]:
    """What a shell makes of the command."""
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]
