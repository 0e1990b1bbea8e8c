"""The original, the public pytorch-retinanet, rebuilt from facts about it, to compare with.

The network has its names of parameters, and what follows the network is plain loops. Its faults
are kept: grids of odd size do not add up, `detect` takes one image, a box is cut off on two sides.

Where the facts leave something open, this is taken:
- a Bottleneck has its stride on the 3×3 convolution, and batch norm PyTorch's eps of 1e-5;
- a side that a stride does not divide has one more cell: cells are rounded up;
- of two objects that an anchor overlaps equally, the first is its own;
- at a positive anchor all classes but the object's are negative;
- without objects every anchor is negative, and the box loss is 0;
- an object's centre is that of its box as it is; then its sides are raised to 1;
- a box's left and top are held at 0 or more, its right and bottom at the image's side or less, and
  all that before non-maximum suppression;
- a box without area overlaps no other.
"""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision
from others import parts_at_random
from torch import Tensor

STD = (0.1, 0.1, 0.2, 0.2)
BETA = 1 / 9


class Pyramid(nn.Module):
    def __init__(self, sizes: list[int], features: int) -> None:
        super().__init__()
        for level, size in zip((3, 4, 5), sizes, strict=True):
            self.add_module(f"P{level}_1", nn.Conv2d(size, features, 1))
            self.add_module(f"P{level}_2", nn.Conv2d(features, features, 3, padding=1))
        self.P6 = nn.Conv2d(sizes[-1], features, 3, stride=2, padding=1)
        self.P7_2 = nn.Conv2d(features, features, 3, stride=2, padding=1)
        self.mended = False  # True: what sticks out of a level of odd size is left out

    def doubled(self, x: Tensor, lateral: Tensor) -> Tensor:
        """Each cell four times. For a level of odd size that is a row or column too much."""
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return x[:, :, : lateral.shape[2], : lateral.shape[3]] if self.mended else x

    def forward(self, C3: Tensor, C4: Tensor, C5: Tensor) -> list[Tensor]:
        M3, M4, M5 = self.P3_1(C3), self.P4_1(C4), self.P5_1(C5)
        M4 = M4 + self.doubled(M5, M4)
        M3 = M3 + self.doubled(M4, M3)
        P6 = self.P6(C5)
        return [self.P3_2(M3), self.P4_2(M4), self.P5_2(M5), P6, self.P7_2(P6.relu())]


