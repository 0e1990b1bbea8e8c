"""The walkthrough's table for any model and image size: what each stage makes of its input.

The shapes come from running the model on tensors that have a shape and no values, so any size
takes a moment.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..model.retinanet import RetinaNet


@dataclass(frozen=True)
class Stage:
    """One row: a stage's name, the shape that leaves it, its stride in pixels, its parameters.

    `stride` is None where the rows of several levels come together. A head serves every level; its
    parameters stand once, at the row of all levels.
    """

    name: str
    shape: tuple[int, ...]
    stride: int | None = None
    parameters: int = 0


@dataclass(frozen=True)
class Trace:
    """The stages of one pass through a model. Print it, or look one up: `trace["P3"].shape`."""

    stages: tuple[Stage, ...]

    def __getitem__(self, name: str) -> Stage:
        for stage in self.stages:
            if name in (stage.name, *stage.name.split(" = ")):
                return stage
        raise KeyError(f"no stage {name!r}; there are {[stage.name for stage in self.stages]}")

    def __str__(self) -> str:
        lines = [f"{'stage':<20}{'output':<22}{'stride':>6}{'parameters':>14}"]
        for stage in self.stages:
            shape = f"[{', '.join(map(str, stage.shape))}]"
            lines.append(
                f"{stage.name:<20}{shape:<22}{stage.stride or '':>6}"
                f"{f'{stage.parameters:,}' if stage.parameters else '':>14}"
            )
        total = sum(stage.parameters for stage in self.stages)
        lines.append(f"{'total':<48}{total:>14,}")
        return "\n".join(lines)


def trace(model: RetinaNet, height: int = 640, width: int = 832, batch_size: int = 2) -> Trace:
    """What every stage of `model` gives for images [batch_size, 3, height, width]."""
    model = copy.deepcopy(model).to("meta").eval()
    backbone, fpn = model.backbone, model.fpn
    outputs: dict[nn.Module, list] = {}

    def record(module: nn.Module, _, output: Tensor | list[Tensor]) -> None:
        outputs.setdefault(module, []).append(output)

    for module in [*backbone.children(), fpn, model.regression_model, model.classification_model]:
        module.register_forward_hook(record)
    images = torch.empty(batch_size, 3, height, width, device="meta")
    classification, regression, anchors = model.predict(images)

    stages = [Stage("image", tuple(images.shape), 1)]
    for name, module, parts, stride in [
        ("conv1", backbone.bn1, [backbone.conv1, backbone.bn1], 2),
        ("maxpool", backbone.maxpool, [], 4),
        ("layer1", backbone.layer1, [backbone.layer1], 4),
        ("layer2 = C3", backbone.layer2, [backbone.layer2], 8),
        ("layer3 = C4", backbone.layer3, [backbone.layer3], 16),
        ("layer4 = C5", backbone.layer4, [backbone.layer4], 32),
    ]:
        stages.append(Stage(name, tuple(outputs[module][0].shape), stride, count(*parts)))

    levels = [f"P{level}" for level in model.anchors.levels]
    strides = model.anchors.strides
    made_by = [
        [fpn.lateral3, fpn.output3],
        [fpn.lateral4, fpn.output4],
        [fpn.lateral5, fpn.output5],
        [fpn.p6],
        [fpn.p7],
    ]
    for level, stride, output, parts in zip(levels, strides, outputs[fpn][0], made_by, strict=True):
        stages.append(Stage(level, tuple(output.shape), stride, count(*parts)))

    for name, head, whole in [
        ("regression", model.regression_model, regression),
        ("classification", model.classification_model, classification),
    ]:
        for level, stride, output in zip(levels, strides, outputs[head], strict=True):
            stages.append(Stage(f"{name} {level}", tuple(output.shape), stride))
        stages.append(Stage(name, tuple(whole.shape), parameters=count(head)))
    stages.append(Stage("anchors", tuple(anchors.shape)))
    return Trace(tuple(stages))


def count(*modules: nn.Module) -> int:
    """The parameters of some modules, frozen ones included."""
    return sum(p.numel() for module in modules for p in module.parameters())
