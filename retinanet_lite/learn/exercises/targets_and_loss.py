"""Notebooks 05 to 07: targets, focal loss, the whole model."""

import math
from collections.abc import Callable

import torch

from ..grading import (
    Case,
    NotYet,
    Stopped,
    filled,
    first_wrong,
    graded,
    judge,
    numbers,
    same,
    tried,
)
from .network import grids


@graded
def check_iou(iou: Callable) -> None:
    """Notebook 05, exercise 1: intersection over union of two boxes."""

    def area(box: list[float], more: int = 0) -> float:
        return (box[2] - box[0] + more) * (box[3] - box[1] + more)

    cases = []
    for a, b in [
        ([0, 0, 4, 8], [2, 4, 12, 10]),
        ([0, 0, 10, 10], [5, 0, 15, 10]),
        ([0, 0, 10, 10], [2, 3, 6, 8]),
        ([0, 0, 10, 10], [0, 0, 10, 10]),
        ([0, 0, 10, 10], [20, 0, 30, 10]),
        ([0, 0, 10, 10], [0, 20, 10, 30]),
        ([0, 0, 10, 10], [20, 20, 30, 30]),
        ([30, 1, 42, 5], [1, 2, 8, 9]),
        ([1, 30, 5, 42], [2, 1, 9, 8]),
        ([-6.125, -3, 9, 5.375], [-8, -7.625, -1.25, 0.5]),
        ([2, 3, 9.5, 11], [0, 9, 4, 20]),
        ([0, 0, 4, 4], [4, 1, 6, 9]),
        ([-9.625, -7.375, -2.25, -1.625], [-6.875, -9.25, -1.375, -2.625]),
        ([-6.875, -9.25, -1.375, -2.625], [-9.625, -7.375, -2.25, -1.625]),
    ]:
        common = [max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])]
        around = [min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])]
        width, height = common[2] - common[0], common[3] - common[1]
        apart = width <= 0 or height <= 0
        shared = 0 if apart else width * height
        both = area(a) + area(b)
        grown = max(0, width + 1) * max(0, height + 1)
        right = shared / (both - shared)

        def over(part: float, whole: float) -> float | None:
            return part / whole if whole else None

        signed = "The boxes lie apart: a negative side counts as 0"
        pixel = "No pixel is added to a side: it is x2 − x1"
        alone = "You divide by the area of one box alone; the union is what either box covers"
        mistakes = [
            (over(width * height, both - width * height), signed),
            (over(width * height, both), signed),
            (
                over(abs(width * height), both - abs(width * height)),
                "abs takes the gap for an overlap: use max(0, …)",
            ),
            (over(max(0, width) * height, both - max(0, width) * height), signed),
            (over(width * max(0, height), both - width * max(0, height)), signed),
            (shared / both, "The shared part is in both areas: subtract it once from their sum"),
            (over(grown, area(a, 1) + area(b, 1) - grown), pixel),
            (over(grown, both - grown), pixel),
            (shared / min(area(a), area(b)), alone),
            (shared / max(area(a), area(b)), alone),
            (shared / area(a), alone),
            (shared / area(b), alone),
            (
                shared / area(around),
                "You divide by the box around both; the union is what either box covers",
            ),
            (shared, "That is the shared area; divide it by the union"),
            (
                over(area(around), both - area(around)),
                "min and max are exchanged: those are the edges of the box around both",
            ),
            (over(shared, both - 2 * shared), "The shared part is subtracted twice"),
        ]
        cases.append(Case(f"for {a} and {b}", (a, b), right, mistakes))
    judge(iou, cases, ["the IoU"])


