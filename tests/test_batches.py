"""Scenes become a batch: normalised images, and annotations filled up with −1."""

import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms.v2 import functional

from retinanet_lite import Anchors
from retinanet_lite.data.batches import normalize, to_annotations, to_batch
from retinanet_lite.data.drawing import random_scene
from retinanet_lite.data.scenes import ShapesDataset

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # ImageNet's


@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 3, 5, 7)])
def test_normalized_images_are_torchvisions(shape):
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    expected = functional.normalize(
        functional.to_dtype(images, torch.float32, scale=True), MEAN, STD
    )
    torch.testing.assert_close(normalize(images), expected)
    torch.testing.assert_close(normalize(images.float() / 255), expected)


def test_images_with_fewer_objects_are_filled_up_with_rows_of_minus_one():
    boxes = torch.tensor([[1.0, 2.0, 30.0, 40.0], [5.5, 6.0, 7.0, 8.0]])
    none = torch.empty(0, 4), torch.empty(0, dtype=torch.int64)
    annotations = to_annotations(
        [(boxes, torch.tensor([2, 0])), none, (boxes[:1], torch.tensor([19]))]
    )
    assert annotations.dtype == torch.float32
    assert annotations.tolist() == [
        [[1.0, 2.0, 30.0, 40.0, 2.0], [5.5, 6.0, 7.0, 8.0, 0.0]],
        [[-1.0] * 5, [-1.0] * 5],
        [[1.0, 2.0, 30.0, 40.0, 19.0], [-1.0] * 5],
    ]


def test_images_without_any_object_make_annotations_without_rows():
    none = torch.empty(0, 4), torch.empty(0, dtype=torch.int64)
    assert to_annotations([none, none]).shape == (2, 0, 5)


def test_a_batch_holds_the_images_and_objects_of_its_scenes():
    scenes = [random_scene(seed, 64, 96, num_objects=(1, 3)) for seed in range(3)]
    images, annotations = to_batch(scenes)
    assert images.shape == (3, 3, 64, 96)
    for scene, image, rows in zip(scenes, images, annotations, strict=True):
        torch.testing.assert_close(image, normalize(scene.image))
        objects = rows[: len(scene.boxes)]
        assert torch.equal(objects[:, :4], scene.boxes)
        assert objects[:, 4].tolist() == scene.labels.tolist()
        assert (rows[len(scene.boxes) :] == -1).all()


def test_images_of_different_sizes_are_filled_up_with_the_mean_colour():
    wide, small = random_scene(0, 64, 96), random_scene(1, 48, 64)
    images, annotations = to_batch([wide, small])
    assert images.shape == (2, 3, 64, 96)
    torch.testing.assert_close(images[1, :, :48, :64], normalize(small.image))
    assert images[1, :, 48:].abs().max() == 0 and images[1, :, :, 64:].abs().max() == 0
    assert torch.equal(annotations[1, : len(small.boxes), :4], small.boxes)


@pytest.mark.parametrize("sizes", [[(64, 96)], [(65, 97)], [(64, 70), (33, 96)]])
def test_a_model_with_torchvisions_anchors_fills_a_batch_up_as_torchvision_does(make_tiny, sizes):
    scenes = [random_scene(i, *size) for i, size in enumerate(sizes)]
    theirs = GeneralizedRCNNTransform(800, 1333, MEAN, STD)
    expected = theirs.batch_images([theirs.normalize(s.image / 255) for s in scenes], 32)
    images, _ = to_batch(scenes)
    filled_up = make_tiny(anchors=Anchors(floor_strides=True)).fill_up(images)
    torch.testing.assert_close(filled_up, expected)
    assert torch.equal(make_tiny().fill_up(images), images)


def test_crowds_teach_nothing():
    scene = random_scene(3, 64, 96, num_objects=(3, 3))
    crowd = torch.tensor([False, True, False])
    target = {"boxes": scene.boxes, "labels": scene.labels, "iscrowd": crowd}
    _, annotations = to_batch([(scene.image, target)])
    assert torch.equal(annotations[0, :, :4], scene.boxes[~crowd])


def test_a_data_set_of_scenes_makes_plain_tensors():
    dataset = ShapesDataset(2, 64, 96)
    images, annotations = to_batch([dataset[0], dataset[1]])
    assert type(images) is torch.Tensor and type(annotations) is torch.Tensor
    expected = to_batch([random_scene(0, 64, 96), random_scene(1, 64, 96)])
    assert torch.equal(images, expected[0]) and torch.equal(annotations, expected[1])
