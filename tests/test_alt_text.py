"""What stands beside a stored figure for those who can't see it."""

import matplotlib.pyplot as plt
import pytest
from alt_text import MOST, describe, with_description

from retinanet_lite.learn.diagrams import show_map


@pytest.fixture(autouse=True)
def figure():
    yield plt.figure(figsize=(4, 3))
    plt.close("all")


def described(figure) -> str:
    def draw(figure):
        figure.canvas.draw()
        return "picture"

    picture, metadata = with_description(draw)(figure)
    assert picture == "picture"
    return metadata["alt"]


def test_titles_axes_series_and_texts_are_told(figure):
    ax = figure.subplots()
    ax.plot([0, 1], [2, 3], label="$p_t$ of the  star")
    ax.text(0, 2, "here")
    ax.set(title="How sure?", xlabel="step", ylabel="probability")
    figure.suptitle("A star")
    assert described(figure) == (
        "A star. How sure? Axes: step (across), probability (up). Shown: p_t of the star. "
        "Labels: here."
    )


def test_bars_are_told_with_their_names_and_every_value(figure):
    ax = figure.subplots()
    ax.bar_label(ax.barh(["AP", "AR"], [0.5, 0.5]))
    ax.invert_yaxis()
    assert described(figure) == "Rows: AP, AR. Labels: 0.5, 0.5."


def test_rows_of_an_image_are_counted_down(figure):
    ax = figure.subplots()
    ax.imshow([[0, 1]])
    ax.set(ylabel="y in pixels")
    assert described(figure) == "Axes: y in pixels (down)."


def test_powers_of_ten_are_no_names(figure):
    ax = figure.subplots()
    ax.plot([1, 1000], [1, 1000])
    ax.set(xscale="log", yscale="log", title="Powers")
    assert described(figure) == "Powers."


def test_many_texts_are_cut(figure):
    ax = figure.subplots()
    ax.axis("off")
    for number in range(MOST + 5):
        ax.text(0, number, f"n{number}")
    assert described(figure).endswith(f"n{MOST - 1} and 5 more.")


def test_a_diagram_says_itself_what_it_shows():
    show_map(here="anchors")
    assert describe(plt.gcf()).endswith("you are at anchors.")
