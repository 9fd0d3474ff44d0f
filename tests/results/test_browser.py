"""What the tests' own look at a browser counts."""

from pathlib import Path

import pytest
from selenium import webdriver

from support.browser import log_of, requested_urls
from support.processes import wait_for

pytestmark = pytest.mark.process


def test_only_the_requests_of_pages_count(browser: webdriver.Chrome, tmp_path: Path) -> None:
    requested_urls(browser)
    browser.get("chrome://new-tab-page")
    wait_for(lambda: "chrome-untrusted://" in str(log_of(browser, "performance")))
    browser.get("chrome://new-tab-page")
    assert requested_urls(browser) == []
    page = tmp_path / "page.html"
    page.write_text('<img src="http://127.0.0.1:1/picture.png">')
    browser.get(page.as_uri())
    assert requested_urls(browser) == [page.as_uri(), "http://127.0.0.1:1/picture.png"]
    browser.get("about:blank")
    log_of(browser, "browser")
    requested_urls(browser)
