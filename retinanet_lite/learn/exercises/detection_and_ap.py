"""Notebooks 09 and 10: from the heads' answers to detections, and how good these are."""

import math
from collections.abc import Callable, Sequence

from ..grading import Case, graded, judge, judge_lists

MOST = math.log(1000 / 16)


def edges(x: float, y: float, w: float, h: float) -> tuple[float, ...]:
    return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def stretched(side: float, t: float, limit: float = MOST) -> float:
    return side * math.exp(min(t, limit))


@graded
def check_decode_box(decode_box: Callable) -> None:
    """Notebook 09, exercise 1: an anchor and four deltas → a box."""
    cases = []
    for anchor, deltas in [
        ([10.0, 10.0, 50.0, 90.0], [1.0, -0.5, 2.0, -1.0]),
        ([10.0, 10.0, 50.0, 90.0], [0.5, 1.0, 30.0, 0.0]),
        ([-20.5, 7.0, 4.0, 16.0], [-3.0, 2.5, -40.0, 25.0]),
        ([3.0, -8.0, 14.125, 9.5], [0.25, -4.0, 21.0, -22.0]),
        ([-9.625, -7.375, -2.25, -1.625], [0.375, -1.25, 2.5, -3.125]),
        ([2.0, 3.0, 7.5, 12.25], [-1.5, 0.5, 22.0, 23.0]),
        ([0.0, 0.0, 32.0, 16.0], [50.0, -60.0, 1.5, -0.5]),  # only tw and th are clamped
        ([4.0, 2.0, 20.0, 30.0], [-5.0, 5.0, -1.0, 0.75]),
    ]:
        tx, ty, tw, th = deltas
        wa, ha = anchor[2] - anchor[0], anchor[3] - anchor[1]
        xa, ya = anchor[0] + wa / 2, anchor[1] + ha / 2
        x, y = xa + 0.1 * tx * wa, ya + 0.1 * ty * ha
        w, h = stretched(wa, 0.2 * tw), stretched(ha, 0.2 * th)
        wide, high = stretched(wa, 0.2 * tw, math.inf), stretched(ha, 0.2 * th, math.inf)
        raw = (stretched(wa, tw), stretched(ha, th))
        early = (stretched(wa, 0.2 * min(tw, MOST)), stretched(ha, 0.2 * min(th, MOST)))
        fivefold = (stretched(wa, 5 * tw), stretched(ha, 5 * th))
        limit = "times 0.2, count for at most log(1000 / 16)"
        mistakes = [
            (
                edges(x, y, wide, high),
                f"The clamp is missing, or has another limit: tw and th, {limit}",
            ),
            (edges(x, y, w, high), f"The clamp is only for tw: both, {limit}"),
            (edges(x, y, wide, h), f"The clamp is only for th: both, {limit}"),
            (edges(x, y, *early), "The clamp comes after tw and th are multiplied by 0.2"),
            (
                edges(xa + tx * wa, ya + ty * ha, *raw),
                "Multiply first, tx and ty by 0.1, tw and th by 0.2",
            ),
            (
                edges(xa + 10 * tx * wa, ya + 10 * ty * ha, *fivefold),
                "Divide nothing: encode divides, decode multiplies",
            ),
            (edges(xa + tx * wa, ya + ty * ha, w, h), "tx and ty are not multiplied by 0.1 yet"),
            (edges(x, y, *raw), "tw and th are not multiplied by 0.2 yet"),
            (
                edges(x, y, stretched(wa, 0.1 * tw), stretched(ha, 0.1 * th)),
                "tw and th are multiplied by 0.2, not by 0.1",
            ),
            (edges(xa + 0.1 * tx, ya + 0.1 * ty, w, h), "The shift is in anchor sizes"),
            (
                edges(xa + 0.2 * tx * wa, ya + 0.2 * ty * ha, w, h),
                "tx and ty are multiplied by 0.1, not by 0.2",
            ),
            (edges(xa - 0.1 * tx * wa, ya - 0.1 * ty * ha, w, h), "The sign is turned"),
            (
                edges(anchor[0] + 0.1 * tx * wa, anchor[1] + 0.1 * ty * ha, w, h),
                "The shift starts at the anchor's centre, not at its corner",
            ),
            (edges(x, y, wa * 0.2 * tw, ha * 0.2 * th), "The exponential is missing"),
            ((x - w, y - h, x + w, y + h), "Half of the size is on each side of the centre"),
            ((x, y, x + w, y + h), "You start from the centre as if it were a corner"),
            ((x, y, w, h), "That is centre and size; return the four edges"),
        ]
        asked = f"for the anchor {anchor} and the deltas {deltas}"
        cases.append(Case(asked, (anchor, deltas), edges(x, y, w, h), mistakes))
    judge(decode_box, cases, ["x1", "y1", "x2", "y2"])


