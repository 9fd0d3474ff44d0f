"""What the dashboard costs: seconds until a page is there, and what a sweep beside it takes longer.

    python benchmarks/dashboard.py [--json FILE] [--pairs 5]

Pages: in headless Chromium, of 20 copies of a made-up sweep of 1,000 trials (by `benchmarks/report.py`). The list is
opened as soon as the dashboard has printed its link. Each sweep that is opened was not opened before: its learning
curves are read, its plots made and drawn. A page is there when its table and its first plot are, and drawn when all
plots are.

A real sweep, alone and with a dashboard whose page asks for news every 2 seconds, in turns: seconds from its first
trial's start to the last one's end, by its journal.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report import make_sweep
from rich.console import Console
from rich.table import Table
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from hposweep.history import SegmentEnded, SegmentStarted
from hposweep.sweep_folder.journal import read_events

N_SWEEPS, N_TRIALS, N_EPOCHS = 20, 1000, 50
N_OPENED = 5
SECONDS_BETWEEN_LOOKS = 2.0
WORDS = [
    *("model=mlp", "data.train_fraction=0.2", "trainer.max_epochs=5", "hydra.sweeper.n_trials=12"),
    "hydra.sweeper.progress=none",
]
LIST_IS_THERE = f"return document.querySelectorAll('#sweeps tbody tr[data-id]').length === {N_SWEEPS}"
PAGE_IS_THERE = "return document.querySelector('#table tbody tr') && document.querySelector('.figure')?.data"
PAGE_IS_DRAWN = "return document.documentElement.dataset.ready"


@contextlib.contextmanager
def dashboard(folder: Path) -> Iterator[str]:
    """A running dashboard of the folder: its link."""
    words = [sys.executable, "-m", "hposweep", "dashboard", str(folder)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found is not None
    try:
        yield found[0]
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[webdriver.Chrome]:
    """A browser without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for word in ("--headless=new", "--no-sandbox", "--enable-unsafe-swiftshader", f"--user-data-dir={folder}"):
        options.add_argument(word)
    found = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    found.get("about:blank")
    yield found
    found.quit()


def seconds_until(browser: webdriver.Chrome, started: float, script: str) -> float:
    """Seconds from then until the script gives something."""
    while not browser.execute_script(script):
        time.sleep(0.01)
    return time.monotonic() - started


def pages(folder: Path) -> dict[str, Any]:
    """Seconds until pages of made-up sweeps are there."""
    make_sweep(folder / "outputs" / "sweep-0", N_TRIALS, N_EPOCHS)
    for number in range(1, N_SWEEPS):
        shutil.copytree(folder / "outputs" / "sweep-0", folder / "outputs" / f"sweep-{number}")
    with chromium(folder / "profile") as browser, dashboard(folder / "outputs") as link:
        started = time.monotonic()
        browser.get(link)
        listed = [seconds_until(browser, started, LIST_IS_THERE)]
        started = time.monotonic()
        browser.get(link)
        listed.append(seconds_until(browser, started, LIST_IS_THERE))
        there, drawn = [], []
        for number in range(N_OPENED):
            started = time.monotonic()
            browser.get(f"{link}sweep?id=sweep-{number}")
            there.append(seconds_until(browser, started, PAGE_IS_THERE))
            drawn.append(seconds_until(browser, started, PAGE_IS_DRAWN))
    return {
        "n_sweeps": N_SWEEPS,
        "n_trials": N_TRIALS,
        "list_first_s": listed[0],
        "list_again_s": listed[1],
        "sweep_there_s": there,
        "sweep_drawn_s": drawn,
    }


def look_on(link: str, stop: threading.Event) -> None:
    """Asks for a sweep's page as a browser does."""
    version = ""
    while not stop.wait(SECONDS_BETWEEN_LOOKS):
        request = urllib.request.Request(f"{link}api/sweep?id=.", headers={"If-None-Match": version})
        try:
            with urllib.request.urlopen(request) as answer:
                version = answer.headers["ETag"]
                answer.read()
        except urllib.error.HTTPError as error:
            assert error.code in (304, 404), error  # nothing new, or the sweep has not begun


def sweep_s(folder: Path, *, watched: bool) -> float:
    """Seconds of a real sweep."""
    folder.mkdir(parents=True)
    words = [sys.executable, "-m", "hposweep", "--multirun", *WORDS, f"hydra.sweep.dir={folder}"]
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        if watched:
            link = stack.enter_context(dashboard(folder))
            looker = threading.Thread(target=look_on, args=[link, stop])
            looker.start()
            stack.callback(looker.join)
            stack.callback(stop.set)
        subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    times = [
        datetime.datetime.fromisoformat(event.time)
        for event in read_events(folder)
        if isinstance(event, SegmentStarted | SegmentEnded)
    ]
    return (times[-1] - times[0]).total_seconds()


def beside_a_sweep(folder: Path, n_pairs: int) -> dict[str, Any]:
    """Seconds of the sweep alone and with a dashboard, pair by pair, each first in turn."""
    sweep_s(folder / "warm", watched=False)  # compiles
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for pair in range(n_pairs):
        for watched in (False, True) if pair % 2 == 0 else (True, False):
            seconds[watched].append(sweep_s(folder / f"{pair}-{watched}", watched=watched))
    ratios = [with_one / alone for alone, with_one in zip(seconds[False], seconds[True], strict=True)]
    return {
        "alone_s": seconds[False],
        "watched_s": seconds[True],
        "ratio": statistics.median(ratios),
        "least_ratio": min(ratios),
        "largest_ratio": max(ratios),
    }


def main() -> None:
    """Measures, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--pairs", type=int, default=5, help="sweeps alone and with a dashboard; 0: none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {"n_cpus": os.cpu_count(), "pages": pages(folder)}
        if arguments.pairs:
            found["sweep"] = beside_a_sweep(folder / "real", arguments.pairs)
    arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    of_pages = found["pages"]
    table = Table("what", "seconds")
    table.add_row(f"list of {N_SWEEPS} sweeps of {N_TRIALS:,} trials, at first", f"{of_pages['list_first_s']:.2f}")
    table.add_row("the same again", f"{of_pages['list_again_s']:.2f}")
    for state in ("there", "drawn"):
        each = of_pages[f"sweep_{state}_s"]
        table.add_row(f"a sweep, {state}", f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})")
    if "sweep" in found:
        of_sweep = found["sweep"]
        table.add_row("a real sweep alone", f"{statistics.median(of_sweep['alone_s']):.2f}")
        table.add_row("with a dashboard", f"{statistics.median(of_sweep['watched_s']):.2f}")
        spread = f"{of_sweep['ratio']:.3f} ({of_sweep['least_ratio']:.3f} to {of_sweep['largest_ratio']:.3f})"
        table.add_row("ratio of the pairs", spread)
    Console().print(table)


if __name__ == "__main__":
    main()
