"""The heads: every cell of a level says what its anchors show, and how to move them.

RetinaNet §4, "Classification Subnet", "Box Regression Subnet";
docs/regression_and_classification.md.
"""

import torch.nn as nn
from torch import Tensor


class _Head(nn.Module):
    """Four 3×3 convolutions with ReLU, and an output convolution. One head serves every level.

    A norm between a convolution and its ReLU brings a shift of its own, so that the convolution
    needs no bias. Without `norm_groups` the norms do nothing, and have no parameters.
    """

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        values: int,
        feature_size: int,
        norm_groups: int | None,
    ) -> None:
        super().__init__()
        if norm_groups is not None and (norm_groups < 1 or feature_size % norm_groups):
            raise ValueError(
                f"norm_groups must be None, or divide {feature_size} channels; got {norm_groups}"
            )
        self.values = values
        self.norm_groups = norm_groups
        form = {"kernel_size": 3, "padding": 1, "bias": norm_groups is None}
        self.conv1 = nn.Conv2d(in_channels, feature_size, **form)
        self.conv2 = nn.Conv2d(feature_size, feature_size, **form)
        self.conv3 = nn.Conv2d(feature_size, feature_size, **form)
        self.conv4 = nn.Conv2d(feature_size, feature_size, **form)
        self.norm1, self.norm2, self.norm3, self.norm4 = (
            nn.GroupNorm(norm_groups, feature_size) if norm_groups else nn.Identity()
            for _ in range(4)
        )
        # its first weights, and the prior in its bias: `RetinaNet.initialize`
        self.output = nn.Conv2d(feature_size, num_anchors * values, kernel_size=3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        # shapes for P3 of images [2, 3, 640, 832], 9 anchors and V values an anchor
        x = self.relu(self.norm1(self.conv1(x)))  # [2, 256, 80, 104]
        x = self.relu(self.norm2(self.conv2(x)))
        x = self.relu(self.norm3(self.conv3(x)))
        x = self.relu(self.norm4(self.conv4(x)))
        x = self.output(x)  # [2, 9·V, 80, 104]
        # a cell's values side by side first, then one row an anchor
        x = x.permute(0, 2, 3, 1)  # [2, 80, 104, 9·V]
        return x.reshape(x.shape[0], -1, self.values)  # [2, 74880, V]


class RegressionModel(_Head):
    """Four numbers for every anchor: how to move and stretch it onto its object.

    Args:
        in_channels: channels of the pyramid's levels.
        num_anchors: anchors a cell.
        feature_size: channels inside the head.
        norm_groups: groups of channels that a GroupNorm behind each hidden convolution brings to
            mean 0 and deviation 1, as in torchvision's v2 (32); None for no norm.

    Shapes: in [B, in_channels, h, w], out [B, h·w·num_anchors, 4]. The row of anchor a in the
    cell of row i and column j is (i·w + j)·num_anchors + a, as in `Anchors`.
    """

    def __init__(
        self,
        in_channels: int,
        num_anchors: int = 9,
        feature_size: int = 256,
        norm_groups: int | None = None,
    ) -> None:
        super().__init__(in_channels, num_anchors, 4, feature_size, norm_groups)


class ClassificationModel(_Head):
    """A logit for every anchor and class; there is no class for the background.

    Logits, not probabilities: the loss is exact on them, where a sigmoid would round to 0 or 1.

    Args: as of `RegressionModel`; num_classes are K, those of objects.

    Shapes: in [B, in_channels, h, w], out [B, h·w·num_anchors, K], rows as in `RegressionModel`.
    """

    def __init__(
        self,
        in_channels: int,
        num_anchors: int = 9,
        num_classes: int = 80,
        feature_size: int = 256,
        norm_groups: int | None = None,
    ) -> None:
        super().__init__(in_channels, num_anchors, num_classes, feature_size, norm_groups)
