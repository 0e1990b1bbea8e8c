"""Checks of the parts that are functions: anchors, matching, losses, detection, AP."""

import functools
import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms, box_iou, nms

from ...evaluation.average_precision import PrecisionRecall
from ...model.anchors import Anchors
from ...model.boxes import BBoxTransform
from ...model.detection import Detection
from ...model.losses import FocalLoss, focal_loss
from ...model.matching import IGNORED, NEGATIVE, match_anchors
from ..grading import NotYet, Stopped, plain
from .compare import Named, Trial, call, compare, gradients_of, tensors

Tried = Iterator[tuple[Trial, list[Tensor], Named]]

ANCHOR_MISTAKES = [
    ({"offset": 0.0}, "Half a cell is missing: centres are at + 0.5"),
    ({"offset": 1.0}, "A whole cell is added, in place of a half"),
    ({"turned": True}, "The ratio is height / width, not the other way round"),
    ({"power": 1.0}, "Both sides change, so each takes the square root of the ratio"),
    ({"scales_first": True}, "In a cell all scales of the first ratio come first, then the next"),
    ({"columns_first": True}, "The grid is transposed: cells go along the row first"),
    ({"swapped": True}, "x and y are exchanged"),
    ({"base": 2.0}, "The sides are half as long as they should be: the base size is 4 strides"),
    ({"base": 8.0}, "The sides are twice as long: half a side is on each side of the centre"),
    ({"scaled": False}, "The nine shapes are those of P5 on every level: times stride / 32"),
    ({"turned_levels": True}, "The levels are turned: P3 first, P7 last"),
    ({"sides_swapped": True}, "Height and width are exchanged: rows go with the height"),
    ({"anchors_first": True}, "The nine anchors of a cell follow each other"),
    ({"levels": (2, 3, 4, 5, 6)}, "The first level is P3, the last P7"),
    ({"levels": (3, 4, 5, 6)}, "One level is missing: P3 to P7 are five"),
    ({"levels": (3, 4, 5)}, "Two levels are missing: P3 to P7 are five"),
    ({"whole": math.floor}, "Rows and columns are rounded up, not down"),
]


def mistaken_anchors(
    height: int,
    width: int,
    offset: float = 0.5,
    turned: bool = False,
    power: float = 0.5,
    scales_first: bool = False,
    columns_first: bool = False,
    swapped: bool = False,
    anchors_first: bool = False,
    base: float = 4.0,
    levels: tuple[int, ...] = (3, 4, 5, 6, 7),
    whole: Callable[[float], int] = math.ceil,
    scaled: bool = True,
    turned_levels: bool = False,
    sides_swapped: bool = False,
) -> list[Tensor]:
    height, width = (width, height) if sides_swapped else (height, width)
    found = []
    for level in levels:
        stride = 2**level
        shapes = []
        for ratio in (0.5, 1.0, 2.0):
            for scale in range(3):
                side = base * (stride if scaled else 32) * 2 ** (scale / 3)
                factor = ratio ** (-power if turned else power)
                shapes.append([-side / factor, -side * factor, side / factor, side * factor])
        if scales_first:
            shapes = [shapes[3 * ratio + scale] for scale in range(3) for ratio in range(3)]
        nine = torch.tensor(shapes) / 2  # [9, 4]
        y = (torch.arange(whole(height / stride)) + offset) * stride
        x = (torch.arange(whole(width / stride)) + offset) * stride
        y, x = torch.meshgrid(y, x, indexing="ij")
        centres = torch.stack([y, x, y, x] if swapped else [x, y, x, y], dim=-1)
        centres = centres.transpose(0, 1) if columns_first else centres
        boxes = centres[:, :, None] + nine  # [rows, columns, 9, 4]
        boxes = boxes.permute(2, 0, 1, 3) if anchors_first else boxes
        found.append(boxes.reshape(-1, 4))
    return [torch.cat(found[::-1] if turned_levels else found)]


