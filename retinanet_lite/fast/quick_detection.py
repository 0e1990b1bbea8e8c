"""Detection that looks at most entries once; on GPUs and under torch.export, at a batch at once."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import nms

from ..model.boxes import size_of
from ..model.detection import Detection

MANY = 10_000  # rows of a level: from there on it pays to choose the best of them first


class QuickDetection(Detection):
    """`Detection` by the best entry of each row, which says whether the row is worth a look."""

    def forward(
        self,
        classification: Tensor,
        regression: Tensor,
        anchors: Tensor,
        level_counts: Sequence[int],
        size: Sequence[int] | Tensor,
    ) -> list[dict[str, Tensor]]:
        at_once = anchors.device.type != "cpu" and self.top_k is not None
        if not at_once and not torch.compiler.is_compiling():
            return super().forward(classification, regression, anchors, level_counts, size)
        # all images and levels at once: all shapes are known until the boxes above the threshold
        # are picked out, so a GPU need not wait before, and torch.export can follow
        logits, deltas = classification.to(anchors), regression.to(anchors)
        row, labels, logits = best_entries(logits, level_counts, self.top_k)  # [B, C] each
        deltas = deltas.gather(1, row[..., None].expand(-1, -1, 4))  # [B, C, 4]
        boxes = self.clip_boxes(self.box_transform.decode(anchors[row], deltas), size)
        scores = logits.sigmoid()
        found = scores > self.score_threshold
        if not self.keep_empty:
            found &= (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)
        # every class beside the image of the one before, so that only boxes of a class overlap
        apart = boxes + labels[..., None] * (max(size_of(size)) + 1)
        return [
            self.suppress(*(x[entries] for x in image))
            for entries, *image in zip(found, apart, boxes, scores, labels, strict=True)
        ]

    def candidates(
        self, logits: Tensor, level_counts: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        worth, start = [], 0
        best = logits.amax(dim=1).sigmoid()  # [N], so that most rows are looked at only once
        for level in best.split(level_counts):  # [h·w·9]
            (rows,) = torch.nonzero(level > self.score_threshold, as_tuple=True)
            if self.top_k is not None and len(rows) > max(self.top_k, MANY):
                # the best entries of a level lie in as many of its best rows
                rows = rows[level[rows].topk(self.top_k).indices].sort().values
            worth.append(rows + start)
            start += len(level)
        counts, worth = [len(rows) for rows in worth], torch.cat(worth)
        row, labels, scores = super().candidates(logits[worth], counts)
        return worth[row], labels, scores

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


def best_entries(
    logits: Tensor, level_counts: list[int], top_k: int | None = 1000
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, classes and logits of the `top_k` best entries of each level, [B, levels · top_k] each.

    All images and levels of the logits [B, N, K] at once. `level_counts` and `top_k` are those of
    `Detection`. Where a level has fewer entries than the largest, the rest are −∞.
    """
    num_rows, num_classes = logits.shape[1:]
    if top_k is None:
        top_k = max(level_counts) * num_classes
    rows = torch.arange(num_rows, device=logits.device).split(level_counts)
    rows = pad_sequence(rows, batch_first=True, padding_value=num_rows)  # [L, n] of the largest
    best = F.pad(logits.amax(dim=2), (0, 1), value=-torch.inf)[:, rows]  # [B, L, n]
    # the best entries of a level lie in as many of its best rows
    best, place = best.topk(min(top_k, rows.shape[1]))  # [B, L, r]
    row = rows.expand(len(logits), -1, -1).gather(2, place).clamp(max=num_rows - 1)
    entries = logits.gather(1, row.flatten(1)[..., None].expand(-1, -1, num_classes))
    entries = entries.view(*row.shape, num_classes)  # [B, L, r, K]
    entries = entries.masked_fill(best[..., None] == -torch.inf, -torch.inf).flatten(2)
    best, place = entries.topk(min(top_k, entries.shape[2]))  # [B, L, top_k]
    row = row.gather(2, place // num_classes)
    return row.flatten(1), (place % num_classes).flatten(1), best.flatten(1)
