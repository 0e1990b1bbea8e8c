"""A detector takes images as they are and answers in their pixels; its file holds all of it."""

import copy
import weakref

import numpy as np
import others
import pytest
import torch
from conftest import tiny_retinanet
from small_training import Broken
from torchvision.ops import box_iou
from torchvision.transforms.v2 import functional

from retinanet_lite import Anchors, Detector, Recipe, RetinaNet, evaluate, fit, from_torchvision
from retinanet_lite.data.batches import normalize, to_batch
from retinanet_lite.data.drawing import random_scene
from retinanet_lite.data.scenes import ShapesDataset
from retinanet_lite.evaluation.average_precision import coco_metrics

CLASSES = ("disc", "square", "star")
SIZES = [(40, 56), (40, 56), (56, 40), (44, 33), (40, 56), (60, 40)]


def speaking() -> RetinaNet:
    """A small network that finds something everywhere, with batch norm that learns."""
    torch.manual_seed(0)
    model = tiny_retinanet(freeze_bn=False)
    torch.nn.init.normal_(model.classification_model.output.weight, std=0.02)
    torch.nn.init.constant_(model.classification_model.output.bias, -2.0)
    torch.nn.init.normal_(model.regression_model.output.weight, std=0.01)
    model.train()
    with torch.no_grad():  # statistics unlike those of a new network
        model(to_batch([random_scene(i, 96, 96) for i in range(4)])[0])
    return model.eval()


@pytest.fixture(scope="module")
def model() -> RetinaNet:
    return speaking()


@pytest.fixture
def detector(model) -> Detector:
    return Detector(copy.deepcopy(model), CLASSES)


def images_of(sizes=SIZES) -> list[torch.Tensor]:
    return [random_scene(i, h, w, num_objects=(1, 3)).image for i, (h, w) in enumerate(sizes)]


def assert_same(actual: list[dict], expected: list[dict]) -> None:
    """The same boxes and labels; those of scores that differ by rounding may change places."""
    assert len(actual) == len(expected)
    for found, wanted in zip(actual, expected, strict=True):
        assert len(wanted["scores"]) > 5
        torch.testing.assert_close(found["scores"], wanted["scores"], rtol=0, atol=1e-5)
        overlap, row = box_iou(found["boxes"], wanted["boxes"]).masked_fill(
            found["labels"][:, None] != wanted["labels"], 0
        ).max(dim=1)  # fmt: skip
        assert overlap.min() > 0.999 and len(row.unique()) == len(row)


# ── detections ──


@pytest.mark.parametrize("size", [None, (36, 60)])
def test_many_images_find_in_batches_what_they_find_alone(detector, size):
    detector = Detector(detector.model, CLASSES, size)
    images = images_of((SIZES * 7)[:40])
    alone = [detector([image])[0] for image in images]
    assert_same(detector(images, batch_size=3), alone)


def test_without_a_size_the_network_itself_is_asked(detector):
    for image, found in zip(images_of(), detector(images_of()), strict=True):
        (expected,) = detector.model(normalize(image)[None])
        assert_same([found], [expected])


def test_with_a_size_the_scaled_image_is_asked_and_boxes_come_back(detector):
    (image,) = images_of([(64, 96)])
    (found,) = Detector(detector.model, CLASSES, (128, 400))([image])
    large = functional.resize(image, [128, 192], antialias=True)
    (expected,) = detector.model(normalize(large)[None])
    expected["boxes"] = expected["boxes"] / 2
    assert_same([found], [expected])


@pytest.mark.parametrize("size", [None, (36, 60), (51, 90)])
def test_boxes_lie_in_their_own_image_and_reach_its_borders(detector, size):
    images = images_of()
    for image, found in zip(images, Detector(detector.model, CLASSES, size)(images), strict=True):
        height, width = image.shape[1:]
        assert (found["boxes"] >= 0).all()
        assert (found["boxes"] <= torch.tensor([width, height, width, height])).all()
        assert found["boxes"].amax(dim=0)[2:].tolist() == pytest.approx([width, height], rel=0.05)
        assert found["scores"].tolist() == sorted(found["scores"].tolist(), reverse=True)


