"""Boxes: the four numbers that carry an anchor onto its object, and back.

Girshick et al. 2014, R-CNN, appendix C; docs/regression_and_classification.md.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn as nn
from torch import Tensor


class BBoxTransform(nn.Module):
    """From a box to its four targets relative to an anchor (`encode`), and back (`decode`).

    With the anchor's centre (xa, ya), width wa and height ha, and the box's x, y, w, h:
        tx = (x − xa) / wa,  ty = (y − ya) / ha,  tw = log(w / wa),  th = log(h / ha)
    each then divided by its `std`, so that all four are of like size.

    Args:
        std: 0.1, 0.1, 0.2, 0.2 as in the original; torchvision's RetinaNet and detectron2
            use 1, 1, 1, 1.
        max_log_scale: decode treats tw and th above this as this, so that no box is infinite;
            log(1000 / 16) is detectron2's and torchvision's value.

    Shapes: anchors [N, 4] or [..., N, 4], boxes and deltas alike; x1, y1, x2, y2 in pixels.
    """

    def __init__(
        self,
        std: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2),
        max_log_scale: float = math.log(1000 / 16),
    ) -> None:
        super().__init__()
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.max_log_scale = max_log_scale

    def encode(self, anchors: Tensor, boxes: Tensor) -> Tensor:
        """The targets [..., 4] that carry `anchors` onto `boxes`."""
        anchor_centre, anchor_size = centre_and_size(anchors)
        box_centre, box_size = centre_and_size(boxes)
        shift = (box_centre - anchor_centre) / anchor_size
        scale = torch.log(box_size / anchor_size)
        return torch.cat([shift, scale], dim=-1) / self.std

    def decode(self, anchors: Tensor, deltas: Tensor) -> Tensor:
        """The boxes [..., 4] that `deltas` make of `anchors`."""
        anchor_centre, anchor_size = centre_and_size(anchors)
        shift, scale = (deltas * self.std).split(2, dim=-1)
        centre = anchor_centre + shift * anchor_size
        size = anchor_size * torch.exp(scale.clamp(max=self.max_log_scale))
        return torch.cat([centre - size / 2, centre + size / 2], dim=-1)

    forward = decode  # as the original's `regressBoxes` is called


class ClipBoxes(nn.Module):
    """Cut boxes off at the border of the image. The boxes that came in stay as they are.

    Shapes: boxes [..., 4] in pixels; size (height, width) in pixels, or images [..., H, W].
    """

    def forward(self, boxes: Tensor, size: Sequence[int] | Tensor) -> Tensor:
        height, width = size_of(size)
        x1, y1, x2, y2 = boxes.unbind(-1)
        x1, x2 = x1.clamp(0, width), x2.clamp(0, width)
        y1, y2 = y1.clamp(0, height), y2.clamp(0, height)
        return torch.stack([x1, y1, x2, y2], dim=-1)


def centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """x1, y1, x2, y2 → centre (x, y) and size (width, height), [..., 2] each."""
    low, high = boxes.split(2, dim=-1)
    return (low + high) / 2, high - low


def size_of(size: Sequence[int] | Tensor) -> tuple[int, int]:
    """Height and width in pixels, given as they are or by images [..., H, W]."""
    height, width = size.shape[-2:] if isinstance(size, Tensor) else size
    return height, width
