"""Figures: each answers one question about the detector. Used by the notebooks and the documents.

The same thing has the same colour and the same line in all of them, and reads without colour too.
A function draws into the current figure of pyplot, or makes one; it returns nothing, so that a
notebook's cell shows the figure and nothing else.
"""

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from torch import Tensor
from torchvision.ops import box_iou

from ..data.batches import MEAN, STD
from ..data.drawing import CLASSES, Scene
from ..model.matching import IGNORED as IGNORED_MATCH
from .labels import add_labels


def haloed(style: dict) -> dict:
    """A line style with a white border, so that it shows on dark colours, too."""
    white = withStroke(linewidth=style["linewidth"] + 2, foreground="white")
    return style | {"path_effects": [white]}


# Okabe and Ito's colours, which most colour-blind readers can tell apart
OBJECT = {"edgecolor": "#0072B2", "linestyle": "-", "linewidth": 2.0}
ANCHOR = {"edgecolor": "#D55E00", "linestyle": "--", "linewidth": 1.4}
CELL = haloed({"edgecolor": "#000000", "linestyle": "-", "linewidth": 1.5})
POSITIVE = {"edgecolor": "#009E73", "linestyle": "-", "linewidth": 1.2}
IGNORED = {"edgecolor": "#E69F00", "linestyle": ":", "linewidth": 1.4}
NEGATIVE = {"edgecolor": "#7F7F7F", "linestyle": "-", "linewidth": 0.6}
DETECTION = {"edgecolor": "#CC79A7", "linestyle": "-", "linewidth": 2.0}
LEVELS = ("#440154", "#3B528B", "#21918C", "#5EC962", "#C8B400")  # P3 … P7


def pixels(image: Tensor) -> np.ndarray:
    """An image [3, H, W], uint8 or normalised, as matplotlib wants it: [H, W, 3] uint8."""
    if image.is_floating_point():
        image = image.detach().cpu() * torch.tensor(STD)[:, None, None]
        image = (image + torch.tensor(MEAN)[:, None, None]).clamp(0, 1).mul(255).round()
    return image.cpu().to(torch.uint8).permute(1, 2, 0).numpy()


def show_image(image: Tensor, title: str = "", ax: Axes | None = None) -> Axes:
    """An image with its axes in pixels; the start of most figures here."""
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 5.0), layout="constrained")
    height, width = image.shape[-2:]
    # edges at whole numbers, as boxes count them, and not in the middle of a pixel
    ax.imshow(pixels(image), extent=(0, width, height, 0))
    ax.set(title=title, xlabel="x in pixels", ylabel="y in pixels")
    return ax


def add_boxes(ax: Axes, boxes: Tensor, style: dict, texts: Sequence[str] = ()) -> None:
    """Boxes [n, 4] in pixels with one line style, and a text beside each if there are texts."""
    for x1, y1, x2, y2 in boxes.tolist():
        ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, **style))
    if texts:
        dark = style["edgecolor"] in (OBJECT["edgecolor"], CELL["edgecolor"])
        add_labels(ax, boxes, texts, style["edgecolor"], "white" if dark else "black")


def show_scene(scene: Scene, title: str = "", classes: Sequence[str] = CLASSES) -> None:
    """A scene with its objects' boxes and names."""
    ax = show_image(scene.image, title)
    add_boxes(ax, scene.boxes, OBJECT, [classes[label] for label in scene.labels.tolist()])


def show_detections(
    scene: Scene, detections: dict[str, Tensor], title: str = "", classes: Sequence[str] = CLASSES
) -> None:
    """What a detector found in a scene, each box with its class and score."""
    add_detections(show_image(scene.image, title), detections, classes)


def add_detections(ax: Axes, detections: dict[str, Tensor], classes: Sequence[str]) -> None:
    """Detections with their classes and scores, the best on top of the others."""
    worst_first = detections["scores"].argsort()
    labels, scores = (detections[name][worst_first].tolist() for name in ("labels", "scores"))
    texts = [f"{classes[label]} {score:.2f}" for label, score in zip(labels, scores, strict=True)]
    add_boxes(ax, detections["boxes"][worst_first], DETECTION, texts)


