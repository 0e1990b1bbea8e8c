"""Weights of a backbone for ImageNet, the paper's start, as torchvision has them."""

import torch
from torch import Tensor
from torchvision.models import WeightsEnum, get_model_weights

from .backbone import RESNETS, ResNet


def load_imagenet(backbone: ResNet, name: str = "IMAGENET1K_V1") -> None:
    """Give a backbone weights that torchvision trained on ImageNet, and freeze its batch norm.

    They are downloaded once, then kept on disk by PyTorch. What they know of batch norm's
    statistics is better than what a detector's small batches would teach; `freeze_bn(False)` lets
    it learn all the same.

    Args:
        backbone: one of torchvision's depths.
        name: of torchvision's weights: "IMAGENET1K_V1", or, from ResNet-50 on, "IMAGENET1K_V2".

    Raises:
        ValueError: if torchvision has no such weights for this backbone.
        ConnectionError: if they can't be downloaded, or are damaged.
    """
    resnets = {shape: resnet for resnet, shape in RESNETS.items()}
    resnet = resnets.get((backbone.block, backbone.layers))
    if resnet is None:
        raise ValueError(
            f"torchvision has ImageNet weights for {', '.join(RESNETS)}; there are none for "
            f"{backbone.block.__name__} with layers {list(backbone.layers)}. Take one of these, or "
            f"train from random weights."
        )
    choices = get_model_weights(resnet).__members__
    if name not in choices:
        raise ValueError(
            f"torchvision's weights for {resnet} are {', '.join(choices)}; got {name!r}"
        )
    what = f"the ImageNet weights of {resnet}"
    found = download(choices[name], what, "train from random weights")
    shapes = {key: value.shape for key, value in backbone.state_dict().items()}
    # the classifier of the thousand classes is not part of a backbone
    state = {key: found[key] for key in shapes if key in found}
    if {key: value.shape for key, value in state.items()} != shapes:
        raise ValueError(f"the file of {what} holds others. Fetch {choices[name].url} anew.")
    backbone.load_state_dict(state)
    backbone.freeze_bn()


def download(weights: WeightsEnum, what: str, instead: str) -> dict[str, Tensor]:
    """The parameters of published weights, from PyTorch's folder or from their address."""
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except Exception as error:  # a damaged file fails in a dozen ways, with a page of advice each
        why = "could not be downloaded" if isinstance(error, OSError) else "are damaged"
        first_line = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise ConnectionError(
            f"{what} {why} ({first_line}). Fetch {weights.url} elsewhere and put it into "
            f"{torch.hub.get_dir()}/checkpoints; or {instead}."
        ) from error
