"""The assembled detector: any size, losses or detections as asked, and nothing lost on saving."""

import math

import oracles
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import clip_boxes_to_image

import retinanet_lite
from retinanet_lite import Anchors, BBoxTransform, Detection, FocalLoss


def anchors_of(height: int, width: int) -> int:
    return sum(9 * math.ceil(height / s) * math.ceil(width / s) for s in (8, 16, 32, 64, 128))


@given(height=st.integers(32, 150), width=st.integers(32, 150))
def test_rows_and_anchors_agree_at_every_size(new_tiny, height, width):
    with torch.no_grad():
        logits, deltas, anchors = new_tiny.predict(torch.zeros(1, 3, height, width))
    assert logits.shape[1] == deltas.shape[1] == len(anchors) == anchors_of(height, width)


def test_what_is_asked_for_decides_what_comes_back(detector, small_batch):
    images, annotations = small_batch
    for model in (detector.train(), detector.eval()):
        assert model(images, annotations).keys() == {"classification", "regression"}
        assert [d.keys() for d in model(images)] == [{"boxes", "scores", "labels"}] * 2


def test_losses_are_the_same_in_train_and_in_eval_mode(detector, small_batch):
    training = detector.train()(*small_batch)
    torch.testing.assert_close(detector.eval()(*small_batch), training, rtol=0, atol=0)


def test_detecting_keeps_no_graph(detector, small_batch):
    for detections in detector.train()(small_batch[0]):
        assert not any(value.requires_grad for value in detections.values())


def test_a_model_may_train_after_detecting_in_inference_mode(tiny, small_batch):
    with torch.inference_mode():
        tiny(small_batch[0])
    sum(tiny(*small_batch).values()).backward()
    assert tiny.backbone.conv1.weight.grad is not None


def test_every_level_goes_through_the_same_two_heads(tiny):
    calls = []
    for head in (tiny.regression_model, tiny.classification_model):
        head.register_forward_hook(lambda module, inputs, output: calls.append(module))
    tiny.predict(torch.zeros(1, 3, 64, 64))
    assert calls.count(tiny.regression_model) == calls.count(tiny.classification_model) == 5


def test_autocast_gives_losses_in_float32_close_to_those_without(detector, small_batch):
    expected = detector(*small_batch)
    with torch.autocast("cpu", torch.bfloat16):
        logits, _, _ = detector.predict(small_batch[0])
        losses = detector(*small_batch)
        detections = detector(small_batch[0])
    assert logits.dtype == torch.bfloat16
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    torch.testing.assert_close(losses, expected, rtol=0.05, atol=0.05)
    assert all(d["scores"].dtype == d["boxes"].dtype == torch.float32 for d in detections)


def test_a_saved_model_holds_no_anchors_and_loads_whole(tiny, make_tiny, small_batch):
    state = tiny.state_dict()
    assert state.keys() == dict(tiny.named_parameters()).keys() | {
        key for key in state if key.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }
    other = make_tiny()
    other.load_state_dict(state, strict=True)
    torch.testing.assert_close(other(*small_batch), tiny(*small_batch), rtol=0, atol=0)


def test_another_box_transform_reaches_the_loss_and_the_detections(make_tiny, small_batch):
    std = (1.0, 1.0, 1.0, 1.0)
    model = make_tiny(
        box_transform=BBoxTransform(std=std),
        focal_loss=FocalLoss(),
        detection=Detection(score_threshold=0.0),
    )
    torch.nn.init.constant_(model.regression_model.output.bias, 0.1)  # the same for every anchor
    images, annotations = small_batch
    logits, deltas, anchors = model.predict(images)

    expected = FocalLoss(box_transform=BBoxTransform(std=std))(logits, deltas, anchors, annotations)
    torch.testing.assert_close(model(images, annotations), expected)
    assert expected["regression"] != FocalLoss()(logits, deltas, anchors, annotations)["regression"]

    boxes = torch.tensor([oracles.decode(anchor, [0.1] * 4, std) for anchor in anchors.tolist()])
    boxes = clip_boxes_to_image(boxes, images.shape[2:])
    for detections in model(images):
        assert len(detections["boxes"]) > 5
        offsets = detections["boxes"][:, None] - boxes  # from the boxes of all anchors
        assert (offsets.abs().amax(dim=2).amin(dim=1) < 0.01).all()


def test_other_anchors_loss_and_thresholds_take_the_place_of_the_default(make_tiny, small_batch):
    model = make_tiny(
        anchors=Anchors(ratios=(1.0,), scales=(1.0, 1.5)),
        focal_loss=FocalLoss(gamma=0.0),
        detection=Detection(score_threshold=0.0, max_detections=4),
    )
    images, annotations = small_batch
    logits, deltas, anchors = model.predict(images)
    assert len(anchors) == logits.shape[1] == anchors_of(97, 130) * 2 // 9
    expected = FocalLoss(gamma=0.0)(logits, deltas, anchors, annotations)
    torch.testing.assert_close(model(images, annotations), expected)
    assert [len(d["scores"]) for d in model(images)] == [4, 4]


def test_what_others_do_differently_reaches_its_parts(make_tiny):
    model = make_tiny(p6_from="P5", norm_groups=8, bn_eps=0.1)
    assert model.fpn.p6.in_channels == model.fpn.output5.out_channels
    modules = list(model.modules())
    norms = [module for module in modules if isinstance(module, torch.nn.GroupNorm)]
    assert [norm.num_groups for norm in norms] == [8] * 2 * 4
    assert {m.eps for m in modules if isinstance(m, torch.nn.BatchNorm2d)} == {0.1}


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_each_depth_has_torchvisions_backbone(depth):
    with torch.device("meta"):
        build = getattr(retinanet_lite, f"retinanet_resnet{depth}")
        model = build(num_classes=7, feature_size=32)
        theirs = getattr(torchvision.models, f"resnet{depth}")()
    del theirs.fc
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in model.backbone.state_dict().items()} == shapes
    assert build.__name__ == f"retinanet_resnet{depth}" and model.num_classes == 7
    assert model.classification_model.output.out_channels == 9 * 7


def test_anchors_of_other_levels_than_the_pyramids_are_refused(make_tiny):
    with pytest.raises(ValueError, match=r"levels 3 to 7.*levels=\(3, 4, 5\)"):
        make_tiny(anchors=Anchors(levels=(3, 4, 5)))
