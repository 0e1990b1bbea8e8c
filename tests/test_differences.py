"""The tables of docs/differences.md say what the code does, here and in torchvision.

A table is found by its heading. A value is a code span that Python can
evaluate; a cell in words says that there is no such value.
"""

import inspect
import itertools
import math
import re
from pathlib import Path

import others
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torchvision.models import ResNet50_Weights, WeightsEnum
from torchvision.models.detection import retinanet as theirs
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FrozenBatchNorm2d, box_iou

from retinanet_lite import (
    Anchors,
    BasicBlock,
    BBoxTransform,
    ClassificationModel,
    Detection,
    Detector,
    FocalLoss,
    PyramidFeatures,
    RegressionModel,
    ResNet,
    RetinaNet,
    from_torchvision,
    match_anchors,
    retinanet_resnet50,
    zoo,
)
from retinanet_lite.data.transforms import resize
from retinanet_lite.zoo.detector_file import plain
from retinanet_lite.zoo.parameters import their_name
from retinanet_lite.zoo.pytorch_retinanet import NAMES as PYTORCH_RETINANET
from retinanet_lite.zoo.torchvision_retinanet import COCO_SIZE
from retinanet_lite.zoo.torchvision_retinanet import NAMES as TORCHVISION

PAGE = (Path(__file__).parents[1] / "docs" / "differences.md").read_text(encoding="utf-8")
OWNERS = {
    owner.__name__: owner
    for owner in (
        Anchors,
        BBoxTransform,
        ClassificationModel,
        Detection,
        FocalLoss,
        PyramidFeatures,
        RegressionModel,
        ResNet,
        RetinaNet,
        match_anchors,
    )
}
MORE = {"Detector": Detector}  # of which one argument is a difference
VARIANTS = {
    "original": zoo.pytorch_retinanet,
    "v1": zoo.torchvision_v1,
    "v2": zoo.torchvision_v2,
}
PARTS = {  # the argument of `RetinaNet` that carries each part's
    "Anchors": "anchors",
    "BBoxTransform": "box_transform",
    "FocalLoss": "focal_loss",
    "match_anchors": "focal_loss",
    "Detection": "detection",
}


def table(heading: str, number: int = 0) -> list[dict[str, str]]:
    """The rows of a table under a heading, each by the names of the columns."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    lines = re.findall(r"(?:^\|.*\|\n)+", section, re.MULTILINE)[number].splitlines()
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    head, _, *body = rows
    return [dict(zip(head, row, strict=True)) for row in body]


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def value(cell: str):
    """The value that a cell's only code span writes down."""
    (span,) = spans(cell)
    assert cell == f"`{span}`"
    return eval(span, {"log": math.log})


def arguments(cell: str) -> list[tuple[str, str]]:
    """`Anchors(size, offset)` → [("Anchors", "size"), ("Anchors", "offset")]."""
    calls = [re.fullmatch(r"(\w+)\(([\w, ]+)\)", span).groups() for span in spans(cell)]
    return [(owner, name) for owner, names in calls for name in names.split(", ")]


BROUGHT = table("Settings of a variant")
*CHOSEN, FILLED_UP = table("Settings that you choose")  # the last is no argument but a property
SAME = table("The same everywhere")
REST = table("The same everywhere", 1)
NAMES = table("Names of parameters")


def by_name(rows: list[dict], column: str) -> dict:
    """The values of a column, by the name of the argument."""
    return {arguments(row["argument"])[0][1]: value(row[column]) for row in rows}


def default(owner: str, name: str):
    return inspect.signature((OWNERS | MORE)[owner]).parameters[name].default


def same(found, expected) -> bool:
    """Numbers up to rounding, all else as it is; 1 is not True, and None is not 0."""
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float | int) and not isinstance(expected, bool):
        return type(found) in (float, int) and found == pytest.approx(expected, rel=1e-6)
    return type(found) is type(expected) and found == expected


# ── the arguments ──


def test_every_argument_has_its_place_on_the_page():
    cells = [row["argument"] for row in (*BROUGHT, *CHOSEN, *SAME)]
    on_the_page = [pair for cell in cells for pair in arguments(cell)]
    on_the_page += [pair for row in REST for pair in arguments(row["arguments"])]
    in_the_code = [
        (name, argument)
        for name, owner in OWNERS.items()
        for argument in inspect.signature(owner).parameters
    ]
    assert len(set(on_the_page)) == len(on_the_page)
    assert {pair for pair in on_the_page if pair[0] not in MORE} == set(in_the_code)


@pytest.mark.parametrize("row", (*BROUGHT, *CHOSEN, *SAME), ids=lambda row: row["argument"])
def test_what_stands_under_here_is_the_default(row):
    for owner, name in arguments(row["argument"]):
        assert same(default(owner, name), value(row.get("here") or row["all"])), owner


