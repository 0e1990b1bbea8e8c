"""The original, the public `pytorch-retinanet`: its parameters and its settings."""

from ..model.boxes import BBoxTransform
from ..model.detection import Detection
from ..model.losses import FocalLoss
from ..model.retinanet import RetinaNet
from .parameters import HEADS, Source, make_detector, read_network, read_state

NAMES = {
    "backbone.": "",
    **{f"fpn.lateral{level}": f"fpn.P{level}_1" for level in (3, 4, 5)},
    **{f"fpn.output{level}": f"fpn.P{level}_2" for level in (3, 4, 5)},
    "fpn.p6": "fpn.P6",
    "fpn.p7": "fpn.P7_2",
    **{f"{head}_model": f"{head}Model" for head in HEADS},
}


def pytorch_retinanet() -> dict:
    """Arguments of `RetinaNet` for the original."""
    return {
        # the original has no limit: e^80 is none for a box that float32 can hold
        "box_transform": BBoxTransform(max_log_scale=80.0),
        "focal_loss": FocalLoss(keep_best=False),
        "detection": Detection(top_k=None, max_detections=None, keep_empty=True),
    }


def from_pytorch_retinanet(source: Source, num_classes: int | None = None, **changes) -> RetinaNet:
    """The detector of the original's parameters, with its results wherever it is right.

    Its faults are not repeated: images of a batch are not mixed, images of any size work, a box is
    cut off on every side, detections come best first, and no probability is held between 0.0001
    and 0.9999 in the loss, which cuts off gradients.

    Args:
        source: a state dict of the original, of any depth, or a file of one.
        num_classes, changes: as in `from_torchvision`; so is the state of the model.

    Raises:
        ValueError: as `from_torchvision`; also for a whole pickled model, as the original saves it:
            loading that could run anything.
    """
    state = read_state(source)
    network = read_network(state, NAMES, "pytorch-retinanet", num_classes)
    return make_detector(state, NAMES, network | pytorch_retinanet(), changes)
