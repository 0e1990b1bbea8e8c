"""Every detection and every object is of one kind, and of the right one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retinanet_lite.evaluation.error_kinds import DETECTION_KINDS, OBJECT_KINDS, sort_errors

CAT, DOG = 0, 1
UNIT = (0, 0, 10, 10)
HALF = (0, 0, 10, 5)  # IoU 0.5 with UNIT
THIRD = (5, 0, 15, 10)  # IoU 1/3
NOWHERE = (50, 50, 60, 60)


def image(detections: list[tuple], objects: list[tuple]) -> tuple[dict, dict]:
    """An image from detections (box, score, label) and objects (box, label)."""

    def boxes(rows: list[tuple]) -> torch.Tensor:
        return torch.tensor([row[0] for row in rows], dtype=torch.float32).reshape(-1, 4)

    def labels(rows: list[tuple]) -> torch.Tensor:
        return torch.tensor([row[-1] for row in rows], dtype=torch.int64)

    scores = torch.tensor([score for _, score, _ in detections], dtype=torch.float32)
    return (
        {"boxes": boxes(detections), "scores": scores, "labels": labels(detections)},
        {"boxes": boxes(objects), "labels": labels(objects)},
    )


def kinds(detections: list[tuple], objects: list[tuple], **arguments) -> tuple[list, list]:
    """The kinds of the detections and of the objects of one image."""
    found, target = image(detections, objects)
    result = sort_errors([found], [target], **arguments)
    return result.detections[0], result.objects[0]


def test_all_three_thresholds_may_be_others():
    assert kinds([(HALF, 0.9, CAT)], [(UNIT, CAT)], iou_threshold=0.6)[0] == ["badly placed"]
    assert kinds([(THIRD, 0.9, CAT)], [(UNIT, CAT)], background_threshold=0.4)[0] == ["background"]
    found = [(UNIT, 0.49, CAT), (HALF, 0.5, CAT)]
    assert kinds(found, [(UNIT, CAT)]) == ([None, "correct"], ["correct"])
    assert kinds(found, [(UNIT, CAT)], score_threshold=0.1)[0] == ["duplicate", "correct"]
    assert kinds(found, [(UNIT, CAT)], score_threshold=0.6) == ([None, None], ["missed"])


def test_images_keep_their_order_and_counts_add_them_up():
    pairs = [
        image([(NOWHERE, 0.6, CAT), (UNIT, 0.9, CAT), (UNIT, 0.2, DOG)], [(UNIT, CAT)]),
        image([], [(UNIT, DOG)]),
        image([(THIRD, 0.8, DOG), (UNIT, 0.9, DOG)], [(UNIT, DOG), (NOWHERE, DOG)]),
    ]
    result = sort_errors(*map(list, zip(*pairs, strict=True)))
    assert result.detections == [
        ["background", "correct", None],
        [],
        ["badly placed", "correct"],
    ]
    assert result.objects == [["correct"], ["missed"], ["correct", "missed"]]
    assert result.detection_counts == {
        "correct": 2,
        "duplicate": 0,
        "wrong class": 0,
        "badly placed": 1,
        "background": 1,
    }
    assert result.object_counts == {
        "correct": 2,
        "wrong class": 0,
        "badly placed": 0,
        "missed": 2,
    }


def overlap(a: list[float], b: list[float]) -> float:
    """IoU in plain Python."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inside = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return inside / (sum(areas) - inside)


def expected_kinds(detections: list[tuple], objects: list[tuple]) -> tuple[list, list]:
    """One detection after the other, best first, and for each all objects."""
    kinds, fates = [None] * len(detections), ["missed"] * len(objects)
    order = [i for i in range(len(detections)) if detections[i][1] >= 0.5]
    order.sort(key=lambda i: -detections[i][1])
    for i in order:
        box, _, label = detections[i]
        free = [
            (overlap(box, other), row)
            for row, (other, its) in enumerate(objects)
            if its == label and fates[row] != "correct" and overlap(box, other) >= 0.5
        ]
        if free:
            kinds[i] = fates[max(free)[1]] = "correct"
    for i in order:
        if kinds[i] == "correct":
            continue
        box, _, label = detections[i]
        own = [overlap(box, other) if its == label else 0 for other, its in objects]
        others = [overlap(box, other) if its != label else 0 for other, its in objects]
        nearest = None
        if max(own, default=0) >= 0.5:
            kinds[i] = "duplicate"
        elif max(others, default=0) >= 0.5:
            kinds[i], nearest = "wrong class", others.index(max(others))
        elif max(own, default=0) >= 0.1:
            kinds[i], nearest = "badly placed", own.index(max(own))
        else:
            kinds[i] = "background"
        if nearest is not None and fates[nearest] == "missed":
            fates[nearest] = kinds[i]
    return kinds, fates


boxes = st.tuples(
    st.integers(0, 4), st.integers(0, 4), st.integers(1, 8), st.sampled_from([4, 8])
).map(lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3]))
labels = st.integers(0, 2)
scores = st.sampled_from([0.25, 0.5, 0.75, 1.0])
scenes = st.lists(
    st.tuples(
        st.lists(st.tuples(boxes, scores, labels), max_size=12),
        st.lists(st.tuples(boxes, labels), max_size=6),
    ),
    max_size=3,
)


@settings(max_examples=200)
@given(scenes)
def test_kinds_are_those_of_the_loops_and_add_up(scenes):
    pairs = [image(*scene) for scene in scenes]
    result = sort_errors([found for found, _ in pairs], [target for _, target in pairs])
    expected = [expected_kinds(*scene) for scene in scenes]
    assert result.detections == [kinds for kinds, _ in expected]
    assert result.objects == [fates for _, fates in expected]

    assert tuple(result.detection_counts) == DETECTION_KINDS
    assert tuple(result.object_counts) == OBJECT_KINDS
    confident = sum(score >= 0.5 for found, _ in scenes for _, score, _ in found)
    assert sum(result.detection_counts.values()) == confident
    assert sum(result.object_counts.values()) == sum(len(objects) for _, objects in scenes)
    assert result.detection_counts["correct"] == result.object_counts["correct"]


def test_boxes_and_scores_that_require_a_gradient_are_fine():
    found, target = image([(UNIT, 0.9, CAT), (UNIT, 0.2, DOG)], [(UNIT, CAT)])
    found["boxes"].requires_grad_()
    found["scores"].requires_grad_()
    assert sort_errors([found], [target]).detections == [["correct", None]]


@pytest.mark.parametrize("thresholds", [(0.5, 0.5), (0.5, 0.0), (1.1, 0.1), (50, 10)])
def test_thresholds_out_of_order_are_refused(thresholds):
    with pytest.raises(ValueError, match="the thresholds must satisfy 0 < background_threshold"):
        sort_errors([], [], *thresholds)


def test_unsound_entries_and_crowds_are_refused():
    found, target = image([(UNIT, 0.9, CAT)], [(UNIT, CAT)])
    with pytest.raises(ValueError, match="of 1 images, targets of 0"):
        sort_errors([found], [])
    with pytest.raises(ValueError, match="holds NaN"):
        sort_errors([{**found, "scores": torch.tensor([math.nan])}], [target])
    with pytest.raises(ValueError, match="has a crowd"):
        sort_errors([found], [{**target, "iscrowd": torch.tensor([True])}])
