"""The command line: what it is told, what it writes, and how it fails."""

import argparse
import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from conftest import tiny_retinanet
from PIL import Image
from test_folders import HEIGHT, WIDTH, annotation, draw, voc_xml, write

from retinanet_lite import Anchors, Detector, Recipe, evaluate
from retinanet_lite.cli import evaluate as evaluate_command
from retinanet_lite.cli import train as train_command
from retinanet_lite.cli.main import main, make_parser
from retinanet_lite.data.coco import CocoFolder
from retinanet_lite.data.drawing import walkthrough_scene
from retinanet_lite.data.images import read_image
from retinanet_lite.data.scenes import test_scenes
from retinanet_lite.data.transforms import resize
from retinanet_lite.data.voc import VocFolder
from retinanet_lite.evaluation.anchor_coverage import anchor_coverage
from retinanet_lite.evaluation.average_precision import coco_report
from retinanet_lite.zoo.torchvision_retinanet import COCO

COMMANDS = ("train", "evaluate", "detect", "anchors", "trace")
QUICK = ["--steps", "3", "--batch-size", "2", "--features", "8", "--device", "cpu"]


def saved(file: Path, classes: tuple[str, ...], size: tuple[int, int] | None = None) -> Path:
    """A file with a network that finds five objects in every image, whatever it shows."""
    torch.manual_seed(1)
    model = tiny_retinanet(len(classes))
    torch.nn.init.normal_(model.classification_model.output.weight, std=0.05)
    torch.nn.init.constant_(model.classification_model.output.bias, 0.5)
    model.detection.max_detections = 5
    Detector(model, classes, size).save(file)
    return file


@pytest.fixture(scope="module")
def shapes_file(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("shapes") / "shapes.pt", ("disc", "triangle", "star"))


@pytest.fixture(scope="module")
def pets_file(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("pets") / "pets.pt", ("cat", "dog"), size=(80, 200))


@pytest.fixture
def voc(tmp_path):
    """A VOC folder of three images to learn from, one to choose by and two to measure on."""
    root = tmp_path / "voc"
    objects = {
        "a": [("dog", 11, 6, 30, 25), ("cat", 1, 1, WIDTH, HEIGHT)],
        "b": [],
        "c": [("cat", 5, 5, 25, 25)],
        "d": [("dog", 21, 11, 50, 30)],
    }
    for seed, (stem, of_image) in enumerate(objects.items()):
        draw(root / "JPEGImages" / f"{stem}.png", seed)
        write(root / "Annotations" / f"{stem}.xml", voc_xml(f"{stem}.png", of_image))
    write(root / "ImageSets/Main/train.txt", "a\nb\nc\n")
    write(root / "ImageSets/Main/val.txt", "d\n")
    write(root / "ImageSets/Main/test.txt", "a\nd\n")
    return root


