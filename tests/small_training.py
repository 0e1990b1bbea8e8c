"""A training that takes a second, for tests in this process and in others."""

import copy
import os
from functools import cache
from pathlib import Path

import torch
from torch.utils.data import Dataset

from retinanet_lite import BasicBlock, Detector, Recipe, RetinaNet, fit
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.drawing import random_scene
from retinanet_lite.data.images import UnreadableImage
from retinanet_lite.data.scenes import ShapesDataset
from retinanet_lite.data.transforms import augment
from retinanet_lite.devices import gather, processes, rank, share_gradients, world_size
from retinanet_lite.evaluation.measure import evaluate

CLASSES = ("disc", "square", "star")
RECIPE = Recipe(steps=8, batch_size=2, evaluate_every=4, save_every=2, seed=3)


def new_detector(freeze_bn: bool = False) -> Detector:
    """Always the same one."""
    return copy.deepcopy(first_detector(freeze_bn))


@cache
def first_detector(freeze_bn: bool) -> Detector:
    torch.manual_seed(0)
    model = RetinaNet(3, BasicBlock, [1, 1, 1, 1], feature_size=16, freeze_bn=freeze_bn)
    # not next to nothing as in a new network: something is detected, so that there is an AP
    torch.nn.init.constant_(model.classification_model.output.bias, -2.0)
    return Detector(model, CLASSES)


def scenes(length: int, first_seed: int = 0) -> ShapesDataset:
    """Images of 48×64 pixels with 0 to 2 objects."""
    return ShapesDataset(length, 48, 64, first_seed, CLASSES, num_objects=(0, 2), smallest=12)


class Broken(Dataset):
    """A data set, some of whose rows raise an error."""

    def __init__(self, items, rows: set[int], error: type[Exception] = UnreadableImage) -> None:
        self.items, self.rows, self.error = items, rows, error

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int):
        if row in self.rows:
            raise self.error(f"row {row} is broken.")
        return self.items[row]


def train(
    folder: Path | None, workers: int = 0, recipe: Recipe = RECIPE
) -> tuple[Detector, list[dict]]:
    """With augmentation and validation."""
    torch.set_num_threads(1)
    detector = new_detector()
    validation = scenes(3, first_seed=50)
    log = fit(
        detector, scenes(5), validation, recipe, augment(), folder, workers, progress=False
    )  # fmt: skip
    return detector, log


def one_of_two(number: int, port: int, folder: Path) -> None:
    """What a process of two does; its findings are in the file of its number."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with processes("cpu") as device:
        detector = new_detector(freeze_bn=True)
        shared = share_gradients(detector.model)
        images, annotations = shared_batch()
        sum(shared(images[number::2], annotations[number::2]).values()).backward()
        findings = {
            "device": device,
            "rank": rank(),
            "world": world_size(),
            "gradients": [p.grad for p in detector.model.parameters() if p.requires_grad],
            "gathered": gather([number * 10 + i for i in range(3 - number)]),
            "measured": evaluate(new_detector(), scenes(5), batch_size=2),
            "left out": evaluate(new_detector(), Broken(scenes(5), {2}), batch_size=2),
        }
        frozen = new_detector(freeze_bn=True)
        findings["log"] = fit(
            frozen, scenes(5), scenes(3, 50), RECIPE, augment(), folder / "run", progress=False
        )
        findings["frozen"] = frozen.model.state_dict()
        findings["learning"] = train(None)[0].model.state_dict()
        torch.save(findings, folder / f"{number}.pt")


def shared_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Six images with 2, 0, 1, 0, 2 and 0 objects: the second process has none."""
    return to_batch(
        [
            random_scene(i, 48, 64, (n, n), 12, classes=CLASSES)
            for i, n in enumerate([2, 0, 1, 0, 2, 0])
        ]
    )
