"""What several commands take: data, a network, a device; and what they make of it."""

import argparse
from argparse import ArgumentParser, Namespace
from pathlib import Path

import torch
from torch.utils.data import Dataset

from ..data.coco import CocoFolder
from ..data.voc import VocFolder, voc_splits
from ..detector import Detector
from ..devices import best_device, known_device
from ..model.anchors import Anchors
from ..model.backbone import RESNETS, BasicBlock
from ..model.retinanet import RetinaNet
from ..zoo.torchvision_retinanet import COCO

BACKBONES = {"resnet10": (BasicBlock, (1, 1, 1, 1)), **RESNETS}
# the network that is trained where none is named
NETWORK = {"backbone": "resnet10", "features": 64, "anchor_size": 4.0}
NETWORK["anchor_ratios"] = [0.5, 1.0, 2.0]
# of a VOC folder, by default: to learn, to choose the best checkpoint by, to measure that on
SPLITS = {"split": "train", "validation_split": "val", "test_split": "test"}
COCO_FILES = {"nargs": 2, "metavar": ("IMAGES", "JSON")}  # what names a COCO folder
HEIGHT_WIDTH = {"type": int, "nargs": 2, "metavar": ("HEIGHT", "WIDTH")}
DETECTOR_HELP = "its file, or coco or coco_v2, torchvision's for photographs"


def add_data(parser: ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("data", "drawn scenes, unless a folder is named")
    either = group.add_mutually_exclusive_group()
    either.add_argument("--voc", metavar="FOLDER", help="with JPEGImages, Annotations, ImageSets")
    either.add_argument("--coco", **COCO_FILES, help="folder, instances file")
    broken = "what to do with what is broken in a folder"
    group.add_argument("--on-problem", choices=["raise", "drop"], default="raise", help=broken)
    verify = "decode every image when the folder is opened; otherwise only headers are read"
    group.add_argument("--verify", action="store_true", help=verify)
    return group


def add_network(parser: ArgumentParser, backbone: str, features: int) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("network")
    group.add_argument("--backbone", choices=BACKBONES, default=backbone, help="and its depth")
    group.add_argument("--features", type=int, default=features, help="channels of the pyramid")
    add_anchors(group)
    return group


def add_anchors(group: argparse._ActionsContainer) -> None:
    size, ratios = NETWORK["anchor_size"], NETWORK["anchor_ratios"]
    group.add_argument("--anchor-size", type=float, default=size, help="base size in strides")
    several = {"type": float, "nargs": "+", "metavar": "RATIO"}
    group.add_argument("--anchor-ratios", **several, default=ratios, help="heights / widths")


def add_size(group: argparse._ActionsContainer) -> None:
    text = "scale images to this shorter side, as far as the longer allows; default: as they are"
    group.add_argument("--size", type=int, nargs=2, metavar=("SHORTER", "LONGER"), help=text)


def add_running(parser: ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("running")
    devices = "cpu, cuda, mps, xpu: what PyTorch has"
    group.add_argument("--device", type=device, default=best_device(), help=devices)
    plain = "the network's plain parts, not the quick ones"
    group.add_argument("--plain", action="store_true", help=plain)
    return group


def device(name: str) -> torch.device:
    try:
        return known_device(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from error


def open_detector(name: str | Path, plain: bool) -> Detector:
    """The detector of a file, or one of torchvision's by name."""
    return Detector.pretrained(name, plain) if name in COCO else Detector.load(name, plain)


def open_folder(
    options: Namespace,
    split: str,
    coco: list[str] | None,
    classes: tuple[str, ...] | None = None,
    optional: bool = False,
) -> Dataset | None:
    """The data set that the options name, if any; `split` is VOC's, which may lack if optional."""
    name = getattr(options, split)
    how = {"classes": classes, "on_problem": options.on_problem, "verify": options.verify}
    if options.voc:
        if optional and not name and SPLITS[split] not in voc_splits(Path(options.voc)):
            return None
        return VocFolder(options.voc, name or SPLITS[split], **how)
    if name:
        raise ValueError(
            f"--{split.replace('_', '-')} {name} is a list in a VOC folder: name the folder with "
            f"--voc. With --coco, each split is a file of its own."
        )
    return CocoFolder(*coco, **how) if coco else None


def make_anchors(options: Namespace) -> Anchors:
    return Anchors(size=options.anchor_size, ratios=options.anchor_ratios)


def make_network(options: Namespace, num_classes: int) -> RetinaNet:
    """The network that the options of `add_network` describe, with random weights."""
    shape, anchors = BACKBONES[options.backbone], make_anchors(options)
    return RetinaNet(num_classes, *shape, feature_size=options.features, anchors=anchors)
