"""The exercises: a blank fails, the folded solution passes, typical mistakes are named."""

import copy
import linecache
import math
import re

import pytest
import torch
import torch.nn.functional as F
from solutions import PAGE, page, solutions
from torchvision.ops import box_iou

from retinanet_lite import Anchors
from retinanet_lite.learn import exercises
from retinanet_lite.learn.grading import Case, plain, same

EXERCISES = [
    pytest.param(
        one.check, one.answer, one.blank, one.solution, id=f"{one.script.stem[:2]}-{one.check}"
    )
    for one in solutions()
    if one.check != "keep"
]


def verdict(capsys, check, source, function):
    nine = Anchors().shapes[2]  # those of P5
    names = {"math": math, "torch": torch, "F": F, "box_iou": box_iou, "nine": nine}
    exec(source, names)
    capsys.readouterr()
    getattr(exercises, check)(names[function])
    return capsys.readouterr().out.strip()


def test_the_page_of_solutions_has_those_of_the_notebooks():
    """If this fails: python notebooks/solutions.py"""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_check_stands_in_a_notebook():
    checks = {name for name in vars(exercises) if name.startswith("check_")}
    assert checks == {exercise.values[0] for exercise in EXERCISES}


@pytest.mark.parametrize("check, function, blank, solution", EXERCISES)
def test_the_blank_fails(capsys, check, function, blank, solution):
    said = verdict(capsys, check, blank, function)
    assert said.startswith("not yet: ") and said.endswith("your function returns nothing so far")


@pytest.mark.parametrize("check, function, blank, solution", EXERCISES)
def test_an_answer_may_be_written_below_the_blanks_last_line(check, function, blank, solution):
    names = {}
    exec(f"{blank.rstrip()}\n    return 7", names)
    arguments = re.search(rf"def {function}\((.*)\)", blank)[1].split(", ")
    four_numbers = [1, 2, 3, 4]  # what describe and from_coco unpack
    assert names[function](*([four_numbers] * len(list(filter(None, arguments))))) == 7


@pytest.mark.parametrize("check, function, blank, solution", EXERCISES)
def test_the_solution_passes(capsys, check, function, blank, solution):
    assert verdict(capsys, check, solution, function) == "right"


@pytest.mark.parametrize("check, function, blank, solution", EXERCISES)
def test_an_answer_that_stops_is_told_why(capsys, check, function, blank, solution):
    message = verdict(capsys, check, "def f(*_): return 1 / 0", "f")
    assert message.startswith("not yet: ") and "ZeroDivisionError" in message


STRIDES = "(8, 16, 32, 64, 128)"
SHARED = "max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))"
AREAS = "((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]))"
AROUND = "((max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1])))"
WIDER = SHARED.replace("]))", "]) + 1)")
WIDER_AREAS = "((a[2]-a[0]+1) * (a[3]-a[1]+1) + (b[2]-b[0]+1) * (b[3]-b[1]+1))"
# rows before P3 … P7 of 640×832, by level
BEFORE = "(n := (0, 74880, 93600, 98280, 99450)[l - 3])"
COLUMNS = "(104, 52, 26, 13, 7)[l - 3]"
ROWS = "(80, 40, 20, 10, 5)[l - 3]"
P_T = "(q := p if t else 1 - p)"
ALPHA = "(0.25 if t else 0.75)"
TARGETS = (
    "a, b: (wa := a[2] - a[0], ha := a[3] - a[1], w := b[2] - b[0], h := b[3] - b[1], "
    "dx := (b[0] + b[2] - a[0] - a[2]) / 2, dy := (b[1] + b[3] - a[1] - a[3]) / 2) and "
    "(dx / wa / 0.1, dy / ha / 0.1, math.log(w / wa) / 0.2, math.log(h / ha) / 0.2)"
)
STEM = "[(3, 2), (3, 1), (3, 1)]"
DECODE = (
    "a, d: (wa := a[2] - a[0], ha := a[3] - a[1], xa := a[0] + wa / 2, ya := a[1] + ha / 2) and "
    "((x := xa + wa * 0.1 * d[0]) - (w := wa * math.exp(min(0.2 * d[2], math.log(62.5)))) / 2, "
    "(y := ya + ha * 0.1 * d[1]) - (h := ha * math.exp(min(0.2 * d[3], math.log(62.5)))) / 2, "
    "x + w / 2, y + h / 2)"
)
# NMS by recursion: `left` are the places that are left, best first
NMS = (
    "o, s, t: (g := lambda left: [left[0], *g([j for j in left[1:] if o[left[0]][j] <= t])] "
    "if left else [])(sorted(range(len(s)), key=lambda i: -s[i]))"
)
# l is the level, nine the anchors of P5
CENTRED = "[-w / 2, -h / 2, w / 2, h / 2]"
BEST_LEVEL = (
    f"w, h: max((box_iou(nine * 2**l / 32, torch.tensor([{CENTRED}])).max().item(), l) "
    "for l in range(3, 8))[::-1]"
)
ENVELOPE = "sum((r[i] - (r[i - 1] if i else 0)) * max(p[i:]) for i in range(len(r)))"
# found so far, and what detection d finds of its nearest object n
VOC = (
    "o, t: (f := []) or [f.append(n if r[n := r.index(max(r))] >= t and n not in f else -1) "
    "for r in o] and f"
)
RATE = "t, h, r, d: h * (t + 1) / r if t < r else h * 0.1 ** sum(x <= t for x in d)"
CLIP = (
    "g, c: [x * min(1, c / n) for n in [torch.cat([x.flatten() for x in g]).square().sum() ** 0.5]"
    " for x in g]"
)


