"""Average precision by hand is pycocotools' average precision, and so is what we ask it for."""

import io
import json
import math
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from retinanet_lite.evaluation.average_precision import (
    IOU_THRESHOLDS,
    METRICS,
    coco_metrics,
    coco_report,
    find_objects,
    mean_average_precision,
    precision_recall,
)

K = 3
CLASSES = ["disc", "square", "star"]
UNIT = [0.0, 0.0, 10.0, 10.0]


def detected(*rows: tuple) -> dict[str, torch.Tensor]:
    """The detections of an image from rows (box, score, label)."""
    return {
        "boxes": torch.tensor([box for box, _, _ in rows], dtype=torch.float32).reshape(-1, 4),
        "scores": torch.tensor([score for _, score, _ in rows], dtype=torch.float32),
        "labels": torch.tensor([label for _, _, label in rows], dtype=torch.int64),
    }


def labelled(*rows: tuple) -> dict[str, torch.Tensor]:
    """The objects of an image from rows (box, label)."""
    found = detected(*((box, 0.0, label) for box, label in rows))
    return {"boxes": found["boxes"], "labels": found["labels"]}


def pycocotools(detections: list[dict], targets: list[dict]) -> COCOeval:
    """As in pycocotools' own demo: two JSON files, loadRes, evaluate, accumulate, summarize.

    Ids of images, classes and objects are other numbers than in our lists.
    """
    objects, results = [], []
    for i, (found, target) in enumerate(zip(detections, targets, strict=True)):
        for row, (x1, y1, x2, y2) in enumerate(target["boxes"].tolist()):
            area = target["area"][row].item() if "area" in target else (x2 - x1) * (y2 - y1)
            objects.append(
                {
                    "id": 1000 + len(objects),
                    "image_id": 10 * i + 7,
                    "category_id": 2 * target["labels"][row].item() + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": area,
                    "iscrowd": int(target["iscrowd"][row]) if "iscrowd" in target else 0,
                }
            )
        for box, score, label in zip(*(found[key].tolist() for key in found), strict=True):
            x1, y1, x2, y2 = box
            results.append(
                {
                    "image_id": 10 * i + 7,
                    "category_id": 2 * label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": score,
                }
            )
    dataset = {
        "images": [{"id": 10 * i + 7} for i in range(len(targets))],
        "categories": [{"id": 2 * label + 1, "name": CLASSES[label]} for label in range(K)],
        "annotations": objects,
    }
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        truth, found = Path(folder, "instances.json"), Path(folder, "results.json")
        truth.write_text(json.dumps(dataset), encoding="utf-8")
        found.write_text(json.dumps(results), encoding="utf-8")
        coco = COCO(str(truth))
        evaluation = COCOeval(coco, coco.loadRes(str(found)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@st.composite
def boxes(draw, scale: int = 1) -> list[int]:
    """On a coarse grid, so that equal overlaps, and overlaps at a threshold, are frequent."""
    x, y = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    width, height = draw(st.integers(5, 10)), draw(st.sampled_from([2, 5, 10]))
    return [scale * x, scale * y, scale * (x + width), scale * (y + height)]


@st.composite
def images(draw, coco: bool = False) -> tuple[list[dict], list[dict]]:
    """Detections and targets of one to three images; any may be empty, but for one detection.

    With `coco`, boxes of all three of COCO's sizes, objects with an area of their own and crowds.
    """
    labels = st.integers(0, K - 1)
    scores = st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.7, 0.9])
    box = st.sampled_from([1, 4, 16]).flatmap(boxes) if coco else boxes()
    detections, targets = [], []
    for _ in range(draw(st.integers(1, 3))):
        objects = draw(st.lists(st.tuples(box, labels), max_size=6))
        # half of the detections lie on objects, or there would be few hits
        near = st.sampled_from([box for box, _ in objects]) if objects else box
        found = draw(st.lists(st.tuples(near | box, scores, labels), max_size=12))
        detections.append(detected(*found))
        targets.append(labelled(*objects))
        if coco:
            count = len(objects)
            areas = st.sampled_from([10.0, 1024.0, 1025.0, 9216.0, 9217.0])
            area = draw(st.lists(areas, min_size=count, max_size=count))
            crowd = draw(st.lists(st.booleans(), min_size=count, max_size=count))
            targets[-1]["area"] = torch.tensor(area)
            targets[-1]["iscrowd"] = torch.tensor(crowd, dtype=torch.bool)
    if not sum(len(found["scores"]) for found in detections):
        detections[0] = detected((draw(box), draw(scores), draw(labels)))  # loadRes needs one
    return detections, targets


