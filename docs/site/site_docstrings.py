"""Docstrings as this package writes them, made ready for Sphinx's reading of Google's style."""

import re
from pathlib import Path

from sphinx.application import Sphinx

PAGE = (Path(__file__).parents[1] / "api.rst").read_text(encoding="utf-8")
PUBLIC = set(re.findall(r"\w+", " ".join(re.findall(r":members: (.+)", PAGE))))
# lines that are set in below a line which begins no section, no list and no field
SET_IN = re.compile(
    r"^(?!- |:returns:|[A-Z][a-z]+:$)(\S.*\n)\n?((?: .*\n|\n(?= ))+)", flags=re.MULTILINE
)


def adapt(app, what, name, obj, options, lines: list[str]) -> None:
    """Names become links, what is returned is one text, and what is set in stays as it is."""
    text = re.sub(r"`([A-Za-z_.]+)`", as_link, "\n".join(lines) + "\n")
    text = re.sub(r"^Returns:\n +", ":returns: ", text, flags=re.MULTILINE)
    lines[:] = SET_IN.sub(as_it_is, text).split("\n")


def as_link(match: re.Match) -> str:
    """`RetinaNet`, `coverage.Coverage`: to whatever has that name on the page of the package."""
    return f":py:obj:`.{match[1]}`" if match[1].split(".")[-1] in PUBLIC else match[0]


def as_it_is(match: re.Match) -> str:
    block = match[2].replace(":py:obj:`.", "`")
    return f"{match[1]}\n::\n\n{block}\n"


def plain_signature(app, what, name, obj, options, signature, returns) -> tuple | None:
    """A module that takes no arguments inherits a signature that says otherwise."""
    return ("()", returns) if signature and "*args: Any" in signature else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-signature", plain_signature)
    # before Args: and the like are read
    app.connect("autodoc-process-docstring", adapt, priority=100)
    return {"parallel_read_safe": True}
