"""Data flows one way: who imports whom, read from the source."""

import ast
import sys
from pathlib import Path

import pytest

import retinanet_lite

PACKAGE = Path(retinanet_lite.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
GROUND_FLOOR = ["backbone", "fpn", "heads", "anchors", "boxes", "matching", "checks"]


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


@pytest.mark.parametrize("name", GROUND_FLOOR)
def test_the_ground_floor_imports_nothing_of_the_package(name):
    imported = imports_of(PACKAGE / f"{name}.py")
    assert any(module.startswith("torch") for module in imported)
    assert [module for module in imported if module.startswith("retinanet_lite")] == []


def test_the_detector_never_imports_what_explains_it():
    # the command line prints a trace; it uses the detector, and the detector not it
    outside = [
        file
        for file in MODULES
        if "learn" not in file.relative_to(PACKAGE).parts and file.stem != "commands"
    ]
    assert len(outside) >= 10
    for file in outside:
        assert not any("retinanet_lite.learn" in module for module in imports_of(file)), file.name


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
