"""Draw the documents' figures: `python docs/draw_figures.py` fills docs/images."""

import math
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from torch import Tensor
from torchvision.ops import box_iou

from retinanet_lite import Anchors, focal_loss, match_anchors
from retinanet_lite.data.shapes import CLASSES, Scene, walkthrough_scene
from retinanet_lite.learn import figures

STRIDES = (8, 16, 32, 64, 128)
LEVELS = ("P3", "P4", "P5", "P6", "P7")
PALE = "#ECEFF1"
DARK = "#455A64"
ARROW = {"arrowstyle": "-|>", "color": DARK, "shrinkA": 0, "shrinkB": 0}


def draw(folder: Path, dpi: int = 110) -> None:
    """Every figure of the documents, as a PNG in `folder`."""
    plt.switch_backend("Agg")  # no window
    scene = walkthrough_scene()
    make_anchors = Anchors()
    anchors = make_anchors(torch.zeros(1, 3, 640, 832))
    star, best_of_star = scene.boxes[0], anchors[95592]
    matches = match_anchors(anchors, scene.boxes)

    def save(name: str) -> None:
        plt.savefig(folder / name, dpi=dpi, bbox_inches="tight")
        plt.close("all")

    figures.show_scene(scene, "The scene of these pages")
    save("scene.png")

    show_model()
    save("model.png")

    centre = ((star[:2] + star[2:]) / 2).tolist()
    figures.show_cells(scene.image, STRIDES[::2], centre, LEVELS[::2])
    save("cells.png")

    show_pyramid()
    save("pyramid.png")

    show_row_order()
    save("row_order.png")

    figures.show_delta(
        scene.image, best_of_star, star, "Which way from the anchor (dashed) to the star?"
    )
    save("delta.png")

    nine = anchors[95592 - 3 : 95592 + 6]
    figures.show_anchors(scene.image, nine, "What does one cell of P5 start from?", star)
    save("nine_anchors.png")

    show_coverage(make_anchors, scene.boxes, [CLASSES[label] for label in scene.labels])
    save("coverage.png")

    show_centres(scene, anchors, matches, make_anchors.level_counts(640, 832))
    save("matching.png")

    shares = loss_shares(anchors, matches, scene.boxes, scene.labels)
    figures.show_shares(shares, "Who makes the loss?", "share of the classification loss")
    save("shares.png")


def diagram(width: float, height: float, xmax: float, ymax: float) -> Axes:
    _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    ax.set(xlim=(0, xmax), ylim=(0, ymax))
    ax.axis("off")
    return ax


def box(ax: Axes, x: float, y: float, w: float, h: float, text: str, colour: str = PALE) -> None:
    """A rounded box around the centre (x, y)."""
    style = "round,pad=0,rounding_size=0.08"
    ax.add_patch(
        FancyBboxPatch(
            (x - w / 2, y - h / 2), w, h, boxstyle=style, facecolor=colour, edgecolor=DARK
        )
    )
    dark = colour in figures.LEVELS[:3] or colour == figures.OBJECT["edgecolor"]
    ax.text(x, y, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "") -> None:
    ax.annotate("", end, start, arrowprops=ARROW)
    if text:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        if start[0] == end[0]:  # beside a vertical arrow, above a level one
            ax.text(x + 0.08, y, text, ha="left", va="center", fontsize=8, color=DARK)
        else:
            ax.text(x, y + 0.06, text, ha="center", va="bottom", fontsize=8, color=DARK)


