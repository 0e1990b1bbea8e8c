"""Labels of boxes: beside their box, over no other label, and where they hide least of the boxes.

A label that finds no room is left out, and the figure says how many are.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from torch import Tensor

SIZE = 8  # of the letters, in points
PAD = 1.5  # of colour around them
APART = 2.0  # between a box and its label


def add_labels(
    ax: Axes, boxes: Tensor, texts: Sequence[str], paper: str, ink: str = "black"
) -> None:
    """A label for each box [n, 4] of a panel, `ink` on `paper`; the last chooses its place first.

    All boxes that the panel shows already are kept free as far as there is room.
    """
    figure = ax.figure
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    ax.apply_aspect()  # now the panel has its size
    point = figure.dpi / 72
    frame = np.array(ax.get_window_extent().extents)
    drawn = [patch.get_bbox().extents for patch in ax.patches if isinstance(patch, Rectangle)]
    drawn = in_frame(ax, np.array(drawn).reshape(-1, 4), frame)
    taken = np.zeros((0, 4))
    left_out = 0
    for box, text in reversed(list(zip(in_frame(ax, boxes.numpy(), frame), texts, strict=True))):
        if not (box[2:] > box[:2]).all():
            continue  # its box isn't in the picture
        size = size_in_points(text) * point
        places, rows, cost = places_around(box, size, APART * point)
        inside = (places[:, :2] >= frame[:2]) & (places[:, 2:] <= frame[2:])
        free = inside.all(axis=1) & (overlaps(places, taken) == 0).all(axis=1)
        if not free.any():
            left_out += 1
            continue
        area = (drawn[:, 2:] - drawn[:, :2]).prod(axis=1).clip(1)
        hidden = (overlaps(places, drawn) / area) ** 1.5  # rather bits of many than half of one
        near = overlaps(places, drawn + 0.5 * APART * point * np.array([-1, -1, 1, 1])) > 0
        cost = cost + (hidden + 0.02 * near).sum(axis=1)  # near another box, it may seem to be its
        best = np.where(free, cost, np.inf).argmin()
        place = places[best]
        taken = np.vstack([taken, place])
        to_data = ax.transData.inverted().transform
        if rows[best]:
            start = np.clip(place.reshape(2, 2).mean(axis=0), box[:2], box[2:])
            end = np.clip(start, place[:2], place[2:])
            ax.add_artist(Line2D(*to_data([start, end]).T, color=paper, linewidth=1))
        write(ax, to_data(place[:2] + PAD * point), text, paper, ink)
    if left_out:
        words = f"{left_out} more label{'s' if left_out > 1 else ''} left out"
        write(ax, ax.transData.inverted().transform(frame[:2] + 2 * PAD * point), words, "white")


def write(ax: Axes, at: np.ndarray, text: str, paper: str, ink: str = "black") -> None:
    around = {"facecolor": paper, "edgecolor": "none", "pad": PAD}
    ax.text(*at, text, color=ink, fontsize=SIZE, va="bottom", clip_on=True, bbox=around)


def size_in_points(text: str) -> np.ndarray:
    """Width and height of a label."""
    font = FontProperties(size=SIZE)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    _, height, _ = text_to_path.get_text_width_height_descent("lp", font, False)
    return np.array([width, height]) + 2 * PAD


def in_frame(ax: Axes, boxes: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """What can be seen of boxes [n, 4]: left, bottom, right and top on the screen."""
    corners = ax.transData.transform(boxes.reshape(-1, 2)).reshape(-1, 2, 2)
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.hstack([low.clip(frame[:2], frame[2:]), high.clip(frame[:2], frame[2:])])


def places_around(
    box: np.ndarray, size: np.ndarray, apart: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a label may stand, the usual place first.

    Of each place the corners, how many rows it is away from the box, and how bad that is.
    """
    (x1, y1, x2, y2), (width, height) = box, size
    corners, rows, cost = [], [], []
    for row in range(7):
        up, down = y2 + apart + row * height, y1 - apart - (row + 1) * height
        right, left = x2 + apart + row * height, x1 - apart - width - row * height
        corners += [(x, y) for y in (up, down) for x in (x1, x2 - width)]
        corners += [(x, y) for x in (right, left) for y in (y2 - height, y1)]
        rows += [row] * 8
        cost += [0.05 * row + 0.005 * i for i in range(8)]
    corners += [(x, y) for y in (y2 - height, y1) for x in (x1, x2 - width)]  # in the box
    rows += [0] * 4
    cost += [0.01] * 4
    places = np.array(corners)
    return np.hstack([places, places + size]), np.array(rows), np.array(cost)


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The area [n, m] that n boxes have in common with m others."""
    low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
    return (high - low).clip(0).prod(axis=2)
