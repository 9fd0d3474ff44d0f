"""Draws docs/report-{light,dark}-{1440,390,top}.png: the report of a real sweep, on a laptop and on a phone.

python docs/make_report_screenshots.py [FOLDER]

Without the folder of a sweep it runs one, for a minute or two. The pictures take Debian's packages chromium and
chromium-driver.
"""

import base64
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

DOCS = Path(__file__).resolve().parent
SWEEP = [
    "optimizer.learning_rate=tag(log,interval(1e-5,10))",
    "optimizer=sgd,adam,rmsprop",
    "data.batch_size=16,64,256",
]
SWEEP += ["scheduler=asha", "hydra.sweeper.scheduler.eta=2", "trainer.max_epochs=8", "data.train_fraction=0.2"]
SWEEP += ["hydra.sweeper.n_trials=160"]
N_COLOURS = 128
HEIGHT_OF_TOP = 1075  # the summary and the best value
# A short table, one row of it opened.
SHORT_TABLE = """
const filter = document.getElementById("filter");
filter.value = "COMPLETE";
filter.dispatchEvent(new Event("input"));
document.querySelectorAll("#table thead button")[2].click();
document.querySelector("#table tbody button").click();
document.activeElement.blur();
scrollTo(0, 0);
"""


def main() -> None:
    """Runs the sweep and takes the pictures of its report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else run_sweep(Path(name))
        browser = open_browser()
        try:
            for scheme in ("light", "dark"):
                for width in (1440, 390):
                    picture = screenshot(browser, folder / "report.html", scheme, width)
                    picture.save(DOCS / f"report-{scheme}-{width}.png", optimize=True)
                    if width == 1440:
                        top = picture.crop((0, 0, width, HEIGHT_OF_TOP))
                        top.save(DOCS / f"report-{scheme}-top.png", optimize=True)
        finally:
            browser.quit()


def run_sweep(folder: Path) -> Path:
    """A real sweep; the folder that it leaves."""
    command = [sys.executable, "-m", "hposweep", "--multirun", *SWEEP, "hydra.sweep.dir=outputs/softmax-asha"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "outputs" / "softmax-asha"


def open_browser() -> webdriver.Chrome:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--enable-unsafe-swiftshader", "--hide-scrollbars"):
        options.add_argument(word)
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def screenshot(browser: webdriver.Chrome, page: Path, scheme: str, width: int) -> Image.Image:
    """The whole page, in few colours, which halves the file."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    WebDriverWait(browser, 60).until(
        lambda each: each.execute_script("return document.documentElement.dataset.ready")  # type: ignore[no-any-return]
    )
    browser.execute_script(SHORT_TABLE)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    picture = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
    return picture.quantize(N_COLOURS, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