def assert_same(actual: float, expected: float) -> None:
    """pycocotools says −1 where there is no object, we say NaN."""
    if expected == -1:
        assert math.isnan(actual)
    else:
        assert actual == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100)
@given(images())
def test_average_precision_of_every_class_and_threshold_is_pycocotools(case):
    evaluation = pycocotools(*case)
    for label in range(K):
        for t, threshold in enumerate(evaluation.params.iouThrs):
            curve = precision_recall(*case, label, threshold)
            expected = evaluation.eval["precision"][t, :, label, 0, 2].mean()
            assert_same(curve.average_precision, expected)
            if len(curve.recall) and curve.num_objects:
                assert curve.recall[-1] == evaluation.eval["recall"][t, label, 0, 2]
        for m, most in enumerate([1, 10]):
            curve = precision_recall(*case, label, max_detections=most)
            expected = evaluation.eval["precision"][0, :, label, 0, m].mean()
            assert_same(curve.average_precision, expected)


@given(images())
def test_mean_average_precision_is_pycocotools_AP_and_AP50(case):
    stats = pycocotools(*case).stats
    assert_same(mean_average_precision(*case, K), stats[0])
    assert_same(mean_average_precision(*case, K, [0.5]), stats[1])


@settings(max_examples=50)
@given(images(coco=True))
def test_coco_metrics_are_those_of_pycocotools_demo(case):
    evaluation = pycocotools(*case)
    report = coco_report(*case, CLASSES)
    assert list(report.metrics) == list(METRICS)
    for actual, expected in zip(report.metrics.values(), evaluation.stats, strict=True):
        assert_same(actual, expected)
    for label, name in enumerate(CLASSES):
        of_class = evaluation.eval["precision"][:, :, label, 0, 2]
        assert_same(report.by_class[name]["AP"], of_class.mean())
        assert_same(report.by_class[name]["AP50"], of_class[0].mean())


def test_only_the_hundred_best_of_an_image_and_class_count():
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(130, generator=generator)
    x = 12.0 * torch.arange(130)
    boxes = torch.stack([x, x * 0, x + 10, x * 0 + 10], dim=1)
    found = [
        {"boxes": boxes, "scores": scores, "labels": torch.zeros(130, dtype=torch.int64)},
        detected((UNIT, 0.5, 0)),
    ]
    every_third = {"boxes": boxes[::3], "labels": torch.zeros(44, dtype=torch.int64)}
    case = found, [every_third, labelled((UNIT, 0))]

    curve = precision_recall(*case, 0)
    assert len(curve.scores) == 101
    evaluation = pycocotools(*case)
    expected = evaluation.eval["precision"][0, :, 0, 0, 2].mean()
    assert curve.average_precision == pytest.approx(expected, abs=1e-12)
    assert coco_report(*case, CLASSES).by_class["disc"]["AP50"] == pytest.approx(expected)
    unlimited = precision_recall(*case, 0, max_detections=130).average_precision
    assert unlimited > curve.average_precision


def test_average_precision_on_paper():
    # score  finds an object?  precision  recall   envelope
    #  0.9        yes             1/1      1/2        1
    #  0.8        no              1/2      1/2       2/3
    #  0.7        yes             2/3      2/2       2/3
    # Recalls 0, 0.01 … 0.50 are reached by the first row: 51 times 1. Recalls 0.51 … 1 are reached
    # by the third: 50 times 2/3. AP = (51 + 50 · 2/3) / 101 = 253 / 303.
    other, nowhere = [20.0, 0.0, 30.0, 10.0], [50.0, 50.0, 60.0, 60.0]
    found = [detected((other, 0.7, 0), (nowhere, 0.8, 0)), detected((UNIT, 0.9, 0))]
    curve = precision_recall(found, [labelled((other, 0)), labelled((UNIT, 0))], 0)
    np.testing.assert_allclose(curve.scores, [0.9, 0.8, 0.7], rtol=1e-6)
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(curve.recall, [1 / 2, 1 / 2, 1])
    np.testing.assert_allclose(curve.envelope, [1, 2 / 3, 2 / 3])
    assert curve.num_objects == 2
    assert curve.average_precision == pytest.approx(253 / 303, abs=1e-15)