def pairs(table):
    return [(check, answer) for check, answers in table.items() for answer in answers]


# other ways to be right than the folded solution
RIGHT = {
    "check_describe": [
        "b: torch.tensor([b[0] + b[2], b[1] + b[3], 2 * (b[2] - b[0]), 2 * (b[3] - b[1])]) / 2"
    ],
    "check_padding_for": ["k: k // 2"],
    "check_friends_stem": [": ([[3, 2], [3, 1], [3, 1]], 11.0)"],
    "check_merge": ["a, b: F.interpolate(b, a.shape[-2:]).add_(a)"],
    "check_anchor_shape": ["b, s, r: torch.tensor([b * s / r**0.5, b * s * r**0.5])"],
    "check_iou": [f"a, b: torch.tensor((n := {SHARED}) / ({AREAS} - n))"],
    "check_focal": [
        f"p, t: -{ALPHA} * (1 - (q := torch.tensor(p if t else 1 - p))) ** 2 * q.log()"
    ],
    "check_prior_bias": ["p: round(math.log(p / (1 - p)), 3)"],
    "check_split_levels": [
        f"x, h, w: torch.split(x, [9 * -(-h // s) * -(-w // s) for s in {STRIDES}], dim=1)"
    ],
    "check_nms": [f"o, s, t: torch.tensor((lambda {NMS})(o, s, t))"],
    "check_clip": [f"g, c: tuple((lambda {CLIP})(g, c))"],
    "check_to_labels": ["ids: torch.tensor([sorted(set(ids)).index(i) for i in ids])"],
}

