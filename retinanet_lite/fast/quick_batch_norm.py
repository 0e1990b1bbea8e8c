"""Batch norm that takes less memory once it is frozen."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class QuickBatchNorm2d(nn.BatchNorm2d):
    """PyTorch's batch norm that keeps, once it is frozen, one number a channel for its gradient.

    Then it multiplies each channel and adds to it, and for its gradient the factor is enough.
    PyTorch's keeps its whole input for gradients that nobody asks for.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training or self.weight.requires_grad or self.bias.requires_grad:
            return super().forward(x)
        statistics = self.running_mean, self.running_var, self.weight, self.bias
        return _FrozenBatchNorm.apply(x, *statistics, self.eps)


class _FrozenBatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, mean, variance, weight, bias, eps):
        ctx.save_for_backward(weight * (variance + eps).rsqrt())
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx, gradient):
        (factor,) = ctx.saved_tensors  # [C]
        return gradient * factor[:, None, None], None, None, None, None, None