def non_maximum(
    overlaps: list[list[float]], order: Sequence[int], most: float, by_the_gone: bool = False
) -> list[int]:
    """What stays of boxes taken in this order; `by_the_gone`: those removed remove others, too."""
    seen: list[int] = []
    kept: list[int] = []
    for box in order:
        if all(overlaps[box][other] <= most for other in (seen if by_the_gone else kept)):
            kept.append(box)
        seen.append(box)
    return kept


@graded
def check_nms(nms: Callable) -> None:
    """Notebook 09, exercise 2: which boxes of a class stay."""
    chain = [
        [1.0, 0.7, 0.3, 0.0, 0.0],
        [0.7, 1.0, 0.6, 0.0, 0.0],
        [0.3, 0.6, 1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 0.8],
        [0.0, 0.0, 0.0, 0.8, 1.0],
    ]
    edge = [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]
    crowd = [
        [1.0, 0.1, 0.4, 0.6, 0.2, 0.9],
        [0.1, 1.0, 0.3, 0.2, 0.7, 0.0],
        [0.4, 0.3, 1.0, 0.3, 0.5, 0.2],
        [0.6, 0.2, 0.3, 1.0, 0.1, 0.3],
        [0.2, 0.7, 0.5, 0.1, 1.0, 0.1],
        [0.9, 0.0, 0.2, 0.3, 0.1, 1.0],
    ]
    many = [0.2, 0.95, 0.62, 0.64, 0.3, 0.8]
    cases = []
    for overlaps, scores, threshold in [
        (chain, [0.9, 0.8, 0.7, 0.3, 0.6], 0.5),
        (edge, [0.3, 0.9, 0.6], 0.5),
        (crowd, many, 0.3),
        (crowd, many, 0.6),
        (crowd, many[::-1], 0.2),
        (crowd, [0.8, 0.64, 0.62, 0.95, 0.3, 0.2], 0.3),
        (crowd, [0.8, 0.64, 0.62, 0.95, 0.3, 0.2], 0.6),
        (crowd, [0.8, 0.64, 0.62, 0.95, 0.3, 0.2], 0.45),
        ([[1.0]], [0.4], 0.5),
        ([], [], 0.5),
    ]:
        count = range(len(scores))
        order = sorted(count, key=lambda box: -scores[box])
        right = non_maximum(overlaps, order, threshold)
        best = [box for box in order if box == order[0] or overlaps[order[0]][box] <= threshold]
        last: list[int] = []
        for box in order:
            if not last or overlaps[box][last[-1]] <= threshold:
                last.append(box)
        mistakes = [
            (sorted(right), "These are the right ones; put them in the order of the scores"),
            (order, "Nothing is removed"),
            (list(count), "Nothing is removed"),
            (
                non_maximum(overlaps, order, threshold - 1e-9),
                "A box goes if the overlap is more than the threshold, not if it is equal",
            ),
            (
                non_maximum(overlaps, order, threshold, True),
                "A box that has gone removes no other: compare with those that stay",
            ),
            (
                non_maximum(overlaps, count, threshold),
                "Take the boxes by score, the highest first",
            ),
            (non_maximum(overlaps, order[::-1], threshold), "That begins with the lowest score"),
            (best, "That compares with the best box alone; go on with the next that stays"),
            (last, "That compares with the box kept last; compare with all that stay"),
            (order[:1], "Boxes elsewhere stay: only what overlaps a better box goes"),
        ]
        asked = f"for overlaps {overlaps}, scores {scores} and threshold {threshold}"
        cases.append(Case(asked, (overlaps, scores, threshold), right, mistakes))
    judge_lists(nms, cases, "the places of the boxes that stay")


