"""torchvision's RetinaNets with random parameters, and their numbers, for tests to compare with."""

from collections.abc import Callable

import torch
import torch.nn as nn
import torchvision
from torch import Tensor
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNet
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

BUILDERS: dict[str, Callable[..., RetinaNet]] = {
    "v1": torchvision.models.detection.retinanet_resnet50_fpn,
    "v2": torchvision.models.detection.retinanet_resnet50_fpn_v2,
}


def published(version: str, num_classes: int = 20, **arguments) -> RetinaNet:
    """torchvision's v1 or v2 over ResNet-50, with parameters at random."""
    nothing = {"weights": None, "weights_backbone": None, "_skip_resize": True}
    with torch.device("meta"):  # shapes alone: all values come at random
        model = BUILDERS[version](num_classes=num_classes, **nothing, **arguments)
    return at_random(model.to_empty(device="cpu"))


def of_depth(name: str, p6_from: str, num_classes: int = 5, **arguments) -> RetinaNet:
    """torchvision's RetinaNet over any of its ResNets, as one builds it with its own parts."""
    with torch.device("meta"):
        resnet = getattr(torchvision.models, name)()
        p6 = LastLevelP6P7(256 if p6_from == "P5" else resnet.fc.in_features, 256)
        backbone = _resnet_fpn_extractor(resnet, 5, returned_layers=[2, 3, 4], extra_blocks=p6)
        model = RetinaNet(backbone, num_classes, _skip_resize=True, **arguments)
    return at_random(model.to_empty(device="cpu"))


def parts_at_random(model: nn.Module, added: tuple[str, ...]) -> None:
    """What a residual block adds, by how names end, is small; else it grows and grows."""
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            module.weight.uniform_(0.5, 1.0)
            module.bias.normal_(std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.random_(1, 1000)
            if name.endswith(added):
                module.weight.mul_(0.3)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                module.bias.normal_(std=0.1)


@torch.no_grad()
def at_random(model: RetinaNet) -> RetinaNet:
    """Parameters and statistics at random, of a size that a trained model's could have.

    Biases of the classes are raised so that there are detections.
    """
    parts_at_random(model, ("bn3", "layer1.0.bn2", "downsample.1"))
    head = model.head
    head.classification_head.cls_logits.weight.mul_(1.2)
    head.classification_head.cls_logits.bias.sub_(4.0)
    head.regression_head.bbox_reg.weight.mul_(0.3)
    return model.eval()


def numbers(model: RetinaNet, images: Tensor) -> dict:
    """C3 … P7, logits, deltas, anchors and detections, all before and after its postprocessing."""
    size = tuple(images.shape[-2:])
    C = model.backbone.body(images)
    P = list(model.backbone.fpn(C).values())
    outputs = model.head(P)
    anchors, *_ = model.anchor_generator(ImageList(images, [size] * len(images)), P)
    logits, deltas = outputs["cls_logits"], outputs["bbox_regression"]
    A = len(anchors) // sum(p.shape[2] * p.shape[3] for p in P)
    counts = [p.shape[2] * p.shape[3] * A for p in P]
    return {
        "C": list(C.values()),
        "P": P,
        "logits": logits,
        "deltas": deltas,
        "anchors": anchors,
        "detections": detections(model, logits, deltas, anchors, counts, images),
    }


@torch.no_grad()
def detections(
    model: RetinaNet,
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    counts: list[int],
    images: Tensor,
) -> list[dict[str, Tensor]]:
    """Its detections of a batch, of whose anchors each level has so many."""
    outputs = {"cls_logits": logits, "bbox_regression": deltas}
    size = tuple(images.shape[-2:])
    return model.postprocess_detections(
        {name: list(output.split(counts, dim=1)) for name, output in outputs.items()},
        [list(anchors.split(counts))] * len(images),
        [size] * len(images),
    )


def losses(model: RetinaNet, found: dict, targets: list[dict]) -> dict[str, Tensor]:
    """Its losses for what `numbers` gave."""
    outputs = {"cls_logits": found["logits"], "bbox_regression": found["deltas"]}
    theirs = model.compute_loss(targets, outputs, [found["anchors"]] * len(targets))
    return {
        "classification": theirs["classification"],
        "regression": theirs["bbox_regression"],
    }
