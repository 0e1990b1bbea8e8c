"""Notebooks 05 to 07: targets, focal loss, the whole model."""

import math
from collections.abc import Callable

import torch

from ..grading import NotYet, close, filled, graded, judge, numbers
from .network import grids


@graded
def check_iou(iou: Callable) -> None:
    """Notebook 05, exercise 1: intersection over union of two boxes."""

    def area(box: list[int], more: int = 0) -> int:
        return (box[2] - box[0] + more) * (box[3] - box[1] + more)

    for a, b in [
        ([0, 0, 4, 8], [2, 4, 12, 10]),
        ([0, 0, 10, 10], [5, 0, 15, 10]),
        ([0, 0, 10, 10], [2, 3, 6, 8]),
        ([0, 0, 10, 10], [0, 0, 10, 10]),
        ([0, 0, 10, 10], [20, 0, 30, 10]),
        ([0, 0, 10, 10], [0, 20, 10, 30]),
        ([0, 0, 10, 10], [20, 20, 30, 30]),
    ]:
        common = [max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])]
        apart = common[2] < common[0] or common[3] < common[1]
        around = [min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])]
        both, signed = area(a) + area(b), area(common)
        shared = 0 if apart else signed
        if apart:  # the denominator may be 0 for boxes that overlap
            gap = abs(common[2] - common[0]) * abs(common[3] - common[1])
            mistakes = [
                (signed / (both - signed), "The boxes lie apart: a negative side counts as 0"),
                (signed / both, "The boxes lie apart: a negative side counts as 0"),
                (gap / (both - gap), "abs takes the gap for an overlap: use max(0, …)"),
            ]
        else:
            pixel = "No pixel is added to a side: it is x2 − x1"
            grown = area(common, 1)
            alone = "You divide by the area of one box alone; the union is what either box covers"
            mistakes = [
                (
                    shared / both,
                    "The shared part is in both areas: subtract it once from their sum",
                ),
                (grown / (area(a, 1) + area(b, 1) - grown), pixel),
                (grown / (both - grown), pixel),
                (shared / min(area(a), area(b)), alone),
                (shared / max(area(a), area(b)), alone),
                (
                    shared / area(around),
                    "You divide by the box around both; the union is what either box covers",
                ),
                (shared, "That is the shared area; divide it by the union"),
            ]
            if both != area(around):
                mistakes.append(
                    (
                        area(around) / (both - area(around)),
                        "min and max are exchanged: those are the edges of the box around both",
                    )
                )
            if both != 2 * shared:
                mistakes.append(
                    (shared / (both - 2 * shared), "The shared part is subtracted twice")
                )
        judge(
            f"for {a} and {b}",
            iou(list(a), list(b)),
            {"the IoU": shared / (both - shared)},
            mistakes,
        )


@graded
def check_targets(targets: Callable) -> None:
    """Notebook 05, exercise 2: the four targets of an anchor and its object."""
    anchor, box = [10.0, 10.0, 50.0, 90.0], [20.0, 40.0, 110.0, 70.0]
    dx, dy = 35, 5  # from the anchor's centre, (30, 50), to the box's, (65, 55)
    wa, ha, w, h = 40, 80, 90, 30
    tx, ty, tw, th = dx / wa, dy / ha, math.log(w / wa), math.log(h / ha)
    x, y, wide, high = tx / 0.1, ty / 0.1, tw / 0.2, th / 0.2
    # both boxes read as centre x, centre y, width and height
    misread = (10 / 50 / 0.1, 30 / 90 / 0.1, math.log(110 / 50) / 0.2, math.log(70 / 90) / 0.2)
    turned = "The sign is turned: it is from the anchor to the box"
    centres = "It is the way between the centres, not between edges"
    relative = "That is in pixels: the way is divided by the anchor's size, the sizes by each other"
    judge(
        f"for the anchor {anchor} and the box {box}",
        targets(list(anchor), list(box)),
        {"tx": x, "ty": y, "tw": wide, "th": high},
        [
            ((tx, ty, tw, th), "That is not divided yet, tx and ty by 0.1, tw and th by 0.2"),
            ((tx, ty, wide, high), "tx and ty are not divided by 0.1 yet"),
            ((x, y, tw, th), "tw and th are not divided by 0.2 yet"),
            ((tx * 0.1, ty * 0.1, tw * 0.2, th * 0.2), "Divide by 0.1 or 0.2, do not multiply"),
            ((x, y, tw / 0.1, th / 0.1), "tw and th are divided by 0.2, not by 0.1"),
            ((tx / 0.2, ty / 0.2, wide, high), "tx and ty are divided by 0.1, not by 0.2"),
            ((-x, -y, -wide, -high), turned),
            ((-dx / w / 0.1, -dy / h / 0.1, -wide, -high), "The anchor and the box are exchanged"),
            ((10 / wa / 0.1, 30 / ha / 0.1, wide, high), centres),
            ((60 / wa / 0.1, -20 / ha / 0.1, wide, high), centres),
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
        ],
    )


