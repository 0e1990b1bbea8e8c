"""Explorers of notebooks 04, 05 and 09: anchors, matching, and the deltas that move a box."""

import matplotlib.pyplot as plt
import torch
from ipywidgets import VBox
from torch import Tensor
from torchvision.ops import box_iou

from ...data.drawing import CLASSES, Scene
from ...model.anchors import Anchors
from ...model.boxes import BBoxTransform
from ...model.matching import IGNORED, match_anchors
from ..detection_figures import show_decoding, zoom
from ..figures import (
    CELL,
    OBJECT,
    add_boxes,
    add_level_bars,
    add_matches,
    frame,
    show_anchors,
    show_image,
)
from .widget import choice, explore, panels, slider

LEVELS = [(f"P{level}", level) for level in range(3, 8)]


def show_anchors_at(
    scene: Scene,
    x: int,
    y: int,
    level: int = 5,
    size: float = 4.0,
    scales: int = 3,
    ratio: float = 2.0,
    offset: float = 0.5,
) -> str:
    """The anchors of the cell that holds a point, and how well they fit the object there.

    Args:
        x, y: the point in pixels. The smallest object around it counts; without one, the object
            that the anchors fit best.
        scales: how many, between 1 and 2. ratio: 1 gives squares only, r gives 1/r, 1 and r.
        offset: where in its cell an anchor's centre stands: 0 is the upper left corner, 0.5 the
            middle.
    """
    ratios = sorted({1 / ratio, 1.0, ratio})
    made = Anchors((level,), ratios, [2 ** (i / scales) for i in range(scales)], size)
    stride = made.strides[0]
    column, row = x // stride, y // stride
    anchors = made.shapes[0] + torch.tensor([column + offset, row + offset]).repeat(2) * stride

    iou = box_iou(anchors, scene.boxes)  # [A, M]
    left, top, right, bottom = scene.boxes.unbind(dim=1)
    under = (left <= x) & (x < right) & (top <= y) & (y < bottom)
    area = (right - left) * (bottom - top)
    number = area.where(under, torch.inf).argmin() if under.any() else iou.amax(dim=0).argmax()
    fit, best = iou[:, number].max(dim=0)
    width, height = (anchors[best, 2:] - anchors[best, :2]).tolist()
    name = CLASSES[scene.labels[number]]

    title = f"Which anchors has this cell of P{level}?"
    show_anchors(scene.image, anchors, title, scene.boxes[number] if fit > 0 else None)
    cell = torch.tensor([[column, row, column + 1, row + 1]]) * stride
    add_boxes(plt.gca(), cell, CELL)
    plt.plot(x, y, "kx", markersize=7, markeredgewidth=1.5)
    counted = "1 anchor" if len(anchors) == 1 else f"{len(anchors)} anchors"
    said = f"Cell ({row}, {column}) of P{level}, {stride} pixels wide, has {counted}. "
    if fit == 0:
        return said + "No object is near: every IoU is 0."
    where = f"The {name} is here" if under.any() else f"No object is here; the {name} fits best"
    return (
        f"{said}{where}: with an anchor of {width:.0f}×{height:.0f} pixels the IoU is {fit:.2f}, "
        f"{'enough' if fit >= 0.5 else 'not enough'} to learn from (0.5)."
    )


def explore_anchors(scene: Scene) -> VBox:
    """Anchors of any cell, level, size, scales, ratios and offset over a scene.

    It starts on the middle of the scene's first object.
    """
    height, width = scene.image.shape[-2:]
    x, y = ((scene.boxes[0, :2] + scene.boxes[0, 2:]) / 2).tolist()
    return explore(
        lambda **values: show_anchors_at(scene, **values),
        x=slider("x of the point, pixels", round(x), 0, width - 1),
        y=slider("y of the point, pixels", round(y), 0, height - 1),
        level=choice("level", LEVELS, 5),
        size=slider("base size, strides", 4.0, 1.0, 8.0, 0.5),
        scales=slider("scales an octave", 3, 1, 5),
        ratio=slider("ratio, height to width", 2.0, 1.0, 5.0, 0.25),
        offset=slider("offset in the cell", 0.5, 0.0, 1.0, 0.25),
    )


