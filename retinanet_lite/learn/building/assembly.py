"""A RetinaNet with the reader's parts in it, where they are kept, and the package's elsewhere.

Parameters have the same names, so the weights stay: a detector that was trained with the reader's
parts is an ordinary file, and the package's parts read it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...model.anchors import Anchors
from ...model.backbone import BasicBlock
from ...model.boxes import size_of
from ...model.detection import Detection
from ...model.losses import FocalLoss
from ...model.retinanet import Prediction, RetinaNet
from ...zoo.detector_file import arguments


def put_in(model: RetinaNet, parts: dict[str, Callable]) -> list[str]:
    """Exchange a model's parts for the reader's, in place.

    Args:
        model: with the package's parts. A part with other arguments than the default ones stays,
            as the reader's has no arguments for them.
        parts: the reader's, by the name of the part.

    Returns:
        the names of the parts that were exchanged
    """
    before = list(parts)
    done = [name for name in before if name in PUT and PUT[name](model, parts[name])]
    return done


def like(new: nn.Module, old: nn.Module) -> nn.Module:
    """The reader's module with the weights, the mode and the other attributes of the package's."""
    new.load_state_dict(old.state_dict())
    for name, value in vars(old).items():
        if not name.startswith("_") and name not in vars(new):
            setattr(new, name, value)
    for mine, its in zip(new.parameters(), old.parameters(), strict=True):
        mine.requires_grad_(its.requires_grad)
    weight = next(old.parameters())
    return new.to(weight.device, weight.dtype).train(old.training)


def put_block(model: RetinaNet, answer: type[nn.Module]) -> bool:
    stages = [model.backbone.get_submodule(f"layer{number}") for number in (1, 2, 3, 4)]
    places = [(stage, i) for stage in stages for i, b in enumerate(stage) if type(b) is BasicBlock]
    for stage, i in places:
        old = stage[i]
        conv = old.conv1
        new = answer(conv.in_channels, conv.out_channels, conv.stride[0], old.downsample)
        stage[i] = like(new, old)
    return bool(places)


def put_pyramid(model: RetinaNet, answer: type[nn.Module]) -> bool:
    old = model.fpn
    if old.p6_from != "C5":
        return False
    new = answer(*model.backbone.out_channels, old.output3.out_channels)
    model.fpn = like(new, old)
    return True


def put_head(model: RetinaNet, answer: type[nn.Module]) -> bool:
    for name in ("regression_model", "classification_model"):
        old = getattr(model, name)
        if old.norm_groups is not None:
            return False
        sizes = (old.conv1.in_channels, model.anchors.num_anchors, old.values)
        setattr(model, name, like(answer(*sizes, old.conv1.out_channels), old))
    return True


def is_default(part: nn.Module, kind: type[nn.Module]) -> bool:
    return arguments(part) == arguments(kind())


def put_anchors(model: RetinaNet, answer: Callable) -> bool:
    class YourAnchors(type(model.anchors)):
        def forward(self, size: Tensor | tuple[int, int]) -> Tensor:
            return answer(*size_of(size)).to(self.shapes)

    if not is_default(model.anchors, Anchors):
        return False
    model.anchors.__class__ = YourAnchors
    return True


def put_matching(model: RetinaNet, answer: Callable) -> bool:
    class YourMatching(type(model.focal_loss)):
        def match(self, anchors: Tensor, boxes: Tensor) -> Tensor:
            return answer(anchors, boxes).to(anchors.device)

    if not is_default(model.focal_loss, FocalLoss):
        return False
    model.focal_loss.__class__ = YourMatching
    return True


def put_losses(model: RetinaNet, answer: Callable) -> bool:
    class YourLosses(type(model.focal_loss)):
        def of_image(self, logits: Tensor, deltas: Tensor, anchors: Tensor, objects: Tensor):
            matches = self.match(anchors, objects[:, :4])
            return answer(logits, deltas, anchors, objects, matches)

    if not is_default(model.focal_loss, FocalLoss):
        return False
    model.focal_loss.__class__ = YourLosses
    return True


def put_detection(model: RetinaNet, answer: Callable) -> bool:
    class YourDetection(type(model.detection)):
        def forward(self, classification, regression, anchors, level_counts, size):
            found = []
            for logits, deltas in zip(classification, regression, strict=True):
                said = answer(logits, deltas, anchors, level_counts, *size_of(size))
                found.append(dict(zip(("boxes", "scores", "labels"), said, strict=True)))
            return found

    if not is_default(model.detection, Detection):
        return False
    model.detection.__class__ = YourDetection
    return True


def put_detector(model: RetinaNet, answer: type[nn.Module]) -> bool:
    class YourRetinaNet(answer, type(model)):
        def predict(self, images: Tensor) -> Prediction:
            return Prediction(*super().predict(images))

    model.__class__ = YourRetinaNet
    return True


PUT = {
    "block": put_block,
    "pyramid": put_pyramid,
    "head": put_head,
    "anchors": put_anchors,
    "matching": put_matching,
    "losses": put_losses,
    "detection": put_detection,
    "detector": put_detector,
}


@torch.no_grad()
def average_precisions(
    answer: Callable, detections: list[dict], targets: list[dict], num_classes: int
) -> list[float]:
    """The AP50 of each class that occurs, by the reader's average precision."""
    from ...evaluation.average_precision import find_objects

    values = []
    for label in range(num_classes):
        scores, hits, count = [], [], 0
        for found, target in zip(detections, targets, strict=True):
            mine = found["labels"] == label
            objects = target["boxes"][target["labels"] == label]
            scores += found["scores"][mine][:100].tolist()
            hits += [row >= 0 for row in find_objects(found["boxes"][mine][:100], objects)]
            count += len(objects)
        if count:
            values.append(answer(scores, hits, count))
    return values
