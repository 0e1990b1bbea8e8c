"""Detectors by name: torchvision's published files make ours find what torchvision's finds."""

import copy
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from others import numbers, published
from torchvision.models.detection import (
    RetinaNet_ResNet50_FPN_V2_Weights,
    RetinaNet_ResNet50_FPN_Weights,
)

import retinanet_lite
from retinanet_lite import Detector, RetinaNet, retinanet_resnet18, retinanet_resnet50
from retinanet_lite.data.drawing import CLASSES
from retinanet_lite.zoo import SHAPES, load_coco

# the files, as torchvision's documentation names them
V1 = "retinanet_resnet50_fpn_coco-eeacb38b.pth"
V2 = "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth"
RESNET18 = "resnet18-f37072fd.pth"
RESNET50_V2 = "resnet50-11ad3fa6.pth"

# COCO's category ids go up to 90, and these were never given to one
UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
IDS = [i for i in range(1, 91) if i not in UNUSED]
SOME = {1: "person", 3: "car", 13: "stop sign", 18: "dog", 44: "bottle", 62: "chair"}
SOME |= {67: "dining table", 84: "book", 90: "toothbrush"}


@pytest.fixture(scope="module", autouse=True)
def hub(tmp_path_factory) -> Iterator[Path]:
    """PyTorch's folder with files of the published names and random parameters; no network."""

    def no_network(*_, **__):
        raise URLError("no route to host")

    folder = tmp_path_factory.mktemp("hub") / "checkpoints"
    folder.mkdir()
    torch.manual_seed(0)
    v1 = published("v1", 91).state_dict()
    v1 = {key: value for key, value in v1.items() if not key.endswith("num_batches_tracked")}
    torch.save(v1, folder / V1)  # from frozen batch norm, which counts nothing
    torch.save(published("v2", 91).state_dict(), folder / V2)
    torch.save(torchvision.models.resnet18().state_dict(), folder / RESNET18)
    torch.save(torchvision.models.resnet50().state_dict(), folder / RESNET50_V2)
    before = torch.hub._hub_dir
    torch.hub.set_dir(str(folder.parent))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.hub, "urlopen", no_network)
        yield folder
    torch.hub._hub_dir = before
    for file in folder.iterdir():
        file.unlink()  # they are large


@pytest.fixture
def empty_hub(hub, tmp_path) -> Iterator[Path]:
    torch.hub.set_dir(str(tmp_path))
    yield tmp_path / "checkpoints"
    torch.hub.set_dir(str(hub.parent))


@pytest.fixture(scope="module")
def coco(hub) -> RetinaNet:
    return load_coco()


def eps_of(model: torch.nn.Module) -> set[float]:
    return {m.eps for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)}


