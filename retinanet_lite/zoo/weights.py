"""Weights from elsewhere: torchvision's detectors, the original's, and backbones for ImageNet.

A loaded detector gives what its source gives: beside the parameters it gets the arguments that go
with them, see variants.py.
"""

import warnings

import torch
from torch import Tensor
from torchvision.models import WeightsEnum, get_model_weights
from torchvision.models.detection import (
    RetinaNet_ResNet50_FPN_V2_Weights,
    RetinaNet_ResNet50_FPN_Weights,
)

from ..model.backbone import RESNETS, BasicBlock, Bottleneck, ResNet
from ..model.retinanet import RetinaNet
from .architecture import architecture
from .checkpoints import (
    PYTORCH_RETINANET,
    TORCHVISION,
    UNKNOWN,
    Names,
    Source,
    listed,
    read_state,
    torchvisions_names_of_today,
)
from .variants import pytorch_retinanet, torchvision_v1, torchvision_v2

# torchvision's published detectors
COCO = {
    "coco": RetinaNet_ResNet50_FPN_Weights.COCO_V1,
    "coco_v2": RetinaNet_ResNet50_FPN_V2_Weights.COCO_V1,
}
VERSIONS = {"v1": torchvision_v1, "v2": torchvision_v2}
NORM = "classification_model.norm1.weight"  # v2 has it


def from_torchvision(
    source: Source, num_classes: int | None = None, version: str | None = None, **changes
) -> RetinaNet:
    """The detector of a torchvision RetinaNet's parameters, with torchvision's results.

    The network is read from the parameters: any depth of ResNet, any number of classes and
    channels, P6 from C5 or P5, heads with GroupNorm (v2) or without (v1), also in the names of
    torchvision's older layouts. Labels are those of the source; COCO's 91 are told by
    `coco_categories`. Batch norm is frozen, as always here; `freeze_bn=False` lets it learn.

    Args:
        source: a state dict, a checkpoint with one under "model", or a file of either.
        num_classes: how many classes the source must have; None for any number.
        version: "v1" or "v2", which the source must be; None for either.
        changes: arguments of `RetinaNet` in place of torchvision's: `anchors`, for a source with
            an anchor generator of its own, or `bn_eps`, which no file tells. That is 1e-5 unless
            the source was saved with torchvision's frozen batch norm and is a ResNet-50 of 91
            classes, which is taken for the published v1 and gets 0.

    Returns:
        the model, in eval mode, on the CPU

    Raises:
        ValueError: the file can't be read, or its names, shapes or classes do not fit.
    """
    if version not in (None, *VERSIONS):
        raise ValueError(f'version must be "v1", "v2" or None; got {version!r}')
    state = TORCHVISION.to_ours(torchvisions_names_of_today(read_state(source)))
    found = "v2" if NORM in state else "v1"
    network = read_network(state, TORCHVISION)
    if version not in (None, found):
        has = "a" if NORM in state else "no"
        raise ValueError(
            f"the checkpoint is of torchvision's {found}, not {version}: its heads have {has} "
            f"GroupNorm. Load it with version={found!r}, or without."
        )
    if add_counters(state) and changes.get("bn_eps") is None:
        changes["bn_eps"] = eps_of_frozen(network)
    return load_network({**VERSIONS[found](), **network}, changes, num_classes, state, TORCHVISION)


def from_pytorch_retinanet(source: Source, num_classes: int | None = None, **changes) -> RetinaNet:
    """The detector of the original's parameters, with its results wherever it is right.

    Its faults are not repeated: images of a batch are not mixed, images of any size work, a box is
    cut off on every side, detections come best first. In its loss, probabilities are held between
    0.0001 and 0.9999, which cuts off gradients; ours are not.

    Args:
        source: a state dict of the public `pytorch-retinanet`, or a file of one; of any depth.
        num_classes: how many classes the source must have; None for any number.
        changes: arguments of `RetinaNet` in place of the original's, such as `anchors`.

    Returns:
        the model, in eval mode, on the CPU

    Raises:
        ValueError: the file can't be read, or its names, shapes or classes do not fit. A whole
            pickled model, as the original saves it, is not loaded: it could run anything.
    """
    state = PYTORCH_RETINANET.to_ours(read_state(source))
    network = read_network(state, PYTORCH_RETINANET)
    add_counters(state)  # files of PyTorch before 0.4.1 have none
    settings = {**pytorch_retinanet(), **network}
    return load_network(settings, changes, num_classes, state, PYTORCH_RETINANET)


