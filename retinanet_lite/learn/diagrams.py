"""Diagrams: how the data flows through the detector. Used by the notebooks and the documents.

Like the figures, a function draws into pyplot's current figure and returns nothing. The figure's
label says in words what it shows, for those who can't see it.
"""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from .figures import LEVELS, OBJECT

PALE = "#ECEFF1"
DARK = "#455A64"
ARROW = {"arrowstyle": "-|>", "color": DARK, "shrinkA": 0, "shrinkB": 0}

NAMES = ("P3", "P4", "P5", "P6", "P7")
# what each part is called, what it gives, and where it stands on the map
PARTS = {
    "image": ("[B, 3, H, W]", 1.0, 3.9),
    "backbone": ("C3 … C5", 3.0, 3.9),
    "pyramid": ("P3 … P7", 5.0, 3.9),
    "heads": ("logits, deltas", 7.0, 3.9),
    "anchors": ("N boxes", 5.0, 2.5),
    "matching": ("targets", 7.0, 2.5),
    "loss": ("two numbers", 9.0, 3.2),
}
FLOW = (
    ("image", "backbone"),
    ("backbone", "pyramid"),
    ("pyramid", "heads"),
    ("heads", "loss"),
    ("anchors", "matching"),
    ("matching", "loss"),
    ("training", "detection"),
    ("detection", "evaluation"),
    ("evaluation", "your data"),
)
# what is done with the detector, which is all of the parts
USES = {
    "training": ("weights", 3.0, 0.85),
    "detection": ("boxes", 5.0, 0.85),
    "evaluation": ("AP", 7.0, 0.85),
    "your data": ("your detector", 9.0, 0.85),
}
PLACES = ("image", "backbone", "pyramid", "heads", "anchors", "matching", "loss", "detector", *USES)


def show_map(here: str | None = None) -> None:
    """The notebooks: the detector's parts above, what is done with it below, and "you are here".

    Arrows show what is made of what: anchors of nothing but the image's size, targets of anchors
    and the image's objects.
    """
    if here not in (None, *PLACES):
        raise ValueError(f"here must be one of {PLACES}; got {here!r}")
    place = f"; you are at {here}" if here else ""
    ax = diagram(
        f"The map of the notebooks. The parts of the detector: {', '.join(PARTS)}. What is done "
        f"with it: {', '.join(USES)}{place}.",
        (7.6, 3.2),
        (10.3, 4.6),
    )
    frame = FancyBboxPatch((2.0, 1.55), 8.0, 2.95, boxstyle="round,pad=0.05")
    frame.set(facecolor="none", edgecolor=DARK, linewidth=1.2)
    if here == "detector":
        frame.set(edgecolor=OBJECT["edgecolor"], linewidth=2.5)
    ax.add_patch(frame)
    ax.text(9.9, 4.3, "detector", ha="right", va="center", fontsize=9, color=DARK)
    arrow(ax, (3.0, 1.5), (3.0, 1.2))
    ax.plot([1.0, 1.0], [3.25, 1.75], color=DARK, linewidth=1)
    arrow(ax, (1.0, 2.5), (4.3, 2.5))
    ax.plot([1.0, 6.5], [1.75, 1.75], color=DARK, linewidth=1)
    arrow(ax, (6.5, 1.75), (6.5, 2.2))
    ax.text(1.1, 2.62, "its size", fontsize=8, color=DARK)
    ax.text(1.1, 1.87, "its objects", fontsize=8, color=DARK)
    places = PARTS | USES
    for start, end in FLOW:
        (_, x, y), (_, to_x, to_y) = places[start], places[end]
        arrow(ax, (x + 0.7, y), (to_x - 0.7, to_y))
    for name, (gives, x, y) in places.items():
        box(ax, x, y, 1.4, 0.6, name, OBJECT["edgecolor"] if name == here else PALE)
        ax.text(x, y - 0.45, gives, ha="center", va="center", fontsize=8, color=DARK)
    if here:
        _, x, y = places.get(here, ("", 9.0, 1.6))
        ax.text(x, y + 0.42, "you are here", ha="center", va="center", fontsize=8)


