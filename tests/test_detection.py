"""Detections are what a loop over images, levels and classes finds."""

import math
from unittest import mock

import oracles
import pytest
import torch
from torchvision.models.detection.retinanet import RetinaNet
from torchvision.ops import nms

from retinanet_lite import Anchors, BBoxTransform, Detection, quicken
from retinanet_lite.fast.quick_detection import MANY, best_entries

HEIGHT, WIDTH, K = 96, 130, 3
IMAGES = torch.empty(2, 3, HEIGHT, WIDTH)


@pytest.fixture
def outputs() -> tuple:
    """Logits, deltas, anchors and level counts of two images; scores from about 0 to 0.9."""
    anchors = Anchors()
    boxes = anchors(IMAGES)
    logits = torch.randn(2, len(boxes), K) * 1.5 - 4
    return logits, torch.randn(2, len(boxes), 4), boxes, anchors.level_counts(HEIGHT, WIDTH)


def expected_detections(logits, deltas, anchors, level_counts, **arguments):
    """The detections of one image, by loops and torchvision's NMS class by class."""
    threshold, top_k, overlap, most = (
        arguments.get(name, value)
        for name, value in [
            ("score_threshold", 0.05),
            ("top_k", 1000),
            ("nms_threshold", 0.5),
            ("max_detections", 300),
        ]
    )
    found = []  # score, class, box
    start = 0
    for count in level_counts:
        level = []
        for n in range(start, start + count):
            for k in range(K):
                score = 1 / (1 + math.exp(-logits[n, k].item()))
                if score > threshold:
                    level.append((score, k, n))
        for score, k, n in sorted(level, key=lambda entry: -entry[0])[:top_k]:
            x1, y1, x2, y2 = oracles.decode(anchors[n].tolist(), deltas[n].tolist())
            x1, x2 = (min(max(x, 0), WIDTH) for x in (x1, x2))
            y1, y2 = (min(max(y, 0), HEIGHT) for y in (y1, y2))
            box = [x1, y1, x2, y2]
            if x1 < x2 and y1 < y2:
                found.append((score, k, box))
        start += count
    kept = []
    for k in range(K):
        of_class = [entry for entry in found if entry[1] == k]
        if of_class:
            boxes = torch.tensor([box for _, _, box in of_class])
            scores = torch.tensor([score for score, _, _ in of_class])
            kept += [of_class[i] for i in nms(boxes, scores, overlap)]
    kept = sorted(kept, key=lambda entry: -entry[0])[:most]
    return {
        "boxes": torch.tensor([box for _, _, box in kept]).reshape(-1, 4),
        "scores": torch.tensor([score for score, _, _ in kept]),
        "labels": torch.tensor([k for _, k, _ in kept], dtype=torch.int64),
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"score_threshold": 0.3},
        {"top_k": 7},
        {"nms_threshold": 0.1},
        {"max_detections": 11},
        {"score_threshold": 0.01, "top_k": 50, "nms_threshold": 0.9, "max_detections": 1000},
    ],
    ids=str,
)
def test_detections_are_the_loops(outputs, arguments):
    logits, deltas, anchors, level_counts = outputs
    actual = Detection(**arguments)(logits, deltas, anchors, level_counts, IMAGES)
    for image in range(2):
        expected = expected_detections(
            logits[image], deltas[image], anchors, level_counts, **arguments
        )
        assert len(expected["scores"]) > 5
        torch.testing.assert_close(actual[image], expected, rtol=1e-4, atol=1e-3)