MISTAKES = {
    "check_learning_rate": {
        RATE.replace("(t + 1)", "t"): "Steps count from 0",
        "t, h, r, d: h": "it rises before step R",
        RATE.replace("x <= t", "x < t"): "from its own step on",
        RATE.replace("x <= t", "x > t"): "still to come",
        RATE.replace("0.1 **", "0.1 *"): "Each drop multiplies",
        RATE.replace("h * 0.1 **", "h - 0.1 *"): "not a tenth less",
    },
    "check_clip": {
        "g, c: [x * min(1, c / x.norm()) for x in g]": "take one norm for all",
        CLIP.replace("min(1, c / n)", "c / n"): "a factor is at most 1",
        CLIP.replace(" ** 0.5]", "]"): "The root of the sum of squares is missing",
        "g, c: [x * min(1, c / sum(y.norm() for y in g)) for x in g]": "not the sum",
        CLIP.replace("min(1, c / n)", "n / c"): "not norm / limit",
        f"g, c: [x.flip(0) for x in (lambda {CLIP})(g, c)]": "direction has changed",
        f"g, c: (lambda {CLIP})(g, c)[0]": "return a list of tensors",
    },
    "check_from_coco": {
        "b: b": "The last two are width and height",
        "b: (b[0], b[1], b[0] + b[2] - 1, b[1] + b[3] - 1)": "no − 1",
        "b: (b[0], b[1], b[0] + b[3], b[1] + b[2])": "Width belongs to x",
        "b: (b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2)": "not the centre",
    },
    "check_to_labels": {
        "ids: [i - 1 for i in ids]": "The ids have gaps",
        "ids: [sorted(set(ids)).index(i) + 1 for i in ids]": "Labels start at 0",
        "ids: [list(dict.fromkeys(ids)).index(i) for i in ids]": "they come",
        "ids: 3": "return a list of",
    },
    "check_describe": {
        "b: ((b[2] - b[0]) / 2, (b[3] - b[1]) / 2, b[2] - b[0], b[3] - b[1])": "half the size",
        "b: (b[2] - b[0], b[3] - b[1], (b[0] + b[2]) / 2, "
        "(b[1] + b[3]) / 2)": "The size comes last",
        "b: (b[0] + b[2], b[1] + b[3], b[2] - b[0], b[3] - b[1])": "divide by 2",
        "b: (b[0] + b[2] / 2, b[1] + b[3] / 2, b[2] - b[0], b[3] - b[1])": "needs brackets",
        "b: ((b[0] + b[2]) // 2, (b[1] + b[3]) // 2, b[2] - b[0], b[3] - b[1])": "// rounds down",
        "b: ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[0] - b[2], b[1] - b[3])": "not negative",
        "b: (b[0], b[1], b[2] - b[0], b[3] - b[1])": "not the centre",
    },
    "check_edges": {
        "x, y, w, h: (x - w, y - h, x + w, y + h)": "the whole size",
        "x, y, w, h: (x, y, x + w, y + h)": "from the centre as if",
        "x, y, w, h: (x - w / 2, x + w / 2, y - h / 2, y + h / 2)": "The order is",
        "x, y, w, h: (x - w / 2, y - h / 2, w, h)": "The last two are edges",
        "x, y, w, h: ((x - w) / 2, (y - h) / 2, (x + w) / 2, (y + h) / 2)": "mind the brackets",
        "x, y, w, h: (x - w // 2, y - h // 2, x + w // 2, y + h // 2)": "// rounds down",
        "x, y, w, h: (x + w / 2, y + h / 2, x - w / 2, y - h / 2)": "the smaller ones",
    },
    "check_padding_for": {
        "k: k - 1": "both sides together",
        "k: 0": "Without padding",
        "k: (k + 1) // 2": "one too many",
        "k: k / 2": "no half place",
    },
    "check_friends_stem": {
        ": ([(2, 3), (1, 3), (1, 3)], 11)": "The kernel comes first",
        ": ([(3, 2), (3, 2), (3, 2)], 15)": "Only the friend's first",
        ": ([(3, 1), (3, 1), (3, 1)], 7)": "which layer makes",
        ": ([(7, 2), (3, 1), (3, 1)], 11)": "how large the friend's are",
        ": ([(7, 2)], 7)": "three layers",
        f": ({STEM}, 5)": "is too small",
        f": ({STEM}, 13)": "is too large",
        ": [(3, 2), (3, 1)]": "return two things",
    },
    "check_count_cells": {
        f"h, w: sum((h // s) * (w // s) for s in {STRIDES})": "round up",
        "h, w: sum(-(-h // s) * -(-w // s) for s in (8, 16, 32))": "P3 to P5",
        f"h, w: 9 * sum(-(-h // s) * -(-w // s) for s in {STRIDES})": "nine anchors a cell",
        f"h, w: sum(math.ceil(h / s * w / s) for s in {STRIDES})": "before you multiply",
        "h, w: sum(-(-h // s) * -(-w // s) for s in (8, 16, 32, 64))": "The last level is missing",
    },
    "check_merge": {
        "a, b: a + b": "before you add",
        "a, b: a + F.interpolate(b, scale_factor=2)": "not by a factor",
        "a, b: F.interpolate(b, size=a.shape[-2:])": "do not add",
        "a, b: a": "coarser is missing",
        "a, b: a + F.interpolate(b, size=a.shape[-2:], mode='bilinear')": 'mode="nearest"',
        "a, b: a - F.interpolate(b, size=a.shape[-2:])": "it should be their sum",
        "a, b: (a, F.interpolate(b, size=a.shape[-2:]))": "return one tensor",
    },
    "check_to_grid": {
        "x, h, w: x.reshape(len(x), -1, h, w)": "with the channels at the end",
        "x, h, w: x.reshape(len(x), h, w, -1)": "still at the end",
        "x, h, w: x.reshape(len(x), w, h, -1).permute(0, 3, 1, 2)": "are swapped",
        "x, h, w: x.reshape(len(x), w, h, -1).permute(0, 3, 2, 1)": "height comes before width",
        "x, h, w: [x]": "return one tensor",
    },
    "check_row_of": {
        f"l, i, j, a: 9 * (i * {COLUMNS} + j) + a": "counts within P5",
        f"l, i, j, a: {BEFORE} // 9 + i * {COLUMNS} + j + a": "A cell has nine rows",
        f"l, i, j, a: {BEFORE} // 9 + 9 * (i * {COLUMNS} + j) + a": "A cell has nine rows",
        f"l, i, j, a: {BEFORE} + i * {COLUMNS} + j + a": "A cell has nine rows",
        f"l, i, j, a: {BEFORE} + 9 * (j * {ROWS} + i) + a": "along the row first",
        f"l, i, j, a: {BEFORE} + 9 * (j * {COLUMNS} + i) + a": "along the row first",
        f"l, i, j, a: {BEFORE} + 9 * (i * {ROWS} + j) + a": "as long as P5 has columns",
        f"l, i, j, a: {BEFORE} + 9 * (i * (832 // 2**l) + j) + a": "round up",
        f"l, i, j, a: {BEFORE} + a * {ROWS} * {COLUMNS} + i * {COLUMNS} + j": "follow each other",
    },
    "check_anchor_shape": {
        "b, s, r: (b * s * r**0.5, b * s / r**0.5)": "the other way round",
        "b, s, r: (b * b, b * b)": "width · height = 1,024",
        "b, s, r: (b / r**0.5, b * r**0.5)": "The scale is missing",
        "b, s, r: (b * s, b * s)": "The ratio is missing",
        "b, s, r: (b * s, b * s * r)": "The area changes",
        "b, s, r: (b * s / r, b * s * r)": "square root",
        "b, s, r: (round(b * s / r**0.5, 2), b * s * r**0.5)": "rounded?",
    },
    "check_best_level": {
        f"w, h: ((a := (lambda {BEST_LEVEL})(w, h))[0] - 3, a[1])": "from 0",
        f"w, h: (lambda {BEST_LEVEL})(w, h)[::-1]": "are exchanged",
        BEST_LEVEL.replace("* 2**l / 32", ""): "of P5 for every level",
        f"w, h: (3, box_iou(nine, torch.tensor([{CENTRED}])).max())": "of P5 for every level",
        BEST_LEVEL.replace("/ 32", ""): "was made for stride 32",
        BEST_LEVEL.replace("/ 32", "/ 128"): "is four strides",
        BEST_LEVEL.replace("nine", "nine[::3]"): "of one scale",
        BEST_LEVEL.replace("nine", "nine[3:6]"): "three ratios",
        BEST_LEVEL.replace(CENTRED, "[0, 0, w, h]"): "at the anchors' centre",
        BEST_LEVEL.replace(CENTRED, "[-w, -h, w, h]"): "is twice as large",
        f"w, h: (7, (lambda {BEST_LEVEL})(w, h)[1])": "it is another level's",
        "w, h: (i := (lambda v: 1 / (1 / v + 1)), a := max("
        "(i(box_iou(nine * 2**l / 32, torch.tensor([[-w / 2, -h / 2, w / 2, h / 2]])).max().item()"
        "), l) for l in range(3, 8))) and a[::-1]": "subtract it once",
    },
    "check_iou": {
        f"a, b: {SHARED} / {AREAS}": "subtract it once",
        f"a, b: (n := {SHARED}) / ({AREAS} - 2 * n or 1)": "subtracted twice",
        f"a, b: (n := {WIDER}) / ({WIDER_AREAS} - n)": "No pixel is added",
        f"a, b: (n := {WIDER}) / ({AREAS} - n)": "No pixel is added",
        f"a, b: {SHARED} / min((a[2] - a[0]) * (a[3] - a[1]), "
        f"(b[2] - b[0]) * (b[3] - b[1]))": "the area of one box alone",
        f"a, b: {SHARED}": "divide it by the union",
        f"a, b: {SHARED} / {AROUND}": "the box around both; the union",
        f"a, b: (n := {AROUND}) / ({AREAS} - n)": "min and max are exchanged",
        f"a, b: (n := {SHARED.replace('* max(0, ', '* (')}) / ({AREAS} - n)": "side counts as 0",
        f"a, b: (n := {SHARED.replace('max(0, ', '(', 1)}) / ({AREAS} - n)": "side counts as 0",
        f"a, b: (n := {SHARED.replace('max(0, ', 'abs(')}) / ({AREAS} - n)": "abs takes the gap",
    },
    "check_targets": {
        TARGETS.replace(" / 0.1", "").replace(" / 0.2", ""): "not divided yet",
        TARGETS.replace("/ 0.2", "* 0.2").replace("/ 0.1", "* 0.1"): "do not multiply",
        TARGETS.replace("/ 0.2", "/ 0.1"): "by 0.2, not by 0.1",
        TARGETS.replace("/ 0.1", "/ 0.2"): "by 0.1, not by 0.2",
        TARGETS.replace("(dx", "(-dx").replace(", dy /", ", -dy /"): "The sign is turned",
        TARGETS.replace("math", "-math"): "The sign is turned",
        TARGETS.replace("(dx", "(abs(dx)").replace(", dy /", ", abs(dy) /"): "less than 0 to the",
        TARGETS.replace("a, b:", "b, a:"): "are exchanged",
        TARGETS.replace("b[0] + b[2] - a[0] - a[2]", "2 * (b[0] - a[0])").replace(
            "b[1] + b[3] - a[1] - a[3]", "2 * (b[1] - a[1])"
        ): "not between edges",
        TARGETS.replace("b[0] + b[2] - a[0] - a[2]", "2 * (b[2] - a[2])").replace(
            "b[1] + b[3] - a[1] - a[3]", "2 * (b[3] - a[3])"
        ): "not between edges",
        TARGETS.replace("dx / wa", "dx / w").replace("dy / ha", "dy / h"): "not the box's",
        TARGETS.replace("math.log", ""): "The logarithm is missing",
        TARGETS.replace("log", "log2"): "the natural one",
        TARGETS.replace(" / 0.2", ""): "tw and th are not divided",
        TARGETS.replace(" / 0.1", ""): "tx and ty are not divided",
        TARGETS.replace("dy / ha", "dy / wa"): "not its width",
        TARGETS.replace("dx / wa", "dx / ha"): "not its height",
        TARGETS.replace("log", "log10"): "the natural one",
        TARGETS.replace("wa :=", "ha :=", 1).replace(
            "ha := a[3]", "wa := a[3]"
        ): "width and height are swapped",
        TARGETS.replace("a[2]) / 2", "a[2])").replace("a[3]) / 2", "a[3])"): "Twice the way",
        "a, b: ((b[0] - a[0]) / a[2] / 0.1, (b[1] - a[1]) / a[3] / 0.1, "
        "math.log(b[2] / a[2]) / 0.2, math.log(b[3] / a[3]) / 0.2)": "not centre and size",
        f"a, b: [(t := (lambda {TARGETS})(a, b))[1], t[0], t[3], t[2]]": "Two are swapped",
        TARGETS.replace("dx / wa", "dx").replace("dy / ha", "dy"): "That is in pixels",
        TARGETS.replace(
            "dx / wa / 0.1, dy / ha / 0.1, math.log(w / wa) / 0.2, math.log(h / ha) / 0.2",
            "dx, dy, w - wa, h - ha",
        ): "That is in pixels",
    },
    "check_focal": {
        f"p, t: {ALPHA} * (1 - {P_T}) ** 2 * math.log(q)": "the minus is missing",
        f"p, t: -0.25 * (1 - {P_T}) ** 2 * math.log(q)": "α_t is 0.25 for",
        f"p, t: -((1 - {P_T}) ** 2) * math.log(q)": "α_t is left out",
        f"p, t: -{ALPHA} * (1 - p) ** 2 * math.log(p)": "Take p_t for p",
        f"p, t: -{ALPHA} * (1 - {P_T}) ** 2 * math.log(p)": "In the logarithm",
        f"p, t: -{ALPHA} * (1 - p) ** 2 * math.log({P_T})": "In the square",
        "p, t: -0.25 * (1 - p) ** 2 * math.log(p)": "the loss of target 1",
        f"p, t: -{ALPHA} * {P_T} ** 2 * math.log(q)": "turns the easy entries down",
        f"p, t: -{ALPHA} * math.log({P_T})": "(1 − p_t)² is missing",
        f"p, t: -{ALPHA} * (1 - {P_T}) * math.log(q)": "γ is 2",
        f"p, t: -{ALPHA} * (1 - {P_T}) ** 2 * math.log10(q)": "the natural one",
        f"p, t: -{ALPHA} * (1 - {P_T}) * 2 * math.log(q)": "* 2 doubles",
        f"p, t: -math.log({P_T})": "That is the cross entropy",
        f"p, t: -{ALPHA} * (1 - (q := 1 - p if t else p)) ** 2 * "
        f"math.log(q)": "p and 1 − p are exchanged",
        "p, t: -0.25 * (1 - p) ** 2 * torch.log(p)": "are plain numbers here",
    },
    "check_prior_bias": {
        "p: math.log((1 - p) / p)": "The sign is turned",
        "p: math.log(p)": "not eᵇ",
        "p: 1 / (1 + math.exp(-p))": "You took the sigmoid",
    },
    "check_split_levels": {
        "x, h, w: torch.split(x, [1, 2, 3, 4, 5], dim=1)": "The levels have",
        f"x, h, w: torch.split(x, "
        f"[9 * -(-h // s) * -(-w // s) for s in {STRIDES}])": "rows are dim=1",
        "x, h, w: torch.chunk(x, 5, dim=1)": "they should have",
        "x, h, w: torch.chunk(x, 5)": "it should be five",
        "x, h, w: x": "return a list",
        f"x, h, w: torch.split(x.flip(1), [9 * -(-h // s) * -(-w // s) for s in {STRIDES}], "
        f"dim=1)": "row 0 of P3 should be",
    },
    "check_decode_box": {
        DECODE.replace("math.log(62.5)", "math.inf"): "The clamp is missing",
        DECODE.replace("d[2], math.log(62.5)", "d[2], math.inf"): "The clamp is only for th",
        DECODE.replace("d[3], math.log(62.5)", "d[3], math.inf"): "The clamp is only for tw",
        DECODE.replace("min(0.2 * d", "0.2 * min(d"): "The clamp comes after",
        DECODE.replace("0.1 * d", "1 * d").replace("0.2 * d", "1 * d"): "Multiply first",
        DECODE.replace("0.1 * d", "10 * d").replace("0.2 * d", "5 * d"): "encode divides",
        DECODE.replace("wa * 0.1", "0.1").replace("ha * 0.1", "0.1"): "in anchor sizes",
        DECODE.replace("0.1 * d", "0.2 * d"): "by 0.1, not by 0.2",
        DECODE.replace("xa +", "xa -").replace("ya +", "ya -"): "The sign is turned",
        DECODE.replace("+ wa / 2", "").replace("+ ha / 2", ""): "not at its corner",
        DECODE.replace("math.exp(min(", "(max(-math.inf, ").replace(
            ", math.log(62.5)", ""
        ): "The exponential is missing",
        DECODE.replace("w / 2, y + h / 2", "w, y + h").replace(
            "62.5)))) / 2", "62.5))))"
        ): "Half of the size",
        f"a, d: (c := (lambda {DECODE})(a, d)) and ((x := (c[0] + c[2]) / 2), "
        "(y := (c[1] + c[3]) / 2), x + c[2] - c[0], y + c[3] - c[1])": "as if it were a corner",
        f"a, d: (c := (lambda {DECODE})(a, d)) and "
        "((c[0] + c[2]) / 2, (c[1] + c[3]) / 2, c[2] - c[0], "
        "c[3] - c[1])": "That is centre and size",
    },
    "check_nms": {
        f"o, s, t: sorted((lambda {NMS})(o, s, t))": "in the order of the scores",
        NMS.replace("<= t", "<= 1"): "Nothing is removed",
        "o, s, t: list(range(len(s)))": "Nothing is removed",
        NMS.replace("<= t", "< t"): "not if it is equal",
        "o, s, t: [i for i in sorted(range(len(s)), key=lambda i: -s[i]) "
        "if all(o[i][j] <= t for j in range(len(s)) if s[j] > s[i])]": "A box that has gone",
        NMS.replace("-s[i]", "i"): "the highest first",
        NMS.replace("-s[i]", "s[i]"): "begins with the lowest",
        "o, s, t: [i for i in sorted(range(len(s)), key=lambda i: -s[i]) "
        "if i == (b := s.index(max(s))) or o[b][i] <= t]": "with the best box alone",
        "o, s, t: [s.index(max(s))]": "Boxes elsewhere stay",
        "o, s, t: (f := []) or [f.append(i) for i in sorted(range(len(s)), key=lambda i: -s[i]) "
        "if not f or o[i][f[-1]] <= t] and f": "with the box kept last",
        "o, s, t: 3": "return a list of whole numbers",
    },
    "check_count_kept": {
        "v, t, k: sum(min(k, sum(s >= t for s in level)) for level in v)": "equals the threshold",
        "v, t, k: min(k, sum(s > t for level in v for s in level))": "not for all together",
        "v, t, k: sum(s > t for level in v for s in level)": "at most top_k",
        "v, t, k: sum(min(k, len(level)) for level in v)": "The threshold is missing",
        "v, t, k: sum(len(level) - min(k, "
        "sum(s > t for s in level)) for level in v)": "those that are left out",
    },
    "check_precision_and_recall": {
        "h, m, n: (sum(h[:n]) / m, sum(h[:n]) / n)": "The two are exchanged",
        "h, m, n: (sum(h) / len(h), sum(h) / m)": "That is of all detections",
        "h, m, n: (sum(h[:n]) / len(h), sum(h[:n]) / m)": "of the detections taken",
        "h, m, n: (sum(h[:n]) / n, sum(h[:n]) / n)": "the share of the objects",
        "h, m, n: (sum(h[:n]) / n, sum(h[:n]) / sum(h))": "the objects never found",
        "h, m, n: (sum(h[:n]) / n, n / m)": "counts the hits alone",
        "h, m, n: (sum(h[:n]), sum(h[:n]))": "divide them",
    },
    "check_area": {
        f"r, p: {ENVELOPE.replace('max(p[i:])', 'p[i]')}": "the area under the precision",
        f"r, p: {ENVELOPE.replace('p[i:]', 'p[:i + 1]')}": "looks ahead",
        f"r, p: {ENVELOPE.replace('(len', '(1, len')}": "The first step counts",
        "r, p: "
        f"{ENVELOPE.replace('max(p[i:])', '(p[i] + p[i - 1] * (i > 0)) / 2')}": "No slanted sides",
        "r, p: sum(p) / len(p)": "the mean over the detections",
        "r, p: sum(max(p[i:]) for i in range(len(p))) / len(p)": "the mean over the detections",
        "r, p: sum(max([b for a, b in zip(r, p) if a >= i / 100], default=0) "
        "for i in range(101)) / 101": "COCO's mean",
        "r, p: sum(max([b for a, b in zip(r, p) if a >= i / 10], default=0) "
        "for i in range(11)) / 11": "at 11 recalls",
    },
    "check_match_voc": {
        "o, t: [n if r[n := r.index(max(r))] >= t else -1 for r in o]": "found only once",
        "o, t: (f := []) or [f.append(max([j for j in range(len(r)) if j not in f and r[j] >= t], "
        "key=r.__getitem__, default=-1)) for r in o] and f": "COCO's rule",
        "o, t: (f := []) or [f.append(next((j for j in range(len(r)) if j not in f and r[j] >= t), "
        "-1)) for r in o] and f": "not the first",
        VOC.replace(">= t", "> t"): "is enough",
        "o, t: (f := {}) or [f.setdefault((n := o[d].index(max(o[d])), o[d][n] >= t), d) for d in "
        "sorted(range(len(o)), key=lambda d: -max(o[d]))] and [n if f[n := r.index(max(r)), "
        "r[n] >= t] == d and r[n] >= t else -1 for d, r in enumerate(o)]": "comes first",
        VOC.replace(
            "r[n := r.index(max(r))] >= t", "(n := r.index(max(r))) >= 0"
        ): "nothing is found",
        "o, t: (f := []) or (g := []) or [(f.append(n if r[n := r.index(max(r))] >= t and n not in "
        "g else -1), g.append(n)) for r in o] and f": "finds nothing: the next",
        f"o, t: list(map(lambda n: int(n >= 0), (lambda {VOC})(o, t)))": "not whether it hits",
        "o, t: [[1, 2]]": "return a list of whole numbers",
    },
}

