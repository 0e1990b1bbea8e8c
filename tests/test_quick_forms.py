"""The fast forms of matching and focal loss are the plain ones, for a whole batch at once."""

from contextlib import nullcontext

import pytest
import torch

from retinanet_lite import Anchors, focal_loss, match_anchors, quicken
from retinanet_lite.fast.quick_losses import focal_loss_sum
from retinanet_lite.fast.quick_matching import CHUNK, match_batch

ANCHORS = Anchors()(torch.empty(1, 3, 96, 130))
RULES = [False, True, "low_quality"]


def batch_of_boxes(*counts: int, step: float = 0.0) -> torch.Tensor:
    """For each image so many boxes of all sizes, filled up with rows of −1; [B, M, 4].

    On a grid of `step` pixels many overlaps are equal.
    """
    boxes = torch.full((len(counts), max(counts), 4), -1.0)
    for i, count in enumerate(counts):
        corner = torch.rand(count, 2) * torch.tensor([110.0, 80.0])
        size = 4 * 20 ** torch.rand(count, 2)
        image = torch.cat([corner, corner + size], dim=1)
        boxes[i, :count] = (image / step).ceil() * step if step else image
    return boxes


@pytest.mark.parametrize("step", [0.0, 16.0])
@pytest.mark.parametrize("keep_best", RULES)
def test_a_batch_is_matched_as_its_images_are(keep_best, step):
    boxes = batch_of_boxes(3, 0, 3 * CHUNK + 1, 1, step=step)
    matches = match_batch(ANCHORS, boxes, 0.5, 0.4, keep_best)
    for image, mine in zip(boxes, matches, strict=True):
        objects = image[image[:, 0] >= 0]
        assert mine.tolist() == match_anchors(ANCHORS, objects, 0.5, 0.4, keep_best).tolist()
    assert {-1, -2} <= set(matches[2].tolist()) and matches[2].max() >= 2 * CHUNK


@pytest.mark.parametrize("keep_best", RULES)
def test_rows_of_minus_one_may_stand_anywhere(keep_best):
    (boxes,) = batch_of_boxes(5)
    holes = torch.full((2, 4), -1.0)
    mixed = torch.cat([holes, boxes[:2], holes, boxes[2:]])
    expected = match_anchors(ANCHORS, boxes, keep_best=keep_best)
    row = torch.tensor([2, 3, 6, 7, 8])
    expected = torch.where(expected >= 0, row[expected.clamp(min=0)], expected)
    assert match_batch(ANCHORS, mixed[None], keep_best=keep_best)[0].tolist() == expected.tolist()


@pytest.mark.parametrize("keep_best", RULES)
@pytest.mark.parametrize("thresholds", [(0.0, 0.0), (1.0, 1.0), (0.7, 0.0)])
def test_thresholds_at_their_ends_are_the_plain_forms(keep_best, thresholds):
    boxes = batch_of_boxes(4, 0, 2)
    matches = match_batch(ANCHORS, boxes, *thresholds, keep_best)
    for image, mine in zip(boxes, matches, strict=True):
        objects = image[image[:, 0] >= 0]
        assert mine.tolist() == match_anchors(ANCHORS, objects, *thresholds, keep_best).tolist()


@pytest.mark.parametrize("keep_best", RULES)
def test_without_a_row_all_anchors_learn_the_background(keep_best):
    matches = match_batch(ANCHORS, torch.empty(2, 0, 4), keep_best=keep_best)
    assert matches.shape == (2, len(ANCHORS)) and (matches == -1).all()


@pytest.mark.parametrize("keep_best", RULES)
def test_matching_does_not_wait_for_values(keep_best):
    boxes = batch_of_boxes(3, CHUNK + 1)
    there_are_none = match_batch(ANCHORS.to("meta"), boxes.to("meta"), keep_best=keep_best)
    assert there_are_none.is_meta
    assert there_are_none.shape == match_batch(ANCHORS, boxes, keep_best=keep_best).shape


# ── the focal loss ──


def inputs(dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits small and large, classes of which some are none, weights of which some are 0."""
    logits = (torch.randn(2, 7, 5, dtype=dtype) * 8).requires_grad_()
    weights = torch.rand(2, 7, dtype=dtype) * (torch.rand(2, 7) > 0.2)
    return logits, torch.randint(-1, 5, (2, 7)), weights


def plain_sum(logits, classes, weights, alpha, gamma) -> torch.Tensor:
    targets = torch.zeros_like(logits)
    for image, row in (classes >= 0).nonzero().tolist():
        targets[image, row, classes[image, row]] = 1
    return (focal_loss(logits, targets, alpha, gamma).sum(dim=2) * weights).sum()


@pytest.mark.parametrize("alpha", [0.25, 0.0, 1.0])
@pytest.mark.parametrize("gamma", [2.0, 0.0, 0.5, 5.0])
def test_the_sum_and_its_gradient_are_those_of_the_entries(alpha, gamma):
    logits, classes, weights = inputs()
    actual = focal_loss_sum(logits, classes, weights, alpha, gamma)
    expected = plain_sum(logits, classes, weights, alpha, gamma)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    # half of it, so that the gradient has to be scaled
    (mine,) = torch.autograd.grad(actual / 2, logits)
    (its,) = torch.autograd.grad(expected / 2, logits)
    torch.testing.assert_close(mine, its, rtol=1e-12, atol=1e-12)


def test_logits_far_out_have_finite_losses_and_gradients():
    far = torch.tensor([-1e4, -100.0, 100.0, 1e4])
    logits = far.repeat(2, 1)[None].requires_grad_()  # [1, 2, 4]
    loss = focal_loss_sum(logits, torch.tensor([[-1, 0]]), torch.ones(1, 2))
    loss.backward()
    # 0.75 · (100 + 10,000) in either row, and 0.25 · 10,000 for the object at −10,000
    assert loss.item() == pytest.approx(2 * 0.75 * 10_100 + 0.25 * 10_000)
    assert logits.grad.tolist() == [[[0, 0, 0.75, 0.75], [-0.25, 0, 0.75, 0.75]]]


def test_the_gradient_may_be_asked_for_twice():
    logits, classes, weights = inputs()
    loss = focal_loss_sum(logits, classes, weights)
    (first,) = torch.autograd.grad(loss, logits, torch.tensor(3.0), retain_graph=True)
    (second,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(first, 3 * second)


def test_after_the_checks_a_step_does_not_wait_for_values(make_tiny, small_batch, monkeypatch):
    """Tensors on "meta" have shapes and no values: whoever asks for one gets an error."""
    monkeypatch.setattr("retinanet_lite.model.retinanet.check_images", lambda *_: None)
    monkeypatch.setattr("retinanet_lite.fast.quick_losses.check_annotations", lambda *_: None)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it knows no "meta"
    model = quicken(make_tiny()).to("meta")
    losses = model(*(x.to("meta") for x in small_batch))
    sum(losses.values()).backward()
    assert all(p.grad.is_meta for p in model.parameters() if p.requires_grad)


@pytest.mark.slow  # it compiles
def test_a_compiled_detector_has_one_graph_and_the_same_losses(make_tiny, small_batch):
    model = quicken(make_tiny())
    expected = model(*small_batch)
    sum(expected.values()).backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    # "aot_eager" follows forward and backward pass as every backend does, without a C compiler
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    losses = compiled(*small_batch)
    sum(losses.values()).backward()
    torch.testing.assert_close(losses, expected)
    for name, p in model.named_parameters():
        if p.requires_grad:
            torch.testing.assert_close(p.grad, gradients[name], rtol=1e-4, atol=1e-6, msg=name)
