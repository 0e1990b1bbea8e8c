"""The solutions that stand folded in the notebooks, together on one page: docs/solutions.md.

python notebooks/solutions.py
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import jupytext

HERE = Path(__file__).parent
SCRIPTS = sorted((HERE / "scripts").glob("[0-9]*.py"))
PAGE = HERE.parent / "docs" / "solutions.md"
CALL = re.compile(r"^learn\.(keep|check_\w+)\((\w+)\)$", re.MULTILINE)
HEAD = """# Solutions

*Made from the notebooks by `python notebooks/solutions.py`.*

All solutions on one page, for whoever teaches with the notebooks, or has tried. Each links to its blank. They are ours; yours may look different and be right.

```python
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import batched_nms, box_iou

import retinanet_lite
```
"""


@dataclass(frozen=True)
class Solution:
    """What a reader has to write, and our form of it.

    Args:
        script: the notebook's source.
        heading: under which it stands, e.g. "Exercise 1 (5 min)".
        check: "keep" for a part of the reader's RetinaNet, or the name of the check.
        answer: what the reader's class or function is called.
        blank: the text of the cell, without the check.
        solution: ours, with the reader's name.
        before: the cells of code before it.
    """

    script: Path
    heading: str
    check: str
    answer: str
    blank: str
    solution: str
    before: tuple[str, ...]


def renamed(folded: str, answer: str) -> str:
    """A folded cell with its last class or function called as the reader's."""
    last = [node for node in ast.parse(folded).body if hasattr(node, "name")][-1]
    return re.sub(rf"^(class|def) {last.name}\b", rf"\1 {answer}", folded, flags=re.MULTILINE)


def solutions() -> list[Solution]:
    """All of them, in the order of the notebooks."""
    found = []
    for script in SCRIPTS:
        heading, code = "", []
        cells = jupytext.read(script).cells
        for number, cell in enumerate(cells):
            if cell.cell_type == "markdown":
                heading = (re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE) or [heading])[-1]
                continue
            if call := CALL.search(cell.source):
                check, answer = call.groups()
                if check == "keep":
                    text = renamed(cells[number + 2].source, answer)
                else:
                    after = cells[number + 1].source
                    text = re.search(r"```python\n(.*?)\n```", after, re.DOTALL)[1]
                blank = cell.source[: call.start()].rstrip()
                found.append(
                    Solution(script, heading, check, answer, blank, text.strip(), tuple(code))
                )
            code.append(cell.source)
    return found


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def page() -> str:
    """The text of docs/solutions.md."""
    parts, last = [HEAD], None
    for one in solutions():
        if one.script != last:
            title = re.search(r"^# # (.+)$", one.script.read_text(encoding="utf-8"), re.MULTILINE)
            parts.append(f"## {title[1]}\n")
            last = one.script
        link = f"../notebooks/{one.script.stem}.ipynb#{slug(one.heading)}"
        parts.append(f"### [{one.heading}]({link})\n\n```python\n{one.solution}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{len(solutions())} solutions in {PAGE.name}")