@graded
def check_count_kept(count_kept: Callable) -> None:
    """Notebook 09, exercise 3: how many entries go on after the threshold and the top-k."""
    cases = []
    for levels, threshold, top_k in [
        ([[0.9, 0.02, 0.3, 0.6, 0.07, 0.04], [0.2, 0.01], [0.04, 0.03]], 0.05, 2),
        ([[0.5, 0.5, 0.7], [0.1, 0.8, 0.9]], 0.5, 1000),
        ([[0.9, 0.8, 0.7, 0.6], [0.3, 0.2, 0.9]], 0.05, 3),
        ([[0.2, 0.9], [], [0.3, 0.6, 0.7, 0.8], [0.3, 0.4]], 0.3, 3),
        ([[0.6, 0.1, 0.9, 0.8, 0.7]], 0.65, 1),
        ([[0.9, 0.9, 0.9, 0.2], [0.9, 0.9, 0.9, 0.2]], 0.05, 2),
        ([[0.4, 0.4, 0.1], [0.4, 0.3, 0.3]], 0.05, 1000),
    ]:
        above = [sum(score > threshold for score in level) for level in levels]
        equal = [sum(score >= threshold for score in level) for level in levels]
        right = sum(min(n, top_k) for n in above)
        mistakes = [
            (
                sum(min(n, top_k) for n in equal),
                "A score that equals the threshold does not go on",
            ),
            (min(sum(above), top_k), "top_k is for each level, not for all together"),
            (sum(above), "Of a level at most top_k go on"),
            (sum(min(len(level), top_k) for level in levels), "The threshold is missing"),
            (sum(map(len, levels)) - right, "That counts those that are left out"),
        ]
        asked = f"for {levels}, threshold {threshold} and top_k {top_k}"
        cases.append(Case(asked, (levels, threshold, top_k), right, mistakes))
    judge(count_kept, cases, ["the count"])


@graded
def check_precision_and_recall(precision_and_recall: Callable) -> None:
    """Notebook 10, exercise 1: precision and recall of the n best detections."""
    first = [True, True, False, True, False, False, True]
    cases = []
    for hits, num_objects, n in [
        (first, 5, 3),
        (first, 8, 5),
        (first, 5, 7),
        ([False, False, True, True], 6, 1),
        ([False, True, True], 2, 2),
    ]:
        found = sum(hits[:n])
        precision, recall = found / n, found / num_objects
        mistakes = [
            ((precision, precision), "Recall is the share of the objects"),
            ((recall, precision), "The two are exchanged"),
            (
                (sum(hits) / len(hits), sum(hits) / num_objects),
                "That is of all detections; take the n best",
            ),
            ((found / len(hits), recall), "Precision is of the detections taken, n of them"),
            ((precision, found / sum(hits)), "Recall counts the objects never found, too"),
            ((precision, n / num_objects), "Recall counts the hits alone"),
            ((found, found), "Those are hits; divide them"),
        ]
        asked = f"for {hits}, {num_objects} objects and n = {n}"
        cases.append(Case(asked, (hits, num_objects, n), (precision, recall), mistakes))
    judge(precision_and_recall, cases, ["precision", "recall"])


def mean_at(points: int, curve: list[tuple[float, float]]) -> float:
    """The mean over recalls 0, 1 / points … 1 of the best precision from there on."""
    total = 0.0
    for i in range(points + 1):
        total += max((precision for recall, precision in curve if recall >= i / points), default=0)
    return total / (points + 1)


@graded
def check_area(area: Callable) -> None:
    """Notebook 10, exercise 2: the area under the envelope, PASCAL VOC's AP."""
    cases = []
    for recall, precision in [
        ([0.5, 0.5, 1.0], [1.0, 0.5, 2 / 3]),
        ([0.0, 0.25, 0.5, 0.5], [0.0, 0.5, 2 / 3, 0.5]),
        ([0.25, 0.25, 0.5, 0.75], [1.0, 0.5, 2 / 3, 0.75]),
        ([0.2, 0.4, 0.4, 0.6], [1.0, 1.0, 2 / 3, 0.75]),
        ([0.0, 0.0, 1 / 3], [0.0, 0.0, 1 / 3]),
        ([0.1], [1.0]),
        ([0.25, 0.25, 0.25, 0.5, 0.75, 1.0], [1.0, 0.5, 1 / 3, 0.5, 0.6, 2 / 3]),
        ([0.25, 0.25, 0.25, 0.25, 0.5, 0.75, 1.0], [1.0, 1 / 2, 1 / 3, 1 / 4, 2 / 5, 1 / 2, 4 / 7]),
        ([0.2, 0.5, 0.9], [0.9, 0.8, 0.3]),  # no hits give this: it tells i from i − 1
    ]:
        curve = list(zip(recall, precision, strict=True))
        widths = [after - before for before, after in zip([0.0, *recall], recall, strict=False)]
        envelope = [max(precision[row:]) for row in range(len(precision))]
        back = [max(precision[: row + 1]) for row in range(len(precision))]
        slanted = [(a + b) / 2 for a, b in zip([0.0, *precision], precision, strict=False)]

        def summed(heights: list[float], widths: list[float] = widths) -> float:
            return sum(width * height for width, height in zip(widths, heights, strict=True))

        mistakes = [
            (
                summed(precision),
                "That is the area under the precision; first take the best from there on",
            ),
            (summed(back), "The envelope looks ahead, to higher recalls, not back"),
            (
                summed(envelope) - widths[0] * envelope[0],
                "The first step counts, too: it begins at recall 0",
            ),
            (
                summed(slanted),
                "No slanted sides: each step is as wide as recall grows, with one height",
            ),
            (sum(envelope) / len(envelope), "That is the mean over the detections"),
            (sum(precision) / len(precision), "That is the mean over the detections"),
            (mean_at(100, curve), "That is COCO's mean at 101 recalls; take the area"),
            (mean_at(10, curve), "That is the mean at 11 recalls; take the area"),
        ]
        rounded = [[round(value, 4) for value in values] for values in (recall, precision)]
        asked = f"for recall {rounded[0]} and precision {rounded[1]}"
        cases.append(Case(asked, (recall, precision), summed(envelope), mistakes))
    judge(area, cases, ["the area"])


