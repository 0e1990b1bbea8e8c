"""The command line: `retinanet-lite train`, `evaluate`, `detect`, `anchors`, `trace`."""

import argparse
import os
import sys
import warnings
from dataclasses import fields
from pathlib import Path

import torch

from ..training.recipe import Recipe
from ..zoo import SHAPES
from . import commands

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
DETECTOR_HELP = "its file, or coco or coco_v2, torchvision's for photographs"


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Tells the default of an argument, where it has one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        if action.default in (None, False) or "default" in action.help:
            return action.help
        return super()._get_help_string(action)


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns 0, or 1 for an error, which is told in a line; misuse exits with 2."""
    options = make_parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda text, *_: print(f"warning: {text}", file=sys.stderr)
            options.run(options)
    except BrokenPipeError:  # whoever read what is printed, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"retinanet-lite {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on with a training", file=sys.stderr)
        return 130
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="retinanet-lite",
        description="Train, measure and use a RetinaNet. Every command runs without an argument, "
        "on drawn scenes; COMMAND --help says what it takes.",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    def add(name: str, run, summary: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(
            name,
            help=summary,
            description=run.__doc__,
            formatter_class=HelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    sub = add("train", commands.train, "train a detector, or go on with a training")
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
    network = add_network(sub, commands.NETWORK["backbone"], commands.NETWORK["features"])
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

    sub = add("evaluate", commands.evaluate, "measure a detector on a data set")
    sub.add_argument("--detector", default=SHAPES, help=DETECTOR_HELP)
    sub.add_argument("--json", type=Path, help="file to write the numbers to")
    sub.add_argument("--batch-size", type=int, default=8, help="images at a time")
    data = add_data(sub)
    data.add_argument("--test-split", help="of the VOC folder; default: test")
    data.add_argument(
        "--scenes",
        type=int,
        nargs=2,
        default=[640, 832],
        metavar=("HEIGHT", "WIDTH"),
        help="size of the drawn scenes in pixels; those of a training without data are 128 128",
    )
    add_running(sub)

    sub = add("detect", commands.detect, "find the objects in images")
    sub.add_argument("images", nargs="*", type=Path, help="images, or folders of images")
    sub.add_argument("--detector", default=SHAPES, help=DETECTOR_HELP)
    sub.add_argument("--out", type=Path, default="detections", help="folder for the results")
    sub.add_argument("--score", type=float, default=0.5, help="least score of a detection")
    sub.add_argument("--batch-size", type=int, default=8, help="images at a time")
    add_running(sub)

    sub = add(
        "anchors", commands.show_anchors, "how well the anchors fit the objects, before training"
    )
    add_data(sub).add_argument("--split", help="of the VOC folder; default: trainval")
    add_anchors(sub)
    add_size(sub)

    sub = add("trace", commands.show_trace, "the shape of every tensor")
    sub.add_argument("--classes", type=int, default=20, help="how many")
    sub.add_argument(
        "--image",
        type=int,
        nargs=2,
        default=[640, 832],
        metavar=("HEIGHT", "WIDTH"),
        help="in pixels",
    )
    sub.add_argument("--batch-size", type=int, default=2, help="images")
    add_network(sub, "resnet50", 256)
    return parser


def add_data(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("data", "drawn scenes, unless a folder is named")
    either = group.add_mutually_exclusive_group()
    either.add_argument("--voc", metavar="FOLDER", help="with JPEGImages, Annotations, ImageSets")
    either.add_argument(
        "--coco", nargs=2, metavar=("IMAGES", "JSON"), help="folder, instances file"
    )
    group.add_argument(
        "--on-problem",
        choices=["raise", "drop"],
        default="raise",
        help="what to do with what is broken in a folder",
    )
    group.add_argument(
        "--verify",
        action="store_true",
        help="decode every image when the folder is opened; otherwise only headers are read",
    )
    return group


def add_network(
    parser: argparse.ArgumentParser, backbone: str, features: int
) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("network")
    group.add_argument(
        "--backbone", choices=commands.BACKBONES, default=backbone, help="and its depth"
    )
    group.add_argument("--features", type=int, default=features, help="channels of the pyramid")
    add_anchors(group)
    return group


def add_anchors(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--anchor-size",
        type=float,
        default=commands.NETWORK["anchor_size"],
        help="base size in strides",
    )
    group.add_argument(
        "--anchor-ratios",
        type=float,
        nargs="+",
        default=commands.NETWORK["anchor_ratios"],
        metavar="RATIO",
        help="heights / widths",
    )


def add_size(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("SHORTER", "LONGER"),
        help="scale images to this shorter side, as far as the longer allows; default: as they are",
    )


def add_running(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("running")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    group.add_argument("--device", type=known_device, default=device, help="cpu or cuda")
    return group


def known_device(name: str) -> torch.device:
    """The device of a name, if this machine has it."""
    try:
        device = torch.device(name)
        # a GPU is counted, not used: each of several processes has its own
        there = device.type != "cuda" or (device.index or 0) < torch.cuda.device_count()
    except RuntimeError:
        there = False
    if not there:
        raise argparse.ArgumentTypeError(f"there is no device {name} here")
    return device
