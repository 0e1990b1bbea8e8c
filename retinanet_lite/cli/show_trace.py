"""`retinanet-lite trace`."""

import argparse

from ..learn.trace import trace
from ..model.retinanet import RetinaNet
from .options import BACKBONES, add_network, make_anchors


def add_options(sub: argparse.ArgumentParser) -> None:
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


def run(options: argparse.Namespace) -> None:
    """Print the shape of every tensor and the parameters of every stage."""
    block, layers = BACKBONES[options.backbone]
    model = RetinaNet(
        options.classes, block, layers, feature_size=options.features, anchors=make_anchors(options)
    )
    print(trace(model, *options.image, options.batch_size))
