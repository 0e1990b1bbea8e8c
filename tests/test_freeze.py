"""A frozen part keeps every bit, through training, saving and going on; the others learn."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_training import RECIPE, new_detector, scenes

from retinanet_lite import Detector, Recipe, RetinaNet, fit
from retinanet_lite.data.transforms import augment
from retinanet_lite.training.run_folder import Run

PARTS = ("backbone.conv1", "backbone.bn1", "backbone.layer1", "fpn.lateral4")
SHORT = replace(RECIPE, steps=2)
TWICE = replace(RECIPE, steps=4, save_every=2)
NORMS = ("bn1", "bn2", "downsample.1")


def bits(model: RetinaNet) -> dict[str, torch.Tensor]:
    """Parameters and statistics, without the anchors' and the transform's constants."""
    return {key: value.clone() for key, value in model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], model: RetinaNet) -> set[str]:
    return {key for key, value in bits(model).items() if not torch.equal(value, before[key])}


def within(model: RetinaNet, *parts: str) -> set[str]:
    return {key for key in bits(model) if key.startswith(tuple(f"{part}." for part in parts))}


def norms(model: RetinaNet) -> set[str]:
    """What batch norm consists of."""
    return {key for key in bits(model) if key.rsplit(".", 1)[0].endswith(NORMS)}


def fixed(model: RetinaNet) -> set[str]:
    """The parameters that do not learn."""
    return {name for name, p in model.named_parameters() if not p.requires_grad}


def trained(detector: Detector, recipe: Recipe = SHORT, **arguments) -> set[str]:
    """What a training changes."""
    before = bits(detector.model)
    fit(detector, scenes(5), None, recipe, augment(), progress=False, **arguments)
    return changed(before, detector.model)


# ── what learns ──


@pytest.mark.parametrize("optimizer, rate", [("adamw", 0.001), ("sgd", 1.0)])
@pytest.mark.parametrize("freeze_bn", [False, True])
def test_training_changes_all_but_the_frozen_parts(optimizer, rate, freeze_bn):
    detector = new_detector(freeze_bn)
    model = detector.model
    model.freeze(*PARTS)
    still = within(model, *PARTS) | (norms(model) if freeze_bn else set())
    assert len(within(model, *PARTS)) > 15
    recipe = replace(SHORT, optimizer=optimizer, learning_rate=rate)
    assert trained(detector, recipe) == set(bits(model)) - still


def test_a_frozen_part_stays_in_eval_mode_whatever_is_called(tiny):
    tiny.freeze_bn(False)
    tiny.freeze("backbone.layer2")
    for model in (tiny.train(), tiny.eval().train(), tiny.train(False).train(True)):
        modes = {name: module.training for name, module in model.named_modules()}
        for name, training in modes.items():
            assert training == (not name.startswith("backbone.layer2")), name


def test_thawed_parts_learn_again():
    detector = new_detector()
    detector.model.freeze(*PARTS)
    detector.model.freeze()
    assert detector.model.frozen == ()
    assert trained(detector) == set(bits(detector.model))


def test_a_later_call_takes_the_place_of_an_earlier_one():
    detector = new_detector()
    model = detector.model
    model.freeze("backbone", "fpn.p6")
    model.freeze("fpn", "backbone.layer1.0.conv2")
    assert trained(detector) == set(bits(model)) - within(model, "fpn", "backbone.layer1.0.conv2")


def test_a_part_within_a_frozen_part_may_be_named_too(tiny):
    tiny.freeze("backbone.layer1", "backbone")
    assert fixed(tiny) == {name for name, _ in tiny.backbone.named_parameters("backbone")}
    tiny.freeze("backbone.layer1")
    assert fixed(tiny) - norms(tiny) == {
        "backbone.layer1.0.conv1.weight",
        "backbone.layer1.0.conv2.weight",
    }


# ── beside batch norm that is frozen, and what is frozen by hand ──


def test_thawing_batch_norm_leaves_frozen_parts_frozen():
    detector = new_detector(freeze_bn=True)
    model = detector.model
    model.freeze("backbone.layer1")
    model.freeze_bn(False)
    assert trained(detector) == set(bits(model)) - within(model, "backbone.layer1")


@pytest.mark.parametrize("freeze_bn", [False, True])
@pytest.mark.parametrize("part", ["fpn.p6", "backbone.bn1"])
def test_what_was_frozen_by_hand_stays_so(make_tiny, freeze_bn, part):
    model = make_tiny(freeze_bn=freeze_bn)
    model.get_submodule(part).requires_grad_(False)
    expected = fixed(model)
    model.freeze("backbone.layer1")
    assert fixed(model) >= expected
    model.freeze()
    assert fixed(model) == expected


# ── what can't be frozen ──


@pytest.mark.parametrize("part", ["layer1", "backbone.relu", ""])
def test_a_part_that_is_not_there_is_named_with_those_that_are(tiny, part):
    tiny.freeze("fpn")
    expected = fixed(tiny)
    with pytest.raises(ValueError) as error:
        tiny.freeze("backbone.layer1", part)
    message = str(error.value)
    assert f"no parameters in '{part}'" in message and "\n" not in message
    for name in ("backbone.conv1", "backbone.layer4", "fpn", "classification_model"):
        assert f"{name}," in message or f"{name} " in message
    assert tiny.frozen == ("fpn",) and fixed(tiny) == expected  # as if it had not been asked


def test_where_every_part_is_frozen_nothing_can_learn_and_that_is_told(tmp_path):
    detector = new_detector()
    detector.model.freeze("backbone", "fpn", "regression_model", "classification_model")
    with pytest.raises(ValueError, match="every part of the model is frozen"):
        trained(detector, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ── files ──


def test_a_frozen_detector_is_still_frozen_when_it_is_loaded(tmp_path):
    detector = new_detector()
    detector.model.freeze(*PARTS)
    detector.save(tmp_path / "a.pt")
    loaded = Detector.load(tmp_path / "a.pt")
    assert loaded.model.frozen == PARTS and fixed(loaded.model) == fixed(detector.model)
    assert trained(loaded) == set(bits(detector.model)) - within(detector.model, *PARTS)
    loaded.model.freeze()
    assert fixed(loaded.model) == set()


def test_a_copy_is_frozen_alike(tiny):
    tiny.freeze("fpn")
    twin = copy.deepcopy(tiny)
    twin.freeze()
    assert fixed(twin) < fixed(tiny)
    assert "fpn.p6.weight" in fixed(tiny)


def training(folder: Path, *parts: str) -> RetinaNet:
    """The model of a training with these parts frozen."""
    detector = new_detector()
    detector.model.freeze(*parts)
    trained(detector, TWICE, folder=folder)
    return detector.model


def test_a_training_that_goes_on_keeps_its_parts_frozen(tmp_path, monkeypatch):
    write = Run.write

    def write_and_stop(run: Run, record: dict, save: bool) -> None:
        write(run, record, save)
        if record["step"] == 3:
            raise KeyboardInterrupt

    whole = training(tmp_path / "whole", *PARTS)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Run, "write", write_and_stop)
        training(tmp_path / "run", *PARTS)
    model = training(tmp_path / "run", *PARTS)
    assert changed(bits(whole), model) == set()
    assert changed(bits(new_detector().model), model) == set(bits(model)) - within(model, *PARTS)
    for name in ("best.pt", "last.pt"):
        assert Detector.load(tmp_path / "run" / name).model.frozen == PARTS
