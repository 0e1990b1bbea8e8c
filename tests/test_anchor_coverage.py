"""Coverage says which anchor is best for each object, and what to change where none is good."""

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from retinanet_lite import Anchors, anchor_coverage
from retinanet_lite.data.scenes import ShapesDataset
from retinanet_lite.data.transforms import resize


def data_set(*boxes, height=256, width=320) -> list:
    """One image for each list of boxes."""
    return [
        (
            torch.zeros(3, height, width, dtype=torch.uint8),
            {
                "boxes": torch.tensor(of_image, dtype=torch.float32).reshape(-1, 4),
                "labels": torch.zeros(len(of_image), dtype=torch.int64),
            },
        )
        for of_image in boxes
    ]


def best_anchor(
    box, height, width, ratios=(0.5, 1, 2), size=4.0, offset=0.5, floor_strides=False
) -> tuple[float, int]:
    """The largest overlap of any anchor with a box, and its level: loops over numpy numbers."""
    best = (0.0, 0)
    for level in range(3, 8):
        stride = 2**level
        step_y = step_x = stride
        if floor_strides:
            height, width = (-(-side // 32) * 32 for side in (height, width))
            step_y, step_x = height // -(-height // stride), width // -(-width // stride)
        x = (np.arange(-(-width // stride)) + offset) * step_x
        y = ((np.arange(-(-height // stride)) + offset) * step_y)[:, None]
        for ratio in ratios:
            for scale in (1, 2 ** (1 / 3), 2 ** (2 / 3)):
                side = size * stride * scale
                w, h = side / ratio**0.5, side * ratio**0.5
                shared_w = np.minimum(x + w / 2, box[2]) - np.maximum(x - w / 2, box[0])
                shared_h = np.minimum(y + h / 2, box[3]) - np.maximum(y - h / 2, box[1])
                shared = np.clip(shared_w, 0, None) * np.clip(shared_h, 0, None)
                union = w * h + (box[2] - box[0]) * (box[3] - box[1]) - shared
                best = max(best, ((shared / union).max(), level))
    return best


def some_boxes(count, height, width, seed=0) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    low = rng.random((count, 2)) * [width - 20, height - 20]
    high = low + 4 + rng.random((count, 2)) * ([width, height] - low - 4)
    return np.concatenate([low, high], axis=1).tolist()


@pytest.mark.parametrize(
    "arguments",
    [{}, {"size": 2.0, "ratios": (0.3, 1.0)}, {"offset": 0.0, "floor_strides": True}],
    ids=str,
)
def test_best_anchors_are_those_of_loops(arguments):
    images = [some_boxes(12, 200, 300), [], some_boxes(9, 200, 300, seed=1)]
    coverage = anchor_coverage(Anchors(**arguments), data_set(*images, height=200, width=300))
    expected = [best_anchor(box, 200, 300, **arguments) for image in images for box in image]
    iou, level = zip(*expected, strict=True)
    assert coverage.best_iou.tolist() == pytest.approx(iou, abs=1e-4)
    assert coverage.level.tolist() == list(level)
    sizes = [(x2 - x1, y2 - y1) for image in images for x1, y1, x2, y2 in image]
    assert coverage.sizes.flatten().tolist() == pytest.approx(np.ravel(sizes), rel=1e-4)
    assert coverage.under(0.5) == pytest.approx(np.mean(np.array(iou) < 0.5))


@pytest.mark.parametrize("level", range(3, 8))
@pytest.mark.parametrize("place", ["first", "last"])
def test_an_anchor_covers_itself_and_its_level_is_named(level, place):
    anchors = Anchors()
    ends = torch.tensor([0, *anchors.level_counts(1024, 1024)]).cumsum(0)
    row = ends[level - 3] if place == "first" else ends[level - 2] - 1
    box = anchors(torch.empty(1, 3, 1024, 1024))[row].tolist()
    coverage = anchor_coverage(anchors, data_set([box], height=1024, width=1024))
    assert coverage.best_iou.item() == pytest.approx(1.0)
    assert coverage.level.item() == level
    assert f"best on P{level} " in str(coverage)


def test_objects_are_measured_as_the_detector_sees_them():
    boxes = [[10.0, 20.0, 26.0, 36.0], [50.0, 60.0, 90.0, 84.0]]
    scaling = resize((512, 2000))  # twice as large
    coverage = anchor_coverage(Anchors(), data_set(boxes), scaling)
    assert coverage.sizes.tolist() == [[32, 32], [80, 48]]
    expected = [best_anchor([2 * v for v in box], 512, 640)[0] for box in boxes]
    assert coverage.best_iou.tolist() == pytest.approx(expected, abs=1e-4)


def test_only_the_named_rows_are_looked_at():
    images = data_set([[0.0, 0.0, 30.0, 30.0]], [[0.0, 0.0, 90.0, 50.0]], [])
    assert anchor_coverage(Anchors(), images, indices=iter([1, 2])).sizes.tolist() == [[90, 50]]


class Targets(torch.utils.data.Dataset):
    """A data set that knows its objects, and has no image to give."""

    def __len__(self):
        return 1

    def target(self, index):
        corners = [[0.0, 0.0, 40.0, 40.0], [0.0, 0.0, 100.0, 100.0]]
        boxes = tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(256, 320))
        return {
            "boxes": boxes,
            "labels": torch.zeros(2),
            "iscrowd": torch.tensor([False, True]),
        }


@pytest.mark.parametrize("scaling, side", [(None, 40), (resize((128, 400)), 20)])
def test_no_image_is_read_where_targets_are_known_and_crowds_are_left_out(scaling, side):
    assert anchor_coverage(Anchors(), Targets(), scaling).sizes.tolist() == [[side, side]]


def test_scenes_fit_the_usual_anchors():
    coverage = anchor_coverage(Anchors(), ShapesDataset(5))
    assert coverage.advice()[0].startswith("The anchors fit: ")
    assert coverage.under(0.5) <= 0.02


def test_a_data_set_without_an_object_has_no_coverage():
    with pytest.raises(ValueError, match="there is no object in the data set"):
        anchor_coverage(Anchors(), data_set([], []))


def advice(*boxes, anchors=None, height=256, width=320) -> str:
    coverage = anchor_coverage(anchors or Anchors(), data_set(boxes, height=height, width=width))
    return "\n".join(coverage.advice())


@pytest.mark.parametrize("size", [4.0, 3.0])
def test_small_objects_want_smaller_anchors_and_the_advice_helps(size):
    small = [[x, 20.0, x + 10, 30.0] for x in (20.0, 60.0, 101.0)]
    text = advice(*small, anchors=Anchors(size=size))
    assert f"3 of these are smaller than the smallest anchor ({8 * size:.0f} pixels)" in text
    assert f"scale the images up by {8 * size / 10:.1f}" in text
    assert "Anchors(size=1.2)" in text  # 1.25 · 8 pixels are 10
    best, smaller, scaled = (
        anchor_coverage(Anchors(size=a), data_set(small), scaling).best_iou
        for a, scaling in (
            (size, None),
            (1.25, None),
            (size, resize((round(256 * 0.8 * size), 9999))),
        )
    )
    assert (scaled > smaller).all() and (smaller > best + 0.2).all()


def test_large_objects_want_smaller_images():
    text = advice([0.0, 0.0, 1500.0, 1500.0], height=1500, width=1500)
    assert (
        "1 of these are larger than the largest anchor (813 pixels): scale the images down" in text
    )
    assert "smaller" not in text and "ratio" not in text


@pytest.mark.parametrize(
    "box, words, ratio",
    [
        ([20.0, 100.0, 300.0, 140.0], "flatter", 1 / 7),
        ([100.0, 10.0, 140.0, 250.0], "taller", 6.0),
    ],
)
def test_flat_and_tall_objects_want_a_ratio_and_the_advice_helps(box, words, ratio):
    text = advice(box)
    assert (
        f"1 of these are {words} than the anchors: add a ratio (height / width) of {ratio:.2g} "
        in text
    )
    assert "smaller" not in text and "larger" not in text
    more = Anchors(ratios=(0.5, 1.0, 2.0, ratio))
    assert anchor_coverage(more, data_set([box])).best_iou > best_anchor(box, 256, 320)[0] + 0.1


def test_objects_between_the_anchors_want_finer_steps():
    coarse = Anchors(scales=(1.0,), ratios=(1.0,))
    assert "finer steps between the anchors" in advice([20.5, 29.0, 75.5, 67.0], anchors=coarse)


def test_the_report_counts_every_object_once_by_size_and_once_by_level():
    coverage = anchor_coverage(Anchors(), data_set(some_boxes(40, 256, 320)))
    rows = [line.rsplit(maxsplit=4) for line in str(coverage).splitlines()]
    rows = {row[0]: row[1:] for row in rows if len(row) == 5}
    assert rows["all"][0] == "40"
    for group in ("side ", "best on P"):
        assert sum(int(row[0]) for name, row in rows.items() if name.startswith(group)) == 40
    sides = coverage.sizes.prod(dim=1).sqrt()
    group = (sides >= 64) & (sides < 128)
    number, iou, under_5, under_4 = rows["side 64 to 128"]
    best = coverage.best_iou[group]
    assert int(number) == len(best) > 0
    assert iou == f"{best.mean():.2f}"
    assert under_5 == f"{(best < 0.5).double().mean():.1%}"
    assert under_4 == f"{(best < 0.4).double().mean():.1%}"
