"""The backbone is torchvision's ResNet without its classifier."""

import copy

import pytest
import torch
import torchvision
from torchvision.models._utils import IntermediateLayerGetter

from retinanet_lite import BasicBlock, Bottleneck, ResNet

RESNETS = {
    "resnet18": (BasicBlock, [2, 2, 2, 2]),
    "resnet34": (BasicBlock, [3, 4, 6, 3]),
    "resnet50": (Bottleneck, [3, 4, 6, 3]),
    "resnet101": (Bottleneck, [3, 4, 23, 3]),
}


def theirs_and_ours(name: str) -> tuple[torch.nn.Module, ResNet]:
    """torchvision's network and ours with the same weights, every batch norm unlike the others."""
    theirs = getattr(torchvision.models, name)(weights=None)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.8, 1.2)
    ours = ResNet(*RESNETS[name])
    state = {key: value for key, value in theirs.state_dict().items() if not key.startswith("fc.")}
    ours.load_state_dict(state, strict=True)
    return theirs, ours


def pyramid_of(theirs: torch.nn.Module) -> torch.nn.Module:
    return IntermediateLayerGetter(theirs, {"layer2": "C3", "layer3": "C4", "layer4": "C5"})


@pytest.mark.parametrize("name", RESNETS)
def test_c3_c4_and_c5_are_torchvisions(name):
    theirs, ours = theirs_and_ours(name)
    theirs.eval(), ours.eval()
    images = torch.randn(2, 3, 65, 100)
    with torch.no_grad():
        expected = list(pyramid_of(theirs)(images).values())
        actual = ours(images)
    assert len(actual) == 3
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_gradients_are_torchvisions(name):
    theirs, ours = theirs_and_ours(name)
    theirs.train(), ours.train()
    images = torch.randn(2, 3, 33, 47)
    for outputs in (pyramid_of(theirs)(images).values(), ours(images)):
        torch.stack([output.square().mean() for output in outputs]).sum().backward()
    expected = {key: p.grad for key, p in theirs.named_parameters() if not key.startswith("fc.")}
    actual = {key: p.grad for key, p in ours.named_parameters()}
    assert actual.keys() == expected.keys()
    for key in expected:
        error = (actual[key] - expected[key]).norm() / expected[key].norm()
        assert error < 1e-5, key


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("layers", [[1, 1, 1, 1], [1, 2, 1, 3]])
def test_any_number_of_blocks_makes_strides_8_16_32(block, layers):
    backbone = ResNet(block, layers)
    blocks = [len(getattr(backbone, f"layer{stage}")) for stage in (1, 2, 3, 4)]
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, 64, 96))
    channels = {BasicBlock: [128, 256, 512], Bottleneck: [512, 1024, 2048]}[block]
    assert blocks == layers
    assert [list(c.shape[2:]) for c in features] == [[8, 12], [4, 6], [2, 3]]
    assert [c.shape[1] for c in features] == channels == backbone.out_channels


class ByFormula(torch.nn.Module):
    """(x − mean) / √(variance + eps) · weight + bias, channel by channel."""

    def __init__(self, norm: torch.nn.BatchNorm2d, eps: float) -> None:
        super().__init__()
        self.norm, self.eps = norm, eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, variance = self.norm.running_mean, self.norm.running_var
        if self.training:
            mean, variance = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), unbiased=False)
        mean, variance, weight, bias = (
            v[:, None, None] for v in (mean, variance, self.norm.weight, self.norm.bias)
        )
        return (x - mean) / (variance + self.eps) ** 0.5 * weight + bias


def by_formula(backbone: ResNet, eps: float) -> ResNet:
    """The same network, each of its batch norms by the formula."""
    backbone = copy.deepcopy(backbone)
    norms = {n: m for n, m in backbone.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    for name, norm in norms.items():
        parent, _, attribute = name.rpartition(".")
        setattr(backbone.get_submodule(parent), attribute, ByFormula(norm, eps))
    return backbone


@pytest.mark.parametrize(
    "arguments, eps, mode",
    [
        ({}, 1e-5, True),
        ({}, 1e-5, False),
        ({"bn_eps": 0.2}, 0.2, True),
        ({"bn_eps": 0.2}, 0.2, False),
        ({"bn_eps": 0.0}, 0.0, False),  # with 0, PyTorch lets batch norm not train
    ],
)
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_every_batch_norm_is_the_formula_with_its_eps(block, arguments, eps, mode):
    backbone = ResNet(block, [1, 1, 1, 1], **arguments)
    for norm in backbone.batch_norms():
        torch.nn.init.uniform_(norm.running_var, 1e-5, 1e-4)  # so small that eps counts
        torch.nn.init.uniform_(norm.weight, 0.005, 0.01)
    expected = by_formula(backbone, eps).train(mode)
    backbone.train(mode)
    images = torch.randn(2, 3, 65, 100)
    with torch.no_grad():
        for mine, its in zip(backbone(images), expected(images), strict=True):
            assert (mine - its).norm() < 1e-3 * its.norm()


def test_sizes_are_rounded_up():
    features = ResNet(BasicBlock, [1, 1, 1, 1])(torch.zeros(1, 3, 33, 417))
    assert [tuple(c.shape[2:]) for c in features] == [(5, 53), (3, 27), (2, 14)]


@pytest.mark.parametrize("block", [torch.nn.Conv2d, torchvision.models.resnet.BasicBlock, None])
def test_a_foreign_block_is_named(block):
    with pytest.raises(ValueError, match="BasicBlock or Bottleneck, not"):
        ResNet(block, [2, 2, 2, 2])


@pytest.mark.parametrize("layers", [[], [2, 2, 2], [1, 1, 1, 1, 1], [1, 0, 1, 1], [1, 1, -1, 1]])
def test_wrong_layers_are_shown_with_an_example(layers):
    with pytest.raises(ValueError, match=r"four stages.*\[3, 4, 6, 3\].*got"):
        ResNet(BasicBlock, layers)
