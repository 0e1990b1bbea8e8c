"""RetinaNet, readable and exact. `notebooks/00_start_here.ipynb` is the way in.

    model/          the network as the notebooks build it: start with model/retinanet.py
    fast/           the same parts, quicker: `quicken(model)`
    zoo/            weights from and to other implementations, and our own
    data/           drawn scenes, folders of images, batches, transforms
    training/       `fit`, and the files of a training
    evaluation/     average precision, kinds of errors, how well anchors fit
    detector.py     the door for users: images in, detections out
    devices.py      which processor, and how many processes
    cli/, learn/    the command line; what the notebooks draw, ask and check

In the docstrings "walkthrough" is docs/walkthrough.md, and "the original" is the public
`pytorch-retinanet`, whose structure this package follows.
"""

from .detector import Detector, coco_detector
from .evaluation.anchor_coverage import anchor_coverage
from .evaluation.measure import evaluate
from .fast import for_inference, quicken, unquicken
from .model.anchors import Anchors
from .model.backbone import BasicBlock, Bottleneck, ResNet
from .model.boxes import BBoxTransform, ClipBoxes
from .model.builders import (
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
from .zoo import (
    from_pytorch_retinanet,
    from_torchvision,
    keep_classes,
    replace_classes,
    to_torchvision,
)

__version__ = "0.1.0"

__all__ = ["Detector", "Recipe", "anchor_coverage", "coco_detector", "evaluate", "fit"]
__all__ += ["RetinaNet", "retinanet_resnet18", "retinanet_resnet34", "retinanet_resnet50"]
__all__ += ["retinanet_resnet101", "retinanet_resnet152", "ResNet", "BasicBlock", "Bottleneck"]
__all__ += ["PyramidFeatures", "ClassificationModel", "RegressionModel", "Anchors"]
__all__ += ["BBoxTransform", "ClipBoxes", "Detection", "FocalLoss", "focal_loss", "match_anchors"]
__all__ += ["from_pytorch_retinanet", "from_torchvision", "to_torchvision"]
__all__ += ["keep_classes", "replace_classes", "for_inference", "quicken", "unquicken"]
