"""What is installed by one way is installed by the other."""

import re
from pathlib import Path

import pytest
import yaml

tomllib = pytest.importorskip("tomllib")  # of Python 3.11

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
CONDA_NAMES = {"torch": "pytorch"}


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def lower_bound(requirement: str) -> tuple[str, str]:
    """ "numpy>=1.26" → ("numpy", "1.26"); anything else is not written as we do."""
    match = re.fullmatch(r"([a-z0-9-]+)>=([0-9.]+)", requirement)
    assert match, requirement
    return match[1], match[2]


def requirements(*without: str) -> dict[str, str]:
    """Every package that pyproject.toml names, extras included, with its lower bound."""
    extras = PROJECT["optional-dependencies"]
    everything = list(PROJECT["dependencies"])
    for name in extras.keys() - set(without):
        everything += extras[name]
    own = re.compile(re.escape(PROJECT["name"]) + r"\[([a-z]+)\]")
    for extra in filter(None, map(own.fullmatch, everything)):
        assert extra[1] in extras
    return dict(lower_bound(entry) for entry in everything if not own.fullmatch(entry))


def test_environment_yml_asks_for_what_pyproject_asks_for():
    needed = requirements("browser", "docs")  # these two come when their make target asks
    expected = {CONDA_NAMES.get(name, name): bound for name, bound in needed.items()}
    expected["python"] = PROJECT["requires-python"].removeprefix(">=")
    plain = [entry for entry in CONDA["dependencies"] if isinstance(entry, str)]
    assert dict(lower_bound(entry) for entry in plain if entry != "pip") == expected
    assert "pip" in plain
    assert len(plain) == len(expected) + 1  # nothing twice


def test_pip_installs_only_the_package_itself_into_the_conda_environment():
    assert [entry for entry in CONDA["dependencies"] if isinstance(entry, dict)] == [
        {"pip": ["-e ."]}
    ]


def test_the_known_good_versions_are_pinned_and_new_enough():
    lines = (ROOT / "known-good.txt").read_text(encoding="utf-8").splitlines()
    pins = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, pin = re.match(r"([A-Za-z0-9_.-]+)==([0-9.]+)\s*(?:;|$)", line).groups()
            pins[name.lower().replace("_", "-")] = pin
    for name, bound in requirements().items():
        assert version(pins[name]) >= version(bound), name
