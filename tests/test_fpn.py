"""The pyramid is torchvision's, with P6 made from C5 or from P5."""

import pytest
import torch
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from retinanet_lite import PyramidFeatures

CHANNELS = [24, 32, 48]


def theirs_and_ours(p6_from: str) -> tuple[FeaturePyramidNetwork, PyramidFeatures]:
    """torchvision's pyramid and ours with the same weights; none of the biases is zero."""
    # torchvision is told by P6's input width; without p6_from, ours is to take C5
    width, arguments = {"C5": (CHANNELS[2], {}), "P5": (16, {"p6_from": "P5"})}[p6_from]
    theirs = FeaturePyramidNetwork(CHANNELS, 16, extra_blocks=LastLevelP6P7(width, 16))
    ours = PyramidFeatures(*CHANNELS, feature_size=16, **arguments)
    for p in theirs.parameters():
        torch.nn.init.normal_(p, std=0.1)
    for our_layer, their_layer in pairs(ours, theirs):
        our_layer.load_state_dict(their_layer.state_dict(), strict=True)
    return theirs, ours


def pairs(ours, theirs):
    laterals = [ours.lateral3, ours.lateral4, ours.lateral5]
    outputs = [ours.output3, ours.output4, ours.output5]
    return [
        *zip(laterals, [block[0] for block in theirs.inner_blocks], strict=True),
        *zip(outputs, [block[0] for block in theirs.layer_blocks], strict=True),
        (ours.p6, theirs.extra_blocks.p6),
        (ours.p7, theirs.extra_blocks.p7),
    ]


def inputs_for(height: int, width: int) -> list[torch.Tensor]:
    """C3, C4, C5 of an image of height×width."""
    return [
        torch.randn(2, channels, -(-height // stride), -(-width // stride), requires_grad=True)
        for channels, stride in zip(CHANNELS, (8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("p6_from", ["C5", "P5"])
@pytest.mark.parametrize("size", [(64, 96), (65, 97), (33, 200), (417, 333), (32, 32)])
def test_all_five_levels_are_torchvisions(size, p6_from):
    theirs, ours = theirs_and_ours(p6_from)
    inputs = inputs_for(*size)
    expected = theirs(dict(zip(["C3", "C4", "C5"], inputs, strict=True)))
    torch.testing.assert_close(ours(inputs), list(expected.values()))


@pytest.mark.parametrize("p6_from", ["C5", "P5"])
@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_gradients_are_torchvisions(size, p6_from):
    theirs, ours = theirs_and_ours(p6_from)
    inputs = inputs_for(*size)
    their_levels = theirs(dict(zip(["C3", "C4", "C5"], inputs, strict=True))).values()
    expected = torch.autograd.grad(sum(p.square().sum() for p in their_levels), inputs)
    actual = torch.autograd.grad(sum(p.square().sum() for p in ours(inputs)), inputs)
    torch.testing.assert_close(actual, expected)

    sum(p.square().sum() for p in ours(inputs)).backward()
    sum(p.square().sum() for p in theirs(dict(zip("345", inputs, strict=True))).values()).backward()
    for our_layer, their_layer in pairs(ours, theirs):
        torch.testing.assert_close(our_layer.weight.grad, their_layer.weight.grad)
        torch.testing.assert_close(our_layer.bias.grad, their_layer.bias.grad)


def test_every_level_has_the_same_width_and_half_the_size_rounded_up():
    levels = PyramidFeatures(*CHANNELS, feature_size=20)(inputs_for(417, 333))
    sizes = [(53, 42), (27, 21), (14, 11), (7, 6), (4, 3)]
    assert [tuple(p.shape) for p in levels] == [(2, 20, h, w) for h, w in sizes]


def test_p3_hears_of_c5_and_p6_hears_of_nothing_else():
    inputs = inputs_for(64, 96)
    P3, P4, P5, P6, P7 = PyramidFeatures(*CHANNELS, feature_size=16)(inputs)
    assert torch.autograd.grad(P3.sum(), inputs[2], retain_graph=True)[0].abs().sum() > 0
    for level in (P6, P7):
        gradients = torch.autograd.grad(level.sum(), inputs, retain_graph=True, allow_unused=True)
        assert gradients[:2] == (None, None)
        assert gradients[2].abs().sum() > 0


@pytest.mark.parametrize("source", ["P6", "c5", "", None, 5])
def test_p6_from_anything_else_is_refused(source):
    with pytest.raises(ValueError, match=f'p6_from must be "C5" or "P5"; got {source!r}'):
        PyramidFeatures(*CHANNELS, p6_from=source)
