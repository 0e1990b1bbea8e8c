"""Frozen batch norm stays frozen until it is thawed."""

import torch


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


def test_frozen_batch_norm_keeps_every_number_in_a_step_of_training(tiny, small_batch):
    before = {
        k: v.clone() for k, v in tiny.state_dict().items() if ".bn" in k or "downsample.1" in k
    }
    tiny.train()
    optimizer = torch.optim.SGD(tiny.parameters(), lr=0.1, weight_decay=0.1)
    sum(tiny(*small_batch).values()).backward()
    optimizer.step()
    after = tiny.state_dict()
    assert len(before) > 20
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_thawed_batch_norm_learns_and_counts_in_train_mode_only(tiny, small_batch):
    tiny.freeze_bn(False)
    tiny.train()
    assert frozen(tiny) == {False}
    sum(tiny(*small_batch).values()).backward()
    for module in batch_norms(tiny):
        assert module.num_batches_tracked == 1
        assert module.weight.grad is not None
    tiny.eval()
    assert not any(module.training for module in batch_norms(tiny))


def test_freezing_and_thawing_leave_train_and_eval_mode_alone(tiny):
    tiny.eval().freeze_bn(False)
    assert not tiny.training and not any(module.training for module in batch_norms(tiny))
    tiny.train().freeze_bn()
    assert tiny.training and frozen(tiny) == {True}


def test_a_model_may_be_built_thawed(make_tiny):
    assert frozen(make_tiny(freeze_bn=False)) == {False}
