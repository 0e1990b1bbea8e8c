"""What a reader follows, in documents and notebooks: links, references, headings, pictures."""

import re
from pathlib import Path

import nbformat
import pytest

import retinanet_lite

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *NOTEBOOKS]
IMAGES = sorted((ROOT / "docs" / "images").glob("*"))


def text_of(path: Path) -> str:
    """A page as Markdown; of a notebook, its Markdown cells."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def prose(text: str) -> str:
    """Without fenced blocks and inline code."""
    without_blocks = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "code", without_blocks)


def links(text: str) -> list[tuple[str, str]]:
    """The text and the target of every link, of images' links too."""
    text = re.sub(r"!\[([^\]]*)\]\([^)\s]+\)", r"\1", prose(text))
    return re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", text)


def images(text: str) -> list[tuple[str, str]]:
    """The description and the target of every image."""
    return re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", prose(text))


def headings(text: str) -> list[tuple[int, str]]:
    found = re.findall(r"^(#+) (.+)$", prose(text), flags=re.MULTILINE)
    return [(len(marks), heading) for marks, heading in found]


def slug(heading: str) -> str:
    """How GitHub, and the site, call a heading in an address."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def lost(path: Path, text: str) -> list[str]:
    """Targets on a page that are no file of the project, or no heading of it."""
    missing = []
    for _, target in [*links(text), *images(text)]:
        if re.match(r"https://|http://|mailto:", target):
            continue
        file, _, heading = target.partition("#")
        page = (path.parent / file).resolve()
        if file and not (page.is_relative_to(ROOT) and page.exists()):
            missing.append(target)
        elif heading:
            known = headings(text_of(page) if file else text)
            if heading not in [slug(name) for _, name in known]:
                missing.append(target)
    return missing


@pytest.fixture(params=PAGES, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture
def text(path) -> str:
    return text_of(path)


def test_every_link_leads_somewhere(path, text):
    assert lost(path, text) == []


def test_a_link_that_names_a_notebook_leads_to_it(text):
    for name, target in links(text):
        numbered = re.match(r"(\d\d)(?: · (.+)| (.+))?$", name)
        if numbered and target.endswith(".ipynb"):
            number, *titles = numbered.groups()
            assert Path(target).name.startswith(f"{number}_"), (name, target)
            title = next(filter(None, titles), None)
            page = ROOT / "notebooks" / Path(target).name
            assert title is None or headings(text_of(page))[0][1] == f"{number} · {title}", name


def test_every_notebook_that_is_spoken_of_is_there(text):
    numbers = re.findall(r"\b[Nn]otebooks? (?:\[)?(\d\d)\b", text)
    assert set(numbers) <= {page.stem[:2] for page in NOTEBOOKS}


def test_every_file_of_the_project_that_is_spoken_of_is_there(text):
    files = re.findall(r"`((?:retinanet_lite|notebooks|docs|tests|benchmarks)/[\w./]*)`", text)
    files += re.findall(r"\b(benchmarks/\w+\.py)\b", text)
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_every_exercise_that_is_spoken_of_is_there(text):
    exercises = {name.split()[1] for _, name in headings(text) if name.startswith("Exercise ")}
    assert set(re.findall(r"\bexercise (\d)\b", text)) <= exercises


def test_headings_are_in_order(text):
    levels = [level for level, _ in headings(text)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_every_image_says_what_it_shows(text):
    for description, target in images(text):
        assert len(description) > 30 or description == "Open in Colab", target


def test_every_picture_of_the_documents_is_used():
    targets = {
        (page.parent / target).resolve() for page in PAGES for _, target in images(text_of(page))
    }
    assert {image for image in IMAGES if image not in targets} == set()


def test_what_the_docstrings_refer_to_is_there():
    package = Path(retinanet_lite.__file__).parent
    for file in package.rglob("*.py"):
        source = file.read_text(encoding="utf-8")
        for reference in re.findall(r"\b(?:docs|notebooks)/[\w/]+\.(?:md|ipynb)\b", source):
            assert (ROOT / reference).exists(), f"{file.name}: {reference}"
        numbers = re.findall(r"\b[Nn]otebooks? (\d\d)\b", source)
        assert set(numbers) <= {page.stem[:2] for page in NOTEBOOKS}, file.name


# the checks themselves

PAGE = """# A page

## One · two

![Something, described at length so that all see it](docs/images/model.png)
[here](#one--two) and [there](docs/anchors.md#why--05), `[not](a_link.md)`
"""


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("#one--two", "#one-two"),
        ("#why--05", "#why-05"),
        ("docs/anchors.md#", "docs/anchor.md#"),
        ("docs/anchors.md#", "../outside.md#"),
        ("images/model.png", "images/models.png"),
    ],
)
def test_a_link_that_leads_nowhere_is_seen(true, false):
    assert lost(ROOT / "README.md", PAGE) == []
    assert len(lost(ROOT / "README.md", PAGE.replace(true, false))) == 1


def to_read(stem: str) -> int:
    """The minutes that a notebook tells, to read it."""
    return int(re.search(r"(\d+) minutes to read", text_of(ROOT / f"notebooks/{stem}.ipynb"))[1])


def to_write(stem: str) -> int:
    """The minutes that a notebook's blanks and exercises tell, added up."""
    text = text_of(ROOT / f"notebooks/{stem}.ipynb")
    times = re.findall(r"^#+ (?:Build it|Exercise.*) \((\d+) min\)$", text, re.MULTILINE)
    return sum(map(int, times))


def test_the_table_of_notebooks_tells_the_times_that_they_tell():
    row = r"^\| \[\d\d [^\]]+\]\(notebooks/(\w+)\.ipynb\) \|[^|]+\| (.+) \| (.+) min \| (.+) \|$"
    table = re.findall(row, text_of(ROOT / "README.md"), re.MULTILINE)
    assert [stem for stem, *_ in table] == [path.stem for path in NOTEBOOKS]
    units = {"seconds": "s", "minute": "min", "minutes": "min", "a": "1"}
    for stem, to_run, reading, writing in table:
        text = text_of(ROOT / f"notebooks/{stem}.ipynb")
        number, unit = re.search(r"[Aa]bout (a|\d+) (seconds|minutes?) on a ", text).groups()
        assert to_run == f"{units.get(number, number)} {units[unit]}", stem
        assert int(reading) == to_read(stem)
        assert writing == (f"{to_write(stem)} min" if to_write(stem) else "–"), stem
        if to_write(stem):
            assert f"minutes to read, and {to_write(stem)} to write" in text, stem


def test_the_course_adds_the_minutes_up():
    rows = re.findall(r"^\| \d \|.*$", text_of(ROOT / "docs/course.md"), re.MULTILINE)
    for row in rows:
        stems = re.findall(r"notebooks/(\w+)\.ipynb", row)
        minutes = [int(number) for number in re.findall(r"\| (\d+) min ", row)]
        assert minutes == [sum(map(to_read, stems)), sum(map(to_write, stems))], row
    assert len(rows) == 6
