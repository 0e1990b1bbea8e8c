"""RetinaNet, readable and exact. `notebooks/00_start_here.ipynb` is the way in.

In the docstrings "walkthrough" is docs/walkthrough.md, and "the original" is the public
`pytorch-retinanet`, whose structure this package follows.
"""

from .anchors import Anchors
from .backbone import BasicBlock, Bottleneck, ResNet
from .boxes import BBoxTransform, ClipBoxes
from .detection import Detection
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

__version__ = "0.1.0"

__all__ = [
    "Anchors",
    "BBoxTransform",
    "BasicBlock",
    "Bottleneck",
    "ClassificationModel",
    "ClipBoxes",
    "Detection",
    "FocalLoss",
    "PyramidFeatures",
    "RegressionModel",
    "ResNet",
    "RetinaNet",
    "focal_loss",
    "match_anchors",
    "retinanet_resnet18",
    "retinanet_resnet34",
    "retinanet_resnet50",
    "retinanet_resnet101",
    "retinanet_resnet152",
]
