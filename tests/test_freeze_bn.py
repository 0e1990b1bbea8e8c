"""Frozen batch norm stays frozen until it is thawed."""

import torch
from torchvision.ops import FrozenBatchNorm2d

from retinanet_lite import quicken, retinanet_resnet18
from retinanet_lite.fast.quick_batch_norm import QuickBatchNorm2d


def batch_norms(model):
    return [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]


def frozen(model) -> set[bool]:
    """Whether batch norm neither counts nor learns; one answer if all agree."""
    modules = batch_norms(model)
    return {not m.training for m in modules} | {
        not p.requires_grad for m in modules for p in m.parameters()
    }


def test_training_does_not_thaw_what_is_frozen(tiny):
    assert len(batch_norms(tiny)) > 5
    for model in (tiny, tiny.train(), tiny.eval().train(), tiny.train(False).train(True)):
        assert model.training
        assert frozen(model) == {True}


def test_freezing_and_thawing_leave_train_and_eval_mode_alone(tiny):
    tiny.eval().freeze_bn(False)
    assert not tiny.training and not any(module.training for module in batch_norms(tiny))
    tiny.train().freeze_bn()
    assert tiny.training and frozen(tiny) == {True}


def test_batch_norm_is_frozen_just_where_a_backbones_weights_were_loaded(monkeypatch):
    def no_download(*_, **__):
        return retinanet_resnet18(1).backbone.state_dict()

    monkeypatch.setattr("retinanet_lite.model.imagenet.download", no_download)
    for asked, rule in ((None, {True}), (True, {True}), (False, {False})):
        loaded = retinanet_resnet18(3, weights_backbone="IMAGENET1K_V1", freeze_bn=asked)
        assert frozen(loaded) == rule
    for asked, rule in ((None, {False}), (True, {True}), (False, {False})):
        assert frozen(retinanet_resnet18(3, freeze_bn=asked)) == rule


def test_frozen_batch_norm_computes_what_pytorchs_and_torchvisions_compute():
    mine = QuickBatchNorm2d(8, dtype=torch.float64)
    for value in (mine.weight, mine.running_var):
        torch.nn.init.uniform_(value, 0.5, 1.5)
    torch.nn.init.normal_(mine.bias)
    torch.nn.init.normal_(mine.running_mean)
    mine.eval().requires_grad_(False)
    others = torch.nn.BatchNorm2d(8), FrozenBatchNorm2d(8)
    x = torch.randn(2, 8, 5, 7, dtype=torch.float64, requires_grad=True)
    slope = torch.randn_like(x)
    gradient = torch.autograd.grad(mine(x), x, slope)
    for other in others:
        other.double().eval().load_state_dict(mine.state_dict())
        torch.testing.assert_close(mine(x), other(x))
        torch.testing.assert_close(gradient, torch.autograd.grad(other(x), x, slope))


def test_frozen_batch_norm_does_not_keep_its_input():
    kept = []
    norm = QuickBatchNorm2d(8).eval().requires_grad_(False)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape), lambda t: t):
        norm(torch.randn(2, 8, 5, 7, requires_grad=True))
    assert torch.Size([2, 8, 5, 7]) not in kept


def test_a_shift_that_may_learn_gets_its_gradient_though_the_scale_may_not():
    norm = QuickBatchNorm2d(8).eval()
    norm.weight.requires_grad_(False)
    norm(torch.randn(2, 8, 5, 7)).sum().backward()
    assert norm.bias.grad.tolist() == [70.0] * 8


def test_frozen_batch_norm_hands_back_gradients_under_autocast(tiny, small_batch):
    images, annotations = small_batch
    quicken(tiny)
    with torch.autocast("cpu", torch.bfloat16):
        losses = tiny(images, annotations)
    sum(losses.values()).backward()
    assert tiny.backbone.conv1.weight.grad.isfinite().all()
    assert tiny.backbone.conv1.weight.grad.any()
