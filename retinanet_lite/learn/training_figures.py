"""Figures of a training: its images, how the anchors fit them, how the losses fall."""

from collections.abc import Sequence
from itertools import zip_longest

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.ticker import LogLocator
from torch import Tensor
from torchvision.transforms.v2 import functional

from ..evaluation.anchor_coverage import Coverage
from .figures import LEVELS, OBJECT, add_boxes, add_detections, pixels

Item = tuple[Tensor, dict]


def show_items(
    items: Sequence[Item],
    classes: Sequence[str],
    title: str,
    detections: Sequence[dict[str, Tensor]] = (),
    columns: int = 4,
) -> None:
    """Images with the boxes of their objects, or of detections where there are any.

    Images are [3, H, W], uint8 or floating point from 0 to 1.
    """
    rows = -(-len(items) // columns)
    _, axes = plt.subplots(
        rows, columns, figsize=(2.4 * columns, 2.5 * rows), layout="constrained", squeeze=False
    )
    plt.gcf().suptitle(title)
    for ax, item, found in zip_longest(axes.flat, items, detections):
        ax.axis("off")
        if item is None:
            continue
        image, target = item
        height, width = image.shape[-2:]
        image = functional.to_dtype(image, torch.uint8, scale=True)
        ax.imshow(pixels(image), extent=(0, width, height, 0))
        if found is None:
            texts = [classes[label] for label in target["labels"].tolist()]
            add_boxes(ax, target["boxes"], OBJECT, texts)
        else:
            add_detections(ax, found, classes)


def show_coverage(coverage: Coverage, title: str) -> None:
    """The best IoU of every object with an anchor, by the object's size and best level."""
    _, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for level, colour, marker in zip(range(3, 8), LEVELS, "osD^v", strict=True):
        mine = coverage.level == level
        if mine.any():
            ax.scatter(
                coverage.sides[mine],
                coverage.best_iou[mine],
                s=14,
                color=colour,
                marker=marker,
                label=f"best on P{level}",
            )
    ax.axhline(0.5, color="black", linewidth=0.8, label="0.5, enough to learn from")
    ax.set(title=title, xlabel="side in pixels, √(width · height)", ylabel="best IoU")
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(LogLocator(base=2, subs=(1.0, 1.5)))
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.set(ylim=(0, 1))
    ax.legend(fontsize=8)


def show_log(log: Sequence[dict], title: str, smooth: int = 20) -> None:
    """Losses and learning rate of every step, and the validation's losses and AP50 where measured.

    A line shows the mean of the last `smooth` steps; one step's batch says little.
    """
    steps = [record["step"] for record in log]
    measured = [record for record in log if "AP50" in record]
    count = 3 if measured else 2
    _, axes = plt.subplots(1, count, figsize=(3.4 * count, 2.9), layout="constrained")
    for name, style, mark in (("classification", "-", "o"), ("regression", "--", "s")):
        values = [record[name] for record in log]
        (line,) = axes[0].plot(steps, moving_mean(values, smooth), style, label=name)
        if measured:
            places = [r["step"] for r in measured]
            values = [r[f"validation_{name}"] for r in measured]
            axes[0].plot(places, values, mark, color=line.get_color(), label=f"{name}, validation")
    axes[0].set(title="losses", xlabel="step", ylabel="loss", yscale="log")
    axes[0].legend(fontsize=7, loc="upper right")
    axes[1].plot(steps, [record["learning_rate"] for record in log], color="black")
    axes[1].set(title="learning rate", xlabel="step", ylabel="learning rate")
    if measured:
        axes[2].plot([r["step"] for r in measured], [r["AP50"] for r in measured], "o-")
        axes[2].set(title="AP50 on images not trained on", xlabel="step", ylim=(0, 1))
    plt.gcf().suptitle(title)


def moving_mean(values: Sequence[float], length: int) -> list[float]:
    """For each value the mean of it and up to `length` − 1 values before it."""
    return [float(np.mean(values[max(0, i + 1 - length) : i + 1])) for i in range(len(values))]
