"""The notebooks as they are committed: run from top to bottom, in step with their scripts, small.

`pytest --nbval notebooks/` runs them and compares their outputs; what it lets through is here.
"""

import base64
import io
import re
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pytest
import rebuild
from PIL import Image

from retinanet_lite.learn.diagrams import PLACES

HERE = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))
SCRIPTS = sorted((HERE / "scripts").glob("*.py"))

# the only tags that a cell may have, and why
ALLOWED_TAGS = {
    "nbval-ignore-output": "sliders and progress bars: their messages depend on the browser's "
    "answers, and the time left is never the same",
    "hide-input": "what the reader is to build, as the page has it, is folded",
}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def test_a_name_that_no_notebook_begins_with_is_refused(capsys):
    assert rebuild.main(["03", "3"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and "no notebook begins with 3;" in printed.err


def figures(notebook):
    for output in outputs(notebook):
        if "image/png" in output.get("data", {}):
            yield Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))


def test_every_notebook_has_its_script_and_the_detectors_are_numbered_as_on_the_map():
    names = [path.stem for path in NOTEBOOKS]
    assert names == [path.stem for path in SCRIPTS]
    assert [name[:2] for name in names[: len(PLACES)]] == [f"{i:02}" for i in range(len(PLACES))]
    assert len({name[:2] for name in names}) == len(names)


def test_notebook_and_script_are_in_step(path, notebook):
    """If this fails: edit the script, then `make notebooks`."""
    script = jupytext.read(HERE / "scripts" / f"{path.stem}.py")

    def essence(cells):
        return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in cells]

    assert essence(notebook.cells) == essence(script.cells)


def test_notebook_was_run_from_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_error_or_warning_is_stored(notebook):
    for output in outputs(notebook):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text


def test_no_output_names_a_device_an_address_or_a_path(notebook):
    for output in outputs(notebook):
        text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
        assert not re.search(r"cuda|cpu\b|0x[0-9a-f]{6}|/tmp|/home|/root", text), text


def test_notebook_shows_figures_and_none_is_blank(notebook):
    shown = list(figures(notebook))
    assert len(shown) >= 2
    for image in shown:
        assert np.asarray(image.convert("L")).std() > 5


def test_every_figure_is_described(notebook):
    """If this fails: `make notebooks`, which stores the descriptions; see notebooks/alt_text.py."""
    for output in outputs(notebook):
        if "image/png" in output.get("data", {}):
            assert len(output.metadata.get("image/png", {}).get("alt", "")) > 30


def test_the_map_shows_where_the_reader_is(path, notebook):
    source = "\n".join(cell.source for cell in notebook.cells)
    (place,) = re.findall(r"^learn\.show_map\((.*)\)$", source, re.M)
    number = int(path.stem[:2])
    # what comes after the map's last place is about the detector as a whole
    name = PLACES[number] if number < len(PLACES) else "detector"
    assert place == (f'here="{name}"' if number else "")


def test_what_the_reader_is_to_build_is_folded_behind_the_blank(notebook):
    cells = code_cells(notebook)
    for cell, after in zip(cells, cells[1:], strict=False):
        folded = after.metadata.get("jupyter", {}).get("source_hidden", False)
        assert folded == ("learn.keep(" in cell.source)
        assert folded == ("hide-input" in after.metadata.get("tags", []))


def test_no_widget_state_is_stored(notebook):
    assert "widgets" not in notebook.metadata
    for output in outputs(notebook):
        assert not any("widget" in kind for kind in output.get("data", {}))


def test_notebook_is_small(path):
    assert path.stat().st_size < 1_500_000


def test_only_sliders_progress_bars_and_seconds_are_exempt_from_the_comparison(notebook):
    cells = code_cells(notebook)
    for position, cell in enumerate(cells):
        tags = cell.metadata.get("tags", [])
        assert set(tags) <= set(ALLOWED_TAGS)
        shows_a_bar = re.search(r"(\bfit|\bevaluate|\btqdm)\(", cell.source) is not None
        shows_a_bar &= "progress=False" not in cell.source
        explores = re.search(r"\bexplore\w*\(", cell.source) is not None
        tells_seconds = "perf_counter()" in cell.source
        exempt = "nbval-ignore-output" in tags
        assert exempt == (explores or shows_a_bar or tells_seconds)
        if exempt:  # whoever can't move it sees a figure or a table all the same
            assert cells[position + 1].outputs
