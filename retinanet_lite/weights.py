"""Weights from elsewhere: a backbone that was trained on ImageNet."""

import torch
from torchvision.models import get_model_weights

from .backbone import RESNETS, ResNet


def load_imagenet(backbone: ResNet) -> None:
    """Give a backbone torchvision's ImageNet weights (`IMAGENET1K_V1`), the paper's start.

    They are downloaded once, then kept on disk by PyTorch.

    Raises:
        ValueError: if torchvision has no weights for this backbone.
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
    weights = get_model_weights(names[shape]).IMAGENET1K_V1
    try:
        state = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: half a file came, or lies there
        raise ConnectionError(
            f"the ImageNet weights of {names[shape]} could not be downloaded ({error}). Without a "
            f"network, fetch {weights.url} elsewhere and put it into "
            f"{torch.hub.get_dir()}/checkpoints; or train from random weights."
        ) from error
    # the classifier of the thousand classes is not part of a backbone
    backbone.load_state_dict({k: v for k, v in state.items() if not k.startswith("fc.")})