def test_an_object_is_found_once_and_the_next_detection_finds_the_other():
    # IoU with the left object, with the right one:  1 and 8/12,  9/11 and 9/11,  8/12 and 1
    left, right = [0.0, 0.0, 10.0, 10.0], [2.0, 0.0, 12.0, 10.0]
    between = [1.0, 0.0, 11.0, 10.0]
    objects = torch.tensor([left, right])
    assert find_objects(torch.tensor([left, left, left]), objects) == [0, 1, -1]
    assert find_objects(torch.tensor([left, left]), objects, 0.7) == [0, -1]
    assert find_objects(torch.tensor([between, left]), objects) == [1, 0]  # of equals the last
    assert find_objects(torch.tensor([left]), objects[:0]) == [-1]
    assert find_objects(objects[:0], objects) == []


def test_an_overlap_at_the_threshold_is_enough():
    objects = torch.tensor([UNIT])
    for width, threshold in zip([5, 6, 7, 8, 9], IOU_THRESHOLDS[::2], strict=True):
        narrow = torch.tensor([[0.0, 0.0, width, 10.0]])
        assert find_objects(narrow, objects, threshold) == [0]
        assert find_objects(narrow, objects, threshold + 0.001) == [-1]


def test_at_a_threshold_of_1_a_rounding_error_is_forgiven():
    almost = torch.tensor([[0.0, 0.0, 10.0, 10.0 - 1e-10]], dtype=torch.float64)
    assert find_objects(almost, torch.tensor([UNIT]), 1.0) == [0]
    assert find_objects(almost - 1e-4, torch.tensor([UNIT]), 1.0) == [-1]


# fault 12 of the walkthrough's original: evaluation


def test_a_last_class_without_a_detection_has_average_precision_0():
    found = [detected((UNIT, 0.9, 0)), detected()]
    objects = [labelled((UNIT, 0), (UNIT, 2)), labelled()]
    assert precision_recall(found, objects, 2).average_precision == 0
    assert mean_average_precision(found, objects, K) == pytest.approx(0.5)
    assert coco_metrics(found, objects, CLASSES)["AP"] == pytest.approx(0.5)


def test_of_two_overlapping_objects_both_are_found():
    left, right = [0.0, 0.0, 10.0, 10.0], [2.0, 0.0, 12.0, 10.0]
    near_left = [0.5, 0.0, 10.5, 10.0]  # IoU 0.90 with the left object, 0.74 with the right
    found = [detected((left, 0.9, 0), (near_left, 0.8, 0))]
    curve = precision_recall(found, [labelled((left, 0), (right, 0))], 0)
    assert curve.average_precision == pytest.approx(1)


def test_without_any_detection_what_could_be_found_counts_0():
    objects = [labelled((UNIT, 1)), labelled()]
    metrics = coco_metrics([detected(), detected()], objects, CLASSES)
    of_other_sizes = {"APm", "APl", "ARm", "ARl"}
    assert {name for name, value in metrics.items() if math.isnan(value)} == of_other_sizes
    assert all(value == 0 for name, value in metrics.items() if name not in of_other_sizes)
    assert mean_average_precision([detected(), detected()], objects, K) == 0


@pytest.mark.parametrize("images", [[], [detected((UNIT, 0.9, 0)), detected()]], ids=len)
def test_without_any_object_nothing_is_a_number_and_nothing_warns(images):
    objects = [labelled() for _ in images]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(mean_average_precision(images, objects, K))
        assert np.isnan(precision_recall(images, objects, 0).recall).all()
        assert all(map(math.isnan, coco_metrics(images, objects, CLASSES).values()))


def test_nothing_is_printed(capsys):
    coco_metrics([detected((UNIT, 0.9, 0))], [labelled((UNIT, 0))], CLASSES)
    assert capsys.readouterr().out == ""


