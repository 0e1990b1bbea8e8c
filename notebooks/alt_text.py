"""What a figure shows, in words, for those who can't see it.

While rebuild.py runs a notebook, every figure is stored with such a text beside it, as the field
`alt` of its metadata; the site reads it from there.
"""

import re
from collections.abc import Callable, Iterable

from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

MOST = 20  # texts of one kind; a hundred labels help nobody


def describe(figure: Figure) -> str:
    """A figure's own label where it has one; else its titles, axes, legends and texts."""
    parts = [figure.get_label()]
    if not parts[0]:
        parts = [figure.get_suptitle()]
        for axes in figure.axes:
            parts += describe_panel(axes)
    plain = [" ".join(re.sub(r"[$\\]", "", part).split()) for part in parts]
    return " ".join(
        part if part.endswith(("?", ".", "…")) else f"{part}." for part in plain if part
    )


def describe_panel(axes: Axes) -> list[str]:
    measured = []
    if axes.axison:
        upright = "down" if axes.yaxis_inverted() else "up"  # an image's rows count down
        labels = {"across": axes.get_xlabel(), upright: axes.get_ylabel()}
        measured = [f"{label} ({way})" for way, label in labels.items() if label]
    return [
        axes.get_title(),
        listed("Axes", measured),
        listed("Shown", dict.fromkeys(axes.get_legend_handles_labels()[1])),
        listed("Columns", names_along(axes.xaxis)),
        listed("Rows", names_along(axes.yaxis)),
        listed("Labels", [text.get_text() for text in axes.texts]),
    ]


def names_along(axis: Axis) -> list[str]:
    """What stands at the ticks, where that is names and not numbers or powers."""
    names = [tick.get_text() for tick in axis.get_ticklabels()] if axis.axes.axison else []
    return names if any(re.match("[A-Za-z]", name) for name in names) else []


def listed(kind: str, words: Iterable[str]) -> str:
    """ "kind: a, b, c"; nothing if there is none."""
    words = [word for word in words if word.strip()]
    more = f" and {len(words) - MOST} more" if len(words) > MOST else ""
    return f"{kind}: {', '.join(words[:MOST])}{more}" if words else ""


def store_with_figures() -> None:
    """From now on, every figure that this kernel shows carries its description."""
    shell = get_ipython()
    shell.enable_matplotlib("inline")  # else the first figure would come to do so
    formatter = shell.display_formatter.formatters["image/png"]
    formatter.for_type(Figure, with_description(formatter.lookup_by_type(Figure)))


def with_description(draw: Callable[[Figure], str]) -> Callable[[Figure], tuple[str, dict]]:
    def draw_and_describe(figure: Figure) -> tuple[str, dict]:
        picture = draw(figure)  # first, for it makes the ticks
        return picture, {"alt": describe(figure)}

    return draw_and_describe
