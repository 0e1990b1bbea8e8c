"""Anchors are the paper's: areas, ratios and centres, in an order that the heads share."""

import math
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import _default_anchorgen
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from retinanet_lite import Anchors, quicken

SCALES = [2 ** (k / 3) for k in range(3)]
RATIOS = [0.5, 1.0, 2.0]


def image(height: int, width: int) -> torch.Tensor:
    """An image of which only the size counts."""
    return torch.empty(1, 3, 1, 1).expand(1, 3, height, width)


def expected_anchors(
    height,
    width,
    levels=range(3, 8),
    ratios=RATIOS,
    scales=SCALES,
    size=4.0,
    offset=0.5,
    rounded=False,
    floor_strides=False,
):
    """Level by level, row by row, all scales of a ratio before the next, in float64."""
    anchors = []
    for stride in (2**level for level in levels):
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        step_y, step_x = (height // rows, width // columns) if floor_strides else (stride, stride)
        for i in range(rows):
            for j in range(columns):
                x, y = (j + offset) * step_x, (i + offset) * step_y
                for ratio in ratios:
                    for scale in scales:
                        side = scale * size * stride
                        area = (math.floor(side) if rounded else side) ** 2
                        h = math.sqrt(area * ratio)
                        w = area / h
                        box = [-w / 2, -h / 2, w / 2, h / 2]
                        box = [round(v) for v in box] if rounded else box
                        anchors.append([x + box[0], y + box[1], x + box[2], y + box[3]])
    return torch.tensor(anchors, dtype=torch.float64)


@pytest.mark.parametrize("size", [(32, 32), (65, 97), (160, 208), (33, 200)])
def test_every_anchor_is_the_papers(size):
    actual = Anchors()(image(*size))
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual.double(), expected_anchors(*size), rtol=0, atol=1e-4)


def test_the_square_anchors_of_scale_one_have_areas_from_32_to_512_squared():
    anchors = Anchors()
    levels = anchors(image(640, 832)).split(anchors.level_counts(640, 832))
    for level, side in zip(levels, (32, 64, 128, 256, 512), strict=True):
        square = level[3::9].double()  # ratio 1, scale 1, of every cell
        sizes = square[:, 2:] - square[:, :2]
        torch.testing.assert_close(sizes, torch.full_like(sizes, side), rtol=0, atol=1e-4)


@given(st.integers(1, 300), st.integers(1, 300))
def test_every_size_is_rounded_up_on_every_level(height, width):
    anchors = Anchors()
    sizes = [(math.ceil(height / s), math.ceil(width / s)) for s in (8, 16, 32, 64, 128)]
    counts = [9 * h * w for h, w in sizes]
    assert anchors.level_sizes(height, width) == sizes
    assert anchors.level_counts(height, width) == counts
    assert len(anchors(image(height, width))) == sum(counts)


@pytest.mark.parametrize(
    "arguments",
    [
        {"ratios": (0.25, 1.0)},
        {"ratios": [1.0], "scales": [1.0]},
        {"scales": (0.5, 1.5, 2.5, 3.5)},
        {"size": 2.5},
        {"levels": (2, 4)},
        {"levels": (3,), "ratios": (3.0,), "scales": (1.0, 2.0), "size": 1.0},
        {"offset": 0.0},
        {"offset": 0.25},
        {"rounded": True},
        {"rounded": True, "ratios": (1.0, 4.0), "scales": (1.0, 1.3), "size": 3.2},
        {"floor_strides": True},
    ],
    ids=str,
)
def test_every_argument_is_the_loops(arguments):
    anchors = Anchors(**arguments)
    expected = expected_anchors(70, 50, **arguments)
    torch.testing.assert_close(anchors(image(70, 50)).double(), expected, rtol=0, atol=1e-4)
    assert sum(anchors.level_counts(70, 50)) == len(expected)
    assert anchors.num_anchors == len(arguments.get("ratios", RATIOS)) * len(
        arguments.get("scales", SCALES)
    )


# ── torchvision's anchors ──

THEIRS = {"offset": 0.0, "rounded": True, "floor_strides": True}