def test_images_from_0_to_1_find_what_those_from_0_to_255_find(detector):
    images = images_of()
    assert_same(detector([image / 255 for image in images]), detector(images))


def test_images_are_drawn_no_more_than_a_batch_ahead(detector):
    drawn = 0

    def many():
        nonlocal drawn
        for drawn in range(1, 50):
            yield random_scene(drawn, 40, 40).image

    stream = detector.stream(many(), batch_size=4)
    for count in range(1, 20):
        next(stream)
        assert drawn <= count + 4


def test_nothing_is_kept_of_images_that_were_looked_at(detector):
    alive = weakref.WeakSet()

    def images():
        for i in range(24):
            image = random_scene(i, 40, 40).image
            alive.add(image)
            yield image

    most = 0
    for _ in detector.stream(images(), batch_size=4):
        most = max(most, len(alive))
    assert most <= 6


def test_no_image_finds_nothing(detector):
    assert detector([]) == []


def test_the_mode_of_every_module_stays_as_it_was(detector):
    detector.model.train()
    detector.model.backbone.layer1.eval()  # frozen by hand
    modes = [module.training for module in detector.model.modules()]
    statistics = [buffer.clone() for buffer in detector.model.buffers()]
    found = detector(images_of())
    assert [module.training for module in detector.model.modules()] == modes
    for before, after in zip(statistics, detector.model.buffers(), strict=True):
        assert torch.equal(before, after)
    detector.model.eval()
    assert_same(found, detector(images_of()))


def test_detections_need_no_gradient(detector):
    assert not any(value.requires_grad for value in detector(images_of())[0].values())


@pytest.mark.parametrize(
    "image, message",
    [
        (torch.zeros(4, 64, 64), r"\[3, H, W\] .* got \[4, 64, 64\]"),
        (torch.zeros(1, 3, 64, 64), r"got \[1, 3, 64, 64\]"),
        (torch.zeros(3, 20, 64), "20×64 pixels comes to the network as 20×64, and it needs 32×32"),
        (torch.full((3, 64, 64), torch.nan), "NaN"),
    ],
)
def test_what_is_no_image_is_named(detector, image, message):
    with pytest.raises(ValueError, match=message):
        detector([image])


def test_an_image_too_narrow_after_scaling_is_named(detector):
    with pytest.raises(ValueError, match="40×400 pixels comes to the network as 8×80"):
        Detector(detector.model, CLASSES, (48, 80))([torch.zeros(3, 40, 400)])


def test_a_batch_has_an_image_or_more(detector):
    with pytest.raises(ValueError, match="batch_size must be 1 or more; got 0"):
        detector(images_of(), batch_size=0)


def test_every_class_has_a_name(tiny):
    with pytest.raises(ValueError, match="the model has 3 classes, but 2 names .*: disc, star"):
        Detector(tiny, ("disc", "star"))


# ── evaluation ──


def scenes(*sizes):
    items = []
    for height, width in sizes:
        items += list(ShapesDataset(3, height, width, classes=CLASSES, num_objects=(0, 3)))
    return items


@pytest.mark.parametrize("mode", [True, False])
def test_validation_losses_are_the_networks_own(detector, mode):
    dataset = scenes((64, 96), (80, 64))
    expected = [detector.model(*to_batch([item])) for item in dataset]
    detector.model.train(mode)
    measured = evaluate(detector, dataset, batch_size=2)
    for name in ("classification", "regression"):
        mean = sum(losses[name].item() for losses in expected) / len(expected)
        assert measured[f"validation_{name}"] == pytest.approx(mean, rel=1e-5)
    assert detector.model.training == mode


@pytest.mark.parametrize("size", [None, (96, 160)])
def test_the_numbers_are_cocos_on_detections_made_by_hand(detector, size):
    dataset = scenes((64, 96), (80, 64))
    detector = Detector(detector.model, CLASSES, size)
    detections = [detector([image])[0] for image, _ in dataset]
    # some objects are found: those of the detections themselves
    for (_, target), found in zip(dataset, detections, strict=True):
        target["boxes"], target["labels"] = found["boxes"][::7] + 1.0, found["labels"][::7]
    expected = coco_metrics(detections, [target for _, target in dataset], CLASSES)
    assert expected["AP"] > 0.01
    measured = evaluate(detector, dataset, batch_size=4)
    assert {name: measured[name] for name in expected} == pytest.approx(expected, nan_ok=True)


