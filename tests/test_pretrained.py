"""The detector that comes with the package is there, small, and good."""

import json
from pathlib import Path

import pytest

from retinanet_lite import Detector, evaluate
from retinanet_lite.data.drawing import CLASSES
from retinanet_lite.data.scenes import test_scenes
from retinanet_lite.evaluation.error_kinds import sort_errors
from retinanet_lite.zoo import SHAPES

DOCS = Path(__file__).parents[1] / "docs"


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


def test_the_page_of_measurements_says_what_stands_beside_the_file():
    measured = json.loads(SHAPES.with_suffix(".json").read_text(encoding="utf-8"))["measured"]
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    row = "| " + " | ".join(f"{measured[name]:.3f}" for name in names) + " |"
    assert row in (DOCS / "measured.md").read_text(encoding="utf-8")


def test_what_stands_beside_the_file_is_what_it_reaches(detector):
    """Five of the hundred scenes; all of them take half a minute."""
    scenes = test_scenes((640, 832), CLASSES, length=5)
    measured = json.loads(SHAPES.with_suffix(".json").read_text(encoding="utf-8"))["measured"]
    assert abs(evaluate(detector, scenes)["AP50"] - measured["AP50"]) < 0.02