def test_boxes_between_pixels_that_require_a_gradient_are_fine():
    corner, labels = torch.rand(3, 60, 2) * 50, torch.randint(0, K, (3, 60))
    boxes = torch.cat([corner, corner + 5 + torch.rand(3, 60, 2) * 20], dim=2)
    near = boxes + torch.randn(3, 60, 4)
    scores = torch.rand(3, 60)
    targets = [{"boxes": boxes[i, :20], "labels": labels[i, :20]} for i in range(3)]
    found = [{"boxes": near[i], "scores": scores[i], "labels": labels[i]} for i in range(3)]
    stats = pycocotools(found, targets).stats
    assert 0.1 < stats[0] < 0.9
    for entry in found:
        entry["boxes"].requires_grad_()
        entry["scores"].requires_grad_()
    assert mean_average_precision(found, targets, K) == pytest.approx(stats[0], abs=1e-12)
    assert coco_metrics(found, targets, CLASSES)["AP"] == pytest.approx(stats[0], abs=1e-12)


def wrong(found: dict | None = None, target: dict | None = None) -> tuple[list, list]:
    """Two images, of which the second has other entries."""
    good = detected((UNIT, 0.9, 0)), labelled((UNIT, 0))
    return [good[0], {**good[0], **(found or {})}], [good[1], {**good[1], **(target or {})}]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (([detected()], []), "of 1 images, targets of 0"),
        (wrong({"boxes": torch.ones(1, 5)}), r"detections\[1\] needs boxes \[n, 4\]"),
        (wrong({"scores": torch.ones(2)}), r"detections\[1\] needs .* labels, scores \[n\]"),
        (wrong(target={"labels": torch.ones(1, 1)}), r"targets\[1\] needs .* labels \[n\]"),
        (wrong(target={"area": torch.ones(2)}), r"targets\[1\] needs .* labels, area \[n\]"),
        (([labelled((UNIT, 0))], [labelled((UNIT, 0))]), r"detections\[0\] needs .* scores \[n\]"),
        (wrong({"scores": torch.tensor([math.nan])}), r"detections\[1\] holds NaN"),
        (wrong(target={"boxes": torch.tensor([[0, 0, math.inf, 1]])}), r"targets\[1\] holds NaN"),
        (wrong(target={"boxes": torch.tensor([[9, 9, 5, 20]])}), r"targets\[1\] .*box_convert"),
        (wrong({"labels": torch.tensor([3])}), r"detections\[1\] has the label 3; .* 0 to 2"),
        (wrong(target={"labels": torch.tensor([-1])}), r"targets\[1\] has the label -1; .*"),
        (wrong(target={"labels": torch.tensor([0.5])}), r"targets\[1\] has the label 0\.5; .*"),
    ],
)
def test_unsound_entries_are_told_what_is_wrong(case, message):
    with pytest.raises(ValueError, match=message):
        coco_metrics(*case, CLASSES)
    with pytest.raises(ValueError, match=message):
        mean_average_precision(*case, K)


def test_precision_recall_checks_what_it_is_given():
    with pytest.raises(ValueError, match="holds NaN"):
        precision_recall(*wrong({"scores": torch.tensor([math.nan])}), 0)
    with pytest.raises(ValueError, match="at most 1; got 50"):
        precision_recall(*wrong(), 0, iou_threshold=50)
    with pytest.raises(ValueError, match="at most 1; got 0"):
        precision_recall(*wrong(), 0, iou_threshold=0)


def test_crowds_are_refused_by_hand():
    case = wrong(target={"iscrowd": torch.tensor([True])})
    with pytest.raises(ValueError, match=r"targets\[1\] has a crowd"):
        precision_recall(*case, 0)
    with pytest.raises(ValueError, match=r"targets\[1\] has a crowd"):
        mean_average_precision(*case, K)
    assert mean_average_precision(*wrong(target={"iscrowd": torch.tensor([False])}), K) == 1


def test_two_classes_of_one_name_are_refused():
    with pytest.raises(ValueError, match="a name of its own"):
        coco_metrics(*wrong(), ["disc", "disc"])


def test_the_thresholds_are_pycocotools():
    assert list(IOU_THRESHOLDS) == COCOeval(iouType="bbox").params.iouThrs.tolist()
