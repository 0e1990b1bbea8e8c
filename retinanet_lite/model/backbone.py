"""The backbone: an image becomes three grids of features, C3, C4 and C5.

He et al. 2015, "Deep Residual Learning for Image Recognition"; walkthrough, "backbone".
Parameter names are torchvision's, so that its ImageNet weights load as they are.
"""

from collections.abc import Sequence

import torch.nn as nn
from torch import Tensor

LEAST_EPS = 1e-30  # as good as 0, which some versions of PyTorch refuse


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut: the block of ResNet-18 and -34.

    Args:
        inplanes: channels that come in.
        planes: channels of both convolutions, and of the output.
        stride: 1 keeps the size, 2 halves it (rounded up).
        downsample: what brings the shortcut to the output's shape, where the shapes differ.

    Shapes: in [B, inplanes, H, W], out [B, planes, H / stride, W / stride], rounded up.
    """

    expansion = 1

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return self.relu(x + shortcut)


class Bottleneck(nn.Module):
    """1×1 down, 3×3, 1×1 up to four times the channels: the block of ResNet-50, -101 and -152.

    The stride sits on the 3×3 convolution, as in torchvision ("ResNet v1.5"); the paper puts it
    on the first 1×1.

    Args: as of `BasicBlock`; planes are the channels of the 3×3 convolution.

    Shapes: in [B, inplanes, H, W], out [B, 4 · planes, H / stride, W / stride], rounded up.
    """

    expansion = 4

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return self.relu(x + shortcut)


class ResNet(nn.Module):
    """A residual network without its classifier: the stem, and four stages of blocks.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers: blocks in each of the four stages, e.g. [3, 4, 6, 3] for ResNet-50.
        bn_eps: what batch norm adds to the variance before it takes the root; torchvision's v1
            COCO weights were trained with 0, which is for batch norm that stays frozen.

    Shapes, for an image of H×W (e = 1 for BasicBlock, 4 for Bottleneck):
        in  [B, 3, H, W]
        out C3 [B, 128·e, H/8, W/8], C4 [B, 256·e, H/16, W/16], C5 [B, 512·e, H/32, W/32],
            each rounded up
    """

    def __init__(
        self, block: type[BasicBlock | Bottleneck], layers: Sequence[int], bn_eps: float = 1e-5
    ) -> None:
        super().__init__()
        if block not in (BasicBlock, Bottleneck):
            raise ValueError(f"block must be BasicBlock or Bottleneck, not {block!r}")
        if len(layers) != 4 or min(layers) < 1:
            raise ValueError(
                f"layers are of four stages, at least 1, e.g. [3, 4, 6, 3]; got {layers!r}"
            )
        self.block = block
        self.layers = tuple(layers)
        self.bn_eps = bn_eps
        self.bn_frozen = False
        self.inplanes = 64
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], stride=2)
        self.layer3 = self._make_layer(block, 256, layers[2], stride=2)
        self.layer4 = self._make_layer(block, 512, layers[3], stride=2)
        self.out_channels = [planes * block.expansion for planes in (128, 256, 512)]
        for norm in self.batch_norms():
            norm.eps = max(bn_eps, LEAST_EPS)

    def _make_layer(
        self, block: type[BasicBlock | Bottleneck], planes: int, blocks: int, stride: int = 1
    ) -> nn.Sequential:
        """One stage: the first block changes size and channels, the others keep them."""
        out_channels = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != out_channels:
            downsample = nn.Sequential(
                nn.Conv2d(self.inplanes, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        stage = [block(self.inplanes, planes, stride, downsample)]
        stage += [block(out_channels, planes) for _ in range(1, blocks)]
        self.inplanes = out_channels
        return nn.Sequential(*stage)

    def batch_norms(self) -> list[nn.BatchNorm2d]:
        return [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def freeze_bn(self, frozen: bool = True) -> None:
        """Batch norm keeps its statistics, scale and shift; `train()` does not undo it.

        A detector's batch is too small for good ones. `freeze_bn(False)` lets them learn.
        """
        self.bn_frozen = frozen
        for norm in self.batch_norms():
            norm.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> "ResNet":
        super().train(mode)
        if self.bn_frozen:
            for norm in self.batch_norms():
                norm.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        # shapes for ResNet-50 and images [2, 3, 640, 832]
        x = self.relu(self.bn1(self.conv1(images)))  # [2, 64, 320, 416]
        x = self.maxpool(x)  # [2, 64, 160, 208]
        x1 = self.layer1(x)  # [2, 256, 160, 208]
        x2 = self.layer2(x1)  # [2, 512, 80, 104]    C3
        x3 = self.layer3(x2)  # [2, 1024, 40, 52]    C4
        x4 = self.layer4(x3)  # [2, 2048, 20, 26]    C5
        return [x2, x3, x4]


# the block and layers of each ResNet (He et al. 2015, table 1)
RESNETS = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}
