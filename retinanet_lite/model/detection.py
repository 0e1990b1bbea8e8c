"""Detection: from logits and deltas to a short list of boxes for each image.

RetinaNet §4, "Inference"; notebook 09.
"""

from collections.abc import Sequence

import torch
import torch.nn as nn
from torch import Tensor
from torchvision.ops import batched_nms

from .boxes import BBoxTransform, ClipBoxes


class Detection(nn.Module):
    """Threshold, best per level, decode, clip, non-maximum suppression, best of all.

    Args:
        score_threshold: only entries with a probability above this become boxes.
        top_k: the best entries of each level that go on; None for all, as in the original.
        nms_threshold: of two boxes of a class that overlap more than this (IoU), the one with
            the lower score goes.
        max_detections: the best that remain of an image; None for all, as in the original.
        keep_empty: a box moved off the image and cut off to nothing stays a detection, as in
            torchvision and the original.
        box_transform: decodes the deltas; a `RetinaNet` puts its own here.
    """

    def __init__(
        self,
        score_threshold: float = 0.05,
        top_k: int | None = 1000,
        nms_threshold: float = 0.5,
        max_detections: int | None = 300,
        keep_empty: bool = False,
        box_transform: BBoxTransform | None = None,
    ) -> None:
        super().__init__()
        self.score_threshold = score_threshold
        self.top_k = top_k
        self.nms_threshold = nms_threshold
        self.max_detections = max_detections
        self.keep_empty = keep_empty
        self.box_transform = box_transform or BBoxTransform()
        self.clip_boxes = ClipBoxes()

    def forward(
        self,
        classification: Tensor,
        regression: Tensor,
        anchors: Tensor,
        level_counts: Sequence[int],
        size: Sequence[int] | Tensor,
    ) -> list[dict[str, Tensor]]:
        """The detections of each image, best first.

        Args:
            classification, regression: logits [B, N, K] and deltas [B, N, 4].
            anchors: [N, 4] in pixels.
            level_counts: how many of the N anchors each level has, in order.
            size: (height, width) of the images in pixels, or the images [B, 3, H, W].

        Returns:
            for each image {"boxes": [n, 4] in pixels, "scores": [n], "labels": [n] int64}
        """
        found = []
        for logits, deltas in zip(classification.to(anchors), regression.to(anchors), strict=True):
            row, labels, scores = self.candidates(logits, level_counts)  # [n] each
            boxes = self.box_transform.decode(anchors[row], deltas[row])  # [n, 4]
            boxes = self.clip_boxes(boxes, size)
            if not self.keep_empty:  # a box moved off the image has no area left
                kept = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
                boxes, labels, scores = boxes[kept], labels[kept], scores[kept]
            best = batched_nms(boxes, scores, labels, self.nms_threshold)[: self.max_detections]
            found.append({"boxes": boxes[best], "scores": scores[best], "labels": labels[best]})
        return found

    def candidates(
        self, logits: Tensor, level_counts: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Row, class and score of each level's best entries above the threshold, [n] each."""
        found, start = [], 0
        for level in logits.split(level_counts):  # [h·w·9, K]
            scores = level.sigmoid()
            row, label = torch.nonzero(scores > self.score_threshold, as_tuple=True)
            k = len(row) if self.top_k is None else min(self.top_k, len(row))
            score, order = scores[row, label].topk(k)
            found.append((row[order] + start, label[order], score))
            start += len(level)
        rows, labels, scores = zip(*found, strict=True)
        return torch.cat(rows), torch.cat(labels), torch.cat(scores)