def test_none_is_no_limit():
    count = 2500
    x, y = 10.0 * (torch.arange(count) % 50), 10.0 * (torch.arange(count) // 50)
    anchors = torch.stack([x, y, x + 8, y + 8], dim=1)
    logits = torch.linspace(-2, 2, count)[None, :, None]
    images = torch.empty(1, 3, 500, 500)
    outputs = logits, torch.zeros(1, count, 4), anchors, [2000, 500], images
    (found,) = Detection(max_detections=None)(*outputs)
    assert len(found["scores"]) == 1000 + 500
    (found,) = Detection(top_k=None, max_detections=None)(*outputs)
    assert len(found["scores"]) == count


def test_a_box_moved_off_the_image_is_a_detection_only_with_keep_empty():
    logits = torch.tensor([[[0.9], [0.8]]]).logit()
    anchors = torch.tensor([[0.0, 0.0, 8.0, 8.0], [10.0, 0.0, 18.0, 8.0]])
    deltas = torch.zeros(1, 2, 4)
    deltas[0, 0, 0] = -1000.0  # a hundred widths to the left
    outputs = logits, deltas, anchors, [2], IMAGES
    (found,) = Detection()(*outputs)
    torch.testing.assert_close(found["scores"], torch.tensor([0.8]))
    (found,) = Detection(keep_empty=True)(*outputs)
    torch.testing.assert_close(found["scores"], torch.tensor([0.9, 0.8]))
    assert found["boxes"].tolist() == [[0.0, 0.0, 0.0, 8.0], [10.0, 0.0, 18.0, 8.0]]


class NoBackbone(torch.nn.Module):
    out_channels = 1


@pytest.mark.parametrize("top_k", [1000, 200, 7])
def test_of_equal_scores_the_same_go_on_in_the_same_order_as_in_torchvision(outputs, top_k):
    # whole numbers: many scores are equal, and which of them come first is topk's own choice;
    # boxes of whole pixels are decoded alike to the last bit
    logits, deltas, _, level_counts = outputs
    logits = (logits + 1).round()
    anchors = Anchors(offset=0.0, rounded=True)(IMAGES)
    assert (logits[0, : level_counts[0]] > -2.9).sum() > top_k
    judge = RetinaNet(NoBackbone(), K, topk_candidates=top_k)
    expected = judge.postprocess_detections(
        {
            "cls_logits": logits.split(level_counts, dim=1),
            "bbox_regression": deltas.split(level_counts, dim=1),
        },
        [anchors.split(level_counts)] * 2,
        [(HEIGHT, WIDTH)] * 2,
    )
    ours = Detection(
        top_k=top_k, keep_empty=True, box_transform=BBoxTransform(std=(1.0, 1.0, 1.0, 1.0))
    )
    actual = ours(logits, deltas, anchors, level_counts, IMAGES)
    for mine, its in zip(actual, expected, strict=True):
        assert len(its["scores"].unique()) < len(its["scores"])
        assert (its["boxes"][:, 2:] == its["boxes"][:, :2]).any()  # some have no area
        for name in ("scores", "labels", "boxes"):
            assert torch.equal(mine[name], its[name]), name


def test_of_more_rows_than_it_looks_at_it_finds_what_torchvision_finds():
    """Nearly every row of P3 and P4 has a score above the threshold."""
    height, width = 400, 480
    anchors = Anchors()
    boxes = anchors(torch.empty(1, 3, height, width)).double()
    counts = anchors.level_counts(height, width)
    assert counts[0] > MANY
    logits = torch.randn(1, len(boxes), K, dtype=torch.float64)
    deltas = torch.randn(1, len(boxes), 4, dtype=torch.float64) / 10
    assert len(logits.unique()) == logits.numel()  # no order is open
    judge = RetinaNet(NoBackbone(), K)
    (expected,) = judge.postprocess_detections(
        {
            "cls_logits": logits.split(counts, dim=1),
            "bbox_regression": deltas.split(counts, dim=1),
        },
        [boxes.split(counts)],
        [(height, width)],
    )
    ours = Detection(keep_empty=True, box_transform=BBoxTransform(std=(1.0, 1.0, 1.0, 1.0)))
    image = torch.empty(1, 3, height, width)
    (found,) = ours(logits, deltas, boxes, counts, image)
    assert len(found["labels"]) == 300
    for name in ("boxes", "labels"):
        torch.testing.assert_close(found[name], expected[name])


def test_without_a_detection_the_shapes_are_those_of_no_object(outputs):
    logits, *others = outputs
    for detections in Detection()(torch.full_like(logits, -20.0), *others, IMAGES):
        assert detections["boxes"].shape == (0, 4)
        assert detections["scores"].shape == (0,)
        assert detections["labels"].shape == (0,)
        assert detections["labels"].dtype == torch.int64


def test_bfloat16_outputs_are_detected_in_float32(outputs):
    logits, deltas, anchors, level_counts = outputs
    low = Detection()(logits.bfloat16(), deltas.bfloat16(), anchors, level_counts, IMAGES)
    rounded = logits.bfloat16().float(), deltas.bfloat16().float()
    torch.testing.assert_close(low, Detection()(*rounded, anchors, level_counts, IMAGES))
    assert low[0]["scores"].dtype == torch.float32


def test_a_whole_detector_finds_what_the_loops_find(detector, small_batch):
    images = small_batch[0][:, :, :HEIGHT, :WIDTH]
    with torch.no_grad():
        logits, deltas, anchors = detector.predict(images)
    level_counts = detector.anchors.level_counts(HEIGHT, WIDTH)
    for image, actual in enumerate(detector(images)):
        expected = expected_detections(logits[image], deltas[image], anchors, level_counts)
        assert len(actual["scores"]) > 5
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-3)