# wrong, and right in some case
NEAR_MISSES = {
    "check_describe": ["b: ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2, 40, 80)"],
    "check_edges": ["x, y, w, h: (x - w / 2, y - h / 2, x + w / 2, y + w)"],
    "check_padding_for": ["k: round(k / 2)", "k: (k - 1) / 2 + 0.4", "k: (k - 1) / 2"],
    "check_count_cells": ["h, w: sum(round(h / s) * round(w / s) for s in (8, 16, 32, 64, 128))"],
    "check_to_grid": [
        "x, h, w: x.reshape(2, 2, 5, 12).permute(0, 3, 1, 2)",
        "x, h, w: x.reshape(len(x), h, w, -1, x.shape[2]).permute(0, 4, 3, 1, 2)"
        ".reshape(len(x), -1, h, w)",
    ],
    "check_row_of": [
        "l, i, j, a: 93600 + 9 * (i * 26 + j) + a",
        f"l, i, j, a: {BEFORE} + 9 * (i * {COLUMNS} + j) + a + (l == 7)",
    ],
    "check_anchor_shape": [
        "b, s, r: (-b * s / r**0.5, -b * s * r**0.5)",
        "b, s, r: (b / r**0.5, b * s * r**0.5)",
    ],
    "check_best_level": ["w, h: (4, 0.693)"],
    "check_iou": [f"a, b: round((n := {SHARED}) / ({AREAS} - n), 2)"],
    "check_targets": [TARGETS.replace("dy /", "1.001 * dy /")],
    "check_prior_bias": ["p: -4.595", "p: (p - 0.5) * 9.378"],
    "check_decode_box": ["a, d: (4.163, 13.25, 63.836, 78.75)"],
    "check_nms": ["o, s, t: [0, 2, 4]"],
    "check_count_kept": ["v, t, k: 3"],
    "check_precision_and_recall": ["h, m, n: (round(sum(h[:n]) / n, 2), sum(h[:n]) / m)"],
    "check_area": ["r, p: 5 / 6", f"r, p: {ENVELOPE.replace('p[i:]', 'p[max(i - 1, 0) :]')}"],
    "check_match_voc": ["o, t: [1, -1, -1]"],
    "check_learning_rate": ["t, h, r, d: h * (t + 2) / r"],
    "check_clip": ["g, c: [x * 0 for x in g]", "g, c: [x * min(1, c / 5) for x in g]"],
    "check_merge": ["a, b: a.add_(F.interpolate(b, a.shape[-2:]))"],
    "check_to_labels": ["ids: [0 for i in ids]"],
    "check_from_coco": ["b: (b[0], b[1], b[2], b[1] + b[3])"],
}

