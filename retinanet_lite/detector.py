"""A detector to use: network, class names and image size together, and a door to known ones."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.utils import draw_bounding_boxes

from .data.batches import to_batch
from .data.scaling import NOTHING, Item, of_one_size, to_original
from .data.transforms import resize
from .fast import quicken, unquicken
from .model.retinanet import Prediction, RetinaNet
from .zoo import SHAPES, keep_classes
from .zoo.detector_file import architecture, build
from .zoo.safe_files import read_file, write_atomically
from .zoo.torchvision_retinanet import COCO_SIZE, coco_categories, load_coco


@dataclass
class Detector:
    """Images as files give them in, detections in the images' own pixels out.

    Args:
        model: the network. Its parts are exchanged for quick ones, see `quicken`.
        classes: name of each class id.
        size: images are scaled to this (shorter side, longest side) in pixels before they are
            looked at, see `transforms.resize`; None leaves them as they are.
        plain: the network's parts are the plain ones of the notebooks.
    """

    model: RetinaNet
    classes: tuple[str, ...]
    size: tuple[int, int] | None = None
    plain: bool = False

    def __post_init__(self) -> None:
        self.classes = tuple(self.classes)
        self.size = tuple(self.size) if self.size else None
        if len(self.classes) != self.model.num_classes:
            raise ValueError(
                f"the model has {self.model.num_classes} classes, but {len(self.classes)} names "
                f"are given: {', '.join(self.classes)}"
            )
        self.scaling = resize(self.size) if self.size else None
        self.model = unquicken(self.model) if self.plain else quicken(self.model)

    @classmethod
    def pretrained(cls, name: str = "coco", plain: bool = False) -> "Detector":
        """A trained detector, in eval mode, on the CPU.

        Args:
            name: "shapes", a small one that comes along and knows twenty drawn shapes; or "coco" or
                "coco_v2", torchvision's for photographs, of COCO's 80 categories: downloaded once.

        Raises:
            ValueError: if there is none of this name.
            ConnectionError: if it can't be downloaded; it says which file to put where.
        """
        if name == "shapes":
            return cls.load(SHAPES, plain)
        names = coco_categories(name)
        labels = [i for i, its in enumerate(names) if its not in ("__background__", "N/A")]
        model = keep_classes(load_coco(name), labels)
        return cls(model, [names[label] for label in labels], COCO_SIZE, plain)

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
        items = ((image, NOTHING) for image in images)
        for originals, scaled in of_one_size(items, self.scaling, batch_size):
            batch, _ = to_batch(scaled)
            yield from self.detections(self.predict(batch), originals, batch.shape[-2:])

    @torch.no_grad()
    def predict(self, batch: Tensor) -> Prediction:
        """What the model says of a batch, filled up for it, with batch norm in its eval mode."""
        batch = self.model.fill_up(batch).to(self.device, memory_format=torch.channels_last)
        # of each module: somebody may have frozen one by hand, and `train()` would undo that
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            return self.model.predict(batch)
        finally:
            for module, mode in modes:
                module.training = mode

    def detections(
        self, prediction: Prediction, originals: Sequence[Item], size: Sequence[int]
    ) -> list[dict[str, Tensor]]:
        """What `predict` found in a batch of this size, in the pixels of the original images."""
        anchors = self.model.anchors
        level_counts = anchors.level_counts(*anchors.filled_up(*size))
        found = self.model.detection(*prediction, level_counts, size)
        return [to_original(f, size, item[0]) for f, item in zip(found, originals, strict=True)]

    def draw(self, image: Tensor, found: dict[str, Tensor], score: float = 0.5) -> Tensor:
        """The image [3, H, W], uint8, with what was found in it from this score on."""
        kept = found["scores"] >= score
        if not kept.any():
            return image
        captions = [
            f"{self.classes[label]} {score:.2f}"
            for label, score in zip(found["labels"][kept], found["scores"][kept], strict=True)
        ]
        return draw_bounding_boxes(image, found["boxes"][kept], captions, "red", width=2)

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
        size = self.size and list(self.size)
        return {"classes": list(self.classes), "size": size, **architecture(self.model)}

    @classmethod
    def load(cls, path: str | os.PathLike, plain: bool = False) -> "Detector":
        """The detector of a file that `save` wrote, in eval mode, on the CPU, in float32.

        Raises:
            ValueError: if the file is missing, damaged or not a detector's.
        """
        content = read_file(path)
        try:
            about = content.get("about")
            model = build(about)
            model.load_state_dict(content["weights"])
            return cls(model.eval(), about["classes"], about["size"], plain)
        except (AttributeError, KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"{path} holds no detector. Name what Detector.save wrote, such as best.pt."
            ) from error


coco_detector = Detector.pretrained