def to_torchvision(model: RetinaNet) -> dict[str, Tensor]:
    """The state dict of a model as torchvision's RetinaNet loads it.

    The parameters stay as they are. No state dict holds settings: a warning names those that
    torchvision's own has otherwise, since with them the same parameters find other boxes.
    """
    version = "v1" if model.regression_model.norm_groups is None else "v2"
    theirs = what_boxes_mean(RetinaNet(1, BasicBlock, [1, 1, 1, 1], **VERSIONS[version]()))
    mine = what_boxes_mean(model)
    different = [f"{n} is {mine[n]}, there {theirs[n]}" for n in mine if mine[n] != theirs[n]]
    if different:
        warnings.warn(
            f"torchvision's {version} gives other results with these parameters, or does not load "
            f"them, because of other settings: {'; '.join(different)}",
            stacklevel=2,
        )
    return TORCHVISION.to_theirs(model.state_dict())


def what_boxes_mean(model: RetinaNet) -> dict:
    """The settings that decide what the network's outputs mean, by name."""
    about = architecture(model)
    about["std"] = [round(value, 6) for value in about["std"]]  # float32's 0.1 is not 0.1
    names = ("p6_from", "norm_groups", "bn_eps", "std", "max_log_scale")
    return {**about["anchors"], **{name: about[name] for name in names}}


def read_network(state: dict[str, Tensor], names: Names) -> dict:
    """The arguments of `RetinaNet` that the shapes of a state dict, in our names, tell."""
    needed = [
        "backbone.layer1.0.conv1.weight",
        "fpn.lateral5.weight",
        "fpn.p6.weight",
        "regression_model.output.weight",
        "classification_model.output.weight",
    ]
    missing = [names.theirs(key) for key in needed if key not in state]
    if UNKNOWN + needed[-1] in state:
        raise ValueError(
            f"the checkpoint has the names of this package, such as {needed[-1]}, and not those of "
            f"{names.kind}. Make the model that it is of, and give it to model.load_state_dict."
        )
    if missing:
        raise ValueError(
            f"the checkpoint is not of {names.kind}: there is no {', '.join(missing)}. It has "
            f"{listed(list(map(names.theirs, state)))}"
        )
    shapes = {names.theirs(key): list(state[key].shape) for key in needed}
    impossible = [f"{key} {s}" for key, s in shapes.items() if len(s) != 4 or 0 in s]
    if not impossible and len(state[needed[-1]]) < anchors_of(state):
        impossible = [f"{key} {shapes[key]}" for key in list(shapes)[-2:]]
    if impossible:
        raise ValueError(
            f"the checkpoint does not fit {names.kind}: no network has {', '.join(impossible)}"
        )
    features, c5 = state["fpn.lateral5.weight"].shape[:2]
    stages = [
        {key.split(".")[2] for key in state if key.startswith(f"backbone.layer{stage}.")}
        for stage in (1, 2, 3, 4)
    ]
    network = {
        "block": Bottleneck if "backbone.layer1.0.conv3.weight" in state else BasicBlock,
        "layers": [max(1, len(blocks)) for blocks in stages],
        "feature_size": features,
        "num_classes": len(state["classification_model.output.weight"]) // anchors_of(state),
    }
    if features != c5:  # else P5 and C5 have as many channels, and the variant decides
        network["p6_from"] = "P5" if state["fpn.p6.weight"].shape[1] == features else "C5"
    return network


