"""The loss: focal loss on every anchor's classes, smooth L1 on the positive anchors' boxes.

RetinaNet §3 and §4; docs/focal_loss.md.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from .boxes import BBoxTransform
from .input_checks import check_annotations
from .matching import IGNORED, check_rule, match_anchors

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
        """The losses of a batch, "classification" and "regression", float32 also under autocast.

        Args:
            classification, regression: logits [B, N, K] and deltas [B, N, 4].
            anchors: [N, 4] in pixels.
            annotations: [B, M, 5], x1, y1, x2, y2 in pixels and the class id 0 … K−1; rows of −1
                fill up an image with fewer objects.

        Raises:
            ValueError: for annotations of another shape, an impossible box or class id.
        """
        check_annotations(annotations, classification.shape[0], classification.shape[2])
        losses = []
        with torch.autocast(classification.device.type, enabled=False):
            classification, regression = map(at_least_float32, (classification, regression))
            for logits, deltas, rows in zip(
                classification, regression, annotations.to(anchors), strict=True
            ):
                objects = rows[rows[:, 4] >= 0]  # [M, 5], without the rows of −1
                losses.append(self.of_image(logits, deltas, anchors, objects))
        of_classes, of_boxes = (torch.stack(each).mean() for each in zip(*losses, strict=True))
        return {"classification": of_classes, "regression": of_boxes}

    def of_image(
        self, logits: Tensor, deltas: Tensor, anchors: Tensor, objects: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The two losses of an image: logits [N, K], deltas [N, 4], objects [M, 5]."""
        matches = self.match(anchors, objects[:, :4])
        positive = matches >= 0  # [N]
        matched = objects[matches[positive]]  # [P, 5], the object of each positive anchor
        count = max(1, len(matched))
        targets = torch.zeros_like(logits)  # [N, K]
        targets[positive, matched[:, 4].long()] = 1
        heard = matches != IGNORED
        entries = focal_loss(logits[heard], targets[heard], self.alpha, self.gamma)
        of_boxes = self.box_losses(deltas[positive], anchors[positive], matched[:, :4])  # [P]
        return entries.sum() / count, of_boxes.sum() / count

    def match(self, anchors: Tensor, boxes: Tensor) -> Tensor:
        """For every anchor the object that it learns, see `match_anchors`."""
        return match_anchors(anchors, boxes, self.positive, self.negative, self.keep_best)

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
    any logit and γ: nothing is clamped. Targets, 0 or 1, have the shape of the logits.
    """
    signed = torch.where(targets == 1, logits, -logits)  # the logit of p_t
    weight = torch.where(targets == 1, alpha, 1 - alpha)
    return weight * torch.exp(gamma * F.logsigmoid(-signed)) * -F.logsigmoid(signed)


def at_least_float32(x: Tensor) -> Tensor:
    """float16 and bfloat16 become float32; float32 and float64 stay."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
