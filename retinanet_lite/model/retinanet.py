"""The detector: backbone, pyramid, heads, anchors and loss put together.

Lin et al. 2017, "Focal Loss for Dense Object Detection"; walkthrough, "initialize", "forward".
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from .anchors import Anchors
from .backbone import BasicBlock, Bottleneck, ResNet
from .boxes import BBoxTransform
from .detection import Detection
from .fpn import PyramidFeatures
from .heads import ClassificationModel, RegressionModel
from .input_checks import check_images
from .losses import FocalLoss

OUTPUT_STD = 1e-8  # of both output convolutions; so little that every class probability is π


class Prediction(NamedTuple):
    """What the network says about every anchor of a batch."""

    logits: Tensor  # [B, N, K], of every class
    deltas: Tensor  # [B, N, 4], that carry the anchor onto its object
    anchors: Tensor  # [N, 4], x1, y1, x2, y2 in pixels


class RetinaNet(nn.Module):
    """One-stage detector over five pyramid levels.

    Args:
        num_classes: K; class ids are 0 … K−1, and the background has none.
        block: `BasicBlock` or `Bottleneck`.
        layers: blocks in each of the backbone's four stages.
        feature_size: channels of the pyramid and inside the heads.
        prior: π, the probability of every class at every anchor before training.
        freeze_bn: batch norm does not learn, also after `train()`. None: it is frozen exactly where
            a backbone's weights were loaded, by `load_imagenet` or from a detector of others. With
            random weights it has to learn: its first statistics, mean 0 and variance 1, are of
            no image, and frozen they would stay.
        p6_from, norm_groups, bn_eps: where others differ, see `PyramidFeatures`,
            `RegressionModel` and `ResNet`.
        anchors, box_transform, focal_loss, detection: modules in place of the default ones, to
            change their arguments, e.g. `focal_loss=FocalLoss(gamma=1.0)`.

    Every image side may be any number of pixels from 32 on.
    """

    def __init__(
        self,
        num_classes: int,
        block: type[BasicBlock | Bottleneck],
        layers: Sequence[int],
        feature_size: int = 256,
        prior: float = 0.01,
        freeze_bn: bool | None = None,
        p6_from: str = "C5",
        norm_groups: int | None = None,
        bn_eps: float = 1e-5,
        anchors: Anchors | None = None,
        box_transform: BBoxTransform | None = None,
        focal_loss: FocalLoss | None = None,
        detection: Detection | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be 1 or more, no background; got {num_classes}")
        self.num_classes = num_classes
        self.backbone = ResNet(block, layers, bn_eps)
        self.fpn = PyramidFeatures(*self.backbone.out_channels, feature_size, p6_from)
        self.anchors = anchors or Anchors()
        if self.anchors.levels != (3, 4, 5, 6, 7):
            raise ValueError(
                f"anchors must have the levels 3 to 7; got Anchors(levels={self.anchors.levels})"
            )
        num_anchors = self.anchors.num_anchors
        # classification and regression share their form, not their parameters
        form = {"feature_size": feature_size, "norm_groups": norm_groups}
        self.regression_model = RegressionModel(feature_size, num_anchors, **form)
        self.classification_model = ClassificationModel(
            feature_size, num_anchors, num_classes, **form
        )
        self.focal_loss = focal_loss or FocalLoss()
        self.detection = detection or Detection()
        # one transform: boxes are decoded by the rule that they were learned by
        self.regress_boxes = box_transform or BBoxTransform()
        self.focal_loss.box_transform = self.regress_boxes
        self.detection.box_transform = self.regress_boxes
        self.initialize(prior)
        self.frozen: tuple[str, ...] = ()
        if freeze_bn:
            self.freeze_bn()

    def forward(
        self, images: Tensor, annotations: Tensor | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Losses where annotations are given, detections where not; in train and eval mode alike.

        Args:
            images: [B, 3, H, W] floating point, normalised.
            annotations: [B, M, 5], x1, y1, x2, y2 in pixels and the class id; rows of −1 fill up
                an image with fewer objects.

        Returns:
            with annotations {"classification": scalar, "regression": scalar}; without, for each
            image {"boxes": [n, 4] in pixels, "scores": [n], "labels": [n]}, best first

        Raises:
            ValueError: for images or annotations that can't be right, saying how to mend them.
        """
        if annotations is None:
            return self.detect(images)
        return self.focal_loss(*self.predict(images), annotations)

    def predict(self, images: Tensor) -> Prediction:
        """What the network says about every anchor of images [B, 3, H, W], as in `forward`."""
        check_images(images)
        # shapes for ResNet-50, 20 classes and images [2, 3, 640, 832]
        features = self.backbone(images)  # C3 [2, 512, 80, 104] … C5 [2, 2048, 20, 26]
        features = self.fpn(features)  # P3 [2, 256, 80, 104] … P7 [2, 256, 5, 7]
        deltas = torch.cat([self.regression_model(p) for p in features], dim=1)  # [2, 99765, 4]
        logits = [self.classification_model(p) for p in features]
        logits = torch.cat(logits, dim=1)  # [2, 99765, 20]
        return Prediction(logits, deltas, self.anchors(images.shape[-2:]))

    @torch.no_grad()
    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """The objects found in each image; `self.detection` holds the thresholds."""
        size = images.shape[-2:]
        return self.detection(*self.predict(images), self.anchors.level_counts(*size), size)

    def fill_up(self, images: Tensor) -> Tensor:
        """Images filled up with 0, the mean colour, to sides that `anchors.multiple` divides."""
        h, w = images.shape[-2:]
        height, width = self.anchors.filled_up(h, w)
        return F.pad(images, (0, width - w, 0, height - h))

    @torch.no_grad()
    def initialize(self, prior: float = 0.01) -> None:
        """The original's: He's for every convolution, and the prior for the classes.

        A convolution's weights are Gaussian with deviation √(2 / (k² · out_channels)); the paper
        names a fixed 0.01 for the new ones. Biases are 0, but the class logits start at
        −log((1 − π) / π), whose sigmoid is π. The weights of both output convolutions are 0 in the
        original, so that step 1 teaches nothing below them; here they are as good as 0, and all
        learn from step 1 on. (Not under float16 autocast, where they round to 0.)
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                n = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2.0 / n))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.regression_model.output.weight, std=OUTPUT_STD)
        initialize_classes(self.classification_model.output, prior)

    def freeze_bn(self, frozen: bool = True) -> None:
        """Freeze the backbone's batch norm so that `train()` keeps it frozen, or let it learn."""
        self.backbone.freeze_bn(frozen)
        self._hold_frozen_parts()

    def freeze(self, *parts: str) -> None:
        """These parts do not learn, also after `train()`; those of an earlier call do again.

        Parts are names of modules, such as "backbone.conv1", "backbone.layer1", "fpn"; without one,
        all learn. Statistics of their batch norm stay as well, and so does what `freeze_bn` froze.

        Raises:
            ValueError: if there is no such part.
        """
        modules = {n: module for n, module in self.named_modules() if n and [*module.parameters()]}
        if unknown := [part for part in parts if part not in modules]:
            large = [n for n in modules if n.count(".") == (1 if n.startswith("backbone.") else 0)]
            raise ValueError(
                f"the model has no parameters in {unknown[0]!r}. Its parts are {', '.join(large)}, "
                f"and what is in these."
            )
        for part in self.frozen:
            modules[part].requires_grad_(True)
        self.frozen = parts
        if self.backbone.bn_frozen:
            self.backbone.freeze_bn()
        self._hold_frozen_parts()

    def _hold_frozen_parts(self) -> None:
        for part in self.frozen:
            self.get_submodule(part).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "RetinaNet":
        super().train(mode)
        for part in self.frozen:
            self.get_submodule(part).eval()
        return self


def initialize_classes(output: nn.Conv2d, prior: float) -> None:
    """Give every class the probability `prior` at every anchor: the output's first weights."""
    if not 0 < prior < 1:
        raise ValueError(f"prior is a probability between 0 and 1, e.g. 0.01; got {prior}")
    nn.init.normal_(output.weight, std=OUTPUT_STD)
    nn.init.constant_(output.bias, -math.log((1.0 - prior) / prior))
