"""How a model is built, in plain numbers and names, as a detector's file has it."""

import inspect
from typing import Any

import torch.nn as nn

from ..model.anchors import Anchors
from ..model.backbone import BasicBlock, Bottleneck
from ..model.boxes import BBoxTransform
from ..model.detection import Detection
from ..model.losses import FocalLoss
from ..model.retinanet import RetinaNet

BLOCKS = {"BasicBlock": BasicBlock, "Bottleneck": Bottleneck}


def architecture(model: RetinaNet) -> dict:
    """What `build` needs to make a model like this one, as plain numbers and names."""
    if not model.backbone.batch_norms():  # they are folded away
        raise ValueError(
            "a copy for inference can't be saved: save the model that for_inference() was given"
        )
    return {
        "num_classes": model.num_classes,
        "block": model.backbone.block.__name__,
        "layers": list(model.backbone.layers),
        "feature_size": model.fpn.output3.out_channels,
        "freeze_bn": model.backbone.bn_frozen,
        "p6_from": model.fpn.p6_from,
        "norm_groups": model.regression_model.norm_groups,
        "bn_eps": model.backbone.bn_eps,
        "frozen": list(model.frozen),
        "anchors": arguments(model.anchors),
        **arguments(model.regress_boxes),
        "focal_loss": arguments(model.focal_loss),
        "detection": arguments(model.detection),
    }


def build(about: dict) -> RetinaNet:
    """A model by the description that `architecture` made; what it does not name is the default."""
    given = {name: about[name] for name in inspect.signature(RetinaNet).parameters.keys() & about}
    given |= {
        "block": BLOCKS[about["block"]],
        "anchors": Anchors(**about["anchors"]),
        "box_transform": BBoxTransform(about["std"], about["max_log_scale"]),
        "focal_loss": FocalLoss(**about["focal_loss"]),
        "detection": Detection(**about["detection"]),
    }
    model = RetinaNet(**given)
    model.freeze(*about.get("frozen", ()))
    return model


def arguments(module: nn.Module) -> dict[str, Any]:
    """The arguments that a module was made with: its attributes of the same names."""
    names = inspect.signature(type(module)).parameters.keys() - {"box_transform"}
    return {name: plain(getattr(module, name)) for name in sorted(names)}


def plain(value: Any) -> Any:
    """As Python's own types: a number of NumPy would make a file unreadable."""
    if hasattr(value, "tolist"):  # PyTorch's and NumPy's have it
        return value.tolist()
    return list(map(plain, value)) if isinstance(value, tuple | list) else value