def place_of_anchor(height: int, width: int, name: str, index: list[int]) -> str:
    """Level, cell and number of an anchor, and which edge."""
    row, edge = index
    make = Anchors()
    before = 0
    for level, (rows, columns) in zip(make.levels, make.level_sizes(height, width), strict=True):
        if row < before + 9 * rows * columns:
            cell, a = divmod(row - before, 9)
            where = f"P{level}, cell ({cell // columns}, {cell % columns}), anchor {a}"
            return f"row {row} ({where}), {('x1', 'y1', 'x2', 'y2')[edge]}"
        before += 9 * rows * columns
    return ""


def check_anchors(answer: Callable) -> None:
    """Notebook 04: all anchors of an image."""

    def trials() -> Tried:
        for size in [(128, 256), (417, 333), (65, 97), (1, 130)]:
            asked = f"for {size[0]}×{size[1]} pixels"
            said = tensors(call(answer, answer, size, asked), ["the list"], asked)
            trial = Trial(asked, [("the list", Anchors()(size))])
            trial.mistaken = functools.partial(mistaken_anchors, *size)
            trial.place = functools.partial(place_of_anchor, *size)
            yield trial, said, []

    compare(trials(), ANCHOR_MISTAKES)


def some_boxes(count: int, height: int, width: int) -> Tensor:
    """Random boxes [count, 4], of at least 12 pixels, inside the image."""
    size = torch.rand(count, 2) * torch.tensor([width - 20.0, height - 20.0]) + 12
    corner = torch.rand(count, 2) * (torch.tensor([width, height]) - size)
    return torch.cat([corner, corner + size], dim=1)


BETTER = "Where two objects have the same best anchor, it learns the one that it overlaps more"
MATCHING_MISTAKES = [
    ({"keep": False}, "The best anchor of each object has to learn it, whatever their IoU"),
    ({"exchanged": True}, "−1 and −2 are exchanged: −1 is negative, −2 ignored"),
    ({"ignored": False}, "From 0.4 to 0.5 an anchor is ignored, −2"),
    ({"strict": True}, "An IoU of 0.5 is enough to be positive"),
    ({"lenient": True}, "Only under 0.4 it is negative: 0.4 itself is ignored"),
    ({"ties": True}, "Of anchors that are equally an object's best, the first alone learns it"),
    ({"order": "last"}, BETTER),
    ({"order": "first"}, BETTER),
    ({"order": "area"}, BETTER),
    ({"order": "turned"}, BETTER),
    (
        {"keep": "own"},
        "An object's best anchor learns that object, also where it overlaps another more",
    ),
    ({"keep": "zero"}, "An object that no anchor overlaps has no best anchor"),
    (
        {"keep": "enough"},
        "An object's best anchor learns it, however small their IoU, if it is above 0",
    ),
    (
        {"overwritten": True},
        "What is negative is overwritten: first the ignored, then the negative",
    ),
    ({"last_of_equal": True}, "Of anchors that are equally an object's best, the first learns it"),
]


def mistaken_matches(
    anchors: Tensor,
    boxes: Tensor,
    keep: bool | str = True,
    exchanged: bool = False,
    ignored: bool = True,
    strict: bool = False,
    lenient: bool = False,
    ties: bool = False,
    order: str = "overlap",
    overwritten: bool = False,
    last_of_equal: bool = False,
) -> list[Tensor]:
    between, away = (NEGATIVE, IGNORED) if exchanged else (IGNORED, NEGATIVE)
    if not len(boxes):
        return [torch.full((len(anchors),), away)]
    iou = box_iou(anchors, boxes)
    best, nearest = iou.max(dim=1)
    matches = nearest.clone()
    matches[best <= 0.5 if strict else best < 0.5] = between if ignored else away
    matches[best <= 0.4 if lenient else best < 0.4] = between if overwritten else away
    tops, rows = iou.max(dim=0)
    if last_of_equal:
        rows = len(iou) - 1 - iou.flip(0).max(dim=0).indices
    numbers = {
        "overlap": tops.argsort(stable=True).tolist(),
        "last": range(len(boxes)),
        "first": range(len(boxes))[::-1],
        "area": (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).argsort(stable=True).tolist(),
        "turned": tops.argsort(stable=True, descending=True).tolist(),
    }[order]
    for number in numbers if keep else []:
        if tops[number] > (0.1 if keep == "enough" else 0) or keep == "zero":
            chosen = iou[:, number] == tops[number] if ties else rows[number]
            matches[chosen] = nearest[chosen] if keep == "own" else number
    return [matches]