def show_matching_of(
    scene: Scene,
    x: tuple[int, int],
    y: tuple[int, int],
    thresholds: tuple[float, float] = (0.4, 0.5),
) -> str:
    """Which anchors learn an object from x[0], y[0] to x[1], y[1], and what the best one learns.

    Args:
        thresholds: an anchor with an IoU under the first is negative, from the second on positive,
            and in between ignored.
    """
    box = torch.tensor([x[0], y[0], max(x[1], x[0] + 1), max(y[1], y[0] + 1)]).float()
    maker = Anchors()
    anchors = maker(scene.image)
    counts = maker.level_counts(*scene.image.shape[-2:])
    negative, positive = thresholds
    matches = match_anchors(anchors, box[None], positive, negative)
    fit, best = box_iou(anchors, box[None])[:, 0].max(dim=0)
    targets = BBoxTransform().encode(anchors[best], box)

    ax, bars, learned = panels(10, 4.2, 2.2, 1, 1)
    show_image(scene.image, "Which anchors learn the object?", ax)
    add_matches(ax, anchors, matches)
    add_boxes(ax, box[None], OBJECT | {"zorder": 3})
    add_boxes(ax, anchors[best][None], CELL | {"linestyle": "--", "zorder": 3})
    frame(ax, scene.image, torch.stack([box, anchors[best]]))
    add_level_bars(bars, matches, counts)
    add_targets(learned, targets)
    level = torch.tensor(counts).cumsum(0).gt(best).int().argmax().item() + 3
    numbers = [(matches >= 0).sum().item(), (matches == IGNORED).sum().item()]
    return (
        f"An object of {box[2] - box[0]:.0f}×{box[3] - box[1]:.0f} pixels. Anchors: "
        f"{numbers[0]:,} positive, {numbers[1]:,} ignored, {len(anchors) - sum(numbers):,} "
        f"negative. The best "
        f"(dashed) is on P{level}, with an IoU of {fit:.2f}."
    )


def add_targets(ax: plt.Axes, targets: Tensor) -> None:
    """The four numbers that an anchor has to learn, as bars."""
    ends = ax.barh(["tx", "ty", "tw", "th"], targets.tolist(), color=OBJECT["edgecolor"])
    ax.bar_label(ends, [f"{round(value, 1) + 0.0:+.1f}" for value in targets.tolist()], padding=3)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.invert_yaxis()
    reach = max(5.0, 2 * targets.abs().max().item())
    ax.set(xlim=(-reach, reach), title="targets of the best", xlabel="delta")


def explore_matching(scene: Scene, number: int = 0) -> VBox:
    """Move an object's edges and the two thresholds, and see which anchors learn it."""
    height, width = scene.image.shape[-2:]
    x1, y1, x2, y2 = (round(edge) for edge in scene.boxes[number].tolist())
    return explore(
        lambda **values: show_matching_of(scene, **values),
        x=slider("left and right, pixels", (x1, x2), 0, width),
        y=slider("top and bottom, pixels", (y1, y2), 0, height),
        thresholds=slider("thresholds, IoU", (0.4, 0.5), 0.0, 1.0, 0.05),
    )


def show_deltas(
    scene: Scene,
    anchor: Tensor,
    tx: float = 0.0,
    ty: float = 0.0,
    tw: float = 0.0,
    th: float = 0.0,
    number: int = 0,
) -> str:
    """The box that four deltas make of an anchor [4], beside one of the scene's objects."""
    transform = BBoxTransform()
    box = scene.boxes[number]
    decoded = transform.decode(anchor, torch.tensor([tx, ty, tw, th]))
    show_decoding(scene.image, anchor, decoded, box, "Which box do the deltas make?")
    zoom(plt.gca(), [anchor, box], margin=1.2)
    std = transform.std.tolist()
    width, height = (anchor[2:] - anchor[:2]).tolist()
    size = torch.exp(torch.tensor([std[2] * tw, std[3] * th])).tolist()
    iou = box_iou(decoded[None], box[None]).item()
    return (
        f"The centre moves by {std[0]:.1f} · tx · {width:.0f} = {std[0] * tx * width:+.0f} pixels "
        f"across and {std[1]:.1f} · ty · {height:.0f} = {std[1] * ty * height:+.0f} down. The "
        f"width is multiplied by exp({std[2]:.1f} · tw) = {size[0]:.2f}, the height by "
        f"exp({std[3]:.1f} · th) = {size[1]:.2f}. "
        f"IoU with the {CLASSES[scene.labels[number]]}: {iou:.2f}."
    )


def explore_deltas(scene: Scene, anchor: Tensor, number: int = 0) -> VBox:
    """Four sliders that move the box decoded from an anchor [4]."""
    return explore(
        lambda **values: show_deltas(scene, anchor, number=number, **values),
        tx=slider("tx, to the right", 0.0, -5.0, 5.0, 0.1),
        ty=slider("ty, down", 0.0, -5.0, 5.0, 0.1),
        tw=slider("tw, wider", 0.0, -4.0, 4.0, 0.1),
        th=slider("th, taller", 0.0, -4.0, 4.0, 0.1),
    )
