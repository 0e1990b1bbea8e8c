"""The loss of a batch is what loops over images, anchors and classes add up to."""

import oracles
import pytest
import torch
from torchvision.ops import box_iou

from retinanet_lite import Anchors, BBoxTransform, FocalLoss

K = 3
PADDING = [-1.0] * 5


@pytest.fixture
def anchors() -> torch.Tensor:
    return Anchors()(torch.empty(1, 3, 64, 96))  # [1116, 4]


@pytest.fixture
def outputs(anchors) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and deltas for two images, large and small ones among them."""
    return torch.randn(2, len(anchors), K) * 2, torch.randn(2, len(anchors), 4)


@pytest.fixture
def annotations() -> torch.Tensor:
    """Two objects and three: one that many anchors cover, one none, two on the same anchors."""
    first = [[10.0, 8.0, 50.0, 44.0, 0.0], [70.0, 40.0, 76.0, 45.0, 2.0], PADDING]
    second = [
        [0.0, 0.0, 60.0, 60.0, 1.0],
        [1.0, 1.0, 59.0, 61.0, 0.0],
        [30.0, 2.0, 94.0, 30.0, 1.0],
    ]
    return torch.tensor([first, second])


def expected_losses(
    logits,
    deltas,
    anchors,
    annotations,
    *,
    alpha=0.25,
    gamma=2.0,
    beta=1 / 9,
    std=(0.1, 0.1, 0.2, 0.2),
    box_loss="smooth_l1",
    **matching,
) -> dict[str, torch.Tensor]:
    """Both losses of a batch, one number after the other."""
    classification = regression = 0.0
    for image in range(len(annotations)):
        objects = [row for row in annotations[image].tolist() if row != PADDING]
        matches = [-1] * len(anchors)
        if objects:
            overlaps = box_iou(anchors, torch.tensor(objects)[:, :4])
            matches = oracles.match(overlaps.tolist(), **matching)
        class_sum = box_sum = 0.0
        for n, match in enumerate(matches):
            if match == -2:
                continue
            for k in range(logits.shape[2]):
                is_object = match >= 0 and objects[match][4] == k
                class_sum += oracles.focal(logits[image, n, k].item(), is_object, alpha, gamma)
            if match >= 0:
                box_sum += expected_box_loss(
                    box_loss,
                    deltas[image, n].tolist(),
                    anchors[n].tolist(),
                    objects[match],
                    std,
                    beta,
                )
        positives = max(1, sum(match >= 0 for match in matches))
        classification += class_sum / positives / len(annotations)
        regression += box_sum / positives / len(annotations)
    return {
        "classification": torch.tensor(classification),
        "regression": torch.tensor(regression),
    }


def expected_box_loss(box_loss, deltas, anchor, box, std, beta) -> float:
    """What one positive anchor adds."""
    if box_loss == "giou":
        return 1 - oracles.giou(oracles.decode(anchor, deltas, std), box)
    targets = oracles.encode(anchor, box, std)
    differences = [delta - target for delta, target in zip(deltas, targets, strict=True)]
    if box_loss == "l1":
        return sum(map(abs, differences))
    return sum(oracles.smooth_l1(difference, beta) for difference in differences) / 4


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"alpha": 0.6, "gamma": 0.5, "beta": 1.0},
        {"positive": 0.6, "negative": 0.3, "keep_best": False},
        {"gamma": 5.0, "positive": 0.45, "negative": 0.45},
        {"keep_best": "low_quality"},
        {"box_loss": "l1"},
        {"box_loss": "giou"},
        {"box_loss": "smooth_l1", "beta": 0.5},
    ],
    ids=str,
)
def test_both_losses_are_the_loops(outputs, anchors, annotations, arguments):
    actual = FocalLoss(**arguments)(*outputs, anchors, annotations)
    expected = expected_losses(*outputs, anchors, annotations, **arguments)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


def test_rows_of_minus_one_may_stand_anywhere(outputs, anchors, annotations):
    logits, deltas = (output[:1] for output in outputs)
    without = FocalLoss()(logits, deltas, anchors, annotations[:1, :2])
    between = FocalLoss()(logits, deltas, anchors, annotations[:1, [0, 2, 1]])
    torch.testing.assert_close(between, without)


def test_an_image_without_objects_teaches_the_background(outputs, anchors, annotations):
    annotations[0] = -1.0
    logits, deltas = (output.requires_grad_() for output in outputs)
    losses = FocalLoss()(logits, deltas, anchors, annotations)
    expected = expected_losses(logits, deltas, anchors, annotations)
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-6)
    sum(losses.values()).backward()
    assert (logits.grad[0] > 0).all()  # every probability is to go down
    assert (deltas.grad[0] == 0).all()


BOX_LOSSES = pytest.mark.parametrize("box_loss", ["smooth_l1", "l1", "giou"])


@BOX_LOSSES
def test_gradients_are_finite_differences_in_float64(box_loss):
    box = torch.tensor([8.0, 10.0, 38.0, 34.0], dtype=torch.float64)
    near = box + 2 * torch.randn(6, 4, dtype=torch.float64)
    anchors = torch.cat([near, near + 40])  # six positive anchors and six of the background
    annotations = torch.tensor([[[*box.tolist(), 0.0]]])
    loss = FocalLoss(box_loss=box_loss).double()
    logits = torch.zeros(1, 12, 1, dtype=torch.float64)
    deltas = torch.randn(1, 12, 4, dtype=torch.float64, requires_grad=True)

    def regression(deltas: torch.Tensor) -> torch.Tensor:
        return loss(logits, deltas, anchors, annotations)["regression"]

    (gradient,) = torch.autograd.grad(regression(deltas), deltas)
    assert gradient[0].any(dim=1).tolist() == [True] * 6 + [False] * 6
    assert torch.autograd.gradcheck(regression, deltas)


def test_unknown_rules_are_refused():
    with pytest.raises(ValueError, match="box_loss must be one of smooth_l1, l1, giou; got 'L1'"):
        FocalLoss(box_loss="L1")
    with pytest.raises(ValueError, match='keep_best must be True, False or "low_quality"'):
        FocalLoss(keep_best="best")


@BOX_LOSSES
@pytest.mark.parametrize("rows", [0, 2])
def test_a_batch_without_any_object_has_no_box_loss(outputs, anchors, rows, box_loss):
    logits, deltas = (output.requires_grad_() for output in outputs)
    annotations = torch.full((2, rows, 5), -1.0)
    losses = FocalLoss(box_loss=box_loss)(logits, deltas, anchors, annotations)
    sum(losses.values()).backward()  # no box loss, and yet a graph to go back through
    assert losses["regression"] == 0
    expected = expected_losses(logits, deltas, anchors, annotations)["classification"]
    torch.testing.assert_close(losses["classification"], expected, rtol=1e-5, atol=1e-6)


@BOX_LOSSES
def test_under_autocast_the_losses_are_float32(outputs, anchors, annotations, box_loss):
    loss = FocalLoss(box_loss=box_loss)
    low = [output.bfloat16() for output in outputs]
    expected = loss(*(output.float() for output in low), anchors, annotations)
    with torch.autocast("cpu", torch.bfloat16):
        actual = loss(*low, anchors, annotations)
    assert {value.dtype for value in actual.values()} == {torch.float32}
    torch.testing.assert_close(actual, expected)  # nothing inside was rounded to bfloat16
    whole = loss(*outputs, anchors, annotations)
    torch.testing.assert_close(actual, whole, rtol=0.01, atol=0.01)


def test_float64_outputs_have_float64_losses(outputs, anchors, annotations):
    losses = FocalLoss().double()(*(o.double() for o in outputs), anchors.double(), annotations)
    assert {loss.dtype for loss in losses.values()} == {torch.float64}


@BOX_LOSSES
def test_boxes_are_learned_by_the_transform_that_was_given(outputs, anchors, annotations, box_loss):
    std = (1.0, 1.0, 1.0, 1.0)
    unit = FocalLoss(box_loss=box_loss, box_transform=BBoxTransform(std=std))
    actual = unit(*outputs, anchors, annotations)
    expected = expected_losses(*outputs, anchors, annotations, std=std, box_loss=box_loss)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)