# IoU 0.5, 0.4, 0.39 and 0.9 with the first of two boxes, 1 with the second
EDGES = torch.tensor(
    [[0.0, 0, 5, 10], [0, 0, 4, 10], [0, 0, 3.9, 10], [0, 0, 9, 10], [100, 0, 110, 10]]
)
EXACT = torch.tensor([[0.0, 0, 10, 10], [100, 0, 110, 10]])
# two and two with the same best anchor, which overlaps the smaller of the first pair more, and the
# larger of the second
SMALLER = torch.tensor([[37.0, 30, 65, 60], [35, 32, 67, 62], [20, 10, 50, 32], [18, 14, 48, 36]])
LARGER = torch.tensor([[10.0, 14, 42, 46], [22, 14, 44, 44]])
THIN = torch.tensor([[4.0, 20, 92, 26], [8, 8, 20, 20], [500, 500, 520, 520], [60, 50, 63, 53]])


def check_matches(answer: Callable) -> None:
    """Notebook 05: which anchor learns which object."""
    all_anchors = Anchors()((64, 96))

    def place(anchors: Tensor, boxes: Tensor, name: str, index: list[int]) -> str:
        anchor = index[0]
        if not len(boxes):
            return f"anchor {anchor}"
        iou, row = box_iou(anchors[anchor][None], boxes)[0].max(dim=0)
        return f"anchor {anchor} (its largest IoU is {iou:.3f}, with object {row})"

    def trials() -> Tried:
        for boxes, anchors in [
            (some_boxes(4, 64, 96), all_anchors),
            (some_boxes(9, 64, 96), all_anchors),
            (EXACT, EDGES),
            (SMALLER, all_anchors),
            (LARGER, all_anchors),
            (THIN, all_anchors),
            (torch.zeros(0, 4), all_anchors),
        ]:
            asked = f"for {len(anchors)} anchors and {len(boxes)} objects"
            inputs = [anchors.clone(), boxes.clone()]
            try:
                said = tensors(call(answer, answer, inputs, asked), ["matches"], asked)
            except Stopped as stop:
                if len(boxes):
                    raise
                raise Stopped(f"{stop}. An image may have no object: all are −1 then") from None
            trial = Trial(asked, [("matches", match_anchors(anchors, boxes))])
            trial.mistaken = functools.partial(mistaken_matches, anchors, boxes)
            trial.place = functools.partial(place, anchors, boxes)
            yield trial, said, []

    compare(trials(), MATCHING_MISTAKES)


POSITIVES = "Divide the classes' sum by the number of positive anchors"
LOSS_MISTAKES = [
    ({"exchanged": True}, "The two are exchanged: the loss of the classes comes first"),
    ({"alpha": 0.5, "times": 2.0}, "α_t is missing"),
    ({"alpha": 0.75}, "α_t is 0.25 where the target is 1, and 0.75 where it is 0"),
    ({"gamma": 1.0}, "γ is 2: the square of 1 − p_t is missing"),
    ({"gamma": 0.0}, "The factor (1 − p_t)² is missing"),
    ({"ignored": True}, "Ignored anchors, whose match is −2, learn nothing: leave them out"),
    ({"divide": "nothing"}, POSITIVES),
    ({"divide": "all"}, f"{POSITIVES}, not of all"),
    ({"divide": "heard"}, f"{POSITIVES}, not of all"),
    ({"divide": "objects"}, f"{POSITIVES}, not of objects"),
    ({"divide": "entries"}, f"{POSITIVES}: a mean goes over all entries"),
    ({"quarters": 1}, "The box loss is a mean over the four numbers, too: divide by 4"),
    ({"boxes": "sum"}, "The box loss is a mean: divide by 4 times the number of positive anchors"),
    ({"beta": 1.0}, "β is 1/9: F.smooth_l1_loss(…, beta=1 / 9)"),
    ({"beta": 0.0}, "Smooth L1, not L1: a parabola while |d| < 1/9"),
    ({"clamp": 1e-4}, "Nothing is clamped: log p_t is F.logsigmoid of the logit, or of minus it"),
    ({"swapped": True}, "encode is turned round: first the anchors, then the objects' boxes"),
    ({"sign": -1.0}, "A logarithm of a probability is negative: the minus is missing"),
]