def show_features(
    image: Tensor,
    features: dict[str, Tensor],
    title: str = "",
    limits: tuple[float | None, float | None] = (None, None),
    box: Tensor | None = None,
) -> None:
    """How strongly each cell of some feature maps [C, h, w] answers, beside the image [3, H, W].

    A cell's brightness is the mean absolute value over its channels, from the map's least to its
    greatest, or between the limits given.

    Args:
        box: [4] in pixels, drawn on the image and, in cells, on every map.
    """
    figure, axes = rows_of_panels(len(features) + 1, 2.6)
    size = image.shape[-2:]
    show_image(image, f"image, {size[0]}×{size[1]} pixels", axes[0])
    for ax, (name, feature) in zip(axes[1:], features.items(), strict=True):
        height, width = feature.shape[-2:]
        brightness = feature.detach().cpu().abs().mean(dim=0)
        ax.imshow(
            brightness,
            cmap="viridis",
            vmin=limits[0],
            vmax=limits[1],
            extent=(0, width, height, 0),
        )
        ax.set(title=f"{name}, {height}×{width} cells", xlabel="column", ylabel="row")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    for ax, shown in zip(axes, (image, *features.values()), strict=True):
        shrink(ax)
        if box is not None:
            # strides are powers of two, and a map's last column may stick out of the image
            stride = 2 ** math.ceil(math.log2(size[1] / shown.shape[-1]))
            add_boxes(ax, box[None] / stride, haloed(OBJECT | {"linewidth": 1.0}))
    figure.suptitle(title, fontsize=11)


def shrink(ax: Axes) -> None:
    """Letters for one of many panels."""
    ax.tick_params(labelsize=8)
    ax.title.set_size(9)
    ax.xaxis.label.set_size(8)
    ax.yaxis.label.set_size(8)


def rows_of_panels(count: int, height: float) -> tuple[Figure, Sequence[Axes]]:
    """Axes in rows of three, so that each is large enough on a page; `height` inches a row."""
    columns = 2 if count == 4 else min(count, 3)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3 * columns, height * rows), layout="constrained", squeeze=False
    )
    for ax in axes.flat[count:]:
        ax.axis("off")
    return figure, axes.flat[:count]


def show_receptive_field(image: Tensor, influence: Tensor, cell: Tensor, title: str = "") -> None:
    """Which pixels of an image [3, H, W] can change one cell.

    Args:
        influence: [H, W], the size of the gradient of the cell's value by each pixel.
        cell: [4], the pixels that the cell stands for, as a box.
    """
    ax = show_image(image, title)
    add_seen(ax, influence.detach().cpu() > 0)
    add_boxes(ax, cell[None], CELL)


def add_seen(ax: Axes, seen: Tensor) -> None:
    """Darken the pixels that a cell can't see: `seen` is [H, W], bool."""
    shade = np.zeros((*seen.shape, 4), dtype=np.uint8)  # black, by opacity
    shade[..., 3] = np.where(seen, 0, 153)
    ax.imshow(shade, extent=(0, seen.shape[1], seen.shape[0], 0))