@pytest.fixture
def coco(tmp_path):
    """The arguments that name a COCO folder of two images, one with a crowd."""
    images, file = tmp_path / "coco", tmp_path / "instances.json"
    for seed, name in enumerate("ab"):
        draw(images / f"{name}.png", seed)
    content = {
        "images": [
            {"id": i, "file_name": f"{name}.png", "height": HEIGHT, "width": WIDTH}
            for i, name in enumerate("ab")
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [
            annotation(1, 0, 3, [10, 5, 20, 20]),
            annotation(2, 1, 7, [0, 0, WIDTH, HEIGHT], iscrowd=1),
            annotation(3, 1, 7, [5, 5, 30, 20]),
        ],
    }
    write(file, json.dumps(content))
    return [str(images), str(file)]


@pytest.fixture
def spy(monkeypatch):
    """What `fit` was called with; it trains all the same."""
    calls = []

    def fit(*arguments):
        calls.append(arguments)
        return commands_fit(*arguments)

    commands_fit = train_command.fit
    monkeypatch.setattr(train_command, "fit", fit)
    monkeypatch.setattr(train_command, "test_scenes", lambda *a: test_scenes(*a, length=2))
    monkeypatch.setattr(train_command, "validation_scenes", lambda *a: test_scenes(*a, length=2))
    return calls


def strict_json(file: Path):
    def refuse(name):
        raise AssertionError(f"JSON has no {name}")

    return json.loads(file.read_text(), parse_constant=refuse)


def fails(capsys, *arguments) -> str:
    """The error that a command tells: a line, without a traceback, and exit code 1."""
    assert main([str(a) for a in arguments]) == 1
    lines = capsys.readouterr().err.splitlines()
    (error,) = [line for line in lines if not line.startswith("Downloading: ")]  # older PyTorch's
    assert error.startswith(f"retinanet-lite {arguments[0]}: ") and "Traceback" not in error
    return error


# ── help and misuse ──


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(f"\n    {command} " in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_tells_every_argument_and_default(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")  # no default is broken in two
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    (choices,) = [
        a.choices
        for a in make_parser()._actions
        if isinstance(a, argparse._SubParsersAction)
    ]  # fmt: skip
    for action in choices[command]._actions:
        assert all(option in text for option in action.option_strings) and action.help
        if action.default not in (None, False, argparse.SUPPRESS) and action.nargs != "*":
            assert f"(default: {action.default})" in text, action.dest


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["train", "--voc", "a", "--coco", "b", "c"],
        ["train", "--device", "toaster"],
        ["train", "--freeze"],
        ["trace", "--backbone", "resnet9"],
    ],
)
def test_misuse_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: retinanet-lite" in capsys.readouterr().err


def test_an_error_is_told_in_a_line_by_the_program_itself(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "retinanet_lite", "detect", "--detector", str(tmp_path / "a.pt")],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr == f"retinanet-lite detect: there is no file {tmp_path / 'a.pt'}\n"
    assert run.stdout == ""


def test_an_interrupt_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_command, "fit", interrupted)
    assert main(["train", *QUICK]) == 130
    assert "the same command goes on" in capsys.readouterr().err


# ── train ──


def test_training_without_data_learns_drawn_scenes_and_goes_on(tmp_path, spy, capsys):
    out = tmp_path / "run"
    command = ["train", *QUICK, "--out", str(out)]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "100000 images to learn, classes: disc, triangle, star" in text
    assert f"the detector is {out / 'best.pt'}" in text and "after step 3" in text
    assert {file.name for file in out.iterdir()} == {"last.pt", "best.pt", "log.jsonl"}
    assert spy[0][4] is None  # drawn scenes need no augmentation
    log = (out / "log.jsonl").read_text()
    assert main(command) == 0
    capsys.readouterr()
    assert (out / "log.jsonl").read_text() == log
    assert "steps (3 there, 4 here)" in fails(capsys, *command, "--steps", "4")


def test_training_takes_its_recipe_and_network_from_the_options(tmp_path, spy):
    options = "--optimizer sgd --learning-rate 0.02 --warmup 0.5 --weight-decay 0.1 --clip 2"
    options += " --evaluate-every 2 --save-every 1 --seed 4 --no-freeze-bn --backbone resnet18"
    options += " --anchor-size 3 --anchor-ratios 0.4 1 --size 64 96 --augment --vertical-flip"
    out = str(tmp_path)
    assert main(["train", *QUICK, *options.split(), "--out", out, "--workers", "1"]) == 0
    detector, _, _, recipe, augmentation, folder, workers = spy[0]
    assert recipe == Recipe(3, 2, "sgd", 0.02, 0.5, 0.1, 2.0, False, 2, 1, 4)
    assert folder == tmp_path and workers == 1
    assert "RandomVerticalFlip(p=0.5)" in str(augmentation)
    about = Detector.load(tmp_path / "best.pt").about()
    assert about["layers"] == [2, 2, 2, 2] and about["feature_size"] == 8
    assert about["anchors"]["ratios"] == [0.4, 1.0] and about["anchors"]["size"] == 3.0
    assert about["size"] == [64, 96] and not about["freeze_bn"]


