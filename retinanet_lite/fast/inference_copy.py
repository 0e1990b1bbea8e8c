"""A copy of a model that only detects: batch norm lies in the weights of the convolutions."""

import copy

import torch
import torch.nn as nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..model.retinanet import RetinaNet
from .exchange import quicken


def for_inference(model: RetinaNet) -> RetinaNet:
    """A copy that detects the same, only faster; it is not for training, nor to be saved.

    Batch norm is folded into the convolutions, the parts are those of `quicken`, and the weights
    are laid out channels last. Images in the same layout are quickest:
    `images.to(memory_format=torch.channels_last)`.
    """
    model = quicken(copy.deepcopy(model).eval())
    fold_batch_norm(model.backbone)
    return model.requires_grad_(False).to(memory_format=torch.channels_last)


def fold_batch_norm(backbone: nn.Module) -> None:
    """Put what batch norm does by its statistics into the weights of the convolution before it."""
    for module in [*backbone.modules()]:
        if isinstance(module, nn.Sequential) and isinstance(module[-1], nn.BatchNorm2d):
            module[0] = fuse_conv_bn_eval(module[0], module[1])  # a block's downsample
            module[1] = nn.Identity()
        for i in (1, 2, 3):
            if hasattr(module, f"bn{i}"):
                conv, norm = getattr(module, f"conv{i}"), getattr(module, f"bn{i}")
                setattr(module, f"conv{i}", fuse_conv_bn_eval(conv, norm))
                setattr(module, f"bn{i}", nn.Identity())
