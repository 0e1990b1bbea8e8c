"""The exercises: a blank fails, the folded solution passes, typical mistakes are named."""

import math
import re
from pathlib import Path

import jupytext
import pytest
import torch
import torch.nn.functional as F

from retinanet_lite.learn import exercises

SCRIPTS = sorted((Path(__file__).parents[1] / "notebooks" / "scripts").glob("*.py"))


def collect():
    """(check's name, source of the blank, source of the solution) of every exercise."""
    found = []
    for script in SCRIPTS:
        cells = jupytext.read(script).cells
        for cell, after in zip(cells, cells[1:], strict=False):
            call = re.search(r"^(check_\w+)\((\w+)\)$", cell.source, flags=re.MULTILINE)
            if call:
                solution = re.search(r"<details>.*?```python\n(.*?)```", after.source, re.DOTALL)
                blank = cell.source[: call.start()]
                name = f"{script.stem[:2]}-{call[1]}"
                found.append(pytest.param(call[1], call[2], blank, solution[1], id=name))
    return found


EXERCISES = collect()


def verdict(capsys, check, source, function):
    names = {"math": math, "torch": torch, "F": F}
    exec(source, names)
    capsys.readouterr()
    getattr(exercises, check)(names[function])
    return capsys.readouterr().out.strip()


def test_every_check_stands_in_a_notebook():
    checks = {name for name in vars(exercises) if name.startswith("check_")}
    assert checks == {exercise.values[0] for exercise in EXERCISES}


@pytest.mark.parametrize("check, function, blank, solution", EXERCISES)
def test_the_blank_fails(capsys, check, function, blank, solution):
    assert verdict(capsys, check, blank, function) == (
        "not yet: your function returns nothing so far"
    )


@pytest.mark.parametrize("check, function, blank, solution", EXERCISES)
def test_the_solution_passes(capsys, check, function, blank, solution):
    assert verdict(capsys, check, solution, function) == "right"


@pytest.mark.parametrize("check, function, blank, solution", EXERCISES)
def test_an_answer_that_stops_is_told_why(capsys, check, function, blank, solution):
    message = verdict(capsys, check, "def f(*_): return 1 / 0", "f")
    assert message.startswith("not yet: ") and "ZeroDivisionError" in message


down = "9 * sum((h // s) * (w // s) for s in (8, 16, 32, 64, 128))"
MISTAKES = [
    ("check_describe", "b: ((b[2] - b[0]) / 2, (b[3] - b[1]) / 2, 0, 0)", "half the size"),
    (
        "check_describe",
        "b: (b[2] - b[0], b[3] - b[1], (b[0] + b[2]) / 2, (b[1] + b[3]) / 2)",
        "the size comes last",
    ),
    ("check_output_size", "n, k, s, p: (n + 2 * p - k) // s", "one too few"),
    ("check_output_size", "n, k, s, p: (n + p - k) // s + 1", "both sides"),
    ("check_output_size", "n, k, s, p: (n + 2 * p - k) / s + 1", "round down"),
    ("check_receptive_field", ": [(2, 3), (1, 3), (1, 3)]", "kernel comes first"),
    ("check_receptive_field", ": [(3, 2), (3, 2), (3, 2)]", "only the friend's first"),
    ("check_receptive_field", ": [(7, 2)]", "three layers"),
    ("check_level_size", "h, w, level: (h // 2**level, w // 2**level)", "round down"),
    ("check_level_size", "h, w, level: (-(-w // 2**level), -(-h // 2**level))", "rows come first"),
    ("check_merge", "a, b: a + F.interpolate(b, scale_factor=2)", "not by a factor"),
    ("check_merge", "a, b: F.interpolate(b, size=a.shape[-2:])", "do not add"),
    (
        "check_merge",
        "a, b: a + F.interpolate(b, size=a.shape[-2:], mode='bilinear')",
        'mode="nearest"',
    ),
    ("check_to_rows", "x, v: x.reshape(len(x), -1, v)", "Bring the channels to the end"),
    ("check_to_rows", "x, v: x.permute(0, 2, 3, 1)", "it should be"),
    ("check_row_of", "i, j, a, w: i * w + j + a", "9 rows"),
    ("check_row_of", "i, j, a, w: (j * w + i) * 9 + a", "along the row first"),
    ("check_anchor_shape", "b, s, r: (b * s * r**0.5, b * s / r**0.5)", "the other way round"),
    ("check_anchor_shape", "b, s, r: (b * s, b * s * r)", "its area is"),
    ("check_anchor_shape", "b, s, r: (b * s / r, b * s * r)", "square root"),
    ("check_count_anchors", f"h, w: {down}", "round up"),
    (
        "check_count_anchors",
        "h, w: sum(-(-h // s) * -(-w // s) for s in (8, 16, 32, 64, 128))",
        "nine anchors",
    ),
    (
        "check_iou",
        "a, b: (w := min(a[2], b[2]) - max(a[0], b[0])) * (h := min(a[3], b[3]) - max(a[1], b[1]))"
        " / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)",
        "counts as 0",
    ),
    (
        "check_iou",
        "a, b: max(0, min(a[2], b[2]) - max(a[0], b[0]))"
        " * max(0, min(a[3], b[3]) - max(a[1], b[1]))"
        " / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]))",
        "subtract it once",
    ),
    ("check_targets", "a, b: (0.75, 0.0, math.log(2), -math.log(2))", "divide by 0.1"),
    ("check_targets", "a, b: (-7.5, 0.0, -math.log(2) / 0.2, math.log(2) / 0.2)", "sign"),
    ("check_targets", "a, b: (2.5, 0.0, 0.0, 0.0)", "between the centres"),
    ("check_focal", "p, t: (1 - p) ** 2 * math.log(p) * 0.25", "the minus is missing"),
    (
        "check_focal",
        "p, t: -0.25 * (1 - (q := p if t else 1 - p)) ** 2 * math.log(q)",
        "α_t is 0.25 where",
    ),
    (
        "check_focal",
        "p, t: -(0.25 if t else 0.75) * (q := p if t else 1 - p) ** 2 * math.log(q)",
        "(1 − p_t)²",
    ),
    ("check_prior_bias", "p: math.log((1 - p) / p)", "The sign is turned"),
    ("check_prior_bias", "p: math.log(p)", "not eᵇ"),
    ("check_split_levels", "x, h, w: torch.split(x, [1, 2, 3, 4, 5], dim=1)", "it stops"),
    ("check_split_levels", "x, h, w: torch.chunk(x, 5, dim=1)", "they should have"),
]


@pytest.mark.parametrize("check, mistake, message", MISTAKES)
def test_a_typical_mistake_gets_its_own_message(capsys, check, mistake, message):
    assert message in verdict(capsys, check, f"f = lambda {mistake}", "f")


def test_every_exercise_has_at_least_two_typical_mistakes():
    checks = [check for check, _, _ in MISTAKES]
    for exercise in EXERCISES:
        assert checks.count(exercise.values[0]) >= 2, exercise.id
