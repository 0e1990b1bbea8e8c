"""The loss: focal loss on every anchor's classes, smooth L1 on the positive anchors' boxes.

RetinaNet §3 and §4; docs/focal_loss.md.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from ..fast.batched import focal_loss_sum, match_batch
from .boxes import BBoxTransform
from .inputs import check_annotations
from .matching import IGNORED, check_rule

BOX_LOSSES = ("smooth_l1", "l1", "giou")


class FocalLoss(nn.Module):
    """Classification and box loss of a batch.

    Each image's sums are divided by its number of positive anchors (at least 1), then averaged
    over the images.

    Args:
        alpha: weight of the positive entries; the negative ones weigh 1 − alpha.
        gamma: how much easy entries are turned down; 0 is plain cross entropy.
        beta: where smooth L1 turns from a parabola into a line, in target units.
        box_loss: what the deltas of a positive anchor cost. "smooth_l1", the original's, is the
            mean of smooth L1 over the four targets; "l1", torchvision's v1 and detectron2's, the
            sum of the four absolute differences; "giou", torchvision's v2, one minus the
            generalized IoU of the decoded box and the object (Rezatofighi et al. 2019).
        positive, negative, keep_best: how anchors find their objects, see `match_anchors`.
        box_transform: makes the box targets; a `RetinaNet` puts its own here.
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        beta: float = 1 / 9,
        positive: float = 0.5,
        negative: float = 0.4,
        keep_best: bool | str = True,
        box_loss: str = "smooth_l1",
        box_transform: BBoxTransform | None = None,
    ) -> None:
        super().__init__()
        if box_loss not in BOX_LOSSES:
            raise ValueError(f"box_loss must be one of {', '.join(BOX_LOSSES)}; got {box_loss!r}")
        check_rule(positive, negative, keep_best)
        self.alpha = alpha
        self.gamma = gamma
        self.beta = beta
        self.positive = positive
        self.negative = negative
        self.keep_best = keep_best
        self.box_loss = box_loss
        self.box_transform = box_transform or BBoxTransform()

    def forward(
        self, classification: Tensor, regression: Tensor, anchors: Tensor, annotations: Tensor
    ) -> dict[str, Tensor]:
        """The two losses of a batch, in float32 also under autocast.

        Args:
            classification: [B, N, K] logits.
            regression: [B, N, 4] deltas.
            anchors: [N, 4] in pixels.
            annotations: [B, M, 5], x1, y1, x2, y2 in pixels and the class id 0 … K−1; rows of −1
                fill up an image with fewer objects.

        Returns:
            {"classification": scalar, "regression": scalar}

        Raises:
            ValueError: for annotations of another shape, an impossible box or class id.
        """
        check_annotations(annotations, classification.shape[0], classification.shape[2])
        annotations = annotations.to(anchors)
        boxes, labels = annotations[..., :4], annotations[..., 4].long()  # [B, M, 4], [B, M]
        with torch.autocast(classification.device.type, enabled=False):
            matches = match_batch(anchors, boxes, self.positive, self.negative, self.keep_best)
            positive = matches >= 0  # [B, N]
            share = 1 / (positive.sum(dim=1, keepdim=True).clamp(min=1) * len(boxes))  # [B, 1]

            if boxes.shape[1] == 0:  # no object to look up; no anchor is positive
                boxes, labels = boxes.new_zeros(len(boxes), 1, 4), labels.new_zeros(len(boxes), 1)
            row = matches.clamp(min=0)  # [B, N]
            classes = labels.gather(1, row).masked_fill(~positive, -1)
            classification_loss = focal_loss_sum(
                at_least_float32(classification),
                classes,
                (matches != IGNORED) * share,
                self.alpha,
                self.gamma,
            )

            # every anchor takes part, those without an object with a target of 0 and no weight
            matched = boxes.gather(1, row[..., None].expand(-1, -1, 4))  # [B, N, 4]
            matched = torch.where(positive[..., None], matched, anchors)
            regression_losses = self.box_losses(at_least_float32(regression), anchors, matched)
        return {
            "classification": classification_loss,
            "regression": (regression_losses * positive * share).sum(),
        }

    def box_losses(self, deltas: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
        """The box loss of each anchor, [...]; deltas, anchors and objects' boxes [..., 4]."""
        if self.box_loss == "giou":
            decoded = self.box_transform.decode(anchors, deltas)
            return generalized_box_iou_loss(decoded, boxes)
        targets = self.box_transform.encode(anchors, boxes).to(deltas)  # [..., 4]
        if self.box_loss == "l1":
            return (deltas - targets).abs().sum(dim=-1)
        return F.smooth_l1_loss(deltas, targets, beta=self.beta, reduction="none").mean(dim=-1)


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """−α_t · (1 − p_t)^γ · log(p_t) for every entry, without a sum (RetinaNet, equation 5).

    p_t is the probability given to the truth: sigmoid(logit) where the target is 1, one minus
    that where it is 0. Computed from logarithms of sigmoids, it and its gradient are exact for
    any logit and γ: nothing is clamped.

    Args:
        logits: any shape.
        targets: the same shape, 0 or 1.
    """
    signed = torch.where(targets == 1, logits, -logits)  # the logit of p_t
    weight = torch.where(targets == 1, alpha, 1 - alpha)
    return weight * torch.exp(gamma * F.logsigmoid(-signed)) * -F.logsigmoid(signed)


def at_least_float32(x: Tensor) -> Tensor:
    """float16 and bfloat16 become float32; float32 and float64 stay."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