@torch.no_grad()
def assert_near(model: RetinaNet, theirs: torch.nn.Module) -> None:
    """torchvision's frozen batch norm computes in another order: no bit for bit."""
    images = torch.randn(1, 3, 96, 128)
    expected = numbers(theirs.eval(), images)
    logits, deltas, anchors = model.predict(images)
    torch.testing.assert_close(logits, expected["logits"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(deltas, expected["deltas"], rtol=1e-4, atol=1e-4)
    assert torch.equal(anchors, expected["anchors"])
    (wanted,), (found,) = expected["detections"], model(images)
    assert len(found["scores"]) == len(wanted["scores"]) > 20
    torch.testing.assert_close(found["scores"], wanted["scores"], rtol=1e-4, atol=1e-4)


# ── torchvision's detectors ──


def test_coco_is_what_torchvisions_builder_makes_of_the_same_file(coco):
    theirs = torchvision.models.detection.retinanet_resnet50_fpn(
        weights=RetinaNet_ResNet50_FPN_Weights.COCO_V1, _skip_resize=True
    )
    assert coco.num_classes == 91 and not coco.training
    assert_near(coco, theirs)


def test_coco_has_the_eps_that_it_was_trained_with(coco):
    assert coco.backbone.bn_eps == 0.0 and max(eps_of(coco)) < 1e-20


def test_coco_v2_is_what_torchvisions_builder_makes_of_the_same_file():
    theirs = torchvision.models.detection.retinanet_resnet50_fpn_v2(
        weights=RetinaNet_ResNet50_FPN_V2_Weights.COCO_V1, _skip_resize=True
    )
    model = load_coco("coco_v2")
    assert eps_of(model) == {1e-5}
    assert_near(model, theirs)


def test_arguments_of_ones_own_take_the_place_of_torchvisions():
    model = load_coco(bn_eps=1e-3, freeze_bn=False)
    assert eps_of(model) == {1e-3}
    assert model.backbone.bn1.weight.requires_grad


# ── 80 of 91 ──


def test_the_names_are_cocos_in_the_order_of_their_ids():
    detector = Detector.pretrained()
    assert len(detector.classes) == len(set(detector.classes)) == len(IDS) == 80
    assert {i: detector.classes[IDS.index(i)] for i in SOME} == SOME
    assert detector.size == (800, 1333)


def test_80_classes_are_the_rows_of_their_ids_for_every_anchor(coco):
    output = Detector.pretrained().model.classification_model.output
    old = coco.classification_model.output
    rows = [anchor * 91 + i for anchor in range(9) for i in IDS]
    assert torch.equal(output.weight, old.weight[rows])
    assert torch.equal(output.bias, old.bias[rows])


@torch.no_grad()
def test_a_detector_of_80_finds_what_that_of_91_finds_of_these(coco):
    detector = Detector.pretrained()
    model = detector.model.double()  # no rounding decides what is above a threshold
    all_of_them = copy.deepcopy(coco).double()
    for m in (model, all_of_them):  # no detection takes the place of another class's
        m.detection.top_k = m.detection.max_detections = None
    images = torch.randn(1, 3, 96, 128, dtype=torch.float64)
    (found,), (of_91,) = model(images), all_of_them(images)
    kept = torch.isin(of_91["labels"], torch.tensor(IDS))
    assert 0 < kept.sum() < len(kept)
    torch.testing.assert_close(found["scores"], of_91["scores"][kept])
    torch.testing.assert_close(found["boxes"], of_91["boxes"][kept])
    names = [detector.classes[label] for label in found["labels"]]
    expected = of_91["labels"][kept].tolist()
    assert [IDS[label] for label in found["labels"]] == expected
    told = [(name, i) for name, i in zip(names, expected, strict=True) if i in SOME]
    assert told and all(name == SOME[i] for name, i in told)


# ── what can't be had ──


@pytest.mark.parametrize("weights, file", [("coco", V1), ("coco_v2", V2)])
@pytest.mark.parametrize("build", [Detector.pretrained, load_coco])
def test_without_file_and_network_both_are_told(empty_hub, build, weights, file):
    with pytest.raises(ConnectionError) as error:
        build(weights)
    message = str(error.value)
    assert "no route to host" in message and "\n" not in message
    assert f"https://download.pytorch.org/models/{file}" in message
    assert f"put it into {empty_hub}" in message


def test_a_damaged_file_is_told(empty_hub):
    empty_hub.mkdir()
    (empty_hub / V1).write_bytes(b"<html>404: not found</html>")
    with pytest.raises(ConnectionError, match=V1) as error:
        Detector.pretrained()
    assert "\n" not in str(error.value)


def test_a_file_under_anothers_name_is_told(hub, empty_hub):
    empty_hub.mkdir()
    (empty_hub / V1).hardlink_to(hub / V2)
    with pytest.raises(ValueError, match="torchvision's v2, not v1"):
        Detector.pretrained()


def test_the_small_detector_that_comes_along_is_told_from_its_file():
    detector = Detector.pretrained("shapes")
    its = Detector.load(SHAPES).model.state_dict()
    assert detector.classes == CLASSES and not detector.model.training
    assert all(torch.equal(value, its[name]) for name, value in detector.model.state_dict().items())


def test_names_of_no_weights_have_no_categories():
    with pytest.raises(ValueError, match="coco, coco_v2.* shapes; got 'voc'"):
        Detector.pretrained("voc")


# ── ImageNet's for the backbone ──


@pytest.mark.parametrize(
    "build, name, file",
    [
        (retinanet_resnet18, "IMAGENET1K_V1", RESNET18),
        (retinanet_resnet50, "IMAGENET1K_V2", RESNET50_V2),
    ],
)
def test_the_backbones_weights_are_the_named_files(hub, build, name, file):
    model = build(3, weights_backbone=name)
    theirs = torch.load(hub / file, weights_only=True)
    ours = model.backbone.state_dict()
    assert theirs.keys() - ours.keys() == {"fc.weight", "fc.bias"}
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert eps_of(model) == {1e-5} and model.num_classes == 3


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_weights_of_a_backbone_that_do_not_exist_are_told_before_a_download(empty_hub, depth):
    build = getattr(retinanet_lite, f"retinanet_resnet{depth}")
    with torch.device("meta"), pytest.raises(ValueError, match="IMAGENET1K_V1.* got 'COCO'"):
        build(3, weights_backbone="COCO")
