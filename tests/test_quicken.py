"""`quicken` exchanges the parts of a model and nothing else, and can be taken back."""

import copy

import pytest
import torch
import torch.nn as nn

from retinanet_lite import (
    Anchors,
    BBoxTransform,
    Detection,
    Detector,
    FocalLoss,
    quicken,
    replace_classes,
    unquicken,
)

QUICK = {"QuickAnchors", "QuickBatchNorm2d", "QuickDetection", "QuickFocalLoss"}


def kinds(model: nn.Module) -> set[str]:
    return {type(module).__name__ for module in model.modules()}


@pytest.fixture(params=["AVX2", "AVX512"])
def processor(request, monkeypatch) -> str:
    """Which convolutions are exchanged depends on it, and nothing else."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: request.param)
    return request.param


def test_the_parts_are_exchanged_and_printed_and_come_back(tiny, processor):
    before = kinds(tiny)
    printed = str(tiny)
    quick = QUICK | ({"QuickConv2d"} if processor == "AVX2" else set())
    assert quicken(tiny) is tiny
    assert {name for name in kinds(tiny) if name.startswith("Quick")} == quick
    assert all(f"{name}(" in str(tiny) for name in quick)
    assert unquicken(tiny) is tiny
    assert kinds(tiny) == before and str(tiny) == printed


def test_parameters_buffers_and_their_names_are_the_very_same(tiny, processor):
    parameters, state = dict(tiny.named_parameters()), tiny.state_dict()
    for exchange in (quicken, quicken, unquicken):
        exchange(tiny)
        assert list(dict(tiny.named_parameters())) == list(parameters)
        assert all(p is parameters[name] for name, p in tiny.named_parameters())
        assert list(tiny.state_dict()) == list(state)
        assert all(v.data_ptr() == state[k].data_ptr() for k, v in tiny.state_dict().items())


def test_hooks_and_settings_go_on(tiny, small_batch):
    seen = []
    hooked = tiny.backbone.bn1, tiny.focal_loss
    handles = [
        part.register_forward_hook(lambda part, *_: seen.append(type(part).__name__))
        for part in hooked
    ]
    tiny.focal_loss.gamma = 1.0
    quicken(tiny)
    tiny.focal_loss.alpha = 0.5
    tiny(*small_batch)
    assert seen == ["QuickBatchNorm2d", "QuickFocalLoss"]
    unquicken(tiny)
    assert (tiny.focal_loss.gamma, tiny.focal_loss.alpha) == (1.0, 0.5)
    for handle in handles:
        handle.remove()
    tiny(*small_batch)
    assert len(seen) == 2


def test_a_part_of_ones_own_class_stays(make_tiny, small_batch):
    class Halved(FocalLoss):
        def forward(self, *inputs):
            return {name: loss / 2 for name, loss in super().forward(*inputs).items()}

    model = make_tiny(focal_loss=Halved())
    whole = FocalLoss(box_transform=model.regress_boxes)(
        *model.predict(small_batch[0]), small_batch[1]
    )
    losses = quicken(model)(*small_batch)
    assert type(model.focal_loss) is Halved
    torch.testing.assert_close(losses, {name: loss / 2 for name, loss in whole.items()})


def test_a_copy_and_new_classes_are_quick_and_apart(detector, small_batch):
    copied = copy.deepcopy(quicken(detector))
    assert kinds(copied) == kinds(detector)
    copied.detection.score_threshold = 0.99
    copied.backbone.bn1.running_mean += 1
    assert detector.detection.score_threshold == 0.05
    assert not torch.equal(copied.backbone.bn1.running_mean, detector.backbone.bn1.running_mean)
    assert replace_classes(detector, 5)(*small_batch)["classification"].isfinite()


# ── plain and quick agree ──

LOSSES = [
    {},
    {"keep_best": False, "gamma": 0.5},
    {"keep_best": "low_quality", "box_loss": "giou"},
    {"box_loss": "l1", "alpha": 0.9, "positive": 0.6, "negative": 0.3},
]


def losses_and_gradients(loss, logits, deltas, anchors, annotations):
    inputs = logits.clone().requires_grad_(), deltas.clone().requires_grad_()
    losses = loss(*inputs, anchors, annotations)
    return losses, torch.autograd.grad(sum(losses.values()), inputs)


@pytest.mark.parametrize("arguments", LOSSES, ids=str)
def test_losses_and_their_gradients_agree_in_float64(small_batch, arguments):
    anchors = Anchors().double()((97, 130))
    logits = torch.randn(2, len(anchors), 3, dtype=torch.float64) * 3 - 2
    deltas = torch.randn(2, len(anchors), 4, dtype=torch.float64)
    annotations = small_batch[1].double()
    annotations[1] = -1  # an image of nothing
    transform = BBoxTransform().double()
    loss = FocalLoss(**arguments, box_transform=transform)
    plain = losses_and_gradients(loss, logits, deltas, anchors, annotations)
    quick = losses_and_gradients(quicken(loss), logits, deltas, anchors, annotations)
    torch.testing.assert_close(quick, plain)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_step_of_training_agrees(make_tiny, small_batch, processor, frozen, autocast):
    model = make_tiny(freeze_bn=frozen).to(memory_format=torch.channels_last)
    nn.init.normal_(model.classification_model.output.weight, std=0.02)
    images = small_batch[0].contiguous(memory_format=torch.channels_last)
    both = []
    for exchange in (unquicken, quicken):
        step = exchange(copy.deepcopy(model))
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            losses = step(images, small_batch[1])
        sum(losses.values()).backward()
        grads = {name: p.grad for name, p in step.named_parameters() if p.requires_grad}
        both.append((losses, grads, dict(step.named_buffers())))
    tolerance = {"rtol": 5e-2, "atol": 5e-2} if autocast else {"rtol": 1e-3, "atol": 1e-5}
    torch.testing.assert_close(both[1], both[0], **tolerance)


def test_a_step_of_training_agrees_in_float64_to_the_last_digits(make_tiny, small_batch):
    model = make_tiny().double()
    batch = small_batch[0].double(), small_batch[1].double()
    both = []
    for exchange in (unquicken, quicken):
        step = exchange(copy.deepcopy(model))
        sum(step(*batch).values()).backward()
        both.append({name: p.grad for name, p in step.named_parameters() if p.requires_grad})
    torch.testing.assert_close(both[1], both[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "arguments", [{}, {"top_k": 7}, {"top_k": None, "max_detections": None, "keep_empty": True}]
)
@pytest.mark.parametrize("mean", [-12.0, -3.0, 1.0], ids=["none", "some", "most"])
def test_detections_agree(arguments, mean):
    anchors = Anchors().double()  # in float32 many scores are equal, and their order is free
    size, counts = (160, 208), anchors.level_counts(160, 208)
    boxes = anchors(size)
    logits = torch.randn(2, len(boxes), 4, dtype=torch.float64) + mean
    deltas = torch.randn(2, len(boxes), 4, dtype=torch.float64)
    plain = Detection(**arguments)(logits, deltas, boxes, counts, size)
    quick = quicken(Detection(**arguments))(logits, deltas, boxes, counts, size)
    torch.testing.assert_close(quick, plain)


# ── who quickens ──


def test_a_detector_is_quick_unless_it_is_asked_to_be_plain(tiny, tmp_path):
    names = ("disc", "square", "star")
    assert kinds(Detector(tiny, names).model) >= QUICK
    Detector(tiny, names).save(tmp_path / "a.pt")
    assert kinds(Detector.load(tmp_path / "a.pt").model) >= QUICK
    assert not QUICK & kinds(Detector.load(tmp_path / "a.pt", plain=True).model)
    assert not QUICK & kinds(Detector(tiny, names, plain=True).model)
    assert kinds(Detector.pretrained("shapes").model) >= QUICK
    assert not QUICK & kinds(Detector.pretrained("shapes", plain=True).model)