def mistaken_losses(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    objects: Tensor,
    matches: Tensor,
    alpha: float = 0.25,
    gamma: float = 2.0,
    beta: float = 1 / 9,
    times: float = 1.0,
    sign: float = 1.0,
    ignored: bool = False,
    divide: str = "positive",
    quarters: int = 4,
    boxes: str = "mean",
    clamp: float = 0.0,
    swapped: bool = False,
    exchanged: bool = False,
) -> list[Tensor]:
    positive = matches >= 0
    row = matches[positive]
    count = max(1, len(objects if divide == "objects" else row))
    targets = torch.zeros_like(logits)
    targets[positive, objects[row, 4].long()] = 1
    heard = torch.ones_like(positive) if ignored else matches != IGNORED
    if clamp:
        logits = logits.double().sigmoid().clamp(clamp, 1 - clamp).logit().float()
    entries = focal_loss(logits[heard], targets[heard], alpha, gamma)
    number = {
        "positive": count,
        "nothing": 1,
        "all": len(matches),
        "heard": int(heard.sum()),
        "objects": count,
        "entries": entries.numel(),
    }[divide]
    pair = (anchors[positive], objects[row, :4])
    goals = BBoxTransform().encode(*(pair[::-1] if swapped else pair))
    off = F.smooth_l1_loss(deltas[positive], goals, beta=beta, reduction="sum")
    of_boxes = off if boxes == "sum" else off / (quarters * count)
    of_classes = sign * times * entries.sum() / number
    return [of_boxes, of_classes] if exchanged else [of_classes, of_boxes]


def check_losses(answer: Callable) -> None:
    """Notebook 06: the two losses of an image."""
    names = ("the loss of the classes", "the box loss")
    anchors = Anchors()((64, 96))

    def trials() -> Tried:
        for count, size in [(3, 1.0), (5, 2.0), (0, 1.0), (2, 200.0)]:
            labels = torch.arange(count, dtype=torch.float32)[:, None] % 3
            objects = torch.cat([some_boxes(count, 64, 96), labels], dim=1)
            matches = match_anchors(anchors, objects[:, :4])
            logits, deltas = torch.randn(len(anchors), 3) * size, torch.randn(len(anchors), 4)
            asked = f"for {len(anchors)} anchors, 3 classes and {count} objects"
            asked += ", with logits of several hundred," if size > 100 else ","

            def of(
                losses: Callable[[Tensor, Tensor], object],
                logits=logits,
                deltas=deltas,
                asked=asked,
            ) -> tuple[list[Tensor], Named]:
                given = [("logits", logits.clone()), ("deltas", deltas.clone())]
                values = [value.requires_grad_() for _, value in given]
                outputs = tensors(losses(*values), names, asked)
                return outputs, gradients_of(outputs, given)

            rest = [anchors, objects, matches]

            def yours(logits: Tensor, deltas: Tensor, rest=rest, asked=asked) -> object:
                return call(answer, answer, [logits, deltas, *(x.clone() for x in rest)], asked)

            def ours(logits: Tensor, deltas: Tensor, objects=objects) -> object:
                return FocalLoss().of_image(logits, deltas, anchors, objects)

            wanted, right = of(ours)
            said, gradients = of(yours)
            trial = Trial(asked, list(zip(names, wanted, strict=True)), right)
            trial.mistaken = functools.partial(mistaken_losses, logits, deltas, *rest)
            yield trial, said, gradients

    compare(trials(), LOSS_MISTAKES)


