"""The explorers: what they show is what the package computes, and every control moves them."""

import math

import pytest
import torch
from ipywidgets import HTML, Dropdown, Image, SelectionSlider
from matplotlib import pyplot as plt
from torch import nn
from torchvision.ops import batched_nms, box_iou, sigmoid_focal_loss

from retinanet_lite import Anchors, BasicBlock, PyramidFeatures, ResNet
from retinanet_lite.data.drawing import CLASSES, random_scene
from retinanet_lite.learn.explorers import (
    CurveWalk,
    bin_by_logit,
    explore,
    explore_anchors,
    explore_deltas,
    explore_detection,
    explore_focal_loss,
    explore_matching,
    explore_pyramid,
    show_anchors_at,
    show_deltas,
    show_focal_loss,
    show_matching_of,
    show_pyramid_at,
    show_stages_of_detection,
    slider,
)
from retinanet_lite.learn.explorers.pyramid_cells import receptive_field
from retinanet_lite.model.backbone import RESNETS
from retinanet_lite.model.detection import Detection


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def output(scene):
    """Logits, deltas and anchors of the scene, as a detector may say them."""
    generator = torch.Generator().manual_seed(0)
    anchors = Anchors()(scene.image)
    logits = torch.randn(1, len(anchors), len(CLASSES), generator=generator) - 5
    near = (box_iou(anchors, scene.boxes[:1])[:, 0] > 0.6).float()  # so that NMS has work to do
    logits[0, :, 3] += 5 * near
    deltas = torch.randn(1, len(anchors), 4, generator=generator)
    return logits, deltas, anchors


@pytest.fixture(scope="module")
def walk():
    scenes = [random_scene(i, 160, 192, num_objects=(2, 4)) for i in range(3)]
    detections = [
        {
            "boxes": scene.boxes + 1,
            "scores": torch.linspace(0.9, 0.3, len(scene.boxes)),
            "labels": scene.labels.clone(),
        }
        for scene in scenes
    ]
    star = scenes[0].labels[0].item()
    detections[1]["labels"][0] = star  # one of another class is taken for it
    targets = [{"boxes": scene.boxes, "labels": scene.labels.clone()} for scene in scenes]
    # and another one is found with the lowest score, 0.3
    detections[2]["labels"][-1] = targets[2]["labels"][-1] = star
    return CurveWalk(scenes, detections, targets, CLASSES), CLASSES[star]


@pytest.fixture(scope="module")
def explorers(scene, output, walk):
    model = ResNet(BasicBlock, [1, 1, 1, 1]).eval()
    sizes = ((80, 104), (40, 52), (20, 26), (10, 13), (5, 7))
    maps = {f"P{i}": torch.randn(8, *size) for i, size in enumerate(sizes, 3)}
    targets = (torch.rand(1000) < 0.1).float()
    return {
        "anchors": lambda: explore_anchors(scene),
        "matching": lambda: explore_matching(scene),
        "deltas": lambda: explore_deltas(scene, output[2][95592]),
        "focal loss": lambda: explore_focal_loss(bin_by_logit(torch.randn(1000) - 4, targets)),
        "pyramid": lambda: explore_pyramid(scene, model, maps),
        "detection": lambda: explore_detection(scene, output, Anchors().level_counts(640, 832)),
        "curve": lambda: walk[0].explore(walk[1]),
    }


NAMES = ("anchors", "matching", "deltas", "focal loss", "pyramid", "detection", "curve")


def parts(box):
    """The controls of an explorer, its picture and its words."""
    *controls, picture, words = box.children
    assert isinstance(picture, Image) and isinstance(words, HTML)
    return controls, picture, words


def ends_of(control) -> list:
    if isinstance(control, SelectionSlider | Dropdown):
        options = [o[1] if isinstance(o, tuple) else o for o in control.options]
        return [options[0], options[-1]]
    if isinstance(control.value, tuple):
        return [(control.min, control.min), (control.max, control.max), (control.min, control.max)]
    return [control.min, control.max]


