"""Change the address that this project is published at, wherever it stands.

python notebooks/address.py https://github.com/somebody/retinanet-lite

The source is `Repository` in pyproject.toml; the notebooks' first cells and the links to Colab
follow it.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = ("pyproject.toml", "*.md", "docs/*.md", "notebooks/*.ipynb", "notebooks/scripts/*.py")
ADDRESS = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)")


def current(root: Path = ROOT) -> str:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(r'^Repository = "(.+)"$', text, flags=re.MULTILINE)[1]


def change(new: str, root: Path = ROOT) -> None:
    match = ADDRESS.fullmatch(new.removesuffix("/").removesuffix(".git"))
    if match is None:
        raise SystemExit(f"{new} is no address such as https://github.com/somebody/retinanet-lite")
    old_name, new_name = ADDRESS.fullmatch(current(root))[1], match[1]
    site = r"https://(?:github\.com|colab\.research\.google\.com/github)/"
    written = re.compile(rf"({site}){re.escape(old_name)}(?![\w-])")
    changed = 0
    for pattern in FILES:
        for path in root.glob(pattern):
            text, count = written.subn(rf"\g<1>{new_name}", path.read_text(encoding="utf-8"))
            path.write_text(text, encoding="utf-8")
            changed += count > 0
    print(f"{match[0]}: {changed} files changed")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(f"{__doc__}\nNow it is {current()}")
    change(sys.argv[1])
