"""Checks for the notebooks' exercises: each says what is wrong with an answer, or "right"."""

import functools
import math
from collections.abc import Callable

import torch

Check = Callable[[Callable], str | None]


def graded(check: Check) -> Callable[[Callable], None]:
    """Turn a check, which returns what is wrong or None, into one that prints its verdict.

    An answer that is still blank, or raises an error, is told so in the same way.
    """

    @functools.wraps(check)
    def print_verdict(answer: Callable) -> None:
        try:
            problem = check(answer)
        except Exception as error:  # whatever the learner's function does, the notebook goes on
            problem = f"your function stopped with {type(error).__name__}: {error}"
        print("right" if problem is None else f"not yet: {problem}")

    return print_verdict


def blank(result: object) -> str | None:
    """The message for an answer that returns nothing."""
    return "your function returns nothing so far" if result is None else None


@graded
def check_describe(describe: Callable) -> str | None:
    """Notebook 00, exercise 1: edges → centre and size."""
    box, right = [10.0, 20.0, 50.0, 100.0], (30.0, 60.0, 40.0, 80.0)
    result = describe(list(box))
    if result is None:
        return blank(result)
    result = tuple(float(value) for value in result)
    if result == right:
        return None
    if result[:2] == (20.0, 40.0):
        return (
            f"for {box} your centre {result[:2]} is half the size; add the left or top edge to it"
        )
    if result[2:] == right[:2] and result[:2] == right[2:]:
        return "the size comes last: return centre x, centre y, width, height"
    return f"for {box} you say {result}, it should be {right}"


@graded
def check_output_size(output_size: Callable) -> str | None:
    """Notebook 01, exercise 1: places that a convolution gives."""
    for n, kernel, stride, padding in [
        (20, 7, 1, 3),
        (640, 7, 2, 3),
        (417, 3, 2, 1),
        (52, 1, 1, 0),
        (5, 3, 2, 1),
    ]:
        right = (n + 2 * padding - kernel) // stride + 1
        result = output_size(n, kernel, stride, padding)
        if result is None:
            return blank(result)
        if result == right:
            continue
        case = f"for n={n}, kernel={kernel}, stride={stride}, padding={padding} you say {result}"
        if result == right - 1:
            return f"{case}, one too few: did you count the first place?"
        if result == (n + padding - kernel) // stride + 1:
            return f"{case}: the padding is put on both sides"
        if isinstance(result, float) and not result.is_integer():
            return f"{case}: a number of places is whole, round down with //"
        return f"{case}, it should be {right}"
    return None


@graded
def check_receptive_field(friends_stem: Callable) -> str | None:
    """Notebook 01, exercise 2: kernel and stride of each layer of another stem."""
    layers = friends_stem()
    if layers is None:
        return blank(layers)
    layers = [tuple(layer) for layer in layers]
    if layers == [(3, 2), (3, 1), (3, 1)]:
        return None
    if len(layers) != 3:
        return f"the friend has three layers, you list {len(layers)}"
    if layers == [(2, 3), (1, 3), (1, 3)]:
        return "the kernel comes first, then the stride"
    if [stride for _, stride in layers] == [2, 2, 2]:
        return "only the friend's first layer has stride 2; the others have 1"
    return f"you say {layers}; each layer is (3, stride), and only the first has stride 2"


