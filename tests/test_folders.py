"""Folders of images and boxes: what is written is read, and what is broken is named."""

import json
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import CocoDetection, VOCDetection, wrap_dataset_for_transforms_v2
from torchvision.transforms.v2 import RandomHorizontalFlip
from torchvision.tv_tensors import BoundingBoxes
from torchvision.tv_tensors import Image as ImageTensor

from retinanet_lite.data.coco import CocoFolder
from retinanet_lite.data.images import UnreadableImage
from retinanet_lite.data.voc import Problem, VocFolder

HEIGHT, WIDTH = 40, 60


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def draw(file: Path, seed: int = 0, **arguments) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed)).save(file, **arguments)


def voc_xml(filename: str, objects: list, width: int = WIDTH, height: int = HEIGHT) -> str:
    """`objects`: name, xmin, ymin, xmax, ymax and perhaps difficult."""
    text = "".join(
        f"<object><name>{name}</name><difficult>{difficult[0] if difficult else 0}</difficult>"
        f"<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>"
        f"</bndbox></object>"
        for name, xmin, ymin, xmax, ymax, *difficult in objects
    )
    return (
        f"<annotation><filename>{filename}</filename><size><width>{width}</width>"
        f"<height>{height}</height><depth>3</depth></size>{text}</annotation>"
    )


VOC = {
    "a": [("dog", 11, 6, 30, 25), ("cat", 1, 1, WIDTH, HEIGHT)],
    "b": [],
    "c": [("cat", 5, 5, 20, 20, 1)],
}


@pytest.fixture
def voc(tmp_path):
    """A VOC folder of three images: two objects, none, and a difficult one."""
    root = tmp_path / "voc"
    for seed, (stem, objects) in enumerate(VOC.items()):
        draw(root / "JPEGImages" / f"{stem}.png", seed)
        write(root / "Annotations" / f"{stem}.xml", voc_xml(f"{stem}.png", objects))
    write(root / "ImageSets/Main/trainval.txt", "\n".join(VOC) + "\n")
    return root


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def annotation(id, image_id, category_id, bbox, **more) -> dict:
    x, y, w, h = bbox
    common = {"id": id, "image_id": image_id, "category_id": category_id, "bbox": bbox}
    return {**common, "area": w * h / 2, "iscrowd": 0, **more}


@pytest.fixture
def coco(tmp_path):
    """A folder of three images and COCO's file about them; `coco.content` is saved anew on open."""
    return Coco(tmp_path / "coco")


class Coco:
    def __init__(self, root: Path) -> None:
        self.images, self.file = root / "images", root / "instances.json"
        names = {42: "a.png", 7: "inner/b.png", 100: "c.png"}
        for seed, name in enumerate(names.values()):
            draw(self.images / name, seed)
        self.content = {
            "images": [
                {"id": id, "file_name": name, "height": HEIGHT, "width": WIDTH}
                for id, name in names.items()
            ],
            "categories": [
                {"id": 18, "name": "dog"},
                {"id": 3, "name": "car"},
                {"id": 90, "name": "brush"},
            ],
            "annotations": [
                annotation(1, 42, 18, [10, 5, 20.5, 20]),
                annotation(2, 7, 3, [0, 0, WIDTH, HEIGHT], iscrowd=1),
                annotation(3, 42, 90, [1.25, 2, 3, 4]),
            ],
        }

    def open(self, **arguments) -> CocoFolder:
        write(self.file, json.dumps(self.content))
        return CocoFolder(self.images, self.file, **arguments)


def drop(open_folder):
    """The folder as opened with on_problem="drop", and its one warning."""
    with pytest.warns(UserWarning) as caught:
        folder = open_folder(on_problem="drop")
    assert len(caught) == 1
    return folder, caught[0]


# ── what is written is read ──