@graded
def check_targets(targets: Callable) -> None:
    """Notebook 05, exercise 2: the four targets of an anchor and its object."""
    cases = []
    for anchor, box in [
        ([10.0, 10.0, 50.0, 90.0], [20.0, 40.0, 110.0, 70.0]),
        ([-20.0, 35.0, 5.0, 52.0], [-90.5, 1.0, -48.0, 50.0]),
        ([3.0, 4.0, 10.625, 9.0], [2.0, 6.0, 5.125, 17.5]),
        ([-7.375, -9.625, -1.625, -2.25], [-6.875, -9.25, -1.375, -3.625]),
    ]:
        (ax, ay, ax2, ay2), (bx, by, bx2, by2) = anchor, box
        wa, ha, w, h = ax2 - ax, ay2 - ay, bx2 - bx, by2 - by
        dx, dy = (bx + bx2 - ax - ax2) / 2, (by + by2 - ay - ay2) / 2  # from centre to centre
        tx, ty, tw, th = dx / wa, dy / ha, math.log(w / wa), math.log(h / ha)
        x, y, wide, high = tx / 0.1, ty / 0.1, tw / 0.2, th / 0.2
        # both boxes read as centre x, centre y, width and height
        misread = None
        if bx2 / ax2 > 0:
            stretch = math.log(bx2 / ax2) / 0.2, math.log(by2 / ay2) / 0.2
            misread = ((bx - ax) / ax2 / 0.1, (by - ay) / ay2 / 0.1, *stretch)
        turned = "The sign is turned: it is from the anchor to the box"
        centres = "It is the way between the centres, not between edges"
        relative = (
            "That is in pixels: the way is divided by the anchor's size, the sizes by each other"
        )
        mistakes = [
            ((tx, ty, tw, th), "That is not divided yet, tx and ty by 0.1, tw and th by 0.2"),
            ((tx, ty, wide, high), "tx and ty are not divided by 0.1 yet"),
            ((x, y, tw, th), "tw and th are not divided by 0.2 yet"),
            ((tx * 0.1, ty * 0.1, tw * 0.2, th * 0.2), "Divide by 0.1 or 0.2, do not multiply"),
            ((x, y, tw / 0.1, th / 0.1), "tw and th are divided by 0.2, not by 0.1"),
            ((tx / 0.2, ty / 0.2, wide, high), "tx and ty are divided by 0.1, not by 0.2"),
            ((-x, -y, -wide, -high), turned),
            ((-dx / w / 0.1, -dy / h / 0.1, -wide, -high), "The anchor and the box are exchanged"),
            (((bx - ax) / wa / 0.1, (by - ay) / ha / 0.1, wide, high), centres),
            (((bx2 - ax2) / wa / 0.1, (by2 - ay2) / ha / 0.1, wide, high), centres),
            (
                (dx / w / 0.1, dy / h / 0.1, wide, high),
                "Divide by the anchor's size, not the box's",
            ),
            (
                (dx / ha / 0.1, dy / wa / 0.1, math.log(w / ha) / 0.2, math.log(h / wa) / 0.2),
                "The anchor's width and height are swapped",
            ),
            ((x, dy / wa / 0.1, wide, high), "ty is a share of the anchor's height, not its width"),
            ((dx / ha / 0.1, y, wide, high), "tx is a share of the anchor's width, not its height"),
            ((2 * x, 2 * y, wide, high), "Twice the way: a centre is half the sum of two edges"),
            (misread, "The four numbers are edges x1, y1, x2, y2, not centre and size"),
            ((x, y, w / wa / 0.2, h / ha / 0.2), "The logarithm is missing"),
            *[
                (
                    (x, y, wide / math.log(base), high / math.log(base)),
                    "Another logarithm: math.log is the natural one",
                )
                for base in (2, 10)
            ],
            ((y, x, high, wide), "Two are swapped: the order is tx, ty, tw, th"),
            ((dx, dy, w - wa, h - ha), relative),
            ((dx / 0.1, dy / 0.1, (w - wa) / 0.2, (h - ha) / 0.2), relative),
            ((abs(x), abs(y), wide, high), "The way has a sign: less than 0 to the left and up"),
        ]
        asked = f"for the anchor {anchor} and the box {box}"
        cases.append(Case(asked, (anchor, box), (x, y, wide, high), mistakes))
    judge(targets, cases, ["tx", "ty", "tw", "th"])


@graded
def check_focal(focal: Callable) -> None:
    """Notebook 06, the exercise: the focal loss of one entry."""

    def loss(p: float, alpha: float, weight: float) -> float:
        return -alpha * weight * math.log(p)

    cases = []
    for p, target in [(0.3, 1), (0.3, 0), (0.8, 1), (0.6, 0), (0.01, 1), (0.95, 0)]:
        p_t, alpha = (p, 0.25) if target == 1 else (1 - p, 0.75)
        weight = (1 - p_t) ** 2
        right = loss(p_t, alpha, weight)
        by_target = "p_t is p where the target is 1, and 1 − p where it is 0"
        mistakes = [
            (-right, "A logarithm of a probability is negative: the minus is missing"),
            (loss(p_t, 1, 1), "That is the cross entropy: multiply it by α_t and (1 − p_t)²"),
            (loss(p_t, alpha, 2 * (1 - p_t)), "A square is ** 2; * 2 doubles"),
            (loss(p_t, 1 - alpha, weight), "α_t is 0.25 for target 1, and 0.75 for target 0"),
            (loss(p_t, 0.25, weight), "α_t is 0.25 for target 1, and 0.75 for target 0"),
            (loss(p_t, 1, weight), "α_t is left out"),
            (loss(p, alpha, (1 - p) ** 2), f"Take p_t for p: {by_target}"),
            (loss(1 - p_t, alpha, p_t**2), f"p and 1 − p are exchanged: {by_target}"),
            (loss(p, alpha, weight), f"In the logarithm, {by_target}"),
            (loss(p_t, alpha, (1 - p) ** 2), f"In the square, {by_target}"),
            (loss(p, 0.25, (1 - p) ** 2), "That is the loss of target 1: p_t and α_t change"),
            (loss(p_t, alpha, p_t**2), "It is (1 − p_t)², which turns the easy entries down"),
            (loss(p_t, alpha, 1), "(1 − p_t)² is missing"),
            (loss(p_t, alpha, 1 - p_t), "γ is 2: the square of 1 − p_t is missing"),
            *[
                (right / math.log(base), "Another logarithm: math.log is the natural one")
                for base in (2, 10)
            ],
        ]
        cases.append(Case(f"for p = {p} and target {target}", (p, target), right, mistakes))

    def of_numbers(p: float, target: int) -> object:
        try:
            return focal(p, target)
        except Stopped as stop:
            if not isinstance(stop.__cause__, TypeError) or "Tensor" not in str(stop):
                raise
            raise Stopped(
                f"{stop}. p and target are plain numbers here: use `if` and `math.log`"
            ) from None

    judge(of_numbers, cases, ["the loss"], digits=6)


