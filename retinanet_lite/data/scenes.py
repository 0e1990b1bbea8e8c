"""Drawn scenes as data sets, and the two that this project trains and measures on."""

from dataclasses import dataclass

from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from .drawing import CLASSES, random_scene

THREE = ("disc", "triangle", "star")


@dataclass(eq=False)
class ShapesDataset(Dataset):
    """Drawn scenes as a data set: item i is `random_scene(first_seed + i)`, in torchvision's form.

    An item is image [3, H, W] uint8 and {"boxes": [M, 4] x1, y1, x2, y2 in pixels, "labels": [M]
    int64, "image_id": int}. Data sets whose seeds do not meet share no image.

    Args:
        length: number of images.
        height, width, classes, num_objects, smallest, largest: as in `random_scene`.
    """

    length: int
    height: int = 640
    width: int = 832
    first_seed: int = 0
    classes: tuple[str, ...] | None = None
    num_objects: tuple[int, int] = (5, 12)
    smallest: float = 24.0
    largest: float | None = None

    def __post_init__(self) -> None:
        if self.length < 1 or self.first_seed < 0:
            raise ValueError(
                f"a data set has 1 image or more, and seeds are 0 or more; got "
                f"length={self.length}, first_seed={self.first_seed}"
            )
        self.classes = tuple(self.classes or CLASSES)
        self.names = [f"scene {self.first_seed + i}" for i in range(self.length)]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, dict]:
        if not 0 <= index < self.length:
            raise IndexError(f"the data set has {self.length} images; got index {index}")
        size = (self.height, self.width)
        objects = (self.num_objects, self.smallest, self.largest, self.classes)
        scene = random_scene(self.first_seed + index, *size, *objects)
        boxes = tv_tensors.BoundingBoxes(scene.boxes, format="XYXY", canvas_size=size)
        target = {"boxes": boxes, "labels": scene.labels, "image_id": index}
        return tv_tensors.Image(scene.image), target


def training_scenes(
    size: tuple[int, int] = (128, 128), classes: tuple[str, ...] = THREE, length: int = 100_000
) -> ShapesDataset:
    """The scenes to learn from: `size` is height and width in pixels; seeds from a million on."""
    return usual_scenes(length, size, classes, first_seed=1_000_000)


def validation_scenes(
    size: tuple[int, int] = (128, 128), classes: tuple[str, ...] = THREE, length: int = 100
) -> ShapesDataset:
    """The scenes to choose a checkpoint by; seeds from half a million on."""
    return usual_scenes(length, size, classes, first_seed=500_000)


def test_scenes(
    size: tuple[int, int] = (128, 128), classes: tuple[str, ...] = THREE, length: int = 100
) -> ShapesDataset:
    """The scenes to measure on; seeds from 0 on, so that none is in the two others."""
    return usual_scenes(length, size, classes, first_seed=0)


test_scenes.__test__ = False  # to pytest, a name that starts so is a test


def usual_scenes(
    length: int, size: tuple[int, int], classes: tuple[str, ...], first_seed: int
) -> ShapesDataset:
    """Scenes with as many objects as there is room for: small ones have few."""
    num_objects = (1, 4) if min(size) < 320 else (5, 12)
    return ShapesDataset(length, *size, first_seed, classes, num_objects)