def show_model() -> None:
    """From the image to the rows of all anchors, and to losses or detections."""
    ax = diagram(10.5, 4.6, 14.2, 6.2)
    box(ax, 0.95, 4.9, 1.7, 0.8, "images\n[2, 3, 640, 832]")
    maps = ("C3\n[2, 512, 80, 104]", "C4\n[2, 1024, 40, 52]", "C5\n[2, 2048, 20, 26]")
    sizes = ("80, 104", "40, 52", "20, 26", "10, 13", "5, 7")
    height = [4.9, 3.85, 2.8, 1.75, 0.7]
    for y, text in zip(height, maps, strict=False):
        box(ax, 3.5, y, 1.9, 0.8, text)
    for y, name, size, colour in zip(height, LEVELS, sizes, figures.LEVELS, strict=True):
        box(ax, 6.2, y, 1.9, 0.8, f"{name}\n[2, 256, {size}]", colour)
        ax.plot([7.15, 7.6], [y, y], color=DARK, linewidth=1)
    arrow(ax, (1.8, 4.9), (2.55, 4.9))
    for above, below in zip(height[:2], height[1:3], strict=True):
        arrow(ax, (3.5, above - 0.4), (3.5, below + 0.4))
    for y in height[:3]:
        arrow(ax, (4.45, y), (5.25, y))
    for below, above in zip(height[1:3], height[:2], strict=True):
        arrow(ax, (6.2, below + 0.4), (6.2, above - 0.4))
    arrow(ax, (4.2, 2.4), (5.25, 1.75))
    arrow(ax, (6.2, 1.35), (6.2, 1.1))
    ax.plot([7.6, 7.6], [height[-1], height[0]], color=DARK, linewidth=1)
    for y, name, rows in (
        (4.4, "classification\nhead", "[2, 99765, 20]\nlogits"),
        (2.8, "regression\nhead", "[2, 99765, 4]\ndeltas"),
    ):
        arrow(ax, (7.6, y), (8.0, y))
        box(ax, 8.75, y, 1.5, 0.8, name)
        arrow(ax, (9.5, y), (9.9, y))
        box(ax, 10.65, y, 1.5, 0.8, rows, "#FFFFFF")
        ax.plot([11.4, 11.8], [y, y], color=DARK, linewidth=1)
    box(ax, 10.65, 1.2, 1.5, 0.8, "[99765, 4]\nanchors", "#FFFFFF")
    ax.plot([11.4, 11.8], [1.2, 1.2], color=DARK, linewidth=1)
    ax.plot([11.8, 11.8], [1.2, 4.4], color=DARK, linewidth=1)
    arrow(ax, (11.8, 3.6), (12.2, 3.6))
    box(ax, 13.15, 3.6, 1.85, 0.9, "two losses\n(with annotations)")
    arrow(ax, (11.8, 2.0), (12.2, 2.0))
    box(ax, 13.15, 2.0, 1.85, 0.9, "detections\n(without)")
    for x, text in (
        (0.95, "batch"),
        (3.5, "backbone"),
        (6.2, "pyramid"),
        (8.75, "heads"),
        (10.65, "one row an anchor"),
        (13.15, "what you asked for"),
    ):
        ax.text(x, 5.8, text, ha="center", va="center", fontsize=10, fontweight="bold")


def show_pyramid() -> None:
    """Lateral, top-down and output convolutions; P6 and P7."""
    ax = diagram(9.5, 4.8, 12, 6.2)
    height = [5.0, 3.9, 2.8, 1.7, 0.6]
    maps = ("C3\n512 · 80 · 104", "C4\n1024 · 40 · 52", "C5\n2048 · 20 · 26")
    sizes = ("80 · 104", "40 · 52", "20 · 26", "10 · 13", "5 · 7")
    for y, text, merged in zip(height, maps, ("M3", "M4", "M5"), strict=False):
        box(ax, 1.2, y, 1.8, 0.75, text)
        arrow(ax, (2.1, y), (5.1, y) if merged == "M5" else (4.55, y), "lateral 1×1")
        if merged != "M5":
            ax.text(4.75, y, "+", ha="center", va="center", fontsize=14)
            arrow(ax, (4.92, y), (5.1, y))
        box(ax, 5.75, y, 1.3, 0.75, merged + "\n256", "#FFFFFF")
        arrow(ax, (6.4, y), (9.2, y), "output 3×3")
    for below, above in zip(height[1:3], height[:2], strict=True):
        ax.annotate(
            "",
            (4.75, above - 0.18),
            (5.4, below + 0.375),
            arrowprops=ARROW,
        )
        ax.text(5.3, (above + below) / 2, "enlarge", fontsize=8, color=DARK, va="center")
    for y, name, size, colour in zip(height, LEVELS, sizes, figures.LEVELS, strict=True):
        box(ax, 10.1, y, 1.8, 0.75, f"{name}\n256 · {size}", colour)
    ax.plot([1.2, 1.2, 1.3], [height[2] - 0.375, height[3], height[3]], color=DARK, linewidth=1)
    arrow(ax, (1.25, height[3]), (9.2, height[3]), "3×3, stride 2")
    arrow(ax, (10.1, height[3] - 0.375), (10.1, height[4] + 0.375), "ReLU, 3×3, stride 2")
    for x, text in ((1.2, "backbone"), (5.75, "merged"), (10.1, "pyramid")):
        ax.text(x, 5.85, text, ha="center", va="center", fontsize=10, fontweight="bold")