NUMBERS = {
    "check_describe": "return four numbers, centre x, centre y, width and height",
    "check_edges": "return four numbers, x1, y1, x2 and y2",
    "check_padding_for": "return one number, the padding",
    "check_count_cells": "return one number, the count of cells",
    "check_row_of": "return one number, the row",
    "check_anchor_shape": "return two numbers, width and height",
    "check_best_level": "return two numbers, level and IoU",
    "check_iou": "return one number, the IoU",
    "check_targets": "return four numbers, tx, ty, tw and th",
    "check_focal": "return one number, the loss",
    "check_prior_bias": "return one number, the bias",
    "check_decode_box": "return four numbers, x1, y1, x2 and y2",
    "check_count_kept": "return one number, the count",
    "check_precision_and_recall": "return two numbers, precision and recall",
    "check_area": "return one number, the area",
    "check_learning_rate": "return one number, the rate",
    "check_from_coco": "return four numbers, x1, y1, x2 and y2",
}


@pytest.mark.parametrize("check, answer", pairs(RIGHT))
def test_there_are_more_ways_to_be_right(capsys, check, answer):
    assert verdict(capsys, check, f"f = lambda {answer}", "f") == "right"


@pytest.mark.parametrize("check, mistake", pairs(MISTAKES))
def test_a_typical_mistake_gets_its_own_message(capsys, check, mistake):
    message = MISTAKES[check][mistake]
    said = verdict(capsys, check, f"f = lambda {mistake}", "f")
    others = {*MISTAKES[check].values()} - {message}
    assert said.startswith("not yet: ") and message in said
    assert not [other for other in others if other in said]


