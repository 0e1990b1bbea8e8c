"""Anchor coverage: before any training, how well the anchors fit a data set's objects.

An object that no anchor overlaps by half is learned from its best anchor alone, and hardly.
"It trained, but finds nothing" is most often this. docs/anchors.md, "Which objects are covered".
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.ops import box_iou
from torchvision.transforms import v2

from ..data.batches import without_crowds
from ..data.transforms import as_tv_tensors
from ..model.anchors import Anchors
from ..progress import progress_bar

SIDES = (0, 16, 32, 64, 128, 256, 512)  # pixels: where the groups of sizes begin


@dataclass(frozen=True, eq=False)
class Coverage:
    """The best anchor of every object, as the detector sees them: after scaling.

    Shapes: best_iou [M]; level [M], the pyramid level of the best anchor; sizes [M, 2], width and
    height in pixels. `smallest`, `largest` are the sides of the smallest and largest anchor's
    square, in pixels; `ratios`, the heights / widths, and `size` are the anchors' own.
    """

    best_iou: Tensor
    level: Tensor
    sizes: Tensor
    smallest: float
    largest: float
    ratios: tuple[float, ...]
    size: float

    @property
    def sides(self) -> Tensor:
        """The side of the square of each object's area, [M]."""
        return self.sizes.prod(dim=1).sqrt()

    def under(self, iou: float, group: Tensor | None = None) -> float:
        """The share of the objects, or of a group [M] of them, whose best anchor is under `iou`."""
        values = self.best_iou if group is None else self.best_iou[group]
        return (values < iou).double().mean().item()

    def __str__(self) -> str:
        """The report: a table by size, one by level, and what to change."""
        groups = [
            (f"side {low} to {high}" if high else f"side from {low}", self.between(low, high))
            for low, high in zip(SIDES, [*SIDES[1:], None], strict=True)
        ]
        groups += [(f"best on P{level}", self.level == level) for level in range(3, 8)]
        lines = [f"{'objects':18}{'number':>8}{'best IoU':>10}{'< 0.5':>8}{'< 0.4':>8}"]
        for name, group in [("all", torch.ones_like(self.level, dtype=torch.bool)), *groups]:
            if group.any():
                lines.append(
                    f"{name:18}{int(group.sum()):8}{self.best_iou[group].mean():10.2f}"
                    f"{self.under(0.5, group):8.1%}{self.under(0.4, group):8.1%}"
                )
        lines.append(
            "Best IoU is a mean; a side is that of the square of the object's area, in pixels."
        )
        return "\n".join([*lines, "", *self.advice()])

    def between(self, low: float, high: float | None) -> Tensor:
        return (self.sides >= low) & (self.sides < (high or float("inf")))

    def advice(self) -> list[str]:
        """What to change, a sentence each."""
        poor = self.best_iou < 0.5
        share = poor.double().mean().item()
        if share <= 0.02:
            return [f"The anchors fit: {1 - share:.1%} of the objects have one of IoU 0.5 or more."]
        lines = [f"{share:.1%} of the objects have no anchor of IoU 0.5. What would help:"]
        small = poor & (self.sides < self.smallest)
        large = poor & (self.sides > self.largest)
        ratio = self.sizes[:, 1] / self.sizes[:, 0]
        flat = poor & (ratio < min(self.ratios) / 1.5)
        tall = poor & (ratio > max(self.ratios) * 1.5)
        if small.any():
            side = self.sides[small].quantile(0.25).item()
            lines.append(
                f"- {int(small.sum())} of these are smaller than the smallest anchor "
                f"({self.smallest:.0f} pixels): scale the images up by "
                f"{self.smallest / side:.1f} (the detector's size), or use smaller anchors: "
                f"Anchors(size={self.size * side / self.smallest:.1f}). The first helps more: "
                f"smaller anchors stand no closer together."
            )
        if large.any():
            lines.append(
                f"- {int(large.sum())} of these are larger than the largest anchor "
                f"({self.largest:.0f} pixels): scale the images down (the detector's size)."
            )
        for group, kind in ((flat, "flatter"), (tall, "taller")):
            if group.any():
                lines.append(
                    f"- {int(group.sum())} of these are {kind} than the anchors: add a ratio "
                    f"(height / width) of {ratio[group].median():.2g} to Anchors(ratios=...)."
                )
        if not (small | large | flat | tall).any():
            lines.append("- finer steps between the anchors: more scales or ratios.")
        return lines


def anchor_coverage(
    anchors: Anchors,
    dataset: Dataset,
    scaling: v2.Transform | Callable | None = None,
    indices: Iterable[int] | None = None,
    progress: bool = True,
) -> Coverage:
    """How well anchors fit the objects of a data set.

    Args:
        anchors: a model's, `model.anchors`.
        dataset: of (image, target), see `to_batch`; with a method `target(index)` that gives the
            boxes as tv_tensors, no image is read.
        scaling: how images are scaled before the detector sees them, `detector.scaling`.
        indices: the rows of the data set to look at; by default all.
        progress: show a bar if it takes longer than two seconds.

    Raises:
        ValueError: if there is not one object.
    """
    ious, levels, sizes = [], [], []
    rows = range(len(dataset)) if indices is None else list(indices)
    for index in progress_bar(rows, len(rows), "looking at boxes", progress):
        boxes = scaled_boxes(dataset, index, scaling)
        if len(boxes) == 0:
            continue
        size = anchors.filled_up(*boxes.canvas_size)
        counts = torch.tensor(anchors.level_counts(*size))
        boxes = boxes.as_subclass(Tensor)
        # on the CPU, where the boxes are, also for the anchors of a model on a GPU
        all_anchors = anchors(size).cpu()  # [N, 4]
        iou, row = box_iou(all_anchors, boxes).max(dim=0)  # [M] each
        ious.append(iou)
        levels.append(torch.searchsorted(counts.cumsum(0), row, right=True))
        sizes.append(boxes[:, 2:] - boxes[:, :2])
    if not ious:
        raise ValueError("there is no object in the data set, so there is nothing to cover")
    base = [anchors.size * stride for stride in anchors.strides]
    return Coverage(
        torch.cat(ious),
        torch.tensor(anchors.levels)[torch.cat(levels)],
        torch.cat(sizes),
        smallest=base[0] * min(anchors.scales),
        largest=base[-1] * max(anchors.scales),
        ratios=anchors.ratios,
        size=anchors.size,
    )


def scaled_boxes(dataset: Dataset, index: int, scaling: Callable | None) -> Tensor:
    """The boxes of an image's single objects, as tv_tensors on the scaled image."""
    if hasattr(dataset, "target"):
        target = dataset.target(index)
        boxes = tv_tensors.wrap(without_crowds(target)[0], like=target["boxes"])
    else:
        boxes = as_tv_tensors(*dataset[index])[1]["boxes"]
    return scaling(boxes) if scaling else boxes
