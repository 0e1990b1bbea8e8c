"""Anchors: the boxes that the detector starts from, nine at every cell of every level.

RetinaNet §4, "Anchors"; docs/anchors.md.
"""

from collections.abc import Sequence

import torch
import torch.nn as nn
from torch import Tensor

from .boxes import size_of


class Anchors(nn.Module):
    """Anchors of an image: scales × ratios boxes around the centre of every cell, in pixels.

    Args:
        levels: pyramid levels; level l has stride 2^l and anchors of base size `size` · 2^l.
        ratios: height / width of the anchors.
        scales: factors on the base size; an anchor's area is (scale · base size)².
        size: base size in strides: 4 gives 32 pixels on P3 and 512 on P7.
        offset: where in its cell the centre of the anchors stands, (i + offset) · stride: 0.5 is
            the middle, as in the original; torchvision and detectron2 use 0, the corner.
        rounded: sides scale · base size are cut off to whole pixels, and the corners of the shapes
            made of them are rounded, as in torchvision.
        floor_strides: a level's cells are ⌊image side / cells⌋ pixels apart in each direction, as
            in torchvision, in place of 2^l. The two differ where the side does not divide by 2^l.

    Shapes: in the size (H, W) of the images in pixels, or the images [B, 3, H, W]; out [N, 4] as
    x1, y1, x2, y2 in pixels, float32, with N = Σ ⌈H/stride⌉ · ⌈W/stride⌉ · A and
    A = len(ratios) · len(scales). Levels come one after the other, cells row by row, in a cell all
    scales of the first ratio, then of the next. An anchor may stick out of the image. For half
    precision use autocast; a model that is cast to it as a whole would round its anchors.
    """

    def __init__(
        self,
        levels: tuple[int, ...] = (3, 4, 5, 6, 7),
        ratios: tuple[float, ...] = (0.5, 1.0, 2.0),
        scales: tuple[float, ...] = (2 ** (0 / 3), 2 ** (1 / 3), 2 ** (2 / 3)),
        size: float = 4.0,
        offset: float = 0.5,
        rounded: bool = False,
        floor_strides: bool = False,
    ) -> None:
        super().__init__()
        if not (levels and ratios and scales) or min(*ratios, *scales, size) <= 0:
            raise ValueError(
                f"ratios, scales and size must be positive, and there must be at least one level; "
                f"got levels={levels}, ratios={ratios}, scales={scales}, size={size}"
            )
        self.levels = tuple(levels)
        self.ratios = tuple(ratios)
        self.scales = tuple(scales)
        self.size = size
        self.offset = offset
        self.rounded = rounded
        self.floor_strides = floor_strides
        self.strides = tuple(2**level for level in levels)
        self.num_anchors = len(ratios) * len(scales)
        shapes = [
            anchors_around_zero(size * stride, ratios, scales, rounded) for stride in self.strides
        ]
        # a buffer follows the model's device; made by the arguments, it need not be saved
        self.register_buffer("shapes", torch.stack(shapes), persistent=False)  # [5, 9, 4]

    @property
    def multiple(self) -> int:
        """Of what the sides of images should be multiples: torchvision's 32 for its strides."""
        return 32 if self.floor_strides else 1

    def filled_up(self, height: int, width: int) -> tuple[int, int]:
        """The sides that an image of height×width is filled up to."""
        return tuple(-(-side // self.multiple) * self.multiple for side in (height, width))

    def level_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Rows and columns of each level for an image of height×width."""
        return [(-(-height // stride), -(-width // stride)) for stride in self.strides]

    def level_counts(self, height: int, width: int) -> list[int]:
        """Anchors of each level for an image of height×width."""
        return [h * w * self.num_anchors for h, w in self.level_sizes(height, width)]

    def forward(self, size: Sequence[int] | Tensor) -> Tensor:
        height, width = size_of(size)
        anchors = []
        for shapes, stride, (h, w) in zip(
            self.shapes, self.strides, self.level_sizes(height, width), strict=True
        ):
            step_y, step_x = (height // h, width // w) if self.floor_strides else (stride, stride)
            y = (torch.arange(h, device=shapes.device) + self.offset) * step_y
            x = (torch.arange(w, device=shapes.device) + self.offset) * step_x
            y, x = torch.meshgrid(y, x, indexing="ij")  # [h, w] each
            centres = torch.stack([x, y, x, y], dim=-1)  # [h, w, 4]
            level = centres[:, :, None, :] + shapes  # [h, w, 9, 4]
            anchors.append(level.reshape(-1, 4))  # [h·w·9, 4]
        return torch.cat(anchors)  # [N, 4]


def anchors_around_zero(
    base_size: float, ratios: tuple[float, ...], scales: tuple[float, ...], rounded: bool = False
) -> Tensor:
    """The anchors of one cell, around (0, 0): [len(ratios) · len(scales), 4] in pixels.

    A ratio changes the shape and keeps the area: width · height = (scale · base size)². For
    `rounded`, see `Anchors`.
    """
    ratio = torch.tensor(ratios, dtype=torch.float64).repeat_interleave(len(scales))
    side = torch.tensor(scales, dtype=torch.float64).repeat(len(ratios)) * base_size
    side = side.floor() if rounded else side
    width = side / ratio.sqrt()
    height = side * ratio.sqrt()
    shapes = torch.stack([-width, -height, width, height], dim=1).div(2).float()
    return shapes.round() if rounded else shapes
