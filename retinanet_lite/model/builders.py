"""RetinaNets by name, over each depth of ResNet; with weights from elsewhere where asked for."""

from ..detector import Detector
from ..zoo.new_classes import keep_classes
from ..zoo.weights import coco_categories, load_coco, load_imagenet
from .backbone import RESNETS
from .retinanet import RetinaNet

COCO_SIZE = (800, 1333)  # torchvision's, see `transforms.resize`
NO_CLASS = ("__background__", "N/A")  # labels of torchvision's that mean nothing


def retinanet_resnet18(
    num_classes: int, weights_backbone: str | None = None, **arguments
) -> RetinaNet:
    """RetinaNet over ResNet-18; arguments as in `retinanet_resnet50`."""
    return over("resnet18", num_classes, weights_backbone, arguments)


def retinanet_resnet34(
    num_classes: int, weights_backbone: str | None = None, **arguments
) -> RetinaNet:
    """RetinaNet over ResNet-34; arguments as in `retinanet_resnet50`."""
    return over("resnet34", num_classes, weights_backbone, arguments)


def retinanet_resnet50(
    num_classes: int | None = None,
    weights: str | None = None,
    weights_backbone: str | None = None,
    **arguments,
) -> RetinaNet:
    """RetinaNet over ResNet-50, the walkthrough's.

    Args:
        num_classes: K. With `weights` it is 91, torchvision's labels, or 80, the categories among
            them; None is 91.
        weights: "coco" or "coco_v2": torchvision's detectors for COCO, downloaded once. The model
            then has torchvision's settings as well.
        weights_backbone: of torchvision's for the backbone alone, downloaded once:
            "IMAGENET1K_V1", or, from ResNet-50 on, "IMAGENET1K_V2".
        arguments: of `RetinaNet`.

    Raises:
        ValueError: if there are no such weights, or they have other classes.
        ConnectionError: if they can't be downloaded; it says which file to put where.
    """
    if weights is None:
        return over("resnet50", num_classes, weights_backbone, arguments)
    labels = real_labels(weights)
    if weights_backbone is not None:
        raise ValueError(f"weights={weights!r} has a backbone already; drop weights_backbone")
    if num_classes not in (None, 80, 91):
        raise ValueError(
            f"weights={weights!r} knows the 91 labels of COCO, or 80 without those that mean "
            f"nothing; not {num_classes}. For classes of your own: replace_classes("
            f"retinanet_resnet50(weights={weights!r}), {num_classes})."
        )
    model = load_coco(weights, **arguments)
    return keep_classes(model, labels) if num_classes == 80 else model


def retinanet_resnet101(
    num_classes: int, weights_backbone: str | None = None, **arguments
) -> RetinaNet:
    """RetinaNet over ResNet-101; arguments as in `retinanet_resnet50`."""
    return over("resnet101", num_classes, weights_backbone, arguments)


def retinanet_resnet152(
    num_classes: int, weights_backbone: str | None = None, **arguments
) -> RetinaNet:
    """RetinaNet over ResNet-152; arguments as in `retinanet_resnet50`."""
    return over("resnet152", num_classes, weights_backbone, arguments)


def over(
    name: str, num_classes: int | None, weights_backbone: str | None, arguments: dict
) -> RetinaNet:
    if num_classes is None:
        raise ValueError("num_classes, how many classes the model is to learn, must be given")
    model = RetinaNet(num_classes, *RESNETS[name], **arguments)
    if weights_backbone is not None:
        load_imagenet(model.backbone, weights_backbone)
    return model


def coco_detector(weights: str = "coco") -> Detector:
    """torchvision's detector for photographs: COCO's 80 categories, by name.

    Args:
        weights: "coco" or "coco_v2", downloaded once.

    Raises:
        ConnectionError: if they can't be downloaded; it says which file to put where.
    """
    categories = coco_categories(weights)
    classes = [categories[label] for label in real_labels(weights)]
    return Detector(retinanet_resnet50(80, weights), classes, COCO_SIZE)


def real_labels(weights: str) -> list[int]:
    """Which of torchvision's labels are categories."""
    return [i for i, name in enumerate(coco_categories(weights)) if name not in NO_CLASS]