@pytest.mark.parametrize("column", VARIANTS)
@pytest.mark.parametrize("row", (*BROUGHT, *SAME), ids=lambda row: row["argument"])
def test_a_variants_column_is_what_the_variant_brings(row, column):
    brought = VARIANTS[column]()
    for owner, name in arguments(row["argument"]):
        found = brought.get(name, default(owner, name))
        if PARTS.get(owner) in brought:
            found = plain(getattr(brought[PARTS[owner]], name))
        assert same(found, value(row.get(column) or row["all"])), owner


@pytest.mark.parametrize("column", VARIANTS)
def test_no_variant_brings_what_you_choose(column):
    chosen = {name for row in CHOSEN for _, name in arguments(row["argument"])}
    assert not VARIANTS[column]().keys() & chosen


def test_the_columns_differ_where_the_page_speaks_of_differences():
    columns = ("here", "original", "v1", "v2", "detectron2")
    for row in (*BROUGHT, *CHOSEN):
        assert len({row[column] for column in columns}) > 1, row["argument"]
        assert all(row[column] for column in (*columns, "more")), row["argument"]


def test_detectron2s_values_are_values_that_we_take():
    given = {owner: {} for owner in ("RetinaNet", *PARTS)}
    for row in BROUGHT:
        owner, name = arguments(row["argument"])[0]
        given[owner][name] = value(row["detectron2"])
    parts = {PARTS[owner]: OWNERS[owner](**given[owner]) for owner in PARTS if given[owner]}
    model = RetinaNet(2, BasicBlock, [1, 1, 1, 1], 16, **given["RetinaNet"], **parts).eval()
    images = torch.rand(1, 3, 64, 96)
    assert model(images)[0].keys() == {"boxes", "scores", "labels"}
    assert model(images, torch.tensor([[[3.0, 3.0, 20.0, 20.0, 1.0]]])).keys()


# ── torchvision's own ──


@pytest.fixture(params=["v1", "v2"])
def version(request) -> str:
    return request.param


def of_torchvision(version: str, **weights) -> theirs.RetinaNet:
    """torchvision's, as by default; its parameters have shapes and no values."""
    weights = {"weights": None, "weights_backbone": None, **weights}
    with torch.device("meta"):
        return others.BUILDERS[version](**weights)


