"""A detector in a file: its parameters, and how it is built, in plain numbers and names."""

import inspect
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor

from ..model.anchors import Anchors
from ..model.backbone import BasicBlock, Bottleneck
from ..model.boxes import BBoxTransform
from ..model.detection import Detection
from ..model.losses import FocalLoss
from ..model.retinanet import RetinaNet

BLOCKS = {"BasicBlock": BasicBlock, "Bottleneck": Bottleneck}
NETWORK = (  # arguments of `RetinaNet` that are kept as they are
    "num_classes",
    "layers",
    "feature_size",
    "freeze_bn",
    "p6_from",
    "norm_groups",
    "bn_eps",
)


def architecture(model: RetinaNet) -> dict:
    """What `build` needs to make a model like this one, as plain numbers and names.

    Raises:
        ValueError: for what `for_inference` gave, whose batch norm is folded away.
    """
    if not model.backbone.batch_norms():
        raise ValueError(
            "the model is a copy for inference, which can't be saved: save the model that "
            "for_inference() was called on"
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
    model = RetinaNet(
        block=BLOCKS[about["block"]],
        anchors=Anchors(**about["anchors"]),
        box_transform=BBoxTransform(about["std"], about["max_log_scale"]),
        focal_loss=FocalLoss(**about["focal_loss"]),
        detection=Detection(**about["detection"]),
        **{name: about[name] for name in NETWORK if name in about},
    )
    model.freeze(*about.get("frozen", ()))
    return model


def arguments(module: nn.Module) -> dict[str, Any]:
    """The arguments that a module was made with: its attributes of the same names."""
    names = inspect.signature(type(module)).parameters.keys() - {"box_transform"}
    return {name: plain(getattr(module, name)) for name in sorted(names)}


def plain(value: Any) -> Any:
    """As Python's own types: a number of NumPy would make a file unreadable."""
    if isinstance(value, Tensor | np.generic):
        return value.tolist()
    return list(map(plain, value)) if isinstance(value, tuple | list) else value


def write_atomically(path: str | os.PathLike, content: dict) -> None:
    """Save so that at any moment the file is the old one or the new one, whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with open(part, "wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def read(path: str | os.PathLike) -> dict:
    """The content of a file that `write_atomically` wrote. Nothing in it is run.

    Raises:
        ValueError: if the file is missing, damaged or of another kind.
    """
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # other files fail in a dozen ways, each with a page of advice
        raise ValueError(
            f"{path} can't be read: it is damaged, or no file that Detector.save or training wrote"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__} and no detector")
    return content
