"""Drawn scenes: images of twenty kinds of shapes, of any size, with the exact box of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil, cos, floor, pi, radians, sin

import numpy as np
import torch
from PIL import Image, ImageColor, ImageDraw, ImageFilter
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Shape:
    """One object to draw: its class, its box x1, y1, x2, y2 in pixels, its colour and angle."""

    name: str
    box: tuple[float, float, float, float]
    colour: tuple[int, int, int]
    angle: float = 0.0  # degrees, before the outline is fitted into the box


@dataclass(frozen=True)
class Scene:
    """An image and its objects. It unpacks into (image, target), as every item of a data set here.

    image is [3, H, W] uint8; boxes are [M, 4] float32, x1, y1, x2, y2 in pixels, cut off at the
    image's border; labels are [M] int64, indices into the classes, by default into `CLASSES`.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor

    def __iter__(self) -> Iterator:
        yield self.image
        yield {"boxes": self.boxes, "labels": self.labels}


def around(count: int) -> list[float]:
    """So many angles from 0 on, all the way around."""
    return [i * (2 * pi / count) for i in range(count)]


def square(half: float = 1.0) -> Points:
    return [(-half, -half), (half, -half), (half, half), (-half, half)]


def circle(radius: float = 1.0) -> Points:
    return [(radius * cos(a), radius * sin(a)) for a in around(90)]


def regular(corners: int) -> Points:
    """A regular polygon that stands on a side."""
    turn = 2 * pi / corners
    return [(sin((i + 0.5) * turn), cos((i + 0.5) * turn)) for i in range(corners)]


def arc(
    start: float, turn: float, steps: int, x: float = 0.0, width: float = 1.0, height: float = 1.0
) -> Points:
    """A part of an ellipse about (x, 0). Angles are in degrees, 0 is right and 90 down."""
    angles = [radians(start + turn * i / steps) for i in range(steps + 1)]
    return [(x + width * cos(a), height * sin(a)) for a in angles]


def polar(radius: Callable[[float], float], points: int = 180) -> Points:
    """The closed curve at distance radius(angle) from the centre; angle 0 points up."""
    return [(radius(a) * sin(a), -radius(a) * cos(a)) for a in around(points)]


def heart() -> Points:
    angles = [2 * pi * i / 120 for i in range(120)]
    x = [16 * sin(a) ** 3 for a in angles]
    y = [-13 * cos(a) + 5 * cos(2 * a) + 2 * cos(3 * a) + cos(4 * a) for a in angles]
    return list(zip(x, y, strict=True))


def leaf() -> Points:
    side = [(sin(pi * i / 40) * 0.55, -cos(pi * i / 40)) for i in range(41)]
    return [(x * abs(x) ** 0.5, y) for x, y in side + [(-x, y) for x, y in reversed(side)]]


# each class: its outline, then its holes, in any units; fitted into the object's box when drawn
OUTLINES: dict[str, list[Points]] = {
    "disc": [circle()],
    "ring": [circle(), circle(0.55)],
    "square": [square()],
    "frame": [square(), square(0.55)],
    "triangle": [regular(3)],
    "diamond": [[(0, -1), (0.8, 0), (0, 1), (-0.8, 0)]],
    "pentagon": [regular(5)],
    "hexagon": [regular(6)],
    "star": [polar(lambda a: 1.0 if cos(5 * a) > 0 else 0.42, points=10)],
    "plus": [
        [(-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1)]
        + [(1, 3), (-1, 3), (-1, 1), (-3, 1), (-3, -1), (-1, -1)]
    ],
    "heart": [heart()],
    # a part of a circle, and the ellipse whose ends meet its ends
    "moon": [arc(40, 280, 60) + arc(298.7, -237.4, 60, x=0.42, width=0.72, height=0.733)],
    "arrow": [[(-4, -1), (1, -1), (1, -2.6), (4, 0), (1, 2.6), (1, 1), (-4, 1)]],
    "house": [[(0, -3), (2.6, -0.6), (2, -0.6), (2, 2.4), (-2, 2.4), (-2, -0.6), (-2.6, -0.6)]],
    "drop": [[(0, -2)] + arc(-30, 240, 60)],
    "flower": [polar(lambda a: 0.78 + 0.22 * cos(6 * a)), circle(0.2)],
    "gear": [polar(lambda a: 1.0 if cos(9 * a) > 0 else 0.78, points=360), circle(0.35)],
    "bolt": [[(0.4, -3), (-1.8, 0.5), (-0.3, 0.5), (-0.8, 3), (1.8, -0.9), (0.2, -0.9)]],
    "pill": [arc(90, 180, 30, x=-1.2) + arc(270, 180, 30, x=1.2)],
    "leaf": [leaf()],
}
CLASSES = tuple(OUTLINES)

COLOURS = tuple(
    ImageColor.getrgb(code)
    for code in "#0072b2 #56b4e9 #009e73 #e69f00 #d55e00 #cc79a7 #f0d650 #5e4c8f".split()
)

# the scene of the notebooks, drawn for 640 rows and 832 columns; the star is the object they follow
WALKTHROUGH_SCENE = (
    Shape("star", (356, 196, 484, 318), COLOURS[3]),
    Shape("house", (36, 214, 330, 600), COLOURS[0]),
    Shape("disc", (520, 60, 800, 340), COLOURS[4]),
    Shape("heart", (254, 488, 390, 612), COLOURS[5]),
    Shape("gear", (654, 268, 780, 394), COLOURS[7]),
    Shape("leaf", (420, 396, 474, 556), COLOURS[2], angle=12),
    Shape("pill", (520, 586, 688, 610), COLOURS[1]),
    Shape("flower", (566, 440, 640, 514), COLOURS[6]),
    Shape("moon", (118, 44, 192, 138), COLOURS[6], angle=-20),
    Shape("bolt", (300, 70, 334, 128), COLOURS[4]),
    Shape("diamond", (412, 120, 436, 148), COLOURS[1]),
    Shape("square", (228, 140, 252, 164), COLOURS[5]),
    Shape("ring", (744, 470, 872, 598), COLOURS[2]),  # sticks out of the image on the right
)


