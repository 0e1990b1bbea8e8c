"""Other classes for a trained model: what it has learned stays, what it says is new."""

import copy

import pytest
import torch
import torch.nn as nn
from small_training import scenes

from retinanet_lite import (
    Anchors,
    BBoxTransform,
    Detection,
    Detector,
    FocalLoss,
    RetinaNet,
    keep_classes,
    replace_classes,
)
from retinanet_lite.data.batches import to_batch

OUTPUT = {"classification_model.output.weight", "classification_model.output.bias"}


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 96)


@pytest.fixture(scope="module")
def first_settled(make_tiny) -> RetinaNet:
    torch.manual_seed(1)
    model = make_tiny(
        freeze_bn=False,
        p6_from="P5",
        norm_groups=4,
        bn_eps=1e-3,
        anchors=Anchors(ratios=(0.4, 1.0), scales=(1.0, 1.5), size=3.0, offset=0.0),
        box_transform=BBoxTransform((0.2, 0.3, 0.4, 0.5), max_log_scale=2.0),
        focal_loss=FocalLoss(gamma=1.0, box_loss="giou"),
        detection=Detection(0.2, None, 0.6, 7, keep_empty=True),
    )
    nn.init.normal_(model.classification_model.output.weight, std=0.1)
    nn.init.normal_(model.classification_model.output.bias)
    return model


@pytest.fixture
def settled(first_settled) -> RetinaNet:
    """A model of three classes whose every setting is another than by default."""
    return copy.deepcopy(first_settled)


CHANGES = {
    "replace": lambda model: replace_classes(model, 5),
    "keep": lambda model: keep_classes(model, [2, 0]),
}


@pytest.fixture(params=CHANGES)
def change(request):
    return CHANGES[request.param]


def bits(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    assert one.keys() == other.keys()
    return {key for key in one if not torch.equal(one[key], other[key])}


def fixed(model: nn.Module) -> set[str]:
    """The parameters that do not learn."""
    return {name for name, p in model.named_parameters() if not p.requires_grad}


# ── both ways ──


def test_all_but_the_output_stays_bit_for_bit(settled, change):
    assert differing(bits(settled), bits(change(settled))) == OUTPUT


def test_every_setting_stays(settled, change):
    new = change(settled)
    names = [[str(i) for i in range(model.num_classes)] for model in (settled, new)]
    before, after = (
        Detector(model, of_model).about()
        for model, of_model in zip((settled, new), names, strict=True)
    )
    assert {name for name in before if before[name] != after[name]} == {"classes", "num_classes"}


def test_the_given_model_is_untouched_also_by_training_the_new_one(settled, change):
    before, learned = bits(settled), fixed(settled)
    new = change(settled).train()
    with torch.no_grad():
        for value in [*new.parameters(), *new.buffers()]:
            value.add_(1)
    assert differing(before, bits(settled)) == set()
    assert settled.num_classes == 3 and settled.classification_model.values == 3
    assert fixed(settled) == learned


@pytest.mark.parametrize("mode", [True, False])
def test_train_or_eval_mode_stays(settled, change, mode):
    new = change(settled.train(mode))
    assert {module.training for module in new.modules()} == {mode}


def test_what_is_frozen_stays_so(settled, change):
    settled.freeze("backbone.conv1", "fpn")
    new = change(settled)
    assert fixed(new) == fixed(settled)
    new.freeze()
    assert fixed(new) == set()


def test_what_was_frozen_by_hand_stays_so(settled, change):
    settled.backbone.bn1.requires_grad_(False)
    assert fixed(change(settled)) == {"backbone.bn1.weight", "backbone.bn1.bias"}


def test_a_frozen_head_has_a_frozen_output(settled, change):
    settled.freeze("classification_model")
    assert fixed(change(settled)) > OUTPUT


# ── new classes ──


@torch.no_grad()
@pytest.mark.parametrize("prior", [0.01, 0.3])
def test_every_new_class_has_the_prior_everywhere(settled, images, prior):
    logits, _, anchors = replace_classes(settled, 6, prior).predict(images)
    assert logits.shape == (2, len(anchors), 6)
    torch.testing.assert_close(logits.sigmoid(), torch.full_like(logits, prior))


def test_every_weight_has_a_gradient_from_the_first_step_on(settled):
    new = replace_classes(settled, 3).train()
    sum(new(*to_batch(list(scenes(2)))).values()).backward()
    assert [name for name, p in new.named_parameters() if not p.grad.any()] == []


def test_there_is_a_class_or_more(settled):
    with pytest.raises(ValueError, match="num_classes must be 1 or more.*got 0"):
        replace_classes(settled, 0)


# ── some of the old classes ──


@torch.no_grad()
def test_logits_are_those_of_the_labels(settled, images):
    expected = settled.predict(images)[0][..., [2, 0]]
    torch.testing.assert_close(keep_classes(settled, (2, 0)).predict(images)[0], expected)


@torch.no_grad()
def test_detections_are_those_of_the_labels_with_new_numbers(make_tiny):
    torch.manual_seed(1)
    model = make_tiny(6, detection=Detection(0.3, None, 0.5, None)).double().eval()
    nn.init.normal_(model.classification_model.output.weight, std=0.05)
    nn.init.normal_(model.classification_model.output.bias)
    nn.init.normal_(model.regression_model.output.weight, std=0.05)
    labels = [4, 1, 5]
    new = keep_classes(model, torch.tensor(labels))
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    for found, of_all in zip(new(images), model(images), strict=True):
        kept = torch.isin(of_all["labels"], torch.tensor(labels))
        assert 20 < kept.sum() < len(kept) - 20
        torch.testing.assert_close(found["scores"], of_all["scores"][kept])
        torch.testing.assert_close(found["boxes"], of_all["boxes"][kept])
        assert [labels[i] for i in found["labels"]] == of_all["labels"][kept].tolist()
        assert set(found["labels"].tolist()) == {0, 1, 2}


@pytest.mark.parametrize("labels", [[], [0, 0], [3], [-1], [1.5]])
def test_labels_that_the_model_does_not_have_are_told(settled, labels):
    before = bits(settled)
    with pytest.raises(ValueError, match="labels are some of 0 to 2, each once") as error:
        keep_classes(settled, labels)
    assert str(list(labels)) in str(error.value)
    assert differing(before, bits(settled)) == set()
