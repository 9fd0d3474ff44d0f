"""A sweep by hand that holds whatever a sweep can hold, for what shows sweeps elsewhere; a browser for pages."""

import dataclasses
import datetime
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from hposweep.history import Event, SegmentEnded, SegmentStarted, SweepStarted, TrialProposed, values_of
from hposweep.search_space import Configuration, as_hyperparameter
from hposweep.sweep_folder.journal import Journal
from hposweep.sweep_folder.learning_curve import CurveWriter
from hposweep.sweep_folder.trial_files import TrialFiles
from hposweep.trial import Direction, TrialState

LONG = "y" * 12_000
ODD: list[Any] = [[1, "two"], {"a": 1}, None, True, 1, 1.0, "1", "[1, two]", math.inf]
TEXTS = ["it's", 'two\n"lines"', LONG, "Grüße <b>"]
SEARCH_SPACE: dict[str, Any] = {
    "optimizer.rate": "loguniform(1e-4, 1)",
    "units": "int(loguniform(32, 1024))",
    "layers": "randint(1, 4)",
    "noise": "norm(0, 1)",
    "decay": "gamma(2, scale=0.01)",
    "batch": {"choice": [16, 32]},
    "half": {"choice": [0.5, 1]},
    "flag": {"choice": [True, False]},
    "odd": {"choice": ODD},
    "text": {"choice": TEXTS},
    "constant": 0.9,
    "name": "a name",
}
# As they were written on Hydra's command line.
HYDRA_SWEEPS = {"low": "tag(log,interval(1e-3,1))", "depth": "int(interval(1, 8))"}


def configuration(number: int) -> Configuration:
    found = {
        "optimizer.rate": 10.0 ** -(number % 4),
        "units": 32 + number,
        "layers": 1 + number % 3,
        "noise": number - 3.25,
        "decay": 0.01 * number,
        "batch": (16, 32)[number % 2],
        "half": (0.5, 1)[number % 2],
        "flag": number % 2 == 0,
        "odd": ODD[number % len(ODD)],
        "text": TEXTS[number % len(TEXTS)],
        "constant": 0.9,
        "name": "a name",
        "low": 0.001 * (number + 1),
        "depth": 1 + number % 8,
    }
    return found | ({"+unrecorded": number / 2} if number > 2 else {})


Row = tuple[TrialState, int | None, float | None, str, str]  # the state, epoch, value, failure, and the folder
ROWS: list[Row] = [
    (TrialState.COMPLETE, 3, 0.25, "", "trials/0"),
    (TrialState.DIVERGED, 2, math.nan, "", "trials/1"),
    (TrialState.FAILED, None, None, 'Traceback\n  here\nValueError: "no"\n', "trials/2"),
    (TrialState.TIMED_OUT, None, None, "too long", "trials/3"),
    (TrialState.PAUSED, 1, 0.5, "", ""),
    (TrialState.STOPPED, 3, 0.125, "", ""),
    (TrialState.INTERRUPTED, 1, 0.75, "cut off", "trials/6"),
    (TrialState.COMPLETE, None, 1 / 3, "", "trials/7"),  # of an objective that reports no epochs
    (TrialState.DIVERGED, None, -math.inf, "", "trials/8"),
    (TrialState.RUNNING, None, None, "", ""),
]
CURVES = {0: [0.7, 1 / 3, 0.25], 1: [0.9, math.nan], 3: [math.inf], 6: [0.75, 0.7]}


def at(second: float, event: Event) -> Event:
    moment = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=second)
    return dataclasses.replace(event, time=moment.isoformat(timespec="milliseconds"))


def make(folder: Path, direction: Direction) -> Path:
    (folder / "trials").mkdir(parents=True)
    recorded = {key: str(as_hyperparameter(node)) for key, node in SEARCH_SPACE.items()} | HYDRA_SWEEPS
    (folder / "sweep.yaml").write_text(yaml.safe_dump({"seed": 7, "search_space": recorded}))
    journal = Journal.open(folder)
    journal.append(at(0, SweepStarted(len(ROWS), 7, "error", direction, controller="a test")))
    for number, (state, epoch, value, failure, subdir) in enumerate(ROWS):
        begin = 10.0 * number
        journal.append(at(begin, TrialProposed(number, configuration(number), 100 + number)))
        journal.append(at(begin + 1, SegmentStarted(number, 0, 1, 1 + number % 2)))
        if state is TrialState.STOPPED:  # it has been at a rung
            journal.append(at(begin + 2, SegmentEnded(number, TrialState.PAUSED, 1, {"error": 0.5}, 1.0)))
            journal.append(at(begin + 3, SegmentStarted(number, 1, 3, 1)))
        if state is not TrialState.RUNNING:
            journal.append(
                at(begin + 5, SegmentEnded(number, state, epoch, values_of("error", value), 1.5, failure, subdir))
            )
    journal.close()
    for number, errors in CURVES.items():
        files = TrialFiles(folder, f"trials/{number}")
        files.make_folder()
        curve = CurveWriter(files.learning_curve)
        for epoch, error in enumerate(errors, start=1):
            curve.write({"epoch": epoch, "train loss": 2.0 / epoch, "error": error, "seconds": 0.5})
    return folder


@pytest.fixture
def odd_sweep(tmp_path: Path) -> Callable[[Direction], Path]:
    """Makes the folder of a sweep with each state, and with values of each kind."""
    return lambda direction: make(tmp_path / "sweep it's", direction)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium without a window, that logs what pages complain of and ask for."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for word in ("--headless=new", "--no-sandbox", "--enable-unsafe-swiftshader", f"--user-data-dir={profile}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(driver))
    yield found
    found.quit()