@pytest.mark.parametrize("check, mistake", pairs(NEAR_MISSES))
def test_a_near_miss_fails(capsys, check, mistake):
    said = verdict(capsys, check, f"f = lambda {mistake}", "f")
    assert said.startswith("not yet: ") and "nothing" not in said


@pytest.mark.parametrize("check, message", NUMBERS.items())
@pytest.mark.parametrize("result", ["5", "'five'", "torch.zeros(3)"])
def test_the_wrong_number_of_numbers_is_told_what_to_return(capsys, check, message, result):
    if result == "5" and "one number" in message:
        result = "(5, 5)"
    assert verdict(capsys, check, f"f = lambda *_: {result}", "f") == f"not yet: {message}"


def test_an_answer_that_returns_nothing_in_one_case_is_told_in_which(capsys):
    only_boxes_that_meet = f"a, b: (n := {SHARED}) and n / ({AREAS} - n) or None"
    said = verdict(capsys, "check_iou", f"f = lambda {only_boxes_that_meet}", "f")
    assert "for [0, 0, 10, 10] and [20, 0, 30, 10] your function returns nothing" in said


ROUNDED = {
    "check_iou": f"a, b: round((n := {SHARED}) / ({AREAS} - n), digits)",
    "check_targets": f"a, b: [*map(lambda t: round(t, digits), (lambda {TARGETS})(a, b))]",
    "check_focal": f"p, t: round(-{ALPHA} * (1 - {P_T}) ** 2 * math.log(q), digits)",
    "check_best_level": f"w, h: [round(x, digits) for x in (lambda {BEST_LEVEL})(w, h)]",
}


