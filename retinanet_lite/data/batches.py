"""Batches: scenes of one size become the two tensors that the detector takes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .shapes import Scene

# mean and deviation of red, green and blue in ImageNet, on a scale from 0 to 1
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalize(images: Tensor) -> Tensor:
    """Images as the backbone wants them: about zero on average, with deviation about one.

    Args:
        images: [..., 3, H, W], uint8 from 0 to 255, or floating point from 0 to 1.

    Returns:
        the same shape, float32; float64 stays
    """
    if not images.is_floating_point():
        images = images.to(torch.float32) / 255
    mean = torch.tensor(MEAN, device=images.device)[:, None, None]
    std = torch.tensor(STD, device=images.device)[:, None, None]
    return (images - mean) / std


def to_annotations(objects: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Boxes [M_i, 4] and labels [M_i] of each image → annotations [B, M, 5].

    M is the most objects that an image has; the others are filled up with rows of −1.
    """
    rows = [torch.cat([boxes, labels[:, None].to(boxes)], dim=1) for boxes, labels in objects]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1.0)


def to_batch(scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
    """Scenes of one size → images [B, 3, H, W], normalised, and annotations [B, M, 5]."""
    sizes = {tuple(scene.image.shape) for scene in scenes}
    if len(sizes) != 1:
        raise ValueError(f"the images of a batch must have one size; got {sorted(sizes)}")
    images = normalize(torch.stack([scene.image for scene in scenes]))
    return images, to_annotations([(scene.boxes, scene.labels) for scene in scenes])
