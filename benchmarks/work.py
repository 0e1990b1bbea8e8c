"""What the benchmark times: the same work by this RetinaNet and by torchvision's.

Each function makes the pieces of one group. All models have the same parameters and get the same
images. torchvision's runs as its users run it, ours as `fit` and `Detector` do: quick parts,
channels last, and for detection `for_inference`. "plain" is ours as it is built.
"""

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torchvision
from average_precision import average_precision
from samples import detections, scenes, write_voc
from torch import nn
from torchvision.models.detection import RetinaNet as TorchvisionRetinaNet
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import _default_anchorgen
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7
from torchvision.transforms import v2

from retinanet_lite import for_inference, from_torchvision, quicken
from retinanet_lite.data.batches import to_annotations, to_batch
from retinanet_lite.data.voc import VocFolder
from retinanet_lite.evaluation.average_precision import coco_metrics

CLASSES = 80
HEIGHT, WIDTH = 640, 832  # of the images, in the groups that are not given their shapes
OF_VOC = 20  # classes


@dataclass(frozen=True)
class Case:
    """One piece of work, done by each side: "ours", "theirs" and, if asked for, "plain"."""

    name: str
    works: dict[str, Callable[[], object]]
    shape: tuple[int, int, int] | None = None  # of the images that it takes: batch, height, width


def torchvisions(options: argparse.Namespace) -> TorchvisionRetinaNet:
    """torchvision's v1 with frozen batch norm, all layers learning, and much to detect."""
    torch.manual_seed(0)
    body = torchvision.models.resnet50(norm_layer=FrozenBatchNorm2d)
    backbone = _resnet_fpn_extractor(
        body, 5, returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256)
    )
    model = TorchvisionRetinaNet(backbone, CLASSES, anchor_generator=_default_anchorgen())
    for name, module in body.named_modules():
        if isinstance(module, FrozenBatchNorm2d) and name.endswith(("bn3", "downsample.1")):
            module.weight.mul_(0.3)  # else the numbers grow from block to block
    nn.init.normal_(model.head.classification_head.cls_logits.weight, std=0.02)
    model.transform.resize = lambda image, target: (image, target)
    layout = getattr(torch, options.their_layout)
    return model.to(options.device, memory_format=layout)


def names_of_sides(options: argparse.Namespace) -> list[str]:
    return ["ours", "plain", "theirs"] if options.plain else ["ours", "theirs"]


def sides(options: argparse.Namespace) -> dict[str, nn.Module]:
    """The same detector by each side."""
    theirs = torchvisions(options)
    models = {
        name: from_torchvision(theirs.state_dict(), bn_eps=1e-5)
        for name in names_of_sides(options)[:-1]
    }
    quicken(models["ours"])
    layout = getattr(torch, options.our_layout)
    for model in models.values():
        model.to(options.device, memory_format=layout)
    return {**models, "theirs": theirs}


def precision(options: argparse.Namespace) -> torch.autocast:
    kind = torch.device(options.device).type
    return torch.autocast(kind, torch.bfloat16, enabled=options.autocast)


def maybe_compiled(model: nn.Module, options: argparse.Namespace) -> nn.Module:
    return torch.compile(model) if options.compile else model


def training(options: argparse.Namespace) -> Iterator[Case]:
    models = sides(options)
    for shape in options.training:
        yield training_case(options, models, shape)


def training_case(
    options: argparse.Namespace, models: dict[str, nn.Module], shape: tuple[int, int, int]
) -> Case:
    """Forward, loss and backward pass; normalisation and batching included."""
    items = scenes(*shape)
    device, layout = options.device, getattr(torch, options.our_layout)

    def inputs_of_ours() -> tuple:
        images, annotations = to_batch([(image.to(device), target) for image, target in items])
        return images.to(memory_format=layout), annotations

    def inputs_of_theirs() -> tuple:
        targets = [{name: value.to(device) for name, value in t.items()} for _, t in items]
        return [image.to(device) for image, _ in items], targets

    def step(model: nn.Module, inputs: Callable[[], tuple]) -> Callable[[], None]:
        run = maybe_compiled(model.train(), options)

        def go() -> None:
            model.zero_grad()
            arguments = inputs()
            with precision(options):
                losses = run(*arguments)
            sum(losses.values()).backward()

        return go

    works = {
        side: step(model, inputs_of_theirs if side == "theirs" else inputs_of_ours)
        for side, model in models.items()
    }
    return Case(f"training step, {by(shape)}", works, shape)


