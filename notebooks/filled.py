"""Run the notebooks as one who has filled all blanks, and compare with what is stored.

python notebooks/filled.py            all of them, in order, as in one reader's evenings
python notebooks/filled.py 07 09      those whose names start so

Exercises have to be right, parts have to be kept, and what the other cells print has to be as it is
stored, but for the lines that say whose the parts are. Parts of notebooks that are left out are
kept first.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from solutions import CALL, HERE, Solution, solutions

TELLS_WHOSE = re.compile(r"\b(show_parts|with_your_parts|keep_trained|measure_yours)\(")
IGNORED = "nbval-ignore-output"


def printed(cell: nbformat.NotebookNode) -> str:
    """What a cell prints, without what it writes beside that."""
    texts = [o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout"]
    return "".join(texts)


def differences(stem: str, filled: dict[str, Solution]) -> list[str]:
    """What is not as it should be in a notebook whose blanks are filled."""
    notebook = nbformat.read(HERE / f"{stem}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    stored = [printed(cell) for cell in cells]
    answers = {}
    for cell in cells:
        if call := CALL.search(cell.source):
            answers[cell.id] = cell.source
            cell.source = f"{filled[call[2]].solution}\n\n\n{call[0]}"
    NotebookClient(
        notebook, timeout=1200, coalesce_streams=True, resources={"metadata": {"path": HERE}}
    ).execute()
    problems = []
    for cell, before in zip(cells, stored, strict=True):
        now = printed(cell)
        if cell.id in answers:
            if not now.startswith("right"):
                problems.append(f"{cell.source[-40:]!r} says {now!r}")
        elif IGNORED in cell.metadata.get("tags", []):
            continue
        elif TELLS_WHOSE.search(cell.source):
            print(f"{stem}: {now.strip()}")
        elif now != before:
            problems.append(f"{now!r} is printed, stored is {before!r}")
    return problems


def keep_others(stems: list[str], filled: dict[str, Solution]) -> None:
    """Keep the parts of the notebooks that are not run, as their pages would."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from building import made_of

    from retinanet_lite import learn

    for one in filled.values():
        if one.check == "keep" and one.script.stem not in stems:
            learn.keep(made_of(one, one.solution))


def main(prefixes: list[str]) -> int:
    filled = {one.answer: one for one in solutions()}
    stems = [path.stem for path in sorted(HERE.glob("[0-9]*.ipynb"))]
    stems = [stem for stem in stems if not prefixes or stem.startswith(tuple(prefixes))]
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RETINANET_LITE_MINE"] = str(Path(folder) / "mine")
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see conftest.py
        os.environ.pop("MPLBACKEND", None)
        keep_others(stems, filled)
        for stem in stems:
            problems = differences(stem, filled)
            count += len(problems)
            print(f"{stem}: {'as stored' if not problems else ''}")
            for problem in problems:
                print(f"    {problem}")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
