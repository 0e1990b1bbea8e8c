"""Detectors that are there already: weights from and to other implementations, and our own.

torchvision_retinanet  torchvision's names and settings; COCO's published weights
pytorch_retinanet      those of the original, the public repository of this name
parameters             a state dict of theirs put into a model, and what to say if it does not fit
new_classes            a trained model for other classes
detector_file          a detector of ours in a file; safe_files, files written whole, read safely
"""

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

__all__ = ["SHAPES", "coco_categories", "keep_classes", "load_coco", "replace_classes"]
__all__ += ["from_pytorch_retinanet", "pytorch_retinanet"]
__all__ += ["from_torchvision", "to_torchvision", "torchvision_v1", "torchvision_v2"]
