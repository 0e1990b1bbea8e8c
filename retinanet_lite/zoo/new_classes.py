"""A trained detector for other classes: what it has learned stays, what it says is new."""

import copy
from collections.abc import Sequence

import torch
import torch.nn as nn
from torch import Tensor

from ..model.retinanet import RetinaNet, initialize_classes


def replace_classes(model: RetinaNet, num_classes: int, prior: float = 0.01) -> RetinaNet:
    """A copy of a model that is to learn other classes, from all that it knows but its old ones.

    Only the output of the classification head is new. It starts as in a new model: every class
    has the probability `prior` at every anchor.

    Args:
        model: a trained one; it stays as it is.
        num_classes: K, the new classes.
        prior: π.
    """
    new = copy.deepcopy(model)
    change_output(new, num_classes)
    initialize_classes(new.classification_model.output, prior)
    return new


@torch.no_grad()
def keep_classes(model: RetinaNet, labels: Sequence[int] | Tensor) -> RetinaNet:
    """A copy of a model that knows only some of its classes.

    Args:
        model: a trained one; it stays as it is.
        labels: of the classes to keep; the first becomes label 0.

    Raises:
        ValueError: a label is not one of the model's, or there twice.
    """
    labels = labels.tolist() if isinstance(labels, Tensor) else list(labels)
    known = range(model.num_classes)
    if not labels or len(set(labels)) < len(labels) or not set(labels) <= set(known):
        raise ValueError(
            f"labels are some of 0 to {model.num_classes - 1}, each once; got {labels}"
        )
    new, old = copy.deepcopy(model), model.classification_model.output
    output = change_output(new, len(labels))
    for mine, its in ((output.weight, old.weight), (output.bias, old.bias)):
        per_class = its.unflatten(0, (-1, model.num_classes))  # [A, K, ...]
        mine.copy_(per_class[:, torch.tensor(labels)].flatten(0, 1))  # [A · len(labels), ...]
    return new


def change_output(model: RetinaNet, num_classes: int) -> nn.Conv2d:
    """Put an output for so many classes into a model, and return it."""
    if num_classes < 1:
        raise ValueError(f"num_classes must be 1 or more, without background; got {num_classes}")
    head = model.classification_model
    old = head.output
    head.output = nn.Conv2d(
        old.in_channels,
        model.anchors.num_anchors * num_classes,
        kernel_size=3,
        padding=1,
        device=old.weight.device,
        dtype=old.weight.dtype,
    )
    head.values = model.num_classes = num_classes
    model.freeze(*model.frozen)  # the new output, too, where its head is frozen
    return head.output
