"""What a page makes a browser say."""

import json
from typing import Any

from selenium import webdriver


def log_of(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    """The entries of one of the browser's logs since it was last asked for: "browser" or "performance"."""
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


def requested_urls(browser: webdriver.Chrome) -> list[str]:
    """What was requested since its log was last asked for, but for what the browser shows of its own."""
    events = [json.loads(entry["message"])["message"] for entry in log_of(browser, "performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith("chrome://")]