def test_a_voc_folder_gives_the_written_objects_from_pixel_0(voc):
    folder = VocFolder(voc)
    assert len(folder) == 3 and folder.classes == ("cat", "dog")
    assert [Path(name) for name in folder.names] == [
        voc / "JPEGImages" / f"{stem}.png" for stem in VOC
    ]
    image, target = folder[0]
    assert isinstance(image, ImageTensor) and image.dtype == torch.uint8
    assert image.permute(1, 2, 0).tolist() == pixels(0).tolist()
    assert isinstance(target["boxes"], BoundingBoxes) and target["boxes"].dtype == torch.float32
    assert target["boxes"].canvas_size == (HEIGHT, WIDTH)
    assert target["boxes"].tolist() == [[10, 5, 30, 25], [0, 0, WIDTH, HEIGHT]]
    assert target["labels"].dtype == torch.int64 and target["labels"].tolist() == [1, 0]
    assert target["area"].tolist() == [20 * 20, WIDTH * HEIGHT]
    assert target["iscrowd"].dtype == torch.bool and not target["iscrowd"].any()
    assert [folder.target(i)["image_id"] for i in range(3)] == [0, 1, 2]
    assert folder.problems == [] and "No problems" in folder.summary()


def test_counted_from_0_voc_boxes_are_torchvisions(voc, tmp_path):
    there = tmp_path / "VOCdevkit/VOC2012"
    shutil.copytree(voc, there)
    for stem in VOC:
        draw(there / f"JPEGImages/{stem}.jpg")  # torchvision knows no others
    theirs = VOCDetection(tmp_path, year="2012", image_set="trainval")
    ours = VocFolder(voc, first_pixel=0)
    assert len(ours) == len(theirs) == 3
    for i in range(3):
        written = theirs[i][1]["annotation"]["object"]
        boxes = [[int(o["bndbox"][s]) for s in ("xmin", "ymin", "xmax", "ymax")] for o in written]
        assert ours.target(i)["boxes"].tolist() == boxes
        assert [ours.classes[j] for j in ours.target(i)["labels"]] == [o["name"] for o in written]


def test_labels_follow_the_order_of_the_given_classes(voc):
    folder = VocFolder(voc, classes=["bird", "dog", "cat"])
    assert folder.classes == ("bird", "dog", "cat")
    assert folder.target(0)["labels"].tolist() == [1, 2]


def test_difficult_objects_can_be_left_out(voc):
    assert len(VocFolder(voc).target(2)["labels"]) == 1
    folder = VocFolder(voc, keep_difficult=False)
    assert len(folder) == 3 and len(folder.target(2)["labels"]) == 0
    assert len(folder.target(0)["labels"]) == 2


def test_a_split_may_lie_in_image_sets_itself_and_start_with_a_byte_order_mark(voc):
    (voc / "ImageSets/few.txt").write_text("c\n\na\n", encoding="utf-8-sig")
    assert [Path(name).stem for name in VocFolder(voc, "few").names] == ["c", "a"]


def test_an_image_is_found_by_the_name_in_the_list_before_that_in_the_xml(voc):
    # renamed after it was annotated, and another image has the old name now
    write(voc / "Annotations/a.xml", voc_xml("b.png", VOC["a"]))
    assert Path(VocFolder(voc).names[0]).name == "a.png"


def test_an_image_is_found_by_the_name_in_the_xml_where_the_list_has_none(voc):
    (voc / "JPEGImages/a.png").rename(voc / "JPEGImages/scan 7.png")
    write(voc / "Annotations/a.xml", voc_xml("scan 7.png", VOC["a"]))
    assert Path(VocFolder(voc).names[0]).name == "scan 7.png"


def test_an_image_is_found_whatever_its_extension(voc):
    (voc / "JPEGImages/a.png").unlink()
    draw(voc / "JPEGImages/a.JPG")
    assert Path(VocFolder(voc).names[0]).name == "a.JPG"