def show_row_order() -> None:
    """The document's twelve rows with and without permute, each value in its cell's colour."""
    channel, row, column = torch.meshgrid(
        torch.arange(8), torch.arange(2), torch.arange(3), indexing="ij"
    )
    x = (100 * channel + 10 * row + column)[None]
    orders = {
        "permute, then reshape": x.permute(0, 2, 3, 1).reshape(12, 4),
        "reshape alone": x.reshape(12, 4),
    }
    colours = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#BDBDBD")
    _, axes = plt.subplots(1, 2, figsize=(7.5, 4.4), layout="constrained", sharey=True)
    for ax, (title, rows) in zip(axes, orders.items(), strict=True):
        for r, values in enumerate(rows.tolist()):
            for c, value in enumerate(values):
                i, j = value // 10 % 10, value % 10
                ax.add_patch(plt.Rectangle((c, r), 1, 1, facecolor=colours[i * 3 + j], ec="white"))
                ax.text(c + 0.5, r + 0.5, f"{value:03d}", ha="center", va="center", fontsize=9)
        ax.set(xlim=(0, 4), ylim=(12, 0), title=title, xticks=[0.5, 1.5, 2.5, 3.5])
        ax.set_xticklabels(["first", "second", "third", "fourth"], fontsize=8)
        ax.tick_params(length=0)
    axes[0].set_yticks([r + 0.5 for r in range(12)], range(12))
    axes[0].set_ylabel("row")
    cells = [
        plt.Rectangle((0, 0), 1, 1, facecolor=colours[i * 3 + j], label=f"row {i}, column {j}")
        for i in range(2)
        for j in range(3)
    ]
    plt.gcf().legend(handles=cells, loc="outside right center", title="cell", fontsize=8)
    plt.gcf().suptitle("Which cell does each value of a row come from?", fontsize=11)


def show_coverage(make_anchors: Anchors, boxes: Tensor, names: list[str]) -> None:
    """The IoU of an object with its best anchor by width and height, at the worst of 64 places."""
    sides = torch.logspace(math.log10(6), math.log10(832), 120, dtype=torch.float64)
    h, w = torch.meshgrid(sides, sides, indexing="ij")
    worst = torch.full_like(w, 1.0)
    for x in 300 + 17.0 * torch.arange(8):
        for y in 300 + 17.0 * torch.arange(8):
            best = torch.zeros_like(w)
            for shapes, stride in zip(make_anchors.shapes, STRIDES, strict=True):
                # of one form, the anchor with the nearest centre overlaps most
                dx, dy = (abs(v % stride - stride / 2) for v in (x, y))
                for wa, ha in (shapes[:, 2:] - shapes[:, :2]).tolist():
                    common = overlap(w, wa, dx) * overlap(h, ha, dy)
                    best = torch.maximum(best, common / (w * h + wa * ha - common))
            worst = torch.minimum(worst, best)

    sides, worst, size = sides.numpy(), worst.numpy(), (boxes[:, 2:] - boxes[:, :2]).numpy()
    _, ax = plt.subplots(figsize=(6.6, 5.2), layout="constrained")
    shades = ax.pcolormesh(sides, sides, worst, cmap="cividis", vmin=0, vmax=1, rasterized=True)
    lines = ax.contour(
        sides, sides, worst, levels=[0.4, 0.5], colors="white", linestyles=[":", "-"]
    )
    ax.clabel(lines, fontsize=8)
    ax.plot(size[:, 0], size[:, 1], "o", color="white", markeredgecolor="black", markersize=5)
    for (x, y), name in zip(size.tolist(), names, strict=True):
        if name in ("pill", "square", "star", "house", "leaf"):
            ax.annotate(name, (x, y), (5, -10), textcoords="offset points", fontsize=9)
    ticks = [8, 16, 32, 64, 128, 256, 512]
    ax.set(xscale="log", yscale="log", xlabel="width in pixels", ylabel="height in pixels")
    ax.set_xticks(ticks, ticks)
    ax.set_yticks(ticks, ticks)
    ax.minorticks_off()
    ax.set_aspect("equal")
    ax.set_title("Which object sizes find an anchor?")
    plt.colorbar(shades, label="IoU with the best anchor, at the worst of 64 places")


