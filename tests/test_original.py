"""Parameters of the original, the public pytorch-retinanet, give its numbers wherever it is right.

What it is compared with is in original.py. Where it is wrong, ours is right after loading, too.
"""

import copy

import numpy as np
import pytest
import torch
from original import Original, decode, losses, make_anchors, overlaps
from torch import Tensor

from retinanet_lite import RetinaNet, from_pytorch_retinanet
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.drawing import random_scene

SIZE = (128, 160)
NO_OBJECT = (-1.0,) * 5


@pytest.fixture(scope="module")
def original() -> Original:
    """The original over ResNet-18, narrower to be quicker; tests leave it as it is."""
    torch.manual_seed(0)
    return Original("resnet18", features=64)


@pytest.fixture(scope="module")
def ours(original) -> RetinaNet:
    """What loads from it; tests leave it as it is."""
    return from_pytorch_retinanet(original.state_dict())


@pytest.fixture
def changed(original):
    """The original and ours, of its parameters with something added to an output's biases."""

    def change(head: str, *added: float) -> tuple[Original, RetinaNet]:
        state = {key: value.clone() for key, value in original.state_dict().items()}
        state[f"{head}Model.output.bias"].view(-1, len(added)).add_(torch.tensor(added))
        theirs = copy.deepcopy(original)
        theirs.load_state_dict(state)
        return theirs, from_pytorch_retinanet(state)

    return change


def scenes(count: int, height: int, width: int) -> Tensor:
    """Normalised images with something on them."""
    return to_batch([random_scene(i, height, width, num_objects=(2, 4)) for i in range(count)])[0]


def annotated(*images: list[tuple[float, ...]]) -> Tensor:
    """Annotations [B, M, 5] of the objects x1, y1, x2, y2, class of each image."""
    most = max(1, *map(len, images))
    return torch.tensor([rows + [NO_OBJECT] * (most - len(rows)) for rows in images])


def by_score(detections: dict[str, Tensor]) -> dict[str, Tensor]:
    order = detections["scores"].argsort(descending=True, stable=True)
    return {name: values[order] for name, values in detections.items()}


def assert_same(actual, expected) -> None:
    """Boxes within a thousandth of a pixel, scores within 1e-5, the same labels."""
    assert actual["labels"].tolist() == expected["labels"].tolist()
    torch.testing.assert_close(actual["scores"], expected["scores"], rtol=1e-5, atol=0)
    torch.testing.assert_close(actual["boxes"], expected["boxes"], rtol=0, atol=1e-3)


def theirs_of(name: str) -> str:
    """The original's name of a parameter of ours."""
    for part, other in [
        ("backbone.", ""),
        ("fpn.lateral3", "fpn.P3_1"),
        ("fpn.lateral4", "fpn.P4_1"),
        ("fpn.lateral5", "fpn.P5_1"),
        ("fpn.output3", "fpn.P3_2"),
        ("fpn.output4", "fpn.P4_2"),
        ("fpn.output5", "fpn.P5_2"),
        ("fpn.p6", "fpn.P6"),
        ("fpn.p7", "fpn.P7_2"),
        ("classification_model.", "classificationModel."),
        ("regression_model.", "regressionModel."),
    ]:
        if name.startswith(part):
            return other + name.removeprefix(part)
    return name


# the parameters


def test_every_value_has_its_place(original, ours):
    theirs = original.state_dict()
    mine = {theirs_of(name): value for name, value in ours.state_dict().items()}
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    assert sum(name.endswith("num_batches_tracked") for name in mine) == 20


@pytest.mark.parametrize("under", ["state_dict", "model_state_dict"])
def test_a_file_loads_as_training_on_several_gpus_left_it(original, ours, under, tmp_path):
    state = {f"module.{name}": value for name, value in original.state_dict().items()}
    torch.save({"epoch": 3, under: state}, tmp_path / "state.pt")
    loaded = from_pytorch_retinanet(tmp_path / "state.pt")
    torch.testing.assert_close(loaded.state_dict(), ours.state_dict(), rtol=0, atol=0)


# the numbers


