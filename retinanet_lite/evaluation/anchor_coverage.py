"""Anchor coverage: before any training, how well the anchors fit a data set's objects.

An object that no anchor overlaps by half is learned from its best anchor alone. Ask before you
train, and see what would help: docs/anchors.md, "Which objects are covered".
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

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
    height in pixels.
    """

    best_iou: Tensor
    level: Tensor
    sizes: Tensor
    anchors: Anchors

    @property
    def sides(self) -> Tensor:
        """The side of the square of each object's area in pixels, [M]."""
        return self.sizes.prod(dim=1).sqrt()

    def under(self, iou: float, group: Tensor | None = None) -> float:
        """The share of the objects, or of a group [M] of them, whose best anchor is under `iou`."""
        values = self.best_iou if group is None else self.best_iou[group]
        return (values < iou).double().mean().item()

    def __str__(self) -> str:
        """The report: a table by size, one by level, and what to change."""
        sides = self.sides
        groups = {"all": self.level > 0}
        for low, high in pairwise(SIDES):
            groups[f"side {low} to {high}"] = (low <= sides) & (sides < high)
        groups[f"side from {SIDES[-1]}"] = sides >= SIDES[-1]
        groups |= {f"best on P{level}": self.level == level for level in range(3, 8)}
        lines = [f"{'objects':18}{'number':>8}{'best IoU':>10}{'< 0.5':>8}{'< 0.4':>8}"]
        lines += [
            f"{name:18}{int(group.sum()):8}{self.best_iou[group].mean():10.2f}"
            f"{self.under(0.5, group):8.1%}{self.under(0.4, group):8.1%}"
            for name, group in groups.items()
            if group.any()
        ]
        legend = "Best IoU is a mean; a side is that of the square of the object's area, in pixels."
        return "\n".join([*lines, legend, "", *self.advice()])

    def advice(self) -> list[str]:
        """What to change, a sentence each."""
        share = self.under(0.5)
        if share <= 0.02:
            return [f"The anchors fit: {1 - share:.1%} of the objects have one of IoU 0.5 or more."]
        anchors, poor = self.anchors, self.best_iou < 0.5
        sides, ratio = self.sides[poor], self.sizes[poor, 1] / self.sizes[poor, 0]
        smallest = anchors.size * anchors.strides[0] * min(anchors.scales)
        largest = anchors.size * anchors.strides[-1] * max(anchors.scales)
        small, large = sides < smallest, sides > largest
        flat, tall = ratio < min(anchors.ratios) / 1.5, ratio > max(anchors.ratios) * 1.5
        lines = [f"{share:.1%} of the objects have no anchor of IoU 0.5. What would help:"]
        if count := int(small.sum()):
            factor = smallest / sides[small].quantile(0.25).item()
            lines.append(
                f"- {count} of these are smaller than the smallest anchor ({smallest:.0f} pixels): "
                f"scale the images up by {factor:.1f} (the detector's size), or use smaller "
                f"anchors: Anchors(size={anchors.size / factor:.1f}). The first gives an object "
                f"more anchors, at {round(factor, 1) ** 2:.1f} times the pixels."
            )
        if count := int(large.sum()):
            lines.append(
                f"- {count} of these are larger than the largest anchor ({largest:.0f} pixels): "
                f"scale the images down (the detector's size)."
            )
        for group, kind in ((flat, "flatter"), (tall, "taller")):
            if count := int(group.sum()):
                lines.append(
                    f"- {count} of these are {kind} than the anchors: add a ratio (height / "
                    f"width) of {ratio[group].median():.2g} to Anchors(ratios=...)."
                )
        if len(lines) == 1:
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
        scaling: how the detector scales images, `detector.scaling`.
        indices: the rows of the data set to look at; by default all.

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
        ends = torch.tensor(anchors.level_counts(*size)).cumsum(0)
        boxes = boxes.as_subclass(Tensor)
        # on the CPU, where the boxes are, also for the anchors of a model on a GPU
        iou, row = box_iou(anchors(size).cpu(), boxes).max(dim=0)  # [M] each, of [N, M]
        ious.append(iou)
        levels.append(torch.searchsorted(ends, row, right=True))
        sizes.append(boxes[:, 2:] - boxes[:, :2])
    if not ious:
        raise ValueError("there is no object in the data set, so there is nothing to cover")
    level = torch.tensor(anchors.levels)[torch.cat(levels)]
    return Coverage(torch.cat(ious), level, torch.cat(sizes), anchors)


def scaled_boxes(dataset: Dataset, index: int, scaling: Callable | None) -> Tensor:
    """The boxes of an image's single objects, as tv_tensors on the scaled image."""
    if hasattr(dataset, "target"):
        target = dataset.target(index)
        boxes = tv_tensors.wrap(without_crowds(target)[0], like=target["boxes"])
    else:
        boxes = as_tv_tensors(*dataset[index])[1]["boxes"]
    return scaling(boxes) if scaling else boxes
