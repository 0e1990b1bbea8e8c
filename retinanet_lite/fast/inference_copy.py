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
    # by their names in the backbone, in a block, and in a block's downsample
    pairs = [("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("0", "1")]
    for module in [*backbone.modules()]:
        for conv, norm in pairs:
            if isinstance(getattr(module, norm, None), nn.BatchNorm2d):
                fused = fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm))
                setattr(module, conv, fused)
                setattr(module, norm, nn.Identity())
