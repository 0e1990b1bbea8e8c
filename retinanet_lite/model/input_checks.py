"""What wrong images and annotations are told: what was wrong, what was expected, how to mend it."""

import torch
from torch import Tensor

SMALLEST_SIDE = 32  # pixels: one cell of C5


def check_images(images: Tensor) -> None:
    """Raise ValueError unless `images` is [B, 3, H, W], floating point, finite, H and W ≥ 32.

    A compiled or exported model does without: what it computes must not depend on values.
    """
    if torch.compiler.is_compiling():
        return
    if images.dim() != 4 or images.shape[1] != 3 or len(images) == 0:
        raise ValueError(
            f"images must be [B, 3, H, W]: a batch of RGB images; got {list(images.shape)}. "
            f"One image: image[None]. A grey one: image.expand(3, -1, -1). With transparency "
            f"(RGBA): image[:3]. Height, width, channels last: image.permute(2, 0, 1)."
        )
    if not images.is_floating_point():
        raise ValueError(
            f"images must be floating point and normalised; got {images.dtype}. From uint8: "
            f"retinanet_lite.data.batches.normalize(images)."
        )
    if min(images.shape[-2:]) < SMALLEST_SIDE:
        raise ValueError(
            f"images must be at least {SMALLEST_SIDE}×{SMALLEST_SIDE} pixels; got "
            f"{images.shape[-2]}×{images.shape[-1]}. Enlarge or pad them."
        )
    if images.is_meta:
        return  # shapes without values, as learn/trace.py runs them
    finite = images.isfinite().flatten(1).all(dim=1)
    if not finite.all():
        raise ValueError(
            f"images[{finite.tolist().index(False)}] holds NaN or infinite values. Look for a "
            f"division by zero where it was normalised, or an unreadable file."
        )


def check_annotations(annotations: Tensor, batch_size: int, num_classes: int) -> None:
    """Raise ValueError unless `annotations` is [B, M, 5] with sound boxes and classes.

    A row is x1, y1, x2, y2 in pixels and a class id 0 … num_classes − 1, or five times −1. A
    compiled model does without, as in `check_images`.
    """
    if torch.compiler.is_compiling():
        return
    shape = list(annotations.shape)
    if len(shape) != 3 or shape[2] != 5:
        raise ValueError(
            f"annotations must be [B, M, 5]: x1, y1, x2, y2 and the class id of each object, "
            f"rows of −1 where an image has fewer objects; got {shape}. "
            f"retinanet_lite.data.batches.to_annotations makes them of boxes and labels."
        )
    if shape[0] != batch_size:
        raise ValueError(
            f"annotations are for {shape[0]} images, but the batch has {batch_size}. An image "
            f"without objects has rows of −1."
        )
    padding = (annotations == -1).all(dim=2)  # [B, M]
    boxes, classes = annotations[..., :4], annotations[..., 4]

    def complain(wrong: Tensor, what: str) -> None:
        for image, row in (wrong & ~padding).nonzero().tolist()[:1]:
            *box, label = (f"{value:g}" for value in annotations[image, row].tolist())
            raise ValueError(
                f"annotations[{image}, {row}] is the box ({', '.join(box)}) of class {label}: "
                f"{what}"
            )

    complain(
        ~annotations.isfinite().all(dim=2),
        "every value must be finite. Remove the object, or mend its file.",
    )
    complain(
        (boxes[..., 2:] <= boxes[..., :2]).any(dim=2),
        "x2 must be greater than x1, and y2 greater than y1. Boxes are (x1, y1, x2, y2) in "
        "pixels; if yours are (x, y, width, height), convert them with "
        'torchvision.ops.box_convert(boxes, "xywh", "xyxy").',
    )
    complain(
        (classes < 0) | (classes >= num_classes) | (classes != classes.round()),
        f"class ids are whole numbers from 0 to {num_classes - 1}, for num_classes="
        f"{num_classes}. If yours start at 1, subtract 1; the background has no id.",
    )
