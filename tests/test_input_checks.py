"""A wrong input is told where it is wrong, what was expected and how to mend it."""

import pytest
import torch

from retinanet_lite.model.input_checks import check_annotations, check_images

IMAGES = torch.randn(2, 3, 40, 48)
OBJECT = [4.0, 6.0, 30.0, 28.0, 1.0]
PADDING = [-1.0] * 5


def with_value(value: float) -> torch.Tensor:
    images = IMAGES.clone()
    images[1, 2, 7, 5] = value
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[0], r"images must be \[B, 3, H, W\].*got \[3, 40, 48\].*One image: image\[None\]"),
        (IMAGES[:, :1], r"RGB.*got \[2, 1, 40, 48\].*A grey one: image\.expand\(3, -1, -1\)"),
        (IMAGES.permute(0, 2, 3, 1), r"got \[2, 40, 48, 3\].*last: image\.permute\(2, 0, 1\)"),
        (IMAGES[:0], r"images must be \[B, 3, H, W\].*got \[0, 3, 40, 48\]"),
        (IMAGES.to(torch.uint8), r"floating point and normalised; got torch\.uint8.*normalize\("),
        (IMAGES.long(), r"floating point and normalised; got torch\.int64"),
        (IMAGES[:, :, :31], "at least 32×32 pixels; got 31×48. Enlarge or pad"),
        (IMAGES[..., :31], "at least 32×32 pixels; got 40×31"),
        (with_value(float("nan")), r"images\[1\] holds NaN or infinite.*division by zero"),
        (with_value(float("inf")), r"images\[1\] holds NaN or infinite"),
    ],
    ids=["one", "grey", "HWC", "none", "uint8", "int64", "low", "narrow", "nan", "inf"],
)
def test_images_that_cannot_be_right(tiny, images, message):
    with pytest.raises(ValueError, match=message):
        tiny(images)
    with pytest.raises(ValueError, match=message):
        tiny(images, torch.tensor([[OBJECT]] * len(images)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            [20.0, 3.0, 2.0, 25.0, 1.0],
            r"is the box \(20, 3, 2, 25\) of class 1: x2 must be greater",
        ),
        ([20.0, 3.0, 20.0, 25.0, 1.0], "x2 must be greater than x1.*box_convert"),
        ([2.0, 25.0, 20.0, 3.0, 1.0], r"is the box \(2, 25, 20, 3\).*and y2 greater than y1"),
        (
            [*OBJECT[:4], 3.0],
            "of class 3: class ids are whole numbers from 0 to 2, for num_classes=3",
        ),
        ([*OBJECT[:4], 2.5], "of class 2.5: class ids are whole numbers.*start at 1, subtract 1"),
        ([*OBJECT[:4], -1.0], "of class -1: class ids are whole numbers.*background has no id"),
        ([float("nan"), *OBJECT[1:]], r"the box \(nan, 6, 30, 28\).*every value must be finite"),
        ([*OBJECT[:4], float("nan")], "of class nan: every value must be finite. Remove"),
        ([*OBJECT[:2], float("inf"), *OBJECT[3:]], "every value must be finite"),
    ],
    ids=["turned", "thin", "upside down", "K", "2.5", "-1", "nan", "class nan", "inf"],
)
def test_an_object_that_cannot_be_right_is_named_by_image_and_row(wrong, message):
    annotations = torch.tensor([[OBJECT, PADDING, PADDING], [OBJECT, PADDING, wrong]])
    with pytest.raises(ValueError, match=r"annotations\[1, 2\] .*" + message):
        check_annotations(annotations, batch_size=2, num_classes=3)


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (torch.zeros(2, 3, 4), r"must be \[B, M, 5\].*got \[2, 3, 4\].*to_annotations makes them"),
        (torch.tensor([OBJECT]), r"must be \[B, M, 5\].*got \[1, 5\]"),
        (torch.tensor([[OBJECT]]), "for 1 images, but the batch has 2. An image without objects"),
        (torch.tensor([[OBJECT]] * 3), "for 3 images, but the batch has 2"),
    ],
    ids=["four columns", "two dimensions", "too few", "too many"],
)
def test_annotations_of_a_wrong_shape(annotations, message):
    with pytest.raises(ValueError, match=message):
        check_annotations(annotations, batch_size=2, num_classes=3)


def test_a_detector_checks_what_it_is_given_by_its_own_classes(tiny):
    tiny(IMAGES, torch.tensor([[[*OBJECT[:4], 2.0]]] * 2))
    with pytest.raises(ValueError, match="whole numbers from 0 to 2, for num_classes=3"):
        tiny(IMAGES, torch.tensor([[[*OBJECT[:4], 3.0]]] * 2))
    with pytest.raises(ValueError, match="for 1 images, but the batch has 2"):
        tiny(IMAGES, torch.tensor([[OBJECT]]))


def test_the_twentieth_class_has_the_id_19():
    check_annotations(torch.tensor([[[*OBJECT[:4], 19.0]]]), 1, num_classes=20)
    with pytest.raises(ValueError, match="class 20: class ids are whole numbers from 0 to 19"):
        check_annotations(torch.tensor([[[*OBJECT[:4], 20.0]]]), 1, num_classes=20)


@pytest.mark.parametrize(
    "mended",
    [
        IMAGES[0][None],
        IMAGES[0, :1].expand(3, -1, -1)[None],
        IMAGES[0].permute(1, 2, 0).permute(2, 0, 1)[None],
        IMAGES[:, :, :32, :32],
        IMAGES.double(),
    ],
    ids=["one", "grey", "HWC", "32×32", "float64"],
)
def test_images_mended_as_the_message_says_are_right(mended):
    check_images(mended)


@pytest.mark.parametrize(
    "annotations",
    [
        torch.tensor([[OBJECT, PADDING], [PADDING, PADDING]]),
        torch.tensor([[PADDING, OBJECT], [OBJECT, OBJECT]]),
        torch.empty(2, 0, 5),
        torch.tensor([[[-8.0, -9.0, 70.0, 80.0, 0.0]]] * 2),
    ],
    ids=["padded", "padded in front", "no rows", "beyond the border"],
)
def test_sound_annotations_pass(annotations):
    check_annotations(annotations, batch_size=2, num_classes=3)
