"""Weights from elsewhere: a backbone that was trained on ImageNet."""

import torch
from torchvision.models import get_model_weights

from .backbone import ResNet

NAMES = {
    ("BasicBlock", (2, 2, 2, 2)): "resnet18",
    ("BasicBlock", (3, 4, 6, 3)): "resnet34",
    ("Bottleneck", (3, 4, 6, 3)): "resnet50",
    ("Bottleneck", (3, 4, 23, 3)): "resnet101",
    ("Bottleneck", (3, 8, 36, 3)): "resnet152",
}


def load_imagenet(backbone: ResNet) -> None:
    """Give a backbone torchvision's ImageNet weights (`IMAGENET1K_V1`), the paper's start.

    They are downloaded once, then kept on disk by PyTorch.

    Raises:
        ValueError: if torchvision has no weights for this backbone.
        ConnectionError: if they can't be downloaded, or are damaged.
    """
    stages = [getattr(backbone, f"layer{i}") for i in range(1, 5)]
    shape = type(stages[0][0]).__name__, tuple(len(stage) for stage in stages)
    if shape not in NAMES:
        raise ValueError(
            f"torchvision has ImageNet weights for {', '.join(NAMES.values())}; there are none "
            f"for {shape[0]} with layers {list(shape[1])}. Take one of these, or train from "
            f"random weights."
        )
    weights = get_model_weights(NAMES[shape]).IMAGENET1K_V1
    try:
        state = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: half a file came, or lies there
        raise ConnectionError(
            f"the ImageNet weights of {NAMES[shape]} could not be downloaded ({error}). Without a "
            f"network, fetch {weights.url} elsewhere and put it into "
            f"{torch.hub.get_dir()}/checkpoints; or train from random weights."
        ) from error
    # the classifier of the thousand classes is not part of a backbone
    backbone.load_state_dict({k: v for k, v in state.items() if not k.startswith("fc.")})
