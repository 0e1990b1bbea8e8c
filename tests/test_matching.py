"""Each anchor finds the object that it learns, as in a plain loop over all pairs."""

import oracles
import pytest
import torch
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from retinanet_lite import match_anchors


def boxes_of(count: int, side: float = 100.0) -> torch.Tensor:
    """Boxes that overlap a lot, so that every kind of match occurs."""
    corner = torch.rand(count, 2) * side
    return torch.cat([corner, corner + side / 3 + torch.rand(count, 2) * side], dim=1)


def on_a_grid(count: int) -> torch.Tensor:
    """Boxes of a few sizes at a few places: many overlaps are equal."""
    corner = torch.randint(0, 8, (count, 2)) * 6.0
    return torch.cat([corner, corner + torch.randint(1, 4, (count, 2)) * 8.0], dim=1)


@pytest.mark.parametrize(("positive", "negative"), [(0.5, 0.4), (0.7, 0.3), (0.6, 0.6)])
def test_without_keeping_the_best_it_is_torchvisions_matcher(positive, negative):
    anchors, boxes = boxes_of(400), boxes_of(12)
    matcher = Matcher(positive, negative, allow_low_quality_matches=False)
    expected = matcher(box_iou(boxes, anchors))
    actual = match_anchors(anchors, boxes, positive, negative, keep_best=False)
    assert actual.dtype == torch.int64
    assert actual.tolist() == expected.tolist()
    assert -1 in actual and actual.max() > 0  # both kinds occur


@pytest.mark.parametrize("keep_best", [True, False, "low_quality"])
@pytest.mark.parametrize("objects", [1, 3, 150])
@pytest.mark.parametrize("make", [boxes_of, on_a_grid])
def test_a_plain_loop_finds_the_same(make, objects, keep_best):
    anchors, boxes = make(60), make(objects)
    expected = oracles.match(box_iou(anchors, boxes).tolist(), keep_best=keep_best)
    assert match_anchors(anchors, boxes, keep_best=keep_best).tolist() == expected


def torchvisions(anchors: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """The rule by which torchvision's RetinaNet is trained."""
    return Matcher(0.5, 0.4, allow_low_quality_matches=True)(box_iou(boxes, anchors))


@pytest.mark.parametrize("objects", [1, 12, 500])
@pytest.mark.parametrize("make", [boxes_of, on_a_grid])
def test_low_quality_keeps_what_torchvision_keeps(make, objects):
    anchors, boxes = make(150), make(objects)
    assert box_iou(anchors, boxes).amax(dim=0).min() > 0  # no object that no anchor touches
    expected = torchvisions(anchors, boxes)
    actual = match_anchors(anchors, boxes, keep_best="low_quality")
    assert actual.dtype == torch.int64
    assert actual.tolist() == expected.tolist()


def test_low_quality_keeps_nothing_for_an_object_that_no_anchor_touches():
    anchors, boxes = boxes_of(150), boxes_of(5)
    far = torch.tensor([[5000.0, 5000.0, 5010.0, 5010.0]])
    expected = torchvisions(anchors, boxes)
    assert (expected < 0).any()
    actual = match_anchors(anchors, torch.cat([boxes, far]), keep_best="low_quality")
    assert actual.tolist() == expected.tolist()
    # to torchvision all anchors are equally its best, with IoU 0: not one learns the background
    assert (torchvisions(anchors, torch.cat([boxes, far])) >= 0).all()


def test_an_object_off_the_image_claims_no_anchor():
    anchors = boxes_of(20)
    far = torch.tensor([[5000.0, 5000.0, 5010.0, 5010.0]])
    assert match_anchors(anchors, far).tolist() == [-1] * 20


def test_thresholds_belong_to_positive_and_to_ignored():
    anchors = torch.tensor([[0.0, 0.0, 10.0, h] for h in (4.0, 5.0, 6.0, 3.0)])
    box = torch.tensor([[0.0, 0.0, 10.0, 8.0]])  # IoU 0.5, 0.625, 0.75, 0.375
    matches = match_anchors(anchors, box, positive=0.625, negative=0.5, keep_best=False)
    assert matches.tolist() == [-2, 0, 0, -1]


def test_without_objects_every_anchor_learns_the_background():
    matches = match_anchors(boxes_of(30), torch.empty(0, 4))
    assert matches.dtype == torch.int64
    assert matches.tolist() == [-1] * 30


@pytest.mark.parametrize(("positive", "negative"), [(0.4, 0.5), (1.1, 0.4), (0.5, -0.1)])
def test_impossible_thresholds_are_refused(positive, negative):
    with pytest.raises(ValueError, match="0 ≤ negative ≤ positive ≤ 1; got negative="):
        match_anchors(boxes_of(3), boxes_of(1), positive, negative)


@pytest.mark.parametrize("objects", [0, 2])
def test_an_unknown_rule_for_the_best_anchors_is_refused(objects):
    message = "keep_best must be True, False or \"low_quality\"; got 'best'"
    with pytest.raises(ValueError, match=message):
        match_anchors(boxes_of(3), boxes_of(objects), keep_best="best")