def inference(options: argparse.Namespace) -> Iterator[Case]:
    """Images to detections."""
    models = {side: model.eval() for side, model in sides(options).items()}
    models["ours"] = for_inference(models["ours"])
    if options.compile:  # the network; how many boxes remain depends on values
        for side in models.keys() - {"theirs"}:
            models[side].predict = torch.compile(models[side].predict)
    models["theirs"] = maybe_compiled(models["theirs"], options)
    for shape in options.inference:
        items = scenes(*shape)

        @torch.no_grad()
        def of_ours(model: nn.Module, items=items) -> list:
            images, _ = to_batch([(image.to(options.device), target) for image, target in items])
            with precision(options):
                return model(images.to(memory_format=torch.channels_last))

        @torch.no_grad()
        def of_theirs(model: nn.Module, items=items) -> list:
            with precision(options):
                return model([image.to(options.device) for image, _ in items])

        works = by_side(models, of_ours, of_theirs)
        yield Case(f"inference, {by(shape)}", works, shape)


def by_side(
    models: dict[str, nn.Module], of_ours: Callable[..., object], of_theirs: Callable[..., object]
) -> dict[str, Callable[[], object]]:
    """For each side its function with its model."""
    return {
        side: partial(of_theirs if side == "theirs" else of_ours, model)
        for side, model in models.items()
    }


def loss(options: argparse.Namespace) -> Iterator[Case]:
    """The losses of two images, forward and backward."""
    models = sides(options)
    anchors = models["ours"].anchors(torch.empty(1, 3, HEIGHT, WIDTH))  # [99765, 4]
    logits, deltas = (
        value.requires_grad_() for value in predictions(options, 2, len(anchors), mean=-4.0)
    )
    for count in (5, 50, 500):
        corner = torch.rand(2, count, 2) * torch.tensor([700.0, 500.0])
        boxes = torch.cat([corner, corner + 16 + torch.rand(2, count, 2) * 110], dim=2)
        labels = torch.randint(CLASSES, (2, count))
        annotations = to_annotations(list(zip(boxes, labels, strict=True)))
        targets = [
            {"boxes": b.to(options.device), "labels": n.to(options.device)}
            for b, n in zip(boxes, labels, strict=True)
        ]

        def of_ours(model: nn.Module, annotations=annotations) -> None:
            logits.grad = deltas.grad = None
            with precision(options):
                losses = model.focal_loss(logits, deltas, anchors, annotations)
            sum(losses.values()).backward()

        def of_theirs(model: nn.Module, targets=targets) -> None:
            logits.grad = deltas.grad = None
            outputs = {"cls_logits": logits, "bbox_regression": deltas}
            with precision(options):
                losses = model.compute_loss(targets, outputs, [anchors] * 2)
            sum(losses.values()).backward()

        yield Case(f"loss, {count} objects an image", by_side(models, of_ours, of_theirs))


def anchors(options: argparse.Namespace) -> Iterator[Case]:
    """The anchors of a batch of two."""
    models = sides(options)
    images = torch.empty(2, 3, HEIGHT, WIDTH, device=options.device)
    grids = [
        torch.empty(2, 1, *size, device=options.device)
        for size in models["ours"].anchors.level_sizes(HEIGHT, WIDTH)
    ]
    image_list = ImageList(images, [(HEIGHT, WIDTH)] * 2)
    works = by_side(
        models,
        lambda model: model.anchors(images),
        lambda model: model.anchor_generator(image_list, grids),
    )
    yield Case("anchors", works)


