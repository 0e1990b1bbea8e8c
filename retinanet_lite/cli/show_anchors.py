"""`retinanet-lite anchors`."""

import argparse

from ..data.scenes import test_scenes
from ..data.transforms import resize
from ..evaluation.anchor_coverage import anchor_coverage
from .options import add_anchors, add_data, add_size, make_anchors, open_folder


def add_options(sub: argparse.ArgumentParser) -> None:
    add_data(sub).add_argument("--split", help="of the VOC folder; default: train")
    add_anchors(sub)
    add_size(sub)


def run(options: argparse.Namespace) -> None:
    """Report how well the anchors fit the objects of a data set, before any training."""
    dataset = open_folder(options, "split", options.coco) or test_scenes()
    scaling = resize(options.size) if options.size else None
    print(anchor_coverage(make_anchors(options), dataset, scaling))
