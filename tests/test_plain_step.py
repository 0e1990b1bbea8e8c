"""Whole training steps of the plain model, against the classes that the notebooks build.

The notebooks prove each class alone; here they are put together as notebook 07 does it, with
nothing of `retinanet_lite.model` but `match_anchors` and `BBoxTransform`, which notebook 06 calls,
and `Detection`, which has no part in training.
"""

import ast
import math
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

import retinanet_lite
from retinanet_lite import Detector, Recipe, RetinaNet, fit
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.scenes import THREE, training_scenes
from retinanet_lite.training.stream import Stream

SCRIPTS = Path(__file__).parents[1] / "notebooks" / "scripts"
CLASSES = 3


def definitions(notebook: str, *names: str, **known) -> dict:
    """What a notebook's classes and functions of these names are, and what it is given to know."""
    (script,) = SCRIPTS.glob(f"{notebook}_*.py")
    kinds = ast.ClassDef | ast.FunctionDef
    body = [node for node in ast.parse(script.read_text()).body if isinstance(node, kinds)]
    body = [node for node in body if node.name in names]
    assert [node.name for node in body] == list(names), f"of {names}, {script.name} has {body}"
    space = {"torch": torch, "nn": nn, "F": F, "math": math, **known}
    exec(compile(ast.Module(body, []), str(script), "exec"), space)
    return space


def built_in_notebooks() -> nn.Module:
    """The notebooks' RetinaNet, of BasicBlocks, one a stage."""
    backbone = definitions("01", "BasicBlock", "make_stage", "ResNet")
    pyramid = definitions("02", "PyramidFeatures")
    head = definitions("03", "Head")["Head"]
    nine = torch.tensor(
        [
            [-w / 2, -h / 2, w / 2, h / 2]
            for ratio in (0.5, 1.0, 2.0)
            for scale in (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
            for w, h in [(128 * scale / ratio**0.5, 128 * scale * ratio**0.5)]
        ]
    )  # of P5, as notebook 04 makes them on the way
    make_anchors = definitions("04", "make_anchors", nine=nine.double())["make_anchors"]
    loss = definitions(
        "06",
        "focal_loss",
        "losses_of_image",
        "FocalLoss",
        retinanet_lite=retinanet_lite,
    )

    class ResNet(backbone["ResNet"]):
        out_channels = (128, 256, 512)

        def freeze_bn(self) -> None:
            """Batch norm learns in this test."""

    whole = definitions(
        "07",
        "initialise",
        "RetinaNet",
        "new_retinanet",
        retinanet_lite=retinanet_lite,
        ResNet=ResNet,
        PyramidFeatures=pyramid["PyramidFeatures"],
        RegressionModel=lambda channels: head(channels, 9, 4),
        ClassificationModel=lambda channels, num_classes: head(channels, 9, num_classes),
        Anchors=lambda: lambda size: make_anchors(*size),
        FocalLoss=loss["FocalLoss"],
    )
    return whole["new_retinanet"](CLASSES, backbone["BasicBlock"], [1, 1, 1, 1])


def in_float64(model: nn.Module) -> nn.Module:
    """Adam divides each gradient by its own size: in float32 it makes much of what is rounded."""
    model.double().register_forward_pre_hook(lambda _, inputs: tuple(x.double() for x in inputs))
    return model


def test_steps_of_training_give_the_weights_of_the_notebooks_own_classes_and_loop():
    torch.manual_seed(0)
    theirs = in_float64(built_in_notebooks())
    model = RetinaNet(CLASSES, retinanet_lite.BasicBlock, [1, 1, 1, 1])
    model.load_state_dict(theirs.state_dict())
    before = {name: value.clone() for name, value in model.state_dict().items()}

    recipe = Recipe(steps=3, batch_size=2)
    data = training_scenes((64, 96), length=6)
    loop = definitions("08", "learning_rate", "my_fit", Stream=Stream, to_batch=to_batch)
    loop["my_fit"](theirs, data, recipe)
    detector = Detector(in_float64(model), THREE, plain=True)
    fit(detector, data, recipe=recipe, progress=False)

    assert not any(type(module).__name__.startswith("Quick") for module in model.modules())
    reached = theirs.state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, reached[name], rtol=1e-7, atol=1e-10, msg=name)
        assert not torch.equal(value, before[name]), f"{name} has not learned"
