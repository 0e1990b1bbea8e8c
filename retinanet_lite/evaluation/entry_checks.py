"""What is evaluated: an entry an image, and what an unsound one is told."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

Entry = Mapping[str, Tensor]  # the detections or the objects of an image
Entries = Sequence[Entry]


def check_entries(
    detections: Entries, targets: Entries, num_classes: float = math.inf, crowds: bool = False
) -> None:
    """Raise ValueError unless detections and targets are as at the top of average_precision.py.

    Labels are below `num_classes`. Only with `crowds` may objects be crowds.
    """
    if len(detections) != len(targets):
        raise ValueError(
            f"detections are of {len(detections)} images, targets of {len(targets)}. Both need an "
            f"entry for every image; one without detections or objects has boxes [0, 4]."
        )
    for i, (found, target) in enumerate(zip(detections, targets, strict=True)):
        check_entry(f"detections[{i}]", found, ("boxes", "labels", "scores"), num_classes)
        check_entry(f"targets[{i}]", target, ("boxes", "labels"), num_classes)
        if not crowds and "iscrowd" in target and target["iscrowd"].any():
            raise ValueError(
                f"targets[{i}] has a crowd, and only coco_metrics knows crowds. Leave it out of "
                f"boxes, labels and iscrowd."
            )


def check_entry(name: str, entry: Entry, keys: Sequence[str], num_classes: float) -> None:
    """Raise ValueError unless an image's entry has sound boxes and labels, and all of `keys`."""
    keys = [*keys, *({"area", "iscrowd"} & set(entry))]
    shapes = {key: tuple(entry[key].shape) for key in keys if key in entry}
    count = shapes.get("boxes", (0,))[:1]
    if shapes != {key: count + (4,) if key == "boxes" else count for key in keys}:
        raise ValueError(
            f"{name} needs boxes [n, 4] and {', '.join(keys[1:])} [n], one for each box; it has "
            f"{shapes}. Without a box: boxes torch.empty(0, 4), the others torch.empty(0)."
        )
    if not all(entry[key].isfinite().all() for key in keys):
        raise ValueError(f"{name} holds NaN or infinite values. Has the training diverged?")
    boxes, labels = entry["boxes"], entry["labels"]
    if (boxes[:, 2:] < boxes[:, :2]).any():  # equal is fine: a detection cut off to a line
        raise ValueError(
            f"{name} has a box with x2 < x1 or y2 < y1. Boxes are (x1, y1, x2, y2) in pixels; from "
            f'(x, y, width, height): torchvision.ops.box_convert(boxes, "xywh", "xyxy").'
        )
    wrong = labels[(labels < 0) | (labels >= num_classes) | (labels != labels.round())]
    if len(wrong):
        raise ValueError(
            f"{name} has the label {wrong[0].item()}; labels are whole numbers from 0 to "
            f"{num_classes - 1}. If yours start at 1, subtract 1; the background has no label."
        )
