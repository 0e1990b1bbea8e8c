"""What happens to images before they are in a batch; `transforms.v2` moves their boxes along."""

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from .batches import MEAN, without_crowds

SMALLEST_SIDE = 32  # pixels: what the network takes at least


def resize(size: tuple[int, int]) -> v2.Transform:
    """Scale an image, its shape kept, until its shorter side has `size[0]` pixels.

    Where its longer side would then have more than `size[1]`, that one gets `size[1]`.
    torchvision's detectors use (800, 1333), the original (608, 1024).
    """
    shorter, longer = size
    if not SMALLEST_SIDE <= shorter <= longer:
        raise ValueError(
            f"size is (shorter side, longest side) in pixels, from (32, 32) on; got {tuple(size)}"
        )
    return v2.Resize(shorter if shorter < longer else None, max_size=longer)


def augment(
    flip: float = 0.5,
    vertical_flip: float = 0.0,
    scale: float = 0.2,
    shift: float = 0.1,
    colour: float = 0.2,
) -> v2.Transform:
    """Change an image at random in ways that keep what it shows; its size stays.

    Args:
        flip, vertical_flip: probability of a mirror image, left to right and top to bottom.
        scale: zoom by a factor between 1 − scale and 1 + scale.
        shift: move by up to this part of the image's width and height.
        colour: change brightness, contrast and saturation by up to this part.

    Boxes are cut off at the image's border; those with less than a pixel left are removed. Images
    come out as float32 from 0 to 1.
    """
    for name, value in (("scale", scale), ("shift", shift), ("colour", colour)):
        if not 0 <= value < 1:
            raise ValueError(f"{name} must be at least 0 and less than 1; got {value}")
    return v2.Compose(
        [
            # one scale for all images, whatever they were: the colour to fill with is on it
            v2.ToDtype(torch.float32, scale=True),
            v2.RandomHorizontalFlip(flip),
            v2.RandomVerticalFlip(vertical_flip),
            v2.RandomAffine(
                degrees=0,
                translate=(shift, shift),
                scale=(1 - scale, 1 + scale),
                interpolation=InterpolationMode.BILINEAR,
                fill=MEAN,
            ),
            v2.ColorJitter(brightness=colour, contrast=colour, saturation=colour),
            v2.ClampBoundingBoxes(),
            v2.SanitizeBoundingBoxes(min_size=1),
        ]
    )


def as_tv_tensors(image: Tensor, target: dict) -> tuple[Tensor, dict]:
    """An item in the types by which `transforms.v2` knows pixels from boxes; crowds left out."""
    if not isinstance(image, Tensor) or image.dim() != 3 or image.shape[0] != 3:
        got = list(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(
            f"an image is a tensor [3, H, W] of red, green and blue; got {got}. From a file: "
            f"retinanet_lite.data.images.read_image. A grey one: image.expand(3, -1, -1)."
        )
    boxes, labels = without_crowds(target)
    boxes = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=tuple(image.shape[-2:]))
    return tv_tensors.Image(image), {"boxes": boxes, "labels": labels}
