"""What every explorer is: controls, the figure that they move, and what it says in words."""

import gc
import html
import io
import traceback
from collections.abc import Callable, Sequence

import ipywidgets
import matplotlib.pyplot as plt
from ipywidgets import HTML, Image, Layout, VBox, Widget
from matplotlib.axes import Axes
from matplotlib.axis import Axis

LABEL = {"description_width": "13em"}
WIDE = Layout(width="34em", max_width="100%")


def explore(view: Callable[..., str | None], **controls: Widget) -> VBox:
    """Controls above a figure. Every change draws the figure anew.

    Args:
        view: draws one figure of pyplot. It gets the value of each control under the control's
            name, and may return what the figure says in words.
        controls: widgets with a value, such as `slider(…)`.
    """
    # the old picture stays until the new one has come, so nothing flickers
    figure = Image(format="png", layout=Layout(max_width="100%", object_fit="contain"))
    words = HTML()

    def draw() -> None:
        text = view(**{name: control.value for name, control in controls.items()})
        figure.value = as_png()
        words.value = f"<div style='line-height: 1.5'>{html.escape(text or '')}</div>"

    def redraw(_change: dict) -> None:
        try:
            draw()
        except Exception:  # a widget's errors would be seen by nobody
            plt.close()
            words.value = f"<pre>{html.escape(traceback.format_exc())}</pre>"

    for control in controls.values():
        control.observe(redraw, "value")
    draw()
    # else a move now and then waits half a second while the garbage collector looks through all
    # that the imports have made; from here on it looks at what is new
    gc.collect()
    gc.freeze()
    # at the left, or the figure would be stretched to the page's width
    return VBox([*controls.values(), figure, words], layout=Layout(align_items="flex-start"))


def panels(width: float, height: float, *ratios: float) -> Sequence[Axes]:
    """Axes side by side, `ratios` of the width each, in a figure of so many inches.

    Their places are fixed. To work out the best ones takes as long as drawing does.
    """
    _, axes = plt.subplots(
        1,
        len(ratios),
        figsize=(width, height),
        width_ratios=ratios,
        gridspec_kw={"left": 0.06, "right": 0.98, "bottom": 0.2, "top": 0.9, "wspace": 0.3},
    )
    return axes


def powers_in_words(axis: Axis) -> None:
    """Ticks for a logarithmic axis. To set 10³ as a formula takes as long as half the figure."""
    axis.set_ticks([1, 1e3, 1e6], ["one", "thousand", "million"])
    axis.set_ticks([], minor=True)


def as_png() -> bytes:
    """The current figure of pyplot, which is closed."""
    file = io.BytesIO()
    # quick to write, if a little larger; pyplot's own savefig would draw the figure once more
    plt.gcf().savefig(file, format="png", pil_kwargs={"compress_level": 1})
    plt.close()
    return file.getvalue()


def slider(label: str, value, low, high, step=1, **options) -> Widget:
    """A slider with its label: over whole numbers or others, with one handle or two for a range."""
    is_range = isinstance(value, tuple)
    numbers = [*value] if is_range else [value]
    whole = all(isinstance(number, int) for number in [*numbers, low, high, step])
    kind = ("Int" if whole else "Float") + ("RangeSlider" if is_range else "Slider")
    return getattr(ipywidgets, kind)(
        value=value,
        min=low,
        max=high,
        step=step,
        description=label,
        style=LABEL,
        layout=WIDE,
        **options,
    )


def choice(label: str, options, value) -> Widget:
    """A slider over a few named values: a list of values, or of (name, value)."""
    return ipywidgets.SelectionSlider(
        options=options, value=value, description=label, style=LABEL, layout=WIDE
    )
