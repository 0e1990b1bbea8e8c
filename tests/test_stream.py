"""A position of the stream decides its image and its augmentation; boxes move with pixels."""

import pytest
import torch
from small_training import Broken
from torch.utils.data import DataLoader
from torchvision import tv_tensors

from retinanet_lite.data.batches import MEAN
from retinanet_lite.data.drawing import random_scene
from retinanet_lite.data.scenes import (
    ShapesDataset,
    test_scenes,
    training_scenes,
    validation_scenes,
)
from retinanet_lite.data.transforms import as_tv_tensors, augment, resize
from retinanet_lite.training.stream import Stream

HEIGHT, WIDTH = 60, 80
STRONG = augment(vertical_flip=0.5, scale=0.4, shift=0.3, colour=0.0)
RED, GREEN = 0, 1  # the labels of `painted` are the channels


def painted(*boxes) -> tuple[torch.Tensor, dict]:
    """A black image with a red box, then a green one; their labels are 0 and 1."""
    image = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8)
    for channel, (x1, y1, x2, y2) in enumerate(boxes):
        image[channel, y1:y2, x1:x2] = 255
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return image, {"boxes": boxes, "labels": torch.arange(len(boxes))}


def found(image: torch.Tensor, channel: int) -> list[float] | None:
    """The box around the pixels of one pure colour, or None without such pixels."""
    others = [c for c in range(3) if c != channel]
    pure = (image[channel] > 0.75) & (image[others] < 0.25).all(dim=0)
    y, x = torch.nonzero(pure, as_tuple=True)
    if len(x) == 0:
        return None
    return [x.min().item(), y.min().item(), x.max().item() + 1, y.max().item() + 1]


def same(a, b) -> bool:
    (image, target), (other, expected) = a, b
    return (
        torch.equal(image, other)
        and torch.equal(target["boxes"], expected["boxes"])
        and torch.equal(target["labels"], expected["labels"])
    )


@pytest.fixture
def scenes():
    return ShapesDataset(7, 48, 64, num_objects=(0, 3), smallest=12)


# ── the order ──


def test_every_pass_shows_every_image_once_and_each_in_its_own_order(scenes):
    stream = Stream(scenes, seed=3)
    passes = [[stream.index(7 * p + i) for i in range(7)] for p in range(4)]
    assert all(sorted(order) == list(range(7)) for order in passes)
    assert len(set(map(tuple, passes))) > 1
    for position in range(7):
        assert same(stream[position], as_tv_tensors(*scenes[passes[0][position]]))
        assert stream.name(position) == scenes.names[passes[0][position]]


def test_images_without_names_are_named_by_their_row():
    items = [painted(), painted()]
    assert sorted(Stream(items).name(i) for i in range(2)) == ["image 0", "image 1"]


def test_workers_load_what_one_process_loads(scenes):
    stream = Stream(scenes, augment(), resize((32, 64)), seed=5)
    loader = DataLoader(stream, batch_size=3, sampler=range(4, 19), num_workers=2,
                        collate_fn=list)  # fmt: skip
    items = [item for batch in loader for item in batch]
    assert len(items) == 15
    for position, item in enumerate(items, start=4):
        assert same(item, stream[position])


# ── images that turn out to be unreadable ──


@pytest.mark.filterwarnings("ignore:row")
def test_the_next_row_takes_the_place_of_an_unreadable_one_whoever_loads_it(scenes):
    stream = Stream(Broken(scenes, {2, 3, 6}), seed=5)
    loader = DataLoader(stream, batch_size=3, sampler=range(4, 19), num_workers=2,
                        collate_fn=list)  # fmt: skip
    items = [item for batch in loader for item in batch]
    rows = [[0, 1, 4, 4, 4, 5, 0][stream.index(position)] for position in range(4, 19)]
    assert len(items) == 15
    for item, row in zip(items, rows, strict=True):
        assert same(item, as_tv_tensors(*scenes[row]))


def test_what_is_unreadable_is_named(scenes):
    stream = Stream(Broken(scenes, {2, 3}))
    with pytest.warns(UserWarning) as caught:
        stream[[stream.index(i) for i in range(7)].index(2)]
    assert [str(w.message).split(".")[0] for w in caught] == ["row 2 is broken", "row 3 is broken"]


@pytest.mark.filterwarnings("ignore:row")
def test_where_no_image_can_be_read_there_is_nothing_to_learn_from(scenes):
    with pytest.raises(ValueError, match="no image to learn from can be read: is their folder"):
        Stream(Broken(scenes, set(range(7))))[0]


