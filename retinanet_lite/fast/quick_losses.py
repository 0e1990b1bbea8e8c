"""The losses of a whole batch at once, from one pass over the logits."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.input_checks import check_annotations
from ..model.losses import FocalLoss, at_least_float32
from ..model.matching import IGNORED
from .quick_matching import match_batch

PIECE = 500_000  # entries of the focal loss at a time, on a CPU: less memory on the way


class QuickFocalLoss(FocalLoss):
    """`FocalLoss` without a loop over images, and without a table of targets."""

    def forward(
        self, classification: Tensor, regression: Tensor, anchors: Tensor, annotations: Tensor
    ) -> dict[str, Tensor]:
        check_annotations(annotations, classification.shape[0], classification.shape[2])
        annotations = annotations.to(anchors)
        boxes, labels = annotations[..., :4], annotations[..., 4].long()  # [B, M, 4], [B, M]
        with torch.autocast(classification.device.type, enabled=False):
            matches = match_batch(anchors, boxes, self.positive, self.negative, self.keep_best)
            positive = matches >= 0  # [B, N]
            count = positive.sum(dim=1, keepdim=True).clamp(min=1).to(anchors)  # [B, 1]
            share = 1 / (count * len(boxes))

            if boxes.shape[1] == 0:  # no object to look up; no anchor is positive
                boxes, labels = boxes.new_zeros(len(boxes), 1, 4), labels.new_zeros(len(boxes), 1)
            row = matches.clamp(min=0)  # [B, N]
            classes = labels.gather(1, row).masked_fill(~positive, -1)
            logits, deltas = map(at_least_float32, (classification, regression))
            weights = (matches != IGNORED) * share
            of_classes = focal_loss_sum(logits, classes, weights, self.alpha, self.gamma)

            # every anchor takes part, those without an object with a target of 0 and no weight
            matched = boxes.gather(1, row[..., None].expand(-1, -1, 4))  # [B, N, 4]
            matched = torch.where(positive[..., None], matched, anchors)
            of_boxes = (self.box_losses(deltas, anchors, matched) * positive * share).sum()
        return {"classification": of_classes, "regression": of_boxes}


def focal_loss_sum(
    logits: Tensor, classes: Tensor, weights: Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """The sum of `focal_loss` over all logits [B, N, K], each row times its weight [B, N].

    `classes` [B, N] int64 tells the class whose target is 1, or −1 for none. Loss and gradient come
    from one pass over the logits.
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
        if torch.compiler.is_compiling() or grad.device.type != "cpu" or grad != 1:
            gradient = gradient * grad
        return gradient, None, None, None, None


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
