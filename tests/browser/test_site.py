"""Every page of the site, as `make docs` left it: nothing is missing, and it fits a phone.

SCREENSHOTS=FOLDER keeps a picture of each page's beginning, wide and narrow, light and dark.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"
PAGES = sorted(
    page for folder in (".", "docs", "notebooks") for page in (SITE / folder).glob("*.html")
)
SOURCES = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "notebooks").glob("*.ipynb"))]
# a side bar goes just below the middle ones
SCREENS = {"desktop": 1400, "laptop": 1320, "tablet": 1080, "phone": 390}

FAULTS = """() => {
    const faults = [];
    if (document.documentElement.scrollWidth > window.innerWidth) {
        faults.push(`the page is ${document.documentElement.scrollWidth} pixels wide`);
    }
    for (const image of document.querySelectorAll("article img")) {
        image.loading = "eager";
        if (!image.complete || image.naturalWidth === 0) faults.push(`no image: ${image.src}`);
        // where there is none, Sphinx takes the file's name
        if (image.alt.length < 10 || image.src.endsWith(image.alt.replace("../", ""))) {
            faults.push(`no description: ${image.src}`);
        }
    }
    for (const box of document.querySelectorAll("article math")) {
        if (box.getBoundingClientRect().height < 10) faults.push("an empty formula");
    }
    return faults;
}"""


def test_the_site_was_made():
    names = {page.relative_to(SITE).as_posix() for page in PAGES}
    assert {"README.html", "docs/api.html", "notebooks/04_anchors.html"} <= names, "make docs first"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_is_whole_and_no_wider_than_a_screen(browser, path, scheme):
    page = browser.new_page(color_scheme=scheme)
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(f"missing: {request.url}"))
    page.on("request", lambda request: problems.extend(outside(request.url)))
    page.goto(path.as_uri())
    page.wait_for_load_state("networkidle")
    for screen, width in SCREENS.items():
        page.set_viewport_size({"width": width, "height": 900})
        assert problems + page.evaluate(FAULTS) == [], screen
        if folder := os.environ.get("SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{folder}/{path.stem}-{scheme}-{screen}.png")
    page.close()


def outside(url: str) -> list[str]:
    """The site needs no network: what it asks of one is a problem."""
    return [] if url.startswith(("file:", "data:")) else [f"asked for {url}"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_formula_is_on_its_page(browser, path):
    page = browser.new_page()
    page.goto((SITE / path.relative_to(ROOT)).with_suffix(".html").as_uri())
    written = path.read_text(encoding="utf-8").count("$$") // 2
    assert page.locator("article math").count() == written
    page.close()


def test_the_search_finds_a_page(browser):
    page = browser.new_page()
    page.goto((SITE / "README.html").as_uri())
    page.locator(".sidebar-search").fill("smooth L1")
    page.locator(".sidebar-search").press("Enter")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").all_inner_texts()
    assert any("focal loss" in title for title in found), found
    page.close()
