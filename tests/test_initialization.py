"""A new model starts as the walkthrough says: He's deviation, no bias, and the prior."""

import math

import pytest
import torch

from retinanet_lite import BasicBlock, Bottleneck, RetinaNet


@pytest.fixture(scope="module", params=[BasicBlock, Bottleneck])
def model(request) -> RetinaNet:
    torch.manual_seed(0)
    return RetinaNet(20, request.param, [1, 1, 1, 1], feature_size=64)


def convolutions(model):
    """Every convolution but the two output convolutions, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d) and not name.endswith("output")
    }


def test_weights_are_gaussian_with_hes_deviation(model):
    for name, conv in convolutions(model).items():
        out_channels, _, height, width = conv.weight.shape
        expected = math.sqrt(2 / (height * width * out_channels))
        standard = (conv.weight / expected).flatten().detach()
        # five deviations of what so many random numbers scatter
        tolerance = 5 / math.sqrt(len(standard))
        assert abs(standard.mean()) < tolerance, name
        assert abs(standard.square().mean() - 1) < tolerance * math.sqrt(2), name
        assert abs((standard.abs() < 1).float().mean() - 0.6827) < tolerance, name


def test_biases_are_zero_but_those_of_the_classes(model):
    biases = {
        name: p
        for name, p in model.named_parameters()
        if name.endswith("bias") and ".bn" not in name
    }
    prior = biases.pop("classification_model.output.bias")
    assert len(biases) > 10
    assert all((bias == 0).all() for bias in biases.values())
    torch.testing.assert_close(prior, torch.full_like(prior, -math.log(99)))


@pytest.mark.parametrize("prior", [0.01, 0.1, 0.5])
def test_every_probability_starts_at_the_prior(make_tiny, prior):
    with torch.no_grad():
        logits, deltas, _ = make_tiny(prior=prior).predict(torch.randn(1, 3, 64, 64))
    torch.testing.assert_close(logits.sigmoid(), torch.full_like(logits, prior), rtol=1e-3, atol=0)
    assert deltas.abs().max() < 1e-3


def test_initializing_again_starts_anew(tiny):
    before = tiny.fpn.p6.weight.clone()
    with torch.no_grad():
        for p in tiny.parameters():
            p += 1
    tiny.initialize(prior=0.2)
    assert not torch.equal(tiny.fpn.p6.weight, before)
    assert (tiny.fpn.p6.bias == 0).all()
    bias = tiny.classification_model.output.bias
    torch.testing.assert_close(bias, torch.full_like(bias, -math.log(4)))


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, 2.0])
def test_an_impossible_prior_is_refused(make_tiny, prior):
    with pytest.raises(ValueError, match="prior is a probability between 0 and 1"):
        make_tiny(prior=prior)


@pytest.mark.parametrize("num_classes", [0, -3])
def test_a_model_needs_a_class(make_tiny, num_classes):
    with pytest.raises(ValueError, match="num_classes must be 1 or more, no background"):
        make_tiny(num_classes)