@pytest.mark.parametrize("name", NAMES)
def test_every_control_moves_the_figure_and_stands_both_of_its_ends(explorers, name):
    controls, picture, words = parts(explorers[name]())
    assert controls
    first = bytes(picture.value)
    assert first.startswith(b"\x89PNG") and "Traceback" not in words.value
    for control in controls:
        seen = {first}
        start = control.value
        for value in ends_of(control):
            if value != start:
                control.value = value
                assert "Traceback" not in words.value
                assert bytes(picture.value).startswith(b"\x89PNG")
                seen.add(bytes(picture.value))
        assert len(seen) > 1, f"{control.description} changes nothing"
        control.unobserve_all("value")  # back for the next control, without another picture
        control.value = start
    assert not plt.get_fignums()  # nothing is left open


def test_an_error_is_shown_and_the_next_move_mends_it():
    def inverse(x):
        plt.plot([1 / x])
        return f"one over {x}"

    controls, picture, words = parts(explore(inverse, x=slider("x", 1, 0, 2)))
    assert words.value.count("one over 1") == 1
    controls[0].value = 0
    assert "ZeroDivisionError" in words.value
    controls[0].value = 2
    assert "one over 2" in words.value and "Error" not in words.value


def test_the_first_draw_raises_so_that_a_cell_with_a_fault_fails():
    with pytest.raises(KeyError):
        explore(lambda x: {}[x], x=slider("x", 1, 0, 2))


def test_what_is_said_is_html_safe():
    words = parts(explore(lambda x: "a < b & c", x=slider("x", 1, 0, 2)))[2]
    assert "a &lt; b &amp; c" in words.value


def test_anchors_of_a_cell_are_those_of_the_package(scene):
    said = show_anchors_at(scene, x=420, y=257, level=5)
    whole = Anchors()(scene.image)
    first = 9 * (80 * 104 + 40 * 52) + 9 * (8 * 26 + 13)  # cell (8, 13) of P5
    best = box_iou(whole[first : first + 9], scene.boxes[:1]).max().item()
    assert "Cell (8, 13) of P5" in said and f"the IoU is {best:.2f}" in said


def test_a_point_near_no_object_is_told_so(scene):
    said = show_anchors_at(scene, x=0, y=0, level=3, size=1.0, scales=1, ratio=1.0)
    assert said.endswith("has 1 anchor. No object is near: every IoU is 0.")


@pytest.mark.parametrize("level, size", [(3, 1.0), (5, 4.0), (7, 8.0)])
@pytest.mark.parametrize("x, y", [(0, 0), (420, 257), (831, 639)])
def test_the_view_of_the_anchors_is_from_half_the_image_to_twice(scene, x, y, level, size):
    show_anchors_at(scene, x, y, level, size, scales=5, ratio=5.0)
    (left, right), (bottom, top) = plt.gca().get_xlim(), plt.gca().get_ylim()
    assert left <= x <= right and top <= y <= bottom
    assert 416 <= right - left <= 1664 and 320 <= bottom - top <= 1280


def test_an_offset_of_0_moves_the_anchors_to_the_corner(scene):
    show_anchors_at(scene, x=420, y=257, level=5, offset=0.0)
    centres = next(line for line in plt.gca().lines if line.get_marker() == "+")
    x, y = centres.get_xdata(), centres.get_ydata()
    assert {float(v) for v in x} == {13 * 32} and {float(v) for v in y} == {8 * 32}


def test_matching_counts_by_numpy(scene):
    x, y = (341, 497), (180, 334)
    said = show_matching_of(scene, x, y, thresholds=(0.3, 0.6))
    anchors = Anchors()(scene.image).double().numpy()
    width = (anchors[:, 2].clip(*x) - anchors[:, 0].clip(*x)).clip(0)
    height = (anchors[:, 3].clip(*y) - anchors[:, 1].clip(*y)).clip(0)
    shared = width * height
    sizes = (anchors[:, 2] - anchors[:, 0]) * (anchors[:, 3] - anchors[:, 1])
    iou = shared / (sizes + (x[1] - x[0]) * (y[1] - y[0]) - shared)
    positive, ignored = (iou >= 0.6).sum(), ((iou >= 0.3) & (iou < 0.6)).sum()
    assert f"{positive:,} positive, {ignored:,} ignored" in said


def test_deltas_are_those_of_the_formula(scene):
    anchor = torch.tensor([100.0, 100.0, 200.0, 150.0])
    said = show_deltas(scene, anchor, tx=2.0, ty=-4.0, tw=math.log(3) / 0.2, th=0.0)
    assert "= +20 pixels across" in said and "= -20 down" in said and "= 3.00" in said


