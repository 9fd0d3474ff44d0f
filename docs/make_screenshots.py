"""Takes pictures of reports and of the dashboard, of real sweeps, on a laptop and on a phone, light and dark.

    python docs/make_screenshots.py [--into FOLDER] [--sweeps FOLDER]

The pictures that the documentation shows go to docs/. With --into all of them go there, too: the report of a random
sweep, of one with ASHA, of a conditional one with a model, of one of failures, of a made-up one of a thousand trials;
the dashboard's list, and a sweep that runs. The sweeps take some minutes; --sweeps keeps them, and takes those that are
there already. It takes Debian's packages chromium and chromium-driver.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "benchmarks"))
from report import make_sweep  # noqa: E402 (of benchmarks/, which is no package)

SMALL = ["data.train_fraction=0.2"]
SWEEPS: Mapping[str, Sequence[str]] = {
    "random": [*SMALL, "trainer.max_epochs=4", "data.batch_size=16,64,256", "hydra.sweeper.n_trials=32"],
    "asha": [
        *["optimizer.learning_rate=tag(log,interval(1e-5,10))", "optimizer=sgd,adam,rmsprop"],
        *["data.batch_size=16,64,256", "scheduler=asha", "hydra.sweeper.scheduler.eta=2", "trainer.max_epochs=8"],
        *[*SMALL, "hydra.sweeper.n_trials=120"],
    ],
    "conditional": [
        *["model=softmax,mlp", "optimizer=sgd,adam", "searcher=bayesian", "trainer.max_epochs=4"],
        *["data.train_fraction=0.1", "hydra.sweeper.n_trials=48"],
    ],
    "failed": [
        *["--config-dir", "shaky", "model=shaky", "model.width=choice(3,5,6,9,10,11)", "trainer.max_epochs=2"],
        *["data.train_fraction=0.02", "hydra.sweeper.max_failure_rate=1.0", "hydra.sweeper.n_trials=24"],
    ],
}
# A model that can't be built for any of those widths: 28 rows don't fall into so many parts.
SHAKY = {
    "shaky/model/shaky.yaml": "_target_: shaky_model.build\nwidth: 7\n",
    "shaky_model.py": """
import keras
from keras import layers


def build(input_shape, output_shape, width):
    parts = layers.Reshape((width, -1))
    return keras.Sequential([keras.Input(input_shape), parts, layers.Flatten(), layers.Dense(output_shape[0])])
""",
}
RUNNING = [*SWEEPS["asha"], "hydra.sweeper.seed=1"]
# The pictures that the documentation shows, by their widths, or what is seen without scrolling.
SHOWN = {"asha": ("1440", "390", "top"), "dashboard": ("top",), "dashboard-sweep": ("top",)}
SIZES = {1440: 900, 390: 844}
N_COLOURS = 256
HEIGHT_OF_TOP = 1075  # the summary and the best value


def main() -> None:
    """Runs the sweeps and takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, metavar="FOLDER")
    parser.add_argument("--sweeps", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, contextlib.closing(Pictures(arguments.into)) as pictures:
        folder = (arguments.sweeps or Path(temporary)).resolve()
        for name in SWEEPS:
            if arguments.into or name in SHOWN:
                pictures.take(name, run_sweep(folder / name, SWEEPS[name]).joinpath("report.html").as_uri())
        if arguments.into:
            pictures.take("thousand", make_thousand(Path(temporary) / "thousand").joinpath("report.html").as_uri())
        with dashboard(folder) as link, running_sweep(folder / "running"):
            pictures.take("dashboard", link)
            pictures.take("dashboard-sweep", f"{link}sweep?id=running")


def command_of(folder: Path, overrides: Sequence[str]) -> list[str]:
    """The command of a sweep in this folder."""
    return [sys.executable, "-m", "hposweep", "--multirun", *overrides, f"hydra.sweep.dir={folder}"]


def run_sweep(folder: Path, overrides: Sequence[str]) -> Path:
    """A real sweep, unless it is there; its folder."""
    if not (folder / "report.html").is_file():
        for name, content in SHAKY.items():
            (folder.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (folder.parent / name).write_text(content)
        # One of failures ends with another exit code.
        environment = {**os.environ, "PYTHONPATH": f"{folder.parent}{os.pathsep}{DOCS.parent}"}
        subprocess.run(command_of(folder, overrides), cwd=folder.parent, env=environment, check=False)
    return folder


def make_thousand(folder: Path) -> Path:
    """A made-up sweep of a thousand trials; its folder."""
    folder.mkdir()
    make_sweep(folder, 1000, 50)
    subprocess.run([sys.executable, "-m", "hposweep", "report", str(folder)], check=True)
    return folder


@contextlib.contextmanager
def running_sweep(folder: Path) -> Iterator[None]:
    """A sweep that runs meanwhile, half-way."""
    shutil.rmtree(folder, ignore_errors=True)
    process = subprocess.Popen(command_of(folder, RUNNING), cwd=folder.parent)
    while not (folder / "trials.csv").is_file() or len((folder / "trials.csv").read_text().splitlines()) < 40:
        time.sleep(0.5)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


@contextlib.contextmanager
def dashboard(folder: Path) -> Iterator[str]:
    """The link of a dashboard of this folder."""
    command = [sys.executable, "-u", "-m", "hposweep", "dashboard", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


class Pictures:
    """Takes pictures of pages in Chromium without a window."""

    def __init__(self, into: Path | None) -> None:
        self._into = into
        options = webdriver.ChromeOptions()
        for word in ("--headless=new", "--no-sandbox", "--enable-unsafe-swiftshader", "--hide-scrollbars"):
            options.add_argument(word)
        self._browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))

    def close(self) -> None:
        self._browser.quit()

    def take(self, name: str, url: str) -> None:
        """The whole page and its top, light and dark, wide and narrow."""
        for scheme in ("light", "dark"):
            for width in SIZES:
                picture = self.taken(url, scheme, width)
                self._save(picture, name, scheme, str(width))
                if width == 1440:
                    self._save(picture.crop((0, 0, width, min(HEIGHT_OF_TOP, picture.height))), name, scheme, "top")

    def _save(self, picture: Image.Image, name: str, scheme: str, kind: str) -> None:
        stem = "report" if name == "asha" else name
        for folder in (self._into, DOCS if kind in SHOWN.get(name, ()) else None):
            if folder is not None:
                folder.mkdir(exist_ok=True)
                picture.save(folder / f"{stem}-{scheme}-{kind}.png", optimize=True)

    def taken(self, url: str, scheme: str, width: int) -> Image.Image:
        """A picture of the whole page, in few colours, which halves the file."""
        browser = self._browser
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        size = {"width": width, "height": SIZES[width], "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(url)
        WebDriverWait(browser, 60).until(
            lambda each: each.execute_script("return document.documentElement.dataset.ready")  # type: ignore[no-any-return]
        )
        height = browser.execute_script("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        picture = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
        # The median cut alone merges rare colours, which are those of the lines.
        return picture.quantize(N_COLOURS, kmeans=1, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
