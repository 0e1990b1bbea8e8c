"""The first cell of every notebook, and the address that it installs the package from."""

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from importlib.metadata import version
from pathlib import Path

import address
import jupytext
import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "notebooks" / "scripts").glob("*.py"))
LINK = re.compile(r"https://(?:github\.com|colab\.research\.google\.com/github)/([\w.-]+/[\w.-]+)")

BADGE = (
    "[![Open in Colab](../docs/images/colab.svg)]"
    "(https://colab.research.google.com/github/{name}/blob/main/notebooks/{stem}.ipynb)"
)


def name_in(root: Path) -> str:
    """Owner and repository, by pyproject.toml."""
    return address.current(root).removeprefix("https://github.com/")


def stray_names(root: Path) -> set[str]:
    """Owners and repositories that are linked to, but for the one in pyproject.toml."""
    texts = [path.read_text(encoding="utf-8") for f in address.FILES for path in root.glob(f)]
    return {name for text in texts for name in LINK.findall(text)} - {name_in(root)}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_notebook_begins_with_the_link_to_colab_and_the_same_first_cell(script):
    first, _, badge, *_ = jupytext.read(script).cells[0].source.split("\n")
    assert first.startswith("# ")
    assert badge == BADGE.format(name=name_in(ROOT), stem=script.stem)
    assert jupytext.read(script).cells[1].source == jupytext.read(SCRIPTS[0]).cells[1].source


def test_the_address_is_the_same_everywhere():
    assert stray_names(ROOT) == set()


@pytest.mark.parametrize("ending", ["", ".git", "/"])
def test_one_command_changes_the_address_everywhere(tmp_path, ending):
    for pattern in address.FILES:
        for path in ROOT.glob(pattern):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    address.change("https://github.com/somebody-else/detector.py" + ending, tmp_path)
    assert name_in(tmp_path) == "somebody-else/detector.py"
    assert stray_names(tmp_path) == set()
    old = name_in(ROOT)
    assert not [path for path in tmp_path.rglob("*.*") if old in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("wrong", ["somebody/detector", "https://github.com/somebody", ""])
def test_an_address_that_is_none_is_refused(wrong, tmp_path):
    with pytest.raises(SystemExit, match="is no address such as"):
        address.change(wrong, tmp_path)


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A Python with all the libraries that this one has, but without the package."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "env", symlinks=True)
    libraries = folder / "libraries"
    libraries.mkdir()
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(place).iterdir():
            if "retinanet_lite" not in entry.name and entry.suffix != ".pth":
                (libraries / entry.name).symlink_to(entry)
    (own_libraries(folder) / "libraries.pth").write_text(f"{libraries}\n")
    return folder


def own_libraries(folder: Path) -> Path:
    base = str(folder / "env")
    return Path(sysconfig.get_path("purelib", vars={"base": base, "platbase": base}))


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """What the address would give: this package in a git repository."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "retinanet_lite", folder / "retinanet_lite")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.mark.skipif(not shutil.which("git") or os.name == "nt", reason="needs git and symlinks")
@pytest.mark.skipif(
    tuple(map(int, version("setuptools").split(".")[:2])) < (70, 1),
    reason="an older setuptools builds no wheel by itself, and none is fetched here",
)
def test_a_lone_notebook_installs_the_package_and_nothing_else(bare, repository, tmp_path):
    """The file alone, as downloaded or in Colab; the address is answered by a local repository."""
    notebook = shutil.copy(ROOT / "notebooks" / "04_anchors.ipynb", tmp_path)
    environment = os.environ | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": address.current(),
        "PIP_NO_INDEX": "1",  # whatever it wanted besides, it would not get
        "PIP_NO_BUILD_ISOLATION": "0",
    }
    environment.pop("MPLBACKEND", None)
    environment.pop("PYTHONPATH", None)
    before = set(own_libraries(bare).iterdir())
    command = [bare / "env" / "bin" / "python", "-c", "import nbclient.cli as c; c.main()"]
    command += ["--timeout=300", notebook]  # it stops at the first error
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    new = {path.name.split("-")[0] for path in set(own_libraries(bare).iterdir()) - before}
    assert new == {"retinanet_lite"}