def show_model() -> None:
    """From the image to the rows of all anchors, and to losses or detections."""
    ax = diagram(
        "A batch of images becomes C3 to C5 in the backbone. In the pyramid they become the sums "
        "M3 to M5, each of the coarser sum and its own C, and these P3 to P5; P6 is made of C5, P7 "
        "of P6. Then come logits and deltas of 99,765 anchors in the two heads, and from these and "
        "the anchors two losses or detections.",
        (11.1, 4.6),
        (15.05, 6.2),
    )
    box(ax, 0.95, 4.9, 1.7, 0.8, "images\n[2, 3, 640, 832]")
    maps = ("C3\n[2, 512, 80, 104]", "C4\n[2, 1024, 40, 52]", "C5\n[2, 2048, 20, 26]")
    sizes = ("80, 104", "40, 52", "20, 26", "10, 13", "5, 7")
    height = [4.9, 3.85, 2.8, 1.75, 0.7]
    for y, text, merged in zip(height, maps, ("M3", "M4", "M5"), strict=False):
        box(ax, 3.5, y, 1.9, 0.8, text)
        box(ax, 5.25, y, 0.6, 0.6, merged, "#FFFFFF")
        arrow(ax, (4.45, y), (4.95, y))
        arrow(ax, (5.55, y), (6.1, y))
    for y, name, size, colour in zip(height, NAMES, sizes, LEVELS, strict=True):
        box(ax, 7.05, y, 1.9, 0.8, f"{name}\n[2, 256, {size}]", colour)
        ax.plot([8.0, 8.45], [y, y], color=DARK, linewidth=1)
    arrow(ax, (1.8, 4.9), (2.55, 4.9))
    for above, below in zip(height[:2], height[1:3], strict=True):
        arrow(ax, (3.5, above - 0.4), (3.5, below + 0.4))
        arrow(ax, (5.25, below + 0.3), (5.25, above - 0.3))
        ax.text(5.45, (above + below) / 2, "+", ha="center", va="center", fontsize=11)
    arrow(ax, (4.2, 2.4), (6.1, 1.75))
    arrow(ax, (7.05, 1.35), (7.05, 1.1))
    ax.plot([8.45, 8.45], [height[-1], height[0]], color=DARK, linewidth=1)
    for y, name, rows in (
        (4.4, "classification\nhead", "[2, 99765, 20]\nlogits"),
        (2.8, "regression\nhead", "[2, 99765, 4]\ndeltas"),
    ):
        arrow(ax, (8.45, y), (8.85, y))
        box(ax, 9.6, y, 1.5, 0.8, name)
        arrow(ax, (10.35, y), (10.75, y))
        box(ax, 11.5, y, 1.5, 0.8, rows, "#FFFFFF")
        ax.plot([12.25, 12.65], [y, y], color=DARK, linewidth=1)
    box(ax, 11.5, 1.2, 1.5, 0.8, "[99765, 4]\nanchors", "#FFFFFF")
    ax.plot([12.25, 12.65], [1.2, 1.2], color=DARK, linewidth=1)
    ax.plot([12.65, 12.65], [1.2, 4.4], color=DARK, linewidth=1)
    arrow(ax, (12.65, 3.6), (13.05, 3.6))
    box(ax, 14.0, 3.6, 1.85, 0.9, "two losses\n(with annotations)")
    arrow(ax, (12.65, 2.0), (13.05, 2.0))
    box(ax, 14.0, 2.0, 1.85, 0.9, "detections\n(without)")
    for x, text in (
        (0.95, "batch"),
        (3.5, "backbone"),
        (6.4, "pyramid"),
        (9.6, "heads"),
        (11.5, "one row an anchor"),
        (14.0, "what you asked for"),
    ):
        ax.text(x, 5.8, text, ha="center", va="center", fontsize=10, fontweight="bold")


def show_pyramid() -> None:
    """Lateral, top-down and output convolutions; P6 and P7."""
    ax = diagram(
        "C3, C4 and C5 each pass a lateral 1×1 convolution. From C5 down, the result is enlarged "
        "and added to the next finer one. A 3×3 convolution of each sum gives P3, P4 and P5. P6 "
        "comes from C5 by a 3×3 convolution with stride 2, P7 from P6 by ReLU and another.",
        (9.5, 4.8),
        (12, 6.2),
    )
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
    for y, name, size, colour in zip(height, NAMES, sizes, LEVELS, strict=True):
        box(ax, 10.1, y, 1.8, 0.75, f"{name}\n256 · {size}", colour)
    ax.plot([1.2, 1.2, 1.3], [height[2] - 0.375, height[3], height[3]], color=DARK, linewidth=1)
    arrow(ax, (1.25, height[3]), (9.2, height[3]), "3×3, stride 2")
    arrow(ax, (10.1, height[3] - 0.375), (10.1, height[4] + 0.375), "ReLU, 3×3, stride 2")
    for x, text in ((1.2, "backbone"), (5.75, "merged"), (10.1, "pyramid")):
        ax.text(x, 5.85, text, ha="center", va="center", fontsize=10, fontweight="bold")


def diagram(words: str, inches: tuple[float, float], reach: tuple[float, float]) -> Axes:
    """Empty axes, `inches` large, whose coordinates go from 0 to `reach`."""
    figure, ax = plt.subplots(figsize=inches, layout="constrained")
    figure.set_label(words)
    ax.set(xlim=(0, reach[0]), ylim=(0, reach[1]))
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
    dark = colour in LEVELS[:3] or colour == OBJECT["edgecolor"]
    ax.text(x, y, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "") -> None:
    ax.annotate("", end, start, arrowprops=ARROW)
    if text:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        if start[0] == end[0]:  # beside a vertical arrow, above a level one
            ax.text(x + 0.08, y, text, ha="left", va="center", fontsize=8, color=DARK)
        else:
            ax.text(x, y + 0.06, text, ha="center", va="bottom", fontsize=8, color=DARK)
