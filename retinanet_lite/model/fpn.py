"""The feature pyramid: C3, C4 and C5 become five levels of one width, P3 … P7.

Lin et al. 2017, "Feature Pyramid Networks", §3; RetinaNet §4; docs/feature_pyramid.md.
"""

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class PyramidFeatures(nn.Module):
    """Feature pyramid P3 … P7 over C3, C4, C5.

    Args:
        C3_size, C4_size, C5_size: channels of the three inputs, e.g. 512, 1024, 2048.
        feature_size: channels of every level.
        p6_from: what P6 is made of: "C5", as in the paper, the original, torchvision's v2 and
            detectron2; or "P5", as in torchvision's v1.

    Shapes, for an image of H×W:
        in  [C3, C4, C5]: [B, C3_size, H/8, W/8], and likewise at 1/16 and 1/32
        out [P3 … P7], each [B, feature_size, H/s, W/s] with s = 8, 16, 32, 64, 128, rounded up
    """

    def __init__(
        self, C3_size: int, C4_size: int, C5_size: int, feature_size: int = 256, p6_from: str = "C5"
    ) -> None:
        super().__init__()
        p6_sizes = {"C5": C5_size, "P5": feature_size}
        if p6_from not in p6_sizes:
            raise ValueError(f'p6_from must be "C5" or "P5"; got {p6_from!r}')
        self.p6_from = p6_from
        # 1×1: all three inputs to the same width
        self.lateral3 = nn.Conv2d(C3_size, feature_size, kernel_size=1)
        self.lateral4 = nn.Conv2d(C4_size, feature_size, kernel_size=1)
        self.lateral5 = nn.Conv2d(C5_size, feature_size, kernel_size=1)
        # 3×3: smooths the steps that upsampling leaves
        self.output3 = nn.Conv2d(feature_size, feature_size, kernel_size=3, padding=1)
        self.output4 = nn.Conv2d(feature_size, feature_size, kernel_size=3, padding=1)
        self.output5 = nn.Conv2d(feature_size, feature_size, kernel_size=3, padding=1)
        # P6 and P7 see objects larger than P5's anchors
        self.p6 = nn.Conv2d(p6_sizes[p6_from], feature_size, kernel_size=3, stride=2, padding=1)
        self.p7 = nn.Conv2d(feature_size, feature_size, kernel_size=3, stride=2, padding=1)

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        # shapes for ResNet-50 and images [2, 3, 640, 832]
        C3, C4, C5 = inputs
        M5 = self.lateral5(C5)  # [2, 256, 20, 26]
        M4 = self.lateral4(C4) + upsample_to(M5, C4)  # [2, 256, 40, 52]
        M3 = self.lateral3(C3) + upsample_to(M4, C3)  # [2, 256, 80, 104]

        P3 = self.output3(M3)  # [2, 256, 80, 104]
        P4 = self.output4(M4)  # [2, 256, 40, 52]
        P5 = self.output5(M5)  # [2, 256, 20, 26]
        P6 = self.p6({"C5": C5, "P5": P5}[self.p6_from])  # [2, 256, 10, 13]
        P7 = self.p7(F.relu(P6))  # [2, 256, 5, 7]
        return [P3, P4, P5, P6, P7]


def upsample_to(x: Tensor, target: Tensor) -> Tensor:
    """Repeat the cells of `x` up to the height and width of `target`, odd sizes included."""
    return F.interpolate(x, size=target.shape[-2:], mode="nearest")
