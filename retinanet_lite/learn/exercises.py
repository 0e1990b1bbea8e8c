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
    for n, kernel, stride, padding in [(640, 7, 2, 3), (417, 3, 2, 1), (52, 1, 1, 0), (5, 3, 2, 1)]:
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
