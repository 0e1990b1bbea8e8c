"""The reader's files: one for each part, with all that it needs, and what was there before."""

import ast
import builtins
import importlib
import itertools
import linecache
import os
import symtable
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType

import torch

from ..grading import NotYet, code_of

PLACE = "RETINANET_LITE_MINE"  # names another folder
DRIVE = Path("/content/drive/MyDrive")  # where Colab mounts what stays
PLAIN = (int, float, str, bool, type(None))


def folder() -> Path:
    """Where the reader's parts are kept: beside `notebooks/`, or in Colab's mounted drive."""
    if named := os.environ.get(PLACE):
        return Path(named)
    if DRIVE.is_dir():
        return DRIVE / "retinanet-lite" / "mine"
    here = Path.cwd()
    return (here.parent if here.name == "notebooks" else here) / "mine"


def source_of(answer: Callable) -> str:
    """A file's text that makes the answer: imports, constants and helpers first, then itself.

    Raises:
        NotYet: if it uses something that a file can't hold.
    """
    imports: dict[str, str] = {}
    definitions: dict[str, str] = {}

    def add(thing: Callable) -> None:
        text = definition(thing)
        scope = globals_of(thing)
        definitions[thing.__name__] = ""  # it may use itself
        for name in global_names(text):
            if name in scope and name not in definitions and name not in imports:
                need(name, scope[name], thing.__name__)
        del definitions[thing.__name__]
        definitions[thing.__name__] = text

    def need(name: str, value: object, user: str) -> None:
        if isinstance(value, ModuleType):
            alias = "" if value.__name__ == name else f" as {name}"
            imports[name] = f"import {value.__name__}{alias}"
        elif line := import_line(name, value):
            imports[name] = line
        elif isinstance(value, (FunctionType, type)):
            add(value)
        elif isinstance(value, torch.Tensor) and value.numel() <= 100:
            imports["torch"] = "import torch"
            definitions[name] = f"{name} = torch.tensor({value.tolist()}, dtype={value.dtype})"
        elif is_plain(value):
            definitions[name] = f"{name} = {value!r}"
        else:
            raise NotYet(
                f"{user} uses {name}, which belongs to this page: make it inside, or pass it in"
            )

    add(answer)
    head = "\n".join(sorted(imports.values()))
    return "\n\n\n".join(filter(None, [head, *definitions.values()])) + "\n"


def definition(thing: Callable) -> str:
    """The text of a class or function, as it stands in its cell or file."""
    code = code_of(thing)
    text = "".join(linecache.getlines(code.co_filename)) if code else ""
    nodes = ast.parse(text).body
    kinds = (ast.ClassDef, ast.FunctionDef)
    found = [n for n in nodes if isinstance(n, kinds) and n.name == thing.__name__]
    if not found:
        raise NotYet(f"the text of {thing.__name__} is not to be found: run its cell again")
    node = found[-1]
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return "".join(text.splitlines(keepends=True)[first - 1 : node.end_lineno]).rstrip()


def globals_of(thing: Callable) -> dict[str, object]:
    function = thing
    if isinstance(thing, type):
        function = next(f for f in vars(thing).values() if isinstance(f, FunctionType))
    return function.__globals__


def global_names(text: str) -> list[str]:
    """The names that a definition uses and does not make itself."""
    names: dict[str, None] = {}

    def walk(table: symtable.SymbolTable, top: bool) -> None:
        for symbol in table.get_symbols():
            outside = symbol.is_global() or (top and symbol.is_referenced())
            if outside and symbol.is_referenced() and not hasattr(builtins, symbol.get_name()):
                names[symbol.get_name()] = None
        for inner in table.get_children():
            walk(inner, False)

    walk(symtable.symtable(textwrap.dedent(text), "part", "exec"), True)
    return list(names)


def import_line(name: str, value: object) -> str | None:
    """How a file gets what another module has; None if it is the page's own."""
    module, own = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if module in (None, "__main__") or own is None:
        return None
    try:
        if getattr(importlib.import_module(module), own, None) is not value:
            return None
    except ImportError:
        return None
    return f"from {module} import {own}" + ("" if own == name else f" as {name}")


def is_plain(value: object) -> bool:
    """Numbers, words, and lists, tuples and dicts of them."""
    if isinstance(value, dict):
        return all(map(is_plain, itertools.chain(value.keys(), value.values())))
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    return isinstance(value, PLAIN)


def load(path: Path, answer: str) -> Callable:
    """What a file makes, under this name.

    Raises:
        NotYet: if it can't be read, or has nothing of this name.
    """
    module = ModuleType(f"mine_{path.stem}")
    linecache.checkcache(str(path))
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    except Exception as error:  # whatever the reader has written
        raise NotYet(f"{path.name} can't be read: {type(error).__name__}: {error}") from error
    if not callable(found := getattr(module, answer, None)):
        raise NotYet(f"{path.name} has no {answer}")
    return found


def write(name: str, text: str) -> str:
    """Write a part's file; what was there moves into `before/`. Says what was done."""
    path = folder() / f"{name}.py"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return f"kept already, in {shown(path)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    said = f"kept in {shown(path)}"
    if path.exists():
        said += f"; the one before is {shown(set_aside(path))}"
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
    return said


def set_aside(path: Path) -> Path:
    """Move a file into `before/`, under the next free number."""
    old = path.parent / "before"
    old.mkdir(exist_ok=True)
    number = 1 + max((int(p.suffixes[0][1:]) for p in backups(path)), default=0)
    return path.replace(old / f"{path.stem}.{number}.py")


def backups(path: Path) -> list[Path]:
    """What was kept of a part before, the latest last."""
    found = (path.parent / "before").glob(f"{path.stem}.*.py")
    return sorted(found, key=lambda p: int(p.suffixes[0][1:]))


def undo(name: str) -> str:
    """Take back what was kept of a part last: the one before comes back. Says what was done."""
    path = folder() / f"{name}.py"
    older = backups(path)
    if not path.exists():
        raise NotYet(f"nothing is kept as {shown(path)}")
    undone = path.with_suffix(".undone")
    path.replace(undone)
    if not older:
        return f"{shown(path)} is gone; its text is in {shown(undone)}"
    older[-1].replace(path)
    return f"{shown(path)} is again what it was before; what was undone is in {shown(undone)}"


def shown(path: Path) -> str:
    """A path as the reader knows it: mine/pyramid.py."""
    return path.relative_to(folder().parent).as_posix()
