"""Draw the documents' figures: `python docs/draw_figures.py` fills docs/images."""

import math
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torchvision.ops import box_iou

from retinanet_lite import Anchors, focal_loss, match_anchors
from retinanet_lite.data.drawing import CLASSES, walkthrough_scene
from retinanet_lite.learn import diagrams, figures

STRIDES = (8, 16, 32, 64, 128)
LEVELS = ("P3", "P4", "P5", "P6", "P7")


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

    diagrams.show_model()
    save("model.png")

    centre = ((star[:2] + star[2:]) / 2).tolist()
    figures.show_cells(scene.image, STRIDES[::2], centre, LEVELS[::2])
    save("cells.png")

    diagrams.show_pyramid()
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

    figures.show_matching(
        scene,
        anchors,
        matches,
        make_anchors.level_counts(640, 832),
        "Which anchors learn an object, and which are ignored?",
    )
    save("matching.png")

    shares = loss_shares(anchors, matches, scene.boxes, scene.labels)
    figures.show_shares(shares, "Who makes the loss?", "share of the classification loss")
    save("shares.png")


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
            around = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
            ax.annotate(name, (x, y), (6, -11), textcoords="offset points", fontsize=9, bbox=around)
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
