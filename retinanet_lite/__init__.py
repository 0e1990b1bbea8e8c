"""RetinaNet, readable and exact. `notebooks/00_start_here.ipynb` is the way in.

In the docstrings "walkthrough" is docs/walkthrough.md, and "the original" is the public
`pytorch-retinanet`, whose structure this package follows.
"""

from .detector import Detector
from .evaluation.anchor_coverage import anchor_coverage
from .evaluation.measure import evaluate
from .model.anchors import Anchors
from .model.backbone import BasicBlock, Bottleneck, ResNet
from .model.boxes import BBoxTransform, ClipBoxes
from .model.builders import (
    coco_detector,
    retinanet_resnet18,
    retinanet_resnet34,
    retinanet_resnet50,
    retinanet_resnet101,
    retinanet_resnet152,
)
from .model.detection import Detection
from .model.fpn import PyramidFeatures
from .model.heads import ClassificationModel, RegressionModel
from .model.losses import FocalLoss, focal_loss
from .model.matching import match_anchors
from .model.retinanet import RetinaNet
from .training.fit import fit
from .training.recipe import Recipe
from .zoo.new_classes import keep_classes, replace_classes
from .zoo.weights import from_pytorch_retinanet, from_torchvision, to_torchvision

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