def test_a_coco_folder_gives_what_torchvisions_reader_gives(coco):
    ours = coco.open()
    keys = ("image_id", "boxes", "labels", "iscrowd", "area")
    theirs = CocoDetection(coco.images, str(coco.file))
    wrapped = wrap_dataset_for_transforms_v2(theirs, target_keys=keys[:3])
    assert len(ours) == len(theirs) == 3
    assert ours.classes == ("car", "dog", "brush") and ours.category_ids == (3, 18, 90)
    for i in range(3):
        (image, target), (their_image, their_target) = ours[i], wrapped[i]
        assert tuple(target) == ("boxes", "labels", "image_id", "iscrowd", "area")
        assert image.permute(1, 2, 0).tolist() == np.asarray(their_image).tolist()
        assert target["image_id"] == their_target["image_id"]
        written = theirs[i][1]
        assert target["iscrowd"].tolist() == [bool(a["iscrowd"]) for a in written]
        assert target["area"].tolist() == [a["area"] for a in written]
        categories = [ours.category_ids[label] for label in target["labels"]]
        if not written:  # torchvision then leaves boxes and labels out
            assert target["boxes"].shape == (0, 4) and categories == []
            continue
        assert torch.equal(target["boxes"], their_target["boxes"])
        assert target["boxes"].canvas_size == their_target["boxes"].canvas_size
        assert categories == their_target["labels"].tolist()


def test_an_annotation_without_area_has_that_of_its_box(coco):
    del coco.content["annotations"][0]["area"]
    coco.content["annotations"][2]["area"] = None
    assert coco.open().target(1)["area"].tolist() == [20.5 * 20, 3 * 4]


def test_given_classes_order_the_labels_of_a_coco_folder(coco):
    folder = coco.open(classes=["brush", "car", "dog"])
    assert folder.category_ids == (90, 3, 18)
    assert folder.target(1)["labels"].tolist() == [2, 0]


def test_torchvisions_transforms_move_image_and_boxes_together(voc):
    image, target = RandomHorizontalFlip(p=1)(*VocFolder(voc)[0])
    assert image.permute(1, 2, 0).tolist() == pixels(0)[:, ::-1].tolist()
    assert target["boxes"].tolist()[0] == [WIDTH - 30, 5, WIDTH - 10, 25]


def test_the_target_alone_needs_no_image_and_is_a_fresh_copy(voc):
    folder = VocFolder(voc)
    (voc / "JPEGImages/a.png").unlink()
    folder.target(0)["boxes"].zero_()
    assert folder.target(0)["boxes"].tolist()[0] == [10, 5, 30, 25]
    with pytest.raises(ValueError, match="a.png cannot be read: there is no such file"):
        folder[0]


def test_a_folder_counts_like_a_list(voc):
    folder = VocFolder(voc)
    assert [target["image_id"] for _, target in folder] == [0, 1, 2]
    for target in (folder.target(-1), folder[-1][1]):
        assert target["image_id"] == 2 and target["boxes"].tolist() == [[4, 4, 20, 20]]
    with pytest.raises(IndexError):
        folder[3]


def first(batch):
    return batch[0]


def test_a_folder_travels_to_the_workers_of_a_data_loader(forkserver, voc):
    folder = VocFolder(voc)
    loader = DataLoader(folder, collate_fn=first, num_workers=1, multiprocessing_context=forkserver)
    for (image, target), (expected, there) in zip(loader, folder, strict=True):
        assert torch.equal(image, expected) and torch.equal(target["boxes"], there["boxes"])


def test_an_image_replaced_after_opening_is_told(voc):
    folder = VocFolder(voc)
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(voc / "JPEGImages/a.png")
    message = "a.png cannot be read: it was 60 pixels wide and 40 high .* and 41 high now"
    with pytest.raises(UnreadableImage, match=message) as error:
        folder[0]
    assert "41 high now" in error.value.cause and "cannot be read" not in error.value.cause


# ── what is broken is named ──

XML, PNG, LIST = "Annotations/a.xml", "JPEGImages/a.png", "ImageSets/Main/trainval.txt"
JPEG = "JPEGImages/a.jpg"