DETECTION_MISTAKES = [
    ({"per_level": False}, "The best 1000 are taken of each level, not of all together"),
    ({"top_k": None}, "Each level sends on its 1000 best at most"),
    ({"by_class": False}, "NMS is done for each class by itself: batched_nms"),
    ({"suppress": False}, "Non-maximum suppression is missing"),
    ({"most": None}, "At most 300 go out"),
    ({"clip": False}, "The boxes are not cut off at the border"),
    ({"keep_empty": True}, "A box of which nothing is left inside the image is dropped"),
    ({"threshold": 0.0}, "The score threshold, 0.05, is missing"),
    ({"threshold": 0.5}, "The score threshold is 0.05, not 0.5"),
    ({"nms_threshold": 0.7}, "NMS removes what overlaps a better box by more than 0.5"),
    ({"swapped": True}, "x ends at the width, y at the height"),
    ({"start": False}, "A row counts among all levels: add the rows of the levels before"),
    ({"clip": False, "keep_empty": True}, "The boxes are not cut off at the border"),
    ({"raw": True}, "A score is the sigmoid of a logit"),
    ({"in_order": False}, "Over all classes, the best comes first"),
]


def mistaken_detections(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    counts: list[int],
    height: int,
    width: int,
    threshold: float = 0.05,
    top_k: int | None = 1000,
    per_level: bool = True,
    by_class: bool = True,
    suppress: bool = True,
    most: int | None = 300,
    clip: bool = True,
    keep_empty: bool = False,
    nms_threshold: float = 0.5,
    swapped: bool = False,
    start: bool = True,
    raw: bool = False,
    in_order: bool = True,
) -> list[Tensor]:
    rows, labels, scores, before = [], [], [], 0
    for level in logits.split(counts if per_level else [len(logits)]):
        p = level if raw else level.sigmoid()
        row, label = (p > threshold).nonzero(as_tuple=True)
        k = len(row) if top_k is None else min(top_k, len(row))
        score, best = p[row, label].topk(k)
        rows.append(row[best] + before)
        labels.append(label[best])
        scores.append(score)
        before += len(level) if start else 0
    row, label, score = map(torch.cat, (rows, labels, scores))
    boxes = BBoxTransform().decode(anchors[row], deltas[row])
    if clip:
        right, lower = (height, width) if swapped else (width, height)
        boxes = boxes.clamp(min=0).minimum(boxes.new_tensor([right, lower, right, lower]))
    if not keep_empty:
        inside = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        boxes, label, score = boxes[inside], label[inside], score[inside]
    if not suppress:
        best = score.argsort(descending=True, stable=True)
    elif by_class:
        best = batched_nms(boxes, score, label, nms_threshold)
    else:
        best = nms(boxes, score, nms_threshold)
    if not in_order:
        best = best[label[best].argsort(stable=True)]
    return [boxes[best[:most]], score[best[:most]], label[best[:most]]]


def check_detections(answer: Callable) -> None:
    """Notebook 09: from logits and deltas to boxes, scores and labels."""
    names = ("boxes", "scores", "labels")

    def trials() -> Tried:
        for height, width, bias, spread in [
            (96, 128, -3.0, 1.5),
            (65, 97, 1.0, 1.0),
            (64, 64, -9.0, 0.5),
        ]:
            make = Anchors()
            anchors, counts = make((height, width)), make.level_counts(height, width)
            logits = torch.randn(len(anchors), 3) * spread + bias
            deltas = torch.randn(len(anchors), 4) * torch.tensor([3.0, 3.0, 1.0, 1.0])
            deltas[::50, 0] = 90.0  # far off the image
            asked = f"for {height}×{width} pixels, {len(anchors)} anchors and 3 classes,"
            inputs = [logits, deltas, anchors, counts, height, width]
            right = Detection()(logits[None], deltas[None], anchors, counts, (height, width))[0]
            said = call(answer, answer, inputs, asked)
            trial = Trial(asked, list(right.items()))
            trial.mistaken = functools.partial(mistaken_detections, *inputs)
            found = tensors(said, names, asked)
            if found[1].dtype == torch.int64:
                raise NotYet(f"{asked} the scores are whole numbers: boxes, scores, labels")
            yield trial, found, []

    compare(trials(), DETECTION_MISTAKES)