@pytest.mark.parametrize("digits", [1, 2, 3, 4])
@pytest.mark.parametrize("check, answer", ROUNDED.items())
def test_a_rounded_answer_is_told_so(capsys, check, answer, digits):
    source = f"digits = {digits}\nf = lambda {answer}"
    assert "nearly right. Is something rounded?" in verdict(capsys, check, source, "f")


def test_a_sum_of_rounded_numbers_that_is_right_to_the_digits_shown_is_told_so(capsys):
    off = f"a, b: [*map(lambda t: t + 0.0001, (lambda {TARGETS})(a, b))]"
    assert "rounded?" in verdict(capsys, "check_targets", f"f = lambda {off}", "f")


def test_the_message_of_the_stem_does_not_give_the_field_away(capsys):
    for field in (5, 7, 13, 15):
        said = verdict(capsys, "check_friends_stem", f"f = lambda: ({STEM}, {field})", "f")
        assert "11" not in said


def test_every_exercise_has_at_least_two_typical_mistakes():
    for name in vars(exercises):
        if name.startswith("check_"):
            assert len(MISTAKES[name]) >= 2, name


@pytest.fixture
def cases(monkeypatch):
    """The cases in which a check tries an answer."""
    made = []
    init = Case.__init__

    def keep(case, *arguments):
        init(case, *arguments)
        made.append(copy.copy(case))

    monkeypatch.setattr(Case, "__init__", keep)
    return made


