"""RetinaNets by name, over each depth of ResNet."""

from collections.abc import Callable

from .anchors import Anchors
from .backbone import RESNETS
from .boxes import BBoxTransform
from .detection import Detection
from .imagenet import load_imagenet
from .losses import FocalLoss
from .retinanet import RetinaNet


def builder(resnet: str) -> Callable[..., RetinaNet]:
    """The function that builds a RetinaNet over the ResNet of this name."""

    def build(
        num_classes: int,
        weights_backbone: str | None = None,
        *,
        freeze_bn: bool | None = None,
        feature_size: int = 256,
        prior: float = 0.01,
        p6_from: str = "C5",
        norm_groups: int | None = None,
        bn_eps: float = 1e-5,
        anchors: Anchors | None = None,
        box_transform: BBoxTransform | None = None,
        focal_loss: FocalLoss | None = None,
        detection: Detection | None = None,
    ) -> RetinaNet:
        block, layers = RESNETS[resnet]
        model = RetinaNet(
            num_classes,
            block,
            layers,
            feature_size=feature_size,
            prior=prior,
            freeze_bn=freeze_bn,
            p6_from=p6_from,
            norm_groups=norm_groups,
            bn_eps=bn_eps,
            anchors=anchors,
            box_transform=box_transform,
            focal_loss=focal_loss,
            detection=detection,
        )
        if weights_backbone is not None:
            load_imagenet(model.backbone, weights_backbone)
            model.freeze_bn(freeze_bn is not False)
        return model

    build.__name__ = build.__qualname__ = f"retinanet_{resnet}"
    build.__doc__ = f"""RetinaNet over {resnet.replace("resnet", "ResNet-")}.

    Args:
        num_classes: K; class ids are 0 … K−1, and the background has none.
        weights_backbone: torchvision's for ImageNet, downloaded once: "IMAGENET1K_V1", or, from
            ResNet-50 on, "IMAGENET1K_V2". None: random weights.
        freeze_bn: whether batch norm keeps its statistics, scale and shift, also after `train()`.
            None: exactly with `weights_backbone`.
        feature_size, prior, p6_from, norm_groups, bn_eps: see `RetinaNet`.
        anchors, box_transform, focal_loss, detection: modules in place of the default ones.

    Raises:
        ValueError: if there are no such weights.
        ConnectionError: if they can't be downloaded; it says which file to put where.
    """
    return build


retinanet_resnet18 = builder("resnet18")
retinanet_resnet34 = builder("resnet34")
retinanet_resnet50 = builder("resnet50")  # the walkthrough's
retinanet_resnet101 = builder("resnet101")
retinanet_resnet152 = builder("resnet152")