def overlap(a: Tensor, b: float, distance: Tensor) -> Tensor:
    """The common length of two intervals a and b long, whose middles are `distance` apart."""
    return ((a + b) / 2 - distance).clamp(min=0).minimum(a.clamp(max=b))


def show_centres(scene: Scene, anchors: Tensor, matches: Tensor, counts: list[int]) -> None:
    """The centres of the anchors that learn an object, and of those that learn nothing."""
    _, (ax, bars) = plt.subplots(
        1, 2, figsize=(9.5, 4.4), layout="constrained", width_ratios=[1.9, 1]
    )
    figures.show_image(scene.image, "Where are the anchors that learn an object?", ax)
    figures.add_boxes(ax, scene.boxes, figures.OBJECT)
    centres = ((anchors[:, :2] + anchors[:, 2:]) / 2).numpy()
    matches = matches.numpy()
    ignored = {"marker": "x", "s": 9, "linewidth": 0.8, "color": "#000000"}
    positive = {"marker": "o", "s": 16, "color": figures.POSITIVE["edgecolor"], "ec": "white"}
    ax.scatter(*centres[matches == -2].T, label="ignored", **ignored)
    ax.scatter(*centres[matches >= 0].T, label="positive", linewidth=0.6, **positive)
    ax.legend(loc="lower left", fontsize=8)
    for row, level in enumerate(np.split(matches, np.cumsum(counts)[:-1])):
        good, between = (level >= 0).sum(), (level == -2).sum()
        bars.barh(row, good, color=positive["color"])
        bars.barh(row, between, left=good, facecolor="white", edgecolor="black", hatch="///")
        bars.text(good + between + 8, row, f"{good} + {between}", va="center", fontsize=9)
    bars.set_yticks(range(5), LEVELS)
    bars.invert_yaxis()
    bars.set(xlim=(0, 700), xlabel="anchors", title="positive + ignored")


def loss_shares(
    anchors: Tensor, matches: Tensor, boxes: Tensor, labels: Tensor
) -> dict[str, dict[str, float]]:
    """The page's detector in the middle of its training: who makes the loss?"""
    best, nearest = box_iou(anchors, boxes).max(dim=1)
    positive, near = matches >= 0, (matches == -1) & (best >= 0.3)
    targets = torch.zeros(len(anchors), len(CLASSES), dtype=torch.float64)
    targets[positive, labels[matches[positive]]] = 1
    hard = torch.zeros_like(targets, dtype=torch.bool)
    hard[near, labels[nearest[near]]] = True
    p = torch.full_like(targets, 0.01)
    p[(targets == 1) | hard] = 0.3
    parts = {
        "positive": targets == 1,
        "hard negative": hard,
        "easy negative": (targets == 0) & ~hard & (matches != -2)[:, None],
    }
    shares = {}
    for name, alpha, gamma in (
        ("cross entropy", 0.5, 0.0),
        ("focal loss, γ = 1", 0.25, 1.0),
        ("focal loss, γ = 2", 0.25, 2.0),
    ):
        loss = focal_loss(p.logit(), targets, alpha, gamma)
        sums = {part: loss[entries].sum().item() for part, entries in parts.items()}
        shares[name] = {part: value / sum(sums.values()) for part, value in sums.items()}
    return shares


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
    target.mkdir(parents=True, exist_ok=True)
    draw(target)
