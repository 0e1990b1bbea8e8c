"""Every check tried on answers made from its solution: the right ones pass, and no wrong one does.

The answers are made by answers.py, so a new exercise is tried as all others are. It only needs an
entry in PROBES: what its function may be asked, by which an answer that passes has to be right.
"""

import copy
import math
import random
import warnings

import pytest
import torch
import torch.nn.functional as F
from answers import NOT_WHOLE, equal, forms, wrong_arguments, wrong_results, wrong_sources
from test_exercises import EXERCISES
from torchvision.ops import box_iou

from retinanet_lite import Anchors
from retinanet_lite.learn import exercises

CHECKS = [pytest.param(*e.values, id=e.values[0].removeprefix("check_")) for e in EXERCISES]
WHOLE = {
    "check_padding_for",
    "check_row_of",
    "check_nms",
    "check_match_voc",
    "check_to_labels",
}


def some_box(pick):
    x, y = pick.randint(-40, 40) / 4, pick.randint(-40, 40) / 4
    return [x, y, x + pick.randint(1, 60) / 4, y + pick.randint(1, 60) / 4]


def some_overlaps(pick):
    count = pick.randint(0, 7)
    table = [[1.0] * count for _ in range(count)]
    for i in range(count):
        for j in range(i):
            table[i][j] = table[j][i] = pick.randint(0, 9) / 10
    scores = [score / 20 for score in pick.sample(range(20), count)]
    return table, scores, pick.randint(1, 9) / 10


def some_curve(pick):
    recall = sorted(pick.randint(0, 20) / 20 for _ in range(pick.randint(1, 7)))
    return recall, [pick.randint(0, 20) / 20 for _ in recall]


def some_matches(pick):
    objects = pick.randint(1, 4)
    rows = [
        [value / 20 for value in pick.sample(range(20), objects)] for _ in range(pick.randint(1, 5))
    ]
    return rows, pick.randint(2, 18) / 20


def some_maps(pick):
    h, w = pick.randint(1, 6), pick.randint(1, 6)
    shapes = (2 * h - pick.randint(0, 1), 2 * w - pick.randint(0, 1)), (h, w)
    return [torch.randn(2, 3, *shape) for shape in shapes]


def some_rows(pick):
    images, anchors, height, width = (pick.randint(1, 4) for _ in range(4))
    return torch.randn(images, height * width * anchors, pick.randint(2, 5)), height, width


