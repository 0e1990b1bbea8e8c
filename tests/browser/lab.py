"""A JupyterLab of its own, and a notebook run in it, for tests and films."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@contextmanager
def jupyterlab(home: Path) -> Iterator[str]:
    """The address of a JupyterLab over a copy of the notebooks in an empty folder."""
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


def open_and_run(page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'"
    )
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
