"""`retinanet-lite train`."""

import argparse
import inspect
import os
import re
from dataclasses import fields
from pathlib import Path

import torch
from torch.utils.data import Dataset

from ..data.scenes import test_scenes, training_scenes, validation_scenes
from ..data.transforms import augment
from ..detector import Detector
from ..devices import processes, rank, wait
from ..evaluation.anchor_coverage import anchor_coverage
from ..evaluation.measure import evaluate
from ..model.imagenet import load_imagenet
from ..training.fit import fit
from ..training.recipe import Recipe
from ..training.run_folder import quality
from ..zoo import keep_classes, replace_classes
from .options import (
    COCO_FILES,
    DETECTOR_HELP,
    NETWORK,
    SPLITS,
    add_data,
    add_network,
    add_running,
    add_size,
    make_network,
    open_detector,
    open_folder,
)


def add_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--out", type=Path, default="runs/train", help="folder of the training")
    augmented = "change images at random; default: all but drawn scenes"
    sub.add_argument("--augment", action=argparse.BooleanOptionalAction, help=augmented)
    sub.add_argument("--vertical-flip", action="store_true", help="upside down is as likely")
    data = add_data(sub)
    data.add_argument("--split", help="of the VOC folder, to learn; default: train")
    chooses, measures = "to choose the best checkpoint by", "to measure that one on, at the end"
    for part, purpose in (("validation", chooses), ("test", measures)):
        default = SPLITS[f"{part}_split"]
        text = f"of the VOC folder, {purpose}; default: {default}, if it is there"
        data.add_argument(f"--{part}-split", help=text)
        data.add_argument(f"--{part}-coco", **COCO_FILES, help=purpose)
    network = add_network(sub, NETWORK["backbone"], NETWORK["features"])
    network.add_argument("--imagenet", action="store_true", help="start from ImageNet weights")
    start = f"start from a trained detector, which decides the network: {DETECTOR_HELP}. "
    start += "Classes that it does not know are new to it"
    network.add_argument("--start", metavar="DETECTOR", help=start)
    parts = "parts that do not learn, such as backbone.conv1 backbone.bn1 backbone.layer1"
    network.add_argument("--freeze", nargs="+", metavar="PART", help=parts)
    frozen = "default: with --imagenet, or as in --start"
    network.add_argument("--freeze-bn", action=argparse.BooleanOptionalAction, help=frozen)
    add_size(network)
    recipe, texts = sub.add_argument_group("recipe"), argument_texts(Recipe.__doc__)
    for field in fields(Recipe):
        kind = {"action": "store_true"} if field.type is bool else {"type": field.type}
        name, text = f"--{field.name.replace('_', '-')}", texts.get(field.name)
        recipe.add_argument(name, default=field.default, help=text, **kind)
    add_running(sub).add_argument("--workers", type=int, default=0, help="that load images")


def argument_texts(docstring: str) -> dict[str, str]:
    """What a docstring says of each argument, in lines "name: text" below "Args:"."""
    _, _, arguments = inspect.cleandoc(docstring).partition("Args:\n")
    entries = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", arguments, re.MULTILINE)
    return {name: " ".join(text.split()).rstrip(".") for name, text in entries}


def run(options: argparse.Namespace) -> None:
    """Train a detector. The same command again goes on with a training that was stopped.

    Without data it learns three kinds of shapes in drawn scenes of 128×128 pixels, in a few
    minutes. Under torchrun, several processes share every batch.
    """
    if (options.validation_coco or options.test_coco) and not options.coco:
        raise ValueError("--validation-coco and --test-coco go with a --coco folder: name it, too")
    drawn = not (options.voc or options.coco)
    again = os.environ.get("RANK", "0") != "0" or (options.out / "last.pt").exists()
    verify = [True, False] if options.verify and not again else [False]
    # decoding only tells, or refuses: every process, and each time that the training goes on, has
    # to learn from the same images, which are those whose headers are sound
    for options.verify in verify:
        learned = open_folder(options, "split", options.coco) or training_scenes()
        chooses, measures = (
            open_folder(options, f"{part}_split", coco, learned.classes, optional=True)
            for part, coco in (("validation", options.validation_coco), ("test", options.test_coco))
        )
    if drawn:
        chooses, measures = validation_scenes(), test_scenes()

    torch.manual_seed(options.seed)
    detector = first_detector(options, learned.classes)
    if options.freeze_bn is not None:
        detector.model.freeze_bn(options.freeze_bn)
    if options.freeze:
        detector.model.freeze(*options.freeze)
    augmentation = None
    if options.augment if options.augment is not None else not drawn:
        augmentation = augment(vertical_flip=0.5 if options.vertical_flip else 0.0)
    recipe = Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})

    with processes(options.device) as device:
        detector.model.to(device)
        if rank() == 0:
            print(f"{len(learned)} images to learn, classes: {', '.join(detector.classes)}")
            if not drawn:
                coverage = anchor_coverage(detector.model.anchors, learned, detector.scaling)
                print(*coverage.advice(), sep="\n")
        folder, workers = options.out, options.workers
        log = fit(detector, learned, chooses, recipe, augmentation, folder, workers)
        if rank() == 0:
            best = max(log, key=quality)
            if "AP" in best:
                told = f"AP {best['AP']:.3f}, AP50 {best['AP50']:.3f}"
                print(f"{told} on the validation images, after step {best['step']}")
            print(f"the detector is {options.out / 'best.pt'}")
        if measures is not None:
            measure_best(options, measures, device)


def measure_best(options: argparse.Namespace, images: Dataset, device: torch.device) -> None:
    """Tell how good the best checkpoint is on images that have not chosen it."""
    wait()  # until it is written
    best = Detector.load(options.out / "best.pt", options.plain)
    best.model.to(device)
    measured = evaluate(best, images, options.batch_size)
    if rank() == 0:
        print(f"AP {measured['AP']:.3f}, AP50 {measured['AP50']:.3f} on the test images")


def first_detector(options: argparse.Namespace, classes: tuple[str, ...]) -> Detector:
    """The detector that a training starts from; with --start it keeps the classes it knows."""
    if not options.start:
        model = make_network(options, len(classes))
        if options.imagenet:
            load_imagenet(model.backbone)
        return Detector(model, classes, options.size, options.plain)
    named = [name for name, value in NETWORK.items() if getattr(options, name) != value]
    named += ["imagenet"] * options.imagenet
    if named:
        raise ValueError(
            f"--start {options.start} decides the network: leave out "
            + ", ".join(f"--{name.replace('_', '-')}" for name in named)
        )
    start = open_detector(options.start, options.plain)
    if set(classes) <= set(start.classes):
        model = keep_classes(start.model, [start.classes.index(name) for name in classes])
    else:
        model = replace_classes(start.model, len(classes))
    return Detector(model, classes, options.size or start.size, options.plain)