AP_MISTAKES = [
    ({"ranked": False}, "Take the detections by score, the best first"),
    ({"rising": True}, "That begins with the lowest score: the best comes first"),
    (
        {"envelope": False},
        "The envelope is missing: the best precision at a recall or a higher one",
    ),
    ({"points": 10}, "COCO asks 101 times, at the recalls 0, 0.01 … 1"),
    ({"area": True}, "That is the area under the envelope; COCO's AP is the mean of 101 answers"),
    ({"of_hits": True}, "Recall is a share of all objects, also of those never found"),
    ({"points": 99, "least": 0.0}, "The recall 1 is asked for, too: 101 of them, from 0 to 1"),
    ({"strict": True}, "A recall that is just reached counts: at this recall or a higher one"),
    ({"reached_alone": True}, "Where a recall is never reached the answer is 0, and counts"),
    ({"divide": 100}, "There are 101 recalls from 0 to 1: divide by 101"),
]


def mistaken_ap(
    scores: list[float],
    hits: list[bool],
    num_objects: int,
    ranked: bool = True,
    rising: bool = False,
    envelope: bool = True,
    of_hits: bool = False,
    area: bool = False,
    points: int = 100,
    least: float | None = None,
    strict: bool = False,
    reached_alone: bool = False,
    divide: int | None = None,
) -> list[Tensor]:
    order = range(len(scores))
    if ranked:
        order = sorted(order, key=lambda i: scores[i] if rising else -scores[i])
    found = torch.tensor([hits[i] for i in order], dtype=torch.float64).cumsum(0)
    precision = found / torch.arange(1, len(scores) + 1)
    recall = found / max(1, sum(hits) if of_hits else num_objects)
    if envelope and len(scores):
        precision = precision.flip(0).cummax(0).values.flip(0)
    if area:
        return [(recall.diff(prepend=recall.new_zeros(1)) * precision).sum()]
    wanted = [i / (points if least is None else 100) for i in range(points + 1)]
    rows = [(recall > r if strict else recall >= r).nonzero()[:1, 0] for r in wanted]
    if reached_alone:
        rows = [row for row in rows if len(row)] or rows
    return [torch.stack([precision[row].sum() for row in rows]).sum() / (divide or len(rows))]


def right_ap(scores: list[float], hits: list[bool], num_objects: int) -> float:
    """The package's AP."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    found = torch.tensor([hits[i] for i in order], dtype=torch.float64).cumsum(0).numpy()
    count = torch.arange(1, len(scores) + 1).numpy()
    return PrecisionRecall(found / num_objects, found / count, count, num_objects).average_precision


def check_average_precision(answer: Callable) -> None:
    """Notebook 10: COCO's AP of one class, from scores and hits."""
    many = torch.rand(60)
    cases = [
        ([0.9, 0.8, 0.7, 0.6], [True, False, True, False], 2),
        ([0.3, 0.9, 0.5, 0.8, 0.1], [True, True, False, False, True], 4),
        ([0.2, 0.7, 0.4], [False, False, True], 3),
        ([], [], 5),
        ([0.6, 0.5], [False, False], 1),
        ([0.9, 0.2, 0.8, 0.6, 0.5, 0.3], [True, True, False, True, True, True], 7),
        (many.tolist(), (torch.rand(60) < many).tolist(), 40),
    ]

    def trials() -> Tried:
        for scores, hits, num_objects in cases:
            shown = f"scores {scores}, hits {hits}" if len(scores) < 8 else f"{len(scores)} scores"
            asked = f"for {shown} and {num_objects} objects"
            said = plain(call(answer, answer, [[*scores], [*hits], num_objects], asked))
            if isinstance(said, bool) or not isinstance(said, (int, float)):
                raise NotYet(f"{asked} return one number, the average precision")
            right = torch.tensor(right_ap(scores, hits, num_objects), dtype=torch.float64)
            trial = Trial(asked, [("AP", right)])
            trial.mistaken = functools.partial(mistaken_ap, scores, hits, num_objects)
            yield trial, [torch.tensor(float(said), dtype=torch.float64)], []

    compare(trials(), AP_MISTAKES)
