"""The table says what a real pass through the model gives."""

import pytest
import torch

from retinanet_lite import Anchors, BasicBlock, Bottleneck, RetinaNet
from retinanet_lite.learn.trace import trace


@pytest.mark.parametrize(
    ("block", "layers", "size"),
    [
        (BasicBlock, [1, 1, 1, 1], (65, 97)),
        (BasicBlock, [1, 2, 1, 1], (33, 200)),
        (Bottleneck, [1, 1, 2, 1], (64, 96)),
    ],
)
def test_every_row_is_the_shape_of_a_real_pass(block, layers, size):
    model = RetinaNet(4, block, layers, feature_size=16).eval()
    images = torch.randn(2, 3, *size)
    table = trace(model, *size, batch_size=2)
    with torch.no_grad():
        x = model.backbone.conv1(images)
        features = model.backbone(images)
        levels = model.fpn(features)
        logits, deltas, anchors = model.predict(images)
        expected = {
            "image": images,
            "conv1": x,
            "maxpool": model.backbone.maxpool(x),
            "layer1": model.backbone.layer1(model.backbone.maxpool(x)),
            "regression": deltas,
            "classification": logits,
            "anchors": anchors,
        }
        expected |= dict(zip(["layer2", "layer3", "layer4"], features, strict=True))
        for name, level in zip(["P3", "P4", "P5", "P6", "P7"], levels, strict=True):
            expected[name] = level
            expected[f"regression {name}"] = model.regression_model(level)
            expected[f"classification {name}"] = model.classification_model(level)
    assert len(table.stages) == len(expected)
    for name, output in expected.items():
        assert table[name].shape == tuple(output.shape), name


@pytest.mark.parametrize("size", [(64, 96), (417, 333)])
def test_a_stride_is_the_pixels_between_two_cells(tiny, size):
    for stage in trace(tiny, *size).stages:
        if stage.stride and len(stage.shape) == 4:
            assert stage.shape[2:] == tuple(-(-side // stage.stride) for side in size), stage.name


def test_the_parameters_of_the_rows_add_up_to_the_models(tiny):
    expected = sum(p.numel() for p in tiny.parameters())
    assert sum(stage.parameters for stage in trace(tiny, 64, 64).stages) == expected
    assert f"{expected:,}" in str(trace(tiny, 64, 64)).splitlines()[-1]


def test_a_stage_is_looked_up_by_either_of_its_names(tiny):
    table = trace(tiny, 64, 96)
    assert table["C3"] is table["layer2"] is table["layer2 = C3"]
    assert table["C3"].shape == (2, 128, 8, 12)
    assert table["P3"].shape == (2, 16, 8, 12)
    assert table["P3"].stride == 8


def test_an_unknown_stage_is_answered_with_the_names_there_are(tiny):
    with pytest.raises(KeyError, match=r"no stage 'P2'; there are \['image', .*'P3'.*'anchors'\]"):
        trace(tiny, 64, 64)["P2"]


def test_the_printed_table_has_a_line_for_every_stage(tiny):
    table = trace(tiny, 64, 96)
    heading, *lines, total = str(table).splitlines()
    assert heading.split() == ["stage", "output", "stride", "parameters"]
    assert total.startswith("total")
    assert [line[:20].rstrip() for line in lines] == [stage.name for stage in table.stages]
    assert "[2, 16, 8, 12]" in lines[[stage.name for stage in table.stages].index("P3")]


def test_tracing_leaves_the_model_as_it_was(tiny):
    before = {key: value.clone() for key, value in tiny.state_dict().items()}
    trace(tiny, 64, 64)
    torch.testing.assert_close(tiny.state_dict(), before, rtol=0, atol=0)
    tiny(torch.randn(1, 3, 64, 64))  # on the CPU still


def test_other_anchors_show_in_the_rows(make_tiny):
    model = make_tiny(anchors=Anchors(ratios=(1.0,), scales=(1.0, 2.0)))
    assert trace(model, 64, 64)["regression P3"].shape == (2, 8 * 8 * 2, 4)


def test_a_model_in_training_is_traced_and_stays_as_it_was(tiny):
    tiny.freeze_bn(False)
    tiny.train()
    # one cell on the coarsest levels: batch norm in training would refuse a batch of one value
    assert trace(tiny, 32, 32, batch_size=1)["C5"].shape[2:] == (1, 1)
    assert tiny.training
    assert all(parameter.device.type == "cpu" for parameter in tiny.parameters())