def halved(file):
    """Cut a file off in its middle."""

    def spoil(root):
        content = (root / file).read_bytes()
        (root / file).write_bytes(content[: len(content) // 2])

    return spoil


def written(file, text):
    return lambda root: write(root / file, text)


def removed(file):
    return lambda root: (root / file).unlink()


def voc_object(*numbers, name="dog"):
    """Image a gets a third object."""
    return written(XML, voc_xml("a.png", [*VOC["a"], (name, *numbers)]))


def replaced(old, new):
    """The XML file of image a says something else."""
    text = voc_xml("a.png", VOC["a"])
    assert old in text
    return written(XML, text.replace(old, new, 1))


OBJECT, CLIPPED, IMAGE = "object dropped", "box clipped", "image dropped"


@pytest.mark.parametrize(
    "spoil, file, cause, action",
    [
        (voc_object(9, 8, 20, 8), XML, "xmin 9, ymin 8, xmax 20, ymax 8 has no area", OBJECT),
        (voc_object(20, 8, 9, 20), XML, "xmax 9, ymax 20 has no area", OBJECT),
        (voc_object(61, 5, 70, 9), XML, "xmax 70, ymax 9 lies outside its image", OBJECT),
        (voc_object(5, 42, 9, 50), XML, "outside its image, 60 pixels wide and 40", OBJECT),
        (voc_object(50, 5, 62, 9), XML, "xmax 62, ymax 9 sticks out", CLIPPED),
        (voc_object(50, 5, 60, 42), XML, "xmax 60, ymax 42 sticks out", CLIPPED),
        (voc_object(-1, 5, 60, 9), XML, "the box xmin -1, ymin 5, xmax 60", CLIPPED),
        (voc_object(5, -1, 60, 9), XML, "sticks out of its image, 60 pixels wide", CLIPPED),
        (voc_object(1, 5, "inf", 9), XML, "xmax inf, ymax 9 is not four finite", OBJECT),
        (voc_object(1, "?", 9, 9), XML, "object 3 (dog): the box xmin 1, ymin ?", OBJECT),
        (replaced("<xmin>11</xmin>", ""), XML, "object 1 (dog): the box xmin None", OBJECT),
        (replaced("<name>dog</name>", ""), XML, "object 1: it has no <name>", OBJECT),
        (replaced("<name>", "<name>x</name><name>"), XML, "<name>, or several", OBJECT),
        (replaced("</object>", "</object><object/>"), XML, "object 2: the box xmin N", OBJECT),
        (voc_object(5, 5, 9, 9, name="cow"), XML, "the class 'cow' is not in", OBJECT),
        (replaced("<width>60", "<width>64"), PNG, "but 64 pixels wide and 40 high", IMAGE),
        (removed(XML), XML, "there is no such file", IMAGE),
        (halved(XML), XML, "it is no sound XML: ", IMAGE),
        (written(XML, "<html></html>"), XML, "<html>, not <annotation>", IMAGE),
        (removed(PNG), PNG, "there is no such file", IMAGE),
        (written(LIST, "a\nb\na\nc"), LIST, "a stands there 2 times", "kept once"),
    ],
)
def test_every_problem_of_a_voc_folder_is_named(voc, spoil, file, cause, action):
    spoil(voc)
    classes = ("cat", "dog")
    with pytest.raises(ValueError) as error:
        VocFolder(voc, classes=classes)
    for part in (str(voc), f"  {file}: ", cause, f"→ {action}", 'on_problem="drop"'):
        assert part in str(error.value)
    folder, _ = drop(lambda **arguments: VocFolder(voc, classes=classes, **arguments))
    [problem] = folder.problems
    assert problem.file == file and cause in problem.cause and problem.action == action
    assert ("a" in {Path(name).stem for name in folder.names}) == (action != IMAGE)
    assert len(folder) == (2 if action == IMAGE else 3)


def test_up_to_one_pixel_beyond_the_image_is_clipped_without_a_word(voc):
    write(voc / XML, voc_xml("a.png", [("dog", 0, 0, WIDTH + 1, HEIGHT + 1)]))
    folder = VocFolder(voc)
    assert folder.target(0)["boxes"].tolist() == [[0, 0, WIDTH, HEIGHT]]
    assert folder.problems == []


def test_a_box_that_sticks_out_is_clipped(voc):
    write(voc / XML, voc_xml("a.png", [("dog", -20, 11, WIDTH + 20, 30)]))
    folder, _ = drop(lambda **arguments: VocFolder(voc, **arguments))
    assert folder.target(0)["boxes"].tolist() == [[0, 10, WIDTH, 30]]


def test_an_xml_file_may_leave_the_size_open(voc):
    replaced("<width>60</width><height>40</height>", "")(voc)
    assert len(VocFolder(voc)) == 3


def test_boxes_belong_to_the_image_as_it_is_seen(voc):
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    draw(voc / PNG, exif=exif)
    with pytest.raises(ValueError, match="it is 40 pixels wide and 60 high, but 60 pixels wide"):
        VocFolder(voc)
    write(voc / XML, voc_xml("a.png", [("dog", 1, 1, HEIGHT, WIDTH)], width=HEIGHT, height=WIDTH))
    image, target = VocFolder(voc)[0]
    assert image.shape == (3, WIDTH, HEIGHT) and target["boxes"].canvas_size == (WIDTH, HEIGHT)


def test_an_image_that_loses_all_its_objects_is_dropped_and_one_that_had_none_is_kept(voc):
    write(voc / XML, voc_xml("a.png", [("dog", 9, 9, 9, 9), ("cat", 70, 70, 80, 80)]))
    folder, _ = drop(lambda **arguments: VocFolder(voc, **arguments))
    assert [Path(name).stem for name in folder.names] == ["b", "c"]
    assert folder.problems[-1] == Problem(PNG, "none of its objects is sound (2 written)", IMAGE)
    assert [folder.target(i)["image_id"] for i in range(2)] == [0, 1]


def test_all_problems_are_told_at_once_even_those_of_an_image_that_is_dropped(voc):
    voc_object(9, 8, 9, 8, name="cow")(voc)
    halved(PNG)(voc)
    removed("JPEGImages/b.png")(voc)
    halved("Annotations/c.xml")(voc)
    with pytest.raises(ValueError) as error:
        VocFolder(voc, classes=["cat", "dog"], verify=True)
    heading, *lines, mend = str(error.value).splitlines()
    assert heading == f"4 problems in {voc}, split 'trainval':"
    assert [line.split(": ")[0].strip() for line in lines] == [
        XML,
        PNG,
        "JPEGImages/b.png",
        "Annotations/c.xml",
    ]
    assert "has no area; the class 'cow' is not in `classes` → object dropped" in lines[0]
    assert mend.startswith("Mend the files")


def test_what_is_dropped_is_told_in_one_warning_at_the_line_that_opened_the_folder(voc):
    voc_object(9, 8, 9, 8)(voc)
    removed("JPEGImages/b.png")(voc)
    folder, warning = drop(lambda **arguments: VocFolder(voc, **arguments))
    assert warning.filename == __file__
    assert folder.summary() in str(warning.message) and "2 images are left" in str(warning.message)
    for problem in folder.problems:
        assert f"{problem.file}: {problem.cause} → {problem.action}" in folder.summary()


def test_a_sound_folder_opens_without_a_warning(voc):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(VocFolder(voc, on_problem="drop")) == 3


def test_a_long_summary_is_cut_and_counts_the_rest(voc):
    broken = [("dog", 9, 9, 9, 9)] * 60
    write(voc / XML, voc_xml("a.png", [*VOC["a"], *broken]))
    folder, warning = drop(lambda **arguments: VocFolder(voc, **arguments))
    assert len(folder.problems) == 60
    assert folder.summary().count("→ object dropped") == 50
    assert "… and 10 more" in str(warning.message)


@pytest.fixture
def truncated(voc):
    """The VOC folder, its first image a JPEG that was cut off in its pixels."""
    removed(PNG)(voc)
    draw(voc / JPEG)
    halved(JPEG)(voc)
    return voc


def test_by_default_only_headers_are_read(truncated):
    folder = VocFolder(truncated)
    assert folder.target(0)["boxes"].canvas_size == (HEIGHT, WIDTH)
    with pytest.raises(UnreadableImage, match="a.jpg cannot be read: image file is truncated"):
        folder[0]


def test_verifying_finds_broken_pixels_on_opening(truncated):
    with pytest.raises(ValueError, match="JPEGImages/a.jpg: image file is truncated.* → image dro"):
        VocFolder(truncated, verify=True)
    folder, _ = drop(lambda **arguments: VocFolder(truncated, verify=True, **arguments))
    assert [Path(name).stem for name in folder.names] == ["b", "c"]


def test_verifying_finds_broken_pixels_of_a_coco_folder_too(coco):
    halved("c.png")(coco.images)
    assert len(coco.open()) == 3
    with pytest.raises(ValueError, match="c.png: image file is truncated"):
        coco.open(verify=True)


@pytest.mark.parametrize(
    "path, arguments, message",
    [
        (
            "nowhere",
            {},
            r"nowhere is no VOC folder: it has no JPEGImages and no Annotations\. root",
        ),
        ("voc", {"split": "dev"}, r"no split 'dev': .*dev\.txt .*Its splits are trainval\."),
        ("voc", {"on_problem": "ignore"}, "on_problem must be .*; got 'ignore'"),
        ("voc", {"first_pixel": 2}, "first_pixel must be 0 or 1; got 2"),
        ("voc", {"classes": "dog"}, "classes must be a list of different names; got 'dog'"),
        ("voc", {"classes": ["dog", "dog"]}, "classes must be a list of different names"),
    ],
)
def test_a_voc_folder_opened_wrongly_says_how_it_is_done(voc, path, arguments, message):
    with pytest.raises(ValueError, match=message):
        VocFolder(voc.parent / path, **arguments)


def test_a_voc_folder_without_splits_says_how_to_write_one(voc):
    shutil.rmtree(voc / "ImageSets")
    with pytest.raises(ValueError, match="It has no splits at all: write the names of its images"):
        VocFolder(voc)


def test_a_folder_without_any_image_left_is_an_error(voc):
    write(voc / LIST, "\n")
    with pytest.raises(ValueError, match="There is no image to learn from in .*voc, split 'train"):
        VocFolder(voc)
    write(voc / LIST, "a")
    removed(PNG)(voc)
    with pytest.raises(ValueError, match=r"(?s)no image to learn from.*a\.png: there is no such"):
        VocFolder(voc, on_problem="drop")


def changed(entries, row, **changes):
    """An entry of COCO's file says something else."""
    return lambda content: content[entries][row].update(changes)


def without(entries, row, key):
    return lambda content: content[entries][row].pop(key)


def bbox(*numbers):
    return changed("annotations", 0, bbox=list(numbers))


JSON = "instances.json"


@pytest.mark.parametrize(
    "spoil, file, cause, action",
    [
        (bbox(5, 5, 1e-9, 4), JSON, "annotation 1: the bbox [5, 5, 1e-09, 4] has no a", OBJECT),
        (bbox(-9, 5, 3, 3), JSON, "[-9, 5, 3, 3] lies outside its image, 60 pixels", OBJECT),
        (bbox(40, 5, 21.25, 5), JSON, "[40, 5, 21.25, 5] sticks out of its image", CLIPPED),
        (bbox(5, 5, 9), JSON, "[5, 5, 9] is not four finite numbers", OBJECT),
        (bbox(5, 5, 9, 10**400), JSON, "is not four finite numbers", OBJECT),
        (without("annotations", 0, "bbox"), JSON, "the bbox None is not four", OBJECT),
        (changed("annotations", 0, category_id=5), JSON, "has its category_id 5", OBJECT),
        (changed("annotations", 0, category_id=[18]), JSON, "its category_id [18]", OBJECT),
        (changed("annotations", 0, image_id=5), JSON, "annotation 1: no image has its i", OBJECT),
        (changed("images", 2, width=61), "c.png", "but 61 pixels wide and 40 high by", IMAGE),
        (changed("images", 2, file_name="d.png"), "d.png", "there is no such file", IMAGE),
        (without("images", 2, "file_name"), JSON, "images[2] is {'height': 40, 'id'", IMAGE),
        (changed("images", 2, id="c"), JSON, "without a whole id or a file_name", IMAGE),
    ],
)
def test_every_problem_of_a_coco_folder_is_named(coco, spoil, file, cause, action):
    spoil(coco.content)
    with pytest.raises(ValueError) as error:
        coco.open()
    for part in (str(coco.file), f"  {file}: ", cause, f"→ {action}", 'on_problem="drop"'):
        assert part in str(error.value)
    folder, warning = drop(coco.open)
    [problem] = folder.problems
    assert problem.file == file and cause in problem.cause and problem.action == action
    assert len(folder) == (2 if action == IMAGE else 3)
    assert len(folder.target(1)["labels"]) == (1 if action == OBJECT else 2)  # of a.png


def test_an_annotation_without_id_is_named_by_its_row(coco):
    coco.content["annotations"].append(annotation(None, 6, 18, [1, 2, 3, 4]))
    del coco.content["annotations"][-1]["id"]
    folder, _ = drop(coco.open)
    [problem] = folder.problems
    assert problem.cause == "annotations[3]: no image has its image_id 6"


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("entry", [5, "x", None, []])
def test_the_first_entry_of_a_coco_file_that_is_no_object_is_an_error(coco, key, entry):
    coco.content[key] += [entry, 7]
    message = re.escape(f"{key}[3] of {coco.file} is {entry!r} and no object")
    with pytest.raises(ValueError, match=message):
        coco.open(on_problem="drop")


def test_images_that_share_an_id_are_all_dropped(coco):
    coco.content["images"][2]["id"] = 7
    folder, _ = drop(coco.open)
    assert [Path(name).name for name in folder.names] == ["a.png"]
    assert [problem.cause for problem in folder.problems] == [
        "2 images have the id 7: inner/b.png",
        "2 images have the id 7: c.png",
    ]


def test_a_category_left_out_of_the_classes_is_a_problem(coco):
    with pytest.raises(ValueError, match="annotation 3: the class 'brush' is not in `classes`"):
        coco.open(classes=["car", "dog"])
    folder, _ = drop(lambda **arguments: coco.open(classes=["car", "dog"], **arguments))
    assert [folder.target(i)["labels"].tolist() for i in range(3)] == [[0], [1], []]


def test_a_coco_file_may_leave_sizes_open(coco):
    del coco.content["images"][0]["width"]
    coco.content["images"][1].update(width=0, height=0)
    assert len(coco.open()) == 3


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"images": [', r"instances\.json is no sound JSON: Expecting value: line 1 column 13"),
        ("[]", "no list of images or annotations or categories"),
        ('{"images": 1, "annotations": [], "categories": []}', "instances: it has no list of im"),
    ],
)
def test_what_is_no_coco_file_is_told(coco, text, message):
    write(coco.file, text)
    with pytest.raises(ValueError, match=message):
        CocoFolder(coco.images, coco.file, on_problem="drop")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (without("categories", 1, "name"), r"categories\[1\] of .*instances\.json is {'id': 3}: a"),
        (changed("categories", 1, id="3"), r"categories\[1\] .* needs a whole number as id"),
        (changed("categories", 1, id=18), "2 categories of .*instances.json share 18: rename"),
        (changed("categories", 1, name="dog"), "2 categories of .* share 'dog': rename or merge"),
    ],
)
def test_ambiguous_categories_are_an_error(coco, spoil, message):
    spoil(coco.content)
    with pytest.raises(ValueError, match=message):
        coco.open(on_problem="drop")


def test_a_coco_folder_opened_wrongly_says_what_was_looked_for(coco):
    with pytest.raises(ValueError, match="has no category 'cow'; it has car, dog, brush"):
        coco.open(classes=["cow"])
    with pytest.raises(ValueError, match="there is no folder .*nowhere; `images` is the folder"):
        CocoFolder(coco.images / "nowhere", coco.file)
    with pytest.raises(ValueError, match="there is no file .*lost.json; `annotations` is"):
        CocoFolder(coco.images, coco.images / "lost.json")
