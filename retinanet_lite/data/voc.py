"""A folder of images and their objects as Pascal VOC lays it out: an XML file for each image."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from .folder import DetectionFolder, Problem, WrittenImage, WrittenObject, as_number

EXTENSIONS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".tif", ".tiff", ".webp")


class VocFolder(DetectionFolder):
    """A folder as Pascal VOC lays it out; items, problems and `verify` are as in `DetectionFolder`.

    Args:
        root: the folder, e.g. "VOCdevkit/VOC2007". It holds JPEGImages/, Annotations/ with an XML
            file for each image, and ImageSets/Main/, or ImageSets/ itself, with the splits.
        split: a list of images' names without extension, one a line: "train" is train.txt.
        classes: their names, in the order of the labels. By default those found in this split,
            sorted; a second split needs the first one's, or its labels may mean other classes.
        on_problem: "raise" or "drop". A box with xmax ≤ xmin is a problem: by VOC's count it could
            be a pixel wide, but it is a click without a drag.
        first_pixel: VOC counts an image's pixels from 1 and includes a box's last, so that it goes
            from xmin − 1 to xmax, as in detectron2. 0 takes the numbers as torchvision does.
        keep_difficult: whether objects marked as difficult are there; their images stay.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        split: str = "trainval",
        classes: Sequence[str] | None = None,
        on_problem: str = "raise",
        first_pixel: int = 1,
        keep_difficult: bool = True,
        verify: bool = False,
    ) -> None:
        root = Path(root)
        if first_pixel not in (0, 1):
            raise ValueError(f"first_pixel must be 0 or 1; got {first_pixel!r}")
        listing = voc_listing(root, split)
        lines = listing.read_text("utf-8-sig", "replace").splitlines()
        stems = Counter(filter(None, map(str.strip, lines)))
        file = listing.relative_to(root).as_posix()
        problems = [
            Problem(file, f"{stem} stands there {n} times", "kept once")
            for stem, n in stems.items()
            if n > 1
        ]
        images = [voc_image(root, stem, keep_difficult) for stem in stems]
        if classes is None:
            classes = sorted({written.name for image in images for written in image.objects} - {""})
        title = f"{root}, split {split!r}"
        super().__init__(title, images, classes, problems, on_problem, verify, first_pixel)


def voc_listing(root: Path, split: str) -> Path:
    """The file that lists the images of a split."""
    if missing := [name for name in ("JPEGImages", "Annotations") if not (root / name).is_dir()]:
        raise ValueError(
            f"{root} is no VOC folder: it has no {' and no '.join(missing)}. root is the folder "
            f"that holds JPEGImages, Annotations and ImageSets, e.g. VOCdevkit/VOC2007."
        )
    splits = voc_splits(root)
    if split in splits:
        return splits[split]
    mend = f"Its splits are {', '.join(sorted(splits))}."
    if not splits:
        mend = "It has no splits at all: write the names of its images there, one a line, no .jpg."
    raise ValueError(
        f"{root} has no split {split!r}: there is no {split}.txt in ImageSets/Main or ImageSets. "
        f"{mend}"
    )


def voc_splits(root: Path) -> dict[str, Path]:
    """The file of each split, by its name."""
    folders = [root / "ImageSets", root / "ImageSets" / "Main"]
    return {file.stem: file for folder in folders for file in folder.glob("*.txt")}


def voc_image(root: Path, stem: str, keep_difficult: bool) -> WrittenImage:
    """What the XML file of an image says."""
    source = f"Annotations/{stem}.xml"
    tree, fault = ElementTree.Element("annotation"), ""
    try:
        tree = ElementTree.parse(root / source).getroot()
        if tree.tag != "annotation":
            fault = f"its outermost element is <{tree.tag}>, not <annotation>"
    except FileNotFoundError:
        fault = "there is no such file"
    except (ElementTree.ParseError, LookupError, OSError, ValueError) as error:
        fault = f"it is no sound XML: {error}"
    # the list's name goes first: many a folder's <filename> is from before its files were renamed
    written = Path(tree.findtext("filename", "").strip())
    names = [stem + ending for ending in (written.suffix or ".jpg", *EXTENSIONS)] + [written.name]
    files = [f"JPEGImages/{name}" for name in names]
    file = next((file for file in files if (root / file).is_file()), files[0])
    size = as_number(tree.findtext("size/height")), as_number(tree.findtext("size/width"))
    objects = list(voc_objects(tree, keep_difficult))
    return WrittenImage(file, root / file, size, source, objects, fault=fault)


def voc_objects(tree: ElementTree.Element, keep_difficult: bool) -> Iterator[WrittenObject]:
    for count, node in enumerate(tree.findall("object"), start=1):
        if only(node, "difficult") == "1" and not keep_difficult:
            continue
        name = only(node, "name") or ""
        corners = {side: only(node, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")}
        yield WrittenObject(
            where=f"object {count} ({name})" if name else f"object {count}",
            name=name,
            box="the box " + ", ".join(f"{side} {value}" for side, value in corners.items()),
            corners=[as_number(value) for value in corners.values()],
            fault="" if name else "it has no <name>, or several",
        )


def only(node: ElementTree.Element, path: str) -> str | None:
    """The text at a path, if that leads to one element and not to several."""
    found = node.findall(path)
    return (found[0].text or "").strip() if len(found) == 1 else None