def walkthrough_scene(height: int = 640, width: int = 832) -> Scene:
    """The scene that runs through the notebooks, drawn at any size. Object 0 is the star."""
    y, x = height / 640, width / 832
    shapes = [replace(s, box=tuple(np.multiply(s.box, (x, y, x, y)))) for s in WALKTHROUGH_SCENE]
    return draw(shapes, height, width)


def random_scene(
    seed: int,
    height: int = 640,
    width: int = 832,
    num_objects: tuple[int, int] = (5, 12),
    smallest: float = 24.0,
    largest: float | None = None,
    classes: tuple[str, ...] = CLASSES,
) -> Scene:
    """A scene of height × width pixels: its own for every seed from 0 on, the same everywhere.

    Args:
        num_objects: least and most objects; fewer where there is no more room.
        smallest, largest: longer side of an object in pixels; at most 0.6 of the image's shorter
            side by default.
        classes: the names to draw from, out of `CLASSES`; labels are indices into this argument.
    """
    if not classes or not set(classes) <= set(CLASSES):
        raise ValueError(f"classes must be some of {CLASSES}; got {classes}")
    rng = np.random.default_rng(seed)
    largest = largest or 0.6 * min(height, width)
    shapes: list[Shape] = []
    wanted = rng.integers(num_objects[0], num_objects[1] + 1)
    for _ in range(30 * wanted):
        if len(shapes) == wanted:
            break
        name = classes[rng.integers(len(classes))]
        colour = COLOURS[rng.integers(len(COLOURS))]
        angle = 30 * rng.random() - 15
        # its natural width to height, stretched a little
        w, h = np.ptp(turned(name, angle)[0], axis=0) * [0.8 + 0.45 * rng.random(), 1]
        zoom = smallest * (largest / smallest) ** rng.random() / max(w, h)
        w, h = w * zoom, h * zoom
        # an eighth of an object may stick out of the image
        x = rng.random() * (width - 0.75 * w) - 0.125 * w
        y = rng.random() * (height - 0.75 * h) - 0.125 * h
        shape = Shape(name, (x, y, x + w, y + h), colour, angle)
        if all(hidden(shape.box, other.box) < 0.3 for other in shapes):
            shapes.append(shape)
    return draw(shapes, height, width, classes)


def hidden(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The part of the smaller of two boxes that the other covers."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return max(w, 0) * max(h, 0) / min(areas)


def draw(shapes: list[Shape], height: int, width: int, classes: tuple[str, ...] = CLASSES) -> Scene:
    """Shapes on paper, the first at the back."""
    image = paper(height, width)
    for shape in shapes:
        paint(image, shape)
    boxes = torch.tensor([shape.box for shape in shapes], dtype=torch.float32).reshape(-1, 4)
    boxes = clip_boxes_to_image(boxes, (height, width))
    labels = torch.tensor([classes.index(shape.name) for shape in shapes], dtype=torch.int64)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()  # [3, H, W]
    return Scene(pixels, boxes, labels)


def paper(height: int, width: int) -> Image.Image:
    """A pale background, from warm at the top to cool at the bottom."""
    top, bottom = np.array([250, 244, 234]), np.array([222, 232, 238])
    down = np.linspace(0, 1, height)[:, None]
    column = (top * (1 - down) + bottom * down).round().astype(np.uint8)  # [H, 3]
    return Image.fromarray(np.tile(column[:, None], (1, width, 1)))


def paint(image: Image.Image, shape: Shape) -> None:
    """Draw one shape with its shadow. Edges are smooth: the mask is drawn four times as large."""
    margin = 8
    left, top = (floor(low) - margin for low in shape.box[:2])
    width, height = ceil(shape.box[2]) + margin - left, ceil(shape.box[3]) + margin - top
    mask = Image.new("L", (4 * width, 4 * height))
    pen = ImageDraw.Draw(mask)
    for ring, fill in zip(fitted(shape), [255, 0], strict=False):
        # the centre of the large pixel i is at (i + 0.5) / 4 of a pixel of the image
        pen.polygon((4 * (ring - (left, top)) - 0.5).ravel().tolist(), fill=fill)
    mask = mask.reduce(4)
    shadow = mask.filter(ImageFilter.GaussianBlur(3)).point(lambda value: value * 2 // 7)
    image.paste((60, 60, 80), (left + 2, top + 4), shadow)
    # lit from above
    light = np.linspace(1.1, 0.9, height)[:, None, None]
    colour = (np.array(shape.colour) * light).clip(0, 255).round().astype(np.uint8)
    image.paste(Image.fromarray(np.tile(colour, (1, width, 1))), (left, top), mask)


def turned(name: str, angle: float) -> list[np.ndarray]:
    """The outline and holes of a class, turned by `angle` degrees, each [points, 2]."""
    c, s = cos(radians(angle)), sin(radians(angle))
    return [np.array(ring) @ np.array([[c, s], [-s, c]]) for ring in OUTLINES[name]]


def fitted(shape: Shape) -> list[np.ndarray]:
    """The outline and holes of a shape, turned, then stretched to fill its box exactly."""
    rings = turned(shape.name, shape.angle)
    low, high = rings[0].min(axis=0), rings[0].max(axis=0)
    corner, end = np.array(shape.box).reshape(2, 2)
    return [(ring - low) / (high - low) * (end - corner) + corner for ring in rings]