@graded
def check_focal(focal: Callable) -> None:
    """Notebook 06, the exercise: the focal loss of one entry."""

    def loss(p: float, alpha: float, weight: float) -> float:
        return -alpha * weight * math.log(p)

    for p, target in [(0.3, 1), (0.3, 0), (0.8, 1), (0.6, 0)]:
        p_t, alpha = (p, 0.25) if target == 1 else (1 - p, 0.75)
        weight = (1 - p_t) ** 2
        right = loss(p_t, alpha, weight)
        by_target = "p_t is p where the target is 1, and 1 − p where it is 0"
        case = f"for p = {p} and target {target}"
        try:
            result = focal(p, target)
        except TypeError as error:
            if "Tensor" not in str(error):
                raise
            raise NotYet(
                f"{case} torch asks for tensors, but p and target are plain numbers here: use "
                f"`if` and `math.log`"
            ) from None
        judge(
            case,
            result,
            {"the loss": right},
            [
                (-right, "A logarithm of a probability is negative: the minus is missing"),
                (loss(p_t, 1, 1), "That is the cross entropy: multiply it by α_t and (1 − p_t)²"),
                (loss(p_t, alpha, 2 * (1 - p_t)), "A square is ** 2; * 2 doubles"),
                (loss(p_t, 1 - alpha, weight), "α_t is 0.25 for target 1, and 0.75 for target 0"),
                (loss(p_t, 1, weight), "α_t is left out"),
                (loss(p, alpha, (1 - p) ** 2), f"Take p_t for p: {by_target}"),
                (loss(1 - p_t, alpha, p_t**2), f"p and 1 − p are exchanged: {by_target}"),
                (loss(p, alpha, weight), f"In the logarithm, {by_target}"),
                # for target 1 this is right, so p_t² has been named before
                (loss(p_t, alpha, (1 - p) ** 2), f"In the square, {by_target}"),
                (loss(p, 0.25, (1 - p) ** 2), "That is the loss of target 1: p_t and α_t change"),
                (loss(p_t, alpha, p_t**2), "It is (1 − p_t)², which turns the easy entries down"),
                (loss(p_t, alpha, 1), "(1 − p_t)² is missing"),
                (loss(p_t, alpha, 1 - p_t), "γ is 2: the square of 1 − p_t is missing"),
                *[
                    (right / math.log(base), "Another logarithm: math.log is the natural one")
                    for base in (2, 10)
                ],
            ],
            digits=6,
        )


@graded
def check_prior_bias(prior_bias: Callable) -> None:
    """Notebook 07, exercise 1: the bias whose sigmoid is the prior."""
    for prior in (0.01, 0.5, 0.2):
        (bias,) = numbers(prior_bias(prior), ["the bias"], f"for π = {prior}")
        probability = torch.tensor(bias, dtype=torch.float64).sigmoid().item()
        if math.isclose(probability, prior, rel_tol=1e-3):  # so that −4.595 will do for 0.01
            continue
        case = f"for π = {prior} your bias is {bias:.5f}, whose sigmoid is {probability:.5f}"
        if math.isclose(probability, 1 - prior, rel_tol=1e-3):
            raise NotYet(f"{case}, that is 1 − π. The sign is turned")
        if math.isclose(bias, math.log(prior), rel_tol=1e-3):
            raise NotYet(f"{case}. The sigmoid is 1 / (1 + e⁻ᵇ), not eᵇ")
        if close(bias, 1 / (1 + math.exp(-prior))):
            raise NotYet(f"{case}. You took the sigmoid of π; look for the b whose sigmoid is π")
        raise NotYet(case)


@graded
def check_split_levels(split_levels: Callable) -> None:
    """Notebook 07, exercise 2: one list of rows → five levels."""
    for height, width in [(640, 832), (65, 97)]:
        sizes = [9 * rows * columns for rows, columns in grids(height, width)]
        rows = torch.arange(2 * sum(sizes) * 3).reshape(2, -1, 3)
        case = f"for {height}×{width}, rows {list(rows.shape)},"
        try:
            levels = filled(split_levels(rows.clone(), height, width), case)
        except RuntimeError as error:
            hint = f"The levels have {sizes} rows"
            if "dimension 0" in str(error):
                hint = "That cuts along the images: rows are dim=1"
            raise NotYet(f"{case} it stops: {error}. {hint}") from None
        if not isinstance(levels, (list, tuple)) or not all(
            isinstance(level, torch.Tensor) and level.dim() == 3 for level in levels
        ):
            raise NotYet("return a list of five tensors [B, rows of the level, V]")
        if len(levels) != 5:
            raise NotYet(f"{case} you return {len(levels)} tensors, it should be five, one a level")
        yours = [level.shape[1] for level in levels]
        if yours != sizes:
            raise NotYet(f"{case} your levels have {yours} rows, they should have {sizes}")
        for level, expected in zip(levels, rows.split(sizes, dim=1), strict=True):
            if not torch.equal(level, expected):
                raise NotYet(f"{case} the sizes are right, but the rows are not in order")
