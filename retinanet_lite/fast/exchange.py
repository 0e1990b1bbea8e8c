"""Parts of a model exchanged for quicker ones, and back.

A part and its quick form are two modules around the same insides: the new one has the very
parameters, buffers, settings and hooks of the old, and its own `forward`. So names in a state dict,
an optimizer and hooks go on as before.
"""

import torch.nn as nn

from ..model.anchors import Anchors
from ..model.detection import Detection
from ..model.losses import FocalLoss
from .quick_anchors import QuickAnchors
from .quick_batch_norm import QuickBatchNorm2d
from .quick_convolution import QuickConv2d, is_quicker_for
from .quick_detection import QuickDetection
from .quick_losses import QuickFocalLoss

QUICK = {
    Anchors: QuickAnchors,
    Detection: QuickDetection,
    FocalLoss: QuickFocalLoss,
    nn.BatchNorm2d: QuickBatchNorm2d,
    nn.Conv2d: QuickConv2d,
}
PLAIN = {quick: plain for plain, quick in QUICK.items()}


def quicken(model: nn.Module) -> nn.Module:
    """A model with quicker parts: the same parameters and results, but for rounding.

    The model's parts are exchanged in place; `print(model)` shows which. A part of a class of your
    own stays as it is. `unquicken` takes it back.

    Args:
        model: a `RetinaNet`, or one of its parts.

    Returns:
        the model; for a part that is exchanged itself, its quick form
    """
    return exchange(model, QUICK)


def unquicken(model: nn.Module) -> nn.Module:
    """A model with the plain parts that it had before `quicken`."""
    return exchange(model, PLAIN)


def exchange(part: nn.Module, forms: dict[type[nn.Module], type[nn.Module]]) -> nn.Module:
    """A module in another form where there is one, with its own parts exchanged likewise."""
    for name, inner in part._modules.items():  # not named_children: one may be there twice
        if inner is not None:
            part._modules[name] = exchange(inner, forms)
    form = forms.get(type(part))
    if form is None or (form is QuickConv2d and not is_quicker_for(part)):
        return part
    new = form.__new__(form)
    object.__setattr__(new, "__dict__", part.__dict__)
    return new
