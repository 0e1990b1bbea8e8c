"""The heads give one row an anchor, in the anchors' order, from the same weights on every level."""

from functools import partial

import pytest
import torch
from torch.nn.functional import conv2d, relu
from torchvision.models.detection.retinanet import (
    RetinaNetClassificationHead,
    RetinaNetRegressionHead,
)

from retinanet_lite import ClassificationModel, RegressionModel

A, K = 6, 3  # anchors a cell, classes
C = 64  # channels of torchvision's heads, which come out of a level as they go in


@pytest.fixture(params=["classification", "regression"])
def head(request):
    if request.param == "classification":
        return ClassificationModel(8, num_anchors=A, num_classes=K, feature_size=16)
    return RegressionModel(8, num_anchors=A, feature_size=16)


def test_anchor_a_of_row_i_and_column_j_has_the_row_iwa_plus_ja_plus_a(head):
    h, w = 4, 5
    level = torch.randn(2, 8, h, w)
    x = level
    for conv in (head.conv1, head.conv2, head.conv3, head.conv4):
        x = relu(conv2d(x, conv.weight, conv.bias, padding=1))
    x = conv2d(x, head.output.weight, head.output.bias, padding=1)  # [2, A·V, h, w]
    values = x.shape[1] // A

    rows = head(level)
    assert rows.shape == (2, h * w * A, values)
    for image in range(2):
        for i in range(h):
            for j in range(w):
                for a in range(A):
                    expected = [x[image, a * values + v, i, j] for v in range(values)]
                    actual = rows[image, (i * w + j) * A + a]
                    torch.testing.assert_close(actual, torch.stack(expected))


def classification(norm_groups=None):
    norm = norm_groups and partial(torch.nn.GroupNorm, norm_groups)
    theirs = RetinaNetClassificationHead(C, A, K, norm_layer=norm)
    ours = ClassificationModel(C, A, K, feature_size=C, norm_groups=norm_groups)
    return theirs, theirs.cls_logits, ours


def regression(norm_groups=None):
    norm = norm_groups and partial(torch.nn.GroupNorm, norm_groups)
    theirs = RetinaNetRegressionHead(C, A, norm_layer=norm)
    ours = RegressionModel(C, A, feature_size=C, norm_groups=norm_groups)
    return theirs, theirs.bbox_reg, ours


@pytest.mark.parametrize("norm_groups", [None, 32, 1])
@pytest.mark.parametrize("heads", [classification, regression])
def test_outputs_and_gradients_are_torchvisions(heads, norm_groups):
    """Same weights, same rows: their head takes all levels at once, ours one after the other."""
    theirs, their_output, ours = heads(norm_groups)
    for p in theirs.parameters():
        torch.nn.init.normal_(p, std=0.1)
    pairs = [(ours.output, their_output)]
    for i, block in enumerate(theirs.conv, start=1):
        pairs.append((getattr(ours, f"conv{i}"), block[0]))
        if norm_groups:
            pairs.append((getattr(ours, f"norm{i}"), block[1]))
    for mine, its in pairs:
        mine.load_state_dict(its.state_dict(), strict=True)
    assert sum(len(list(mine.parameters())) for mine, _ in pairs) == len(list(ours.parameters()))

    levels = [torch.randn(2, C, h, w) for h, w in ((6, 7), (3, 4), (2, 2), (1, 1))]
    expected = theirs(levels)
    actual = torch.cat([ours(p) for p in levels], dim=1)
    torch.testing.assert_close(actual, expected)
    direction = torch.randn_like(expected)
    for rows in (actual, expected):
        (rows * direction).sum().backward()
    for mine, its in pairs:
        for p, q in zip(mine.parameters(), its.parameters(), strict=True):
            assert q.grad.any()
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-4)


def test_without_norm_groups_a_head_has_its_five_convolutions_and_nothing_else(head):
    layers = ("conv1", "conv2", "conv3", "conv4", "output")
    names = {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    assert head.state_dict().keys() == dict(head.named_parameters()).keys() == names


@pytest.mark.parametrize("norm_groups", [3, 32, 0, -4])
def test_groups_that_do_not_divide_the_channels_are_refused(norm_groups):
    message = f"divide 16 channels; got {norm_groups}"
    with pytest.raises(ValueError, match=message):
        RegressionModel(8, feature_size=16, norm_groups=norm_groups)
    with pytest.raises(ValueError, match=message):
        ClassificationModel(8, feature_size=16, norm_groups=norm_groups)


def test_a_level_in_channels_last_becomes_rows_without_a_copy(head):
    outputs = []
    head.output.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    rows = head(torch.randn(2, 8, 6, 7).to(memory_format=torch.channels_last))
    assert outputs[0].is_contiguous(memory_format=torch.channels_last)
    assert rows.data_ptr() == outputs[0].data_ptr()


def test_what_a_level_shows_gives_the_same_rows_on_another_level(head):
    large = torch.randn(1, 8, 14, 15)
    small = large[:, :, 2:, 3:]  # [1, 8, 12, 12]
    rows_large = head(large).reshape(14, 15, A, -1)
    rows_small = head(small).reshape(12, 12, A, -1)
    # five 3×3 convolutions see five cells to each side; away from the border both see the same
    torch.testing.assert_close(rows_small[5:-5, 5:-5], rows_large[7:-5, 8:-5])


def test_nine_anchors_and_eighty_classes_are_the_default():
    assert ClassificationModel(8)(torch.zeros(1, 8, 2, 3)).shape == (1, 2 * 3 * 9, 80)
    assert RegressionModel(8)(torch.zeros(1, 8, 2, 3)).shape == (1, 2 * 3 * 9, 4)
