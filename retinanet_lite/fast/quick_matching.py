"""Matching of a whole batch at once.

Nothing here loops over images, waits for a GPU, or needs memory that grows with the objects.
"""

import torch
from torch import Tensor

from ..model.matching import IGNORED, NEGATIVE

CHUNK = 8  # objects at a time: their overlaps with all anchors still fit a processor's cache


def match_batch(
    anchors: Tensor,
    boxes: Tensor,
    positive: float = 0.5,
    negative: float = 0.4,
    keep_best: bool | str = True,
) -> Tensor:
    """`match_anchors` for every image of a batch: [B, N].

    Rows of −1 in `boxes` [B, M, 4] fill up an image with fewer objects.
    """
    chunk = boxes.shape[1] if torch.compiler.is_compiling() else CHUNK
    best_iou = anchors.new_full((len(boxes), len(anchors)), -1.0)
    nearest = torch.zeros_like(best_iou, dtype=torch.int64)
    tied = torch.zeros_like(nearest, dtype=torch.bool)
    of_objects = []  # the best IoU of each object, and the anchor that has it
    for start in range(0, boxes.shape[1], max(1, chunk)):
        iou = overlaps(boxes[:, start : start + chunk], anchors)  # [B, m, N]
        iou_here, row = iou.max(dim=1)  # [B, N]
        nearest = torch.where(iou_here > best_iou, row + start, nearest)
        best_iou = torch.maximum(iou_here, best_iou)
        if keep_best:
            of_objects.append(iou.max(dim=2))  # [B, m]
        if keep_best == "low_quality":
            highest = of_objects[-1].values[..., None]  # [B, m, 1]
            tied |= ((iou == highest) & (iou > 0)).any(dim=1)

    matches = nearest.masked_fill(best_iou < positive, IGNORED)
    matches = matches.masked_fill(best_iou < negative, NEGATIVE)
    if keep_best == "low_quality":
        return torch.where(tied, nearest, matches)
    if not of_objects:
        return matches
    highest, best_anchor = (torch.cat(x, dim=1) for x in zip(*of_objects, strict=True))  # [B, M]
    order = highest.argsort(dim=1, stable=True)  # the least overlap first
    rank = order.argsort(dim=1).masked_fill(highest <= 0, -1)
    # of the objects that share a best anchor, the last in order gets it
    last = torch.full_like(matches, -1).scatter_reduce(1, best_anchor, rank, "amax")  # [B, N]
    return torch.where(last >= 0, order.gather(1, last.clamp(min=0)), matches)


def overlaps(boxes: Tensor, anchors: Tensor) -> Tensor:
    """IoU of boxes [B, m, 4] and anchors [N, 4]: [B, m, N], −1 for rows of −1."""
    x1, y1, x2, y2 = boxes[..., None].unbind(2)  # [B, m, 1] each
    ax1, ay1, ax2, ay2 = anchors.t().contiguous()  # [N] each
    # in place, because on a CPU new memory costs more than the arithmetic
    width = torch.minimum(x2, ax2).sub_(torch.maximum(x1, ax1)).clamp_(min=0)
    height = torch.minimum(y2, ay2).sub_(torch.maximum(y1, ay1)).clamp_(min=0)
    shared = width.mul_(height)
    union = ((x2 - x1) * (y2 - y1) + (ax2 - ax1) * (ay2 - ay1)).sub_(shared)
    return shared.div_(union).masked_fill_(x2 <= x1, -1.0)
