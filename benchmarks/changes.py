"""What each change for speed is worth: the package's work with it and without it, in turns.

Everything else is as it is. So the ratios show what is gained from here, in seconds and on a CPU.

python benchmarks/changes.py
"""

import argparse
import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from unittest.mock import patch

import torch
from measure import alternate
from samples import scenes
from torch import Tensor, nn

from retinanet_lite import RetinaNet, focal_loss, match_anchors, retinanet_resnet50
from retinanet_lite.data.batches import to_annotations, to_batch
from retinanet_lite.model.losses import FocalLoss

CLASSES = 80
OPTIONS = argparse.Namespace(device="cpu", warm_up=1, repeats=15, seconds=15)
Work = Callable[[], object]
# the name of the work, the work, and for each change the same work without it
Changes = Iterator[tuple[str, Work, dict[str, Work]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--size", nargs=2, type=int, default=(640, 832), metavar=("H", "W"))
    height, width = parser.parse_args().size
    torch.manual_seed(0)
    model = retinanet_resnet50(CLASSES)
    print(f"{'':62}{'with':>9}{'without':>9}{'ratio':>7}")
    for changes in (training, inference, losses, anchors, detection):
        for name, work, withouts in changes(model, height, width):
            (with_it, *times), _ = alternate([work, *withouts.values()], OPTIONS)
            for change, without in zip(withouts, times, strict=True):
                print(
                    f"{name + ', ' + change:62}{with_it:9.3f}{without:9.3f}"
                    f"{with_it / without:7.2f}",
                    flush=True,
                )


def within(context: Callable[[], AbstractContextManager], work: Work) -> Work:
    def both() -> None:
        with context():
            work()

    return both


def replaced(name: str, value: object) -> Callable[[], AbstractContextManager]:
    """Something of the package is something else for a while."""
    return partial(patch, f"retinanet_lite.{name}", value)


def training(model: RetinaNet, height: int, width: int) -> Changes:
    batch = to_batch(scenes(2, height, width))
    work = step(model, *batch, torch.channels_last)
    products = replaced("convolution.QUICKER", False)
    batch_norm = replaced("backbone.BatchNorm2d.forward", nn.BatchNorm2d.forward)
    yield (
        f"training step, 2×{height}×{width}",
        work,
        {
            "channels last": step(model, *batch, torch.contiguous_format),
            "weight gradients by products": within(products, work),
            "frozen batch norm": within(batch_norm, work),
        },
    )


def step(
    model: RetinaNet, images: Tensor, annotations: Tensor, layout: torch.memory_format
) -> Work:
    model = copy.deepcopy(model).to(memory_format=layout)
    images = images.to(memory_format=layout)

    def work() -> None:
        model.zero_grad()
        sum(model(images, annotations).values()).backward()

    return work


def inference(model: RetinaNet, height: int, width: int) -> Changes:
    images, _ = to_batch(scenes(1, height, width))
    last = images.to(memory_format=torch.channels_last)
    folded = model.for_inference()
    unfolded = copy.deepcopy(model).to(memory_format=torch.channels_last)
    contiguous = model.for_inference().to(memory_format=torch.contiguous_format)
    yield (
        f"inference, 1×{height}×{width}",
        lambda: folded(last),
        {
            "channels last": lambda: contiguous(images),
            "batch norm folded": lambda: unfolded(last),
        },
    )


def losses(model: RetinaNet, height: int, width: int) -> Changes:
    boxes = model.anchors(torch.empty(1, 3, height, width))  # [N, 4]
    logits = (torch.randn(2, len(boxes), CLASSES) - 4).requires_grad_()
    deltas = (torch.randn(2, len(boxes), 4) / 10).requires_grad_()
    for count in (5, 50, 500):
        corner = torch.rand(2, count, 2) * torch.tensor([width, height]) * 0.8
        objects = torch.cat([corner, corner + 16 + torch.rand(2, count, 2) * 110], dim=2)
        labels = torch.randint(CLASSES, (2, count))
        annotations = to_annotations(list(zip(objects, labels, strict=True)))

        def work(annotations: Tensor = annotations) -> None:
            logits.grad = deltas.grad = None
            sum(model.focal_loss(logits, deltas, boxes, annotations).values()).backward()

        plain = plain_loss(model.focal_loss, logits, deltas, boxes, annotations)
        torch.testing.assert_close(
            model.focal_loss(logits, deltas, boxes, annotations), plain, rtol=1e-4, atol=1e-6
        )
        yield (
            f"loss, {count} objects an image",
            work,
            {
                "all at once": within(replaced("losses.FocalLoss.forward", plain_loss), work),
                "eight objects at a time": within(replaced("batched.CHUNK", count), work),
                "focal loss in pieces": within(replaced("batched.PIECE", logits.numel()), work),
            },
        )


def plain_loss(
    self: FocalLoss,
    classification: Tensor,
    regression: Tensor,
    anchors: Tensor,
    annotations: Tensor,
) -> dict[str, Tensor]:
    """Image by image, by the functions that the notebooks build, with a table of targets."""
    sums = []
    for logits, deltas, objects in zip(classification, regression, annotations, strict=True):
        matches = match_anchors(anchors, objects[:, :4])
        positive = matches >= 0
        matched = objects[matches[positive]]
        targets = torch.zeros_like(logits)
        targets[positive, matched[:, 4].long()] = 1
        entries = focal_loss(logits, targets)[matches != -2]
        of_boxes = self.box_losses(deltas[positive], anchors[positive], matched[:, :4])
        sums.append(torch.stack([entries.sum(), of_boxes.sum()]) / positive.sum().clamp(min=1))
    return dict(zip(("classification", "regression"), torch.stack(sums).mean(dim=0), strict=True))


def anchors(model: RetinaNet, height: int, width: int) -> Changes:
    images = torch.empty(2, 3, height, width)

    def anew() -> None:
        model.anchors._cache.clear()
        model.anchors(images)

    yield "anchors", lambda: model.anchors(images), {"computed once": anew}


def detection(model: RetinaNet, height: int, width: int) -> Changes:
    image = torch.empty(1, 3, height, width)
    boxes = model.anchors(image)
    counts = model.anchors.level_counts(height, width)
    deltas = torch.randn(1, len(boxes), 4) / 10
    logits = torch.randn(1, len(boxes), CLASSES) * 1.3 - 2
    rows = replaced("detection.MANY", logits.numel())

    def work() -> None:
        model.detection(logits, deltas, boxes, counts, image)

    yield "post-processing, dense", work, {"only a level's best rows": within(rows, work)}


if __name__ == "__main__":
    main()
