"""Run the scripts of the notebooks, and store each as a notebook with its outputs.

python notebooks/rebuild.py                 all of them
python notebooks/rebuild.py 02 04           those whose names start so

The same script gives the same file, cell ids included, so that a diff shows what changed.
"""

import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).parent
EXPLORER = "nbval-ignore-output"
SETUP = "import alt_text; alt_text.store_with_figures()"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


class Client(NotebookClient):
    def handle_comm_msg(self, outs, msg, cell_index):
        """A widget's messages wait for a browser to answer; there is none."""


def rebuild(script: Path) -> Path:
    notebook = jupytext.read(script)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = f"{digest}-{seen[digest]}"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SETUP))
    client = Client(
        notebook,
        timeout=1200,
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": HERE}},
    )
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index, store_history=index > 0)
    del notebook.cells[0]
    for cell in notebook.cells:
        if EXPLORER in cell.metadata.get("tags", []):
            cell.outputs = []  # sliders need a kernel; the cell after it shows the same figure
    # kernels differ in the details that they write here
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    target = HERE / f"{script.stem}.ipynb"
    nbformat.write(notebook, target)
    return target


def main(prefixes: list[str]) -> int:
    os.environ.pop("MPLBACKEND", None)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see conftest.py
    os.environ["RETINANET_LITE_MINE"] = tempfile.mkdtemp()  # likewise
    scripts = sorted((HERE / "scripts").glob("[0-9]*.py"))
    for prefix in prefixes:
        if not any(script.name.startswith(prefix) for script in scripts):
            names = ", ".join(script.stem for script in scripts)
            print(f"no notebook begins with {prefix}; there are {names}", file=sys.stderr)
            return 1
    for script in scripts:
        if prefixes and not script.name.startswith(tuple(prefixes)):
            continue
        start = time.monotonic()
        try:
            target = rebuild(script)
        except CellExecutionError as error:
            print(f"{script.name}: {error}", file=sys.stderr)
            return 1
        kilobytes = target.stat().st_size // 1000
        print(f"{target.name}: {kilobytes} kB, {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
