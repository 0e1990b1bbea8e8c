"""What the commands of the command line do; cli.py says what they take."""

import argparse
import itertools
import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import to_pil_image
from torchvision.utils import draw_bounding_boxes

from ..data.batches import without_crowds
from ..data.coco import CocoFolder
from ..data.drawing import CLASSES, walkthrough_scene
from ..data.images import read_image
from ..data.scenes import test_scenes, training_scenes
from ..data.transforms import augment, resize
from ..data.voc import VocFolder
from ..detector import Detector
from ..devices import processes, rank
from ..evaluation.anchor_coverage import anchor_coverage
from ..evaluation.average_precision import coco_report
from ..evaluation.error_kinds import sort_errors
from ..evaluation.measure import look
from ..learn.trace import trace
from ..model.anchors import Anchors
from ..model.backbone import RESNETS, BasicBlock
from ..model.imagenet import load_imagenet
from ..model.retinanet import RetinaNet
from ..training.fit import fit
from ..training.recipe import Recipe
from ..training.run_folder import quality
from ..zoo.new_classes import keep_classes, replace_classes
from ..zoo.torchvision_retinanet import COCO

BACKBONES = {"resnet10": (BasicBlock, (1, 1, 1, 1)), **RESNETS}
# the network that is trained where none is named
NETWORK = {
    "backbone": "resnet10",
    "features": 64,
    "anchor_size": 4.0,
    "anchor_ratios": [0.5, 1.0, 2.0],
}
SPLITS = {"split": "trainval", "test_split": "test"}  # of a VOC folder, by default
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def train(options: argparse.Namespace) -> None:
    """Train a detector. The same command again goes on with a training that was stopped.

    Without data it learns three kinds of shapes in drawn scenes of 128×128 pixels, in a few
    minutes. Under torchrun, several processes share every batch.
    """
    if options.validation_coco and not options.coco:
        raise ValueError("--validation-coco measures a training on a --coco folder: name both")
    drawn = not (options.voc or options.coco)
    again = os.environ.get("RANK", "0") != "0" or (options.out / "last.pt").exists()
    verify = [True, False] if options.verify and not again else [False]
    # decoding only tells, or refuses: every process, and each time that the training goes on, has
    # to learn from the same images, which are those whose headers are sound
    for options.verify in verify:
        training_data = open_folder(options, "split", options.coco) or training_scenes()
        validation_data = open_folder(
            options, "test_split", options.validation_coco, training_data.classes
        )
    if drawn:
        validation_data = test_scenes()

    torch.manual_seed(options.seed)
    detector = first_detector(options, training_data.classes)
    if options.freeze:
        detector.model.freeze(*options.freeze)
    augmentation = None
    if options.augment if options.augment is not None else not drawn:
        augmentation = augment(vertical_flip=0.5 if options.vertical_flip else 0.0)
    recipe = Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})

    with processes(options.device) as device:
        detector.model.to(device)
        if rank() == 0:
            print(f"{len(training_data)} images to learn, classes: {', '.join(detector.classes)}")
            if not drawn:
                coverage = anchor_coverage(detector.model.anchors, training_data, detector.scaling)
                print(*coverage.advice(), sep="\n")
        log = fit(
            detector,
            training_data,
            validation_data,
            recipe,
            augmentation,
            options.out,
            options.workers,
        )
        if rank() == 0:
            best = max(log, key=quality)
            if "AP" in best:
                print(f"AP {best['AP']:.3f}, AP50 {best['AP50']:.3f} after step {best['step']}")
            print(f"the detector is {options.out / 'best.pt'}")


def first_detector(options: argparse.Namespace, classes: tuple[str, ...]) -> Detector:
    """The detector that a training starts from."""
    if options.start:
        return known_detector(options, classes)
    block, layers = BACKBONES[options.backbone]
    model = RetinaNet(
        len(classes),
        block,
        layers,
        feature_size=options.features,
        freeze_bn=options.imagenet if options.freeze_bn is None else options.freeze_bn,
        anchors=make_anchors(options),
    )
    if options.imagenet:
        load_imagenet(model.backbone)
    return Detector(model, classes, options.size)


def known_detector(options: argparse.Namespace, classes: tuple[str, ...]) -> Detector:
    """The detector that --start names, for these classes: it keeps those that it knows by name."""
    named = [name for name, value in NETWORK.items() if getattr(options, name) != value]
    named += ["imagenet"] * options.imagenet
    if named:
        raise ValueError(
            f"--start {options.start} decides the network: leave out "
            + ", ".join(f"--{name.replace('_', '-')}" for name in named)
        )
    start = open_detector(options.start)
    if set(classes) <= set(start.classes):
        model = keep_classes(start.model, [start.classes.index(name) for name in classes])
    else:
        model = replace_classes(start.model, len(classes))
    if options.freeze_bn is not None:
        model.freeze_bn(options.freeze_bn)
    return Detector(model, classes, options.size or start.size)


def open_detector(name: str | Path) -> Detector:
    """The detector of a file, or one of torchvision's by name."""
    return Detector.pretrained(name) if name in COCO else Detector.load(name)


