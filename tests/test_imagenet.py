"""ImageNet's weights make our backbone torchvision's."""

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from torchvision.models.feature_extraction import create_feature_extractor

from retinanet_lite import BasicBlock, Bottleneck, ResNet
from retinanet_lite.model.backbone import RESNETS
from retinanet_lite.model.imagenet import load_imagenet


@pytest.fixture
def checkpoints(tmp_path, monkeypatch) -> Path:
    """Where PyTorch keeps what it has downloaded; nothing is there yet, and there is no network."""

    def no_network(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "urlopen", no_network)
    before = torch.hub._hub_dir
    torch.hub.set_dir(str(tmp_path))
    yield tmp_path / "checkpoints"
    torch.hub._hub_dir = before


def file_of(name: str) -> str:
    return torchvision.models.get_model_weights(name).IMAGENET1K_V1.url.rsplit("/", 1)[1]


def test_the_backbone_gives_what_torchvisions_gives(checkpoints):
    theirs = torchvision.models.resnet18().eval()
    for name, buffer in theirs.named_buffers():  # statistics unlike those of a new network
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    checkpoints.mkdir()
    torch.save(theirs.state_dict(), checkpoints / file_of("resnet18"))
    ours = ResNet(BasicBlock, [2, 2, 2, 2]).eval()
    load_imagenet(ours)

    stages = {"layer2": "C3", "layer3": "C4", "layer4": "C5"}
    images = torch.randn(2, 3, 97, 130)
    with torch.no_grad():
        expected = create_feature_extractor(theirs, stages)(images)
        for actual, name in zip(ours(images), stages.values(), strict=True):
            assert torch.equal(actual, expected[name])


@pytest.mark.parametrize("name, resnet", RESNETS.items())
def test_every_name_is_torchvisions_network_of_this_shape(name, resnet):
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)()
        ours = ResNet(*resnet)
    shapes = {k: v.shape for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    assert {k: v.shape for k, v in ours.state_dict().items()} == shapes


def test_without_a_network_the_address_and_the_folder_are_told(checkpoints):
    with pytest.raises(ConnectionError) as error:
        load_imagenet(ResNet(Bottleneck, [3, 4, 6, 3]))
    for part in ("resnet50", "no route to host", "https://download.pytorch.org/models/resnet50-"):
        assert part in str(error.value)
    assert f"put it into {checkpoints}; or train from random weights" in str(error.value)


# each fails with another kind of error: without a word, with a word, with a page, half a download
@pytest.mark.parametrize(
    "content", [b"", b"hello world", b"<html>404: not found</html>", b"PK\x03\x04"]
)
def test_a_file_that_pytorch_did_not_write_is_told_in_a_line(checkpoints, content):
    checkpoints.mkdir()
    (checkpoints / file_of("resnet18")).write_bytes(content)
    with pytest.raises(ConnectionError, match="resnet18-.* elsewhere") as error:
        load_imagenet(ResNet(BasicBlock, [2, 2, 2, 2]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [lambda: [1], lambda: ResNet(BasicBlock, [1, 1, 1, 1]).state_dict()],
    ids=["list", "another ResNet"],
)
def test_a_file_that_holds_something_else_is_told_in_a_line(checkpoints, content):
    checkpoints.mkdir()
    torch.save(content(), checkpoints / file_of("resnet18"))
    backbone = ResNet(BasicBlock, [2, 2, 2, 2])
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    with pytest.raises((ConnectionError, ValueError), match="resnet18") as error:
        load_imagenet(backbone)
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_weights_that_torchvision_does_not_have_are_told():
    with pytest.raises(ValueError, match="resnet18 are IMAGENET1K_V1.* got 'IMAGENET1K_V2'"):
        load_imagenet(ResNet(BasicBlock, [2, 2, 2, 2]), "IMAGENET1K_V2")


def test_a_backbone_that_torchvision_does_not_have_is_named():
    with pytest.raises(ValueError, match=r"resnet18, .*none for BasicBlock .*\[1, 1, 1, 1\]"):
        load_imagenet(ResNet(BasicBlock, [1, 1, 1, 1]))