def test_another_error_of_a_data_set_is_not_passed_over(scenes):
    with pytest.raises(ValueError, match=r"row \d is broken"):
        Stream(Broken(scenes, set(range(7)), ValueError))[0]


# ── the augmentation ──


def test_a_position_has_one_augmentation_and_other_positions_and_seeds_have_others():
    items = [painted((20, 10, 50, 40))]

    def boxes(seed: int, positions: range) -> list[tuple]:
        stream = Stream(items, STRONG, seed=seed)
        return [tuple(stream[i][1]["boxes"].flatten().tolist()) for i in positions]

    first = boxes(0, range(20))
    torch.rand(100)  # what happens elsewhere does not matter
    assert boxes(0, range(19, -1, -1)) == first[::-1]
    assert len(set(first)) > 15
    assert len(set(first + boxes(1, range(20)) + boxes(2, range(20)))) > 45


def test_a_seed_may_be_any_number(scenes):
    assert len(Stream(scenes, STRONG, seed=2**62)[5]) == 2


def test_a_data_set_that_augments_by_itself_is_decided_by_the_position_too():
    class Noise(torch.utils.data.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return torch.rand(3, 32, 32), {"boxes": torch.empty(0, 4), "labels": torch.empty(0)}

    stream = Stream(Noise())
    assert torch.equal(stream[4][0], stream[4][0])
    assert not torch.equal(stream[4][0], stream[5][0])


def test_the_global_random_state_stays_as_it_was(scenes):
    before = torch.get_rng_state()
    Stream(scenes, STRONG)[0]
    assert torch.equal(torch.get_rng_state(), before)


def test_boxes_move_with_the_pixels():
    stream = Stream([painted((0, 0, 14, 12), (40, 30, 76, 52))], STRONG, resize((90, 200)))
    seen, gone = 0, 0
    for position in range(60):
        image, target = stream[position]
        assert image.shape == (3, 90, 120)
        # whatever is visible by more than the pixels that blur mixes is in the list, and no other
        for label, box in zip(target["labels"].tolist(), target["boxes"].tolist(), strict=True):
            pixels = found(image, label)
            if pixels is None:  # less than a pixel or two are left of it
                assert min(box[2] - box[0], box[3] - box[1]) < 4
            else:
                assert box == pytest.approx(pixels, abs=2.0)
                seen += 1
            assert min(box[2] - box[0], box[3] - box[1]) >= 1
        for label in {RED, GREEN} - set(target["labels"].tolist()):
            pixels = found(image, label)
            assert pixels is None or min(pixels[2] - pixels[0], pixels[3] - pixels[1]) < 4
            gone += 1
    assert seen > 80 and gone > 3


def test_an_image_is_mirrored_half_the_time_and_upside_down_only_on_request():
    item = painted((0, 0, 80, 30))  # the upper half is red
    for vertical, expected in ((0.0, {0.0}), (0.5, {0.0, 30.0}), (1.0, {30.0})):
        transform = augment(vertical_flip=vertical, scale=0.0, shift=0.0, colour=0.0)
        stream = Stream([item], transform)
        assert {stream[i][1]["boxes"][0, 1].item() for i in range(20)} == expected
    left = painted((0, 0, 30, 60))
    stream = Stream([left], augment(scale=0.0, shift=0.0, colour=0.0))
    mirrored = sum(stream[i][1]["boxes"][0, 0].item() == 50 for i in range(100))
    assert 30 < mirrored < 70


def test_without_amounts_only_the_type_changes():
    nothing = augment(flip=0.0, scale=0.0, shift=0.0, colour=0.0)
    image, target = Stream([painted((5, 8, 30, 24))], nothing)[0]
    torch.testing.assert_close(image.as_subclass(torch.Tensor), painted((5, 8, 30, 24))[0] / 255)
    assert target["boxes"].tolist() == [[5, 8, 30, 24]]


def test_an_image_is_extended_with_the_mean_colour():
    black = augment(flip=0.0, shift=0.4, colour=0.0)
    image, _ = Stream([painted()], black, seed=1)[0]
    border = image.amax(dim=(1, 2))
    assert border.tolist() == pytest.approx(MEAN, abs=1e-5)


def test_images_from_0_to_1_are_augmented_as_those_from_0_to_255():
    scene = random_scene(0, 64, 64)
    item = scene.image, {"boxes": scene.boxes, "labels": scene.labels}
    fraction = scene.image / 255, item[1]
    for position in range(5):
        a, b = (Stream([it], augment())[position][0] for it in (item, fraction))
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_colours_change_and_boxes_stay():
    stream = Stream([random_scene(0, 64, 64)], augment(flip=0.0, scale=0.0, shift=0.0, colour=0.5))
    images = [stream[i][0] for i in range(4)]
    assert not torch.equal(images[0], images[1])
    assert torch.equal(stream[0][1]["boxes"], random_scene(0, 64, 64).boxes)
    assert all(image.min() >= 0 and image.max() <= 1 for image in images)


@pytest.mark.parametrize("wrong", [{"scale": 1.0}, {"shift": -0.1}, {"colour": 1.5}])
def test_an_impossible_augmentation_is_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be at least 0"):
        augment(**wrong)


# ── the scaling ──


@pytest.mark.parametrize("size", [(32, 200), (90, 100), (64, 64)])
@pytest.mark.parametrize("height, width", [(60, 80), (200, 50), (64, 64)])
def test_images_are_scaled_by_one_factor_as_far_as_both_sides_allow(size, height, width):
    factor = min(size[0] / min(height, width), size[1] / max(height, width))
    image, target = resize(size)(
        *as_tv_tensors(
            torch.zeros(3, height, width, dtype=torch.uint8),
            {"boxes": torch.tensor([[0.0, 0.0, width, height]]), "labels": torch.zeros(1)},
        )
    )
    assert image.shape[1:] == pytest.approx((height * factor, width * factor), abs=1)
    assert max(image.shape[1:]) <= size[1]
    box = target["boxes"][0].tolist()
    assert box == pytest.approx([0, 0, image.shape[2], image.shape[1]])


@pytest.mark.parametrize("size", [(100, 80), (16, 64)])
def test_an_impossible_size_is_named(size):
    with pytest.raises(ValueError, match=r"\(shorter side, longest side\).*got \(\d+, \d+\)"):
        resize(size)


# ── what is no image, and what is no object ──


@pytest.mark.parametrize("image", [torch.zeros(1, 40, 40), "a.png"])
def test_what_is_no_colour_image_is_named(image):
    with pytest.raises(ValueError, match=r"\[3, H, W\].*got (\[\d, 40, 40\]|str)"):
        Stream([(image, painted()[1])])[0]


def test_an_empty_data_set_has_no_stream():
    with pytest.raises(ValueError, match="no image to learn from"):
        Stream([])


# ── scenes ──


def test_a_data_set_of_scenes_is_its_seeds_scenes():
    scenes = ShapesDataset(3, 64, 96, first_seed=5, classes=("star", "disc"), num_objects=(2, 2))
    assert len(scenes) == 3 and len(list(scenes)) == 3
    for i, (image, target) in enumerate(scenes):
        expected = random_scene(5 + i, 64, 96, (2, 2), classes=("star", "disc"))
        assert torch.equal(image, expected.image) and isinstance(image, tv_tensors.Image)
        assert torch.equal(target["boxes"], expected.boxes) and target["image_id"] == i
        assert target["boxes"].canvas_size == (64, 96)
        assert torch.equal(target["labels"], expected.labels)
        assert torch.equal(scenes[i][1]["boxes"], expected.boxes)
    for index in (-1, 3):
        with pytest.raises(IndexError, match="has 3 images"):
            scenes[index]


@pytest.mark.parametrize("wrong", [{"length": 0}, {"length": 1, "first_seed": -1}])
def test_impossible_scenes_are_named(wrong):
    with pytest.raises(ValueError, match="1 image or more"):
        ShapesDataset(**wrong)


def test_no_scene_to_learn_from_is_measured_on():
    seeds = [
        {scenes.first_seed + i for i in range(len(scenes))}
        for scenes in (training_scenes(), validation_scenes(), test_scenes())
    ]
    assert sum(map(len, seeds)) == len(set.union(*seeds))
    assert training_scenes().classes == test_scenes().classes
    assert training_scenes()[0][0].shape == test_scenes()[0][0].shape == (3, 128, 128)
    assert test_scenes((96, 160))[0][0].shape == (3, 96, 160)


def test_the_passes_of_one_seed_are_not_those_of_the_next():
    passes = [
        tuple(Stream(range(20), seed=seed).index(20 * number + i) for i in range(20))
        for seed in range(4)
        for number in range(4)
    ]
    assert all(sorted(order) == list(range(20)) for order in passes)
    assert len(set(passes)) == len(passes)
