"""The paper's formulas in plain Python: what the tests expect, computed a second, slow way."""

import math


def match(overlaps, positive=0.5, negative=0.4, keep_best=True) -> list[int]:
    """For each anchor its object, −1 (background) or −2 (ignored); overlaps[anchor][object]."""
    matches = []
    for row in overlaps:
        best = max(range(len(row)), key=row.__getitem__)
        matches.append(best if row[best] >= positive else -1 if row[best] < negative else -2)
    if keep_best == "low_quality":
        for obj in range(len(overlaps[0])):
            best = max(row[obj] for row in overlaps)
            for anchor, row in enumerate(overlaps):
                if row[obj] == best > 0:
                    matches[anchor] = max(range(len(row)), key=row.__getitem__)
    elif keep_best:
        owners = {}  # anchor → (overlap, object), the largest of those that it is the best for
        for obj in range(len(overlaps[0])):
            column = [row[obj] for row in overlaps]
            anchor = max(range(len(column)), key=column.__getitem__)
            if column[anchor] > 0:
                owners[anchor] = max(owners.get(anchor, (0.0, -1)), (column[anchor], obj))
        for anchor, (_, obj) in owners.items():
            matches[anchor] = obj
    return matches


def encode(anchor, box, std=(0.1, 0.1, 0.2, 0.2)) -> list[float]:
    """The four targets of a box relative to an anchor."""
    width, height = anchor[2] - anchor[0], anchor[3] - anchor[1]
    targets = [
        (box[0] + box[2] - anchor[0] - anchor[2]) / 2 / width,
        (box[1] + box[3] - anchor[1] - anchor[3]) / 2 / height,
        math.log((box[2] - box[0]) / width),
        math.log((box[3] - box[1]) / height),
    ]
    return [target / deviation for target, deviation in zip(targets, std, strict=True)]


def decode(anchor, deltas, std=(0.1, 0.1, 0.2, 0.2)) -> list[float]:
    """The box that four deltas make of an anchor."""
    dx, dy, dw, dh = (delta * deviation for delta, deviation in zip(deltas, std, strict=True))
    width, height = anchor[2] - anchor[0], anchor[3] - anchor[1]
    x = (anchor[0] + anchor[2]) / 2 + dx * width
    y = (anchor[1] + anchor[3]) / 2 + dy * height
    width, height = width * math.exp(dw), height * math.exp(dh)
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def focal(logit, is_object, alpha=0.25, gamma=2.0) -> float:
    """Equation 5 of the RetinaNet paper for one entry."""
    probability = 1 / (1 + math.exp(-logit))
    p_t = probability if is_object else 1 - probability
    alpha_t = alpha if is_object else 1 - alpha
    return -alpha_t * (1 - p_t) ** gamma * math.log(p_t)


def smooth_l1(difference, beta=1 / 9) -> float:
    """A parabola up to beta, then a line."""
    distance = abs(difference)
    return distance**2 / (2 * beta) if distance < beta else distance - beta / 2


def giou(a, b) -> float:
    """Generalized IoU of two boxes (Rezatofighi et al. 2019, algorithm 1)."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return width * height / union - (hull - union) / hull