def centres_of(model: theirs.RetinaNet, height: int, width: int) -> list[torch.Tensor]:
    """Of each level [h, w, 9, 2], the x and y where its anchors stand."""
    sides = [(-(-height // stride), -(-width // stride)) for stride in (8, 16, 32, 64, 128)]
    images = ImageList(torch.empty(1, 3, height, width), [(height, width)])
    (anchors,) = model.anchor_generator(images, [torch.empty(1, 1, *side) for side in sides])
    levels = anchors.split([h * w * 9 for h, w in sides])
    return [
        ((level[:, :2] + level[:, 2:]) / 2).reshape(h, w, 9, 2)
        for level, (h, w) in zip(levels, sides, strict=True)
    ]


def keeps_empty(model: theirs.RetinaNet) -> bool:
    """Whether a box that its deltas move off the image is still among the detections."""
    outputs = {
        "cls_logits": [torch.full((1, 1, 91), -9.0).index_fill(2, torch.tensor(1), 9.0)],
        "bbox_regression": [torch.tensor([[[-100.0, 0.0, 0.0, 0.0]]])],
    }
    anchors = [[torch.tensor([[0.0, 0.0, 32.0, 32.0]])]]
    (found,) = model.postprocess_detections(outputs, anchors, [(64, 64)])
    return len(found["boxes"]) == 1


def own_settings(model: theirs.RetinaNet) -> dict:
    """What a model of torchvision's has, by our names of arguments."""
    cells, p6 = model.anchor_generator.cell_anchors, model.backbone.fpn.extra_blocks.p6
    centres = centres_of(model, 800, 1088)[-1]  # P7: 7 rows of 800 pixels, 114 each
    step = (centres[1, 0, 0] - centres[0, 0, 0])[1].item()
    groups = {m.num_groups for m in model.head.modules() if isinstance(m, torch.nn.GroupNorm)}
    matcher, coder = model.proposal_matcher, model.box_coder
    focal = inspect.signature(torchvision.ops.sigmoid_focal_loss).parameters
    head = inspect.signature(theirs.RetinaNetClassificationHead).parameters
    (ratios,) = set(model.anchor_generator.aspect_ratios)
    return {
        "offset": (centres[0, 0, 0, 1] / step).item(),
        "rounded": all(torch.equal(cell, cell.round()) for cell in cells),
        "floor_strides": {800 // 7: True, 128: False}[step],
        "p6_from": {model.backbone.out_channels: "P5", 2048: "C5"}[p6.in_channels],
        "norm_groups": groups.pop() if groups else None,
        "std": tuple(1 / weight for weight in coder.weights),
        "max_log_scale": coder.bbox_xform_clip,
        "box_loss": model.head.regression_head._loss_type,
        "keep_best": "low_quality" if matcher.allow_low_quality_matches else False,
        "top_k": model.topk_candidates,
        "max_detections": model.detections_per_img,
        "keep_empty": keeps_empty(model),
        "ratios": ratios,
        "num_anchors": model.anchor_generator.num_anchors_per_location()[0],
        "feature_size": model.backbone.out_channels,
        "prior": head["prior_probability"].default,
        "alpha": focal["alpha"].default,
        "gamma": focal["gamma"].default,
        "positive": matcher.high_threshold,
        "negative": matcher.low_threshold,
        "score_threshold": model.score_thresh,
        "nms_threshold": model.nms_thresh,
    }


def test_torchvisions_columns_are_torchvisions_own_settings(version):
    stated = by_name(BROUGHT, version) | by_name(SAME, "all")
    own = own_settings(of_torchvision(version))
    # of the others a test of its own; beta belongs to a loss that torchvision does not use
    assert stated.keys() - own.keys() == {"levels", "scales", "size", "beta"}
    for name, expected in own.items():
        assert same(stated[name], expected), name


def test_torchvisions_anchors_have_the_sizes_of_the_page_cut_to_whole_pixels(version):
    stated = by_name(SAME, "all")
    assert of_torchvision(version).anchor_generator.sizes == tuple(
        tuple(math.floor(scale * stated["size"] * 2**level) for scale in stated["scales"])
        for level in stated["levels"]
    )


@pytest.fixture
def without_download(monkeypatch) -> None:
    """torchvision builds its models as for published parameters, which do not come."""
    resnet50 = theirs.resnet50
    monkeypatch.setattr(
        theirs, "resnet50", lambda weights, progress, **rest: resnet50(weights=None, **rest)
    )
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: {})
    monkeypatch.setattr(theirs.RetinaNet, "load_state_dict", lambda *_, **__: None)


def norms_of(model: theirs.RetinaNet) -> list:
    kinds = (torch.nn.BatchNorm2d, FrozenBatchNorm2d)
    return [module for module in model.backbone.modules() if isinstance(module, kinds)]


def test_the_published_batch_norm_has_the_pages_eps(version, without_download):
    published = of_torchvision(version, weights="COCO_V1")
    assert {norm.eps for norm in norms_of(published)} == {by_name(CHOSEN, version)["bn_eps"]}


def test_batch_norm_over_imagenets_weights_is_frozen_where_the_page_says_so(
    version, without_download
):
    model = of_torchvision(version, weights_backbone=ResNet50_Weights.IMAGENET1K_V1).train()
    learns = {norm.training and isinstance(norm, torch.nn.BatchNorm2d) for norm in norms_of(model)}
    assert learns == {not by_name([CHOSEN[1]], version)["freeze_bn"]}


def test_torchvision_leaves_the_stages_that_the_page_freezes(version, without_download):
    frozen = re.search(r"`model\.freeze\((.+?)\)`", PAGE)[1].replace('"', "").split(", ")
    with torch.device("meta"):
        ours = retinanet_resnet50(91, freeze_bn=False)
    ours.freeze(*frozen)
    names = {their_name(name, TORCHVISION): p.requires_grad for name, p in ours.named_parameters()}
    model = of_torchvision(version, weights_backbone=ResNet50_Weights.IMAGENET1K_V1)
    for name, parameter in model.backbone.body.named_parameters():
        assert parameter.requires_grad == names[f"backbone.body.{name}"], name


def test_images_come_in_the_sizes_of_the_page(version):
    transform = of_torchvision(version).transform
    stated = by_name([CHOSEN[2]], version)
    assert stated["size"] == (*transform.min_size, transform.max_size) == COCO_SIZE
    assert FILLED_UP["argument"] == "`Anchors.multiple`"
    multiple = value(FILLED_UP[version])
    assert multiple == transform.size_divisible == VARIANTS[version]()["anchors"].multiple
    assert value(FILLED_UP["here"]) == Anchors().multiple


def test_published_numbers_are_those_of_torchvisions_weights():
    published = {row[""]: row["AP"] for row in table("What others have published")}
    for version, weights in {
        "v1": torchvision.models.detection.RetinaNet_ResNet50_FPN_Weights,
        "v2": torchvision.models.detection.RetinaNet_ResNet50_FPN_V2_Weights,
    }.items():
        metrics = weights.COCO_V1.meta["_metrics"]["COCO-val2017"]
        assert float(published[version]) == metrics["box_map"]


# ── names of parameters ──


def expanded(cell: str) -> list[str]:
    """`a{1,2}` → ["a1", "a2"], as in a shell."""
    parts = re.split(r"\{(.+?)\}", *spans(cell)) if cell else []
    return ["".join(p) for p in itertools.product(*([*part.split(",")] for part in parts))]


def test_names_of_the_page_are_those_of_the_code():
    for column, names in (("original", PYTORCH_RETINANET), ("torchvision", TORCHVISION)):
        for row in NAMES:
            if row[column]:
                here = [their_name(f"{name}.weight", names) for name in expanded(row["here"])]
                assert here == [f"{name}.weight" for name in expanded(row[column])]


def test_names_of_the_page_are_torchvisions_and_all_of_them(version):
    names = [name for row in NAMES for name in expanded(row["torchvision"])]
    used = set()
    for key in of_torchvision(version).state_dict():
        (name,) = [name for name in names if key.startswith(f"{name}.")]
        used.add(name)
    unused = {name for name in names if name not in used}
    norms = {name for row in NAMES for name in expanded(row["torchvision"]) if name[-2:] == ".1"}
    assert unused == (norms if version == "v1" else set())


# ── what no argument changes ──


@torch.no_grad()
def test_frozen_batch_norm_changes_scores_by_less_than_the_page_says():
    bound = float(re.search(r"scores differ by less than (0\.0*1)\.", PAGE)[1])
    model = others.published("v1", num_classes=91)
    for module in list(model.backbone.modules()):
        for name, norm in list(module.named_children()):
            if isinstance(norm, torch.nn.BatchNorm2d):
                frozen = FrozenBatchNorm2d(norm.num_features, eps=0.0)
                frozen.load_state_dict(norm.state_dict())
                setattr(module, name, frozen)
    images = torch.randn(1, 3, 128, 160)
    found = from_torchvision(model.state_dict()).predict(images)[0].sigmoid()
    expected = others.numbers(model, images)["logits"].sigmoid()
    assert expected.max() > 0.1
    assert 0 < (found - expected).abs().max() < bound


def test_scaled_sides_are_torchvisions_or_one_pixel_longer():
    scale = GeneralizedRCNNTransform(*COCO_SIZE, [0.0], [1.0]).eval()
    longer = set()
    for height, width in itertools.product(range(200, 1500, 130), repeat=2):
        image = torch.empty(1, height, width, device="meta")
        shapes = (resize(COCO_SIZE)(image).shape, scale.resize(image)[0].shape)
        longer |= {mine - its for mine, its in zip(*shapes, strict=True)}
    assert longer == {0, 1}


def test_torchvision_scales_down_without_antialiasing_and_up_as_we_do():
    image, size = torch.rand(3, 480, 640), (240, 320)
    scale = GeneralizedRCNNTransform(240, 1333, [0.0] * 3, [1.0] * 3).eval()
    pixelwise = F.interpolate(image[None], size, mode="bilinear")[0]
    of_all = F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]
    torch.testing.assert_close(scale.resize(image)[0], pixelwise)
    torch.testing.assert_close(resize((240, 1333))(image), of_all)
    assert (pixelwise - of_all).abs().max() > 0.1
    scale = GeneralizedRCNNTransform(960, 1333, [0.0] * 3, [1.0] * 3).eval()
    torch.testing.assert_close(scale.resize(image)[0], resize((960, 1333))(image))


def test_torchvisions_anchors_of_an_image_depend_on_those_beside_it():
    model = of_torchvision("v1")
    alone, beside = (centres_of(model, *size)[-1] for size in ((800, 1088), (896, 1088)))
    assert not torch.equal(alone[1, 0], beside[1, 0])


def test_an_object_that_no_anchor_touches_makes_every_anchor_positive_in_torchvision_alone():
    anchors = zoo.torchvision_v1()["anchors"](torch.empty(1, 3, 128, 160))
    inside, outside = [20.0, 20.0, 60.0, 60.0], [5000.0, 5000.0, 5050.0, 5050.0]
    boxes = torch.tensor([inside, outside])
    matcher = of_torchvision("v1").proposal_matcher
    assert (matcher(box_iou(boxes, anchors)) == 0).all()
    for keep_best in (True, "low_quality"):
        alone = match_anchors(anchors, boxes[:1], keep_best=keep_best)
        assert torch.equal(match_anchors(anchors, boxes, keep_best=keep_best), alone)
        assert (alone < 0).any()
