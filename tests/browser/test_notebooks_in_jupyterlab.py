"""Every notebook in a real JupyterLab: all cells run, and each control moves its figure.

SCREENSHOTS=FOLDER keeps a picture of every explorer with each control at each of its ends.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from lab import NOTEBOOKS, jupyterlab, open_and_run
from playwright.sync_api import TimeoutError as TooLate


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[str]:
    with jupyterlab(tmp_path_factory.mktemp("lab")) as address:
        yield address


@pytest.fixture
def page(browser) -> Iterator:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(60_000)
    yield page
    page.close()


# what went wrong, by the page's own model of the notebook
ERRORS = """() => {
    const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
    const errors = [];
    for (let i = 0; i < cells.length; i++) {
        const cell = cells.get(i);
        if (cell.type !== "code") continue;
        if (cell.executionCount === null) errors.push(`cell ${i} did not run`);
        for (let k = 0; k < cell.outputs.length; k++) {
            const output = cell.outputs.get(k).toJSON();
            if (output.output_type === "error") {
                errors.push(`cell ${i}: ${output.ename}: ${output.evalue}`);
            }
        }
    }
    return errors;
}"""


# what an explorer shows: its pictures, and else its text
SHOWN = (
    """node => [...node.querySelectorAll("img")].map(image => image.src).join() || node.innerText"""
)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_all_cells_run_and_every_control_moves_its_figure(lab, page, path):
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    open_and_run(page, f"{lab}/lab/tree/{path.name}?reset")
    assert page.evaluate(ERRORS) == []

    cells = nbformat.read(path, as_version=4).cells
    expected = sum(bool(re.search(r"\bexplore\w*\(", cell.source)) for cell in cells)
    explorers = page.locator(".jp-OutputArea-output:has(> .jupyter-widgets .widget-slider)")
    assert explorers.count() == expected > 0
    for i in range(expected):
        drive(page, explorers.nth(i), f"{path.stem}-{i}")
    assert page.evaluate(ERRORS) == []
    assert problems == []


def drive(page, explorer, name: str) -> None:
    """Each slider to both of its ends by keyboard, and each list to its last entry."""
    explorer.scroll_into_view_if_needed()
    for k, handle in enumerate(explorer.locator(".noUi-handle").all()):
        moves = []
        for key in ("Home", "End"):
            before = explorer.evaluate(SHOWN)
            handle.press(key)
            moves.append(changes(page, explorer, before))
            keep(explorer, f"{name}-{k}-{key}")
        # at one end all may be as it was, and not at both
        assert any(moves), f"slider {k} moves nothing"
    for k, entries in enumerate(explorer.locator("select").all()):
        before = explorer.evaluate(SHOWN)
        entries.select_option(index=entries.locator("option").count() - 1)
        assert changes(page, explorer, before), f"list {k} changes nothing"
        keep(explorer, f"{name}-list-{k}")
    assert "Traceback" not in explorer.inner_text()


def changes(page, explorer, before: str) -> bool:
    """Whether the explorer comes to show something else within some seconds."""
    try:
        page.wait_for_function(
            f"([node, before]) => ({SHOWN})(node) !== before",
            arg=[explorer.element_handle(), before],
            timeout=6000,
        )
    except TooLate:
        return False
    return True


def keep(explorer, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        explorer.screenshot(path=f"{folder}/{name}.png")