def show_cells(
    image: Tensor, strides: Sequence[int], point: tuple[float, float], names: Sequence[str]
) -> None:
    """The cells of each level over an image, and the one that holds a point (x, y).

    The first level is shown twice, whole and the part around the point.
    """
    figure, axes = rows_of_panels(len(strides) + 1, 2.7)
    figure.suptitle(f"Which cell of each level holds the point ({point[0]:g}, {point[1]:g})?")
    coarsest = max(strides)
    # the last cells of a level stick out of an image that they do not fit
    height, width = (-(-side // coarsest) * coarsest for side in image.shape[-2:])
    for ax, stride, name in zip(axes[1:], strides, names, strict=True):
        rows, columns = (-(-side // stride) for side in image.shape[-2:])
        add_cells(ax, image, stride, point, stride)  # fine ones would cover the image
        ax.set(title=f"{name}: {rows}×{columns} cells", xlim=(0, width), ylim=(height, 0))
    # six cells wide, and as high as the other panels
    add_cells(axes[0], image, strides[0], point, 128)
    half = 3 * strides[0] * np.array([1, height / width])
    left, top, right, bottom = *(point - half), *(point + half)
    axes[0].set(title=f"{names[0]} around the point", xlim=(left, right), ylim=(bottom, top))
    for ax in axes:
        shrink(ax)


def add_cells(
    ax: Axes, image: Tensor, stride: int, point: tuple[float, float], weight: float
) -> None:
    """An image under a level's cells, a dot at a point (x, y), and a border around its cell.

    The smaller `weight`, the fainter are the cells' lines.
    """
    height, width = image.shape[-2:]
    rows, columns = -(-height // stride), -(-width // stride)
    show_image(image, "", ax).images[0].set_alpha(0.6)
    lines = {"colors": "black", "linewidth": 0.1 + weight / 200, "snap": False}
    lines["alpha"] = min(1, weight / 32)
    ax.vlines([stride * i for i in range(columns + 1)], 0, stride * rows, **lines)
    ax.hlines([stride * i for i in range(rows + 1)], 0, stride * columns, **lines)
    corner = [at // stride * stride for at in point]
    ax.add_patch(Rectangle(corner, stride, stride, fill=False, **CELL))
    ax.plot(*point, "o", markersize=3, markerfacecolor="black", markeredgecolor="white")


def show_anchors(
    image: Tensor, anchors: Tensor, title: str = "", box: Tensor | None = None
) -> None:
    """Anchors [n, 4] over an image, dashed, with their centres.

    If an object's box [4] is given, too, the anchor that fits it best is drawn solid.
    """
    ax = show_image(image, title)
    add_boxes(ax, anchors, ANCHOR)
    ax.plot((anchors[:, 0] + anchors[:, 2]) / 2, (anchors[:, 1] + anchors[:, 3]) / 2, "k+")
    if box is not None:
        add_boxes(ax, box[None], OBJECT)
    frame(ax, image, anchors if box is None else torch.cat([anchors, box[None]]))
    if box is not None:
        iou, best = box_iou(anchors, box[None])[:, 0].max(dim=0)
        text = f"anchor {best.item()}, IoU {iou.item():.2f}"
        add_boxes(ax, anchors[best][None], POSITIVE | {"linewidth": 2.0}, [text])


def frame(ax: Axes, image: Tensor, boxes: Tensor) -> None:
    """Show the part of an image around some boxes [n, 4]: half of it at least, twice it at most."""
    size = torch.tensor([image.shape[-1], image.shape[-2]])
    low, high = boxes[:, :2].amin(dim=0) - 10, boxes[:, 2:].amax(dim=0) + 10
    middle = ((low + high) / 2).clamp(size / 4, 3 * size / 4)
    left, top = low.minimum(middle - size / 4).maximum(-size / 2).tolist()
    right, bottom = high.maximum(middle + size / 4).minimum(1.5 * size).tolist()
    ax.set(xlim=(left, right), ylim=(bottom, top))


def show_table(
    values: Tensor, rows: Sequence[str], columns: Sequence[str], title: str, label: str
) -> None:
    """Numbers from 0 to 1 as shades with the number in each field, e.g. IoU by object and level."""
    _, ax = plt.subplots(figsize=(1.4 + 0.8 * len(columns), 0.8 + 0.3 * len(rows)))
    shades = ax.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values.numpy()):
        colour = "black" if value > 0.5 else "white"
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_title(title, fontsize=10)
    plt.colorbar(shades, label=label)


def show_matching(
    scene: Scene,
    anchors: Tensor,
    matches: Tensor,
    level_counts: Sequence[int],
    title: str = "",
) -> None:
    """The centres of the anchors that learn an object, or nothing; beside it, how many by level.

    Args:
        anchors: [N, 4]; matches: [N] from `match_anchors`; level_counts: anchors of each level.
    """
    _, (ax, bars) = plt.subplots(
        1, 2, figsize=(10, 4.4), layout="constrained", width_ratios=[1.6, 1]
    )
    show_image(scene.image, title, ax)
    add_boxes(ax, scene.boxes, OBJECT | {"linewidth": 1.2})
    add_matches(ax, anchors, matches)
    add_level_bars(bars, matches, level_counts)


def add_matches(ax: Axes, anchors: Tensor, matches: Tensor) -> None:
    """The centres of the positive and the ignored anchors."""
    centres = ((anchors[:, :2] + anchors[:, 2:]) / 2).numpy()
    hollow = {"markerfacecolor": "white", "markeredgecolor": IGNORED["edgecolor"]}
    ignored = centres[matches == IGNORED_MATCH]
    ignored = ignored[:: 1 + len(ignored) // 3000]  # more would cover everything
    ax.plot(*ignored.T, "^", markersize=4.5, label="ignored", **hollow)
    filled = {"markerfacecolor": POSITIVE["edgecolor"], "markeredgecolor": "white"}
    ax.plot(
        *centres[matches >= 0].T,
        "o",
        markersize=4.5,
        markeredgewidth=0.4,
        label="positive",
        **filled,
    )
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.15), ncols=2, reverse=True)


def add_level_bars(ax: Axes, matches: Tensor, level_counts: Sequence[int]) -> None:
    """How many anchors of each level are positive, and how many ignored."""
    levels = matches.split(list(level_counts))
    rows = np.arange(len(levels))
    positive = [(level >= 0).sum().item() for level in levels]
    ignored = [(level == IGNORED_MATCH).sum().item() for level in levels]
    kinds = (
        (positive, -0.2, {"label": "positive", "color": POSITIVE["edgecolor"]}),
        (ignored, 0.2, {"label": "ignored"} | hatched(IGNORED)),
    )
    for counts, shift, style in kinds:
        lines = [min(count, 1) for count in counts]  # no line where there is no bar
        ends = ax.barh(rows + shift, counts, 0.38, linewidth=lines, **style)
        ax.bar_label(ends, [f"{count:,}" if count else "" for count in counts], padding=3)
    ax.set_yticks(rows, [f"P{level}" for level in rows + 3])
    ax.set(xlim=(0, max(5, 1.45 * max(positive + ignored))), ylim=(len(rows) - 0.5, -0.5))
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.set(xlabel="anchors", title="… by level")
    handles = [Patch(**style) for _, _, style in kinds]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.15), ncols=2)


def hatched(style: dict) -> dict:
    """A bar in the colour of a line style, hatched so that it reads without colour."""
    return {"facecolor": "white", "edgecolor": style["edgecolor"], "hatch": "///"}


def show_delta(image: Tensor, anchor: Tensor, box: Tensor, title: str = "") -> None:
    """An anchor [4], the box [4] that it has to become, and the shift between their centres."""
    ax = show_image(image, title)
    add_boxes(ax, anchor[None], ANCHOR)
    add_boxes(ax, box[None], OBJECT)
    start, end = [((b[:2] + b[2:]) / 2).tolist() for b in (anchor, box)]
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "black"})
    low, high = torch.minimum(anchor, box)[:2], torch.maximum(anchor, box)[2:]
    margin = 0.3 * (high - low).max().item()
    ax.set_xlim(low[0].item() - margin, high[0].item() + margin)
    ax.set_ylim(high[1].item() + margin, low[1].item() - margin)


