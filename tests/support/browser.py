"""What a page makes a browser say."""

from typing import Any

from selenium import webdriver


def log_of(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    """The entries of one of the browser's logs since it was last asked for: "browser" or "performance"."""
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries
