"""A detector on a data set: its losses and COCO's twelve numbers, from one look at each image."""

import torch
from torch.utils.data import Dataset

from ..data.batches import to_batch
from ..data.images import readable
from ..data.scaling import of_one_size
from ..detector import Detector
from ..devices import gather, rank, world_size
from ..progress import progress_bar
from .average_precision import coco_metrics


def evaluate(
    detector: Detector, dataset: Dataset, batch_size: int = 8, progress: bool = True
) -> dict[str, float]:
    """How good a detector is on a data set.

    Args:
        detector: it is used as for detection, whatever mode it is in.
        dataset: of (image, target), see `to_batch`. Several processes share its images. One that
            turns out to be unreadable is left out, with a warning.
        batch_size: images of one size that the network sees at a time.

    Returns:
        {"validation_classification", "validation_regression"}, the mean losses of an image, and
        COCO's twelve numbers, see `coco_report`; the same in every process

    Raises:
        ValueError: if no image is there or can be read, or the objects are unsound.
    """
    detections, targets, losses = look(detector, dataset, batch_size, progress)
    losses = torch.tensor(losses).mean(dim=0).tolist()
    return {
        "validation_classification": losses[0],
        "validation_regression": losses[1],
        **coco_metrics(detections, targets, detector.classes),
    }


@torch.no_grad()
def look(
    detector: Detector, dataset: Dataset, batch_size: int = 8, progress: bool = True
) -> tuple[list[dict], list[dict], list[tuple[float, float]]]:
    """Detections, targets and losses of every image that can be read, all in one order.

    It is the data set's, unless one of several processes leaves an image out.
    """
    rows = range(rank(), len(dataset), world_size())
    mine = readable(dataset, progress_bar(rows, len(rows), "measuring", progress))
    detections, targets, losses = [], [], []
    for originals, scaled in of_one_size(mine, detector.scaling, batch_size):
        images, annotations = to_batch(scaled)
        prediction = detector.predict(images)
        detections += detector.detections(prediction, originals, images.shape[-2:])
        targets += [target for _, target in originals]
        batch_losses = detector.model.focal_loss(*prediction, annotations)
        losses += [tuple(loss.item() for loss in batch_losses.values())] * len(originals)
    losses = gather(losses)
    if not losses:
        raise ValueError("there is no image to measure on: none is there, or none can be read")
    return gather(detections), gather(targets), losses
