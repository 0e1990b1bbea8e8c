"""The heads give one row an anchor, in the anchors' order, from the same weights on every level."""

import pytest
import torch
from torch.nn.functional import conv2d, relu
from torchvision.models.detection.retinanet import (
    RetinaNetClassificationHead,
    RetinaNetRegressionHead,
)

from retinanet_lite import ClassificationModel, RegressionModel

A, K = 6, 3  # anchors a cell, classes


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


def test_classification_is_torchvisions():
    theirs = RetinaNetClassificationHead(8, A, K)
    ours = ClassificationModel(8, num_anchors=A, num_classes=K, feature_size=8)
    compare(theirs, theirs.cls_logits, ours)


def test_regression_is_torchvisions():
    theirs = RetinaNetRegressionHead(8, A)
    ours = RegressionModel(8, num_anchors=A, feature_size=8)
    compare(theirs, theirs.bbox_reg, ours)


def compare(theirs, their_output, ours):
    """Same weights, same rows: their head takes all levels at once, ours one after the other."""
    for p in theirs.parameters():
        torch.nn.init.normal_(p, std=0.2)
    their_convs = [*(block[0] for block in theirs.conv), their_output]
    our_convs = [ours.conv1, ours.conv2, ours.conv3, ours.conv4, ours.output]
    for our_conv, their_conv in zip(our_convs, their_convs, strict=True):
        our_conv.load_state_dict(their_conv.state_dict(), strict=True)
    levels = [torch.randn(2, 8, h, w) for h, w in ((6, 7), (3, 4), (2, 2), (1, 1))]
    torch.testing.assert_close(torch.cat([ours(p) for p in levels], dim=1), theirs(levels))


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
