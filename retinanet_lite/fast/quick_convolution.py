"""3×3 convolutions whose weights get their gradient more quickly on some processors."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class QuickConv2d(nn.Conv2d):
    """PyTorch's convolution with a kernel of 3×3 and a border of one zero around its input.

    With channels last, PyTorch's gradient of the weights takes up to three times as long as its
    forward pass on a CPU with AVX2 but no AVX-512. Here it is computed by `weight_gradient`.
    """

    def forward(self, x: Tensor) -> Tensor:
        if (
            x.device.type == "cpu"
            and x.is_contiguous(memory_format=torch.channels_last)
            and self.weight.requires_grad
            and torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
        ):
            return _Conv3x3.apply(x, self.weight, self.bias, self.stride)
        return super().forward(x)


def is_quicker_for(conv: nn.Conv2d) -> bool:
    """Whether this is a convolution, and a processor, for which it pays; see docs/speed.md."""
    form = conv.kernel_size, conv.padding, conv.dilation, conv.groups
    of_this_kind = form == ((3, 3), (1, 1), (1, 1), 1)
    return of_this_kind and torch.backends.cpu.get_cpu_capability() == "AVX2"


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, stride):
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, bias, stride, padding=1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        of_x = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = torch.nn.grad.conv2d_input(x.shape, weight, gradient, ctx.stride, padding=1)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(dim=(0, 2, 3))
        return of_x, weight_gradient(x, gradient, ctx.stride[0]), of_bias, None


def weight_gradient(x: Tensor, gradient: Tensor, stride: int = 1) -> Tensor:
    """The gradient [O, C, 3, 3] of a 3×3 convolution's weights.

    Each of the nine weights between two channels sees the input x [B, C, H, W] shifted by its place
    in the kernel. So its gradient is a product, with that of the output, `gradient` [B, O, h, w],
    over all cells of the batch.
    """
    in_channels, (out_channels, h, w) = x.shape[1], gradient.shape[1:]
    x = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)  # [B, H + 2, W + 2, C]
    gradient = gradient.permute(0, 2, 3, 1).reshape(-1, out_channels).t()  # [O, B·h·w]
    result = x.new_empty(3, 3, out_channels, in_channels)
    for i in range(3):
        for j in range(3):
            seen = x[:, i : i + stride * h : stride, j : j + stride * w : stride]  # [B, h, w, C]
            torch.mm(gradient, seen.reshape(-1, in_channels), out=result[i, j])
    return result.permute(2, 3, 0, 1)