def test_there_is_nothing_to_measure_without_an_image(detector):
    with pytest.raises(ValueError, match="no image to measure on"):
        evaluate(detector, [])


def test_an_unreadable_image_is_named_and_left_out(detector):
    items = scenes((64, 96))
    with pytest.warns(UserWarning, match=r"row 1 is broken\. It is left out"):
        measured = evaluate(detector, Broken(items, {1}))
    expected = evaluate(detector, [items[0], items[2]])
    assert measured == pytest.approx(expected, nan_ok=True)
    assert measured["validation_regression"] != evaluate(detector, items)["validation_regression"]
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="or none can be read"):
        evaluate(detector, Broken(items, {0, 1, 2}))


# ── images filled up, where torchvision's strides want it ──

ODD_SIZES = [(65, 97), (70, 97), (70, 97), (110, 75), (64, 96)]  # two of them are filled up alike


@pytest.fixture(scope="module")
def torchvisions() -> tuple[others.RetinaNet, Detector]:
    """torchvision's whole detector, but for the scaling, and ours with its parameters."""
    torch.manual_seed(0)
    theirs = others.of_depth("resnet18", "P5", num_classes=3)
    theirs.transform.resize = lambda image, target: (image, target)
    with torch.no_grad():  # scores are not all near 1, and boxes not all off the image
        theirs.head.classification_head.cls_logits.weight.mul_(0.3)
        theirs.head.regression_head.bbox_reg.weight.mul_(0.5)
    theirs.score_thresh = 0.2
    ours = from_torchvision(theirs.state_dict())
    ours.detection.score_threshold = 0.2
    # in float64, no overlap is on one side of a threshold here and on the other there
    return theirs.double(), Detector(ours.double(), CLASSES)


def objects_in_float64(sizes) -> list:
    """An image of each size with its objects."""
    items = [
        ShapesDataset(1, h, w, i, classes=CLASSES, num_objects=(2, 3))[0]
        for i, (h, w) in enumerate(sizes)
    ]
    return [(image.double() / 255, target) for image, target in items]


def assert_same_rows(actual: list[dict], expected: list[dict]) -> None:
    """As `assert_same`, for boxes without an area too."""
    for found, wanted in zip(actual, expected, strict=True):
        mine, its = (
            torch.cat([d["boxes"], d["scores"][:, None] * 1e4, d["labels"][:, None] * 1e4], dim=1)
            for d in (found, wanted)
        )
        assert len(mine) == len(its) > 5
        distance = torch.cdist(mine, its, p=torch.inf)
        assert distance.amin(dim=0).max() < 0.1 and distance.amin(dim=1).max() < 0.1


@pytest.fixture(scope="module")
def alone(torchvisions) -> tuple[list[torch.Tensor], list[dict]]:
    """Images of all those sizes, and what ours finds in each alone."""
    _, ours = torchvisions
    images = [image for image, _ in objects_in_float64(ODD_SIZES)]
    return images, [ours([image])[0] for image in images]


def test_each_image_finds_what_torchvision_finds_in_it_alone(torchvisions, alone):
    theirs, _ = torchvisions
    images, found_alone = alone
    with torch.no_grad():
        expected = [theirs([image])[0] for image in images]
    for image, found in zip(images, expected, strict=True):  # boxes are cut off at its own border
        assert found["boxes"].amax(dim=0)[2:].tolist() == [image.shape[2], image.shape[1]]
    assert_same_rows(found_alone, expected)


def test_filled_up_images_find_in_a_batch_what_they_find_alone(torchvisions, alone):
    _, ours = torchvisions
    images, found_alone = alone
    assert_same_rows(ours(images, batch_size=3), found_alone)


def losses_of_torchvision(theirs, items) -> dict[str, float]:
    """Its own losses, by its own way from images of any sizes to a batch."""
    theirs.train()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        losses = theirs([image for image, _ in items], [target for _, target in items])
    theirs.eval()
    return {
        "classification": losses["classification"].item(),
        "regression": losses["bbox_regression"].item(),
    }


