"""The benchmark runs, and what it writes is what it measured."""

import json
import runpy
import subprocess
import sys
from itertools import product
from pathlib import Path

from retinanet_lite.learn.study_figures import RESULTS

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_the_benchmark_measures_both_and_writes_ratio_and_picture(tmp_path):
    options = (
        "--device cpu --only training inference --repeats 1 --warm-up 0 "
        "--training 1x64x64 1x64x96 --inference 1x64x64 2x64x64 --out"
    )
    run = subprocess.run(
        [sys.executable, BENCHMARKS / "speed.py", *options.split(), tmp_path],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    rows = json.loads((tmp_path / "speed.json").read_text())["rows"]
    assert [row["group"] for row in rows] == ["training"] * 2 + ["inference"] * 2
    for row in rows:
        assert row["ours"] > 0 and row["theirs"] > 0
        assert row["ratio"] == row["ours"] / row["theirs"]
        assert f"{row['name']:50}{row['ours']:9.4f}{row['theirs']:9.4f}" in run.stdout
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_notebook_06_shows_every_training_of_the_study():
    study = runpy.run_path(str(BENCHMARKS / "focal_study.py"))
    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    shown = [(row["setting"], row["seed"], row["loss"]) for row in rows]
    assert shown == list(product(study["SETTINGS"], (0, 1, 2), study["LOSSES"]))
