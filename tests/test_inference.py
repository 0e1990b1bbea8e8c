"""The copy for inference finds what its model finds, and is not taken for it."""

import pytest
import torch
import torch.nn as nn

from retinanet_lite import BasicBlock, Bottleneck, Detector, RetinaNet, for_inference


@pytest.fixture(params=[BasicBlock, Bottleneck])
def model(request) -> RetinaNet:
    """A detector that detects, with statistics unlike those of a new network."""
    model = RetinaNet(3, request.param, [1, 2, 1, 1], feature_size=16).eval()
    nn.init.normal_(model.classification_model.output.weight, std=0.02)
    nn.init.constant_(model.classification_model.output.bias, -2.0)
    for norm in model.backbone.batch_norms():
        nn.init.uniform_(norm.weight, 0.5, 1.0)
        nn.init.normal_(norm.bias, std=0.1)
        norm.running_mean.normal_(std=0.1)
        norm.running_var.uniform_(0.5, 1.5)
    return model


@torch.no_grad()
def test_it_finds_what_the_model_finds(model, small_batch):
    model.double()
    images = small_batch[0].double()
    for mine, its in zip(for_inference(model)(images), model(images), strict=True):
        assert len(its["scores"]) > 5
        torch.testing.assert_close(mine, its)


def test_no_batch_norm_is_left_in_it_and_the_model_keeps_its_own(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copied = for_inference(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in copied.modules())
    assert not any(p.requires_grad for p in copied.parameters())
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_detector_uses_it_but_does_not_save_it(model, small_batch, tmp_path):
    images = [image.clamp(0, 1) for image in small_batch[0]]
    names = ("disc", "square", "star")
    fast = Detector(for_inference(model), names)
    for mine, its in zip(fast(images), Detector(model, names)(images), strict=True):
        torch.testing.assert_close(mine["scores"], its["scores"], rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match=r"save the model that for_inference\(\) was given"):
        fast.save(tmp_path / "a.pt")
    assert not (tmp_path / "a.pt").exists()
