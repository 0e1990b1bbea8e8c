"""A trained detector for other classes: what it has learned stays, what it says is new."""

import copy
from collections.abc import Sequence

import torch
import torch.nn as nn
from torch import Tensor

from ..model.retinanet import RetinaNet, initialize_classes


def replace_classes(model: RetinaNet, num_classes: int, prior: float = 0.01) -> RetinaNet:
    """A copy of a model that is to learn other classes, from all that it knows but its old ones.

    Only the output of the classification head is new: as in a new model, each of the `num_classes`
    has the probability `prior` at every anchor. The given model stays as it is.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be 1 or more, without background; got {num_classes}")
    new = with_labels(model, [0] * num_classes)
    initialize_classes(new.classification_model.output, prior)
    return new


def keep_classes(model: RetinaNet, labels: Sequence[int] | Tensor) -> RetinaNet:
    """A copy of a model that knows only the classes of these labels; the first becomes label 0.

    ValueError for a label that is not one of the model's, or there twice.
    """
    labels = labels.tolist() if isinstance(labels, Tensor) else list(labels)
    known = range(model.num_classes)
    if not labels or len(set(labels)) < len(labels) or not set(labels) <= set(known):
        raise ValueError(f"labels are some of 0 to {known[-1]}, each once; got {labels}")
    return with_labels(model, labels)


def with_labels(model: RetinaNet, labels: list[int]) -> RetinaNet:
    """A copy whose class i is class `labels[i]` of the model."""
    new = copy.deepcopy(model)
    head = new.classification_model
    rows = torch.arange(head.output.out_channels).view(-1, model.num_classes)  # [A, K]
    rows = rows[:, labels].flatten()  # [A · len(labels)]
    for name, old in [*head.output.named_parameters()]:
        setattr(head.output, name, nn.Parameter(old.detach()[rows], old.requires_grad))
    head.output.out_channels = len(rows)
    head.values = new.num_classes = len(labels)
    return new
