"""Train this RetinaNet and torchvision's on a VOC folder from random weights, in the same time.

Both have the same backbone, channels and anchor sizes, and see images in the same order with the
same augmentation; optimizer, learning rate and clipping are the same. Each gets as many steps as
it can do in the given minutes, so the quicker one sees more images. pycocotools measures both on
the same split.

python benchmarks/against_torchvision.py FOLDER --backbone resnet10 --features 64 --anchor-size 2.5
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.models import resnet
from torchvision.models.detection import RetinaNet as TorchvisionRetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops.feature_pyramid_network import LastLevelP6P7
from torchvision.transforms.v2.functional import to_dtype

from retinanet_lite import Detector, Recipe, RetinaNet, fit
from retinanet_lite.cli.options import BACKBONES
from retinanet_lite.data.transforms import augment, resize
from retinanet_lite.data.voc import VocFolder
from retinanet_lite.evaluation.average_precision import coco_metrics
from retinanet_lite.evaluation.measure import look
from retinanet_lite.model.anchors import Anchors
from retinanet_lite.training.stream import Stream

TRIAL = 8  # steps by which the time of a step is measured, after as many that are not counted


class Theirs:
    """torchvision's RetinaNet as its `retinanet_resnet50_fpn` builds it, over any ResNet."""

    def __init__(self, options: argparse.Namespace, classes: tuple[str, ...]) -> None:
        block, layers = BACKBONES[options.backbone]
        body = resnet.ResNet(getattr(resnet, block.__name__), layers)
        backbone = BackboneWithFPN(
            body,
            {"layer2": "0", "layer3": "1", "layer4": "2"},
            [planes * block.expansion for planes in (128, 256, 512)],
            options.features,
            LastLevelP6P7(options.features, options.features),
        )
        bases = [options.anchor_size * 2**level for level in range(3, 8)]
        sizes = tuple(tuple(base * 2 ** (i / 3) for i in range(3)) for base in bases)
        shorter, longer = options.size
        self.model = TorchvisionRetinaNet(
            backbone,
            len(classes),
            min_size=shorter,
            max_size=longer,
            anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes)),
        ).to(options.device, memory_format=torch.channels_last)
        self.device = options.device

    def train(self, data: VocFolder, recipe: Recipe, size: tuple[int, int], workers: int) -> None:
        stream = Stream(data, augment(vertical_flip=0.5), resize(size), recipe.seed)
        positions = range(recipe.steps * recipe.batch_size)
        loader = DataLoader(
            stream, recipe.batch_size, sampler=positions, num_workers=workers, collate_fn=list
        )
        optimizer = recipe.make_optimizer(self.model)
        self.model.train()
        for step, items in enumerate(loader):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate_at(step)
            images = [to_dtype(image, torch.float32, scale=True) for image, _ in items]
            targets = [
                {name: value.to(self.device) for name, value in target.items()}
                for _, target in items
            ]
            losses = self.model([image.to(self.device) for image in images], targets)
            optimizer.zero_grad()
            sum(losses.values()).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
            optimizer.step()

    @torch.no_grad()
    def detect(self, data: VocFolder) -> tuple[list[dict], list[dict]]:
        self.model.eval()
        detections, targets = [], []
        for i in range(len(data)):
            image, target = data[i]
            found = self.model([to_dtype(image, torch.float32, scale=True).to(self.device)])[0]
            detections.append({name: value.cpu() for name, value in found.items()})
            targets.append(target)
        return detections, targets


class Ours:
    """This package's RetinaNet."""

    def __init__(self, options: argparse.Namespace, classes: tuple[str, ...]) -> None:
        model = RetinaNet(
            len(classes),
            *BACKBONES[options.backbone],
            feature_size=options.features,
            freeze_bn=False,
            anchors=Anchors(size=options.anchor_size),
        )
        self.detector = Detector(model.to(options.device), classes, options.size)

    def train(self, data: VocFolder, recipe: Recipe, size: tuple[int, int], workers: int) -> None:
        change = augment(vertical_flip=0.5)
        fit(
            self.detector,
            data,
            recipe=recipe,
            augmentation=change,
            workers=workers,
            progress=False,
        )

    def detect(self, data: VocFolder) -> tuple[list[dict], list[dict]]:
        return look(self.detector, data)[:2]


def seconds(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("voc", help="a VOC folder with the splits trainval and test")
    parser.add_argument("--minutes", type=float, default=30.0, help="of training, for each")
    parser.add_argument("--size", type=int, nargs=2, default=[240, 320])
    parser.add_argument("--backbone", choices=BACKBONES, default="resnet50")
    parser.add_argument("--features", type=int, default=256, help="channels of the pyramid")
    parser.add_argument("--anchor-size", type=float, default=4.0, help="base size in strides")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--only", choices=["ours", "theirs"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()

    training = VocFolder(options.voc, "trainval", on_problem="drop")
    test = VocFolder(options.voc, "test", classes=training.classes)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.device}")
    print(f"{'':8}{'steps':>8}{'seconds':>9}{'AP50':>8}{'AP':>8}")
    for kind in (Ours, Theirs):
        if options.only not in (None, kind.__name__.lower()):
            continue

        def train(steps: int, kind: type = kind) -> tuple[float, Ours | Theirs]:
            torch.manual_seed(options.seed)
            trained = kind(options, training.classes)
            recipe = Recipe(
                steps=steps,
                batch_size=options.batch_size,
                learning_rate=options.learning_rate,
                seed=options.seed,
            )
            took = seconds(lambda: trained.train(training, recipe, options.size, options.workers))
            return took, trained

        once, twice = train(TRIAL)[0], train(2 * TRIAL)[0]
        steps = max(1, int(60 * options.minutes / ((twice - once) / TRIAL)))
        took, trained = train(steps)
        measured = coco_metrics(*trained.detect(test), training.classes)
        print(
            f"{kind.__name__.lower():8}{steps:8}{took:9.0f}{measured['AP50']:8.3f}"
            f"{measured['AP']:8.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
