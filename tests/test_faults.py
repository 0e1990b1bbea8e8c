"""Faults of a well-known implementation of RetinaNet, none of which is here.

Number 12 is about evaluation, and half of 13 about reading files; both come with their issues.
"""

import ast
import io
import math
from pathlib import Path

import pytest
import torch

import retinanet_lite
from retinanet_lite import (
    Anchors,
    BBoxTransform,
    ClipBoxes,
    FocalLoss,
    focal_loss,
    match_anchors,
    quicken,
)


@pytest.mark.parametrize("size", [(65, 64), (100, 100), (33, 33)])
def test_fault_01_sizes_whose_grids_are_odd_do_not_crash(tiny, size):
    images = torch.randn(1, 3, *size)
    losses = tiny(images, torch.tensor([[[2.0, 3.0, 30.0, 31.0, 0.0]]]))
    assert losses["classification"].isfinite()
    assert len(tiny(images)) == 1


def test_fault_02_images_of_a_batch_are_not_mixed(detector, small_batch):
    images = small_batch[0].clone()
    images[1] = images[0].flip(2)
    together = detector(images)
    for i in range(2):
        (alone,) = detector(images[[i]])
        assert len(alone["scores"]) > 5
        torch.testing.assert_close(together[i], alone, rtol=1e-4, atol=1e-3)


def test_fault_03_anchors_with_other_arguments_work(make_tiny):
    model = make_tiny(anchors=Anchors(ratios=(0.25, 4.0), scales=(1.0,), size=3.0))
    logits, deltas, anchors = model.predict(torch.zeros(1, 3, 64, 64))
    rows = 2 * (8 * 8 + 4 * 4 + 2 * 2 + 1 + 1)  # two anchors a cell
    assert logits.shape[1] == deltas.shape[1] == len(anchors) == rows
    assert set(((anchors[:, 2] - anchors[:, 0]) / (anchors[:, 3] - anchors[:, 1])).tolist()) == {
        0.25,
        4.0,
    }


def test_fault_04_train_mode_does_not_thaw_batch_norm(tiny, small_batch):
    tiny.train()
    norm = tiny.backbone.layer3[0].bn1
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    optimizer = torch.optim.SGD(tiny.parameters(), lr=1.0)
    sum(tiny(*small_batch).values()).backward()
    optimizer.step()
    torch.testing.assert_close(norm.state_dict(), before, rtol=0, atol=0)


def test_fault_05_clipping_cuts_every_side_and_changes_no_box_in_place():
    boxes = torch.tensor([[70.0, 70.0, 90.0, 90.0], [-9.0, -8.0, 70.0, 10.0]])
    clipped = ClipBoxes()(boxes, torch.empty(1, 3, 64, 64))
    assert clipped.tolist() == [[64.0, 64.0, 64.0, 64.0], [0.0, 0.0, 64.0, 10.0]]
    assert boxes.tolist() == [[70.0, 70.0, 90.0, 90.0], [-9.0, -8.0, 70.0, 10.0]]


def test_fault_06_a_positive_of_probability_one_in_a_million_has_a_gradient():
    probability = 1e-6
    logit = torch.tensor(math.log(probability / (1 - probability)), requires_grad=True)
    loss = focal_loss(logit, torch.tensor(1.0))
    loss.backward()
    assert loss.item() == pytest.approx(0.25 * -math.log(probability), rel=1e-4)  # not 2.302
    assert logit.grad.item() == pytest.approx(-0.25, rel=1e-3)


@pytest.mark.parametrize("sides", [(8, 8), (10, 10), (64, 3)])
def test_fault_07_an_object_that_no_anchor_covers_is_learned(sides):
    box = torch.tensor([[50.0, 60.0, 50.0 + sides[0], 60.0 + sides[1]]])
    anchors = Anchors()(torch.empty(1, 3, 128, 160))
    assert 0 in match_anchors(anchors, box)
    assert 0 not in match_anchors(anchors, box, keep_best=False)  # the fault
    annotations = torch.cat([box, torch.tensor([[1.0]])], dim=1)[None]
    outputs = torch.zeros(1, len(anchors), 3), torch.zeros(1, len(anchors), 4)
    assert FocalLoss()(*outputs, anchors, annotations)["regression"] > 0


def test_fault_08_on_step_one_every_parameter_has_a_gradient(tiny, small_batch):
    sum(tiny(*small_batch).values()).backward()
    learning = {name: p for name, p in tiny.named_parameters() if p.requires_grad}
    assert "backbone.conv1.weight" in learning
    assert [name for name, p in learning.items() if p.grad is None or not p.grad.any()] == []


def test_fault_09_no_delta_makes_a_box_infinite():
    anchors = torch.tensor([[0.0, 0.0, 512.0, 512.0]])
    assert BBoxTransform()(anchors, torch.full((1, 4), 1000.0)).isfinite().all()


def test_fault_10_the_model_stays_where_it_is_though_there_is_a_gpu(tiny, small_batch, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    anchors = tiny.predict(small_batch[0])[2]
    assert anchors.device.type == "cpu"
    assert tiny(*small_batch)["classification"].device.type == "cpu"
    tiny(small_batch[0])


def test_fault_11_anchors_are_computed_once_and_without_numpy(tiny):
    images = torch.zeros(1, 3, 64, 96)
    quicken(tiny)
    assert tiny.anchors(images).data_ptr() == tiny.anchors(images + 1).data_ptr()
    source = Path(retinanet_lite.model.anchors.__file__).read_text(encoding="utf-8")
    imported = {
        name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None), *(alias.name for alias in node.names)]
    }
    assert "torch" in imported
    assert "numpy" not in imported


def test_fault_13_an_image_with_transparency_is_told_to_drop_it(tiny):
    with pytest.raises(ValueError, match=r"got \[1, 4, 64, 64\].*RGBA.*image\[:3\]"):
        tiny(torch.zeros(1, 4, 64, 64))


def test_fault_13_a_saved_model_loads_with_weights_only(tiny, make_tiny, small_batch):
    file = io.BytesIO()
    torch.save(tiny.state_dict(), file)
    file.seek(0)
    other = make_tiny()
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    torch.testing.assert_close(other(*small_batch), tiny(*small_batch), rtol=0, atol=0)


def test_fault_14_detections_are_sorted_by_score(detector, small_batch):
    for detections in detector(small_batch[0]):
        scores = detections["scores"].tolist()
        assert len(set(scores)) > 5
        assert len(detections["labels"].unique()) > 1  # not in the order of the classes
        assert scores == sorted(scores, reverse=True)
