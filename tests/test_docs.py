"""The documents: their code runs, prints what they show, and their shape comments are true.

A document is executed from top to bottom in one namespace, statement by statement. Its Python has
two kinds of shape comments, both on the top level:

    P3 = output3(M3)  # [2, 256, 80, 104]      what the line assigns; several are [..], [..]
    # P3: [2, 256, 80, 104]                    what has that name at this moment

Any other comment with a bracket in it is a complaint, so that no shape stands unchecked.
"""

import ast
import contextlib
import importlib
import io
import re
import runpy
import tokenize
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import retinanet_lite

DOCS = Path(__file__).parents[1] / "docs"
README = DOCS.parent / "README.md"
COLLECTED = DOCS / "solutions.md"  # from the notebooks, whose tests run what is in it
DOCUMENTS = [README, *(path for path in sorted(DOCS.glob("*.md")) if path != COLLECTED)]
IMAGES = sorted((DOCS / "images").glob("*.png"))

SHAPE = r"\[(?:\d+(?:, \d+)*)?\]"
REMARK = r"(?=$|[\s,;:])[^\[]*"  # what may follow a shape
ASSIGNED = re.compile(rf"# ({SHAPE}(?:, {SHAPE})*){REMARK}")
NAMED = re.compile(rf"# ([A-Za-z_][\w.]*(?:\[\d+\])?): ({SHAPE}){REMARK}")


@dataclass
class Block:
    """A fenced block: its language, the document's line on which its text starts, its text."""

    language: str
    line: int
    text: str
    follows: bool  # only empty lines are between it and the block before


def fenced_blocks(document: str) -> list[Block]:
    blocks: list[Block] = []
    block, between = None, "start"
    for number, line in enumerate(document.splitlines(), start=1):
        if block is None and line.startswith("```"):
            block = Block(line[3:].strip(), number + 1, "", not between.strip())
        elif block is None:
            between += line
        elif line.rstrip() == "```":
            blocks.append(block)
            block, between = None, ""
        else:
            block.text += line + "\n"
    assert block is None, f"line {block.line - 1}: a block is opened and never closed"
    return blocks


def complaints_about(document: str) -> list[str]:
    """Everything that is wrong with a document's code, outputs and shape comments."""
    complaints = []
    blocks = fenced_blocks(document)
    names = {"__name__": "document"}
    torch.manual_seed(0)
    for block, after in zip(blocks, [*blocks, None][1:], strict=True):
        place = f"line {block.line}"
        if block.language == "python":
            printed, wrong_shapes = execute(block, names)
            complaints += wrong_shapes
            expected = after.text if after and after.language == "text" and after.follows else ""
            if lines_of(printed) != lines_of(expected):
                complaints.append(f"{place}: prints\n{printed}where the page has\n{expected}")
        elif block.language == "text":
            before = blocks[blocks.index(block) - 1]
            if not (block.follows and before.language == "python"):
                complaints.append(f"{place}: this output follows no Python")
        elif block.language != "sh":  # shell commands are what the Makefile and CI run
            complaints.append(
                f"{place}: a block must be python, text or sh, not {block.language!r}"
            )
    return complaints


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def execute(block: Block, names: dict) -> tuple[str, list[str]]:
    """What a block of Python prints, and which of its shape comments are wrong."""
    text = "\n" * (block.line - 1) + block.text  # so that lines are the document's
    comments = [
        token
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and "[" in token.string
    ]
    complaints = []

    def take(up_to: float) -> list[tokenize.TokenInfo]:
        taken = [comment for comment in comments if comment.start[0] <= up_to]
        del comments[: len(taken)]
        return taken

    def check(comment: tokenize.TokenInfo, form: re.Pattern, expression: str | None) -> None:
        place = f"line {comment.start[0]}: {comment.string!r}"
        match = form.fullmatch(comment.string)
        if match is None or expression == "":
            complaints.append(f"{place} can't be checked")
            return
        expression = expression or match.group(1)
        try:
            found = shapes_of(eval(expression, names))
        except (NameError, AttributeError, IndexError, KeyError, TypeError) as error:
            complaints.append(f"{place} can't be checked: {error}")
            return
        if found != match.groups()[-1]:
            complaints.append(f"{place}, but {expression} is {found}")

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for statement in ast.parse(text).body:
            for comment in take(statement.lineno - 1):
                check(comment, NAMED, None if comment.start[1] == 0 else "")
            exec(compile(ast.Module([statement], []), "document", "exec"), names)
            for comment in take(statement.end_lineno):
                ends = comment.start[0] == statement.end_lineno
                target = (
                    ast.unparse(statement.targets[0])
                    if ends and isinstance(statement, ast.Assign)
                    else ""
                )
                check(comment, ASSIGNED, target)
        for comment in take(float("inf")):
            check(comment, NAMED, None if comment.start[1] == 0 else "")
    return printed.getvalue(), complaints


