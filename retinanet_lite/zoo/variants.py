"""What others do, in arguments: each function gives those that make a `RetinaNet` theirs.

docs/differences.md has the table, and where each difference is explained.
"""

from ..model.anchors import Anchors
from ..model.boxes import BBoxTransform
from ..model.detection import Detection
from ..model.losses import FocalLoss


def torchvision_v1() -> dict:
    """Arguments of `RetinaNet` for torchvision's `retinanet_resnet50_fpn`."""
    return {
        "p6_from": "P5",
        "anchors": Anchors(offset=0.0, rounded=True, floor_strides=True),
        "box_transform": BBoxTransform(std=(1.0, 1.0, 1.0, 1.0)),
        "focal_loss": FocalLoss(box_loss="l1", keep_best="low_quality"),
        "detection": Detection(keep_empty=True),
    }


def torchvision_v2() -> dict:
    """Arguments of `RetinaNet` for torchvision's `retinanet_resnet50_fpn_v2`."""
    return {
        **torchvision_v1(),
        "p6_from": "C5",
        "norm_groups": 32,
        "focal_loss": FocalLoss(box_loss="giou", keep_best="low_quality"),
    }


def pytorch_retinanet() -> dict:
    """Arguments of `RetinaNet` for the original, the public `pytorch-retinanet`."""
    return {
        # the original has no limit: e^80 is none for a box that float32 can hold
        "box_transform": BBoxTransform(max_log_scale=80.0),
        "focal_loss": FocalLoss(keep_best=False),
        "detection": Detection(top_k=None, max_detections=None, keep_empty=True),
    }
