"""Notebooks 00 to 04: boxes, backbone, pyramid, heads, anchors."""

import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F

from ..grading import (
    Case,
    NotYet,
    Stopped,
    close,
    filled,
    first_wrong,
    graded,
    judge,
    listed,
    show,
    tensor,
    tried,
)

STRIDES = (8, 16, 32, 64, 128)  # of P3 … P7


def grids(height: int, width: int, whole: Callable = math.ceil) -> list[tuple[int, int]]:
    """Rows and columns of P3 … P7."""
    return [(whole(height / stride), whole(width / stride)) for stride in STRIDES]


def count(sizes: Iterable[tuple[int, int]]) -> int:
    return sum(rows * columns for rows, columns in sizes)


BOXES = [
    (10, 20, 50, 100),
    (3, 0, 8, 5),
    (2, 7, 5, 17),
    (-9, -30, -4, -7),
    (-2.375, 0.25, 4.75, 9.625),
]


@graded
def check_describe(describe: Callable) -> None:
    """Notebook 00, exercise 1: edges → centre and size."""
    cases = []
    for x1, y1, x2, y2 in BOXES:
        w, h = x2 - x1, y2 - y1
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        mistakes = [
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
            ((x1, y1, x2, y2), "The left and the top edge are not the centre"),
        ]
        box = [x1, y1, x2, y2]
        cases.append(Case(f"for {box}", [box], (x, y, w, h), mistakes))
    judge(describe, cases, ["centre x", "centre y", "width", "height"])


@graded
def check_edges(edges: Callable) -> None:
    """Notebook 00, exercise 2: centre and size → edges."""
    cases = []
    for x1, y1, x2, y2 in BOXES:
        w, h = x2 - x1, y2 - y1
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        mistakes = [
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
        ]
        asked = f"for x = {show(x)}, y = {show(y)}, width = {show(w)}, height = {show(h)}"
        cases.append(Case(asked, (x, y, w, h), (x1, y1, x2, y2), mistakes))
    judge(edges, cases, ["x1", "y1", "x2", "y2"])


