"""Anchors are the paper's: areas, ratios and centres, in an order that the heads share."""

import math
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retinanet_lite import Anchors

SCALES = [2 ** (k / 3) for k in range(3)]
RATIOS = [0.5, 1.0, 2.0]


def image(height: int, width: int) -> torch.Tensor:
    """An image of which only the size counts."""
    return torch.empty(1, 3, 1, 1).expand(1, 3, height, width)


def expected_anchors(height, width, levels=range(3, 8), ratios=RATIOS, scales=SCALES, size=4.0):
    """Level by level, row by row, all scales of a ratio before the next, in float64."""
    anchors = []
    for stride in (2**level for level in levels):
        for i in range(math.ceil(height / stride)):
            for j in range(math.ceil(width / stride)):
                x, y = (j + 0.5) * stride, (i + 0.5) * stride
                for ratio in ratios:
                    for scale in scales:
                        area = (scale * size * stride) ** 2
                        h = math.sqrt(area * ratio)
                        w = area / h
                        anchors.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
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


def test_640_by_832_has_99765_anchors():
    anchors = Anchors()
    assert anchors(image(640, 832)).shape == (99_765, 4)
    assert anchors.level_counts(640, 832) == [74_880, 18_720, 4_680, 1_170, 315]
    assert anchors.level_sizes(640, 832) == [(80, 104), (40, 52), (20, 26), (10, 13), (5, 7)]


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
    ],
)
def test_other_ratios_scales_levels_and_sizes_work(arguments):
    anchors = Anchors(**arguments)
    expected = expected_anchors(70, 50, **arguments)
    torch.testing.assert_close(anchors(image(70, 50)).double(), expected, rtol=0, atol=1e-4)
    assert sum(anchors.level_counts(70, 50)) == len(expected)
    assert anchors.num_anchors == len(arguments.get("ratios", RATIOS)) * len(
        arguments.get("scales", SCALES)
    )


def test_anchors_of_one_size_are_computed_once():
    anchors = Anchors()
    first = anchors(image(64, 96))
    assert anchors(torch.randn(3, 3, 64, 96)).data_ptr() == first.data_ptr()
    assert anchors(image(96, 64)).data_ptr() != first.data_ptr()


def test_images_of_many_sizes_do_not_fill_the_memory():
    anchors = Anchors()
    made = [weakref.ref(anchors(image(32, 32 + i))) for i in range(60)]
    assert sum(ref() is not None for ref in made) <= 16
    assert made[-1]() is not None


def test_a_size_asked_for_again_after_many_others_is_right():
    anchors = Anchors()
    for width in [*range(32, 72), 40]:
        last = anchors(image(64, width))
    torch.testing.assert_close(last.double(), expected_anchors(64, 40), rtol=0, atol=1e-4)


def test_anchors_follow_the_model_to_another_device():
    anchors = Anchors()
    assert anchors(image(64, 64)).device.type == "cpu"
    assert anchors.to("meta")(image(64, 64)).device.type == "meta"


def test_anchors_follow_the_model_to_float64():
    anchors = Anchors()
    assert anchors(image(64, 64)).dtype == torch.float32
    assert anchors.to(torch.float64)(image(64, 64)).dtype == torch.float64


def test_anchors_first_asked_for_under_inference_mode_serve_training():
    anchors = Anchors()
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
        {"ratios": (0.0,)},
        {"scales": (1.0, 0.0)},
        {"size": 0.0},
        {"size": -4.0},
    ],
)
def test_impossible_anchors_are_refused(arguments):
    with pytest.raises(ValueError, match="must be positive numbers"):
        Anchors(**arguments)
