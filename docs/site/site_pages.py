"""What the site's pages need beyond Sphinx's own: their list, formulas, notebooks as pages."""

import re

import nbformat
from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

CONTENTS = """

```{toctree}
:hidden:
:glob:
:caption: Notebooks

notebooks/*
```

```{toctree}
:hidden:
:caption: The course

docs/course
docs/questions
docs/solutions
```

```{toctree}
:hidden:
:caption: Documents, to read

docs/walkthrough
docs/feature_pyramid
docs/regression_and_classification
docs/anchors
docs/focal_loss
docs/differences
docs/speed
docs/measured
```

```{toctree}
:hidden:
:caption: Reference

docs/api
```

```{toctree}
:hidden:
:caption: The project

CONTRIBUTING
```
"""
MOVABLE = "*The sliders move where the page runs: in JupyterLab, or [in Colab]({colab}).*"


def read_notebook(text: str) -> nbformat.NotebookNode:
    """A notebook with a word in place of its sliders, and its figures' descriptions as alt text."""
    notebook = nbformat.reads(text, as_version=4)
    colab = re.search(r"\]\((https://colab\.[^)]+)\)", notebook.cells[0].source)[1]
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type != "code":
            continue
        figures = [output.get("metadata", {}).get("image/png", {}) for output in cell.outputs]
        if alt := " ".join(figure["alt"] for figure in figures if "alt" in figure):
            cell.metadata["mystnb"] = {"image": {"alt": alt, "scale": "100"}}  # a click enlarges
        if "explore" in cell.source and "nbval-ignore-output" in cell.metadata.get("tags", []):
            cells.append(nbformat.v4.new_markdown_cell(MOVABLE.format(colab=colab)))
    notebook.cells = cells
    return notebook


def adapt(app: Sphinx, page: str, source: list[str]) -> None:
    """What a page is on the site and not on GitHub.

    The first page has the list of all, and a link to a file of the package leads to its reference.
    """
    source[0] = re.sub(
        r"\]\([./]*(retinanet_lite/[\w/]+)\.py\)",
        lambda match: f"](#{match[1].replace('/', '.')})",
        source[0],
    )
    if page == app.config.root_doc:
        source[0] += CONTENTS


def formula(display: str):
    """Formulas as MathML, which browsers show by themselves."""

    def visit(translator, node: nodes.Element) -> None:
        translator.body.append(convert(node.astext(), display=display))
        raise nodes.SkipNode

    return visit, None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", adapt)
    app.add_html_math_renderer("mathml", formula("inline"), formula("block"))
    return {"parallel_read_safe": True}
