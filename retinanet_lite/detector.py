"""A detector to use: network, class names and image size together; saved and loaded as one file."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .data.batches import to_batch
from .data.transforms import as_tv_tensors, resize
from .model.boxes import ClipBoxes
from .model.inputs import SMALLEST_SIDE
from .model.retinanet import RetinaNet
from .zoo.architecture import architecture, build

Item = tuple[Tensor, dict]  # an image [3, H, W] and its {"boxes": [M, 4], "labels": [M]}
NOTHING = {"boxes": torch.empty(0, 4), "labels": torch.empty(0, dtype=torch.int64)}


@dataclass
class Detector:
    """Images as files give them in, detections in the images' own pixels out.

    Args:
        model: the network.
        classes: name of each class id.
        size: images are scaled to this (shorter side, longest side) in pixels before they are
            looked at, see `transforms.resize`; None leaves them as they are.
    """

    model: RetinaNet
    classes: tuple[str, ...]
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.classes = tuple(self.classes)
        self.size = tuple(self.size) if self.size else None
        if len(self.classes) != self.model.num_classes:
            raise ValueError(
                f"the model has {self.model.num_classes} classes, but {len(self.classes)} names "
                f"are given: {', '.join(self.classes)}"
            )
        self.scaling = resize(self.size) if self.size else None

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def __call__(self, images: Iterable[Tensor], batch_size: int = 8) -> list[dict[str, Tensor]]:
        """The detections of each image.

        Args:
            images: each [3, H, W], uint8 or floating point from 0 to 1, of any sizes.
            batch_size: how many images of one size the network sees at a time.

        Returns:
            for each image {"boxes": [n, 4] in its own pixels, "scores": [n], "labels": [n]}, best
            first, on the CPU
        """
        return list(self.stream(images, batch_size))

    def stream(self, images: Iterable[Tensor], batch_size: int = 8) -> Iterator[dict[str, Tensor]]:
        """As calling the detector, but one image's detections at a time, for any number of them."""
        for originals, scaled in self.batches(((image, NOTHING) for image in images), batch_size):
            batch, _ = to_batch(scaled, self.model.anchors.multiple)
            yield from self.detections(self.predict(batch), batch, originals, scaled)

    @torch.no_grad()
    def predict(self, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The model's logits, deltas and anchors for a batch, batch norm in its eval mode."""
        # of each module: somebody may have frozen one by hand, and `train()` would undo that
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            return self.model.predict(batch.to(self.device, memory_format=torch.channels_last))
        finally:
            for module, mode in modes:
                module.training = mode

    def detections(
        self,
        predictions: tuple[Tensor, Tensor, Tensor],
        batch: Tensor,
        originals: list[Item],
        scaled: list[Item],
    ) -> list[dict[str, Tensor]]:
        """What `predict` found in a batch, in the pixels of the images that it was scaled from."""
        counts = self.model.anchors.level_counts(*batch.shape[-2:])
        height, width = scaled[0][0].shape[-2:]
        images = batch[..., :height, :width]  # without what they were filled up with
        return [
            to_original(found, images, image)
            for found, (image, _) in zip(
                self.model.detection(*predictions, counts, images), originals, strict=True
            )
        ]

    def batches(
        self, items: Iterable[Item], batch_size: int
    ) -> Iterator[tuple[list[Item], list[Item]]]:
        """Neighbours of one size together, as they came and scaled.

        None is filled up for another, so that an image's detections do not depend on its batch.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more; got {batch_size}")
        batch, scaled = [], []
        for image, target in items:
            small = self.scaled(image, target)
            if batch and (
                len(batch) == batch_size or small[0].shape[-2:] != scaled[0][0].shape[-2:]
            ):
                yield batch, scaled
                batch, scaled = [], []
            batch.append((image, target))
            scaled.append(small)
        if batch:
            yield batch, scaled

    def scaled(self, image: Tensor, target: dict = NOTHING) -> Item:
        """An image and its objects as the network sees them, but for the normalisation.

        Raises:
            ValueError: for what is no image [3, H, W], or too small a one.
        """
        small = as_tv_tensors(image, target)
        if self.scaling:
            small = self.scaling(*small)
        height, width = small[0].shape[-2:]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"an image of {image.shape[-2]}×{image.shape[-1]} pixels comes to the network as "
                f"{height}×{width}, and it needs {SMALLEST_SIDE}×{SMALLEST_SIDE} or more. Enlarge "
                f"it, or choose another size."
            )
        return small

    def save(self, path: str | os.PathLike, half: bool = False, **more) -> None:
        """Write the detector to a file that `Detector.load` reads.

        Args:
            half: store the convolutions' weights as float16, in half the space.
            more: plain values to keep in the file beside it, for example how it was trained.
        """
        weights = {
            name: value.half() if half and value.dim() > 1 else value
            for name, value in self.model.state_dict().items()
        }
        write_atomically(path, {"weights": weights, "about": self.about(), **more})

    def about(self) -> dict:
        """What `load` needs besides the weights, as plain numbers and names."""
        size = list(self.size) if self.size else None
        return {"classes": list(self.classes), "size": size, **architecture(self.model)}

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Detector":
        """The detector of a file that `save` wrote, in eval mode, on the CPU, in float32.

        Raises:
            ValueError: if the file is missing, damaged or not a detector's.
        """
        content = read(path)
        try:
            about = content["about"]
            model = build(about)
            model.load_state_dict(content["weights"])
            return cls(model.eval(), about["classes"], about["size"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"{path} holds no detector. Name a file that Detector.save or training wrote, "
                f"such as best.pt."
            ) from error


def to_original(found: dict[str, Tensor], batch: Tensor, image: Tensor) -> dict[str, Tensor]:
    """Detections in a batch's pixels → in those of the image [3, H, W], on the CPU."""
    found = {name: value.cpu() for name, value in found.items()}
    (height, width), (h, w) = image.shape[-2:], batch.shape[-2:]
    boxes = found["boxes"] * torch.tensor([width / w, height / h, width / w, height / h])
    found["boxes"] = ClipBoxes()(boxes, image)  # rounding may carry one past the border
    return found


def write_atomically(path: str | os.PathLike, content: dict) -> None:
    """Save so that at any moment the file is the old one or the new one, whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with open(part, "wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def read(path: str | os.PathLike) -> dict:
    """The content of a file that `write_atomically` wrote. Nothing in it is run.

    Raises:
        ValueError: if the file is missing, damaged or of another kind.
    """
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # other files fail in a dozen ways, each with a page of advice
        raise ValueError(
            f"{path} can't be read: it is damaged, or no file that Detector.save or training wrote"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__} and no detector")
    return content
