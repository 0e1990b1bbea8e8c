"""What several tests share: seeds, a small detector, the walkthrough's scene."""

import copy
import multiprocessing
from multiprocessing.context import BaseContext

import pytest
import torch
from hypothesis import settings

from retinanet_lite import BasicBlock, RetinaNet
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.drawing import Scene, random_scene, walkthrough_scene

# what takes long, and is left out by `pytest -m "not slow"`: whole detectors beside others', new
# processes and environments, the pages and their controls
SLOW = {
    "test_answers",
    "test_benchmarks",
    "test_builders",
    "test_distributed",
    "test_docs",
    "test_explorers",
    "test_export",
    "test_first_cell",
    "test_original",
    "test_plain_step",
    "test_torchvision",
    "test_training",
}

# one thread does for models this small, and waits for no other where other work runs beside
torch.set_num_threads(1)

# the same examples on every run; a first call may be slow, so no deadline
settings.register_profile("suite", max_examples=25, deadline=None, derandomize=True)
settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def tiny_retinanet(num_classes: int = 3, **arguments) -> RetinaNet:
    """One block a stage and 16 channels from the pyramid on: built and run in a moment."""
    arguments = {"feature_size": 16, "freeze_bn": True, **arguments}
    return RetinaNet(num_classes, BasicBlock, [1, 1, 1, 1], **arguments)


@pytest.fixture(scope="session")
def make_tiny():
    return tiny_retinanet


@pytest.fixture(scope="session")
def new_tiny() -> RetinaNet:
    torch.manual_seed(1)
    return tiny_retinanet()


@pytest.fixture
def tiny(new_tiny) -> RetinaNet:
    """A small detector of three classes, as initialised; a test may change it."""
    return copy.deepcopy(new_tiny)  # quicker than to draw five million random numbers each time


@pytest.fixture
def detector(tiny) -> RetinaNet:
    """A small detector of three classes that detects: its outputs differ from anchor to anchor."""
    model = tiny.eval()
    torch.nn.init.normal_(model.classification_model.output.weight, std=0.02)
    torch.nn.init.constant_(model.classification_model.output.bias, -2.0)
    torch.nn.init.normal_(model.regression_model.output.weight, std=0.01)
    return model


@pytest.fixture(scope="session")
def forkserver() -> BaseContext:
    """For processes that begin with nothing but the package, which is imported once for all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["retinanet_lite"])
    return context


@pytest.fixture(scope="session")
def scene() -> Scene:
    """The scene of the notebooks, 640×832."""
    return walkthrough_scene()


@pytest.fixture(scope="session")
def scene_batch(scene) -> tuple[torch.Tensor, torch.Tensor]:
    """Two scenes of 640×832 as images [2, 3, 640, 832] and annotations [2, M, 5]."""
    return to_batch([scene, random_scene(1)])


@pytest.fixture(scope="session")
def small_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Two scenes of 97×130 as images [2, 3, 97, 130] and annotations [2, M, 5], of three classes.

    Neither side divides by 32.
    """
    classes = ("disc", "square", "star")
    return to_batch(
        [random_scene(i, 97, 130, num_objects=(2, 4), classes=classes) for i in range(2)]
    )
