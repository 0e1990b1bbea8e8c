"""Batches: images and their objects become the two tensors that the detector takes."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# mean and deviation of red, green and blue in ImageNet, on a scale from 0 to 1
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalize(images: Tensor) -> Tensor:
    """Images as the backbone wants them: about zero on average, with deviation about one.

    `images` are [..., 3, H, W], uint8 from 0 to 255, or floating point from 0 to 1. They become
    float32; float64 stays.
    """
    if not images.is_floating_point():
        images = images.to(torch.float32) / 255
    mean = torch.tensor(MEAN, device=images.device)[:, None, None]
    std = torch.tensor(STD, device=images.device)[:, None, None]
    return (images.as_subclass(Tensor) - mean) / std


def to_annotations(objects: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Boxes [M_i, 4] and labels [M_i] of each image → annotations [B, M, 5], filled up with −1."""
    rows = [torch.cat([boxes, labels[:, None].to(boxes)], dim=1) for boxes, labels in objects]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1.0)


def to_batch(items: Iterable[tuple[Tensor, dict]]) -> tuple[Tensor, Tensor]:
    """Images with their objects → images [B, 3, H, W], normalised, and annotations [B, M, 5].

    An item is what data sets and scenes give: image [3, h, w], uint8 or from 0 to 1, and {"boxes":
    [M, 4] in pixels, "labels": [M]}. Objects marked in "iscrowd" are groups; they teach nothing and
    are left out. Images of different sizes are filled up on the right and at the bottom with
    ImageNet's mean colour, which is 0 after normalisation.
    """
    images, targets = zip(*items, strict=True)
    height, width = (max(image.shape[side] for image in images) for side in (-2, -1))
    filled_up = [
        F.pad(normalize(image), (0, width - image.shape[-1], 0, height - image.shape[-2]))
        for image in images
    ]
    return torch.stack(filled_up), to_annotations([without_crowds(target) for target in targets])


def without_crowds(target: dict) -> tuple[Tensor, Tensor]:
    """Boxes and labels of the single objects."""
    boxes, labels = target["boxes"].as_subclass(Tensor), target["labels"]
    if "iscrowd" not in target:
        return boxes, labels
    single = ~target["iscrowd"].bool()
    return boxes[single], labels[single]
