"""Where a detector's errors come from: each detection and each object sorted into one kind.

In the spirit of TIDE (Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection
Errors", §2.2), which weighs each kind by the AP that mending it would gain; here they are counted.
A detection that is badly placed and of the wrong class at once, a kind of its own in TIDE, is
background here; one that lies well on an object of another class and badly on one of its own, badly
placed in TIDE, is of the wrong class.
"""

from dataclasses import dataclass
from itertools import chain

import torch
from torch.nn.functional import pad
from torchvision.ops import box_iou

from .average_precision import find_objects
from .entry_checks import Entries, Entry, check_entries

DETECTION_KINDS = ("correct", "duplicate", "wrong class", "badly placed", "background")
OBJECT_KINDS = ("correct", "wrong class", "badly placed", "missed")


@dataclass(frozen=True)
class SortedErrors:
    """What became of every detection and of every object, image by image, in the order given.

    detections: per image, n times one of `DETECTION_KINDS`, or None under the score threshold.
    objects: per image, m times one of `OBJECT_KINDS`.
    """

    detections: list[list[str | None]]
    objects: list[list[str]]

    @property
    def detection_counts(self) -> dict[str, int]:
        """How many detections are of each kind; together all from the score threshold on."""
        kinds = list(chain(*self.detections))
        return {kind: kinds.count(kind) for kind in DETECTION_KINDS}

    @property
    def object_counts(self) -> dict[str, int]:
        """How many objects are of each kind; together all objects."""
        kinds = list(chain(*self.objects))
        return {kind: kinds.count(kind) for kind in OBJECT_KINDS}


def sort_errors(
    detections: Entries,
    targets: Entries,
    iou_threshold: float = 0.5,
    background_threshold: float = 0.1,
    score_threshold: float = 0.5,
) -> SortedErrors:
    """Sort detections and objects, see average_precision.py, by what became of them.

    A detection with a score from `score_threshold` on is the first of these that fits:
        correct         finds an object of its class, as `evaluation.find_objects` says
        duplicate       overlaps (IoU) an object of its class by `iou_threshold` or more, but a
                        better detection has found it
        wrong class     overlaps an object of another class as much
        badly placed    overlaps an object of its class by `background_threshold` or more
        background      everything else
    An object is
        correct         if a detection finds it
        wrong class,    if not, but it is the object that a detection of this kind overlaps most,
        badly placed    of those of another class or of its own; if both, the better detection
                        decides
        missed          otherwise: as in TIDE, only what no mended detection would find

    ValueError for unsound detections, objects or thresholds, and for crowds.
    """
    if not 0 < background_threshold < iou_threshold <= 1:
        raise ValueError(
            f"the thresholds must satisfy 0 < background_threshold < iou_threshold ≤ 1; got "
            f"background_threshold={background_threshold}, iou_threshold={iou_threshold}"
        )
    check_entries(detections, targets)
    result = SortedErrors([], [])
    for found, target in zip(detections, targets, strict=True):
        scores, ranking = found["scores"].sort(descending=True, stable=True)
        ranking = ranking[scores >= score_threshold]
        best = {key: found[key][ranking] for key in ("boxes", "labels")}
        kinds, fates = _sort_image(best, target, iou_threshold, background_threshold)
        kind_of = dict(zip(ranking.tolist(), kinds, strict=True))
        result.detections.append([kind_of.get(row) for row in range(len(scores))])
        result.objects.append(fates)
    return result


def _sort_image(
    found: Entry, target: Entry, iou_threshold: float, background_threshold: float
) -> tuple[list[str], list[str]]:
    """The kinds of one image's detections, best first, and of its objects."""
    boxes, objects = found["boxes"].cpu().double(), target["boxes"].cpu().double()  # [n, 4], [m, 4]
    labels, object_labels = found["labels"].cpu(), target["labels"].cpu()
    kinds, fates = ["background"] * len(boxes), ["missed"] * len(objects)
    for label in labels.unique():
        rows = torch.nonzero(labels == label)[:, 0].tolist()
        own = torch.nonzero(object_labels == label)[:, 0].tolist()
        matches = find_objects(boxes[rows], objects[own], iou_threshold)
        for row, match in zip(rows, matches, strict=True):
            if match >= 0:
                kinds[row] = fates[own[match]] = "correct"

    overlaps = box_iou(boxes, objects)  # [n, m]
    is_own = labels[:, None] == object_labels  # [n, m]
    # a column of zeros at the end: every detection has a largest overlap, even without objects
    own_iou, own_object = pad(overlaps * is_own, (0, 1)).max(dim=1)
    other_iou, other_object = pad(overlaps * ~is_own, (0, 1)).max(dim=1)
    for row, kind in enumerate(kinds):
        if kind == "correct":
            continue
        nearest = own_object[row]
        if own_iou[row] >= iou_threshold:
            kinds[row] = "duplicate"
        elif other_iou[row] >= iou_threshold:
            kinds[row], nearest = "wrong class", other_object[row]
        elif own_iou[row] >= background_threshold:
            kinds[row] = "badly placed"
        else:
            continue
        if fates[nearest] == "missed":  # no better detection, correct or not, accounts for it
            fates[nearest] = kinds[row]
    return kinds, fates