class Head(nn.Module):
    def __init__(self, features: int, values: int) -> None:
        super().__init__()
        for i in (1, 2, 3, 4):
            self.add_module(f"conv{i}", nn.Conv2d(features, features, 3, padding=1))
        self.output = nn.Conv2d(features, 9 * values, 3, padding=1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """[B, N, values]: value v of anchor a comes from channel a · values + v."""
        rows = []
        for x in levels:
            for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
                x = conv(x).relu()
            x = self.output(x).unflatten(1, (9, -1))  # [B, 9, values, h, w]
            rows.append(x.permute(0, 3, 4, 1, 2).flatten(1, 3))
        return torch.cat(rows, dim=1)


class Original(nn.Module):
    """The original over one of torchvision's ResNets, with parameters at random, in eval mode."""

    def __init__(self, resnet: str = "resnet18", num_classes: int = 4, features: int = 256) -> None:
        super().__init__()
        with torch.device("meta"):  # shapes alone: all values come at random below
            body = getattr(torchvision.models, resnet)()
        for stage in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4"):
            self.add_module(stage, getattr(body, stage))
        self.to_empty(device="cpu")
        C5 = body.fc.in_features
        self.fpn = Pyramid([C5 // 4, C5 // 2, C5], features)
        self.regressionModel = Head(features, 4)
        self.classificationModel = Head(features, num_classes)
        at_random(self.eval())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities [B, N, K] and deltas [B, N, 4]."""
        x = self.bn1(self.conv1(images)).relu()
        x = self.layer1(F.max_pool2d(x, 3, stride=2, padding=1))
        C3 = self.layer2(x)
        C4 = self.layer3(C3)
        C5 = self.layer4(C4)
        levels = self.fpn(C3, C4, C5)
        return self.classificationModel(levels).sigmoid(), self.regressionModel(levels)

    def losses(self, images: Tensor, annotations: Tensor) -> dict[str, Tensor]:
        return losses(*self(images), make_anchors(*images.shape[-2:]), annotations)

    @torch.no_grad()
    def detect(self, images: Tensor) -> dict[str, Tensor]:
        (probabilities,), (deltas,) = self(images)  # one image
        size = images.shape[-2:]
        return detect(probabilities, deltas, make_anchors(*size), *size)


@torch.no_grad()
def at_random(model: Original) -> None:
    """Parameters and statistics at random, of a size that a trained model's could have.

    Of the probabilities some are above 0.05, and none is near the clamp of the loss.
    """
    last = "bn3" if hasattr(model.layer1[0], "bn3") else "bn2"
    parts_at_random(model, (last, "downsample.1"))
    probabilities, deltas = model(torch.randn(1, 3, 128, 128))
    output = model.classificationModel.output
    logits = probabilities.logit().view(-1, len(output.bias))  # a cell's channels in a row
    scale = 0.8 / (logits - logits.mean(dim=0)).std()
    output.weight.mul_(scale)
    output.bias.sub_(logits.mean(dim=0)).mul_(scale).sub_(4.5)  # each channel's mean is -4.5
    model.regressionModel.output.weight.mul_(1.0 / deltas.std())


def make_anchors(height: int, width: int) -> np.ndarray:
    """[N, 4] as x1, y1, x2, y2 in pixels."""
    anchors = []
    for level in (3, 4, 5, 6, 7):
        stride = 2**level
        for i in range(math.ceil(height / stride)):
            for j in range(math.ceil(width / stride)):
                x, y = (j + 0.5) * stride, (i + 0.5) * stride
                for ratio in (0.5, 1, 2):
                    for scale in (2**0, 2 ** (1 / 3), 2 ** (2 / 3)):
                        side = 2 ** (level + 2) * scale
                        w, h = side / ratio**0.5, side * ratio**0.5
                        anchors.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    return np.array(anchors, dtype=np.float32)


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box with each of `boxes` [n, 4]."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = sides.clip(min=0).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared
    return np.divide(shared, union, out=np.zeros(len(boxes)), where=shared > 0)


def encode(anchor: np.ndarray, box: np.ndarray) -> list[float]:
    """The four targets of an object relative to an anchor."""
    wa, ha = anchor[2] - anchor[0], anchor[3] - anchor[1]
    targets = [
        (box[0] + box[2] - anchor[0] - anchor[2]) / 2 / wa,
        (box[1] + box[3] - anchor[1] - anchor[3]) / 2 / ha,
        math.log(max(box[2] - box[0], 1) / wa),
        math.log(max(box[3] - box[1], 1) / ha),
    ]
    return [target / std for target, std in zip(targets, STD, strict=True)]


def decode(anchors: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """The boxes [n, 4] that deltas make of anchors; no size is too large."""
    anchors, (dx, dy, dw, dh) = anchors.astype(np.float64), (deltas * np.float64(STD)).T
    wa, ha = anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]
    x = (anchors[:, 0] + anchors[:, 2]) / 2 + dx * wa
    y = (anchors[:, 1] + anchors[:, 3]) / 2 + dy * ha
    w, h = wa * np.exp(dw), ha * np.exp(dh)
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)


def losses(
    probabilities: Tensor, deltas: Tensor, anchors: np.ndarray, annotations: Tensor
) -> dict[str, Tensor]:
    """Both losses of a batch: [B, N, K], [B, N, 4], [N, 4], [B, M, 5]."""
    found = [
        image_losses(p, d, anchors.astype(np.float64), rows[rows[:, 4] != -1].double().numpy())
        for p, d, rows in zip(probabilities, deltas, annotations, strict=True)
    ]
    return {
        "classification": sum(classification for classification, _ in found) / len(found),
        "regression": sum(regression for _, regression in found) / len(found),
    }


def image_losses(
    probabilities: Tensor, deltas: Tensor, anchors: np.ndarray, objects: np.ndarray
) -> tuple[Tensor, Tensor]:
    positive, boxes, labels, negative = [], [], [], []
    for n, anchor in enumerate(anchors):
        found = overlaps(anchor, objects[:, :4])
        best = found.max(initial=0.0)
        if best >= 0.5:
            row = objects[found.argmax()]
            positive.append(n)
            boxes.append(encode(anchor, row))
            labels.append(int(row[4]))
        elif best < 0.4:
            negative.append(n)

    truth = torch.zeros_like(probabilities)
    truth[positive, labels] = 1
    p = probabilities.clamp(1e-4, 1 - 1e-4)
    of_objects = -0.25 * (1 - p) ** 2 * p.log()
    of_background = -0.75 * p**2 * (1 - p).log()
    entries = truth * of_objects + (1 - truth) * of_background
    classification = entries[positive + negative].sum() / max(1, len(positive))
    if not positive:
        return classification, torch.zeros(())
    d = (deltas[positive] - deltas.new_tensor(boxes)).abs()
    return classification, torch.where(d < BETA, d**2 / (2 * BETA), d - BETA / 2).mean()


def detect(
    probabilities: Tensor, deltas: Tensor, anchors: np.ndarray, height: int, width: int
) -> dict[str, Tensor]:
    """The detections of one image, in the order of the classes: [N, K], [N, 4], [N, 4]."""
    boxes = decode(anchors, deltas.numpy())
    boxes[:, :2] = boxes[:, :2].clip(min=0)
    boxes[:, 2:] = boxes[:, 2:].clip(max=[width, height])
    found = []
    for label, scores in enumerate(probabilities.numpy().T):
        rows = np.flatnonzero(scores > 0.05)
        rows = rows[np.argsort(-scores[rows])]  # best first
        while len(rows):
            best, rows = rows[0], rows[1:]
            found.append((boxes[best], scores[best], label))
            rows = rows[overlaps(boxes[best], boxes[rows]) <= 0.5]
    return {
        "boxes": deltas.new_tensor(np.array([box for box, _, _ in found])).reshape(-1, 4),
        "scores": deltas.new_tensor([float(score) for _, score, _ in found]),
        "labels": torch.tensor([label for _, _, label in found], dtype=torch.int64),
    }
