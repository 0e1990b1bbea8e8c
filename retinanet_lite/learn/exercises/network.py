"""Notebooks 00 to 04: boxes, backbone, pyramid, heads, anchors."""

import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F

from ..grading import NotYet, close, filled, graded, judge, numbers, show, tensor

STRIDES = (8, 16, 32, 64, 128)  # of P3 … P7


def grids(height: int, width: int, whole: Callable = math.ceil) -> list[tuple[int, int]]:
    """Rows and columns of P3 … P7."""
    return [(whole(height / stride), whole(width / stride)) for stride in STRIDES]


def count(sizes: Iterable[tuple[int, int]]) -> int:
    return sum(rows * columns for rows, columns in sizes)


def round_up(height: int, width: int) -> str:
    (rows, columns), (low, narrow) = grids(height, width)[-1], grids(height, width, math.floor)[-1]
    return f"P7 has {rows}×{columns} cells, not {low}×{narrow}: round up"


@graded
def check_describe(describe: Callable) -> None:
    """Notebook 00, exercise 1: edges → centre and size."""
    for x1, y1, x2, y2 in [(10, 20, 50, 100), (3, 0, 8, 5), (2, 7, 5, 17)]:
        w, h = x2 - x1, y2 - y1
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        judge(
            f"for {[x1, y1, x2, y2]}",
            describe([x1, y1, x2, y2]),
            {"centre x": x, "centre y": y, "width": w, "height": h},
            [
                ((w / 2, h / 2, w, h), "That is half the size; add the left or top edge to it"),
                ((w, h, x, y), "The size comes last: centre x, centre y, width, height"),
                ((x1 + x2, y1 + y2, w, h), "The two edges are added; divide by 2"),
                (
                    (x1 + x2 / 2, y1 + y2 / 2, w, h),
                    "Only the second edge is halved: the sum needs brackets",
                ),
                (((x1 + x2) // 2, (y1 + y2) // 2, w, h), "// rounds down; / does not"),
                (
                    (x, y, x1 - x2, y1 - y2),
                    "A size is not negative: subtract the first edge from the second",
                ),
                ((x1, y1, x2, y2), "That is an edge itself"),
            ],
        )


@graded
def check_edges(edges: Callable) -> None:
    """Notebook 00, exercise 2: centre and size → edges."""
    for x1, y1, x2, y2 in [(10, 20, 50, 100), (3, 0, 8, 5), (2, 7, 5, 17)]:
        w, h = x2 - x1, y2 - y1
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        judge(
            f"for x = {show(x)}, y = {show(y)}, width = {w}, height = {h}",
            edges(x, y, w, h),
            {"x1": x1, "y1": y1, "x2": x2, "y2": y2},
            [
                (
                    (x - w, y - h, x + w, y + h),
                    "That is the whole size away from the centre; half of it is on each side",
                ),
                (
                    (x, y, x + w, y + h),
                    "You start from the centre as if it were the upper left corner",
                ),
                ((x1, x2, y1, y2), "The order is x1, y1, x2, y2"),
                ((x1, y1, w, h), "The last two are edges, too, not the size"),
                (
                    ((x - w) / 2, (y - h) / 2, (x + w) / 2, (y + h) / 2),
                    "Only the size is halved, not the centre: mind the brackets",
                ),
                (
                    (x - w // 2, y - h // 2, x + w // 2, y + h // 2),
                    "// rounds down; / does not",
                ),
                ((x2, y2, x1, y1), "x1 and y1 are the smaller ones: subtract for them"),
            ],
        )


@graded
def check_padding_for(padding_for: Callable) -> None:
    """Notebook 01, exercise 1: the padding with which a convolution keeps the size."""
    for kernel in (7, 3, 5, 1, 11):
        judge(
            f"for kernel {kernel}",
            padding_for(kernel),
            {"the padding": (kernel - 1) / 2},
            [
                (kernel - 1, "That is both sides together; padding is put on each side"),
                (0, f"Without padding, 20 places become {21 - kernel}"),
                ((kernel + 1) / 2, "That is one too many: 20 places become 22"),
                (kernel / 2, "There is no half place: padding is a whole number"),
            ],
        )


@graded
def check_friends_stem(friends_stem: Callable) -> None:
    """Notebook 01, exercise 2: the layers of another stem, and how far it sees."""
    result = filled(friends_stem())
    try:
        layers, field = result
        layers = [(kernel, stride) for kernel, stride in layers]
        field = float(field)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(
            "return two things, the list of pairs (kernel, stride) and the field, a number"
        ) from None
    if len(layers) != 3:
        raise NotYet(f"the friend has three layers, you list {len(layers)}")
    kernels, strides = [kernel for kernel, _ in layers], [stride for _, stride in layers]
    if strides == [3, 3, 3] != kernels:
        raise NotYet(f"you say {layers}. The kernel comes first, then the stride")
    if kernels != [3, 3, 3]:
        raise NotYet(f"your kernels are {kernels}. Read again how large the friend's are")
    if strides == [2, 2, 2]:
        raise NotYet("you give every layer stride 2. Only the friend's first layer has it")
    if strides != [2, 1, 1]:
        raise NotYet(f"your strides are {strides}. Read again which layer makes the image smaller")
    if field < 11:
        raise NotYet(
            f"the layers are right, a field of {show(field)} pixels is too small. The second and "
            f"third layer walk over cells that are already two pixels wide"
        )
    if not close(field, 11):
        raise NotYet(
            f"the layers are right, a field of {show(field)} pixels is too large. The first layer "
            f"walks over single pixels, and only the strides before a layer make its cells wider"
        )


@graded
def check_count_cells(count_cells: Callable) -> None:
    """Notebook 02, exercise 1: cells of all levels of an image."""
    for height, width in [(640, 832), (417, 333), (65, 97)]:
        sizes = grids(height, width)
        exact = [height / stride * width / stride for stride in STRIDES]
        late = [
            sum(exact),
            math.floor(sum(exact)),
            math.ceil(sum(exact)),
            sum(map(math.ceil, exact)),
        ]
        judge(
            f"for ({height}, {width})",
            count_cells(height, width),
            {"the count of cells": count(sizes)},
            [
                (9 * count(sizes), "That counts nine anchors a cell; the question is for cells"),
                (count(sizes[:3]), "That is P3 to P5; P6 and P7 have cells, too"),
                (count(sizes[:4]), "The last level is missing, P7"),
                (count(grids(height, width, math.floor)), round_up(height, width)),
                *[(n, "Round each level's rows and columns before you multiply") for n in late],
            ],
        )


@graded
def check_merge(merge: Callable) -> None:
    """Notebook 02, exercise 2: stretch the coarser map to the size of the other, and add."""
    for (height, width), (h, w) in [((4, 6), (2, 3)), ((27, 21), (14, 11))]:
        lateral = torch.arange(2.0 * 3 * height * width).reshape(2, 3, height, width)
        coarser = 100 + torch.arange(2.0 * 3 * h * w).reshape(2, 3, h, w)
        case = f"for [2, 3, {height}, {width}] and [2, 3, {h}, {w}]"
        try:
            result = merge(lateral.clone(), coarser.clone())
        except RuntimeError as error:
            how = "before you add" if height == 2 * h else "not by a factor"
            raise NotYet(
                f"{case} it stops: {error}. Stretch to the size of lateral, {how}"
            ) from None
        result = tensor(result, "as large as lateral", case).float()
        if result.shape != lateral.shape:
            raise NotYet(
                f"{case} you return {list(result.shape)}, it should be {list(lateral.shape)}"
            )
        # each cell of lateral gets the cell of coarser that lies over it
        rows = [row * h // height for row in range(height)]
        columns = [column * w // width for column in range(width)]
        stretched = coarser[:, :, rows][:, :, :, columns]
        wrong = ~torch.isclose(result, lateral + stretched)
        if not wrong.any():
            continue
        if torch.equal(result, stretched):
            raise NotYet(f"{case} you stretch, but do not add lateral")
        if torch.equal(result, lateral):
            raise NotYet(f"{case} you return lateral as it was: coarser is missing")
        for corners in (False, True):
            blurred = F.interpolate(
                coarser, (height, width), mode="bilinear", align_corners=corners
            )
            if torch.allclose(result, lateral + blurred) or torch.allclose(result, blurred):
                raise NotYet(f'{case} you blend cells. Repeat them, with mode="nearest"')
        place = tuple(wrong.nonzero()[0].tolist())
        raise NotYet(
            f"{case} you have {show(result[place].item())} at {list(place)}. There lateral has "
            f"{show(lateral[place].item())}, and the cell of coarser over it has "
            f"{show(stretched[place].item())}: it should be their sum"
        )


@graded
def check_to_grid(to_grid: Callable) -> None:
    """Notebook 03, exercise 1: one row an anchor → channels of a grid."""
    for images, anchors, values, height, width in [(2, 3, 4, 2, 5), (3, 2, 7, 4, 3)]:
        channels = anchors * values
        rows = torch.arange(images * height * width * channels).reshape(images, -1, values)
        case = f"for {list(rows.shape)}, height {height} and width {width}"
        result = tensor(to_grid(rows.clone(), height, width), "[B, A·V, h, w]", case)
        shape, expected = list(result.shape), [images, channels, height, width]
        if shape != expected:
            hint = ""
            if shape == [images, channels, width, height]:
                hint = ". Height and width are swapped"
            if shape == [images, height, width, channels]:
                hint = ". The channels are still at the end: permute"
            raise NotYet(f"{case} you return {shape}, it should be {expected}{hint}")
        right = rows.reshape(images, height, width, channels).permute(0, 3, 1, 2)
        if torch.equal(result, right):
            continue
        hint = ""
        if torch.equal(result, rows.reshape(expected)):
            hint = ". Reshape with the channels at the end, and permute then"
        if torch.equal(result, rows.reshape(images, width, height, channels).permute(0, 3, 2, 1)):
            hint = ". In the reshape, height comes before width"
        image, channel, i, j = (result != right).nonzero()[0].tolist()
        a = channel // values
        of_anchor = slice(a * values, (a + 1) * values)
        raise NotYet(
            f"{case} the shape is right, the order is not. Image {image}, cell ({i}, {j}), anchor "
            f"{a} is row {(i * width + j) * anchors + a} and should hold "
            f"{right[image, of_anchor, i, j].tolist()}, yours holds "
            f"{result[image, of_anchor, i, j].tolist()}{hint}"
        )


@graded
def check_row_of(row_of: Callable) -> None:
    """Notebook 03, exercise 2: the row of an anchor in the whole list of a 640×832 image."""
    sizes = grids(640, 832)
    places = [(5, 8, 13, 3), (3, 0, 0, 5), (3, 0, 2, 0), (4, 6, 40, 2), (6, 3, 1, 0), (7, 4, 6, 8)]
    for level, i, j, a in places:
        before = count(sizes[: level - 3])  # cells
        rows, columns = sizes[level - 3]
        cell = i * columns + j
        across = "Cells go along the row first: before row i lie i rows of cells"
        nine = "A cell has nine rows; so have those before it, on its level and on others"
        judge(
            f"for P{level}, cell ({i}, {j}), anchor {a}",
            row_of(level, i, j, a),
            {"the row": 9 * (before + cell) + a},
            [
                (9 * cell + a, f"That counts within P{level}; the levels before have rows, too"),
                (before + cell + a, nine),
                (before + 9 * cell + a, nine),
                (9 * before + cell + a, nine),
                (9 * (before + j * rows + i) + a, across),
                (9 * (before + j * columns + i) + a, across),
                (
                    9 * (before + i * rows + j) + a,
                    f"A row of cells is as long as P{level} has columns, {columns}",
                ),
                (9 * (before + i * (832 // 2**level) + j) + a, round_up(640, 832)),
                (
                    9 * before + a * rows * columns + cell,
                    "The nine anchors of a cell follow each other",
                ),
            ],
            otherwise=f". P{level} begins at row {9 * before:,}",
        )


@graded
def check_anchor_shape(anchor_shape: Callable) -> None:
    """Notebook 04, exercise 1: width and height of an anchor."""
    for base, scale, ratio in [(32, 1.0, 1.0), (64, 1.0, 0.5), (128, 2 ** (1 / 3), 2.0)]:
        case = f"for base={base}, scale={scale:.2f}, ratio={ratio}"
        result = anchor_shape(base, scale, ratio)
        width, height = numbers(result, ["width", "height"], case)
        side = base * scale
        off = max(abs(width - side / ratio**0.5), abs(height - side * ratio**0.5))
        case += f" you say {width:.1f}×{height:.1f}"
        if not (width > 0 and height > 0):
            raise NotYet(f"{case}; both are greater than 0")
        if 2e-6 * side < off < 1:
            raise NotYet(f"{case}, nearly right. Is something rounded?")
        if close(height / width, ratio):
            if close(width * height, side**2):
                continue
            raise NotYet(f"{case}: its area is {width * height:.0f}, it should be {side**2:.0f}")
        if close(width / height, ratio):
            raise NotYet(
                f"{case}: ratio is height / width, a ratio of {ratio} is the other way round"
            )
        if close(height / width, ratio**2):
            raise NotYet(f"{case}: both sides change, so each takes the square root of the ratio")
        raise NotYet(f"{case}; it needs width · height = {side**2:.0f}, height / width = {ratio}")


def fit_in_the_middle(
    width: float,
    height: float,
    stride: float,
    ratios: Iterable[float] = (0.5, 1.0, 2.0),
    num_scales: int = 3,
    reach: float = 1.0,
    shared_once: bool = True,
) -> float:
    """The best IoU of a cell's anchors with a box around their centre.

    The arguments after `stride` are there for mistakes: fewer ratios or scales, a box that begins
    at the centre (`reach` 0.5), a shared area that counts twice (without `shared_once`).
    """
    fits = []
    for ratio in ratios:
        for scale in range(num_scales):
            side = 4 * stride * 2 ** (scale / 3)
            w, h = side / ratio**0.5, side * ratio**0.5
            shared = min(reach * w, width) * min(reach * h, height)
            fits.append(shared / (w * h + width * height - shared_once * shared))
    return max(fits)


@graded
def check_best_level(best_level: Callable) -> None:
    """Notebook 04, exercise 2: the level whose anchors fit a box best, and how well."""
    for width, height in [(54, 160), (168, 24), (136, 124), (294, 386), (20, 12), (700, 600)]:

        def best(strides=STRIDES, size=(width, height), **mistake) -> tuple[int, float]:
            fits = [fit_in_the_middle(*size, stride, **mistake) for stride in strides]
            return 3 + fits.index(max(fits)), max(fits)

        level, fit = best()
        unscaled = fit_in_the_middle(width, height, stride=32)
        judge(
            f"for {width}×{height}",
            best_level(width, height),
            {"level": level, "IoU": fit},
            [
                (
                    best(size=(2 * width, 2 * height)),
                    "Your box is twice as large: from the middle it is half a side to each edge",
                ),
                ((level - 3, fit), "That counts the levels from 0; the first is P3"),
                ((fit, level), "The two are exchanged: first the level, then the IoU"),
                # all levels are equally good then, and the first or the last of them is taken
                *[
                    ((first, unscaled), "Those are the anchors of P5 for every level: scale them")
                    for first in (3, 7)
                ],
                (
                    best([32 * stride for stride in STRIDES]),
                    "`nine` was made for stride 32: multiply by the stride / 32",
                ),
                (best([stride / 4 for stride in STRIDES]), "The base size is four strides"),
                (best(num_scales=1), "A cell has anchors of three scales; you tried one"),
                (best(ratios=[1.0]), "A cell has anchors of three ratios; you tried squares alone"),
                (
                    best(reach=0.5),
                    "The box begins at the anchors' centre; put its own centre there",
                ),
                (best(shared_once=False), "The shared area is in both: subtract it once"),
                *[
                    ((other, fit), "The IoU is right, but it is another level's")
                    for other in range(3, 8)
                ],
            ],
        )
