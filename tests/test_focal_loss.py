"""The focal loss of single entries: torchvision's values, and gradients that never die."""

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


@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_certain_mistake_costs_its_logit_and_a_certain_truth_nothing(gamma):
    logits = torch.tensor([-100.0, 100.0, 100.0, -100.0], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([1.0, 0.0, 1.0, 0.0]), 0.25, gamma)
    loss.sum().backward()
    # p_t = e^−100 of the first two: (1 − p_t)^γ is 1 and −log(p_t) is 100
    torch.testing.assert_close(loss, torch.tensor([25.0, 75.0, 0.0, 0.0]))
    torch.testing.assert_close(logits.grad, torch.tensor([-0.25, 0.75, 0.0, 0.0]))