def detection(options: argparse.Namespace) -> Iterator[Case]:
    """Post-processing of one image with 99,765 boxes and 80 classes."""
    models = sides(options)
    image = torch.empty(1, 3, HEIGHT, WIDTH, device=options.device)
    boxes = models["ours"].anchors(image)
    counts = models["ours"].anchors.level_counts(HEIGHT, WIDTH)
    for kind, mean in (("sparse", -9.0), ("dense", -2.0)):
        logits, deltas = predictions(options, 1, len(boxes), mean, deviation=1.3)

        @torch.no_grad()
        def of_ours(model: nn.Module, logits=logits, deltas=deltas) -> list:
            with precision(options):
                return model.detection(logits, deltas, boxes, counts, image)

        @torch.no_grad()
        def of_theirs(model: nn.Module, logits=logits, deltas=deltas) -> list:
            outputs = {
                "cls_logits": list(logits.split(counts, dim=1)),
                "bbox_regression": list(deltas.split(counts, dim=1)),
            }
            anchors = [list(boxes.split(counts))]
            with precision(options):
                return model.postprocess_detections(outputs, anchors, [(HEIGHT, WIDTH)])

        found = int((logits.sigmoid() > 0.05).sum())
        name = f"post-processing, {kind} ({found:,} scores > 0.05)"
        yield Case(name, by_side(models, of_ours, of_theirs))


def predictions(
    options: argparse.Namespace, images: int, boxes: int, mean: float, deviation: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and deltas of the type that a network has in this precision."""
    dtype = torch.bfloat16 if options.autocast else torch.float32
    logits = torch.randn(images, boxes, CLASSES) * deviation + mean
    deltas = torch.randn(images, boxes, 4) / 10
    return logits.to(options.device, dtype), deltas.to(options.device, dtype)


def data(options: argparse.Namespace) -> Iterator[Case]:
    """JPEG files with their XML to one batch, in memory and normalised."""
    count = 8
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "VOCdevkit" / "VOC2012"
        write_voc(root, count, HEIGHT, WIDTH)
        ours = VocFolder(root, "train")
        theirs = torchvision.datasets.wrap_dataset_for_transforms_v2(
            torchvision.datasets.VOCDetection(
                folder,
                image_set="train",
                transforms=v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
            ),
            target_keys=["boxes", "labels"],
        )
        transform = torchvisions(options).transform
        yield Case(
            f"data, {count} images",
            {
                "ours": lambda: to_batch([ours[i] for i in range(count)]),
                "theirs": lambda: transform(*zip(*(theirs[i] for i in range(count)), strict=True)),
            },
            (count, HEIGHT, WIDTH),
        )


def evaluation(options: argparse.Namespace) -> Iterator[Case]:
    """The average precision of a data set. torchvision has none; its users take pycocotools."""
    found, targets = detections(images=200, an_image=100, objects=10, classes=OF_VOC)
    names = [str(label) for label in range(OF_VOC)]

    def of_ours() -> float:
        return coco_metrics(found, targets, names)["AP"]

    def of_theirs() -> float:
        return average_precision(found, targets, OF_VOC)

    if not math.isclose(of_ours(), of_theirs(), rel_tol=1e-9):
        raise AssertionError(f"AP is {of_ours()} by ours and {of_theirs()} by pycocotools")
    works = {"ours": of_ours, "theirs": of_theirs}
    yield Case("evaluation, 200 images × 100 detections", works)


def imports(options: argparse.Namespace) -> Iterator[Case]:
    """A new Python that only imports."""

    def python(statement: str) -> None:
        subprocess.run([sys.executable, "-c", statement], check=True)

    yield Case(
        "import, with Python's own start",
        {
            "ours": partial(python, "import retinanet_lite"),
            "theirs": partial(python, "import torch, torchvision"),
        },
    )


def by(shape: tuple[int, int, int]) -> str:
    """(2, 640, 832) → "2×640×832" """
    return "×".join(map(str, shape))


GROUPS = {
    "training": training,
    "inference": inference,
    "loss": loss,
    "anchors": anchors,
    "detection": detection,
    "data": data,
    "evaluation": evaluation,
    "import": imports,
}
