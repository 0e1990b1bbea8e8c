"""RetinaNet, readable and exact. `notebooks/00_start_here.ipynb` is the way in.

In the docstrings "walkthrough" is docs/walkthrough.md, and "the original" is the public
`pytorch-retinanet`, whose structure this package follows.
"""

from .anchors import Anchors
from .backbone import BasicBlock, Bottleneck, ResNet
from .boxes import BBoxTransform, ClipBoxes
from .builders import (
    coco_detector,
    retinanet_resnet18,
    retinanet_resnet34,
    retinanet_resnet50,
    retinanet_resnet101,
    retinanet_resnet152,
)
from .coverage import anchor_coverage
from .detection import Detection
from .detector import Detector
from .finetuning import keep_classes, replace_classes
from .fpn import PyramidFeatures
from .heads import ClassificationModel, RegressionModel
from .losses import FocalLoss, focal_loss
from .matching import match_anchors
from .retinanet import RetinaNet
from .training import Recipe, fit
from .validation import evaluate
from .weights import from_pytorch_retinanet, from_torchvision, to_torchvision

__version__ = "0.1.0"

__all__ = [
    "Anchors",
    "BBoxTransform",
    "BasicBlock",
    "Bottleneck",
    "ClassificationModel",
    "ClipBoxes",
    "Detection",
    "Detector",
    "FocalLoss",
    "PyramidFeatures",
    "Recipe",
    "RegressionModel",
    "ResNet",
    "RetinaNet",
    "anchor_coverage",
    "coco_detector",
    "evaluate",
    "fit",
    "focal_loss",
    "from_pytorch_retinanet",
    "from_torchvision",
    "keep_classes",
    "match_anchors",
    "replace_classes",
    "retinanet_resnet18",
    "retinanet_resnet34",
    "retinanet_resnet50",
    "retinanet_resnet101",
    "retinanet_resnet152",
    "to_torchvision",
]