@pytest.mark.parametrize("resnet", ["resnet34", "resnet50"])
@torch.no_grad()
def test_the_rows_are_the_originals(resnet):
    theirs = Original(resnet)
    images = scenes(1, 64, 96)
    probabilities, deltas = theirs(images)
    logits, actual, _ = from_pytorch_retinanet(theirs.state_dict()).predict(images)
    torch.testing.assert_close(logits.sigmoid(), probabilities, rtol=1e-5, atol=0)
    assert (actual - deltas).abs().max() <= 1e-5 * deltas.abs().max()


def test_a_box_may_grow_as_far_as_the_originals(ours):
    """Others stop at 1000 / 16 times the anchor's size, which is e^4.1."""
    deltas = torch.zeros(200, 4)
    deltas[:, 2:] = torch.linspace(-50.0, 200.0, 200)[:, None]  # up to e^40
    anchors = make_anchors(*SIZE)[:200]
    expected = torch.from_numpy(decode(anchors, deltas.numpy())).float()
    actual = ours.regress_boxes.decode(torch.from_numpy(anchors), deltas)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-4)


BIG = (14.0, 9.0, 139.0, 118.0, 2.0)
SMALL = (70.0, 60.0, 96.0, 84.0, 0.0)
TINY = (50.0, 60.0, 60.0, 70.0, 1.0)
LONG = (20.0, 40.0, 150.0, 46.0, 3.0)
THIN = (81.0, 20.0, 81.5, 90.0, 2.0)
HALF = (36.0, 44.0, 68.0, 60.0, 1.0)  # overlaps the anchor (36, 44, 68, 76) by 0.5
TWO_FIFTHS = (88.0, 60.0, 152.0, 100.0, 3.0)  # overlaps the anchor (100, 60, 132, 92) by 0.4
OBJECTS = {
    "none": [[]],
    "many": [[SMALL, BIG, (20.0, 70.0, 64.0, 100.0, 3.0), (60.0, 50.0, 100.0, 90.0, 1.0)]],
    "over the border": [[(-20.0, 90.0, 40.0, 150.0, 1.0)]],
    "not covered": [[TINY, LONG]],
    "on the thresholds": [[HALF, TWO_FIFTHS]],
    "three images": [[SMALL, BIG], [], [TINY, SMALL]],
}


@pytest.mark.parametrize("case", OBJECTS)
@torch.no_grad()
def test_the_losses_are_the_originals(original, ours, case):
    images, annotations = scenes(len(OBJECTS[case]), *SIZE), annotated(*OBJECTS[case])
    expected = original.losses(images, annotations)
    assert (expected["regression"] == 0) == (case in ("none", "not covered"))
    ours.train()  # the original's batch norm stands in eval mode, and ours does so here
    try:
        actual = ours(images, annotations)
    finally:
        ours.eval()
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=0)


def test_two_objects_lie_on_the_thresholds():
    """Else the losses above would not tell "from 0.5 on" from "above 0.5"."""
    anchors = make_anchors(*SIZE).astype(float)
    assert 0.5 in overlaps(np.array(HALF[:4]), anchors)
    assert 0.4 in overlaps(np.array(TWO_FIFTHS[:4]), anchors)


def test_every_gradient_is_the_originals():
    theirs = Original(features=64)
    ours = from_pytorch_retinanet(theirs.state_dict(), freeze_bn=False)  # in eval mode, as theirs
    images, annotations = scenes(2, 128, 128), annotated([SMALL, BIG], [SMALL])
    probabilities, _ = theirs(images)
    assert probabilities.min() > 2e-4 and probabilities.max() < 1 - 2e-4  # off from its clamp
    for model in (theirs.losses, ours):
        sum(model(images, annotations).values()).backward()
    mine = {theirs_of(name): p.grad for name, p in ours.named_parameters()}
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    assert mine.keys() == expected.keys()
    assert all(gradient.any() for gradient in expected.values())
    apart = {
        name: ((mine[name] - gradient).abs().max() / gradient.abs().max()).item()
        for name, gradient in expected.items()
    }
    assert {name: ratio for name, ratio in apart.items() if ratio > 1e-4} == {}


def test_detections_are_the_originals_with_the_best_first(original, ours):
    images = scenes(1, 250, 122)
    expected = by_score(original.detect(images))
    assert (expected["labels"].bincount(minlength=4) > 10).all()
    assert (expected["boxes"][:, 2:] > expected["boxes"][:, :2]).all()  # none lies off the image
    (actual,) = ours(images)
    assert_same(actual, expected)


