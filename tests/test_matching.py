"""Each anchor finds the object that it learns, as in a plain loop over all pairs."""

import oracles
import pytest
import torch
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from retinanet_lite import Anchors, match_anchors
from retinanet_lite.data.drawing import random_scene


def boxes_of(count: int, side: float = 100.0) -> torch.Tensor:
    """Boxes that overlap a lot, so that every kind of match occurs."""
    corner = torch.rand(count, 2) * side
    return torch.cat([corner, corner + side / 3 + torch.rand(count, 2) * side], dim=1)


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
@pytest.mark.parametrize("objects", [1, 3, 40])
def test_a_plain_loop_finds_the_same(objects, keep_best):
    anchors, boxes = boxes_of(60), boxes_of(objects)
    expected = oracles.match(box_iou(anchors, boxes).tolist(), keep_best=keep_best)
    assert match_anchors(anchors, boxes, keep_best=keep_best).tolist() == expected


def on_a_grid(count: int) -> torch.Tensor:
    """Boxes of a few sizes at a few places: many overlaps are equal."""
    corner = torch.randint(0, 8, (count, 2)) * 6.0
    return torch.cat([corner, corner + torch.randint(1, 4, (count, 2)) * 8.0], dim=1)


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


def test_low_quality_keeps_every_anchor_that_is_equally_an_objects_best():
    anchors = torch.tensor([[x, 0.0, x + 10, 10.0] for x in (0.0, 2.0, 50.0)])
    between = torch.tensor([[5.0, 0.0, 7.0, 10.0]])  # IoU 0.2 with the first two
    assert match_anchors(anchors, between, keep_best="low_quality").tolist() == [0, 0, -1]
    assert torchvisions(anchors, between).tolist() == [0, 0, -1]


def test_low_quality_leaves_a_best_anchor_to_the_object_that_it_overlaps_most():
    anchor = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    boxes = torch.tensor([[0.0, 0.0, 2.0, 10.0], [0.0, 0.0, 3.0, 10.0]])  # IoU 0.2 and 0.3
    assert match_anchors(anchor, boxes, keep_best="low_quality").tolist() == [1]
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 1.0, 10.0, 11.0]])
    large, thin = [0.0, 1.0, 10.0, 11.0], [0.0, 0.0, 10.0, 1.0]
    boxes = torch.tensor([large, thin])  # thin touches the first anchor alone, IoU 0.1
    assert match_anchors(anchors, boxes, keep_best="low_quality").tolist() == [0, 0]


def test_low_quality_keeps_nothing_for_an_object_that_no_anchor_touches():
    anchors, boxes = boxes_of(150), boxes_of(5)
    far = torch.tensor([[5000.0, 5000.0, 5010.0, 5010.0]])
    expected = torchvisions(anchors, boxes)
    assert (expected < 0).any()
    actual = match_anchors(anchors, torch.cat([boxes, far]), keep_best="low_quality")
    assert actual.tolist() == expected.tolist()
    # to torchvision all anchors are equally its best, with IoU 0: not one learns the background
    assert (torchvisions(anchors, torch.cat([boxes, far])) >= 0).all()


def test_in_a_scene_every_object_keeps_its_best_anchor():
    scene = random_scene(3, 128, 160, num_objects=(8, 8), smallest=6)
    anchors = Anchors()(torch.empty(1, 3, 128, 160))
    overlaps = box_iou(anchors, scene.boxes)
    matches = match_anchors(anchors, scene.boxes)
    assert matches.tolist() == oracles.match(overlaps.tolist())
    assert set(range(8)) <= set(matches.tolist())
    assert overlaps.max(dim=0).values.min() < 0.4  # by its overlap alone one would learn nothing


def test_an_object_that_no_anchor_covers_is_learned_by_its_best_anchor():
    anchors = torch.tensor([[0.0, 0.0, 32.0, 32.0], [40.0, 0.0, 72.0, 32.0]])
    small = torch.tensor([[50.0, 10.0, 58.0, 18.0]])  # IoU 1/16 with the second
    assert match_anchors(anchors, small).tolist() == [-1, 0]
    assert match_anchors(anchors, small, keep_best=False).tolist() == [-1, -1]


def test_a_best_anchor_of_two_objects_learns_the_one_that_it_overlaps_more():
    anchor = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    less, more = [0.0, 0.0, 2.0, 10.0], [0.0, 0.0, 3.0, 10.0]  # IoU 0.2 and 0.3
    assert match_anchors(anchor, torch.tensor([less, more])).tolist() == [1]
    assert match_anchors(anchor, torch.tensor([more, less])).tolist() == [0]


def test_a_best_anchor_learns_its_object_though_it_overlaps_another_more():
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 1.0, 10.0, 11.0]])
    large = [0.0, 1.0, 10.0, 11.0]  # the second anchor, exactly; IoU 9/11 with the first
    thin = [0.0, 0.0, 10.0, 1.0]  # touches only the first anchor, IoU 0.1
    assert match_anchors(anchors, torch.tensor([large, thin])).tolist() == [1, 0]


def test_of_two_equally_good_anchors_the_first_is_the_best():
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0], [2.0, 0.0, 12.0, 10.0]])
    between = torch.tensor([[5.0, 0.0, 7.0, 10.0]])  # IoU 0.2 with both
    assert match_anchors(anchors, between).tolist() == [0, -1]


def test_an_anchor_between_two_equal_overlaps_learns_the_first_object():
    anchor = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    twins = torch.tensor([[0.0, 0.0, 10.0, 6.0], [0.0, 4.0, 10.0, 10.0]])  # IoU 0.6 with both
    assert match_anchors(anchor, twins, keep_best=False).tolist() == [0]


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


def test_500_objects_are_matched_as_in_a_loop():
    anchors, boxes = boxes_of(150, side=400.0), boxes_of(500, side=400.0)
    expected = oracles.match(box_iou(anchors, boxes).tolist())
    assert match_anchors(anchors, boxes).tolist() == expected


@pytest.mark.parametrize(("positive", "negative"), [(0.4, 0.5), (1.1, 0.4), (0.5, -0.1)])
def test_impossible_thresholds_are_refused(positive, negative):
    with pytest.raises(ValueError, match="0 ≤ negative ≤ positive ≤ 1; got negative="):
        match_anchors(boxes_of(3), boxes_of(1), positive, negative)


@pytest.mark.parametrize("keep_best", ["best", "True", "", None, 2])
@pytest.mark.parametrize("objects", [0, 2])
def test_an_unknown_rule_for_the_best_anchors_is_refused(keep_best, objects):
    message = f'keep_best must be True, False or "low_quality"; got {keep_best!r}'
    with pytest.raises(ValueError, match=message):
        match_anchors(boxes_of(3), boxes_of(objects), keep_best=keep_best)