@graded
def check_level_size(level_size: Callable) -> str | None:
    """Notebook 02, exercise 1: rows and columns of a level."""
    for height, width, level in [(640, 832, 3), (640, 832, 7), (417, 333, 5), (65, 97, 6)]:
        right = (math.ceil(height / 2**level), math.ceil(width / 2**level))
        result = level_size(height, width, level)
        if result is None:
            return blank(result)
        result = tuple(result)
        if result == right:
            continue
        case = f"for P{level} of a {height}×{width} image you say {result}"
        if result == (height // 2**level, width // 2**level):
            return f"{case}, it should be {right}. Did you round down?"
        if result == right[::-1]:
            return f"{case}: rows come first, then columns"
        return f"{case}, it should be {right}"
    return None


@graded
def check_merge(merge: Callable) -> str | None:
    """Notebook 02, exercise 2: stretch the coarser map to the size of the other, and add."""
    for (height, width), (h, w) in [((4, 6), (2, 3)), ((27, 21), (14, 11))]:
        lateral = torch.arange(2.0 * 3 * height * width).reshape(2, 3, height, width)
        coarser = torch.arange(2.0 * 3 * h * w).reshape(2, 3, h, w)
        case = f"for [2, 3, {height}, {width}] and [2, 3, {h}, {w}]"
        try:
            result = merge(lateral, coarser)
        except RuntimeError as error:
            return f"{case} it stops: {error}. Stretch to the size of lateral, not by a factor"
        if result is None:
            return blank(result)
        if result.shape != lateral.shape:
            return f"{case} you return {list(result.shape)}, it should be {list(lateral.shape)}"
        # each cell of lateral gets the cell of coarser that lies over it
        rows = [row * h // height for row in range(height)]
        columns = [column * w // width for column in range(width)]
        stretched = coarser[:, :, rows][:, :, :, columns]
        if torch.equal(result, stretched):
            return f"{case} you stretch, but do not add lateral"
        if not torch.equal(result, lateral + stretched):
            return f'{case} the values differ. Is it mode="nearest", so that cells are repeated?'
    return None


@graded
def check_to_rows(to_rows: Callable) -> str | None:
    """Notebook 03, exercise 1: channels of a grid → one row an anchor."""
    anchors, values, height, width = 3, 4, 2, 5
    x = torch.arange(2 * anchors * values * height * width)
    x = x.reshape(2, anchors * values, height, width)
    result = to_rows(x, values)
    if result is None:
        return blank(result)
    expected = [2, height * width * anchors, values]
    if list(result.shape) != expected:
        return f"for {list(x.shape)} you return {list(result.shape)}, it should be {expected}"
    row = width * anchors + anchors + 1  # cell (1, 1), anchor 1
    right = x[0, values : 2 * values, 1, 1].tolist()
    if result[0, row].tolist() != right:
        return (
            f"the shape is right, the order is not. Row {row} belongs to cell (1, 1) and anchor 1 "
            f"and should hold {right}, yours holds {result[0, row].tolist()}. "
            f"Bring the channels to the end before you reshape"
        )
    return None


@graded
def check_row_of(row_of: Callable) -> str | None:
    """Notebook 03, exercise 2: the row of an anchor of a cell."""
    for i, j, anchor, columns in [(0, 0, 5, 26), (0, 2, 0, 26), (8, 13, 3, 26), (4, 6, 8, 7)]:
        right = (i * columns + j) * 9 + anchor
        result = row_of(i, j, anchor, columns)
        if result is None:
            return blank(result)
        if result == right:
            continue
        case = f"for cell ({i}, {j}), anchor {anchor}, {columns} columns you say {result}"
        if result == i * columns + j + anchor:
            return f"{case}: every cell before this one has 9 rows"
        if result == (j * columns + i) * 9 + anchor:
            return f"{case}: cells go along the row first, i · columns + j"
        return f"{case}, it should be {right}"
    return None


@graded
def check_anchor_shape(anchor_shape: Callable) -> str | None:
    """Notebook 04, exercise 1: width and height of an anchor."""
    for base, scale, ratio in [(32, 1.0, 1.0), (64, 1.0, 0.5), (128, 2 ** (1 / 3), 2.0)]:
        result = anchor_shape(base, scale, ratio)
        if result is None:
            return blank(result)
        width, height = (float(value) for value in result)
        side = base * scale
        if math.isclose(width * height, side**2) and math.isclose(height / width, ratio):
            continue
        case = f"for base={base}, scale={scale:.2f}, ratio={ratio} you say {width:.1f}×{height:.1f}"
        if math.isclose(width / height, ratio):
            return f"{case}: ratio is height / width, a ratio of {ratio} is the other way round"
        if math.isclose(height / width, ratio):
            return f"{case}: its area is {width * height:.0f}, it should be {side**2:.0f}"
        if math.isclose(height / width, ratio**2):
            return f"{case}: both sides change, so each takes the square root of the ratio"
        return f"{case}; it needs width · height = {side**2:.0f} and height / width = {ratio}"
    return None


@graded
def check_count_anchors(count_anchors: Callable) -> str | None:
    """Notebook 04, exercise 2: anchors of an image."""
    for height, width in [(640, 832), (417, 333), (65, 97)]:
        cells = [(math.ceil(height / s), math.ceil(width / s)) for s in (8, 16, 32, 64, 128)]
        down = sum(9 * (height // s) * (width // s) for s in (8, 16, 32, 64, 128))
        right = sum(9 * h * w for h, w in cells)
        result = count_anchors(height, width)
        if result is None:
            return blank(result)
        if result == right:
            continue
        case = f"for ({height}, {width}) you say {result:,}, it should be {right:,}"
        if result == down:
            h, w = cells[-1]
            return f"{case}. P7 has {h}×{w} cells, not {height // 128}×{width // 128}: round up"
        if result * 9 == right:
            return f"{case}. Each cell has nine anchors"
        return f"{case}. The levels have {cells} cells"
    return None


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6)


@graded
def check_iou(iou: Callable) -> str | None:
    """Notebook 05, exercise 1: intersection over union of two boxes."""
    cases = [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1.0),
        ([0, 0, 10, 10], [5, 0, 15, 10], 50 / 150),
        ([0, 0, 4, 8], [2, 4, 6, 12], 8 / 56),
        ([0, 0, 10, 10], [20, 0, 30, 10], 0.0),
        ([0, 0, 10, 10], [20, 20, 30, 30], 0.0),
    ]
    for a, b, right in cases:
        result = iou(list(a), list(b))
        if result is None:
            return blank(result)
        if close(result, right):
            continue
        case = f"for {a} and {b} you say {result:.3f}, it should be {right:.3f}"
        if right == 0:
            return f"{case}. These boxes lie apart: a negative width or height counts as 0"
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
        shared = right * union / (1 + right)
        if close(result, shared / union):
            return f"{case}. The shared part is in both areas: subtract it once from their sum"
        return case
    return None


@graded
def check_targets(targets: Callable) -> str | None:
    """Notebook 05, exercise 2: the four targets of an anchor and its object."""
    anchor, box = [10.0, 10.0, 50.0, 90.0], [20.0, 30.0, 100.0, 70.0]
    right = (7.5, 0.0, math.log(2) / 0.2, -math.log(2) / 0.2)
    result = targets(list(anchor), list(box))
    if result is None:
        return blank(result)
    result = [float(value) for value in result]
    if all(close(a, b) for a, b in zip(result, right, strict=True)):
        return None
    case = f"for the anchor {anchor} and the box {box} you say {[round(r, 3) for r in result]}"
    if close(result[0], 0.75) and close(result[2], math.log(2)):
        return f"{case}: these are the plain t; divide by 0.1, 0.1, 0.2, 0.2"
    if close(result[0], -7.5) or close(result[2], -right[2]):
        return f"{case}: the sign is turned; it is the way from the anchor to the box"
    if close(result[0], 0.25 / 0.1):
        return f"{case}: tx is between the centres, not the left edges"
    if close(result[0], 30 / 80 / 0.1):
        return f"{case}: divide by the anchor's width and height, not the box's"
    return f"{case}, it should be {[round(r, 3) for r in right]}"


@graded
def check_focal(focal: Callable) -> str | None:
    """Notebook 05, exercise 3: the focal loss of one entry."""
    for p, target in [(0.3, 1), (0.3, 0), (0.9, 1), (0.01, 0)]:
        p_t = p if target == 1 else 1 - p
        alpha_t = 0.25 if target == 1 else 0.75
        right = -alpha_t * (1 - p_t) ** 2 * math.log(p_t)
        result = focal(p, target)
        if result is None:
            return blank(result)
        result = float(result)
        if close(result, right):
            continue
        case = f"for p = {p} and target {target} you say {result:.6f}, it should be {right:.6f}"
        if close(result, -right):
            return f"{case}. A logarithm of a probability is negative: the minus is missing"
        if close(result, right * (1 - alpha_t) / alpha_t):
            return f"{case}. α_t is 0.25 where the target is 1, and 0.75 where it is 0"
        if close(result, right * p_t**2 / (1 - p_t) ** 2):
            return f"{case}. It is (1 − p_t)², which turns the easy entries down"
        return case
    return None


@graded
def check_prior_bias(prior_bias: Callable) -> str | None:
    """Notebook 06, exercise 1: the bias whose sigmoid is the prior."""
    for prior in (0.01, 0.5, 0.2):
        result = prior_bias(prior)
        if result is None:
            return blank(result)
        probability = 1 / (1 + math.exp(-float(result)))
        if close(probability, prior):
            continue
        case = (
            f"for π = {prior} your bias is {float(result):.3f}, whose sigmoid is {probability:.3f}"
        )
        if close(probability, 1 - prior):
            return f"{case}, that is 1 − π. The sign is turned"
        if close(float(result), math.log(prior)):
            return f"{case}. The sigmoid is 1 / (1 + e⁻ᵇ), not eᵇ"
        return case
    return None


@graded
def check_split_levels(split_levels: Callable) -> str | None:
    """Notebook 06, exercise 2: one list of rows → five levels."""
    for height, width in [(640, 832), (65, 97)]:
        cells = [math.ceil(height / s) * math.ceil(width / s) for s in (8, 16, 32, 64, 128)]
        rows = torch.arange(9 * sum(cells)).reshape(1, -1, 1)
        case = f"for {height}×{width}, {rows.shape[1]:,} rows,"
        try:
            result = split_levels(rows, height, width)
        except RuntimeError as error:
            return f"{case} it stops: {error}. The levels have {[9 * n for n in cells]} rows"
        if result is None:
            return blank(result)
        sizes = [level.shape[1] for level in result]
        if sizes != [9 * n for n in cells]:
            return (
                f"{case} your levels have {sizes} rows, they should have {[9 * n for n in cells]}"
            )
        if not torch.equal(torch.cat(list(result), dim=1), rows):
            return f"{case} the sizes are right, but the rows are not in order"
    return None