def test_evaluate_fills_up_as_torchvision_does(torchvisions):
    theirs, ours = torchvisions
    dataset = objects_in_float64([(65, 97), (110, 75)])
    expected = [losses_of_torchvision(theirs, [item]) for item in dataset]
    measured = evaluate(ours, dataset, progress=False)
    for name in ("classification", "regression"):
        mean = sum(losses[name] for losses in expected) / len(expected)
        assert measured[f"validation_{name}"] == pytest.approx(mean, rel=1e-5)


def test_training_fills_up_as_torchvision_does(torchvisions):
    theirs, ours = torchvisions
    dataset = objects_in_float64([(65, 97), (110, 75)])  # together 110×97, and then 128×128
    expected = losses_of_torchvision(theirs, dataset)
    recipe = Recipe(steps=1, batch_size=2)
    (first,) = fit(copy.deepcopy(ours), dataset, recipe=recipe, progress=False)
    for name, loss in expected.items():
        assert first[name] == pytest.approx(loss, rel=1e-5)


# ── the file ──


def test_a_saved_detector_finds_the_same(detector, tmp_path):
    detector = Detector(detector.model, CLASSES, (36, 60))
    detector.save(tmp_path / "inner" / "a.pt")
    loaded = Detector.load(tmp_path / "inner" / "a.pt")
    assert loaded.classes == CLASSES and loaded.size == (36, 60)
    assert not loaded.model.training
    expected = detector(images_of())
    torch.testing.assert_close(loaded(images_of()), expected, rtol=0, atol=0)
    assert [file.name for file in (tmp_path / "inner").iterdir()] == ["a.pt"]


def test_half_a_file_finds_the_same_as_weights_rounded_to_half(detector, tmp_path):
    detector.save(tmp_path / "whole.pt")
    detector.save(tmp_path / "half.pt", half=True)
    with torch.no_grad():
        for p in detector.model.parameters():
            if p.dim() > 1:
                p.copy_(p.half())
    loaded = Detector.load(tmp_path / "half.pt")
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    torch.testing.assert_close(loaded(images_of()), detector(images_of()), rtol=0, atol=0)
    sizes = [(tmp_path / name).stat().st_size for name in ("half.pt", "whole.pt")]
    assert sizes[0] < 0.52 * sizes[1]


def test_arguments_that_came_from_numpy_are_saved_too(tmp_path):
    model = tiny_retinanet(anchors=Anchors(ratios=tuple(np.array([0.5, 1.0, 3.0]))))
    Detector(model, CLASSES).save(tmp_path / "a.pt")
    assert Detector.load(tmp_path / "a.pt").model.anchors.ratios == (0.5, 1.0, 3.0)


@pytest.mark.parametrize(
    "write, message",
    [
        (lambda path: None, "there is no file .*a.pt"),
        (lambda path: path.mkdir(), "there is no file .*a.pt"),
        (lambda path: path.write_bytes(b""), "a.pt can't be read: it is damaged, or no file that"),
        (lambda path: torch.save(torch.zeros(3), path), "a.pt holds no detector"),
        (lambda path: torch.save({"w": 1}, path), "a.pt holds no detector. .*such as best.pt"),
        (
            lambda path: torch.save(
                {"weights": {}, "about": Detector(tiny_retinanet(), CLASSES).about()}, path
            ),
            "a.pt holds no detector",
        ),
    ],
)
def test_what_is_no_detectors_file_is_told_in_a_line(tmp_path, write, message):
    write(tmp_path / "a.pt")
    with pytest.raises(ValueError, match=message) as error:
        Detector.load(tmp_path / "a.pt")
    assert "\n" not in str(error.value)


def test_a_write_that_fails_leaves_the_old_file(detector, tmp_path, monkeypatch):
    detector.save(tmp_path / "a.pt", step=1)

    def half_written(content, file):
        file.write(b"PK")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(OSError, match="no space"):
        detector.save(tmp_path / "a.pt", step=2)
    assert torch.load(tmp_path / "a.pt", weights_only=True)["step"] == 1
    Detector.load(tmp_path / "a.pt")