@graded
def check_prior_bias(prior_bias: Callable) -> None:
    """Notebook 07, exercise 1: the bias whose sigmoid is the prior."""

    def sigmoid(bias: float) -> float:
        return torch.tensor(bias, dtype=torch.float64).sigmoid().item()

    def alike(bias: float, other: float) -> bool:  # so that −4.595 will do for 0.01
        return math.isclose(sigmoid(bias), sigmoid(other), rel_tol=1e-3)

    cases = []
    for prior in (0.01, 0.5, 0.2, 0.9):
        right = math.log(prior / (1 - prior))
        mistakes = [
            (-right, "The sign is turned: that is 1 − π"),
            (math.log(prior), "The sigmoid is 1 / (1 + e⁻ᵇ), not eᵇ"),
            (sigmoid(prior), "You took the sigmoid of π; look for the b whose sigmoid is π"),
        ]
        cases.append(Case(f"for π = {prior}", [prior], right, mistakes))

    def read(said: object, case: Case) -> float:
        return numbers(said, ["the bias"], case.asked)[0]

    if problem := first_wrong(tried(prior_bias, cases, read), alike):
        case, hint = problem
        raise NotYet(
            f"{case.asked} your bias is {case.said:.5f}, whose sigmoid is "
            f"{sigmoid(case.said):.5f}, not {case.arguments[0]}{f'. {hint}' if hint else ''}"
        )


@graded
def check_split_levels(split_levels: Callable) -> None:
    """Notebook 07, exercise 2: one list of rows → five levels."""
    for height, width in [(640, 832), (65, 97), (300, 129)]:
        sizes = [9 * rows * columns for rows, columns in grids(height, width)]
        rows = torch.arange(2 * sum(sizes) * 3).remainder(1009).sub(500).div(8).reshape(2, -1, 3)
        asked = f"for {height}×{width}, rows {list(rows.shape)},"
        try:
            levels = filled(split_levels(rows, height, width), asked)
        except Stopped as stop:
            hint = ""
            if "split_with_sizes" in str(stop):
                hint = f". The levels have {sizes} rows"
                if "dimension 0" in str(stop):
                    hint = ". That cuts along the images: rows are dim=1"
            raise NotYet(f"{asked} {stop}{hint}") from None
        if not isinstance(levels, list) or not all(
            isinstance(level, torch.Tensor) and level.dim() == 3 for level in levels
        ):
            raise NotYet("return a list of five tensors [B, rows of the level, V]")
        if len(levels) != 5:
            raise NotYet(
                f"{asked} you return {len(levels)} tensors, it should be five, one a level"
            )
        yours = [level.shape[1] for level in levels]
        if yours != sizes:
            hint = ". A cell has nine rows" if [9 * n for n in yours] == sizes else ""
            raise NotYet(f"{asked} your levels have {yours} rows, they should have {sizes}{hint}")
        wanted = rows.split(sizes, dim=1)
        shapes = [list(level.shape) for level in levels], [list(level.shape) for level in wanted]
        if shapes[0] != shapes[1]:
            raise NotYet(f"{asked} your levels are {shapes[0]}, they should be {shapes[1]}")
        if not same(levels, list(wanted)):
            pairs = zip(levels, wanted, strict=True)
            place = next(place for place, pair in enumerate(pairs) if not same(*pair))
            off = (levels[place] != wanted[place]).any(dim=2).nonzero()[0].tolist()
            yours, right = (
                level[off[0], off[1]].tolist() for level in (levels[place], wanted[place])
            )
            raise NotYet(
                f"{asked} the sizes are right, the numbers are not: in image {off[0]}, "
                f"row {off[1]} of P{place + 3} should be {right}, yours is {yours}"
            )