def at_once():
    """Within it, the way of GPUs and torch.export is gone on a CPU, too."""
    return mock.patch("torch.compiler.is_compiling", lambda: True)


@pytest.mark.parametrize("mean", [-14.0, -4.0, 2.0], ids=["none", "some", "all"])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"top_k": 7, "nms_threshold": 0.1},
        {"top_k": None, "max_detections": None},
        {"max_detections": 11, "score_threshold": 0.3, "keep_empty": True},
    ],
    ids=str,
)
def test_all_images_and_levels_at_once_are_one_after_the_other(outputs, arguments, mean):
    logits, deltas, anchors, level_counts = outputs
    logits = logits + (4 + mean)
    deltas[1, ::5] *= 100  # many boxes end off the image
    detection = quicken(Detection(**arguments))
    others = deltas, anchors, level_counts, IMAGES
    with at_once():
        found = detection(logits, *others)
    for together, alone in zip(found, Detection(**arguments)(logits, *others), strict=True):
        assert (len(alone["scores"]) > 0) == (mean > -14)
        torch.testing.assert_close(together, alone)


def test_at_once_too_a_class_does_not_suppress_another():
    # both boxes of the first anchor are the same; at the image's edges, classes nearly touch
    anchors = torch.tensor([[0.0, 0.0, 20.0, 20.0], [110.0, 76.0, 130.0, 96.0]])
    logits = torch.tensor([[[0.9, 0.1, 0.8], [0.7, 0.6, 0.1]]]).logit()
    detection = quicken(Detection(score_threshold=0.5, nms_threshold=0.01))
    with at_once():
        (found,) = detection(logits, torch.zeros(1, 2, 4), anchors, [1, 1], IMAGES)
    assert found["labels"].tolist() == [0, 2, 0, 1]


def test_a_level_with_fewer_entries_than_are_wanted_gives_all_and_no_others():
    logits = torch.tensor([5.0, 4.0, 3.0, 2.0, 9.0, -torch.inf]).view(1, 3, 2)
    rows, classes, best = best_entries(logits, [2, 1], top_k=3)
    assert rows.tolist() == [[0, 0, 1, 2, 2, 2]]
    assert classes.tolist()[0][:4] == [0, 1, 0, 0]
    assert best.tolist() == [[5.0, 4.0, 3.0, 9.0, -math.inf, -math.inf]]


def test_what_is_chosen_at_once_does_not_wait_for_values(outputs):
    logits, _, _, level_counts = outputs
    there_are_none = logits.to("meta")  # shapes without values
    expected = best_entries(logits, level_counts, top_k=50)
    for chosen, real in zip(
        best_entries(there_are_none, level_counts, top_k=50), expected, strict=True
    ):
        assert chosen.is_meta and chosen.shape == real.shape and chosen.dtype == real.dtype
