"""Figures of notebooks 09 and 10: detections, and how good they are.

As in figures.py, each answers one question, draws into pyplot's current figure, returns nothing.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from torch import Tensor
from torchvision.ops import box_iou

from ..data.drawing import CLASSES
from ..evaluation.average_precision import RECALLS, PrecisionRecall
from .figures import (
    ANCHOR,
    CELL,
    DETECTION,
    IGNORED,
    OBJECT,
    POSITIVE,
    add_boxes,
    add_counts,
    show_image,
    shrink,
)

# curves that are told apart without colour, too
LINES = (
    {"color": OBJECT["edgecolor"], "linestyle": "-"},
    {"color": ANCHOR["edgecolor"], "linestyle": "--"},
    {"color": POSITIVE["edgecolor"], "linestyle": "-."},
    {"color": DETECTION["edgecolor"], "linestyle": ":"},
    {"color": CELL["edgecolor"], "linestyle": (0, (5, 1, 1, 1, 1, 1))},
)


def show_probabilities(p: Tensor, title: str, classes: Sequence[str] = CLASSES) -> None:
    """The probability [K] that one anchor gives each class."""
    _, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
    ax.bar(classes, p, color=DETECTION["edgecolor"])
    ax.tick_params(axis="x", labelrotation=60)
    ax.set(title=title, ylabel="probability", ylim=(0, 1))


def show_decoding(image: Tensor, anchor: Tensor, decoded: Tensor, box: Tensor, title: str) -> None:
    """An anchor [4], the box [4] that the deltas make of it, and the object's true box [4]."""
    ax = show_image(image, title)
    for edges, style, name in (
        (anchor, ANCHOR, "anchor"),
        (box, OBJECT, "object"),
        (decoded, DETECTION | {"linestyle": "-."}, "decoded"),
    ):
        add_boxes(ax, edges[None], style)
        ax.plot([], [], color=style["edgecolor"], linestyle=style["linestyle"], label=name)
    zoom(ax, [anchor, decoded, box], margin=0.25)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))


def zoom(ax: plt.Axes, boxes: Sequence[Tensor], margin: float) -> None:
    """Show the square around some boxes, and `margin` of the longer side more."""
    low = np.min([box[:2].tolist() for box in boxes], axis=0)
    high = np.max([box[2:].tolist() for box in boxes], axis=0)
    x, y = (low + high) / 2
    half = (0.5 + margin) * max(high - low)
    ax.set(xlim=(x - half, x + half), ylim=(y + half, y - half))


def show_above(scores: Tensor, threshold: float, title: str) -> None:
    """How many entries have a score above each threshold, on logarithmic axes."""
    _, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    at = np.append(np.geomspace(1e-4, 0.9, 60), [0.95, 0.99])
    ax.plot(at, [(scores > value).sum().item() for value in at], color=OBJECT["edgecolor"])
    ax.axvline(threshold, color="black", linestyle="--", label=f"threshold {threshold:g}")
    ax.set(title=title, xlabel="score", ylabel="entries above it", xscale="log", yscale="log")
    ax.grid(linewidth=0.4)
    ax.legend()


