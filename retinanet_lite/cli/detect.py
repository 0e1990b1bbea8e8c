"""`retinanet-lite detect`."""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from ..data.drawing import walkthrough_scene
from ..data.images import read_image
from ..data.scaling import NOTHING, scaled
from ..detector import Detector
from ..zoo import SHAPES
from .options import DETECTOR_HELP, add_running, open_detector

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def add_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("images", nargs="*", type=Path, help="images, or folders of images")
    sub.add_argument("--detector", default=SHAPES, help=DETECTOR_HELP)
    sub.add_argument("--out", type=Path, default="detections", help="folder for the results")
    sub.add_argument("--score", type=float, default=0.5, help="least score of a detection")
    sub.add_argument("--batch-size", type=int, default=8, help="images at a time")
    add_running(sub)


def run(options: argparse.Namespace) -> None:
    """Find the objects in images: a picture with boxes for each, and detections.json for all.

    Without an image, in the scene of the notebooks. Boxes are x1, y1, x2, y2 in pixels. An image
    that can't be read is told, and the others are looked at.
    """
    detector = open_detector(options.detector, options.plain)
    detector.model.to(options.device)
    paths = find_images(options.images, options.out)
    images = read_images(paths, detector)
    if not paths:
        images = [(Path("scene.png"), walkthrough_scene().image)]
    # two readers of the same images: they are never more than a batch apart
    images, shown = itertools.tee(images)
    options.out.mkdir(parents=True, exist_ok=True)
    results = []
    stream = detector.stream((image for _, image in images), options.batch_size)
    for (path, image), found in zip(shown, stream, strict=True):
        kept = found["scores"] >= options.score
        columns = (found[key][kept].tolist() for key in ("labels", "scores", "boxes"))
        detections = [
            {"class": detector.classes[label], "score": score, "box": box}
            for label, score, box in zip(*columns, strict=True)
        ]
        picture = options.out / f"{len(results):04}_{path.stem}.png"
        to_pil_image(detector.draw(image, found, options.score)).save(picture)
        results.append({"image": str(path), "picture": picture.name, "detections": detections})
        captions = [f"{each['class']} {each['score']:.2f}" for each in detections]
        print(f"{path}: {', '.join(captions) or 'nothing'}")
    (options.out / "detections.json").write_text(json.dumps(results, indent=2) + "\n")
    print(f"pictures and detections.json are in {options.out}")
    broken = len(paths) - len(results)
    if broken > 0:
        raise ValueError(f"{broken} of {len(paths)} images could not be looked at")


def read_images(paths: list[Path], detector: Detector) -> Iterator[tuple[Path, Tensor]]:
    """Each image with its path. Those that the detector can't look at are told and left out."""
    for path in paths:
        try:
            image = read_image(path)
            scaled(image, NOTHING, detector.scaling)
        except ValueError as error:
            print(f"{path}: {error}", file=sys.stderr)
        else:
            yield path, image


def find_images(paths: list[Path], out: Path) -> list[Path]:
    """The images named, and those in the folders named, but for the pictures in `out`."""
    found = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            images = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            inside = sorted(file for file in images if not file.is_relative_to(out))
        if not inside:
            raise ValueError(f"there is no image in {path}")
        found += inside
    return found
