"""Notebooks 08 and 11: training, and data of one's own."""

import math
from collections.abc import Callable

import torch

from ..grading import NotYet, close, filled, graded, judge, show


@graded
def check_learning_rate(step_rate: Callable) -> None:
    """Notebook 08, exercise 1: a rate that rises, stays, and drops to a tenth at given steps."""
    highest, rising, drops = 0.08, 4, [10, 15]
    for t in (0, 3, 4, 9, 10, 14, 15, 40):
        gone = sum(drop <= t for drop in drops)
        right = highest * (t + 1) / rising if t < rising else highest * 0.1**gone
        judge(
            f"for t = {t}, h = {highest}, R = {rising}, drops = {drops}",
            step_rate(t, highest, rising, list(drops)),
            {"the rate": right},
            [
                (highest * t / rising, "Steps count from 0: step 0 has h / R, not 0"),
                (
                    highest * 0.1 ** sum(drop < t for drop in drops) if t in drops else math.nan,
                    "A drop counts from its own step on",
                ),
                (highest, "That is the highest rate: it rises before step R, and drops later"),
                (highest / 10 * gone, "Each drop multiplies by a tenth what was left"),
                (highest - 0.1 * gone, "A tenth of the rate, not a tenth less: multiply"),
                (
                    highest * 0.1 ** (sum(d >= t for d in drops)),
                    "You count the drops that are still to come",
                ),
            ],
            digits=6,
        )


@graded
def check_clip(clip: Callable) -> None:
    """Notebook 08, exercise 2: gradients shortened together to a common norm."""
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([[0.0], [4.0]])]  # of norm 5
    for limit in (1.0, 10.0):
        case = f"for gradients of norms 3 and 4, together 5, and limit {limit:g},"
        result = filled(clip([g.clone() for g in gradients], limit), case)
        if not isinstance(result, (list, tuple)) or [getattr(g, "shape", None) for g in result] != [
            g.shape for g in gradients
        ]:
            raise NotYet(f"{case} return a list of tensors of the same shapes")
        first, second = (g.norm().item() for g in result)
        factor = min(1.0, limit / 5)
        if close(first, 3 * factor) and close(second, 4 * factor):
            if not all(
                torch.allclose(a, b * factor) for a, b in zip(result, gradients, strict=True)
            ):
                raise NotYet(f"{case} the norms are right, but the direction has changed")
            continue
        case += f" yours have norms {show(first)} and {show(second)}."
        if close(first, min(3, limit)) and close(second, min(4, limit)):
            raise NotYet(f"{case} Each is clipped on its own; take one norm for all")
        if close(math.hypot(first, second), limit):
            raise NotYet(f"{case} Below the limit, nothing changes: a factor is at most 1")
        if close(first, 3 * min(1, limit / 7)):
            raise NotYet(f"{case} The common norm is √(3² + 4²) = 5, not 3 + 4")
        if close(first, 3 * min(1, limit / 25)):
            raise NotYet(f"{case} The root of the sum of squares is missing")
        if first > 5 * limit or close(first, 3 * 5 / limit):
            raise NotYet(f"{case} The factor is limit / norm, not norm / limit")
        raise NotYet(f"{case} They should be {show(3 * factor)} and {show(4 * factor)}")


@graded
def check_from_coco(from_coco: Callable) -> None:
    """Notebook 11, exercise 1: COCO's box → edges."""
    for x, y, w, h in [(10, 20, 30, 50), (0, 7, 5, 2)]:
        judge(
            f"for {[x, y, w, h]}",
            from_coco([x, y, w, h]),
            {"x1": x, "y1": y, "x2": x + w, "y2": y + h},
            [
                ((x, y, w, h), "The last two are width and height; edges are wanted"),
                ((x, y, x + w - 1, y + h - 1), "COCO counts from 0, without a last pixel: no − 1"),
                ((x, y, x + h, y + w), "Width belongs to x, and height to y"),
                (
                    (x - w / 2, y - h / 2, x + w / 2, y + h / 2),
                    "COCO's x and y are the upper left corner, not the centre",
                ),
            ],
        )


@graded
def check_to_labels(to_labels: Callable) -> None:
    """Notebook 11, exercise 2: category ids with gaps → labels 0 … K − 1."""
    for ids in ([3, 1, 7, 3], [90, 2, 2, 5, 1]):
        order = sorted(set(ids))
        right = [order.index(i) for i in ids]
        case = f"for {ids}"
        result = filled(to_labels(list(ids)), case)
        result = result.tolist() if isinstance(result, torch.Tensor) else result
        if not isinstance(result, (list, tuple)) or len(result) != len(ids):
            raise NotYet(f"{case} return a list of {len(ids)} labels")
        if list(result) == right:
            continue
        case += f" you say {list(result)}."
        if list(result) == [i - 1 for i in ids]:
            raise NotYet(f"{case} The ids have gaps: {max(ids) - 1} is no label of {len(order)}")
        if list(result) == [i + 1 for i in right]:
            raise NotYet(f"{case} Labels start at 0; the background has none")
        first_seen = list(dict.fromkeys(ids))
        if list(result) == [first_seen.index(i) for i in ids]:
            raise NotYet(
                f"{case} That is the order in which they come; the order of the ids is the same "
                f"in every file"
            )
        raise NotYet(f"{case} It should be {right}")
