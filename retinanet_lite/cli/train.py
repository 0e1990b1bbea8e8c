"""`retinanet-lite train`."""

import argparse
import os
from dataclasses import fields
from pathlib import Path

import torch

from ..data.scenes import test_scenes, training_scenes
from ..data.transforms import augment
from ..detector import Detector
from ..devices import processes, rank
from ..evaluation.anchor_coverage import anchor_coverage
from ..model.imagenet import load_imagenet
from ..model.retinanet import RetinaNet
from ..training.fit import fit
from ..training.recipe import Recipe
from ..training.run_folder import quality
from ..zoo import keep_classes, replace_classes
from .options import (
    BACKBONES,
    DETECTOR_HELP,
    NETWORK,
    add_data,
    add_network,
    add_running,
    add_size,
    make_anchors,
    open_detector,
    open_folder,
)

RECIPE_HELP = {
    "steps": "optimizer steps in all",
    "batch_size": "images of a step, over all processes",
    "optimizer": "adamw or sgd",
    "learning_rate": "the highest",
    "warmup": "part of the steps in which the learning rate rises",
    "weight_decay": "of the convolutions' weights",
    "clip": "largest norm of the gradient",
    "autocast": "compute in bfloat16; for GPUs",
    "evaluate_every": "steps between two measurements",
    "save_every": "steps between two checkpoints",
    "seed": "of the weights, the order of the images and their augmentation",
}


def add_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--out", type=Path, default="runs/train", help="folder of the training")
    sub.add_argument(
        "--augment",
        action=argparse.BooleanOptionalAction,
        help="change images at random; default: all but drawn scenes",
    )
    sub.add_argument("--vertical-flip", action="store_true", help="upside down is as likely")
    data = add_data(sub)
    data.add_argument("--split", help="of the VOC folder, to learn; default: trainval")
    data.add_argument("--test-split", help="of the VOC folder, to measure on; default: test")
    data.add_argument(
        "--validation-coco", nargs=2, metavar=("IMAGES", "JSON"), help="to measure on"
    )
    network = add_network(sub, NETWORK["backbone"], NETWORK["features"])
    network.add_argument("--imagenet", action="store_true", help="start from ImageNet weights")
    network.add_argument(
        "--start",
        metavar="DETECTOR",
        help="start from a trained detector, which decides the network: "
        f"{DETECTOR_HELP}. Classes that it does not know are new to it",
    )
    network.add_argument(
        "--freeze",
        nargs="+",
        metavar="PART",
        help="parts that do not learn, such as backbone.conv1 backbone.bn1 backbone.layer1",
    )
    network.add_argument(
        "--freeze-bn",
        action=argparse.BooleanOptionalAction,
        help="default: with --imagenet, or as in --start",
    )
    add_size(network)
    recipe = sub.add_argument_group("recipe")
    for field in fields(Recipe):
        kind = {"action": "store_true"} if field.type is bool else {"type": field.type}
        recipe.add_argument(
            f"--{field.name.replace('_', '-')}",
            default=field.default,
            help=RECIPE_HELP[field.name],
            **kind,
        )
    add_running(sub).add_argument("--workers", type=int, default=0, help="that load images")


def run(options: argparse.Namespace) -> None:
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
        freeze_bn=options.freeze_bn,
        anchors=make_anchors(options),
    )
    if options.imagenet:
        load_imagenet(model.backbone)
        model.freeze_bn(options.freeze_bn is not False)
    return Detector(model, classes, options.size, options.plain)


def known_detector(options: argparse.Namespace, classes: tuple[str, ...]) -> Detector:
    """The detector that --start names, for these classes: it keeps those that it knows by name."""
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
    if options.freeze_bn is not None:
        model.freeze_bn(options.freeze_bn)
    return Detector(model, classes, options.size or start.size, options.plain)