def show_focal_curves(gammas: Sequence[float] = (0, 0.5, 1, 2, 5)) -> None:
    """The focal loss of an entry against the probability that it gives to the truth."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    figure.suptitle("How much does an entry cost? (without $\\alpha_t$)")
    p = torch.linspace(0.001, 1, 500)
    for gamma, line in zip(gammas, ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))), strict=False):
        loss = -((1 - p) ** gamma) * p.log()
        for ax in axes:
            name = f"γ = {gamma:g}" + (", the cross entropy" if gamma == 0 else "")
            ax.plot(p, loss, linestyle=line, label=name)
    axes[0].set(title="All of it", ylim=(0, 5))
    axes[1].set(title="Easy entries, the same curves", xlim=(0.6, 1), ylim=(0, 0.5))
    for ax in axes:
        ax.set(xlabel="$p_t$: probability given to the truth", ylabel="loss")
    axes[0].legend()


def show_shares(shares: dict[str, dict[str, float]], title: str, unit: str = "share") -> None:
    """Bars from 0 to 1, one for each entry of `shares`, cut into its named parts."""
    _, ax = plt.subplots(figsize=(8, 0.9 + 0.5 * len(shares)), layout="constrained")
    add_shares(ax, shares, title, unit)


def add_shares(
    ax: Axes, shares: dict[str, dict[str, float]], title: str, unit: str = "share"
) -> None:
    """What `show_shares` draws."""
    styles = {
        "positive": {"color": POSITIVE["edgecolor"]},
        "ignored": hatched(IGNORED),
        "hard negative": hatched(NEGATIVE),
        "easy negative": {"color": "#BDBDBD"},
        "negative": {"color": "#BDBDBD"},
        "the hundred hardest": hatched(ANCHOR),
        "all others": {"color": "#BDBDBD"},
    }
    for row, (name, parts) in enumerate(shares.items()):
        left = 0.0
        for part, share in parts.items():
            label = part if row == 0 else None
            ax.barh(name, share, left=left, label=label, **styles[part])
            left += share
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel=unit, title=title)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))


def show_gradients(sizes: dict[str, float], title: str) -> None:
    """The length of the gradient in each part of the model, on a logarithmic axis."""
    _, ax = plt.subplots(figsize=(8, 0.9 + 0.28 * len(sizes)), layout="constrained")
    add_dots(ax, sizes, OBJECT["edgecolor"])
    ax.set(xlabel="length of the gradient", title=title)


def add_dots(ax: Axes, values: dict[str, float], colour: str) -> None:
    """Numbers as dots on a logarithmic axis, where the length of a bar would mean nothing."""
    ax.set(xscale="log")
    ax.plot([value or np.nan for value in values.values()], list(values), "o", color=colour)
    ax.grid(linewidth=0.4)
    ax.set_axisbelow(True)
    ax.set(ylim=(len(values) - 0.5, -0.5))


def add_counts(ax: Axes, counts: dict[str, int], limits: tuple[float, float]) -> None:
    """Whole numbers as such dots, each with its number beside it; for 0 there is no dot."""
    add_dots(ax, counts, DETECTION["edgecolor"])
    ax.set(xlim=limits)
    for name, count in counts.items():
        ax.annotate(
            f"{count:,}",
            (max(count, limits[0]), name),
            (7, 0),
            textcoords="offset points",
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
