"""The detector that comes with the package is there, small, and good."""

import pytest

from retinanet_lite import Detector
from retinanet_lite.data.shapes import CLASSES
from retinanet_lite.errors import sort_errors
from retinanet_lite.pretrained import SHAPES


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(SHAPES)


def test_it_is_small_enough_to_come_with_the_package():
    assert SHAPES.stat().st_size <= 12 * 2**20


def test_it_knows_the_shapes_and_takes_scenes_as_they_are(detector):
    assert detector.classes == CLASSES
    assert detector.size is None


def test_it_finds_most_objects_of_the_notebooks_scene(detector, scene):
    target = {"boxes": scene.boxes, "labels": scene.labels}
    errors = sort_errors(detector([scene.image]), [target])
    assert errors.object_counts["correct"] >= 0.7 * len(scene.boxes)
    wrong = sum(errors.detection_counts.values()) - errors.detection_counts["correct"]
    assert wrong <= 0.5 * len(scene.boxes)
