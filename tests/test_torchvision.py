"""A loaded torchvision RetinaNet gives torchvision's numbers, from features to gradients."""

import others
import pytest
import torch
import torchvision
from torch.utils._pytree import tree_map

from retinanet_lite import Anchors, RetinaNet, from_torchvision, retinanet_resnet18, to_torchvision
from retinanet_lite.data.batches import to_annotations
from retinanet_lite.model.backbone import RESNETS
from retinanet_lite.zoo.parameters import their_name
from retinanet_lite.zoo.torchvision_retinanet import NAMES

CASES = {  # height, width and number of images
    "320x320-2": (320, 320, 2),
    "333x500-1": (333, 500, 1),
}
# those of the outputs are compared everywhere; the way back to the parameters takes longest
GRADIENTS_OF_PARAMETERS = {("v1", 333), ("v2", 320)}


def assert_near(actual: torch.Tensor, expected: torch.Tensor, relative: float) -> None:
    """Every entry, measured by the largest."""
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= relative * expected.abs().max()


def objects_in(height: int, width: int, count: int) -> dict[str, torch.Tensor]:
    """Objects of all sizes, from 6 pixels to the whole image."""
    side = 6 * (torch.tensor([width, height]) / 6) ** torch.rand(count, 1)  # [count, 2]
    corner = torch.rand(count, 2) * (torch.tensor([width, height]) - side)
    boxes = torch.cat([corner, corner + side], dim=1)
    return {"boxes": boxes, "labels": torch.randint(20, (count,))}


def both(theirs, ours, images: torch.Tensor, targets: list[dict]) -> tuple[dict, dict]:
    """What each computes for a batch."""
    images = images.to(memory_format=torch.channels_last)
    expected = others.numbers(theirs, images)
    expected["losses"] = others.losses(theirs, expected, targets)

    actual = {}
    hooks = [
        part.register_forward_hook(lambda m, i, out, name=name: actual.update({name: out}))
        for name, part in (("C", ours.backbone), ("P", ours.fpn))
    ]
    outputs = ours.predict(images)
    for hook in hooks:
        hook.remove()
    actual |= zip(("logits", "deltas", "anchors"), outputs, strict=True)

    # of the same outputs, in float64, and no two of them equal: rounding gives them no order
    logits, *places = (expected[key].detach().double() for key in ("logits", "deltas", "anchors"))
    same = (logits + 1e-9 * torch.rand_like(logits), *places)
    counts = ours.anchors.level_counts(*images.shape[-2:])
    expected["detections"] = others.detections(theirs, *same, counts, images)
    actual["detections"] = ours.detection(*same, counts, images)

    annotations = to_annotations([(target["boxes"], target["labels"]) for target in targets])
    actual["losses"] = ours.focal_loss(*outputs, annotations)
    return actual, expected


