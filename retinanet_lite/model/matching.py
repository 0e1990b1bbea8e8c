"""Matching: which anchor learns which object.

RetinaNet §4, "Anchors", last paragraph; docs/focal_loss.md.
"""

import torch
from torch import Tensor
from torchvision.ops import box_iou

NEGATIVE = -1  # learns "there is no object"
IGNORED = -2  # learns nothing


def match_anchors(
    anchors: Tensor,
    boxes: Tensor,
    positive: float = 0.5,
    negative: float = 0.4,
    keep_best: bool | str = True,
) -> Tensor:
    """For every anchor, the object that it learns.

    An anchor belongs to the object that it overlaps most, measured by IoU (intersection over
    union). From `positive` on it learns that object, below `negative` it learns "no object",
    and in between it learns nothing.

    Args:
        anchors: [N, 4] in pixels.
        boxes: [M, 4], the image's objects in pixels; M = 0 is fine.
        positive: the least IoU of an anchor that learns an object.
        negative: anchors under this IoU learn the background.
        keep_best: every object's best anchor learns it, whatever its IoU, so that an object
            that no anchor covers still teaches. Where two objects have the same best anchor,
            it learns the one that it overlaps more. False is the paper's and the original's
            rule. "low_quality" is torchvision's and detectron2's: an object keeps all anchors
            that are equally its best, but each learns the object that it overlaps most itself,
            which may be another.

    Returns:
        [N] int64: the object's row in `boxes`, or `NEGATIVE` (−1), or `IGNORED` (−2).
    """
    check_rule(positive, negative, keep_best)
    if len(boxes) == 0:
        return torch.full((len(anchors),), NEGATIVE, device=anchors.device)

    iou = box_iou(anchors, boxes)  # [N, M]
    best_iou, nearest = iou.max(dim=1)  # [N], [N]
    matches = nearest.clone()
    matches[best_iou < positive] = IGNORED
    matches[best_iou < negative] = NEGATIVE

    best_iou, best_anchor = iou.max(dim=0)  # [M], [M]
    if keep_best == "low_quality":
        kept = ((iou == best_iou) & (iou > 0)).any(dim=1)  # [N]
        matches[kept] = nearest[kept]
    elif keep_best:
        order = best_iou.argsort(stable=True)  # the least overlap first
        order = order[best_iou[order] > 0]
        # of the objects that share a best anchor, the last in order gets it
        last = torch.full_like(matches, -1).scatter_reduce(
            0, best_anchor[order], torch.arange(len(order), device=order.device), "amax"
        )  # [N]
        kept = last >= 0
        matches[kept] = order[last[kept]]
    return matches


def check_rule(positive: float, negative: float, keep_best: bool | str) -> None:
    """Raise ValueError unless these arguments of `match_anchors` make sense."""
    if not 0 <= negative <= positive <= 1:
        raise ValueError(
            f"the thresholds must satisfy 0 ≤ negative ≤ positive ≤ 1; "
            f"got negative={negative}, positive={positive}"
        )
    if keep_best not in (True, False, "low_quality"):
        raise ValueError(f'keep_best must be True, False or "low_quality"; got {keep_best!r}')
