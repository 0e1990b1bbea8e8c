"""The numbers of the walkthrough: ResNet-50, 20 classes, images [2, 3, 640, 832]."""

import pytest
import torch

from retinanet_lite import RetinaNet, retinanet_resnet50
from retinanet_lite.learn.trace import trace

# from the walkthrough, each name as it stands in the table
SHAPES = {
    "image": (2, 3, 640, 832),
    "conv1": (2, 64, 320, 416),
    "maxpool": (2, 64, 160, 208),
    "layer1": (2, 256, 160, 208),
    "C3": (2, 512, 80, 104),
    "C4": (2, 1024, 40, 52),
    "C5": (2, 2048, 20, 26),
    "P3": (2, 256, 80, 104),
    "P4": (2, 256, 40, 52),
    "P5": (2, 256, 20, 26),
    "P6": (2, 256, 10, 13),
    "P7": (2, 256, 5, 7),
    "regression P3": (2, 74_880, 4),
    "regression P4": (2, 18_720, 4),
    "regression P5": (2, 4_680, 4),
    "regression P6": (2, 1_170, 4),
    "regression P7": (2, 315, 4),
    "regression": (2, 99_765, 4),
    "classification P3": (2, 74_880, 20),
    "classification P4": (2, 18_720, 20),
    "classification P5": (2, 4_680, 20),
    "classification P6": (2, 1_170, 20),
    "classification P7": (2, 315, 20),
    "classification": (2, 99_765, 20),
    "anchors": (99_765, 4),
}


@pytest.fixture(scope="module")
def resnet50() -> RetinaNet:
    torch.manual_seed(0)
    return retinanet_resnet50(num_classes=20).to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def real_pass(resnet50, scene_batch) -> dict[str, torch.Tensor]:
    """What left each stage in one real pass, by the names of the table: of every fourth pixel."""
    outputs = {}
    backbone = resnet50.backbone
    hooks = [
        module.register_forward_hook(lambda m, i, output, name=name: outputs.update({name: output}))
        for name, module in [
            ("conv1", backbone.conv1),
            ("maxpool", backbone.maxpool),
            ("layer1", backbone.layer1),
            ("C", backbone),
            ("P", resnet50.fpn),
        ]
    ]
    for name in ("regression", "classification"):
        head = getattr(resnet50, f"{name}_model")
        outputs[f"{name} levels"] = rows = []
        hooks.append(
            head.register_forward_hook(lambda m, i, output, rows=rows: rows.append(output))
        )
    images = scene_batch[0][:, :, ::4, ::4].contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        logits, deltas, anchors = resnet50.predict(images)
    for hook in hooks:
        hook.remove()
    outputs |= {"image": images, "classification": logits, "regression": deltas, "anchors": anchors}
    outputs |= zip(["C3", "C4", "C5"], outputs.pop("C"), strict=True)
    levels = ["P3", "P4", "P5", "P6", "P7"]
    outputs |= zip(levels, outputs.pop("P"), strict=True)
    for name in ("regression", "classification"):
        rows = outputs.pop(f"{name} levels")
        outputs |= zip([f"{name} {level}" for level in levels], rows, strict=True)
    return outputs


def test_the_table_has_every_shape_of_the_walkthrough(resnet50):
    table = trace(resnet50, 640, 832, batch_size=2)
    assert {name: table[name].shape for name in SHAPES} == SHAPES
    assert len(table.stages) == len(SHAPES)


def test_a_real_pass_has_every_shape_of_a_table(resnet50, real_pass):
    """The pass through whole images is the walkthrough's own code, see test_docs.py."""
    table = trace(resnet50, 160, 208, batch_size=2)
    shapes = {name: table[name].shape for name in SHAPES}
    assert {name: tuple(output.shape) for name, output in real_pass.items()} == shapes


def test_before_training_every_probability_is_one_hundredth(real_pass):
    probabilities = real_pass["classification"].sigmoid()
    torch.testing.assert_close(
        probabilities, torch.full_like(probabilities, 0.01), rtol=1e-3, atol=0
    )


def test_before_training_every_anchor_stays_where_it_is(real_pass):
    assert real_pass["regression"].abs().max() < 1e-3


def test_images_in_channels_last_stay_so_through_the_whole_pyramid(real_pass):
    for name in ("C3", "C4", "C5", "P3", "P4", "P5", "P6", "P7"):
        assert real_pass[name].is_contiguous(memory_format=torch.channels_last), name


def test_with_80_classes_it_has_37968692_parameters():
    with torch.device("meta"):  # parameters with a shape and no values
        model = retinanet_resnet50(num_classes=80)
    assert sum(p.numel() for p in model.parameters()) == 37_968_692
