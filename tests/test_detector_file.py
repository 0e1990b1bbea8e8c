"""A model's file has every argument that the model was made with."""

import inspect
import math

import pytest
import torch

from retinanet_lite import (
    Anchors,
    BasicBlock,
    BBoxTransform,
    Bottleneck,
    Detection,
    Detector,
    FocalLoss,
    RetinaNet,
)
from retinanet_lite.zoo.detector_file import architecture

# of every argument, a value unlike its default
UNLIKE = {
    Anchors: {
        "levels": (3, 4, 5, 6, 7),  # the default, since a pyramid has no others
        "ratios": (0.3, 1.0),
        "scales": (1.0, 1.5, 1.7),
        "size": 3.0,
        "offset": 0.25,
        "rounded": True,
        "floor_strides": True,
    },
    BBoxTransform: {"std": (0.25, 0.5, 0.125, 1.0), "max_log_scale": 2.0},
    FocalLoss: {
        "alpha": 0.3,
        "gamma": 1.5,
        "beta": 0.2,
        "positive": 0.6,
        "negative": 0.3,
        "keep_best": "low_quality",
        "box_loss": "giou",
    },
    Detection: {
        "score_threshold": 0.1,
        "top_k": None,
        "nms_threshold": 0.4,
        "max_detections": None,
        "keep_empty": True,
    },
    RetinaNet: {
        "num_classes": 2,
        "block": Bottleneck,
        "layers": [1, 2, 1, 1],
        "feature_size": 8,
        "prior": 0.2,
        "freeze_bn": False,
        "p6_from": "P5",
        "norm_groups": 4,
        "bn_eps": 1e-3,
    },
}
PARTS = {  # arguments that are modules with arguments of their own, and where a model has them
    "anchors": (Anchors, "anchors"),
    "box_transform": (BBoxTransform, "regress_boxes"),
    "focal_loss": (FocalLoss, "focal_loss"),
    "detection": (Detection, "detection"),
}
SEEN = {  # where one sees what the others were
    "num_classes": lambda model: model.classification_model.output.out_channels // 6,
    "block": lambda model: type(model.backbone.layer3[0]),
    "layers": lambda model: [len(getattr(model.backbone, f"layer{i}")) for i in (1, 2, 3, 4)],
    "feature_size": lambda model: model.regression_model.conv4.out_channels,
    "prior": lambda model: model.classification_model.output.bias[0].sigmoid().item(),
    "freeze_bn": lambda model: not model.train().backbone.bn1.training,
    "p6_from": lambda model: {2048: "C5", 8: "P5"}[model.fpn.p6.in_channels],
    "norm_groups": lambda model: model.classification_model.norm4.num_groups,
    "bn_eps": lambda model: model.backbone.layer4[0].bn2.eps,
}


@pytest.mark.parametrize("kind", UNLIKE)
def test_every_argument_has_a_value_here(kind):
    parameters = inspect.signature(kind).parameters
    assert set(UNLIKE[kind]) == set(parameters) - set(PARTS), "UNLIKE is to have all arguments"
    same = [name for name, value in UNLIKE[kind].items() if value == parameters[name].default]
    assert same == (["levels"] if kind is Anchors else [])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> RetinaNet:
    """A model of these arguments, from its file."""
    parts = {name: kind(**UNLIKE[kind]) for name, (kind, _) in PARTS.items()}
    file = tmp_path_factory.mktemp("architecture") / "a.pt"
    Detector(RetinaNet(**UNLIKE[RetinaNet], **parts), ("a", "b")).save(file)
    return Detector.load(file).model


@pytest.mark.parametrize("name", UNLIKE[RetinaNet])
def test_a_loaded_model_has_the_argument(loaded, name):
    value = SEEN[name](loaded)
    assert value == (pytest.approx(0.2) if name == "prior" else UNLIKE[RetinaNet][name])


@pytest.mark.parametrize(
    "part, name", [(part, name) for part, (kind, _) in PARTS.items() for name in UNLIKE[kind]]
)
def test_a_loaded_models_part_has_the_argument(loaded, part, name):
    kind, attribute = PARTS[part]
    value = getattr(getattr(loaded, attribute), name)
    value = tuple(value.tolist()) if isinstance(value, torch.Tensor) else value
    assert value == UNLIKE[kind][name] and type(value) is type(UNLIKE[kind][name])


# what the package wrote before it knew what others do differently
OLD = {
    "classes": ["a", "b", "c"],
    "size": None,
    "num_classes": 3,
    "block": "BasicBlock",
    "layers": [1, 1, 1, 1],
    "feature_size": 16,
    "freeze_bn": True,
    "anchors": {
        "ratios": [0.5, 1.0, 2.0],
        "scales": [1.0, 2 ** (1 / 3), 2 ** (2 / 3)],
        "size": 4.0,
    },
    "std": [0.1, 0.1, 0.2, 0.2],
    "max_log_scale": math.log(1000 / 16),
    "focal_loss": {
        "alpha": 0.25,
        "gamma": 2.0,
        "beta": 1 / 9,
        "positive": 0.5,
        "negative": 0.4,
        "keep_best": True,
    },
    "detection": {
        "score_threshold": 0.05,
        "top_k": 1000,
        "nms_threshold": 0.5,
        "max_detections": 300,
    },
}


def test_a_file_of_before_loads_with_the_defaults(tmp_path):
    model = RetinaNet(3, BasicBlock, [1, 1, 1, 1], feature_size=16, freeze_bn=True)
    torch.save({"weights": model.state_dict(), "about": OLD}, tmp_path / "a.pt")
    loaded = Detector.load(tmp_path / "a.pt", plain=True).model
    assert architecture(loaded) == architecture(model)