def test_the_seed_decides_the_first_weights(started):
    for seed in "334":
        main(["train", *QUICK, "--seed", seed])
    weights = [detector.model.fpn.p6.weight[0, 0, 0, 0].item() for detector in started]
    assert weights[0] == weights[1] != weights[2]


def test_a_voc_folder_is_learned_and_measured(voc, tmp_path, spy, capsys):
    out = tmp_path / "run"
    assert main(["train", *QUICK, "--voc", str(voc), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "3 images to learn, classes: cat, dog" in text
    coverage = anchor_coverage(Anchors(), VocFolder(voc, "train"))
    assert coverage.advice()[0] in text
    _, learned, chooses, _, augmentation, *_ = spy[0]
    assert (len(learned), len(chooses)) == (3, 1) and chooses.classes == learned.classes
    assert "RandomVerticalFlip(p=0.0)" in str(augmentation)
    best = Detector.load(out / "best.pt")
    assert best.classes == ("cat", "dog")
    test = evaluate(best, VocFolder(voc, "test", learned.classes))
    assert f"AP {test['AP']:.3f}, AP50 {test['AP50']:.3f} on the test images" in text


def test_the_best_checkpoint_is_measured_and_not_the_last_weights(voc, tmp_path, monkeypatch):
    out, measured = tmp_path / "run", []

    def fit(detector, *_):
        detector.save(out / "best.pt")
        detector.model.fpn.p6.weight.data.zero_()  # what came after it
        return [{"step": 1}]

    def evaluate(detector, images, _):
        measured.append((detector.model.fpn.p6.weight.any().item(), len(images)))
        return {"AP": 0.0, "AP50": 0.0}

    monkeypatch.setattr(train_command, "fit", fit)
    monkeypatch.setattr(train_command, "evaluate", evaluate)
    assert main(["train", *QUICK, "--voc", str(voc), "--out", str(out)]) == 0
    assert measured == [(True, 2)]


def test_a_voc_folder_without_images_to_choose_by_or_to_measure_on_is_learned(
    voc, tmp_path, spy, capsys
):
    for split in ("val", "test"):
        (voc / f"ImageSets/Main/{split}.txt").unlink()
    command = ["train", *QUICK, "--voc", str(voc), "--out", str(tmp_path / "run")]
    assert main(command) == 0 and spy[0][2] is None
    text = capsys.readouterr().out
    assert "validation images" not in text and "test images" not in text
    for option in ("--validation-split", "--test-split"):
        assert "no split 'held_out'" in fails(capsys, *command, option, "held_out")


def test_a_coco_folder_is_learned_and_measured_or_not(coco, tmp_path, spy, capsys):
    command = ["train", *QUICK, "--coco", *coco, "--no-augment"]
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    assert spy[0][2] is None and spy[0][4] is None
    assert "after step" not in capsys.readouterr().out
    more = ["--validation-coco", *coco, "--test-coco", *coco, "--out", str(tmp_path / "b")]
    assert main([*command, *more]) == 0
    assert len(spy[1][2]) == 2
    text = capsys.readouterr().out
    assert "on the validation images, after step 3" in text and "on the test images" in text


@pytest.mark.parametrize("option", ["--validation-coco", "--test-coco"])
def test_a_folder_to_measure_on_alone_is_an_error(coco, capsys, tmp_path, option):
    text = fails(capsys, "train", *QUICK, option, *coco, "--out", tmp_path / "run")
    assert "go with a --coco folder" in text


def test_a_folder_that_is_not_there_is_an_error(capsys, tmp_path):
    assert "is no VOC folder" in fails(capsys, "train", *QUICK, "--voc", tmp_path / "nowhere")
    for name in ("JPEGImages", "Annotations"):
        (tmp_path / name).mkdir()
    told = fails(capsys, "train", *QUICK, "--voc", tmp_path, "--split", "dev")
    assert "no split 'dev'" in told


def test_what_is_broken_is_dropped_on_request_with_a_word(voc, tmp_path, spy, capsys):
    write(voc / "Annotations/c.xml", "?")
    command = ["train", *QUICK, "--voc", str(voc), "--out", str(tmp_path / "run")]
    assert main(command) == 1
    assert "1 problem in" in capsys.readouterr().err
    assert main([*command, "--on-problem", "drop"]) == 0
    output = capsys.readouterr()
    assert output.err.startswith("warning: ") and "c.xml" in output.err
    assert "2 images to learn" in output.out


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_verifying_decodes_every_image_once_a_training(voc, tmp_path, started, monkeypatch):
    decoded = []

    def counted(path):
        decoded.append(path.stem)
        return read_image(path)

    monkeypatch.setattr("retinanet_lite.data.folder.read_image", counted)
    monkeypatch.setattr(train_command, "processes", nullcontext)  # the others are not there
    command = ["train", *QUICK, "--voc", str(voc), "--out", str(tmp_path / "run")]
    assert main(command) == 0
    monkeypatch.setenv("RANK", "1")
    assert main([*command, "--verify"]) == 0
    assert decoded == []
    monkeypatch.setenv("RANK", "0")
    assert main([*command, "--verify"]) == 0
    assert sorted(decoded) == ["a", "a", "b", "c", "d", "d"]  # a and d are in the test list, too
    write(tmp_path / "run/last.pt", "")  # from here on, the training goes on
    assert main([*command, "--verify"]) == 0
    assert len(decoded) == 6


def test_verifying_stops_a_training_before_it_starts_or_tells_what_it_drops(
    voc, tmp_path, spy, capsys
):
    halve(voc / "JPEGImages/c.png")
    command = ["train", *QUICK, "--voc", str(voc), "--verify", "--out", str(tmp_path / "run")]
    told = "JPEGImages/c.png: image file is truncated → image dropped"
    assert main(command) == 1 and not spy
    assert told in capsys.readouterr().err
    for _ in range(2):
        assert main([*command, "--on-problem", "drop"]) == 0
    assert told in capsys.readouterr().err
    assert [len(learned) for _, learned, *_ in spy] == [3, 3]  # another number, another order


def test_impossible_options_are_errors(capsys, tmp_path):
    out = ["--out", tmp_path / "run"]
    assert "steps must be 1 or more" in fails(capsys, "train", *QUICK, *out, "--steps", "0")
    assert "size is (shorter" in fails(capsys, "train", *QUICK, *out, "--size", "9", "9")
    assert "none for BasicBlock" in fails(capsys, "train", *QUICK, *out, "--imagenet")
    assert not (tmp_path / "run").exists()


# ── train, from a trained detector ──


START = ["--steps", "2", "--batch-size", "2", "--device", "cpu"]


@pytest.fixture
def started(monkeypatch):
    """The detectors that trainings start with; nothing is trained or measured."""
    detectors = []

    def fit(detector, *_):
        detectors.append(detector)
        return [{"step": 1}]

    monkeypatch.setattr(train_command, "fit", fit)
    monkeypatch.setattr(train_command, "measure_best", lambda *_: None)
    return detectors


def differing(model: torch.nn.Module, other: torch.nn.Module) -> set[str]:
    state = other.state_dict()
    return {key for key, value in model.state_dict().items() if not torch.equal(value, state[key])}


def test_a_training_of_a_class_that_its_start_does_not_know_starts_with_a_new_output(
    voc, tmp_path, started
):
    file = saved(tmp_path / "animals.pt", ("cat", "bird", "cow"))
    assert main(["train", *START, "--voc", str(voc), "--start", str(file)]) == 0
    (detector,) = started
    old = Detector.load(file).model
    assert detector.classes == ("cat", "dog") and detector.size is None
    with torch.no_grad():
        logits = detector.model.predict(torch.randn(1, 3, 64, 64))[0]
    torch.testing.assert_close(logits.sigmoid(), torch.full_like(logits, 0.01))
    output = {"classification_model.output.weight", "classification_model.output.bias"}
    assert differing(detector.model, old) == output


def test_a_start_keeps_its_network_and_settings(voc, tmp_path, started):
    model = tiny_retinanet(
        2, p6_from="P5", bn_eps=1e-3, anchors=Anchors(ratios=(0.4, 1.0), size=3.0), freeze_bn=False
    )
    start = Detector(model, ("dog", "cat"), (80, 200))
    start.save(tmp_path / "a.pt")
    assert main(["train", *START, "--voc", str(voc), "--start", str(tmp_path / "a.pt")]) == 0
    assert {**started[0].about(), "classes": ["dog", "cat"]} == start.about()


def test_size_and_frozen_batch_norm_of_a_start_may_be_changed(voc, pets_file, started):
    command = ["train", *START, "--voc", str(voc), "--start", str(pets_file)]
    assert main([*command, "--size", "64", "96", "--no-freeze-bn"]) == 0
    assert main([*command, "--freeze-bn"]) == 0
    changed, same = started
    assert changed.size == (64, 96) and not changed.model.backbone.bn_frozen
    assert same.size == (80, 200) and same.model.backbone.bn_frozen


@pytest.fixture
def small_coco(monkeypatch):
    """Takes the place of `Detector.pretrained("coco_v2")`: a small one, of four classes."""
    torch.manual_seed(3)
    model = tiny_retinanet(4)
    torch.nn.init.normal_(model.classification_model.output.weight, std=0.05)
    torch.nn.init.normal_(model.classification_model.output.bias)
    detector = Detector(model, ("person", "dog", "cat", "toothbrush"), (96, 128))
    monkeypatch.setattr(Detector, "pretrained", lambda name, plain: {"coco_v2": detector}[name])
    return detector


def test_a_training_starts_with_the_rows_of_the_classes_that_its_start_knows_by_name(
    voc, started, small_coco
):
    output = small_coco.model.classification_model.output
    rows = [anchor * 4 + row for anchor in range(9) for row in (2, 1)]
    expected = output.weight[rows].clone(), output.bias[rows].clone()
    assert main(["train", *START, "--voc", str(voc), "--start", "coco_v2"]) == 0
    (detector,) = started
    assert detector.classes == ("cat", "dog") and detector.size == (96, 128)
    new = detector.model.classification_model.output
    assert torch.equal(new.weight, expected[0]) and torch.equal(new.bias, expected[1])


def test_a_started_training_learns_and_goes_on(voc, pets_file, tmp_path, capsys):
    out = tmp_path / "run"
    command = ["train", *START, "--voc", str(voc), "--start", str(pets_file), "--out", str(out)]
    frozen = ["--freeze", "backbone", "fpn.p7"]
    assert main([*command, *frozen]) == 0
    log = (out / "log.jsonl").read_text()
    learned, old = (Detector.load(file).model for file in (out / "best.pt", pets_file))
    assert learned.frozen == ("backbone", "fpn.p7")
    for part in learned.frozen:
        assert not differing(learned.get_submodule(part), old.get_submodule(part))
    assert differing(learned, old) >= {"fpn.p6.weight", "classification_model.output.weight"}

    assert main([*command, *frozen]) == 0
    assert (out / "log.jsonl").read_text() == log
    capsys.readouterr()
    told = fails(capsys, *command, "--freeze", "backbone")
    assert "differs in frozen (['backbone', 'fpn.p7'] there, ['backbone'] here)" in told


def test_a_start_decides_the_network_alone(voc, pets_file, started, capsys):
    options = "--backbone resnet18 --features 128 --anchor-size 3 --anchor-ratios 1 --imagenet"
    told = fails(capsys, "train", *START, "--voc", voc, "--start", pets_file, *options.split())
    named = "--backbone, --features, --anchor-size, --anchor-ratios, --imagenet"
    assert told.endswith(f"decides the network: leave out {named}") and not started


@pytest.mark.parametrize("start", ["folder", "module.pt"])
def test_a_start_that_is_no_detector_is_an_error(voc, tmp_path, capsys, start):
    (tmp_path / "folder").mkdir()
    torch.save(tiny_retinanet(), tmp_path / "module.pt")
    out = ["--out", tmp_path / "run"]
    told = fails(capsys, "train", *START, *out, "--voc", voc, "--start", tmp_path / start)
    assert start in told
    assert not (tmp_path / "run").exists()


def test_parts_that_are_not_there_can_not_be_frozen(tmp_path, capsys):
    out = tmp_path / "run"
    told = fails(capsys, "train", *QUICK, "--out", out, "--freeze", "layer1")
    assert "no parameters in 'layer1'. Its parts are backbone, backbone.conv1" in told
    assert not out.exists()


@pytest.mark.parametrize(
    "name, command, content",
    [
        ("coco", ["train", "--start"], None),
        ("coco_v2", ["detect", "--detector"], b"<html>404: not found</html>"),
    ],
)
def test_without_network_or_with_a_damaged_file_cocos_is_an_error(
    tmp_path, monkeypatch, capsys, command, content, name
):
    """One line that says which file is to be where."""

    def no_network(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", no_network)
    url = COCO[name].url
    if content is not None:
        file = tmp_path / "checkpoints" / url.rsplit("/", 1)[1]
        file.parent.mkdir()
        file.write_bytes(content)
    told = fails(capsys, *command, name, "--out", tmp_path / "out")
    assert url in told and str(tmp_path / "checkpoints") in told
    assert not (tmp_path / "out").exists()


# ── evaluate ──


def test_a_detector_is_measured_on_drawn_scenes(shapes_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate_command, "test_scenes", lambda *a: test_scenes(*a, length=3))
    file = tmp_path / "new" / "numbers.json"
    command = ["evaluate", "--detector", str(shapes_file), "--scenes", "128", "96"]
    assert main([*command, "--json", str(file), "--device", "cpu"]) == 0
    detector = Detector.load(shapes_file)
    scenes = list(test_scenes((128, 96), detector.classes, 3))
    assert scenes[0][0].shape == (3, 128, 96)
    detections = [detector([image])[0] for image, _ in scenes]
    targets = [target for _, target in scenes]
    report = coco_report(detections, targets, detector.classes)
    numbers = strict_json(file)
    for name, value in report.metrics.items():
        value = None if value != value else pytest.approx(value)
        assert numbers["metrics"][name] == value
    assert numbers["metrics"]["APl"] is None  # no object is so large
    assert numbers["classes"]["disc"]["AP"] == pytest.approx(report.by_class["disc"]["AP"])
    objects = sum(len(target["boxes"]) for target in targets)
    assert sum(numbers["objects"].values()) == objects
    text = capsys.readouterr().out
    assert f"3 images, {objects} objects" in text and f"AP    {report.metrics['AP']:10.3f}" in text


def test_a_broken_picture_is_named_and_not_measured_on(pets_file, voc, capsys):
    write(voc / "ImageSets/Main/test.txt", "a\nd\n")
    halve(voc / "JPEGImages/a.png")
    command = ["evaluate", "--detector", str(pets_file), "--voc", str(voc)]
    assert main(command) == 0
    output = capsys.readouterr()
    assert "1 images, 1 objects" in output.out
    assert output.err.startswith("warning: ") and "a.png cannot be read" in output.err
    assert main([*command, "--verify"]) == 1
    assert "1 problem in" in capsys.readouterr().err


def test_a_detector_of_pets_is_not_measured_on_drawn_scenes(pets_file, capsys):
    text = fails(capsys, "evaluate", "--detector", pets_file)
    assert "knows cat, dog, which no drawn scene shows" in text and "--voc or --coco" in text


def test_a_detector_by_name_is_measured_on_a_coco_folder_with_crowds(
    small_coco, tmp_path, coco, capsys
):
    content = json.loads(Path(coco[1]).read_text())
    content["categories"] += [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}]
    write(Path(coco[1]), json.dumps(content))
    file = tmp_path / "a.json"
    assert main(["evaluate", "--detector", "coco_v2", "--coco", *coco, "--json", str(file)]) == 0
    assert "2 images, 2 objects" in capsys.readouterr().out
    numbers = strict_json(file)
    assert set(numbers["classes"]) == set(small_coco.classes)
    dataset = CocoFolder(*coco, classes=small_coco.classes)
    targets = [target for _, target in dataset]
    detections = [small_coco([image])[0] for image, _ in dataset]
    expected = coco_report(detections, targets, small_coco.classes).metrics
    for name in ("AP50", "AR100"):
        assert numbers["metrics"][name] == pytest.approx(expected[name])


# ── detect ──


def detected(out: Path) -> list[dict]:
    return strict_json(out / "detections.json")


def test_without_an_image_the_notebooks_scene_is_looked_at(shapes_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["detect", "--detector", str(shapes_file), "--out", str(out)]) == 0
    (result,) = detected(out)
    found = Detector.load(shapes_file)([walkthrough_scene().image])[0]
    assert [d["box"] for d in result["detections"]] == [
        pytest.approx(box, abs=1e-3) for box in found["boxes"][found["scores"] >= 0.5].tolist()
    ]
    assert "scene.png: " in capsys.readouterr().out


def test_boxes_are_in_the_files_pixels(pets_file, tmp_path):
    file, out = tmp_path / "a.png", tmp_path / "out"
    draw(file)
    command = ["detect", str(file), "--detector", str(pets_file), "--out", str(out)]
    assert main([*command, "--score", "0.3"]) == 0
    (result,) = detected(out)
    assert result["image"] == str(file)
    found = Detector.load(pets_file)([read_image(file)])[0]
    kept = found["scores"] >= 0.3
    assert len(result["detections"]) == kept.sum() > 0
    for detection, box, score, label in zip(
        result["detections"], found["boxes"], found["scores"], found["labels"], strict=False
    ):
        assert detection["box"] == pytest.approx(box.tolist(), abs=1e-3)
        assert detection["score"] == pytest.approx(score.item())
        assert detection["class"] == ("cat", "dog")[label]
        assert max(detection["box"][0::2]) <= WIDTH and max(detection["box"][1::2]) <= HEIGHT
    picture = read_image(out / result["picture"])
    assert picture.shape == (3, HEIGHT, WIDTH) and not torch.equal(picture, read_image(file))


def test_an_image_in_which_nothing_is_found_is_its_own_picture(pets_file, tmp_path, capsys):
    file, out = tmp_path / "a.png", tmp_path / "out"
    draw(file)
    command = ["detect", str(file), "--detector", str(pets_file), "--out", str(out)]
    assert main([*command, "--score", "0.9999"]) == 0
    (result,) = detected(out)
    assert result["detections"] == [] and f"{file}: nothing" in capsys.readouterr().out
    assert torch.equal(read_image(out / result["picture"]), read_image(file))


def test_folders_are_looked_through_and_equal_names_keep_their_own_pictures(pets_file, tmp_path):
    for seed, name in enumerate(["x/a.png", "y/a.png", "y/deep/a.JPG", "y/b.webp"]):
        draw(tmp_path / name, seed)
    write(tmp_path / "y/notes.txt", "no image")
    out = tmp_path / "y" / "out"  # among the images; a second run must not look at pictures
    command = ["detect", str(tmp_path / "x"), str(tmp_path / "y"), "--out", str(out)]
    for _ in range(2):
        assert main([*command, "--detector", str(pets_file), "--batch-size", "3"]) == 0
        results = detected(out)
        names = [Path(result["image"]).relative_to(tmp_path).as_posix() for result in results]
        assert names == ["x/a.png", "y/a.png", "y/b.webp", "y/deep/a.JPG"]
    pictures = {result["picture"] for result in results}
    assert len(pictures) == 4
    assert {file.name for file in out.iterdir()} == {*pictures, "detections.json"}
    for result in results:
        assert read_image(out / result["picture"]).shape == (3, HEIGHT, WIDTH)


def test_a_broken_image_costs_no_others_their_results(pets_file, tmp_path, capsys):
    for seed, name in enumerate("abcd"):
        draw(tmp_path / "in" / f"{name}.png", seed)
    (tmp_path / "in" / "b.png").write_bytes(b"broken")
    draw(tmp_path / "in" / "c.png")
    command = ["detect", str(tmp_path / "in"), str(tmp_path / "lost.png")]
    out = tmp_path / "out"
    assert main([*command, "--detector", str(pets_file), "--out", str(out)]) == 1
    first, second, last = capsys.readouterr().err.splitlines()
    assert "b.png cannot be read: it is no image" in first
    assert "lost.png cannot be read: there is no such file" in second
    assert last == "retinanet-lite detect: 2 of 5 images could not be looked at"
    assert [Path(result["image"]).name for result in detected(out)] == ["a.png", "c.png", "d.png"]


def test_an_image_too_small_for_the_network_is_a_broken_one(shapes_file, tmp_path, capsys):
    draw(tmp_path / "a.png")
    Image.new("RGB", (20, 90)).save(tmp_path / "b.png")
    paths = [str(tmp_path / "b.png"), str(tmp_path / "a.png")]
    out = tmp_path / "out"
    assert main(["detect", *paths, "--detector", str(shapes_file), "--out", str(out)]) == 1
    assert "b.png: an image of 90×20 pixels comes to the network" in capsys.readouterr().err
    assert [result["image"] for result in detected(out)] == paths[1:]


def test_detection_that_cannot_start_is_an_error(shapes_file, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    text = fails(capsys, "detect", tmp_path / "empty", "--detector", shapes_file)
    assert "there is no image in" in text
    write(tmp_path / "a.pt", "?")
    assert "a.pt can't be read" in fails(capsys, "detect", "--detector", tmp_path / "a.pt")
    text = fails(capsys, "detect", "--detector", shapes_file, "--batch-size", "0", "--out",
                 tmp_path / "out")  # fmt: skip
    assert "batch_size must be 1 or more" in text


# ── anchors and trace ──


def test_coverage_of_a_folder_or_of_drawn_scenes_is_printed(voc, coco, capsys):
    options = ["--size", "80", "200", "--anchor-size", "2", "--anchor-ratios", "0.5", "1"]
    anchors, scaling = Anchors(size=2, ratios=(0.5, 1)), resize((80, 200))
    for arguments, dataset in (
        (["--voc", str(voc)], VocFolder(voc, "train")),
        (["--coco", *coco], CocoFolder(*coco)),
        ([], test_scenes()),
    ):
        assert main(["anchors", *arguments, *options]) == 0
        expected = str(anchor_coverage(anchors, dataset, scaling))
        assert capsys.readouterr().out == expected + "\n"


def test_the_trace_is_the_walkthroughs_table_of_any_network(capsys):
    assert main(["trace"]) == 0
    assert "[2, 512, 80, 104]" in capsys.readouterr().out
    arguments = "trace --image 96 130 --batch-size 3 --classes 7 --backbone resnet10 --features 16"
    assert main(arguments.split()) == 0
    text = capsys.readouterr().out
    assert (
        "[3, 128, 12, 17]" in text
        and f"[3, {9 * (12 * 17 + 6 * 9 + 3 * 5 + 2 * 3 + 2)}, 7]" in text
    )
    parameters = sum(p.numel() for p in tiny_retinanet(7).parameters())
    assert f"{parameters:,}" in text.splitlines()[-1]


@pytest.mark.parametrize("data", [[], ["--coco", "images", "some.json"]])
def test_a_split_without_a_voc_folder_is_refused(capsys, data):
    told = fails(capsys, "train", *data, "--split", "train")
    assert "--split train is a list in a VOC folder" in told and "--voc" in told