@pytest.mark.parametrize("gamma, alpha, prior, training", [(2, 0.25, 0.5, 1), (0, 0.6, 0.2, 0.5)])
def test_shares_of_the_focal_loss_are_torchvisions(gamma, alpha, prior, training):
    targets = (torch.rand(200_000) < 0.05).double()
    learned = torch.randn(200_000, dtype=torch.float64) * 2 - 4 + 3 * targets
    show_focal_loss(bin_by_logit(learned, targets), gamma, alpha, prior, training)
    drawn = [bar.get_width() for bar in plt.gcf().axes[2].patches]  # [3 parts × 3 bars]

    begun = torch.tensor(prior, dtype=torch.float64).logit()
    logits = begun.lerp(learned, training).requires_grad_()
    losses = sigmoid_focal_loss(logits, targets, alpha, gamma)
    losses.sum().backward()
    easy = (targets == 0) & (logits.sigmoid() < 0.1)
    masks = [targets == 1, (targets == 0) & ~easy, easy]
    values = [torch.ones_like(losses), losses.detach(), logits.grad.abs()]
    expected = [(value[mask].sum() / value.sum()).item() for value in values for mask in masks]
    assert drawn == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("level, row", [(3, 5), (3, 6), (4, 2), (5, 1), (6, 1), (7, 0)])
def test_a_receptive_field_is_where_the_gradient_is(name, level, row):
    block, _ = RESNETS[name]
    backbone = ResNet(block, [1, 1, 1, 1]).eval()
    backbone.maxpool = nn.AvgPool2d(3, 2, 1)  # it looks at the same, and all of it
    pyramid = PyramidFeatures(*backbone.out_channels, feature_size=4)
    with torch.no_grad():
        for model in (backbone, pyramid):
            for parameter in model.parameters():
                parameter.copy_(parameter.abs() + 1e-3)  # so that no ReLU hides anything
    image = torch.rand(1, 3, 256, 64, requires_grad=True)
    pyramid(backbone(image))[level - 3][0, :, row].sum().backward()
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()[:, 0]
    first, last = receptive_field(backbone, level, row)
    assert (rows[0].item(), rows[-1].item()) == (max(0, first), min(255, last))


def test_the_channel_that_fires_is_named_first(scene):
    maps = {"P5": torch.randn(8, 20, 26).clamp(-2, 2)}
    maps["P5"][6, 8, 13] = 100.0
    backbone = ResNet(BasicBlock, [1, 1, 1, 1])
    show_pyramid_at(scene, backbone, maps, x=420, y=257, level=5)
    bars = plt.gcf().axes[2]
    assert [label.get_text() for label in bars.get_yticklabels()][0] == "6"


def test_stages_of_detection_add_up(scene, output):
    counts = Anchors().level_counts(640, 832)
    said = show_stages_of_detection(scene, output, counts, 0.15, 5, 0.3)
    scores = output[0][0].sigmoid()
    above = (scores > 0.15).sum().item()
    cut = sum(min(5, (level > 0.15).sum().item()) for level in scores.split(counts))
    assert f"{scores.numel() - above:,} entries have" in said
    assert f"Of the {above:,} others, {above - cut:,} are not among the best 5" in said
    best = Detection(0.15, 5, 1.0, max_detections=above)(*output, counts, scene.image[None])[0]
    left = len(batched_nms(best["boxes"], best["scores"], best["labels"], 0.3))
    assert left < len(best["boxes"])
    assert f"{cut - left:,} lie on a better box of their class. {left:,} stay" in said


def test_the_walk_counts_what_stands_above_the_threshold(walk):
    curve, name = walk
    label = CLASSES.index(name)
    for threshold in (0.05, 0.5, 0.85, 1.0):
        said = curve.show(name, threshold)
        scores = [
            (score.item(), CLASSES[target] == name)
            for found, truth in zip(curve.detections, curve.targets, strict=True)
            for score, said_label, target in zip(
                found["scores"], found["labels"], truth["labels"], strict=True
            )
            if said_label == label
        ]
        above = [hit for score, hit in scores if score >= threshold]
        if above:
            objects = sum((truth["labels"] == label).sum().item() for truth in curve.targets)
            assert f"{len(above)} detections of a {name}, {above.count(False)} of them" in said
            assert f"{above.count(True)} of {objects} objects are found" in said
        else:
            assert f"No detection of a {name}" in said
        plt.close()
