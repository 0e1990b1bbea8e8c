"""A whole batch at once: what matching.py, `focal_loss` and detection.py do, arranged for speed.

Nothing here loops over images, waits for a GPU, or needs memory that grows with the objects. The
tests hold each function to the plain one.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..model.matching import IGNORED, NEGATIVE

CHUNK = 8  # objects at a time: their overlaps with all anchors still fit a processor's cache
PIECE = 500_000  # entries of the focal loss at a time, on a CPU: less memory on the way


def match_batch(
    anchors: Tensor,
    boxes: Tensor,
    positive: float = 0.5,
    negative: float = 0.4,
    keep_best: bool | str = True,
) -> Tensor:
    """`match_anchors` for every image of a batch.

    Args:
        anchors: [N, 4] in pixels.
        boxes: [B, M, 4] in pixels; rows of −1 fill up an image with fewer objects.
        positive, negative, keep_best: as in `match_anchors`.

    Returns:
        [B, N] int64: for every anchor its object's row, or `NEGATIVE`, or `IGNORED`
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
    highest = torch.cat([values for values, _ in of_objects], dim=1)  # [B, M]
    best_anchor = torch.cat([anchor for _, anchor in of_objects], dim=1)  # [B, M]
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


def focal_loss_sum(
    logits: Tensor, classes: Tensor, weights: Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """The sum of `focal_loss` over all entries, each row times its weight.

    Loss and gradient come from one pass over the logits.

    Args:
        logits: [B, N, K].
        classes: [B, N] int64, the class whose target is 1, or −1 for none.
        weights: [B, N].

    Returns:
        a scalar
    """
    return _FocalLossSum.apply(logits, classes, weights, alpha, gamma)


class _FocalLossSum(torch.autograd.Function):
    """With p = σ(x), an entry x without an object costs p^γ · c, where c = −log(1 − p).

    Its derivative is p^γ · (γ · (1 − p) · c + p). An entry with one costs the same for −x.
    """

    @staticmethod
    def forward(ctx, logits, classes, weights, alpha, gamma):
        rows = classes.numel()
        if logits.device.type == "cpu" and not torch.compiler.is_compiling():
            rows = max(1, PIECE // logits.shape[2])
        gradient = logits.new_empty(logits.shape)
        pieces = [x.flatten(0, 1).split(rows) for x in (logits, classes, weights, gradient)]
        loss = sum(one_piece(*piece, alpha, gamma) for piece in zip(*pieces, strict=True))
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        (gradient,) = ctx.saved_tensors
        # most often the losses are summed, and there is nothing to multiply by
        if not torch.compiler.is_compiling() and grad.device.type == "cpu" and grad == 1:
            return gradient, None, None, None, None
        return gradient * grad, None, None, None, None


def one_piece(
    logits: Tensor, classes: Tensor, weights: Tensor, gradient: Tensor, alpha: float, gamma: float
) -> Tensor:
    """The loss of some rows, [R, K], [R], [R]; its derivative is written into `gradient` [R, K]."""
    column = classes.clamp(min=0)[:, None]  # [R, 1]
    positive = classes[:, None] >= 0
    weights = weights[:, None]

    # all entries as if they had no object, but with a weight of 0 where there is one
    p, cost, power = parts(logits, gamma)  # [R, K]
    power.mul_((1 - alpha) * weights)
    power.scatter_(1, column, power.gather(1, column).masked_fill(positive, 0))
    torch.addcmul(p, cost, 1 - p, value=gamma, out=gradient).mul_(power)
    loss = cost.mul_(power).sum()

    # and of each row the one entry that has an object, if any
    p, cost, power = parts(-logits.gather(1, column), gamma)  # [R, 1]
    power.mul_(alpha * weights * positive)
    gradient.scatter_add_(1, column, -torch.addcmul(p, cost, 1 - p, value=gamma).mul_(power))
    return loss + cost.mul_(power).sum()


def parts(x: Tensor, gamma: float) -> tuple[Tensor, Tensor, Tensor]:
    """p = σ(x), −log(1 − p) and p^γ, exact for any x."""
    p = x.sigmoid()
    cost = F.softplus(x, threshold=40)  # beyond, it is x to the last bit of a float64
    power = p.square() if gamma == 2 else (gamma * F.logsigmoid(x)).exp_()
    return p, cost, power


def best_entries(
    logits: Tensor, level_counts: list[int], top_k: int | None = 1000
) -> tuple[Tensor, Tensor, Tensor]:
    """The `top_k` best entries of each level, for all images and levels at once.

    Args:
        logits: [B, N, K].
        level_counts: how many of the N rows each of the L levels has, in order.
        top_k: as in `Detection`.

    Returns:
        rows, classes and logits, [B, L · top_k] each, or fewer where the largest level has fewer
        entries; where another level has fewer, the rest are entries of −∞
    """
    num_rows, num_classes = logits.shape[1:]
    if top_k is None:
        top_k = max(level_counts) * num_classes
    rows = torch.arange(num_rows, device=logits.device).split(level_counts)
    rows = pad_sequence(rows, batch_first=True, padding_value=num_rows)  # [L, n] of the largest
    best = F.pad(logits.amax(dim=2), (0, 1), value=-torch.inf)[:, rows]  # [B, L, n]
    # the best entries of a level lie in as many of its best rows
    best, place = best.topk(min(top_k, rows.shape[1]))  # [B, L, r]
    row = rows.expand(len(logits), -1, -1).gather(2, place).clamp(max=num_rows - 1)
    entries = logits.gather(1, row.flatten(1)[..., None].expand(-1, -1, num_classes))
    entries = entries.view(*row.shape, num_classes)  # [B, L, r, K]
    entries = entries.masked_fill(best[..., None] == -torch.inf, -torch.inf).flatten(2)
    best, place = entries.topk(min(top_k, entries.shape[2]))  # [B, L, top_k]
    row = row.gather(2, place // num_classes)
    return row.flatten(1), (place % num_classes).flatten(1), best.flatten(1)