def torchvisions(generator: AnchorGenerator, height: int, width: int) -> torch.Tensor:
    levels = [torch.empty(1, 1, -(-height // s), -(-width // s)) for s in (8, 16, 32, 64, 128)]
    (anchors,) = generator(ImageList(image(height, width), [(height, width)]), levels)
    return anchors


@pytest.mark.parametrize("size", [(800, 1088), (640, 832), (608, 1024), (417, 333)])
def test_with_all_three_they_are_torchvisions_to_the_last_bit(size):
    expected = torchvisions(_default_anchorgen(), *size)
    assert torch.equal(Anchors(**THEIRS)(image(*size)), expected)


@given(st.integers(32, 300), st.integers(32, 300))
def test_at_every_size_they_are_torchvisions(height, width):
    expected = torchvisions(_default_anchorgen(), height, width)
    assert torch.equal(Anchors(**THEIRS)(image(height, width)), expected)


@pytest.mark.parametrize(
    "size, ratios, scales",
    [
        (2.0, (0.5, 1.0, 2.0), (1.0, 1.26, 1.59)),
        (3.3, (0.3, 1.7), (0.9, 1.1, 1.3, 1.9)),
        (4.0, (0.25, 1.0, 4.0), (33 / 32, 50 / 32)),  # halves of odd numbers are to be rounded
    ],
)
def test_other_sizes_ratios_and_scales_are_rounded_as_torchvisions(size, ratios, scales):
    sizes = [
        tuple(int(size * stride * scale) for scale in scales) for stride in (8, 16, 32, 64, 128)
    ]
    expected = torchvisions(AnchorGenerator(tuple(sizes), (ratios,) * 5), 130, 200)
    ours = Anchors(ratios=ratios, scales=scales, size=size, **THEIRS)
    assert torch.equal(ours(image(130, 200)), expected)


def test_sides_are_filled_up_as_torchvisions_where_strides_are_its():
    theirs = GeneralizedRCNNTransform(800, 1333, [0.0] * 3, [1.0] * 3).size_divisible
    assert Anchors(floor_strides=True).multiple == theirs
    assert Anchors(offset=0.0, rounded=True).multiple == 1


def test_a_size_and_an_image_of_it_have_the_same_anchors():
    assert torch.equal(Anchors()((96, 70)), Anchors()(image(96, 70)))


# ── kept and handed out ──


def test_images_of_many_sizes_do_not_fill_the_memory():
    anchors = quicken(Anchors())
    made = [weakref.ref(anchors(image(32, 32 + i))) for i in range(60)]
    assert sum(ref() is not None for ref in made) <= 16
    assert made[-1]() is not None


def test_a_size_asked_for_again_after_many_others_is_right():
    anchors = quicken(Anchors())
    for width in [*range(32, 72), 40]:
        last = anchors(image(64, width))
    torch.testing.assert_close(last.double(), expected_anchors(64, 40), rtol=0, atol=1e-4)


def test_anchors_follow_the_model_to_another_device():
    anchors = quicken(Anchors())
    assert anchors(image(64, 64)).device.type == "cpu"
    assert anchors.to("meta")(image(64, 64)).device.type == "meta"


def test_anchors_follow_the_model_to_float64():
    anchors = quicken(Anchors())
    assert anchors(image(64, 64)).dtype == torch.float32
    assert anchors.to(torch.float64)(image(64, 64)).dtype == torch.float64


def test_anchors_first_asked_for_under_inference_mode_serve_training():
    anchors = quicken(Anchors())
    with torch.inference_mode():
        anchors(image(64, 64))
    factor = torch.ones((), requires_grad=True)
    (anchors(image(64, 64)) * factor).sum().backward()  # saves the anchors for the gradient
    assert factor.grad is not None


def test_a_model_saves_no_anchors():
    assert Anchors().state_dict() == {}


@pytest.mark.parametrize(
    "arguments",
    [
        {"levels": ()},
        {"ratios": ()},
        {"scales": ()},
        {"ratios": (0.5, -1.0)},
        {"scales": (1.0, 0.0)},
        {"size": 0.0},
    ],
)
def test_impossible_anchors_are_refused(arguments):
    with pytest.raises(ValueError, match="must be positive"):
        Anchors(**arguments)