def gradients(found: dict, parameters: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those of the losses' sum, of the outputs and of parameters by name."""
    inputs = {"logits": found["logits"], "deltas": found["deltas"], **parameters}
    values = torch.autograd.grad(sum(found["losses"].values()), list(inputs.values()))
    return dict(zip(inputs, values, strict=True))


@pytest.fixture(scope="module", params=["v1", "v2"])
def version(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def models(version) -> tuple[others.RetinaNet, RetinaNet]:
    """torchvision's, and what loads from it."""
    torch.manual_seed(0)
    theirs = others.published(version)
    ours = from_torchvision(theirs.state_dict(), freeze_bn=False)
    return tuple(model.to(memory_format=torch.channels_last) for model in (theirs, ours))


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def numbers(request, version, models) -> tuple[dict, dict]:
    height, width, batch_size = request.param
    torch.manual_seed(0)
    targets = [objects_in(height, width, count) for count in (7, 0)[:batch_size]]
    actual, expected = both(*models, torch.randn(batch_size, 3, height, width), targets)
    mine, its = {}, {}
    if (version, height) in GRADIENTS_OF_PARAMETERS:
        theirs, ours = models
        mine = {their_name(name, NAMES): p for name, p in ours.named_parameters()}
        its = dict(theirs.named_parameters())
    actual["gradients"] = gradients(actual, mine)
    expected["gradients"] = gradients(expected, its)
    return tree_map(torch.Tensor.detach, (actual, expected))


def test_features_are_torchvisions(numbers):
    actual, expected = numbers
    for kind in ("C", "P"):
        for mine, its in zip(actual[kind], expected[kind], strict=True):
            assert_near(mine, its, 1e-5)


def test_logits_and_deltas_are_torchvisions(numbers):
    actual, expected = numbers
    assert_near(actual["logits"], expected["logits"], 1e-5)
    assert_near(actual["deltas"], expected["deltas"], 1e-5)


def test_anchors_are_torchvisions_to_the_last_bit(numbers):
    actual, expected = numbers
    assert torch.equal(actual["anchors"], expected["anchors"])


def test_detections_are_torchvisions_in_its_order(numbers):
    actual, expected = numbers
    for mine, its in zip(actual["detections"], expected["detections"], strict=True):
        assert len(its["scores"]) > 50
        assert mine["labels"].tolist() == its["labels"].tolist()
        torch.testing.assert_close(mine["boxes"], its["boxes"], rtol=0, atol=1e-3)
        torch.testing.assert_close(mine["scores"], its["scores"], rtol=0, atol=1e-6)


def test_losses_are_torchvisions(numbers):
    actual, expected = numbers
    for name, loss in expected["losses"].items():
        assert loss > 0
        torch.testing.assert_close(actual["losses"][name], loss, rtol=1e-5, atol=0)


def test_gradients_are_torchvisions(numbers):
    actual, expected = numbers
    assert actual["gradients"].keys() == expected["gradients"].keys()
    for name, gradient in expected["gradients"].items():
        assert gradient.any(), name
        assert_near(actual["gradients"][name], gradient, 1e-4)


@pytest.mark.parametrize("depth, p6_from", [("resnet18", "C5"), ("resnet101", "P5")])
def test_another_depth_is_read(depth, p6_from):
    theirs = others.of_depth(depth, p6_from)
    ours = from_torchvision(theirs.state_dict(), freeze_bn=False)
    assert (ours.backbone.block, ours.backbone.layers) == RESNETS[depth]
    images = torch.randn(1, 3, 97, 130)
    with torch.no_grad():
        expected = others.numbers(theirs, images)
        logits, deltas, anchors = ours.predict(images)
    assert_near(logits, expected["logits"], 1e-5)
    assert_near(deltas, expected["deltas"], 1e-5)
    assert torch.equal(anchors, expected["anchors"])
    assert ours(images)[0]["labels"].tolist() == expected["detections"][0]["labels"].tolist()


def test_anchors_of_its_own_are_given_by_name():
    generator = torchvision.models.detection.anchor_utils.AnchorGenerator(
        tuple((4 * stride,) for stride in (8, 16, 32, 64, 128)), ((0.25, 1.0),) * 5
    )
    theirs = others.of_depth("resnet18", "C5", anchor_generator=generator)
    anchors = Anchors(
        ratios=(0.25, 1.0), scales=(1.0,), offset=0.0, rounded=True, floor_strides=True
    )
    ours = from_torchvision(theirs.state_dict(), anchors=anchors)
    images = torch.randn(2, 3, 97, 130)
    with torch.no_grad():
        expected = others.numbers(theirs, images)
    assert torch.equal(ours.predict(images)[2], expected["anchors"])
    for mine, its in zip(ours(images), expected["detections"], strict=True):
        assert len(its["labels"]) > 5
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-3)


# ── back ──


def test_there_and_back_every_parameter_is_the_same(models, recwarn):
    theirs, ours = models
    state = theirs.state_dict()
    back = to_torchvision(ours)
    assert not recwarn.list  # torchvision reads them with the settings that they came with
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], value) for name, value in state.items())
    theirs.load_state_dict(back)


def test_our_own_model_goes_there_and_back_too():
    model = retinanet_resnet18(num_classes=3)
    with pytest.warns(UserWarning) as warned:
        there = to_torchvision(model)
    for setting in ("offset is 0.5, there 0.0", "std is [0.1", "rounded is False, there True"):
        assert setting in str(warned[0].message)
    back = from_torchvision(there).state_dict()
    assert all(torch.equal(back[name], value) for name, value in model.state_dict().items())
    others.of_depth("resnet18", "C5", num_classes=3).load_state_dict(there)
