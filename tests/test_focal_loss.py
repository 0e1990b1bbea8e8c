"""The focal loss of single entries: torchvision's values, and gradients that never die."""

import math

import oracles
import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from retinanet_lite import focal_loss

ALPHAS = [0.25, 0.5, 0.9]
GAMMAS = [0.0, 0.5, 1.0, 2.0, 5.0]


def entries(count: int = 500, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, dtype=dtype) * 4, (torch.rand(count) < 0.3).to(dtype)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("gamma", GAMMAS)
def test_entries_are_torchvisions(alpha, gamma):
    logits, targets = entries()
    expected = sigmoid_focal_loss(logits, targets, alpha, gamma)
    actual = focal_loss(logits, targets, alpha, gamma)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("gamma", GAMMAS)
def test_entries_are_equation_5(alpha, gamma):
    logits, targets = entries(dtype=torch.float64)
    expected = [
        oracles.focal(logit, target == 1, alpha, gamma)
        for logit, target in zip(logits.tolist(), targets.tolist(), strict=True)
    ]
    actual = focal_loss(logits, targets, alpha, gamma)
    # alpha is a float32 number inside
    torch.testing.assert_close(actual, torch.tensor(expected).double(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_gradients_are_finite_differences(gamma):
    logits, targets = entries(20, torch.float64)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, targets, 0.25, gamma), logits)


def test_gamma_zero_and_even_weights_are_half_the_cross_entropy():
    logits, targets = entries()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets, reduction="none"
    )
    torch.testing.assert_close(2 * focal_loss(logits, targets, alpha=0.5, gamma=0.0), expected)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_certain_mistake_costs_its_logit_and_pulls_with_full_force(gamma):
    logits = torch.tensor([-100.0, 100.0], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([1.0, 0.0]), 0.25, gamma)
    loss.sum().backward()
    # p_t = e^−100: (1 − p_t)^γ is 1 and −log(p_t) is 100
    torch.testing.assert_close(loss, torch.tensor([25.0, 75.0]))
    torch.testing.assert_close(logits.grad, torch.tensor([-0.25, 0.75]))


@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_certain_truth_costs_nothing_and_has_a_finite_gradient(gamma):
    logits = torch.tensor([100.0, -100.0], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([1.0, 0.0]), 0.25, gamma)
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.zeros(2))
    torch.testing.assert_close(logits.grad, torch.zeros(2))


def test_an_easy_entry_weighs_a_hundredth_at_gamma_two():
    logit = torch.tensor([math.log(9)])  # p = 0.9, so (1 − p)² = 0.01
    ratio = focal_loss(logit, torch.ones(1), gamma=2.0) / focal_loss(
        logit, torch.ones(1), gamma=0.0
    )
    torch.testing.assert_close(ratio, torch.tensor([0.01]))


def test_the_loss_keeps_the_shape_of_its_entries():
    assert focal_loss(torch.zeros(2, 5, 3), torch.zeros(2, 5, 3)).shape == (2, 5, 3)
