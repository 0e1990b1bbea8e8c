"""A 3×3 convolution computes and learns what PyTorch's does, whichever way it takes."""

import pytest
import torch
import torch.nn as nn

from retinanet_lite import BasicBlock, RetinaNet, quicken
from retinanet_lite.fast.quick_convolution import QuickConv2d, weight_gradient


@pytest.fixture
def quick_way(monkeypatch):
    """On every machine, the way that is quicker on some; says how often it was gone."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    gone = []

    def counted(*args):
        gone.append(args)
        return weight_gradient(*args)

    monkeypatch.setattr("retinanet_lite.fast.quick_convolution.weight_gradient", counted)
    return gone


def quick(in_channels: int, out_channels: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    convolution = quicken(nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=bias))
    return convolution.to(memory_format=torch.channels_last)


def channels_last(*shape: int) -> torch.Tensor:
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(12, 16), (7, 9), (1, 1)])
def test_it_computes_and_learns_what_pytorchs_does(quick_way, stride, bias, size):
    other = nn.Conv2d(16, 24, 3, stride, padding=1, bias=bias).double()
    mine = quick(16, 24, stride, bias)
    other.load_state_dict(mine.state_dict())
    x = channels_last(2, 16, *size).requires_grad_()
    y, expected = mine(x), other(x.double())
    slope = torch.randn_like(y)
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)
    gradients = torch.autograd.grad(y, [x, *mine.parameters()], slope)
    expected = torch.autograd.grad(expected, [x, *other.parameters()], slope.double())
    assert len(quick_way) == 1 and len(gradients) == 2 + bias
    for a, b in zip(gradients, expected, strict=True):
        torch.testing.assert_close(a.double(), b.double(), rtol=1e-4, atol=1e-4)


def test_a_whole_model_learns_the_same_either_way(quick_way, make_tiny, small_batch):
    model = quicken(make_tiny()).double().to(memory_format=torch.channels_last)
    images, annotations = small_batch[0].double(), small_batch[1].double()
    gradients = []
    for layout in (torch.channels_last, torch.contiguous_format):
        model.zero_grad()
        sum(model(images.to(memory_format=layout), annotations).values()).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
        model.to(memory_format=torch.contiguous_format)
    quick = len(quick_way)
    assert quick >= sum(isinstance(module, QuickConv2d) for module in model.modules()) > 10
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("frozen", ["weight", "everything"])
def test_what_is_frozen_costs_nothing(quick_way, frozen):
    conv = quick(4, 4)
    conv.weight.requires_grad_(False)
    conv.bias.requires_grad_(frozen == "weight")
    x = channels_last(1, 4, 6, 6).requires_grad_()
    conv(x).sum().backward()
    assert x.grad is not None and conv.weight.grad is None and not quick_way


def test_an_input_that_needs_no_gradient_gets_none(quick_way):
    conv = quick(4, 4)
    x = channels_last(1, 4, 6, 6)
    conv(x).sum().backward()
    assert x.grad is None and conv.weight.grad is not None and len(quick_way) == 1


def test_autocast_keeps_pytorchs_way(quick_way):
    conv = quick(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(channels_last(1, 4, 6, 6))
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert conv.weight.grad.dtype == torch.float32 and not quick_way


def test_all_of_a_model_and_no_other_convolutions_are_quick(quick_way):
    for module in quicken(RetinaNet(2, BasicBlock, [1, 1, 1, 1])).modules():
        if isinstance(module, nn.Conv2d):
            assert isinstance(module, QuickConv2d) == (module.kernel_size == (3, 3))


def test_where_it_does_not_pay_convolutions_stay_pytorchs(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    convolution = nn.Conv2d(4, 4, 3, padding=1)
    assert quicken(convolution) is convolution


@pytest.mark.parametrize(
    "other", [{"padding": 0}, {"padding": 2, "dilation": 2}, {"padding": 1, "groups": 2}], ids=str
)
def test_other_forms_stay_as_they_are(quick_way, other):
    convolution = nn.Conv2d(4, 4, 3, **other)
    assert quicken(convolution) is convolution
