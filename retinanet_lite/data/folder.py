"""Images with objects that somebody wrote down: what is sound in them, and what is not."""

import math
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from ..progress import progress_bar
from .images import UnreadableImage, image_size, read_image, unreadable

ROUNDING = 1.0  # pixels by which a box may stick out of its image without a word
THINNEST = 0.01  # pixels: rounded to float32, a thinner box may have no area
LINES = 50  # of a summary


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file, and what on_problem="drop" does about it."""

    file: str
    cause: str
    action: str  # "object dropped", "box clipped", "image dropped"


@dataclass(frozen=True)
class WrittenObject:
    """An object as it is written down, sound or not."""

    where: str  # within its file: "object 3"
    name: str  # of its class
    box: str  # in the file's words
    corners: Sequence[float]  # x1, y1, x2, y2 as written, NaN for what is no number
    area: float = math.nan  # square pixels; NaN: the box's
    iscrowd: bool = False
    fault: str = ""  # why its class is unknown


@dataclass
class WrittenImage:
    """An image as it is written down, sound or not."""

    name: str  # in problems
    path: Path
    size: tuple[float, float]  # height and width as recorded; 0 or NaN where they are not
    source: str  # the file that tells of its objects
    objects: Sequence[WrittenObject]
    image_id: int | None = None  # None: its row
    fault: str = ""  # why `source` tells nothing about this image


class DetectionFolder(Dataset):
    """Images with their objects, by torchvision's convention; see `VocFolder` and `CocoFolder`.

    `dataset[i]` is an image and its target, `dataset.target(i)` the target alone. The image is a
    `tv_tensors.Image`, [3, H, W] uint8, as `read_image` gives it. The target is a dictionary:

        boxes     [M, 4] float32 `tv_tensors.BoundingBoxes`: x1, y1, x2, y2 in pixels, within the
                  image, x2 > x1 and y2 > y1; M may be 0
        labels    [M] int64, indices into `dataset.classes`
        image_id  int: the row in a VOC folder, COCO's own id
        iscrowd   [M] bool: the box holds a crowd (COCO)
        area      [M] float32 square pixels: of the outline (COCO) or of the box

    Problems are found when the folder is opened; those of the pixels only with verify=True, which
    decodes every image. Without it, `dataset[i]` of such an image raises `UnreadableImage`, and
    training and measuring then name it and leave it out. on_problem="raise" tells all problems in
    one ValueError; on_problem="drop" tells them in one warning, and goes on:

    - an object without a sound box or a known class is dropped. A box that sticks out of its image
      is clipped; up to one pixel is rounding, and no problem.
    - an image that cannot be read, or is not the one that its annotations describe, is dropped.
    - an image that loses some objects stays; one that loses all is dropped, for all it could teach
      is that they are background.

    Attributes:
        classes: the names of the classes.
        names: the path of each image.
        problems: every `Problem`; `summary()` is their text.
    """

    def __init__(
        self,
        title: str,
        images: Sequence[WrittenImage],
        classes: Sequence[str],
        problems: Sequence[Problem],
        on_problem: str,
        verify: bool,
        first_pixel: int = 0,
    ) -> None:
        if isinstance(classes, str) or len(set(classes)) != len(classes):
            raise ValueError(f"classes must be a list of different names; got {classes!r}")
        if on_problem not in ("raise", "drop"):
            raise ValueError(f'on_problem must be "raise" or "drop"; got {on_problem!r}')
        self.title = title
        self.classes = tuple(classes)
        self.problems = list(problems)
        self.names: list[str] = []
        self._ids: list[int] = []
        self._sizes: list[tuple[int, int]] = []
        # all objects lie in one tensor, those of image i in rows _ends[i] to _ends[i + 1]: a tensor
        # for each image would be too many to share with a DataLoader's workers
        self._ends = [0]
        rows: list[tuple[float, ...]] = []

        labels = {name: label for label, name in enumerate(self.classes)}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            sizes = pool.map(measured, images, repeat(verify))
            sizes = list(progress_bar(sizes, len(images), "checking images"))
        for image, (size, fault) in zip(images, sizes, strict=True):
            # the objects of an image that is dropped are checked as well: all is told at once
            kept, problems = sound_objects(image, size, labels, first_pixel)
            if image.objects and not (kept or fault or image.fault):
                fault = f"none of its objects is sound ({len(image.objects)} written)"
            faults = [(image.source, image.fault), (image.name, fault)]
            dropped = [Problem(file, cause, "image dropped") for file, cause in faults if cause]
            self.problems += problems + dropped
            if not dropped:
                self._ids.append(len(self.names) if image.image_id is None else image.image_id)
                self.names.append(str(image.path))
                self._sizes.append(size)
                rows += kept
                self._ends.append(len(rows))
        # [objects, 7]: x1, y1, x2, y2, label, area, iscrowd
        self._objects = torch.tensor(rows, dtype=torch.float64).reshape(-1, 7)
        if self.problems and on_problem == "raise":
            raise ValueError(
                f"{self.summary()}\nMend the files, or go on as each line says behind its arrow: "
                f'on_problem="drop" (--on-problem drop).'
            )
        if not self.names:
            summary = f"\n{self.summary()}" if self.problems else ""
            raise ValueError(f"There is no image to learn from in {self.title}.{summary}")
        if self.problems:
            # of the line that opened the folder, by the subclass's __init__
            warnings.warn(f"{self.summary()}\n{len(self)} images are left.", stacklevel=3)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[tv_tensors.Image, dict[str, Any]]:
        image = read_image(self.names[index])
        if tuple(image.shape[-2:]) != self._sizes[index]:
            was, now = in_words(self._sizes[index]), in_words(image.shape[-2:])
            cause = ValueError(f"it was {was} when its folder was opened, and is {now} now")
            raise unreadable(self.names[index], cause, "Open the folder anew, with verify=True.")
        return image, self.target(index)

    def target(self, index: int) -> dict[str, Any]:
        """The objects of image `index`, without decoding it."""
        index = range(len(self))[index]
        objects: Tensor = self._objects[self._ends[index] : self._ends[index + 1]]  # [M, 7]
        return {
            "boxes": tv_tensors.BoundingBoxes(
                objects[:, :4].float(), format="XYXY", canvas_size=self._sizes[index]
            ),
            "labels": objects[:, 4].long(),
            "image_id": self._ids[index],
            "iscrowd": objects[:, 6].bool(),
            "area": objects[:, 5].float(),
        }

    def summary(self) -> str:
        """The problems found, one a line, the first 50 of them."""
        count = len(self.problems)
        if not count:
            return f"No problems in {self.title}."
        lines = [f"{count} problem{'s' if count > 1 else ''} in {self.title}:"]
        lines += [f"  {p.file}: {p.cause} → {p.action}" for p in self.problems[:LINES]]
        if count > LINES:
            lines.append(f'  … and {count - LINES} more: all in `problems`, with on_problem="drop"')
        return "\n".join(lines)


def measured(image: WrittenImage, verify: bool) -> tuple[tuple[int, int] | None, str]:
    """Height and width of an image, or None and what is wrong with it."""
    try:
        size = tuple(read_image(image.path).shape[-2:]) if verify else image_size(image.path)
    except UnreadableImage as error:
        return None, error.cause
    if all(side > 0 for side in image.size) and image.size != size:
        return None, (
            f"it is {in_words(size)}, but {in_words(image.size)} by {image.source}: was it "
            f"turned or resized after it was annotated?"
        )
    return size, ""


def sound_objects(
    image: WrittenImage, size: tuple[int, int] | None, labels: dict[str, int], first_pixel: int
) -> tuple[list[tuple[float, ...]], list[Problem]]:
    """Box, label, area and iscrowd of every object that can be used, and what is wrong."""
    kept, problems = [], []
    for written in image.objects:
        box, wrong = placed(written, size, first_pixel)
        if written.name not in labels:
            box = None
            wrong.append(written.fault or f"the class {written.name!r} is not in `classes`")
        if box:
            area = (box[2] - box[0]) * (box[3] - box[1])
            area = written.area if math.isfinite(written.area) else area
            kept.append((*box, labels[written.name], area, written.iscrowd))
        if wrong:
            action = "box clipped" if box else "object dropped"
            problems.append(Problem(image.source, f"{written.where}: {'; '.join(wrong)}", action))
    return kept, problems


def placed(
    written: WrittenObject, size: tuple[int, int] | None, first_pixel: int
) -> tuple[tuple[float, ...] | None, list[str]]:
    """The box of an object within an image of that size, or None; and what is wrong with it."""
    x1, y1, x2, y2 = written.corners
    if not all(map(math.isfinite, written.corners)):
        return None, [f"{written.box} is not four finite numbers"]
    if min(x2 - x1, y2 - y1) < THINNEST:
        return None, [f"{written.box} has no area"]
    x1, y1 = x1 - first_pixel, y1 - first_pixel
    if size is None:  # nothing to compare with
        return (x1, y1, x2, y2), []
    height, width = size
    box = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if min(box[2] - box[0], box[3] - box[1]) < THINNEST:
        return None, [f"{written.box} lies outside its image, {in_words(size)}"]
    if max(-x1, -y1, x2 - width, y2 - height) > ROUNDING:
        return box, [f"{written.box} sticks out of its image, {in_words(size)}"]
    return box, []


def in_words(size: Sequence[float]) -> str:
    return f"{size[1]:g} pixels wide and {size[0]:g} high"


def as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
