"""What the benchmark works on: drawn scenes, a Pascal VOC folder of them, and detections."""

from pathlib import Path
from xml.etree import ElementTree

import torch
from PIL import Image
from torch import Tensor

from retinanet_lite.data.drawing import random_scene


def scenes(batch_size: int, height: int, width: int) -> list[tuple[Tensor, dict]]:
    """Images [3, H, W] from 0 to 1, and five objects in each."""
    drawn = [random_scene(i, height, width, num_objects=(5, 5)) for i in range(batch_size)]
    return [(s.image / 255, {"boxes": s.boxes, "labels": s.labels}) for s in drawn]


def write_voc(root: Path, count: int, height: int, width: int) -> None:
    """A Pascal VOC folder of drawn scenes, whose objects are called by a name that VOC knows."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    for i in range(count):
        scene = random_scene(i, height, width)
        picture = Image.fromarray(scene.image.permute(1, 2, 0).numpy())
        picture.save(root / f"JPEGImages/{i}.jpg", quality=95)
        tree = ElementTree.Element("annotation")
        ElementTree.SubElement(tree, "filename").text = f"{i}.jpg"
        size = ElementTree.SubElement(tree, "size")
        for name, value in (("width", width), ("height", height), ("depth", 3)):
            ElementTree.SubElement(size, name).text = str(value)
        for box in scene.boxes.int().tolist():
            item = ElementTree.SubElement(tree, "object")
            ElementTree.SubElement(item, "name").text = "cat"
            bounds = ElementTree.SubElement(item, "bndbox")
            for name, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
                ElementTree.SubElement(bounds, name).text = str(value + 1)
        ElementTree.ElementTree(tree).write(root / f"Annotations/{i}.xml")
    (root / "ImageSets/Main/train.txt").write_text("\n".join(map(str, range(count))))


def detections(
    images: int, an_image: int, objects: int, classes: int
) -> tuple[list[dict], list[dict]]:
    """Detections of a middling detector and the targets, in whole pixels.

    Each object is detected several times, more or less exactly, and often as another class.
    """
    torch.manual_seed(0)
    found, targets = [], []
    for _ in range(images):
        corner = torch.randint(500, (objects, 2))
        boxes = torch.cat([corner, corner + torch.randint(50, 200, (objects, 2))], dim=1)
        labels = torch.randint(classes, (objects,))
        targets.append({"boxes": boxes.float(), "labels": labels})
        which = torch.randint(objects, (an_image,))
        guessed = torch.where(torch.rand(an_image) < 0.5, 0, torch.randint(classes, (an_image,)))
        found.append(
            {
                "boxes": (boxes[which] + torch.randint(-20, 21, (an_image, 4))).float(),
                "scores": torch.rand(an_image).sort(descending=True).values,
                "labels": (labels[which] + guessed) % classes,
            }
        )
    return found, targets