def evaluate(options: argparse.Namespace) -> None:
    """Measure a detector: COCO's twelve numbers, each class, and where the errors come from.

    Without data, on 100 drawn scenes that no training of this package uses.
    """
    detector = open_detector(options.detector)
    dataset = open_folder(options, "test_split", options.coco, detector.classes)
    if dataset is None:
        if not set(detector.classes) <= set(CLASSES):
            raise ValueError(
                f"{options.detector} knows {', '.join(detector.classes)}, which no drawn scene "
                f"shows. Name images to measure on: --voc or --coco."
            )
        dataset = test_scenes(options.scenes, detector.classes)
    with processes(options.device) as device:
        detector.model.to(device)
        detections, targets, _ = look(detector, dataset, options.batch_size)
        if rank() != 0:
            return
    report = coco_report(detections, targets, detector.classes)
    singles = [dict(zip(("boxes", "labels"), without_crowds(t), strict=True)) for t in targets]
    errors = sort_errors(detections, singles)
    print(f"{len(targets)} images, {sum(len(target['boxes']) for target in singles)} objects")
    for name, value in report.metrics.items():
        print(f"{name:6}{value:10.3f}")
    print(f"\n{'class':22}{'AP':>8}{'AP50':>8}")
    for name, numbers in report.by_class.items():
        print(f"{name:22}{numbers['AP']:8.3f}{numbers['AP50']:8.3f}")
    print("\ndetections with a score of 0.5 or more")
    for name, number in errors.detection_counts.items():
        print(f"  {name:20}{number:8}")
    print("objects")
    for name, number in errors.object_counts.items():
        print(f"  {name:20}{number:8}")
    if options.json:
        numbers = {
            "metrics": without_nan(report.metrics),
            "classes": {name: without_nan(of_class) for name, of_class in report.by_class.items()},
            "detections": errors.detection_counts,
            "objects": errors.object_counts,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")


def without_nan(numbers: dict[str, float]) -> dict[str, float | None]:
    """JSON knows no NaN: a number that is not there is null."""
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}


def detect(options: argparse.Namespace) -> None:
    """Find the objects in images: a picture with boxes for each, and detections.json for all.

    Without an image, in the scene of the notebooks. Boxes are x1, y1, x2, y2 in pixels. An image
    that can't be read is told, and the others are looked at.
    """
    detector = open_detector(options.detector)
    detector.model.to(options.device)
    paths, broken = find_images(options.images, options.out), []
    images = read_images(paths, detector, broken) if paths else [scene_of_the_notebooks()]
    # two readers of the same images: they are never more than a batch apart
    images, shown = itertools.tee(images)
    options.out.mkdir(parents=True, exist_ok=True)
    results = []
    stream = detector.stream((image for _, image in images), options.batch_size)
    for (path, image), found in zip(shown, stream, strict=True):
        kept = found["scores"] >= options.score
        boxes, scores = found["boxes"][kept], found["scores"][kept].tolist()
        names = [detector.classes[label] for label in found["labels"][kept]]
        captions = [f"{name} {score:.2f}" for name, score in zip(names, scores, strict=True)]
        picture = options.out / f"{len(results):04}_{path.stem}.png"
        drawn = draw_bounding_boxes(image, boxes, captions, "red", width=2) if names else image
        to_pil_image(drawn).save(picture)
        results.append(
            {
                "image": str(path),
                "picture": picture.name,
                "detections": [
                    {"class": name, "score": score, "box": box}
                    for name, score, box in zip(names, scores, boxes.tolist(), strict=True)
                ],
            }
        )
        print(f"{path}: {', '.join(captions) or 'nothing'}")
    (options.out / "detections.json").write_text(json.dumps(results, indent=2) + "\n")
    print(f"pictures and detections.json are in {options.out}")
    if broken:
        raise ValueError(f"{len(broken)} of {len(paths)} images could not be looked at")


def read_images(
    paths: list[Path], detector: Detector, broken: list[Path]
) -> Iterator[tuple[Path, Tensor]]:
    """Each image with its path. Those that the detector can't look at are told and listed."""
    for path in paths:
        try:
            image = read_image(path)
            detector.scaled(image)
        except ValueError as error:
            print(f"{path}: {error}", file=sys.stderr)
            broken.append(path)
        else:
            yield path, image


def scene_of_the_notebooks() -> tuple[Path, Tensor]:
    return Path("scene.png"), walkthrough_scene().image


def show_anchors(options: argparse.Namespace) -> None:
    """Report how well the anchors fit the objects of a data set, before any training."""
    dataset = open_folder(options, "split", options.coco) or test_scenes()
    scaling = resize(options.size) if options.size else None
    print(anchor_coverage(make_anchors(options), dataset, scaling))


def show_trace(options: argparse.Namespace) -> None:
    """Print the shape of every tensor and the parameters of every stage."""
    block, layers = BACKBONES[options.backbone]
    model = RetinaNet(
        options.classes,
        block,
        layers,
        feature_size=options.features,
        anchors=make_anchors(options),
    )
    print(trace(model, *options.image, options.batch_size))


def open_folder(
    options: argparse.Namespace,
    split: str,
    coco: list[str] | None,
    classes: tuple[str, ...] | None = None,
) -> Dataset | None:
    """The data set that the options name, if any; `split` is the option for a VOC folder's."""
    name = getattr(options, split)
    how = {"classes": classes, "on_problem": options.on_problem, "verify": options.verify}
    if options.voc:
        return VocFolder(options.voc, name or SPLITS[split], **how)
    if name:
        raise ValueError(
            f"--{split.replace('_', '-')} {name} is a list in a VOC folder: name the folder with "
            f"--voc. With --coco, each split is a file of its own."
        )
    if coco:
        return CocoFolder(*coco, **how)
    return None


def make_anchors(options: argparse.Namespace) -> Anchors:
    return Anchors(size=options.anchor_size, ratios=options.anchor_ratios)


def find_images(paths: list[Path], out: Path) -> list[Path]:
    """The images named, and those in the folders named, but for the pictures in `out`."""
    found = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in SUFFIXES and not file.is_relative_to(out)
            )
            if not inside:
                raise ValueError(f"there is no image in {path}")
            found += inside
        else:
            found.append(path)
    return found