@pytest.mark.parametrize("check, function, blank, solution", EXERCISES)
def test_a_mistake_can_be_told_in_two_cases(capsys, cases, check, function, blank, solution):
    verdict(capsys, check, solution, function)
    for place, (_, message) in enumerate(cases[0].mistakes if cases else ()):
        pairs = [(plain(case.mistakes[place][0]), plain(case.wanted)) for case in cases]
        told = [gives for gives, wanted in pairs if gives is not None and not same(gives, wanted)]
        assert len(told) >= 2, (check, message, told)


@pytest.mark.parametrize("check, mistake", pairs(MISTAKES))
def test_a_mistake_made_in_the_first_case_alone_is_not_named(capsys, cases, check, mistake):
    """What the message says would not be true of the answer."""
    function, solution = next(e.values[1::2] for e in EXERCISES if e.values[0] == check)
    source = f"""{solution}
calls = []
mistaken = lambda {mistake}
def f(*given):
    calls.append(given)
    return mistaken(*given) if len(calls) == 1 else {function}(*given)
"""
    said = verdict(capsys, check, source, "f")
    hints = {message for case in cases for _, message in case.mistakes}
    named = [hint for hint in hints if MISTAKES[check][mistake] in hint]
    assert not any(hint in said for hint in named), said


def stopped(capsys, source, function="f"):
    said = verdict(capsys, "check_describe", source, function)
    return said.removeprefix("not yet: for [10, 20, 50, 100] your function stopped with ")


AT_FAULT = "def f(boxes):\n    wide = boxes[2]\n    return boxes[wide]\n"


def test_an_answer_that_stops_is_told_the_line(capsys):
    assert stopped(capsys, AT_FAULT) == "IndexError: list index out of range, in line 3"


def test_and_the_text_of_the_line_where_it_is_known(capsys, monkeypatch):
    lines = AT_FAULT.splitlines(keepends=True)
    monkeypatch.setitem(linecache.cache, "cell 7", (len(AT_FAULT), None, lines, "cell 7"))
    names = {}
    exec(compile(AT_FAULT, "cell 7", "exec"), names)
    exercises.check_describe(names["f"])
    said = capsys.readouterr().out
    assert said.endswith("IndexError: list index out of range, in line 3: return boxes[wide]\n")


def test_the_line_is_one_of_the_learners_own_code(capsys):
    source = "def f(box):\n    return torch.zeros(2) + torch.zeros(3)\n"
    assert stopped(capsys, source).endswith("in line 2")
    assert "in line" not in stopped(capsys, "f = math.sin")


def test_a_generator_that_stops_is_told_the_line(capsys):
    assert stopped(capsys, "def f(box):\n    yield 1\n    yield 1 / 0").endswith("zero, in line 3")


def test_an_error_without_words_is_told(capsys):
    assert stopped(capsys, "def f(box):\n    assert box == 7") == "AssertionError, in line 2"


@pytest.mark.parametrize("change", ["b.reverse()", "b.append(b[0])", "b.clear()"])
def test_an_answer_that_changes_what_it_is_given_is_told_so(capsys, change):
    source = f"def f(b):\n    x, y, w, h = b\n    {change}\n    return x, y, x + w, y + h"
    said = verdict(capsys, "check_from_coco", source, "f")
    assert said == "not yet: your function changes what it is given: work on a copy"


def test_a_float_for_an_index_is_told_so(capsys):
    said = verdict(capsys, "check_padding_for", "f = lambda k: (k - 1) / 2", "f")
    assert "return a whole number, 3: // gives one" in said
    said = verdict(capsys, "check_to_labels", "f = lambda ids: [0.0 for i in ids]", "f")
    assert "0.0 is of another type" in said
