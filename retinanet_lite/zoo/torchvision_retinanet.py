"""torchvision's RetinaNets: parameters, there and back, settings, and COCO's weights."""

import re
import warnings

from torch import Tensor
from torchvision.models import WeightsEnum, get_weight

from ..model.anchors import Anchors
from ..model.backbone import RESNETS, BasicBlock
from ..model.boxes import BBoxTransform
from ..model.detection import Detection
from ..model.imagenet import download
from ..model.losses import FocalLoss
from ..model.retinanet import RetinaNet
from .detector_file import architecture
from .parameters import HEADS, Source, make_detector, read_network, read_state, their_name

NAMES = {
    "backbone": "backbone.body",
    **{f"fpn.lateral{i + 3}": f"backbone.fpn.inner_blocks.{i}.0" for i in range(3)},
    **{f"fpn.output{i + 3}": f"backbone.fpn.layer_blocks.{i}.0" for i in range(3)},
    "fpn.p": "backbone.fpn.extra_blocks.p",
    **{f"{h}_model.conv{i + 1}": f"head.{h}_head.conv.{i}.0" for h in HEADS for i in range(4)},
    **{f"{h}_model.norm{i + 1}": f"head.{h}_head.conv.{i}.1" for h in HEADS for i in range(4)},
    "classification_model.output": "head.classification_head.cls_logits",
    "regression_model.output": "head.regression_head.bbox_reg",
}
NORM = "head.classification_head.conv.0.1.weight"  # v2 has it
COUNTER = "backbone.body.bn1.num_batches_tracked"  # frozen batch norm does without
COCO = {  # torchvision's published detectors
    "coco": get_weight("RetinaNet_ResNet50_FPN_Weights.COCO_V1"),
    "coco_v2": get_weight("RetinaNet_ResNet50_FPN_V2_Weights.COCO_V1"),
}
COCO_SIZE = (800, 1333)  # of images, see `transforms.resize`


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


VERSIONS = {"v1": torchvision_v1, "v2": torchvision_v2}


def from_torchvision(
    source: Source, num_classes: int | None = None, version: str | None = None, **changes
) -> RetinaNet:
    """The detector of a torchvision RetinaNet's parameters, with torchvision's results and labels.

    The network is read from the parameters: any depth of ResNet, any number of classes and
    channels, P6 from C5 or P5, heads with GroupNorm (v2) or without (v1), also in the names of
    torchvision's older layouts. It comes in eval mode, on the CPU, with frozen batch norm;
    `freeze_bn=False` lets it learn.

    Args:
        source: a state dict, a checkpoint with one under "model", or a file of either.
        num_classes, version: those that the source must have, such as 91 and "v1"; None for any.
        changes: arguments of `RetinaNet` in place of torchvision's: `anchors`, for a source with
            an anchor generator of its own, or `bn_eps`, which no file tells. That is 1e-5 unless
            the source was saved with torchvision's frozen batch norm and is a ResNet-50 of 91
            classes, which is taken for the published v1 and gets 0.

    Raises:
        ValueError: the file can't be read, or its names, shapes or classes do not fit.
    """
    state = read_state(source, name_of_today)
    network = read_network(state, NAMES, "torchvision's RetinaNet", num_classes)
    found = "v2" if NORM in state else "v1"
    if version not in (None, found):
        raise ValueError(
            f"the checkpoint is of torchvision's {found}, not {version}. Load it with "
            f"version={found!r}, or without."
        )
    if changes.get("bn_eps") is None and COUNTER not in state:
        shape = network["block"], tuple(network["layers"]), network["num_classes"]
        changes["bn_eps"] = 0.0 if shape == (*RESNETS["resnet50"], 91) else 1e-5
        if changes["bn_eps"]:
            warnings.warn(
                "the checkpoint was saved with frozen batch norm, whose eps no file tells. It is "
                "taken to be 1e-5; torchvision's published COCO weights have 0. If yours was "
                "trained on from these: from_torchvision(..., bn_eps=0.0).",
                stacklevel=2,
            )
    return make_detector(state, NAMES, VERSIONS[found]() | network, changes)


def name_of_today(key: str) -> str:
    """The name that torchvision gives today to a parameter of an older file."""
    # a convolution was a module by itself, and in a head the ReLUs were counted as well
    key = re.sub(r"(fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)$", r"\1.0.\2", key)
    old = re.fullmatch(r"(.*_head\.conv)\.([0246])\.(weight|bias)", key)
    return f"{old[1]}.{int(old[2]) // 2}.0.{old[3]}" if old else key


def to_torchvision(model: RetinaNet) -> dict[str, Tensor]:
    """The state dict of a model as torchvision's RetinaNet loads it.

    No state dict holds settings: a warning names those that torchvision's own has otherwise, since
    with them the same parameters find other boxes.
    """
    version = "v1" if model.regression_model.norm_groups is None else "v2"
    tiny = RetinaNet(1, BasicBlock, [1, 1, 1, 1], **VERSIONS[version]())
    mine, theirs = (about | about["anchors"] for about in map(architecture, (model, tiny)))
    mine["std"] = [round(value, 6) for value in mine["std"]]  # float32's 0.1 is not 0.1
    names = [*theirs["anchors"], "p6_from", "norm_groups", "bn_eps", "std", "max_log_scale"]
    if different := [f"{n} is {mine[n]}, there {theirs[n]}" for n in names if mine[n] != theirs[n]]:
        warnings.warn(
            f"torchvision's {version} gives other results with these parameters, or does not load "
            f"them, because of other settings: {'; '.join(different)}",
            stacklevel=2,
        )
    return {their_name(key, NAMES): value for key, value in model.state_dict().items()}


def load_coco(name: str = "coco", **changes) -> RetinaNet:
    """torchvision's RetinaNet for COCO, with its 91 labels; downloaded once, then kept by PyTorch.

    Args:
        name: "coco", torchvision's v1, or "coco_v2". As published: AP 36.4 and 41.5.
        changes: as in `from_torchvision`.

    Raises:
        ValueError: if there are no such weights.
        ConnectionError: if they can't be downloaded, or are damaged.
    """
    instead = 'take the package\'s own small detector, Detector.pretrained("shapes")'
    state = download(published(name), f"torchvision's {name} weights", instead)
    return from_torchvision(state, 91, "v2" if name == "coco_v2" else "v1", **changes)


def coco_categories(name: str = "coco") -> tuple[str, ...]:
    """What the labels of torchvision's COCO detectors mean, 0 to 90, by COCO's category ids.

    Label 0 is "__background__" and is never learned; some ids are of no category, "N/A".
    """
    return tuple(published(name).meta["categories"])


def published(name: str) -> WeightsEnum:
    if name not in COCO:
        raise ValueError(f"there are {', '.join(COCO)}, and a Detector's shapes; got {name!r}")
    return COCO[name]
