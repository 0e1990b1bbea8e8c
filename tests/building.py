"""The notebooks' "Build it": each blank, and its solution, which is folded behind it."""

import ast
import itertools
import linecache
from dataclasses import dataclass
from pathlib import Path

import jupytext

from retinanet_lite import Anchors

SCRIPTS = sorted((Path(__file__).parents[1] / "notebooks" / "scripts").glob("*.py"))
NUMBERS = itertools.count()


@dataclass(frozen=True)
class Blank:
    """A blank of a notebook: what the reader is to build, and the page's own form of it."""

    script: Path
    answer: str  # its name
    blank: str  # the text of the cell, without the call of `keep`
    solution: str  # the text of the folded cell, with the reader's name
    page: tuple[str, ...]  # imports, functions and classes of the cells before


def renamed(folded: str, answer: str) -> str:
    """The folded cell with its last class or function called as the reader's."""
    last = [node for node in ast.parse(folded).body if hasattr(node, "name")][-1]
    kind = "class" if isinstance(last, ast.ClassDef) else "def"
    old, new = f"{kind} {last.name}(", f"{kind} {answer}("
    assert folded.count(old) == 1
    return folded.replace(old, new)


def definitions(source: str) -> str:
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    nodes = [node for node in ast.parse(source).body if isinstance(node, kinds)]
    return "\n\n".join(ast.unparse(node) for node in nodes)


def collect() -> list[Blank]:
    found = []
    for script in SCRIPTS:
        cells = [cell for cell in jupytext.read(script).cells if cell.cell_type == "code"]
        for number, cell in enumerate(cells):
            blank, _, answer = cell.source.rpartition("\n\n\nlearn.keep(")
            if blank:
                answer = answer.removesuffix(")")
                page = tuple(definitions(before.source) for before in cells[1:number])
                solution = renamed(cells[number + 1].source, answer)
                found.append(Blank(script, answer, blank, solution, page))
    return found


BLANKS = collect()


def run(source: str, names: dict) -> None:
    """Run a text as a notebook's cell: with its lines at hand for those who ask for them."""
    name = f"cell {next(NUMBERS)}"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), names)


def page_of(blank: Blank) -> dict:
    """The names that a page has where its blank is."""
    names = {"__name__": "__main__", "nine": Anchors().shapes[2]}  # which 04 makes in a loop
    for source in blank.page:
        run(source, names)
    return names


def made_of(blank: Blank, source: str):
    """The class or function that a text makes on its page."""
    names = page_of(blank)
    run(source, names)
    return names[blank.answer]