def test_nothing_is_left_out_for_there_being_much(changed):
    """More than the 1000 of a level and the 300 of an image that others keep.

    In float64: in float32, of so many pairs one may overlap by 0.5 or not as it is rounded.
    """
    theirs, ours = (model.double() for model in changed("classification", 2.0))
    images = scenes(1, *SIZE).double()
    assert (theirs(images)[0][:, : 16 * 20 * 9] > 0.05).sum() > 1000  # on P3
    expected = by_score(theirs.detect(images))
    assert len(expected["scores"]) > 300
    (actual,) = ours(images)
    assert_same(actual, expected)


# where the original is wrong


def test_images_of_a_batch_are_not_mixed(original, ours):
    """In float64: in float32 two images are rounded otherwise than one, and scores swap places."""
    original, ours = (copy.deepcopy(model).double() for model in (original, ours))
    images = scenes(2, *SIZE).double()
    for image, actual in zip(images, ours(images), strict=True):
        assert_same(actual, by_score(original.detect(image[None])))


@torch.no_grad()
def test_sizes_whose_grids_are_odd_work(original, ours, monkeypatch):
    images, annotations = scenes(1, 97, 130), annotated([(10.0, 12.0, 50.0, 46.0, 1.0)])
    with pytest.raises(RuntimeError, match="size"):
        original(images)  # the fault
    monkeypatch.setattr(original.fpn, "mended", True)
    torch.testing.assert_close(
        ours(images, annotations), original.losses(images, annotations), rtol=1e-5, atol=0
    )
    assert_same(ours(images)[0], by_score(original.detect(images)))


def test_a_positive_of_a_probability_near_0_has_a_gradient(changed):
    theirs, ours = changed("classification", -10.0)
    images, annotations = scenes(1, *SIZE), annotated([BIG])
    theirs.losses(images, annotations)["classification"].backward()
    assert not theirs.classificationModel.output.bias.grad.any()  # the fault
    ours(images, annotations)["classification"].backward()
    # −α from each positive anchor, divided by their number; the negative ones have learned all
    assert ours.classification_model.output.bias.grad.sum() == pytest.approx(-0.25, rel=1e-3)


MOVES = {  # by widths and heights of the anchor, and by powers of e
    "right and down": (20.0, 20.0, 0.0, 0.0),
    "left and up": (-20.0, -20.0, 0.0, 0.0),
    "left and larger": (-50.0, 0.0, 6.0, 0.0),
    "larger than a number can be": (0.0, 0.0, 200.0, 200.0),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_boxes_off_the_image_are_cut_on_every_side(changed, move):
    """One that lies off it has no area left; it stays, as in the original."""
    deltas = (value / std for value, std in zip(move, (0.1, 0.1, 0.2, 0.2), strict=True))
    theirs, ours = changed("regression", *deltas)
    images = scenes(1, *SIZE)
    expected = by_score(theirs.detect(images))
    off = (expected["boxes"][:, 2:] < expected["boxes"][:, :2]).any(dim=1)
    assert off.float().mean() > 0.3 if 20 in map(abs, move) else not off.any()
    height, width = SIZE
    expected["boxes"] = expected["boxes"].clamp(min=0)  # the fault, mended
    expected["boxes"] = expected["boxes"].minimum(torch.tensor([width, height, width, height]))
    (actual,) = ours(images)
    assert_same(actual, expected)


def test_an_object_thinner_than_a_pixel_keeps_its_width(ours):
    """Seen with anchors as thin as the object, whose targets are then 0."""
    anchors, annotations = torch.tensor([THIN[:4]]), annotated([THIN])
    outputs = torch.zeros(1, 1, 4), torch.zeros(1, 1, 4)
    theirs = losses(outputs[0].sigmoid(), outputs[1], anchors.numpy(), annotations)
    assert theirs["regression"] > 0.8  # the original's width is 1: log(1 / 0.5) / 0.2 / 4
    mine = ours.focal_loss(*outputs, anchors, annotations)
    assert mine["regression"] == 0
    torch.testing.assert_close(mine["classification"], theirs["classification"])
