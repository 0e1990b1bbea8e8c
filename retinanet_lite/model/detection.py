"""Detection: from logits and deltas to a short list of boxes for each image.

RetinaNet §4, "Inference"; notebook 08.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms, nms

from ..fast.batched import best_entries
from .boxes import BBoxTransform, ClipBoxes

MANY = 10_000  # rows of a level: from there on it pays to choose the best of them first


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
        level_counts: list[int],
        images: Tensor,
    ) -> list[dict[str, Tensor]]:
        """The detections of each image, best first.

        Args:
            classification: [B, N, K] logits.
            regression: [B, N, 4] deltas.
            anchors: [N, 4] in pixels.
            level_counts: how many of the N anchors each level has, in order.
            images: [B, 3, H, W], of which only the size is used.

        Returns:
            for each image {"boxes": [n, 4] in pixels, "scores": [n], "labels": [n] int64}
        """
        classification, regression = classification.to(anchors), regression.to(anchors)
        at_once = anchors.device.type != "cpu" and self.top_k is not None
        if at_once or torch.compiler.is_compiling():
            return self.detect_batch(classification, regression, anchors, level_counts, images)
        return [
            self.detect_image(logits, deltas, anchors, level_counts, images)
            for logits, deltas in zip(classification, regression, strict=True)
        ]

    def detect_image(
        self,
        logits: Tensor,
        deltas: Tensor,
        anchors: Tensor,
        level_counts: list[int],
        images: Tensor,
    ) -> dict[str, Tensor]:
        """The detections of one image: logits [N, K], deltas [N, 4]."""
        rows, labels, scores = [], [], []
        start = 0
        best = logits.amax(dim=1).sigmoid()  # [N], so that most rows are looked at only once
        for level, level_best in zip(
            logits.split(level_counts), best.split(level_counts), strict=True
        ):  # [h·w·9, K], [h·w·9]
            (worth,) = torch.nonzero(level_best > self.score_threshold, as_tuple=True)
            if self.top_k is not None and len(worth) > max(self.top_k, MANY):
                # the best entries of a level lie in as many of its best rows
                worth = worth[level_best[worth].topk(self.top_k).indices].sort().values
            level_scores = level[worth].sigmoid()  # [rows, K]
            row, label = torch.nonzero(level_scores > self.score_threshold, as_tuple=True)
            k = len(row) if self.top_k is None else min(self.top_k, len(row))
            # of equal scores torchvision's come first
            score, order = level_scores[row, label].topk(k)
            rows.append(worth[row[order]] + start)
            labels.append(label[order])
            scores.append(score)
            start += len(level)
        row, label, score = torch.cat(rows), torch.cat(labels), torch.cat(scores)

        boxes = self.box_transform.decode(anchors[row], deltas[row])  # [n, 4]
        boxes = self.clip_boxes(boxes, images)
        # a box moved off the image has no area left and is no detection
        if not self.keep_empty:
            kept = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(dim=1)
            boxes, score, label = boxes[kept], score[kept], label[kept]
        best = batched_nms(boxes, score, label, self.nms_threshold)[: self.max_detections]
        return {"boxes": boxes[best], "scores": score[best], "labels": label[best]}

    def detect_batch(
        self,
        logits: Tensor,
        deltas: Tensor,
        anchors: Tensor,
        level_counts: list[int],
        images: Tensor,
    ) -> list[dict[str, Tensor]]:
        """The same for all images and levels at once: logits [B, N, K], deltas [B, N, 4].

        All shapes are known until the boxes above the threshold are picked out, so a GPU need not
        wait before, and `torch.export` can follow.
        """
        row, labels, logits = best_entries(logits, level_counts, self.top_k)  # [B, C] each
        deltas = deltas.gather(1, row[..., None].expand(-1, -1, 4))  # [B, C, 4]
        boxes = self.clip_boxes(self.box_transform.decode(anchors[row], deltas), images)
        scores = logits.sigmoid()
        found = scores > self.score_threshold
        if not self.keep_empty:
            found &= ((boxes[..., 2:] - boxes[..., :2]) > 0).all(dim=-1)
        # every class beside the image of the one before, so that only boxes of a class overlap
        apart = boxes + labels[..., None] * (max(images.shape[-2:]) + 1)
        return [
            self.suppress(*(x[entries] for x in image))
            for entries, *image in zip(found, apart, boxes, scores, labels, strict=True)
        ]

    def suppress(
        self, apart: Tensor, boxes: Tensor, scores: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """What remains of the boxes of one image."""
        # torchvision tells torch.export that two boxes remain at least, so two are added that do
        added = apart.new_tensor([[-3.0, -3.0, -2.0, -2.0], [-1.0, -1.0, 0.0, 0.0]])
        best = nms(torch.cat([apart, added]), F.pad(scores, (0, 2), value=-1.0), self.nms_threshold)
        wanted = best < scores.shape[0]
        if self.max_detections is not None:  # a slice would be too much for torch.export before 2.9
            wanted &= torch.arange(best.shape[0], device=best.device) < self.max_detections
        best = best[wanted]
        return {"boxes": boxes[best], "scores": scores[best], "labels": labels[best]}
