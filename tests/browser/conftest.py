"""One browser for all tests here.

BROWSER=PATH names it, where it is none of those that are looked for.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = """

There is no browser to test with. Install one of these, or name yours in BROWSER:
    Debian, Ubuntu:  apt install chromium
    anywhere:        {python} -m playwright install --with-deps chromium

What was tried: {error}
"""


@contextmanager
def open_browser() -> Iterator[Browser]:
    named = os.environ.get("BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=named,
                args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
            )
        except Error as error:
            first_line = str(error).splitlines()[0]
            pytest.exit(MISSING.format(python=sys.executable, error=first_line), returncode=1)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser
