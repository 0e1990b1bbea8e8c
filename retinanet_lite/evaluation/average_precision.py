"""Evaluation: average precision, by hand for one class and by pycocotools for a whole data set.

Everywhere, one entry per image:
    detections  {"boxes" [n, 4], "scores" [n], "labels" [n]}, as a `RetinaNet` returns them
    targets     {"boxes" [m, 4], "labels" [m]}, and if known "iscrowd" [m] and "area" [m] in pixels²
Boxes are x1, y1, x2, y2 in pixels. n and m may be 0. Notebook 10.
"""

import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torchvision.ops import box_convert, box_iou

from .entry_checks import Entries, check_entries

# made as pycocotools makes them: its 0.9 is a little less than 0.9
IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALLS = np.linspace(0, 1, 101)
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def find_objects(boxes: Tensor, objects: Tensor, iou_threshold: float = 0.5) -> list[int]:
    """For each detection of one class in one image, the row of the object that it finds, or −1.

    A detection finds the object that it overlaps most, of those that no better detection has
    found. Of objects that it overlaps alike it finds the last, as pycocotools does.

    Args:
        boxes: [n, 4], the detections, best first.
        objects: [m, 4], the objects of the same class.
        iou_threshold: with a smaller overlap than this (IoU) nothing is found.
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"an IoU threshold is above 0 and at most 1; got {iou_threshold}")
    least = min(iou_threshold, 1 - 1e-10)  # a box may overlap itself by a little less than 1
    found = []
    for overlaps in box_iou(_float64(boxes), _float64(objects)).tolist():
        best, match = least, -1
        for row, overlap in enumerate(overlaps):
            if overlap >= best and row not in found:
                best, match = overlap, row
        found.append(match)
    return found


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """How precision and recall change while detections of one class are taken, best first.

    Row i of the arrays [n] speaks of the i + 1 best detections: `recall` is the share of the
    `num_objects` objects that they find (NaN without an object), `precision` the share of them
    that find one, `scores` the score of the last of them.
    """

    recall: np.ndarray
    precision: np.ndarray
    scores: np.ndarray
    num_objects: int

    @property
    def envelope(self) -> np.ndarray:
        """The best precision to be had at each recall or a higher one, [n]."""
        return np.maximum.accumulate(self.precision[::-1])[::-1]

    @property
    def average_precision(self) -> float:
        """The mean of the envelope at recalls 0, 0.01 … 1; it is 0 where a recall is not reached.

        NaN for a class without objects: there is nothing to find, so leave it out of a mean.
        """
        if self.num_objects == 0:
            return math.nan
        rows = np.searchsorted(self.recall, RECALLS)  # [101], the first row that reaches each
        return float(self.envelope[rows[rows < len(self.recall)]].sum() / len(RECALLS))


def precision_recall(
    detections: Entries,
    targets: Entries,
    label: int,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
) -> PrecisionRecall:
    """Rank the detections of class `label` over all images and see which find an object.

    The rule is COCO's (`COCOeval` of pycocotools), without crowds: they are a ValueError. Of each
    image only the best `max_detections` count.
    """
    check_entries(detections, targets)
    hits, scores, num_objects = [], [], 0
    for found, target in zip(detections, targets, strict=True):
        mine = found["labels"] == label
        # stable: of equal scores the earlier detection comes first, here and over all images
        score, order = found["scores"][mine].sort(descending=True, stable=True)
        boxes = found["boxes"][mine][order[:max_detections]]
        objects = target["boxes"][target["labels"] == label]
        hits += [match >= 0 for match in find_objects(boxes, objects, iou_threshold)]
        scores += score[:max_detections].tolist()
        num_objects += len(objects)

    ranking = np.argsort(-np.array(scores), kind="stable")
    found_so_far = np.array(hits, dtype=bool)[ranking].cumsum()
    return PrecisionRecall(
        recall=found_so_far / (num_objects or math.nan),
        precision=found_so_far / np.arange(1, len(hits) + 1),
        scores=np.array(scores)[ranking],
        num_objects=num_objects,
    )


def mean_average_precision(
    detections: Entries,
    targets: Entries,
    num_classes: int,
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> float:
    """The mean of the average precisions over classes and IoU thresholds: COCO's AP.

    Classes without an object are left out; NaN if that is all of them. `iou_thresholds=[0.5]`
    gives AP50. Crowds are a ValueError. For thousands of images `coco_metrics` is faster.
    """
    check_entries(detections, targets, num_classes)
    values = [
        precision_recall(detections, targets, label, threshold).average_precision
        for label in range(num_classes)
        for threshold in iou_thresholds
    ]
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


@dataclass(frozen=True)
class CocoReport:
    """COCO's twelve numbers by name, and AP and AP50 of each class by the class's name."""

    metrics: dict[str, float]
    by_class: dict[str, dict[str, float]]


def coco_metrics(detections: Entries, targets: Entries, classes: Sequence[str]) -> dict[str, float]:
    """COCO's twelve numbers, as `coco_report` has them."""
    return coco_report(detections, targets, classes).metrics


def coco_report(detections: Entries, targets: Entries, classes: Sequence[str]) -> CocoReport:
    """Average precision (AP) and recall (AR), from 0 to 1, as pycocotools computes them.

    AP is the mean over IoU thresholds 0.5, 0.55 … 0.95, AP50 and AP75 are at one; s, m and l are
    objects of up to 32², up to 96² and more pixels² by their "area" (without one, the box's);
    AR1, AR10 and AR100 allow so many detections an image and class. A number is NaN where there
    is no object of its kind. Objects with "iscrowd" are neither found nor missed.

    `classes` names each class id; images are told apart by their place in the lists. ValueError for
    unsound detections or targets, or two classes of one name.
    """
    from pycocotools.cocoeval import COCOeval  # not needed by those who only train or detect

    if len(set(classes)) != len(classes):
        raise ValueError(f"every class needs a name of its own; got {list(classes)}")
    check_entries(detections, targets, len(classes), crowds=True)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(targets, classes), _coco(detections, classes), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()

    values = np.where(evaluation.stats < 0, math.nan, evaluation.stats).tolist()  # −1: no object
    # [10 thresholds, 101 recalls, K]: objects of all sizes, 100 detections
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    precision = np.where(precision < 0, math.nan, precision)
    return CocoReport(
        metrics=dict(zip(METRICS, values, strict=True)),
        by_class={
            name: {"AP": float(of_class.mean()), "AP50": float(of_class[0].mean())}
            for name, of_class in zip(classes, precision.transpose(2, 0, 1), strict=True)
        },
    )


def _coco(entries: Entries, classes: Sequence[str]):
    """Detections or targets as pycocotools' `COCO`; its `loadRes` fails without a detection."""
    from pycocotools.coco import COCO

    annotations = []
    for image_id, entry in enumerate(entries):
        boxes = box_convert(_float64(entry["boxes"]), "xyxy", "xywh")
        none = boxes.new_zeros(len(boxes))
        columns = {
            "bbox": boxes,
            "category_id": entry["labels"],
            "score": entry.get("scores", none),
            "area": entry.get("area", boxes[:, 2] * boxes[:, 3]),
            "iscrowd": entry.get("iscrowd", none),
        }
        for row in zip(*(column.tolist() for column in columns.values()), strict=True):
            # ids start at 1: to pycocotools, a detection that finds object 0 has found nothing
            annotation = {"id": len(annotations) + 1, "image_id": image_id}
            annotations.append(annotation | dict(zip(columns, row, strict=True)))
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image_id} for image_id in range(len(entries))],
        "categories": [{"id": label, "name": name} for label, name in enumerate(classes)],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _float64(boxes: Tensor) -> Tensor:
    """As pycocotools computes: in float32 an overlap of 0.7 is a little less."""
    return boxes.cpu().double()
