"""Data flows one way: who imports whom, read from the source."""

import ast
import sys
from pathlib import Path

import pytest

import retinanet_lite

PACKAGE = Path(retinanet_lite.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
# each room, or file beside the rooms, and what it stands on
STANDS_ON = {
    "model": set(),
    "progress": set(),
    "devices": set(),
    "fast": {"model"},
    "zoo": {"model"},
    "data": {"progress"},
    "detector": {"model", "fast", "zoo", "data"},
    "evaluation": {"model", "data", "detector", "devices", "progress"},
    "training": {"model", "zoo", "data", "detector", "devices", "evaluation"},
    "learn": {"model", "zoo", "data", "detector", "evaluation", "training"},
    "cli": {"model", "zoo", "data", "detector", "devices", "evaluation", "training", "learn"},
}


def imports_of(file: Path) -> set[str]:
    """The modules that a file imports, by full name: "torch.nn", "retinanet_lite.model.boxes"."""
    package = ["retinanet_lite", *file.relative_to(PACKAGE).parts[:-1]]
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("room", STANDS_ON)
def test_each_room_imports_only_what_it_stands_on(room):
    files = [*(PACKAGE / room).rglob("*.py")] or [PACKAGE / f"{room}.py"]
    imported = set().union(*map(imports_of, files))
    own = {name.split(".")[1] for name in imported if name.startswith("retinanet_lite.")}
    assert own - {room} <= STANDS_ON[room]
    assert any(name.startswith(("torch", "tqdm")) for name in imported)


def test_every_room_is_known():
    rooms = {file.relative_to(PACKAGE).with_suffix("").parts[0] for file in MODULES}
    assert rooms == STANDS_ON.keys() | {"__init__", "__main__"}


def test_only_the_fast_room_and_those_who_call_it_know_that_there_are_quick_forms():
    for file in MODULES:
        room = file.relative_to(PACKAGE).parts[0]
        if room not in ("fast", "__init__.py"):
            fast = {name for name in imports_of(file) if name.startswith("retinanet_lite.fast.")}
            assert fast <= {"retinanet_lite.fast.quicken", "retinanet_lite.fast.unquicken"}


def test_no_two_files_have_one_name():
    names = [file.name for file in MODULES if not file.name.startswith("__")]
    assert sorted(names) == sorted(set(names))


def test_no_module_imports_itself_by_a_detour():
    graph = {}
    for file in MODULES:
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(["retinanet_lite", *parts]).removesuffix(".__init__")
        graph[name] = imports_of(file)
    graph = {name: imported & graph.keys() - {"retinanet_lite"} for name, imported in graph.items()}
    while leaves := {name for name, imported in graph.items() if not imported}:
        graph = {name: imported - leaves for name, imported in graph.items() if name not in leaves}
    assert graph == {}


def loaded_modules() -> set[str]:
    return set(sys.modules)


def test_importing_the_package_loads_nothing_to_draw_or_to_click(forkserver):
    with forkserver.Pool(1) as other_process:
        loaded = other_process.apply(loaded_modules)
    assert "retinanet_lite.training.fit" in loaded
    assert loaded.isdisjoint({"matplotlib", "ipywidgets", "pycocotools", "IPython"})


def test_every_public_name_is_there():
    for name in retinanet_lite.__all__:
        assert getattr(retinanet_lite, name).__module__.startswith("retinanet_lite.")
