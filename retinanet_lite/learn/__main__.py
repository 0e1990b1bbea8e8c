"""Check the kept parts from a shell: python -m retinanet_lite.learn mine/

Each part is tried in a process of its own, which is stopped after some time. The exit status is 0
if every part that is there is right.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from .building import PARTS, Part, checked, load
from .grading import NotYet


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m retinanet_lite.learn", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the parts are kept, e.g. mine/")
    parser.add_argument("--seconds", type=float, default=120, help="a part's time (default: 120)")
    parser.add_argument("--part", help=argparse.SUPPRESS)  # in the process of one part
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"there is no folder {options.folder}")
    if options.part:
        return try_one(options.folder, options.part)
    verdicts = [verdict(part, options.folder, options.seconds) for part in PARTS]
    for part, said in zip(PARTS, verdicts, strict=True):
        print(f"{part.name:<18} {said}")
    print(f"{verdicts.count('right')} of {len(PARTS)} are right")
    return int(any(said not in ("right", "open") for said in verdicts))


def try_one(folder: Path, name: str) -> int:
    (part,) = (part for part in PARTS if part.name == name)
    try:
        checked(part, load(folder / f"{name}.py", part.answer))
    except NotYet as problem:
        print(problem)
        return 1
    return 0


def verdict(part: Part, folder: Path, seconds: float) -> str:
    if not (folder / f"{part.name}.py").exists():
        return "open"
    command = [sys.executable, "-m", "retinanet_lite.learn", str(folder), "--part", part.name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"not yet: stopped after {seconds:g} seconds"
    if done.returncode == 0:
        return "right"
    said = (done.stdout.strip() or done.stderr.strip() or "the process died").splitlines()[-1]
    return f"not yet: {said}"


if __name__ == "__main__":
    sys.exit(main())
