"""Checks of the parts that are layers: block, pyramid, head, and the detector put together."""

import copy
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...data.batches import to_batch
from ...data.drawing import random_scene, walkthrough_scene
from ...model.backbone import BasicBlock
from ...model.fpn import PyramidFeatures
from ...model.heads import ClassificationModel, RegressionModel
from ...model.retinanet import RetinaNet
from ..grading import NotYet
from .compare import (
    Named,
    Trial,
    call,
    close,
    compare,
    gradients_of,
    stopped,
    tensors,
    with_weights_of,
)

Tried = Iterator[tuple[Trial, list[Tensor], Named]]


def made(answer: Callable, *arguments: object) -> nn.Module:
    """The reader's module, made of copies."""
    try:
        return answer(*copy.deepcopy(arguments))
    except Exception as error:  # whatever it does, the notebook goes on
        raise stopped(error, answer, "when it is made,") from error


def randomised(module: nn.Module) -> nn.Module:
    """Biases, and batch norm's numbers, that are not 0 or 1."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.running_var):
                nn.init.uniform_(values, 0.5, 1.5)
            for values in (layer.bias, layer.running_mean):
                nn.init.normal_(values)
        elif isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.normal_(layer.bias, std=0.1)
    return module


def outcome(
    call_it: Callable[..., object],
    given: Named,
    module: nn.Module,
    names: Sequence[str],
    asked: str,
) -> tuple[list[Tensor], Named]:
    """What comes out of a module, and the gradients of inputs and parameters."""
    own = [(name, x.clone().requires_grad_()) for name, x in given]
    outputs = tensors(call_it(*(x for _, x in own)), names, asked)
    return outputs, gradients_of(outputs, own, module)


BLOCK_MISTAKES = [
    ({"last": False}, "The ReLU after the addition is missing"),
    ({"add": False}, "The shortcut is missing: add the input"),
    ({"add": False, "last": False}, "The shortcut and the last ReLU are missing"),
    ({"early": True, "last": False}, "The last ReLU comes after the addition, not before"),
    ({"early": True}, "There is a ReLU before the addition, too: only after it"),
    ({"as_it_is": True}, "The shortcut has to go through downsample"),
    ({"relu": False}, "The ReLU after bn1 is missing"),
    ({"norm1": False}, "bn1 is left out"),
    ({"norm2": False}, "bn2 is left out"),
    ({"sign": -1}, "Add the shortcut, do not subtract it"),
    ({"stride_last": True}, "The stride belongs to conv1, not to conv2"),
    ({"bent": True}, "There is a ReLU on the shortcut: the input is added as it is"),
]


def mistaken_block(
    block: BasicBlock,
    x: Tensor,
    relu: bool = True,
    norm1: bool = True,
    norm2: bool = True,
    early: bool = False,
    add: bool = True,
    sign: int = 1,
    as_it_is: bool = False,
    bent: bool = False,
    stride_last: bool = False,
    last: bool = True,
) -> list[Tensor]:
    block = copy.deepcopy(block)
    if stride_last:
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    shortcut = x if block.downsample is None or as_it_is else block.downsample(x)
    y = block.conv1(x)
    y = block.bn1(y) if norm1 else y
    y = block.conv2(F.relu(y) if relu else y)
    y = block.bn2(y) if norm2 else y
    y = F.relu(y) if early else y
    y = y + sign * (F.relu(shortcut) if bent else shortcut) if add else y
    return [F.relu(y) if last else y]


def check_block(answer: Callable) -> None:
    """Notebook 01: the residual block with two 3×3 convolutions."""

    def trials() -> Tried:
        for inplanes, planes, stride, shortcut, training in [
            (4, 4, 1, False, True),
            (4, 6, 2, True, True),
            (3, 5, 1, True, False),
        ]:
            downsample = None
            if shortcut:
                conv = nn.Conv2d(inplanes, planes, 1, stride=stride, bias=False)
                downsample = nn.Sequential(conv, nn.BatchNorm2d(planes))
            package = randomised(BasicBlock(inplanes, planes, stride, downsample)).train(training)
            arguments = (inplanes, planes, stride, downsample)
            mine = made(answer, *(arguments if shortcut else arguments[:2]))  # the others' defaults
            mine = with_weights_of(mine, package, answer).train(training)
            x = torch.randn(2 + shortcut, inplanes, 7, 5)
            asked = f"for x {list(x.shape)}, {planes} planes and stride {stride}"
            asked += " with downsample," if shortcut else ","

            def yours(x: Tensor, mine=mine, asked=asked) -> object:
                return call(answer, mine, [x], asked)

            wanted, right = outcome(package, [("x", x)], package, ["y"], asked)
            said, gradients = outcome(yours, [("x", x)], mine, ["y"], asked)
            trial = Trial(asked, [("y", wanted[0])], right)
            trial.mistaken = lambda package=package, x=x, **m: mistaken_block(package, x, **m)
            yield trial, said, gradients
            measured = dict(mine.named_buffers())
            for name, right in package.named_buffers():
                if not close(measured[name], right):
                    raise NotYet(f"{asked} y is right, and {name} is not: keep batch norm as it is")

    compare(trials(), BLOCK_MISTAKES)
    if getattr(answer, "expansion", None) != 1:
        raise NotYet("keep the line `expansion = 1`, by which a ResNet counts its channels")


LEVELS = ("P3", "P4", "P5", "P6", "P7")
PYRAMID_MISTAKES = [
    ({"turned": True}, "The order is turned: P3 first, P7 last"),
    ({"down": False}, "The way down is missing: add the level above, stretched"),
    ({"lateral": False}, "You stretch, but do not add the lateral of the level"),
    ({"skip": True}, "M3 gets M4, not M5: M4 holds what M5 lent it"),
    ({"smooth": False}, "The 3×3 output convolutions are left out"),
    ({"relu": False}, "The ReLU between P6 and P7 is missing"),
    ({"relu_out": True}, "P6 itself goes out as it is: the ReLU is only on the way to P7"),
    ({"from_P": True}, "What is handed down is M, the sum: its output convolution comes after"),
    ({"mode": "bilinear"}, 'You blend cells. Repeat them, with mode="nearest"'),
]


def mistaken_pyramid(
    fpn: PyramidFeatures,
    maps: Sequence[Tensor],
    mode: str = "nearest",
    down: bool = True,
    lateral: bool = True,
    skip: bool = False,
    smooth: bool = True,
    from_P: bool = False,
    relu: bool = True,
    relu_out: bool = False,
    turned: bool = False,
) -> list[Tensor]:
    C3, C4, C5 = maps

    def merged(own: nn.Conv2d, C: Tensor, above: Tensor) -> Tensor:
        stretched = F.interpolate(above, size=C.shape[-2:], mode=mode)
        return lateral * own(C) + down * stretched

    M5 = fpn.lateral5(C5)
    M4 = merged(fpn.lateral4, C4, fpn.output5(M5) if from_P else M5)
    above = M5 if skip else fpn.output4(M4) if from_P else M4
    M3 = merged(fpn.lateral3, C3, above)
    P6 = fpn.p6(C5)
    P7 = fpn.p7(F.relu(P6) if relu else P6)
    levels = [M3, M4, M5]
    if smooth:
        levels = [fpn.output3(M3), fpn.output4(M4), fpn.output5(M5)]
    levels += [F.relu(P6) if relu_out else P6, P7]
    return levels[::-1] if turned else levels


def check_pyramid(answer: Callable) -> None:
    """Notebook 02: the feature pyramid."""

    def trials() -> Tried:
        for sizes in ([(8, 12), (4, 6), (2, 3)], [(13, 9), (7, 5), (4, 3)]):
            package = randomised(PyramidFeatures(3, 4, 5, 6))
            mine = with_weights_of(made(answer, 3, 4, 5, 6), package, answer)
            images = 1 + sizes[0][0] % 2
            maps = [torch.randn(images, c, *size) for c, size in zip((3, 4, 5), sizes, strict=True)]
            given = list(zip(("C3", "C4", "C5"), maps, strict=True))
            asked = f"for C3, C4 and C5 of {', '.join(f'{h}×{w}' for h, w in sizes)} cells,"

            def yours(*maps: Tensor, mine=mine, asked=asked) -> object:
                return call(answer, lambda *maps: mine([*maps]), maps, asked)

            def ours(*maps: Tensor, package=package) -> object:
                return package([*maps])

            wanted, right = outcome(ours, given, package, LEVELS, asked)
            said, gradients = outcome(yours, given, mine, LEVELS, asked)
            trial = Trial(asked, list(zip(LEVELS, wanted, strict=True)), right)
            trial.mistaken = lambda fpn=package, maps=maps, **m: mistaken_pyramid(fpn, maps, **m)
            yield trial, said, gradients

    compare(trials(), PYRAMID_MISTAKES)


HEAD_MISTAKES = [
    (
        {"permuted": False},
        "The order of the rows: permute first, so that the values of a cell lie side by side",
    ),
    (
        {"transposed": True},
        "The cells are transposed: permute to rows, columns, channels",
    ),
    (
        {"values_first": True},
        "In a cell the channels are all values of anchor 0, then of anchor 1",
    ),
    ({"relu_out": True}, "There is a ReLU after the output: leave it as it is"),
    ({"last": False}, "The ReLU after conv4 is missing"),
    ({"between": False}, "The ReLUs after the convolutions are missing"),
    ({"used": 3}, "conv4 is left out"),
    ({"sigmoid": True}, "Return logits: the sigmoid comes later"),
]


def mistaken_head(
    head: RegressionModel,
    x: Tensor,
    permuted: bool = True,
    transposed: bool = False,
    values_first: bool = False,
    relu_out: bool = False,
    last: bool = True,
    between: bool = True,
    used: int = 4,
    sigmoid: bool = False,
) -> list[Tensor]:
    for number, conv in enumerate([head.conv1, head.conv2, head.conv3, head.conv4][:used], 1):
        x = conv(x)
        x = F.relu(x) if between and (last or number < 4) else x
    x = head.output(x)
    x = F.relu(x) if relu_out else x
    x = x.permute(0, 3, 2, 1) if transposed else x.permute(0, 2, 3, 1) if permuted else x
    cells = x.shape[1] * x.shape[2]
    if values_first:
        x = x.reshape(len(x), cells, head.values, -1).mT
    x = x.reshape(len(x), -1, head.values)
    return [x.sigmoid() if sigmoid else x]


def check_head(answer: Callable) -> None:
    """Notebook 03: a head, four convolutions and an output, one row an anchor."""

    def trials() -> Tried:
        for package, anchors, values in [
            (RegressionModel(5, 3, 6), 3, 4),
            (ClassificationModel(5, 2, 7, 6), 2, 7),
        ]:
            randomised(package)
            mine = with_weights_of(made(answer, 5, anchors, values, 6), package, answer)
            x = torch.randn(anchors, 5, 3, 4)  # as many images, 3 and 2
            asked = f"for x {list(x.shape)}, {anchors} anchors and {values} values,"

            def place(name: str, index: list[int], anchors=anchors) -> str:
                if name != "the list":
                    return ""
                image, row, value = index
                cell, a = divmod(row, anchors)
                where = f"cell ({cell // 4}, {cell % 4}), anchor {a}"
                return f"image {image}, row {row} ({where}), value {value}"

            def yours(x: Tensor, mine=mine, asked=asked) -> object:
                return call(answer, mine, [x], asked)

            wanted, right = outcome(package, [("x", x)], package, ["the list"], asked)
            said, gradients = outcome(yours, [("x", x)], mine, ["the list"], asked)
            trial = Trial(asked, [("the list", wanted[0])], right, place=place)
            trial.mistaken = lambda package=package, x=x, **m: mistaken_head(package, x, **m)
            yield trial, said, gradients

    compare(trials(), HEAD_MISTAKES)


DETECTOR_MISTAKES = [
    ({"exchanged": True}, "Logits and deltas are exchanged"),
    ({"sigmoid": True}, "Return logits: the sigmoid comes later"),
    ({"turned": True}, "The levels are turned: P3's rows come first, as in the anchors"),
    ({"first": True}, "Those are the rows of P3 alone: all levels, one after the other"),
]


def mistaken_prediction(
    package: RetinaNet,
    images: Tensor,
    exchanged: bool = False,
    sigmoid: bool = False,
    turned: bool = False,
    first: bool = False,
) -> list[Tensor]:
    logits, deltas, anchors = package.predict(images)
    counts = package.anchors.level_counts(*images.shape[-2:])
    levels = [x.split(counts, dim=1) for x in (logits, deltas)]
    levels = [list(x)[::-1] if turned else x[:1] if first else x for x in levels]
    logits, deltas = (torch.cat(list(x), dim=1) for x in levels)
    logits = logits.sigmoid() if sigmoid else logits
    return [deltas, logits, anchors] if exchanged else [logits, deltas, anchors]


PARTS = ("backbone", "fpn", "regression_model", "classification_model")
PARTS += ("anchors", "focal_loss", "detection")


def check_detector(answer: Callable) -> None:
    """Notebook 07: from images to predictions, and to losses or detections."""
    images, annotations = to_batch([walkthrough_scene(72, 104), random_scene(1, 72, 104)])
    package = randomised(RetinaNet(20, BasicBlock, [1, 1, 1, 1], feature_size=8)).eval()
    for head in (package.regression_model, package.classification_model):
        nn.init.normal_(head.output.weight, std=0.05)
    mine = made(answer, *(getattr(package, part) for part in PARTS))
    mine = with_weights_of(mine, package, answer).eval()
    if not callable(getattr(mine, "predict", None)):
        raise NotYet(f"{answer.__name__} needs a method predict")
    names = ("the logits", "the deltas", "the anchors")
    asked = f"for images {list(images.shape)}, predict:"

    def network(model: object, said: Callable) -> tuple[list[Tensor], Named]:
        x = images.clone().requires_grad_()
        outputs = tensors(said(x), names, asked)
        return outputs, gradients_of(outputs[:2], [("images", x)], model)

    wanted, right = network(package, lambda x: list(package.predict(x)))
    said, gradients = network(mine, lambda x: call(answer, mine.predict, [x], asked))
    trial = Trial(asked, list(zip(names, wanted, strict=True)), right)
    trial.mistaken = lambda **mistake: mistaken_prediction(package, images, **mistake)
    compare([(trial, said, gradients)], DETECTOR_MISTAKES)

    for given, asked in [
        (annotations, "with annotations,"),
        (annotations[:, :0], "with annotations of no object, [2, 0, 5],"),
    ]:
        losses = package(images, given)
        said = call(answer, lambda *x: mine(*x), [images, given], asked)
        if not isinstance(said, dict):
            raise NotYet(
                f"{asked} return what self.focal_loss gives, a dict; yours is of type "
                f"{type(said).__name__}. Decide by `annotations is None`"
            )
        right = gradients_of(list(losses.values()), [], package)
        compare_dicts(said, losses, asked, right, mine)
    asked = "without annotations,"
    with torch.no_grad():
        found = package(images)
        said = call(answer, mine, [images], asked)
    if not isinstance(said, list) or len(said) != len(found):
        raise NotYet(f"{asked} return what self.detection gives, a list with one dict an image")
    for number, (theirs, wanted) in enumerate(zip(said, found, strict=True)):
        compare_dicts(theirs, wanted, f"{asked} image {number}:")
    if mine.training:
        raise NotYet("yours changes its mode: leave `train()` and `eval()` to who calls it")
    mine.train()
    call(answer, lambda *x: mine(*x), [images, annotations], "in training,")
    if not mine.training:
        raise NotYet("yours changes its mode: leave `train()` and `eval()` to who calls it")


def compare_dicts(
    said: object,
    wanted: dict[str, Tensor],
    asked: str,
    right: Named = (),
    module: nn.Module | None = None,
) -> None:
    if not isinstance(said, dict) or said.keys() != wanted.keys():
        raise NotYet(f"{asked} return a dict with {' and '.join(wanted)}")
    values = tensors([said[name] for name in wanted], list(wanted), asked)
    gradients = gradients_of(values, [], module) if module else []
    compare([(Trial(asked, list(wanted.items()), right), values, gradients)])
