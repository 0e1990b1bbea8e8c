"""Every notebook in a real JupyterLab: all cells run, and each control moves its figure.

SCREENSHOTS=FOLDER keeps a picture of every explorer with each control at each of its ends.
BROWSER=PATH names the browser, where it is none of those that are looked for.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Error, sync_playwright
from playwright.sync_api import TimeoutError as TooLate

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = """

There is no browser to test with. Install one of these, or name yours in BROWSER:
    Debian, Ubuntu:  apt install chromium
    anywhere:        {python} -m playwright install --with-deps chromium

What was tried: {error}
"""


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[str]:
    """The address of a JupyterLab over a copy of the notebooks. What it writes is thrown away."""
    home = tmp_path_factory.mktemp("lab")
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        shutil.copy(notebook, home)
    # every cell is drawn, not only those in view
    write_setting(home, "notebook-extension/tracker", '{"windowingMode": "none"}')
    write_setting(home, "apputils-extension/notification", '{"fetchNews": "false"}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    environment = os.environ | {name: str(home / folder) for name, folder in folders.items()}
    environment.pop("MPLBACKEND", None)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    command += [f"--ServerApp.root_dir={home}", "--LabApp.expose_app_in_browser=True"]
    # the notebooks need no pairing here, and a changed script would be in the way
    command += ["--ServerApp.jpserver_extensions={'jupyterlab_jupytext': False}"]
    with open(home / "server.log", "w") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api", server, home / "server.log")
        yield address
    finally:
        server.terminate()
        server.wait(30)


def write_setting(home: Path, name: str, content: str) -> None:
    path = home / f"settings/@jupyterlab/{name}.jupyterlab-settings"
    path.parent.mkdir(parents=True)
    path.write_text(content)


def wait_for(address: str, server: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5)
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def browser() -> Iterator:
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
    expected = sum(bool(re.search(r"\b(interact|explore\w*)\(", cell.source)) for cell in cells)
    explorers = page.locator(".jp-OutputArea-output:has(> .jupyter-widgets .widget-slider)")
    assert explorers.count() == expected > 0
    for i in range(expected):
        drive(page, explorers.nth(i), f"{path.stem}-{i}")
    assert page.evaluate(ERRORS) == []
    assert problems == []


def open_and_run(page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'"
    )
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")


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
