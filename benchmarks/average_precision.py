"""Average precision by pycocotools alone, as those do it who have detections from torchvision."""

import contextlib
import io

import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def average_precision(found: list[dict], targets: list[dict], classes: int) -> float:
    """AP of detections; of both there is one entry an image."""
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools says what it is doing
        truth = COCO()
        truth.dataset = {
            "images": [{"id": image} for image in range(len(targets))],
            "categories": [{"id": label} for label in range(classes)],
            "annotations": [
                {**row, "id": number, "iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3]}
                for number, row in enumerate(as_rows(targets), start=1)
            ],
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(as_rows(found)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[0]


def as_rows(entries: list[dict]) -> list[dict]:
    """One entry an image → COCO's rows, one a box."""
    rows = []
    for image, entry in enumerate(entries):
        x1, y1, x2, y2 = entry["boxes"].unbind(dim=1)
        boxes = torch.stack([x1, y1, x2 - x1, y2 - y1], dim=1).tolist()
        labels = entry["labels"].tolist()
        scores = entry["scores"].tolist() if "scores" in entry else [1.0] * len(boxes)
        rows += [
            {"image_id": image, "category_id": label, "bbox": box, "score": score}
            for box, label, score in zip(boxes, labels, scores, strict=True)
        ]
    return rows
