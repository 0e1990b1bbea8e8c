"""RetinaNet, readable and exact. `notebooks/00_start_here.ipynb` is the way in.

In the docstrings "walkthrough" is docs/walkthrough.md, and "the original" is the public
`pytorch-retinanet`, whose structure this package follows.
"""

from .anchors import Anchors
from .backbone import BasicBlock, Bottleneck, ResNet
from .boxes import BBoxTransform, ClipBoxes
from .coverage import anchor_coverage
from .detection import Detection
from .detector import Detector
from .fpn import PyramidFeatures
from .heads import ClassificationModel, RegressionModel
from .losses import FocalLoss, focal_loss
from .matching import match_anchors
from .retinanet import (
    RetinaNet,
    retinanet_resnet18,
    retinanet_resnet34,
    retinanet_resnet50,
    retinanet_resnet101,
    retinanet_resnet152,
)
from .training import Recipe, fit
from .validation import evaluate

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
    "evaluate",
    "fit",
    "focal_loss",
    "match_anchors",
    "retinanet_resnet18",
    "retinanet_resnet34",
    "retinanet_resnet50",
    "retinanet_resnet101",
    "retinanet_resnet152",
]
