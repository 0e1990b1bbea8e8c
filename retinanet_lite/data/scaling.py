"""Images of any size come to the network scaled and in batches of one size; boxes go back."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image
from torchvision.transforms import v2

from .transforms import SMALLEST_SIDE, as_tv_tensors

Item = tuple[Tensor, dict]  # an image [3, H, W] and its {"boxes": [M, 4], "labels": [M]}
NOTHING = {"boxes": torch.empty(0, 4), "labels": torch.empty(0, dtype=torch.int64)}


def scaled(image: Tensor, target: dict, scaling: v2.Transform | None) -> Item:
    """An image and its objects as the network sees them, but for the normalisation."""
    small = as_tv_tensors(image, target)
    if scaling:
        small = scaling(*small)
    height, width = small[0].shape[-2:]
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"an image of {image.shape[-2]}×{image.shape[-1]} pixels comes to the network as "
            f"{height}×{width}, and it needs {SMALLEST_SIDE}×{SMALLEST_SIDE} or more. Enlarge "
            f"it, or choose another size."
        )
    return small


def of_one_size(
    items: Iterable[Item], scaling: v2.Transform | None, batch_size: int
) -> Iterator[tuple[list[Item], list[Item]]]:
    """Neighbours of one size together, as they came and scaled.

    None is filled up for another, so that an image's detections do not depend on its batch.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more; got {batch_size}")
    pairs = (((image, target), scaled(image, target, scaling)) for image, target in items)
    for _, neighbours in groupby(pairs, key=lambda pair: pair[1][0].shape[-2:]):
        while batch := list(islice(neighbours, batch_size)):
            yield tuple(map(list, zip(*batch, strict=True)))


def to_original(found: dict[str, Tensor], size: Sequence[int], image: Tensor) -> dict[str, Tensor]:
    """Detections in pixels of the scaled size → in those of the image [3, H, W], on the CPU."""
    found = {name: value.cpu() for name, value in found.items()}
    (height, width), (h, w) = image.shape[-2:], size
    boxes = found["boxes"] * torch.tensor([width / w, height / h, width / w, height / h])
    found["boxes"] = clip_boxes_to_image(boxes, (height, width))  # rounding may carry one past
    return found