def show_suppression(image: Tensor, boxes: Tensor, kept: Sequence[int], title: str) -> None:
    """Boxes [n, 4] before NMS, and those that stay, around the place where they are."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", sharey=True)
    figure.suptitle(title)
    for ax, shown, name in zip(axes, (boxes, boxes[list(kept)]), ("before", "after"), strict=True):
        show_image(image, f"{name}: {len(shown)}", ax)
        add_boxes(ax, shown, DETECTION | {"linewidth": 1.0 if name == "before" else 2.0})
        zoom(ax, list(boxes), margin=0.2)
    axes[1].set_ylabel("")


def show_stages(counts: Mapping[str, int], title: str, limit: float = 2e7) -> None:
    """How many are left after each stage, on a logarithmic axis."""
    _, ax = plt.subplots(figsize=(8, 0.9 + 0.35 * len(counts)), layout="constrained")
    add_counts(ax, counts, (1, limit))
    ax.set(xlabel="how many", title=title)


def show_average_precision(curve: PrecisionRecall, title: str) -> None:
    """Precision against recall, its envelope, and the 101 recalls whose mean is the AP."""
    _, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    rows = np.searchsorted(curve.recall, RECALLS)
    heights = np.append(curve.envelope, 0.0)[rows]
    ax.vlines(RECALLS, 0, heights, color="#BDBDBD", linewidth=1)
    ax.plot(RECALLS, heights, ".", markersize=4, color=POSITIVE["edgecolor"], label="101 recalls")
    ax.plot(curve.recall, curve.precision, **LINES[1], label="precision")
    ax.step(*outline(curve), **LINES[0], where="pre", label="envelope")
    ax.set(title=title, xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.05))
    ax.legend(loc="lower left")


def outline(curve: PrecisionRecall) -> tuple[np.ndarray, np.ndarray]:
    """The envelope as a line from recall 0 on, down to 0 where the detections end."""
    recall, first = np.unique(curve.recall, return_index=True)
    height = curve.envelope[first]
    return np.concatenate([[0.0], recall, recall[-1:]]), np.concatenate([height[:1], height, [0.0]])


def show_curves(curves: Mapping[str, PrecisionRecall], title: str) -> None:
    """The envelopes of several classes."""
    _, ax = plt.subplots(figsize=(7.4, 3.8), layout="constrained")
    for (name, curve), line in zip(curves.items(), LINES, strict=False):
        label = f"{name}, AP {curve.average_precision:.2f}"
        ax.step(*outline(curve), **line, where="pre", linewidth=1.8, label=label)
    ax.set(title=title, xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.05))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))


def show_lines(
    x: Sequence[float], lines: Mapping[str, Sequence[float]], title: str, xlabel: str, ylabel: str
) -> None:
    """A few numbers from 0 to 1 as they change along x."""
    _, ax = plt.subplots(figsize=(6.8, 3.4), layout="constrained")
    for (name, y), line in zip(lines.items(), LINES, strict=False):
        ax.plot(x, y, **line, label=name)
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel, ylim=(0, 1.05))
    ax.grid(linewidth=0.4)
    ax.legend()


def show_numbers(values: Mapping[str, float], title: str) -> None:
    """COCO's numbers, from 0 to 1, as bars, each with its name and value."""
    _, ax = plt.subplots(figsize=(6.4, 0.9 + 0.24 * len(values)), layout="constrained")
    bars = ax.barh(list(values), list(values.values()), color=OBJECT["edgecolor"])
    ax.bar_label(bars, fmt="%.3f", padding=3, fontsize=8)
    ax.invert_yaxis()
    ax.set(xlim=(0, 1.12), xlabel="average precision (AP) or recall (AR)", title=title)


def show_kinds(counts: Mapping[str, Mapping[str, int]], title: str) -> None:
    """How many are of each kind, one panel each for detections and objects."""
    figure, axes = plt.subplots(1, len(counts), figsize=(9, 2.4), layout="constrained")
    figure.suptitle(title)
    for ax, (name, kinds) in zip(axes, counts.items(), strict=True):
        right = {"color": POSITIVE["edgecolor"]}
        wrong = {"facecolor": "white", "edgecolor": IGNORED["edgecolor"], "hatch": "///"}
        for kind, count in kinds.items():
            bar = ax.barh(kind, count, **(right if kind == "correct" else wrong))
            ax.bar_label(bar, padding=3)
        ax.invert_yaxis()
        ax.set(xlabel=name, xlim=(0, 1.15 * max(kinds.values())))


def show_worst(
    items: Sequence[tuple[Tensor, dict]],
    detections: Sequence[dict[str, Tensor]],
    kinds: Sequence[Sequence[str | None]],
    fates: Sequence[Sequence[str]],
    classes: Sequence[str] = CLASSES,
) -> None:
    """The wrong class and the bad place with the highest scores, and an object that is missed.

    Args:
        items: (image, target) of each image.
        kinds, fates: what became of every detection and every object, see `errors.SortedErrors`.
    """
    cases = []  # title, image, detection or nothing, object
    for kind in ("wrong class", "badly placed"):
        of_kind = [
            (detections[i]["scores"][row].item(), i, row)
            for i, image_kinds in enumerate(kinds)
            for row in range(len(image_kinds))
            if image_kinds[row] == kind
        ]
        if of_kind:
            score, i, row = max(of_kind)
            image, target = items[i]
            box, label = detections[i]["boxes"][row], detections[i]["labels"][row]
            overlaps = box_iou(box[None], target["boxes"])[0]
            own = target["labels"] == label
            nearest = (overlaps * (~own if kind == "wrong class" else own)).argmax()
            wanted = classes[target["labels"][nearest]]
            title = f"{kind}\nsays {classes[label]}, {score:.2f}; is a {wanted}"
            cases.append((title, image, box, target["boxes"][nearest]))
    missed = [
        (i, row) for i, of in enumerate(fates) for row in range(len(of)) if of[row] == "missed"
    ]
    if missed:
        i, row = missed[0]
        image, target = items[i]
        title = f"missed\nis a {classes[target['labels'][row]]}"
        cases.append((title, image, None, target["boxes"][row]))

    figure, axes = plt.subplots(
        1, len(cases), figsize=(3.0 * len(cases), 3.8), layout="constrained", squeeze=False
    )
    figure.suptitle("Which errors is it surest of, and what does it miss?")
    for ax, (title, image, found, wanted) in zip(axes[0], cases, strict=True):
        shrink(show_image(image, title, ax))
        add_boxes(ax, wanted[None], OBJECT)
        if found is not None:
            add_boxes(ax, found[None], DETECTION | {"linestyle": "--"})
        zoom(ax, [wanted] if found is None else [wanted, found], margin=0.35)
