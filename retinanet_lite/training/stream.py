"""The order in which training sees its images, and how each is changed on the way."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from ..data.images import readable
from ..data.transforms import as_tv_tensors


@dataclass(eq=False)
class Stream(Dataset):
    """A data set without an end, shuffled anew for every pass, augmented, then scaled.

    A position 0, 1, 2, … and the seed alone decide which image stands there and how it is
    augmented; so a run that was interrupted goes on with the very batches that it would have seen,
    however many processes load them. An image that turns out to be unreadable is named in a
    warning, and the next row that can be read takes its place.

    Args:
        dataset: items (image, target), see `to_batch`.
        augmentation, scaling: transforms of `transforms.v2`, or None. What they draw at random
            must come from torch, as it does in all of `transforms.v2`.

    Raises:
        ValueError: if the data set is empty, or none of its images can be read.
    """

    dataset: Dataset
    augmentation: v2.Transform | None = None
    scaling: v2.Transform | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.dataset) == 0:
            raise ValueError("there is no image to learn from: the data set is empty")

    def index(self, position: int) -> int:
        """The row of the data set that stands at a position of the stream."""
        passes, place = divmod(position, len(self.dataset))
        return shuffled(len(self.dataset), mixed(self.seed, passes))[place]

    def name(self, position: int) -> str:
        """What to call the image at a position in a message."""
        index = self.index(position)
        names = getattr(self.dataset, "names", None)
        return f"image {index}" if names is None else names[index]

    def __getitem__(self, position: int) -> tuple[Tensor, dict]:
        with torch.random.fork_rng(devices=[]):
            # not torch.manual_seed, which sets the GPU's generator as well
            torch.default_generator.manual_seed(mixed(self.seed, position))
            start, length = self.index(position), len(self.dataset)
            rows = ((start + i) % length for i in range(length))
            item = next(readable(self.dataset, rows), None)
            if item is None:
                raise ValueError("no image to learn from can be read: is their folder there?")
            item = as_tv_tensors(*item)
            for transform in filter(None, (self.augmentation, self.scaling)):
                item = transform(*item)
        return item


def mixed(seed: int, number: int) -> int:
    """A seed of PyTorch's 32 bits for each number 0, 1, 2, …, far from those of the next `seed`."""
    return (seed * 0x9E3779B1 + number) % 2**32


@lru_cache(maxsize=2)
def shuffled(length: int, seed: int) -> list[int]:
    """The numbers from 0 to length − 1 in an order that the seed decides."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(seed)).tolist()