def best(row: list[float], objects: Sequence[int]) -> int:
    """The object with the largest overlap, or −1 if there is none."""
    return max(objects, key=row.__getitem__, default=-1)


@graded
def check_match_voc(match: Callable) -> None:
    """Notebook 10, exercise 3: which object each detection finds, by PASCAL VOC's rule."""
    cases = []
    for overlaps, threshold in [
        ([[0.6, 0.9], [0.7, 0.8], [0.3, 0.55]], 0.5),
        ([[0.55, 0.2], [0.9, 0.3], [0.1, 0.5]], 0.5),
        ([[0.4, 0.3], [0.3, 0.6]], 0.5),
        ([[0.3, 0.4], [0.2, 0.6], [0.7, 0.1], [0.8, 0.0]], 0.5),
        ([[0.1, 0.2, 0.3], [0.0, 0.7, 0.6], [0.2, 0.1, 0.45], [0.6, 0.0, 0.9]], 0.4),
        ([[0.64], [0.65], [0.9]], 0.65),
        (
            [
                [0.1, 0.2, 0.8, 0.3],
                [0.0, 0.1, 0.2, 0.9],
                [0.7, 0.1, 0.2, 0.3],
                [0.2, 0.6, 0.1, 0.5],
            ],
            0.5,
        ),
        ([[0.1, 0.6, 0.2], [0.7, 0.2, 0.1], [0.2, 0.3, 0.4], [0.88, 0.1, 0.91]], 0.5),
    ]:
        asked = f"for overlaps {overlaps} and threshold {threshold}"
        count = range(len(overlaps[0]))
        tops = [best(row, count) for row in overlaps]
        again = [o if row[o] >= threshold else -1 for row, o in zip(overlaps, tops, strict=True)]
        right, strict, coco, first = [], [], [], []
        for row, o in zip(overlaps, tops, strict=True):
            right.append(o if row[o] >= threshold and o not in right else -1)
            strict.append(o if row[o] > threshold and o not in strict else -1)
            coco.append(best(row, [o for o in count if o not in coco and row[o] >= threshold]))
            first.append(next((o for o in count if o not in first and row[o] >= threshold), -1))
        under = [o if o not in tops[:d] else -1 for d, o in enumerate(tops)]
        taken = [o if row[o] >= threshold else -1 for row, o in zip(overlaps, under, strict=True)]
        by_overlap = [-1] * len(overlaps)
        rows = range(len(overlaps))
        for d in sorted(rows, key=lambda d, table=overlaps: -max(table[d])):
            if again[d] not in by_overlap:
                by_overlap[d] = again[d]
        mistakes = [
            (again, "An object can be found only once"),
            (coco, "That is COCO's rule. Here the detection looks at its nearest object alone"),
            (first, "The nearest object is the one with the largest overlap, not the first"),
            (strict, "An overlap that equals the threshold is enough"),
            (by_overlap, "The better detection comes first, not the larger overlap"),
            (tops, "Under the threshold nothing is found"),
            (under, "Under the threshold nothing is found"),
            (taken, "A detection under the threshold finds nothing: the next may find the object"),
            ([int(o >= 0) for o in right], "Return the object's place, not whether it hits"),
            ([o + 1 for o in right], "Places count from 0, and −1 stands for no object"),
            ([o + (o >= 0) for o in right], "Places count from 0"),
        ]
        cases.append(Case(asked, (overlaps, threshold), right, mistakes))
    judge_lists(match, cases, "for each detection the object's place, or −1")
