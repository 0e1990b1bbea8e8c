"""Notebooks 08 and 11: training, and data of one's own."""

from collections.abc import Callable

import torch

from ..grading import (
    Case,
    NotYet,
    filled,
    first_wrong,
    graded,
    judge,
    judge_lists,
    same,
    show,
    tried,
)


@graded
def check_learning_rate(step_rate: Callable) -> None:
    """Notebook 08, exercise 1: a rate that rises, stays, and drops to a tenth at given steps."""
    schedules = [
        (0.08, 4, [10, 15], (0, 3, 4, 9, 10, 14, 15, 40)),
        (0.3, 2, [3, 5, 6], (0, 1, 2, 3, 4, 5, 6, 7)),
        (2.0, 10, [], (0, 1, 8, 9, 10, 1000)),
        (0.001, 7, [20, 40], (0, 2, 5, 19, 20, 45)),
    ]
    cases = []
    for highest, rising, drops, steps in schedules:
        for t in steps:
            gone = sum(drop <= t for drop in drops)

            def rises_to(later: float, t=t, highest=highest, rising=rising) -> float:
                return highest * (t + 1) / rising if t < rising else later

            mistakes = [
                (
                    highest * t / rising if t < rising else highest * 0.1**gone,
                    "Steps count from 0: step 0 has h / R, not 0",
                ),
                (
                    rises_to(highest * 0.1 ** sum(drop < t for drop in drops)),
                    "A drop counts from its own step on",
                ),
                (highest, "That is the highest rate: it rises before step R, and drops later"),
                (
                    rises_to(highest * 0.1 * gone),
                    "Each drop multiplies by a tenth what was left",
                ),
                (
                    rises_to(highest - 0.1 * gone),
                    "A tenth of the rate, not a tenth less: multiply",
                ),
                (
                    rises_to(highest * 0.1 ** sum(drop > t for drop in drops)),
                    "You count the drops that are still to come",
                ),
            ]
            asked = f"for t = {t}, h = {highest}, R = {rising}, drops = {drops}"
            arguments = (t, highest, rising, drops)
            cases.append(Case(asked, arguments, rises_to(highest * 0.1**gone), mistakes))
    judge(step_rate, cases, ["the rate"], digits=6)


def norms_of(gradients: list[torch.Tensor]) -> list[float]:
    return [g.double().norm().item() for g in gradients]


@graded
def check_clip(clip: Callable) -> None:
    """Notebook 08, exercise 2: gradients shortened together to a common norm."""
    lists = [
        [torch.tensor([3.0, 0.0]), torch.tensor([[0.0], [4.0]])],
        [torch.tensor([[2.0, -3.0], [0.0, 6.0]]), torch.tensor([-24.0])],
        [
            torch.tensor([-8.0, 1.0, 4.0]),
            torch.tensor([12.25, 0.0]),
            torch.tensor([[-20.0, 2.375]]),
        ],
    ]
    cases = []
    for gradients in lists:
        norms = norms_of(gradients)
        norm = sum(n**2 for n in norms) ** 0.5
        for limit in (1.0, 10.0, 2.25, 40.0):
            together = f"norms {' and '.join(map(show, norms))}, together {show(norm)}"
            asked = f"for gradients of {together}, and limit {limit:g},"
            factors = [
                (limit / norm, "Below the limit, nothing changes: a factor is at most 1"),
                (
                    min(1, limit / sum(norms)),
                    "The common norm is the root of the sum of squares, not the sum",
                ),
                (min(1, limit / norm**2), "The root of the sum of squares is missing"),
                (norm / limit, "The factor is limit / norm, not norm / limit"),
                (min(1, norm / limit), "The factor is limit / norm, not norm / limit"),
            ]
            mistakes = [([g * factor for g in gradients], hint) for factor, hint in factors]
            alone = [g * min(1, limit / n) for g, n in zip(gradients, norms, strict=True)]
            mistakes += [(alone, "Each is clipped on its own; take one norm for all")]
            wanted = [g * min(1.0, limit / norm) for g in gradients]
            cases.append(Case(asked, (gradients, limit), wanted, mistakes))

    def read(said: object, case: Case) -> object:
        said = filled(said, case.asked)
        shapes = [getattr(g, "shape", None) for g in said] if isinstance(said, list) else None
        if shapes != [g.shape for g in case.wanted]:
            raise NotYet(f"{case.asked} return a list of tensors of the same shapes")
        return said

    if problem := first_wrong(tried(clip, cases, read)):
        case, hint = problem
        said, wanted = norms_of(case.said), norms_of(case.wanted)
        if same(said, wanted):
            raise NotYet(f"{case.asked} the norms are right, but the direction has changed")
        hint = hint or f"They should be {' and '.join(map(show, wanted))}"
        raise NotYet(f"{case.asked} yours have norms {' and '.join(map(show, said))}. {hint}")


@graded
def check_from_coco(from_coco: Callable) -> None:
    """Notebook 11, exercise 1: COCO's box → edges."""
    cases = []
    for x, y, w, h in [
        (10, 20, 30, 50),
        (0, 7, 5, 2),
        (-14.375, -9.5, 7.125, 3.75),
        (6.5, 0.25, 1, 9),
    ]:
        mistakes = [
            ((x, y, w, h), "The last two are width and height; edges are wanted"),
            ((x, y, x + w - 1, y + h - 1), "COCO counts from 0, without a last pixel: no − 1"),
            ((x, y, x + h, y + w), "Width belongs to x, and height to y"),
            (
                (x - w / 2, y - h / 2, x + w / 2, y + h / 2),
                "COCO's x and y are the upper left corner, not the centre",
            ),
        ]
        box = [x, y, w, h]
        cases.append(Case(f"for {box}", [box], (x, y, x + w, y + h), mistakes))
    judge(from_coco, cases, ["x1", "y1", "x2", "y2"])


@graded
def check_to_labels(to_labels: Callable) -> None:
    """Notebook 11, exercise 2: category ids with gaps → labels 0 … K − 1."""
    cases = []
    for ids in ([3, 1, 7, 3], [90, 2, 2, 5, 1], [0, 100, 9, 20, 50, 100], [8], [4, 5, 6]):
        order = sorted(set(ids))
        first_seen = list(dict.fromkeys(ids))
        wanted = [order.index(i) for i in ids]
        with_doubles = sorted(ids)
        mistakes = [
            (
                [with_doubles.index(i) for i in ids],
                "An id that comes twice counts once: make the labels from the different ids",
            ),
            ([i - 1 for i in ids], "The ids have gaps, the labels have none"),
            ([i + 1 for i in wanted], "Labels start at 0; the background has none"),
            (
                [first_seen.index(i) for i in ids],
                "That is the order in which they come; the order of the ids is the same in every "
                "file",
            ),
        ]
        cases.append(Case(f"for {ids}", [ids], wanted, mistakes))
    judge_lists(to_labels, cases, "a label for each id")
