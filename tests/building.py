"""Run what the notebooks' "Build it" asks for: an answer, on the page where its blank is."""

import ast
import itertools
import linecache

from solutions import Solution, solutions

from retinanet_lite import Anchors

BLANKS = [one for one in solutions() if one.check == "keep"]
NUMBERS = itertools.count()


def definitions(source: str) -> str:
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    nodes = [node for node in ast.parse(source).body if isinstance(node, kinds)]
    return "\n\n".join(ast.unparse(node) for node in nodes)


def run(source: str, names: dict) -> None:
    """Run a text as a notebook's cell: with its lines at hand for those who ask for them."""
    name = f"cell {next(NUMBERS)}"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), names)


def page_of(blank: Solution) -> dict:
    """The names that a page has where its blank is: imports, functions and classes."""
    names = {"__name__": "__main__", "nine": Anchors().shapes[2]}  # which 04 makes in a loop
    for source in blank.before[1:]:  # the first installs the package
        run(definitions(source), names)
    return names


def made_of(blank: Solution, source: str):
    """The class or function that a text makes on its page."""
    names = page_of(blank)
    run(source, names)
    return names[blank.answer]