@graded
def check_padding_for(padding_for: Callable) -> None:
    """Notebook 01, exercise 1: the padding with which a convolution keeps the size."""
    cases = []
    for kernel in (7, 3, 5, 1, 11, 31):
        mistakes = [
            (kernel - 1, "That is both sides together; padding is put on each side"),
            (0, f"Without padding, 40 places become {41 - kernel}"),
            ((kernel + 1) // 2, "That is one too many: 40 places become 42"),
            (kernel / 2, "There is no half place: padding is a whole number"),
        ]
        cases.append(Case(f"for kernel {kernel}", [kernel], (kernel - 1) // 2, mistakes))
    judge(padding_for, cases, ["the padding"], whole=True)


@graded
def check_friends_stem(friends_stem: Callable) -> None:
    """Notebook 01, exercise 2: the layers of another stem, and how far it sees."""
    result = filled(friends_stem())
    layers, field = result if isinstance(result, list) and len(result) == 2 else (None, None)
    if isinstance(layers, torch.Tensor):
        layers = layers.tolist()
    pairs = [listed(layer) for layer in layers] if isinstance(layers, list) else [None]
    if listed([field]) is None or not all(pair and len(pair) == 2 for pair in pairs):
        raise NotYet(
            "return two things, the list of pairs (kernel, stride) and the field, a number"
        )
    if len(pairs) != 3:
        raise NotYet(f"the friend has three layers, you list {len(pairs)}")
    kernels, strides = [kernel for kernel, _ in pairs], [stride for _, stride in pairs]
    if strides == [3, 3, 3] != kernels:
        raise NotYet(f"your pairs are {pairs}. The kernel comes first, then the stride")
    if kernels != [3, 3, 3]:
        raise NotYet(f"your kernels are {kernels}. Read again how large the friend's are")
    if strides == [2, 2, 2]:
        raise NotYet("you give every layer stride 2. Only the friend's first layer has it")
    if strides != [2, 1, 1]:
        raise NotYet(f"your strides are {strides}. Read again which layer makes the image smaller")
    if not close(field, 11):
        size = "small" if field < 11 else "large"
        raise NotYet(
            f"the layers are right, a field of {show(field)} pixels is too {size}. The first "
            f"layer walks over single pixels, the others over cells that are two pixels wide"
        )


@graded
def check_count_cells(count_cells: Callable) -> None:
    """Notebook 02, exercise 1: cells of all levels of an image."""
    cases = []
    for height, width in [(640, 832), (417, 333), (65, 97), (1, 130), (900, 9), (129, 16)]:
        sizes = grids(height, width)
        exact = [height / stride * width / stride for stride in STRIDES]
        late = [
            sum(exact),
            math.floor(sum(exact)),
            math.ceil(sum(exact)),
            sum(map(math.ceil, exact)),
        ]
        mistakes = [
            (9 * count(sizes), "That counts nine anchors a cell; the question is for cells"),
            (count(sizes[:3]), "That is P3 to P5; P6 and P7 have cells, too"),
            (count(sizes[:4]), "The last level is missing, P7"),
            (count(grids(height, width, math.floor)), "The sizes are rounded down: round up"),
            *[(n, "Round each level's rows and columns before you multiply") for n in late],
        ]
        image = (height, width)
        cases.append(Case(f"for {image}", image, count(sizes), mistakes))
    judge(count_cells, cases, ["the count of cells"])


@graded
def check_merge(merge: Callable) -> None:
    """Notebook 02, exercise 2: stretch the coarser map to the size of the other, and add."""
    cases = []
    for (height, width), (h, w) in [
        ((4, 6), (2, 3)),
        ((27, 21), (14, 11)),
        ((5, 2), (3, 1)),
        ((3, 8), (2, 4)),
    ]:
        lateral, coarser = (
            torch.arange(2.0 * 3 * rows * columns).mul(37).remainder(101).sub(50).div(4)
            for rows, columns in ((height, width), (h, w))
        )
        lateral, coarser = lateral.reshape(2, 3, height, width), coarser.reshape(2, 3, h, w)
        # each cell of lateral gets the cell of coarser that lies over it
        rows = [row * h // height for row in range(height)]
        columns = [column * w // width for column in range(width)]
        stretched = coarser[:, :, rows][:, :, :, columns]
        mistakes = [
            (stretched, "You stretch, but do not add lateral"),
            (lateral, "You return lateral as it was: coarser is missing"),
        ]
        for corners in (False, True):
            blurred = F.interpolate(
                coarser, (height, width), mode="bilinear", align_corners=corners
            )
            for gives in (lateral + blurred, blurred):
                mistakes.append((gives, 'You blend cells. Repeat them, with mode="nearest"'))
        asked = f"for {list(lateral.shape)} and {list(coarser.shape)}"
        cases.append(Case(asked, (lateral, coarser), lateral + stretched, mistakes))

    def stretch_and_add(lateral: torch.Tensor, coarser: torch.Tensor) -> object:
        try:
            return merge(lateral, coarser)
        except Stopped as stop:
            if "must match" not in str(stop):
                raise
            how = "before you add" if len(lateral[0, 0]) == 4 else "not by a factor"
            raise Stopped(f"{stop}. Stretch coarser to the size of lateral, {how}") from None

    def read(said: object, case: Case) -> torch.Tensor:
        said = tensor(said, "as large as lateral", case.asked)
        if said.shape != case.wanted.shape:
            raise NotYet(
                f"{case.asked} you return {list(said.shape)}, it should be "
                f"{list(case.wanted.shape)}"
            )
        return said

    if problem := first_wrong(tried(stretch_and_add, cases, read)):
        case, hint = problem
        place = tuple((~torch.isclose(case.said, case.wanted.double())).nonzero()[0].tolist())
        mine, sum_, yours = (
            grid[place].item() for grid in (case.arguments[0], case.wanted, case.said)
        )
        hint = hint or (
            f"There lateral has {show(mine)}, and the cell of coarser over it has "
            f"{show(sum_ - mine)}: it should be their sum"
        )
        raise NotYet(f"{case.asked} you have {show(yours)} at {list(place)}. {hint}")


@graded
def check_to_grid(to_grid: Callable) -> None:
    """Notebook 03, exercise 1: one row an anchor → channels of a grid."""
    cases = []
    for images, anchors, values, height, width in [
        (2, 3, 4, 2, 5),
        (3, 2, 7, 4, 3),
        (1, 9, 4, 3, 1),
    ]:
        channels = anchors * values
        rows = torch.arange(images * height * width * channels).sub(50).div(8)
        rows = rows.reshape(images, -1, values)
        mistakes = [
            (
                rows.reshape(images, channels, height, width),
                "Reshape with the channels at the end, and permute then",
            ),
            (
                rows.reshape(images, width, height, channels).permute(0, 3, 2, 1),
                "In the reshape, height comes before width",
            ),
        ]
        asked = f"for {list(rows.shape)}, height {height} and width {width}"
        asked += f", which is {anchors} rows a cell,"
        wanted = rows.reshape(images, height, width, channels).permute(0, 3, 1, 2)
        cases.append(Case(asked, (rows, height, width), wanted, mistakes))

    def read(said: object, case: Case) -> torch.Tensor:
        said = tensor(said, "[B, A·V, h, w]", case.asked)
        images, channels, height, width = case.wanted.shape
        hints = {
            (images, channels, width, height): ". Height and width are swapped",
            (images, height, width, channels): ". The channels are still at the end: permute",
        }
        if said.shape != case.wanted.shape:
            raise NotYet(
                f"{case.asked} you return {list(said.shape)}, it should be "
                f"{list(case.wanted.shape)}{hints.get(tuple(said.shape), '')}"
            )
        return said

    if problem := first_wrong(tried(to_grid, cases, read)):
        case, hint = problem
        rows, _, width = case.arguments
        values = rows.shape[-1]
        image, channel, i, j = (case.said != case.wanted).nonzero()[0].tolist()
        a = channel // values
        row = (i * width + j) * (case.wanted.shape[1] // values) + a
        yours = case.said[image, a * values : (a + 1) * values, i, j]
        raise NotYet(
            f"{case.asked} the shape is right, the numbers are not. Image {image}, cell ({i}, {j}),"
            f" anchor {a} is row {row} and should hold {rows[image, row].tolist()}, yours holds "
            f"{yours.tolist()}{f'. {hint}' if hint else ''}"
        )


@graded
def check_row_of(row_of: Callable) -> None:
    """Notebook 03, exercise 2: the row of an anchor in the whole list of a 640×832 image."""
    sizes = grids(640, 832)
    cases = []
    for level, i, j, a in [
        (5, 8, 13, 3),
        (3, 0, 0, 5),
        (3, 0, 2, 0),
        (4, 6, 40, 2),
        (6, 3, 1, 0),
        (7, 4, 6, 8),
        (3, 79, 103, 7),
        (6, 9, 12, 1),
        (7, 1, 0, 4),
    ]:
        before = count(sizes[: level - 3])  # cells
        rows, columns = sizes[level - 3]
        cell = i * columns + j
        across = "Cells go along the row first: before row i lie i rows of cells"
        nine = "A cell has nine rows; so have those before it, on its level and on others"
        mistakes = [
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
            (
                9 * (before + i * (832 // 2**level) + j) + a,
                "P7 has 5×7 cells, not 5×6: round up",
            ),
            (
                9 * before + a * rows * columns + cell,
                "The nine anchors of a cell follow each other",
            ),
        ]
        asked = f"for P{level}, cell ({i}, {j}), anchor {a}"
        begins = f". P{level} begins at row {9 * before:,}"
        cases.append(Case(asked, (level, i, j, a), 9 * (before + cell) + a, mistakes, begins))
    judge(row_of, cases, ["the row"], whole=True)


@graded
def check_anchor_shape(anchor_shape: Callable) -> None:
    """Notebook 04, exercise 1: width and height of an anchor."""
    cases = []
    for base, scale, ratio in [
        (32, 1.0, 1.0),
        (64, 1.0, 0.5),
        (128, 2 ** (1 / 3), 2.0),
        (20, 2.5, 0.36),
        (512, 0.7, 3.0),
    ]:
        side, root = base * scale, ratio**0.5
        mistakes = [
            ((side * root, side / root), "ratio is height / width, yours is the other way round"),
            (
                (side / ratio, side * ratio),
                "Both sides change, so each takes the square root of the ratio",
            ),
            ((base / root, base * root), "The scale is missing"),
            ((side, side), "The ratio is missing"),
            ((side, side * ratio), "The area changes: both sides change with the ratio"),
            ((side / ratio, side), "The area changes: both sides change with the ratio"),
        ]
        asked = f"for base={base}, scale={scale:.2f}, ratio={ratio}"
        needs = f"; it needs width · height = {show(side**2)}, height / width = {ratio}"
        arguments = (base, scale, ratio)
        cases.append(Case(asked, arguments, (side / root, side * root), mistakes, needs))
    judge(anchor_shape, cases, ["width", "height"])


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
    cases = []
    for width, height in [
        (54, 160),
        (168, 24),
        (136, 124),
        (294, 386),
        (20, 12),
        (700, 600),
        (7.56, 90.25),
        (32.25, 31.5),
        (31.94, 32.03),
    ]:

        def best(strides=STRIDES, size=(width, height), **mistake) -> tuple[int, float]:
            fits = [fit_in_the_middle(*size, stride, **mistake) for stride in strides]
            return 3 + fits.index(max(fits)), max(fits)

        level, fit = best()
        unscaled = fit_in_the_middle(width, height, stride=32)
        mistakes = [
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
            (best(num_scales=1), "That is the best of one scale; a cell has anchors of three"),
            (
                best(ratios=[1.0]),
                "That is the best of the squares; a cell has anchors of three ratios",
            ),
            (best(reach=0.5), "The box begins at the anchors' centre; put its own centre there"),
            (best(shared_once=False), "The shared area is in both: subtract it once"),
            *[
                ((other, fit), "The IoU is right, but it is another level's")
                for other in range(3, 8)
            ],
        ]
        cases.append(Case(f"for {width}×{height}", (width, height), (level, fit), mistakes))
    judge(best_level, cases, ["level", "IoU"])
