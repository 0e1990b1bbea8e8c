"""`retinanet-lite trace`."""

import argparse

from ..learn.trace import trace
from .options import HEIGHT_WIDTH, add_network, make_network


def add_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--classes", type=int, default=20, help="how many")
    sub.add_argument("--image", **HEIGHT_WIDTH, default=[640, 832], help="in pixels")
    sub.add_argument("--batch-size", type=int, default=2, help="images")
    add_network(sub, "resnet50", 256)


def run(options: argparse.Namespace) -> None:
    """Print the shape of every tensor and the parameters of every stage."""
    model = make_network(options, options.classes)
    print(trace(model, *options.image, options.batch_size))
