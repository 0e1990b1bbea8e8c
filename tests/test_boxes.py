"""Boxes become targets and targets become boxes again, by the formulas of the R-CNN paper."""

import math

import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import clip_boxes_to_image

from retinanet_lite import BBoxTransform, ClipBoxes


def boxes_of(count: int) -> torch.Tensor:
    corner = torch.rand(count, 2) * 500
    return torch.cat([corner, corner + 5 + torch.rand(count, 2) * 200], dim=1)


coordinates = st.floats(-1000, 1000)
sides = st.floats(1, 60)  # two of them differ by less than decode's largest factor, 62.5
a_box = st.builds(lambda x, y, w, h: [x, y, x + w, y + h], coordinates, coordinates, sides, sides)


@given(anchor=a_box, box=a_box)
def test_decode_undoes_encode(anchor, box):
    transform = BBoxTransform().double()
    anchor, box = torch.tensor([anchor]).double(), torch.tensor([box]).double()
    decoded = transform.decode(anchor, transform.encode(anchor, box))
    torch.testing.assert_close(decoded, box, rtol=1e-9, atol=1e-9)


@given(anchor=a_box, box=a_box)
def test_targets_are_the_papers(anchor, box):
    anchors, boxes = torch.tensor([anchor]).double(), torch.tensor([box]).double()
    actual = BBoxTransform().double().encode(anchors, boxes)[0]
    expected = oracles.encode(anchors[0].tolist(), boxes[0].tolist())
    torch.testing.assert_close(actual, torch.tensor(expected).double(), rtol=1e-6, atol=1e-6)


def test_a_box_twice_as_wide_and_a_quarter_to_the_right_by_hand():
    anchor = torch.tensor([[100.0, 100.0, 140.0, 180.0]]).double()  # centre (120, 140), 40×80
    box = torch.tensor([[90.0, 100.0, 170.0, 180.0]]).double()  # centre (130, 140), 80×80
    expected = torch.tensor([[0.25 / 0.1, 0.0, math.log(2) / 0.2, 0.0]]).double()
    torch.testing.assert_close(BBoxTransform().double().encode(anchor, box), expected)
    torch.testing.assert_close(BBoxTransform().double().decode(anchor, expected), box)


@pytest.mark.parametrize(
    ("std", "weights"),
    [
        ((1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0)),
        ((0.1, 0.1, 0.2, 0.2), (10.0, 10.0, 5.0, 5.0)),
    ],
)
def test_torchvision_encodes_and_decodes_alike(std, weights):
    ours, theirs = BBoxTransform(std=std), BoxCoder(weights)
    anchors, boxes = boxes_of(200), boxes_of(200)
    expected = theirs.encode_single(boxes, anchors)
    torch.testing.assert_close(ours.encode(anchors, boxes), expected, rtol=1e-4, atol=1e-4)
    deltas = torch.randn(200, 4) * 30  # some above the largest scale
    expected = theirs.decode_single(deltas, anchors)
    torch.testing.assert_close(ours.decode(anchors, deltas), expected, rtol=1e-4, atol=1e-2)


def test_decode_grows_an_anchor_by_at_most_62_and_a_half():
    anchor = torch.tensor([[0.0, 0.0, 16.0, 32.0]])
    deltas = torch.tensor([[0.0, 0.0, 1000.0, 1000.0]])
    size = (
        BBoxTransform().decode(anchor, deltas)[0, 2:]
        - BBoxTransform().decode(anchor, deltas)[0, :2]
    )
    torch.testing.assert_close(size, torch.tensor([1000.0, 2000.0]))


def test_the_largest_scale_is_an_argument():
    anchor = torch.tensor([[-1.0, -1.0, 1.0, 1.0]])
    decoded = BBoxTransform(max_log_scale=0.0).decode(anchor, torch.tensor([[0.0, 0.0, 9.0, 9.0]]))
    torch.testing.assert_close(decoded, anchor)


def test_calling_the_transform_decodes():
    anchors, deltas = boxes_of(5), torch.randn(5, 4)
    expected = [
        oracles.decode(a, d) for a, d in zip(anchors.tolist(), deltas.tolist(), strict=True)
    ]
    torch.testing.assert_close(BBoxTransform()(anchors, deltas), torch.tensor(expected))


def test_a_batch_of_boxes_decodes_as_its_images_do():
    transform, anchors, deltas = BBoxTransform(), boxes_of(7), torch.randn(3, 7, 4)
    together = transform.decode(anchors, deltas)
    torch.testing.assert_close(
        together, torch.stack([transform.decode(anchors, d) for d in deltas])
    )


def test_clipped_boxes_are_torchvisions():
    boxes = torch.randn(300, 4) * 200
    clipped = ClipBoxes()(boxes, torch.empty(2, 3, 64, 96))
    torch.testing.assert_close(clipped, clip_boxes_to_image(boxes, (64, 96)), rtol=0, atol=0)


def test_clipping_leaves_the_boxes_that_came_in_alone():
    boxes = torch.tensor([[-10.0, -10.0, 200.0, 200.0]])
    ClipBoxes()(boxes, torch.empty(1, 3, 64, 96))
    assert boxes.tolist() == [[-10.0, -10.0, 200.0, 200.0]]


def test_the_transform_follows_its_model_and_is_not_saved():
    transform = BBoxTransform()
    assert transform.state_dict() == {}
    assert transform.to("meta").decode(boxes_of(2).to("meta"), boxes_of(2).to("meta")).is_meta
