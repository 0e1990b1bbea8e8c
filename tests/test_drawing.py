"""Drawn scenes: the same everywhere, and boxes that end where the pixels end."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retinanet_lite.data.batches import to_annotations
from retinanet_lite.data.drawing import CLASSES, Scene, Shape, draw, random_scene, walkthrough_scene
from retinanet_lite.model.input_checks import check_annotations

RED = (255, 0, 0)


def sha256(scene: Scene) -> str:
    return hashlib.sha256(scene.image.numpy().tobytes()).hexdigest()


def sides(scene: Scene) -> torch.Tensor:
    """Width and height of every object, [M, 2]."""
    return scene.boxes[:, 2:] - scene.boxes[:, :2]


def touches_border(scene: Scene) -> torch.Tensor:
    height, width = scene.image.shape[1:]
    low, high = scene.boxes.split(2, dim=1)
    return (low == 0).any(dim=1) | (high == torch.tensor([width, height])).any(dim=1)


def test_a_scene_is_the_same_to_the_bit_on_every_machine(scene):
    assert sha256(random_scene(0)) == (
        "e38f6ef89a35ddce3991c3f19199617647c8d24a04e2c9c96446d1978cb72883"
    )
    assert sha256(scene) == "602b03c48d01c65fdba8ae975906508e08ca73e6aea29fa4c9c5f0788ca1e160"


@pytest.mark.parametrize("angle", [0.0, -15.0])
@pytest.mark.parametrize("name", CLASSES)
def test_a_box_ends_where_the_pixels_of_its_shape_end(name, angle):
    box = (21.3, 30.6, 98.2, 121.7)
    scene = draw([Shape(name, box, RED, angle)], 150, 120)
    assert scene.boxes[0].tolist() == pytest.approx(box)
    assert scene.labels.tolist() == [CLASSES.index(name)]
    assert drawn_box(scene) == pytest.approx(box, abs=1.0)


def test_a_box_is_cut_off_where_the_image_ends():
    scene = draw([Shape("star", (-10.0, 20.0, 60.0, 85.0), RED)], 90, 100)
    assert scene.boxes[0].tolist() == [0.0, 20.0, 60.0, 85.0]
    assert drawn_box(scene) == pytest.approx([0.0, 20.0, 60.0, 85.0], abs=1.0)


def drawn_box(scene: Scene) -> list[int]:
    """The pixels that a red shape covers by more than a quarter, as a box.

    Paper and shadow are nearly grey: what tells the shape is how much red exceeds blue.
    """
    paper = draw([], *scene.image.shape[1:]).image.int()
    changed = scene.image.int() - paper
    redness = (changed[0] - changed[2]) / (255 - (paper[0] - paper[2]))
    rows, columns = torch.where(redness > 0.25)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return [side.item() for side in box]


def test_there_are_twenty_classes_and_random_scenes_show_them_all():
    assert len(CLASSES) == len(set(CLASSES)) == 20
    seen = {label for seed in range(30) for label in random_scene(seed, 96, 96).labels.tolist()}
    assert seen == set(range(20))


def test_the_walkthrough_scene_is_640_by_832_and_its_first_object_is_the_star(scene):
    assert scene.image.shape == (3, 640, 832)
    assert scene.image.dtype == torch.uint8
    assert CLASSES[scene.labels[0]] == "star"


def test_the_walkthrough_scene_scales_to_any_size(scene):
    small = walkthrough_scene(320, 208)
    assert small.image.shape == (3, 320, 208)
    assert torch.equal(small.labels, scene.labels)
    factors = torch.tensor([0.25, 0.5, 0.25, 0.5])
    torch.testing.assert_close(small.boxes, scene.boxes * factors)


def test_a_scene_has_as_many_objects_as_were_asked_for():
    counts = [len(random_scene(seed, num_objects=(3, 5)).labels) for seed in range(15)]
    assert set(counts) == {3, 4, 5}


def test_a_scene_may_be_empty():
    scene = random_scene(0, 64, 96, num_objects=(0, 0))
    assert torch.equal(scene.image, draw([], 64, 96).image)
    assert scene.boxes.shape == (0, 4)
    assert scene.labels.shape == (0,)


def test_objects_are_as_large_as_was_asked_for():
    for seed in range(10):
        scene = random_scene(seed, 200, 300, smallest=30, largest=60)
        longer = sides(scene).max(dim=1).values[~touches_border(scene)]
        assert ((longer > 29.9) & (longer < 60.1)).all()


def test_labels_count_in_the_classes_that_were_asked_for():
    classes = ("heart", "disc", "leaf")
    labels = [random_scene(seed, 96, 96, classes=classes).labels for seed in range(10)]
    assert set(torch.cat(labels).tolist()) == {0, 1, 2}
    (only,) = random_scene(0, 96, 96, num_objects=(1, 1), classes=("star",)).labels
    assert only == 0


@given(seed=st.integers(0, 10**6), height=st.integers(64, 200), width=st.integers(64, 200))
def test_a_random_scene_is_sound_at_any_size(seed, height, width):
    scene = random_scene(seed, height, width)
    assert scene.image.shape == (3, height, width)
    assert len(scene.boxes) == len(scene.labels) >= 1
    check_annotations(to_annotations([(scene.boxes, scene.labels)]), 1, len(CLASSES))
    assert (scene.boxes >= 0).all()
    assert (scene.boxes <= torch.tensor([width, height, width, height])).all()


def test_in_a_scene_of_128_by_128_no_object_hides_another():
    for seed in range(20):
        boxes = random_scene(seed, 128, 128).boxes.numpy().astype(np.float64)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        covered = (high - low).clip(0).prod(axis=2) / np.minimum(areas[:, None], areas)
        np.fill_diagonal(covered, 0)
        assert len(boxes) >= 3
        assert covered.max() < 0.5


@pytest.mark.parametrize("classes", [("star", "cube"), ()])
def test_a_class_that_is_not_drawn_is_named_together_with_those_that_are(classes):
    with pytest.raises(ValueError, match=r"classes must be some of \('disc', .*'leaf'\); got"):
        random_scene(0, classes=classes)
