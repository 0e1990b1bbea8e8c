"""A folder of images and their objects as COCO lays it out: one JSON file tells all."""

import json
import os
import reprlib
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

from .folder import DetectionFolder, Problem, WrittenImage, WrittenObject, as_number


class CocoFolder(DetectionFolder):
    """Images and COCO's file about them; items, problems and `verify` are as in `DetectionFolder`.

    Of a sound file, torchvision's `CocoDetection` gives the same images, boxes and labels in the
    same order; of another, it stops without saying where, or passes over what is wrong.

    Args:
        images: the folder of the images.
        annotations: the file, e.g. "annotations/instances_val2017.json".
        classes: names of categories, in the order of the labels. By default all of the file's, in
            the order of their ids.

    Attributes:
        category_ids: for each label, the category's id in the file.
    """

    def __init__(
        self,
        images: str | os.PathLike,
        annotations: str | os.PathLike,
        classes: Sequence[str] | None = None,
        on_problem: str = "raise",
        verify: bool = False,
    ) -> None:
        images, file = Path(images), Path(annotations)
        if not images.is_dir():
            raise ValueError(f"there is no folder {images}; `images` is the folder of the images")
        content = coco_content(file)
        categories = coco_categories(file, content["categories"])
        ids = {name: category for category, name in categories.items()}
        classes = list(ids) if classes is None else classes
        if unknown := [name for name in classes if name not in ids]:
            raise ValueError(f"{file} has no category {unknown[0]!r}; it has {', '.join(ids)}")
        self.category_ids = tuple(ids[name] for name in classes)
        written, problems = coco_images(images, file.name, content, categories)
        title = f"{file}, images in {images}"
        super().__init__(title, written, classes, problems, on_problem, verify)


def coco_content(file: Path) -> dict[str, list[dict]]:
    """The file's lists of images, annotations and categories."""
    if not file.is_file():
        raise ValueError(f"there is no file {file}; `annotations` is COCO's file of instances")
    try:
        content = json.loads(file.read_text("utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{file} is no sound JSON: {error}. Fetch or export it anew.") from error
    lists = content if isinstance(content, dict) else {}
    keys = ("images", "annotations", "categories")
    if missing := [key for key in keys if not isinstance(lists.get(key), list)]:
        raise ValueError(
            f"{file} is no COCO file of instances: it has no list of {' or '.join(missing)}. "
            f'It should be {{"images": [{{…}}, …], "annotations": […], "categories": […]}}.'
        )
    for key in keys:
        for row, entry in enumerate(lists[key]):
            if not isinstance(entry, dict):
                raise ValueError(
                    f"{key}[{row}] of {file} is {reprlib.repr(entry)} and no object {{…}}: "
                    f"mend the file, or export it anew"
                )
    return lists


def coco_categories(file: Path, written: list[dict]) -> dict[int, str]:
    """Each category's id and name, in the order of the ids."""
    categories = [(entry.get("id"), entry.get("name")) for entry in written]
    for row, (category, name) in enumerate(categories):
        if type(category) is not int or not isinstance(name, str):
            raise ValueError(
                f"categories[{row}] of {file} is {reprlib.repr(written[row])}: a category needs a "
                f"whole number as id, and a name"
            )
    for values in zip(*categories, strict=True):
        value, count = Counter(values).most_common(1)[0]
        if count > 1:
            raise ValueError(f"{count} categories of {file} share {value!r}: rename or merge them")
    return dict(sorted(categories))


def coco_images(
    folder: Path, file: str, content: dict[str, list[dict]], categories: dict[int, str]
) -> tuple[list[WrittenImage], list[Problem]]:
    """The images of the file in the order of their ids, and what belongs to none of them."""
    images: list[WrittenImage] = []
    objects: dict[int, list[WrittenObject]] = {}  # of each image's id
    problems: list[Problem] = []
    for row, entry in enumerate(content["images"]):
        image_id, name = entry.get("id"), entry.get("file_name")
        if type(image_id) is int and isinstance(name, str):
            size = as_number(entry.get("height")), as_number(entry.get("width"))
            mine = objects.setdefault(image_id, [])
            images.append(WrittenImage(name, folder / name, size, file, mine, image_id))
        else:
            cause = f"images[{row}] is {reprlib.repr(entry)}, without a whole id or a file_name"
            problems.append(Problem(file, cause, "image dropped"))
    for row, entry in enumerate(content["annotations"]):
        written, image_id = coco_object(entry, row, categories), entry.get("image_id")
        if type(image_id) is int and image_id in objects:
            objects[image_id].append(written)
        else:
            cause = f"{written.where}: no image has its image_id {reprlib.repr(image_id)}"
            problems.append(Problem(file, cause, "object dropped"))
    times = Counter(image.image_id for image in images)
    for image in images:
        count = times[image.image_id]
        if count > 1:  # nobody can say which of them the annotations are about
            image.fault = f"{count} images have the id {image.image_id}: {image.name}"
    return sorted(images, key=attrgetter("image_id")), problems


def coco_object(entry: dict, row: int, categories: dict[int, str]) -> WrittenObject:
    category, bbox = entry.get("category_id"), entry.get("bbox")
    x, y, w, h = map(as_number, bbox if isinstance(bbox, list) and len(bbox) == 4 else 4 * [None])
    name = categories.get(category, "") if type(category) is int else ""
    return WrittenObject(
        where=f"annotation {reprlib.repr(entry['id'])}" if "id" in entry else f"annotations[{row}]",
        name=name,
        box=f"the bbox {reprlib.repr(bbox)}",
        corners=[x, y, x + w, y + h],
        area=as_number(entry.get("area")),
        iscrowd=bool(entry.get("iscrowd")),
        fault="" if name else f"no category has its category_id {reprlib.repr(category)}",
    )
