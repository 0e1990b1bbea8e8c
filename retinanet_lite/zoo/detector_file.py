"""A detector in a file: its parameters, and how it is built, in plain numbers and names."""

import inspect
import os
from typing import Any

import numpy as np
import torch.nn as nn
from torch import Tensor

from ..model.anchors import Anchors
from ..model.backbone import BasicBlock, Bottleneck
from ..model.boxes import BBoxTransform
from ..model.detection import Detection
from ..model.losses import FocalLoss
from ..model.retinanet import RetinaNet
from .safe_files import read_file, write_atomically

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


def write_detector(
    path: str | os.PathLike, model: RetinaNet, about: dict, half: bool = False, **more
) -> None:
    """Write a model's weights, what it is about and plain values; `Detector.save` says which."""
    weights = {
        name: value.half() if half and value.dim() > 1 else value
        for name, value in model.state_dict().items()
    }
    write_atomically(path, {"weights": weights, "about": about, **more})


def read_detector(
    path: str | os.PathLike,
) -> tuple[RetinaNet, list[str], list[int] | None]:
    """The model in a file, in eval mode, its classes and its size, see `Detector`.

    Raises:
        ValueError: if the file is missing, damaged or not a detector's.
    """
    content = read(path)
    try:
        model = build(content["about"])
        model.load_state_dict(content["weights"])
        return model.eval(), content["about"]["classes"], content["about"]["size"]
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path} holds no detector. Name a file that Detector.save or training wrote, such as "
            f"best.pt."
        ) from error


def read(path: str | os.PathLike) -> dict:
    """The content of a file that `write_atomically` wrote.

    Raises:
        ValueError: if the file is missing, damaged or of another kind.
    """
    content = read_file(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__} and no detector")
    return content
