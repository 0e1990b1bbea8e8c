"""Detectors that are there already: weights from and to other implementations, and our own."""

from pathlib import Path

from .new_classes import keep_classes, replace_classes
from .pytorch_retinanet import from_pytorch_retinanet, pytorch_retinanet
from .torchvision_retinanet import (
    coco_categories,
    from_torchvision,
    load_coco,
    to_torchvision,
    torchvision_v1,
    torchvision_v2,
)

SHAPES = Path(__file__).with_name("shapes.pt")  # a small detector of the twenty drawn shapes

__all__ = [
    "SHAPES",
    "coco_categories",
    "from_pytorch_retinanet",
    "from_torchvision",
    "keep_classes",
    "load_coco",
    "pytorch_retinanet",
    "replace_classes",
    "to_torchvision",
    "torchvision_v1",
    "torchvision_v2",
]
