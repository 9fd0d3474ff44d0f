"""The page of a comparison: what it says, that it shows foreign text as text, and that it works in a browser."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from hposweep.results.comparison.comparison import compare
from hposweep.results.figures import incumbents
from hposweep.results.html import comparison_page
from hposweep.schedulers.asha import AshaScheduler
from hposweep.schedulers.fifo import FifoScheduler
from hposweep.simulation import AugmentedBranin, simulate
from support.browser import CONTRAST, log_of, requested_urls
from support.report_pages import Elements, data_of

HOSTILE = """</script><script>owned = 1</script><img src=x onerror="owned = 1"> ' " &amp; %{x}"""
SCRIPT = "<script>owned=1</script>"
NAME = f"eta=3 k<b>={SCRIPT} …"
IDS = ["incumbents-epochs", "incumbents-seconds"]


def swept(folder: Path, eta: int, seed: int, **config: Any) -> Path:
    """A simulated sweep with a small record."""
    simulate(AugmentedBranin(), AshaScheduler(r_max=81, eta=eta), n_trials=150, n_workers=4, seed=seed, folder=folder)
    record = {"command": "python main.py", "overrides": {"task": [], "hydra": []}, "config": {"eta": eta, **config}}
    record["search_space"] = {"x1": "uniform(-5, 15)"}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(record))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three sweeps of each of two methods, and one of a third whose texts are scripts."""
    root = tmp_path_factory.mktemp("swept")
    found = [swept(root / f"eta-{eta}-{seed}", eta, seed) for eta in (3, 9) for seed in (1, 2, 3)]
    return [*found, swept(root / HOSTILE.replace("/", ""), 3, 1, **{"k<b>": SCRIPT, "long": HOSTILE})]


def test_each_method_has_a_look_of_its_own_without_colour(folders: list[Path]) -> None:
    made = data_of(comparison_page.render(compare(folders)))["figures"]
    assert list(made) == IDS
    for figure in made.values():
        lines = [trace for trace in figure["data"] if trace.get("showlegend", True)]
        assert len(lines) == 3
        assert len({trace["line"]["dash"] for trace in lines}) == 3
        assert len({trace["marker"]["symbol"] for trace in lines}) == 3
        # Two bands of two sides: the third method has one sweep.
        assert len(figure["data"]) == 3 + 2 * 2
    of_many = {(i % len(incumbents.METHOD_DASHES), i % len(incumbents.METHOD_SYMBOLS)) for i in range(30)}
    assert len(of_many) == 30


def test_foreign_text_is_text_in_the_page(folders: list[Path]) -> None:
    page = comparison_page.render(compare(folders))
    elements = Elements(page)
    assert elements.tags.count("script") == 3
    assert "img" not in elements.tags
    assert "b" not in elements.tags[: elements.tags.index("main")]
    for figure in data_of(page)["figures"].values():
        assert "<script" not in json.dumps(figure)
        assert "<img" not in json.dumps(figure)


def test_the_page_says_what_the_table_says(folders: list[Path], tmp_path: Path) -> None:
    (folders[0] / "sweep.yaml").touch()
    comparison = compare(folders[:6])
    comparison_page.write(comparison, tmp_path / "compare.html")
    elements = Elements((tmp_path / "compare.html").read_text())
    assert "6 sweeps of 2 methods." in elements.texts["p"]
    epochs = f"{int(comparison.equal_effort):,}"
    assert f"At {epochs} epochs, the most that every sweep has used, " in elements.texts["p"]
    assert elements.texts["h1"].startswith("eta=3")
    assert "eta=9" in elements.texts["th"]
    assert "eta" in elements.texts["th"]


def test_without_epochs_or_complete_trials_there_is_a_page(tmp_path: Path) -> None:
    simulate(AugmentedBranin(), FifoScheduler(), n_trials=5, folder=tmp_path / "fifo")
    simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=5, folder=tmp_path / "asha")
    made = data_of(comparison_page.render(compare([tmp_path / "fifo", tmp_path / "asha"])))["figures"]
    assert list(made) == ["incumbents-trials", "incumbents-seconds"]
    simulate(AugmentedBranin(), AshaScheduler(r_max=81), n_trials=4, folder=tmp_path / "other")
    page = comparison_page.render(compare([tmp_path / "other", tmp_path / "asha"]))
    assert data_of(page)["figures"] == {}
    assert "No method has a complete trial yet." in page
    assert "Warning:" in page


def test_the_page_works_in_a_browser(browser: webdriver.Chrome, folders: list[Path], tmp_path: Path) -> None:
    comparison_page.write(compare(folders), tmp_path / "compare.html")

    def emulate(scheme: str, width: int) -> None:
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def run(script: str) -> Any:
        return browser.execute_script(script)

    for kind in ("browser", "performance"):
        log_of(browser, kind)
    emulate("light", 1280)
    browser.get((tmp_path / "compare.html").as_uri())
    WebDriverWait(browser, 120).until(lambda _: run("return document.documentElement.dataset.ready"))
    drawn = "return Object.keys(page.figures).filter((id) => document.querySelector(`#${id} .main-svg`))"
    assert run(drawn) == IDS
    assert run("return typeof owned") == "undefined"
    assert run("return document.images.length") == 0
    assert run("return document.querySelector('h1').textContent").endswith(f" | {NAME}")
    assert NAME in run("return document.querySelector('#incumbents-epochs .legend').textContent")
    cells = run("return [...document.querySelectorAll('#differences td')].map((cell) => cell.textContent)")
    assert HOSTILE in cells
    weak = f"{CONTRAST}; return [too_weak_texts(), too_weak_marks()]"
    assert run(weak) == [[], []]

    emulate("dark", 390)
    WebDriverWait(browser, 60).until(
        lambda _: run(f"return document.getElementById('{IDS[-1]}')._fullLayout.font.color") == "#e4e8ed"
    )
    assert run("return document.documentElement.scrollWidth") <= 390
    assert run(weak) == [[], []]
    # The tables go on to the right, which is told.
    assert run("return document.querySelector('#methods .edges').classList.contains('more-right')")
    assert [entry["message"] for entry in log_of(browser, "browser") if entry["level"] == "SEVERE"] == []
    assert {url.partition(":")[0] for url in requested_urls(browser)} <= {"file", "data", "blob"}