def some_levels(pick):
    height, width = pick.randint(1, 300), pick.randint(1, 300)
    rows = sum(9 * -(-height // s) * -(-width // s) for s in (8, 16, 32, 64, 128))
    return torch.randn(2, rows, 3), height, width


def some_place(pick):
    level = pick.randint(3, 7)
    rows, columns = -(-640 // 2**level), -(-832 // 2**level)
    return level, pick.randrange(rows), pick.randrange(columns), pick.randrange(9)


def some_gradients(pick):
    shapes = [tuple(pick.randint(1, 3) for _ in range(pick.randint(1, 2))) for _ in range(3)]
    return [torch.randn(shape) for shape in shapes[: pick.randint(1, 3)]], pick.randint(1, 40) / 10


def some_hits(pick):
    hits = [pick.random() < 0.5 for _ in range(pick.randint(1, 8))]
    return hits, max(1, sum(hits)) + pick.randint(0, 4), pick.randint(1, len(hits))


def some_schedule(pick):
    rising = pick.randint(1, 5)
    drops = sorted(pick.sample(range(rising + 1, 20), pick.randint(0, 3)))
    return pick.randint(0, 22), pick.randint(1, 40) / 40, rising, drops


# what an exercise's function may be asked, at random
PROBES = {
    "check_describe": lambda pick: [some_box(pick)],
    "check_edges": lambda pick: [*some_box(pick)[:2], pick.randint(1, 60) / 4, 1.375],
    "check_padding_for": lambda pick: [2 * pick.randint(0, 40) + 1],
    "check_friends_stem": lambda pick: [],
    "check_count_cells": lambda pick: [pick.randint(1, 1500), pick.randint(1, 1500)],
    "check_merge": some_maps,
    "check_to_grid": some_rows,
    "check_row_of": some_place,
    "check_anchor_shape": lambda pick: [
        pick.randint(1, 512),
        pick.randint(1, 12) / 4,
        pick.randint(1, 12) / 4,
    ],
    "check_best_level": lambda pick: [pick.randint(1, 3200) / 4, pick.randint(1, 3200) / 4],
    "check_iou": lambda pick: [some_box(pick), some_box(pick)],
    "check_targets": lambda pick: [some_box(pick), some_box(pick)],
    "check_focal": lambda pick: [pick.randint(1, 99) / 100, pick.randint(0, 1)],
    "check_prior_bias": lambda pick: [pick.randint(1, 99) / 100],
    "check_split_levels": some_levels,
    "check_learning_rate": some_schedule,
    "check_clip": some_gradients,
    "check_decode_box": lambda pick: [
        some_box(pick),
        [pick.choice((1, 1, 1, 10)) * pick.randint(-20, 20) / 4 for _ in range(4)],
    ],
    "check_nms": some_overlaps,
    "check_count_kept": lambda pick: [
        [
            [pick.randint(0, 10) / 10 for _ in range(pick.randint(0, 5))]
            for _ in range(pick.randint(1, 4))
        ],
        pick.randint(1, 9) / 10,
        pick.randint(1, 5),
    ],
    "check_precision_and_recall": some_hits,
    "check_area": some_curve,
    "check_match_voc": some_matches,
    "check_from_coco": lambda pick: [[*some_box(pick)[:2], pick.randint(1, 60) / 4, 1.375]],
    "check_to_labels": lambda pick: [
        [pick.randint(0, 12) for _ in range(pick.randint(1, 6))],
    ],
}


class Tried:
    """An exercise, its check, and what the check asks."""

    def __init__(self, capsys, check, function, solution):
        self.capsys, self.check, self.function = capsys, check, function
        self.solution = self.made_of(solution)
        self.cases = []

        def recorded(*arguments):
            self.cases.append(copy.deepcopy(arguments))
            return self.solution(*arguments)

        assert self.verdict(recorded) == "right"
        pick = random.Random(1)
        torch.manual_seed(1)
        probes = [tuple(PROBES[check](pick)) for _ in range(200)]
        self.cases = [self.with_result(arguments) for arguments in self.cases]
        self.probes = [self.with_result(arguments) for arguments in probes]

    def with_result(self, arguments):
        return arguments, self.solution(*copy.deepcopy(arguments))

    def made_of(self, source):
        nine = Anchors().shapes[2]
        names = {"math": math, "torch": torch, "F": F, "box_iou": box_iou, "nine": nine}
        exec(source, names)
        return names[self.function]

    def verdict(self, answer):
        self.capsys.readouterr()
        getattr(exercises, self.check)(answer)
        return self.capsys.readouterr().out.strip()

    def differs(self, answer, asked):
        """Whether an answer gives another result than the solution, or changes what it gets."""
        for arguments, wanted in asked:
            given = copy.deepcopy(arguments)
            try:
                result = answer(*given)
            except Exception:
                return True
            if not equal(result, wanted, self.check in WHOLE):
                return True
            if given and not equal(given, arguments):
                return True
        return False

    def misjudged(self, answers):
        """The count of answers refused, and those that the check takes for what they aren't."""
        count, problems = 0, []
        for name, answer in answers:
            said = self.verdict(answer)
            wrong = said.startswith("not yet: ")
            count += wrong
            if not wrong and said != "right":
                problems.append(f"no verdict: {name}: {said}")
            elif not wrong and self.differs(answer, self.cases + self.probes):
                problems.append(f"accepted: {name}")
            elif wrong and not self.differs(answer, self.cases):
                problems.append(f"refused: {name}: {said}")
        return count, problems


@pytest.fixture
def tried(capsys, check, function, solution):
    warnings.simplefilter("ignore")
    return Tried(capsys, check, function, solution)


def test_every_exercise_has_probes():
    assert set(PROBES) == {name for name in vars(exercises) if name.startswith("check_")}


@pytest.mark.parametrize("check, function, blank, solution", CHECKS)
def test_a_right_result_passes_in_every_form(tried, blank):
    names = set.intersection(*(set(forms(result)) for _, result in tried.cases))
    for name in names:
        said = tried.verdict(
            lambda *arguments, name=name: forms(result := tried.solution(*arguments))[name](result)
        )
        whole = tried.check in WHOLE and name.removeprefix("list of: ") in NOT_WHOLE
        assert whole == (said != "right"), (name, said)
    assert len(names) >= 5


@pytest.mark.parametrize("check, function, blank, solution", CHECKS)
def test_a_wrong_result_never_passes(tried, blank):
    count, problems = tried.misjudged(
        wrong_results(tried.solution, [result for _, result in tried.cases])
    )
    assert not problems, tried.check + ": " + "; ".join(problems)
    assert count >= 12


@pytest.mark.parametrize("check, function, blank, solution", CHECKS)
def test_arguments_used_wrongly_never_pass(tried, blank):
    count, problems = tried.misjudged(wrong_arguments(tried.solution, tried.cases[0][0]))
    assert not problems, tried.check + ": " + "; ".join(problems)


def difference(old, new):
    """The lines of a source that are not in another."""
    return " / ".join(line.strip() for line in new.splitlines() if line not in old.splitlines())


@pytest.mark.parametrize("check, function, blank, solution", CHECKS)
def test_a_solution_with_one_place_changed_passes_only_if_it_does_the_same(tried, blank, solution):
    plain, *changed = wrong_sources(solution)
    answers = ((difference(plain, source), tried.made_of(source)) for source in changed)
    count, problems = tried.misjudged(answers)
    assert not problems, tried.check + ": " + "; ".join(problems)