def shapes_of(value) -> str:
    """The shape of a tensor as a comment has it, or the shapes of several."""
    if isinstance(value, list | tuple):
        return ", ".join(map(shapes_of, value))
    return str(list(value.shape))


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


def test_no_document_is_lost():
    assert {path.stem for path in DOCUMENTS} - {README.stem} == {
        "course",
        "questions",
        "walkthrough",
        "feature_pyramid",
        "regression_and_classification",
        "anchors",
        "focal_loss",
        "measured",
        "differences",
        "speed",
    }


def test_code_prints_what_the_page_shows_and_shapes_are_true(path):
    with torch.enable_grad():  # a document may switch gradients off; here that ends with it
        complaints = complaints_about(path.read_text(encoding="utf-8"))
    assert not complaints, "\n".join(complaints)


def test_images_are_small_and_drawn_by_the_script(tmp_path):
    runpy.run_path(str(DOCS / "draw_figures.py"))["draw"](tmp_path, dpi=20)
    assert {image.name for image in IMAGES} == {image.name for image in tmp_path.iterdir()}
    assert max(image.stat().st_size for image in IMAGES) < 150_000
    assert (DOCS / "images" / "explorer.gif").stat().st_size < 1_000_000


# the checker itself

SOUND = """# A page

```python
import torch
x = torch.zeros(2, 3)  # [2, 3]
y, z = x[:, None], x.sum()  # [2, 1, 3], []
# z: []
print(list(x.shape))
```

```text
[2, 3]
```

```python
pair = [x, y]  # [2, 3], [2, 1, 3], in one list
# pair[1]: [2, 1, 3]
```
"""


def test_the_checker_accepts_a_sound_page():
    assert complaints_about(SOUND) == []


@pytest.mark.parametrize(
    ("true", "false", "complaint"),
    [
        ("(2, 3)  # [2, 3]", "(2, 3)  # [3, 2]", "line 5: '# [3, 2]', but x is [2, 3]"),
        ("# [2, 1, 3], []\n", "# [2, 1, 3]\n", "but (y, z) is [2, 1, 3], []"),
        ("# z: []", "# z: [1]", "line 7: '# z: [1]', but z is []"),
        ("# pair[1]: [2, 1, 3]", "# pair[1]: [2, 3]", "but pair[1] is [2, 1, 3]"),
    ],
    ids=["assigned", "one of two", "named", "an element"],
)
def test_the_checker_sees_a_wrong_shape(true, false, complaint):
    (found,) = complaints_about(SOUND.replace(true, false))
    assert complaint in found


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("\n[2, 3]\n", "\n[2, 4]\n"),
        ("\n[2, 3]\n", "\n[2, 3]\nmore\n"),
        ("```text\n[2, 3]\n```\n", ""),
        ("\n```text\n[2", "\nIt prints:\n\n```text\n[2"),
        ("print(list(x.shape))\n", ""),
        ("```text", "```"),
    ],
    ids=["another", "a line more", "none", "not right after", "nothing printed", "no language"],
)
def test_the_checker_sees_a_wrong_output(true, false):
    assert complaints_about(SOUND.replace(true, false))


@pytest.mark.parametrize(
    "line",
    [
        "# nobody: [2, 3]",
        "# x is [2, 3]",
        "# x: [B, 3]",
        "# [2, 3]",
        "w = x + 1  # [B, 3]",
        "w = x + 1  # of shape [2, 3]",
        "w = x + 1  # [2,3]",
        "x.add(1)  # [2, 3]",
        "if True:\n    w = x  # [2, 3]",
        "if True:\n    w = x\n    # w: [2, 3]",
        "w = torch.add(\n    x,  # [2, 3]\n    1,\n)",
        "w = torch.add(\n    x,\n    # x: [2, 3]\n    1,\n)",
        "w = 3  # [2, 3]",
    ],
)
def test_the_checker_leaves_no_shape_unchecked(line):
    (found,) = complaints_about(SOUND.replace("# z: []", line))
    assert "can't be checked" in found


def test_the_checker_does_not_hide_an_error():
    with pytest.raises(ZeroDivisionError):
        complaints_about(SOUND.replace("# z: []", "1 / 0"))


# the reference


def test_the_reference_has_every_public_name():
    text = (DOCS / "api.rst").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. automodule:: ([\w.]+)$(?:\n +:members: (.+)$)?", text, re.MULTILINE)
    members = {module: names.split(", ") if names else [] for module, names in listed}
    assert len(members) == len(listed)
    for name in retinanet_lite.__all__:
        public = getattr(retinanet_lite, name)
        if name != "coco_detector":  # the name that Detector.pretrained had
            assert name in members[public.__module__]
    for module, names in members.items():
        for name in names:
            assert getattr(importlib.import_module(module), name).__doc__, name
