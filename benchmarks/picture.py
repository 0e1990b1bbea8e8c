"""The benchmark's rows as a picture: all ratios, and how time grows with the images."""

from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

OURS, THEIRS = "#0072B2", "#D55E00"
GROWING = {"training": "training step", "inference": "inference"}


def draw(rows: list[dict], path: Path) -> None:
    """Ratios as bars; beside them, where several shapes were measured, seconds per image."""
    lines = growth(rows)
    height = max(0.3 * len(rows) + 1.2, 2.8 * -(-len(lines) // 2))
    figure = plt.figure(figsize=(15 if lines else 8, height), layout="constrained")
    if not lines:
        draw_ratios(figure.subplots(), rows)
    else:
        left, right = figure.subfigures(1, 2, width_ratios=[1, 1])
        draw_ratios(left.subplots(), rows)
        panels = right.subplots(-(-len(lines) // 2), 2, squeeze=False).flatten()
        for ax, line in zip(panels, lines, strict=False):
            draw_line(ax, *line)
        for ax in panels[len(lines) :]:
            ax.set_axis_off()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_ratios(ax: Axes, rows: list[dict]) -> None:
    """To the left of the line we are ahead."""
    ratios = [row["ratio"] for row in rows]
    ax.barh(range(len(rows)), ratios, color=OURS)
    ax.set_yticks(range(len(rows)), [row["name"] for row in rows])
    ax.invert_yaxis()
    ax.margins(y=0.01)
    for y, ratio in enumerate(ratios):
        ax.text(1.01, y, f"{ratio:.2f}", va="center", transform=ax.get_yaxis_transform())
    ax.axvline(1, color="black", linewidth=0.8)
    ax.set(xlabel="ours ÷ torchvision's, less is better", xlim=(0, max([1.1, *ratios])))


def growth(rows: list[dict]) -> list[tuple[str, str, list[tuple[float, dict]]]]:
    """Title, label of the x axis, and (x, row) of each line that has two points or more."""
    lines = []
    for group, title in GROWING.items():
        mine = [row for row in rows if row["group"] == group]
        if not mine:
            continue
        batch_size = most_frequent(row["shape"][0] for row in mine)
        points = [
            (h * w / 1e6, row) for row in mine for b, h, w in [row["shape"]] if b == batch_size
        ]
        images = "one image" if batch_size == 1 else f"batches of {batch_size}"
        lines.append((f"{title}, {images}", "million pixels an image", points))
        size = most_frequent(tuple(row["shape"][1:]) for row in mine)
        points = [(row["shape"][0], row) for row in mine if tuple(row["shape"][1:]) == size]
        lines.append((f"{title}, {size[0]}×{size[1]}", "images in a batch", points))
    return [line for line in lines if len(line[2]) > 1]


def most_frequent(values):
    return Counter(values).most_common(1)[0][0]


def draw_line(ax: Axes, title: str, xlabel: str, points: list[tuple[float, dict]]) -> None:
    points = sorted(points, key=lambda point: point[0])
    xs, rows = zip(*points, strict=True)
    for whose, name, color in (("ours", "ours", OURS), ("theirs", "torchvision's", THEIRS)):
        seconds = [row[whose] / row["shape"][0] for row in rows]
        ax.plot(xs, seconds, marker="o", label=name, color=color)
    ax.set(title=title, xlabel=xlabel, ylabel="seconds an image")
    ax.set_xlim(0, 1.05 * ax.dataLim.x1)
    ax.set_ylim(0, 1.05 * ax.dataLim.y1)
    if all(isinstance(x, int) for x in xs):
        ax.set_xticks(xs)
    else:
        ax.locator_params(axis="x", nbins=5)
    ax.grid(alpha=0.3)
    ax.legend(loc="lower right")
