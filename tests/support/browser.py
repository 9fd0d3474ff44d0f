"""What a page makes a browser say."""

import json
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

# Scripts that find too weak texts and marks of plots.
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
# Numbers what the keyboard has to reach, and returns the numbers of what is seen.
NUMBER_THEM = """
const found = [...document.querySelectorAll("a[href], button:enabled, input, summary, [tabindex='0']")];
found.forEach((each, i) => { each.dataset.number = i; });
return found.filter((each) => each.checkVisibility()).map((each) => each.dataset.number);
"""
FOCUSED = """
const each = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(each);
return [each.dataset.number ?? each.localName, outlineStyle !== "none" && parseFloat(outlineWidth) >= 2];
"""


def log_of(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    """The entries of one of the browser's logs since it was last asked for: "browser" or "performance"."""
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


def requested_urls(browser: webdriver.Chrome) -> list[str]:
    """What pages requested since its log was last asked for, but for those of the browser itself, as of a new tab."""
    events = [json.loads(entry["message"])["message"] for entry in log_of(browser, "performance")]
    requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [each["request"]["url"] for each in requests if not each["documentURL"].startswith("chrome")]


def point_at(browser: webdriver.Chrome, x: float, y: float) -> ActionChains:
    """Actions that begin with the pointer at this place of the window, in pixels."""
    actions = ActionChains(browser, duration=0)
    actions.w3c_actions.pointer_action.move_to_location(int(x), int(y))  # type: ignore[no-untyped-call]
    return actions


def drag(browser: webdriver.Chrome, *places: tuple[float, float]) -> None:
    """Drags the pointer from the first of these places of the window over the others, in pixels."""
    actions = ActionChains(browser, duration=50)
    pointer = actions.w3c_actions.pointer_action
    for number, (x, y) in enumerate(places):
        pointer.move_to_location(int(x), int(y))  # type: ignore[no-untyped-call]
        if number == 0:
            pointer.pointer_down()  # type: ignore[no-untyped-call]
    pointer.pointer_up()  # type: ignore[no-untyped-call]
    actions.perform()


def walk(browser: webdriver.Chrome, n_steps: int) -> list[Any]:
    """Presses Tab so often; each time the number of what has the focus, and whether that is seen."""
    found = []
    for _ in range(n_steps):
        ActionChains(browser, duration=0).send_keys(Keys.TAB).perform()
        found.append(browser.execute_script(FOCUSED))
    return found
