"""Figures: what can be said of a picture without looking at it."""

import itertools

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.transforms import Bbox

from retinanet_lite.data.drawing import CLASSES
from retinanet_lite.learn.figures import show_detections, show_scene
from retinanet_lite.learn.training_figures import show_items


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def places_of_texts() -> list[dict]:
    """Where the texts of each panel are, by what they say, in pixels of the figure."""
    figure = plt.gcf()
    figure.canvas.draw()
    return [{text.get_text(): text.get_window_extent() for text in ax.texts} for ax in figure.axes]


@pytest.mark.parametrize("box", [(660, 270, 780, 395), (2, 2, 90, 80), (780, 300, 832, 400)])
def test_boxes_in_one_place_have_texts_that_can_be_read(scene, box):
    found = {
        "boxes": torch.tensor([box] * 3).float(),
        "scores": torch.tensor([0.9, 0.8, 0.7]),
        "labels": torch.tensor([0, 1, 2]),
    }
    show_detections(scene, found)
    (texts,) = places_of_texts()
    assert len(texts) == 3
    for a, b in itertools.combinations(texts.values(), 2):
        assert not a.overlaps(b)
    (ax,) = plt.gcf().axes
    (x1, y1), (x2, y2) = ax.transData.transform([box[:2], box[2:]])
    for text in texts.values():
        assert text.overlaps(Bbox([(x1, y2), (x2, y1)]).padded(10))


def test_a_text_hides_no_small_object(scene):
    show_scene(scene)
    (ax,), (texts,) = plt.gcf().axes, places_of_texts()
    assert len(texts) == len(scene.boxes)
    for box, label in zip(scene.boxes, scene.labels, strict=True):
        (x1, y1), (x2, y2) = ax.transData.transform(box.reshape(2, 2))
        if (x2 - x1) * (y1 - y2) < 40**2:
            for text in texts.values():
                assert not text.overlaps(Bbox([(x1, y2), (x2, y1)])), CLASSES[label]


def test_a_figure_says_how_many_texts_have_no_room(scene):
    count = 500
    found = {
        "boxes": torch.tensor([[300, 300, 400, 400.0]] * count),
        "scores": torch.linspace(0.1, 0.9, count),
        "labels": torch.zeros(count, dtype=torch.int64),
    }
    show_detections(scene, found)
    *shown, last = [text.get_text() for text in plt.gca().texts]
    assert 10 < len(shown) < count
    assert last == f"{count - len(shown)} more labels left out"


@pytest.mark.parametrize("x", range(0, 128, 16))
def test_texts_stay_in_a_small_panel(x):
    target = {"boxes": torch.tensor([[x, 40.0, x + 20.0, 60.0]]), "labels": torch.tensor([0])}
    item = (torch.zeros(3, 128, 148), target)
    show_items([item] * 4, ("triangle 1.00",), "")
    for ax, texts in zip(plt.gcf().axes, places_of_texts(), strict=True):
        panel = ax.get_window_extent()
        for place in texts.values():
            assert panel.x0 - 1 <= place.x0 and place.x1 <= panel.x1 + 1