def anchors_of(state: dict[str, Tensor]) -> int:
    """How many anchors a cell has."""
    return max(1, len(state["regression_model.output.weight"]) // 4)


def add_counters(state: dict[str, Tensor]) -> bool:
    """Give batch norm the counter of its batches where a state dict has none.

    torchvision's frozen batch norm does without. Returns whether it was so.
    """
    norms = [key.removesuffix(".running_var") for key in state if key.endswith(".running_var")]
    counters = {f"{norm}.num_batches_tracked" for norm in norms} - state.keys()
    if len(counters) < len(norms):
        return False  # a few may be missing by mistake; loading will name them
    state |= {counter: torch.tensor(0) for counter in counters}
    return True


def eps_of_frozen(network: dict) -> float:
    """The eps of a source with torchvision's frozen batch norm, which its file does not tell."""
    if (network["block"], tuple(network["layers"])) == RESNETS["resnet50"] and network[
        "num_classes"
    ] == 91:
        return 0.0
    warnings.warn(
        "the checkpoint was saved with frozen batch norm, whose eps no file tells. It is taken to "
        "be 1e-5; torchvision's published COCO weights have 0. If yours was trained on from "
        "these: from_torchvision(..., bn_eps=0.0).",
        stacklevel=3,
    )
    return 1e-5


def load_network(
    settings: dict, changes: dict, num_classes: int | None, state: dict[str, Tensor], names: Names
) -> RetinaNet:
    """A model by these settings, changed as told, with the parameters of a state dict."""
    found = settings["num_classes"]
    if num_classes not in (None, found):
        raise ValueError(
            f"the checkpoint has {found} classes, not {num_classes}. Load it as it is; then "
            f"replace_classes(model, {num_classes}) gives it new ones, and keep_classes(model, …) "
            f"keeps some of its own."
        )
    settings |= {name: value for name, value in changes.items() if value is not None}
    model = RetinaNet(**settings)
    if model.anchors.num_anchors != anchors_of(state):
        raise ValueError(
            f"the checkpoint has {anchors_of(state)} anchors a cell, not "
            f"{model.anchors.num_anchors}. Give those that it was trained with: "
            f"anchors=Anchors(...)."
        )
    names.check(state, model.state_dict())
    model.load_state_dict(state)
    return model.eval()


def coco_categories(name: str = "coco") -> tuple[str, ...]:
    """What the labels of torchvision's COCO detectors mean, 0 to 90, by COCO's category ids.

    Label 0 is "__background__" and is never learned; some ids are of no category, "N/A".
    """
    return tuple(published(name).meta["categories"])


def published(name: str) -> WeightsEnum:
    """torchvision's published detector of this name."""
    if name not in COCO:
        raise ValueError(f"weights must be one of {', '.join(COCO)}, or None; got {name!r}")
    return COCO[name]


def load_coco(name: str = "coco", **changes) -> RetinaNet:
    """torchvision's RetinaNet for COCO, with its 91 labels.

    Args:
        name: "coco", torchvision's v1, or "coco_v2". As published: AP 36.4 and 41.5.
        changes: as in `from_torchvision`.

    The weights are downloaded once, then kept on disk by PyTorch.

    Raises:
        ConnectionError: if they can't be downloaded, or are damaged.
    """
    instead = "take the package's own small detector, retinanet_lite.zoo.SHAPES"
    state = download(published(name), f"torchvision's {name} weights", instead)
    version = "v2" if name == "coco_v2" else "v1"
    return from_torchvision(state, 91, version, **changes)


def load_imagenet(backbone: ResNet, name: str = "IMAGENET1K_V1") -> None:
    """Give a backbone weights that torchvision trained on ImageNet, the paper's start.

    They are downloaded once, then kept on disk by PyTorch.

    Args:
        backbone: one of torchvision's depths.
        name: of torchvision's weights: "IMAGENET1K_V1", or, from ResNet-50 on, "IMAGENET1K_V2".

    Raises:
        ValueError: if torchvision has no such weights for this backbone.
        ConnectionError: if they can't be downloaded, or are damaged.
    """
    names = {resnet: name for name, resnet in RESNETS.items()}
    shape = backbone.block, backbone.layers
    if shape not in names:
        raise ValueError(
            f"torchvision has ImageNet weights for {', '.join(RESNETS)}; there are none for "
            f"{backbone.block.__name__} with layers {list(backbone.layers)}. Take one of these, or "
            f"train from random weights."
        )
    choices = get_model_weights(names[shape])
    if name not in choices.__members__:
        raise ValueError(
            f"torchvision's weights for {names[shape]} are {', '.join(choices.__members__)}; "
            f"got {name!r}"
        )
    what = f"the ImageNet weights of {names[shape]}"
    state = download(choices[name], what, "train from random weights")
    # the classifier of the thousand classes is not part of a backbone
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    Names(f"torchvision's {names[shape]}", {}).check(state, backbone.state_dict())
    backbone.load_state_dict(state)


def download(weights: WeightsEnum, what: str, instead: str) -> dict[str, Tensor]:
    """The parameters of published weights, from PyTorch's folder or from their address."""
    try:
        found = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        return read_state(found)
    except Exception as error:  # a damaged file fails in a dozen ways, with a page of advice each
        why = "could not be downloaded" if isinstance(error, OSError) else "are damaged"
        raise ConnectionError(
            f"{what} {why} ({first_line(error)}). Fetch {weights.url} elsewhere and put it into "
            f"{torch.hub.get_dir()}/checkpoints; or {instead}."
        ) from error


def first_line(error: Exception) -> str:
    """What an error says first, or else its kind."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__
