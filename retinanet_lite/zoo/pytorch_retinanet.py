"""The original, the public `pytorch-retinanet`: its parameters and its settings."""

from ..model.boxes import BBoxTransform
from ..model.detection import Detection
from ..model.losses import FocalLoss
from ..model.retinanet import RetinaNet
from .parameters import HEADS, Source, make_detector, read_network, read_state

KIND = "pytorch-retinanet"
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
    cut off on every side, detections come best first. In its loss, probabilities are held between
    0.0001 and 0.9999, which cuts off gradients; ours are not.

    Args:
        source: a state dict of the public `pytorch-retinanet`, or a file of one; of any depth.
        num_classes: how many classes the source must have; None for any number.
        changes: arguments of `RetinaNet` in place of the original's, such as `anchors`.

    Returns:
        the model, in eval mode, on the CPU

    Raises:
        ValueError: the file can't be read, or its names, shapes or classes do not fit. A whole
            pickled model, as the original saves it, is not loaded: it could run anything.
    """
    state = read_state(source)
    network = read_network(state, NAMES, KIND, num_classes)
    return make_detector(state, NAMES, KIND, network | pytorch_retinanet(), changes)
