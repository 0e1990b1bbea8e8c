"""Training: it learns, by its recipe; and however it was stopped, it goes on as if it had not."""

import json
import math
import random
import shutil
import time
from dataclasses import replace

import pytest
import torch
from small_training import CLASSES, RECIPE, new_detector, scenes, train
from test_folders import draw, voc_xml, write
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from retinanet_lite import BasicBlock, Detector, Recipe, RetinaNet, fit
from retinanet_lite import detector as detector_module
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.drawing import random_scene
from retinanet_lite.data.transforms import augment
from retinanet_lite.data.voc import VocFolder
from retinanet_lite.training import fit as training_module
from retinanet_lite.training.run_folder import read_log

SHORT = Recipe(steps=3, batch_size=2, save_every=1)


class Crash(BaseException):
    """Not an error that somebody might catch."""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The folder, the weights and the log of a training that nothing stopped."""
    folder = tmp_path_factory.mktemp("unbroken")
    detector, log = train(folder)
    return folder, detector.model.state_dict(), log


def assert_same_weights(state: dict, expected: dict) -> None:
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(state[name], value), name


def assert_same_files(folder, expected) -> None:
    """The same log to the letter, and checkpoints that hold the same."""
    assert (folder / "log.jsonl").read_text() == (expected / "log.jsonl").read_text()
    for name in ("last.pt", "best.pt"):
        content, wanted = (torch.load(f / name, weights_only=True) for f in (folder, expected))
        assert_same_weights(content.pop("weights"), wanted.pop("weights"))
        state, other = (c.pop("optimizer", {"state": {}})["state"] for c in (content, wanted))
        assert content == wanted
        torch.testing.assert_close(state, other, rtol=0, atol=0)


def files(folder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def plain_items(*objects: int) -> list:
    """Items in torchvision's convention: float images from 0 to 1 with so many objects each."""
    made = [random_scene(i, 48, 64, (n, n), 14, classes=CLASSES) for i, n in enumerate(objects, 10)]
    return [(s.image / 255, {"boxes": s.boxes, "labels": s.labels}) for s in made]


# ── learning ──


def test_one_scene_is_learned_by_heart():
    detector = new_detector()
    scene = random_scene(2, 64, 64, (2, 2), 20, classes=CLASSES)
    log = fit(detector, [scene], recipe=Recipe(steps=50, batch_size=1), progress=False)
    assert [record["step"] for record in log] == list(range(1, 51))
    assert log[-1]["classification"] < log[0]["classification"] / 20
    assert log[-1]["regression"] < log[0]["regression"] / 5
    found = detector([scene.image])[0]
    kept = found["scores"] > 0.5
    assert sorted(found["labels"][kept].tolist()) == sorted(scene.labels.tolist())
    assert not detector.model.training


def test_the_log_has_the_losses_before_each_step():
    detector, items = new_detector(), plain_items(2, 1)
    detector.model.train()
    expected = detector.model(*to_batch(items))
    detector = new_detector()
    log = fit(detector, items, recipe=replace(SHORT, steps=1, seed=0), progress=False)
    assert log[0].keys() == {"step", "learning_rate", "classification", "regression"}
    for name, loss in expected.items():
        assert log[0][name] == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("objects", [(2, 0, 1), (0, 0, 0)])
def test_plain_tensors_and_images_without_objects_will_do(objects):
    log = fit(
        new_detector(), plain_items(*objects), plain_items(1, 0), SHORT, augment(), progress=False
    )
    assert all(math.isfinite(record["classification"]) for record in log)
    assert (log[0]["regression"] > 0) == any(objects)
    assert "AP" in log[-1] and "AP" not in log[0]


def test_an_object_in_a_crowd_teaches_nothing():
    ((image, target),) = plain_items(2)
    crowd = {**target, "iscrowd": torch.ones(2, dtype=torch.bool)}
    log = fit(new_detector(), [(image, crowd)], recipe=SHORT, progress=False)
    assert log[0]["regression"] == 0


def test_images_of_several_sizes_are_scaled_as_the_detector_scales():
    detector = Detector(new_detector().model, CLASSES, (40, 70))
    seen = []
    detector.model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    images = [random_scene(i, 80, w, classes=CLASSES) for i, w in enumerate((80, 120, 160))]
    fit(detector, images, recipe=replace(SHORT, batch_size=1), progress=False)
    assert sorted(tuple(shape) for shape in seen) == [
        (1, 3, 35, 70),
        (1, 3, 40, 40),
        (1, 3, 40, 60),
    ]


def test_the_bar_tells_the_losses_and_the_best_ap(capsys):
    fit(new_detector(), plain_items(1), plain_items(1), replace(SHORT, steps=2))
    shown = capsys.readouterr().err
    assert "2/2" in shown and "classification=" in shown and "best AP=" in shown


def test_a_quiet_training_says_nothing(capsys):
    fit(new_detector(), plain_items(1), recipe=replace(SHORT, steps=1), progress=False)
    assert capsys.readouterr() == ("", "")


# ── the recipe ──


@pytest.mark.parametrize("steps, warmup", [(100, 0.1), (37, 0.25), (10, 0.0), (10, 0.99)])
def test_the_learning_rate_rises_in_a_line_and_falls_along_a_cosine_as_torchs_does(steps, warmup):
    recipe = Recipe(steps=steps, warmup=warmup, learning_rate=0.02)
    rising = round(warmup * steps)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.02)
    parts = [CosineAnnealingLR(optimizer, max(1, steps - rising))]
    if rising:
        parts.insert(0, LinearLR(optimizer, 1 / rising, total_iters=max(1, rising - 1)))
    schedule = SequentialLR(optimizer, parts, [rising] if rising else [])
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    rates = [recipe.learning_rate_at(step) for step in range(steps)]
    assert rates == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert max(rates) == pytest.approx(0.02)


def test_the_learning_rate_of_the_log_is_the_one_that_was_used():
    rates = []
    hook = register_optimizer_step_pre_hook(
        lambda optimizer, *_: rates.append([group["lr"] for group in optimizer.param_groups])
    )
    recipe = replace(SHORT, steps=4, warmup=0.5)
    log = fit(new_detector(), plain_items(1), recipe=recipe, progress=False)
    hook.remove()
    assert rates == [[record["learning_rate"]] * 2 for record in log]
    assert [rate for rate, _ in rates] == pytest.approx([5e-4, 1e-3, 1e-3, 5e-4])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_only_weights_of_convolutions_decay_and_only_what_is_not_frozen_learns(optimizer):
    model = new_detector(freeze_bn=True).model
    recipe = Recipe(optimizer=optimizer, weight_decay=0.3)
    decay, none = recipe.make_optimizer(model).param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    convolutions = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    }
    assert decay["weight_decay"] == 0.3 and none["weight_decay"] == 0.0
    assert {names[id(p)] for p in decay["params"]} == convolutions
    rest = {names[id(p)] for p in none["params"]}
    assert rest and all(name.endswith(".bias") for name in rest)
    assert not any("bn" in name or "downsample" in name for name in rest)


def test_batch_norm_that_learns_is_trained_without_decay():
    model = new_detector().model
    _, none = Recipe().make_optimizer(model).param_groups
    assert any(p is model.backbone.bn1.weight for p in none["params"])


def test_the_gradient_is_cut_down_to_the_recipes_norm():
    norms = []
    hook = register_optimizer_step_pre_hook(
        lambda optimizer, *_: norms.append(
            torch.cat(
                [p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]
            ).norm()
        )
    )
    fit(new_detector(), plain_items(2), recipe=replace(SHORT, clip=0.125), progress=False)
    hook.remove()
    assert torch.stack(norms).tolist() == pytest.approx([0.125] * 3, rel=1e-3)


def test_bfloat16_learns_about_the_same():
    # oneDNN's bfloat16 reads beyond the smallest maps; at this size, none is 1×1
    items = [random_scene(i, 160, 160, classes=CLASSES) for i in range(2)]
    log, exact = (
        fit(new_detector(), items, recipe=replace(SHORT, steps=2, autocast=a), progress=False)
        for a in (True, False)
    )
    assert log[0] != exact[0]
    for name in ("classification", "regression"):
        assert log[-1][name] == pytest.approx(exact[-1][name], rel=0.2)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"optimizer": "adam"}, 'optimizer must be "adamw" or "sgd"; got "adam"'),
        ({"steps": 0}, "steps must be 1 or more; got 0"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"evaluate_every": 0}, "evaluate_every must be 1 or more"),
        ({"save_every": -1}, "save_every must be 1 or more; got -1"),
        ({"learning_rate": 0.0}, "learning_rate and clip must be above 0.* got 0.0"),
        ({"learning_rate": math.nan}, "learning_rate and clip must be above 0"),
        ({"clip": 0.0}, "learning_rate and clip must be above 0"),
        ({"warmup": 1.0}, "warmup a part of the steps"),
    ],
)
def test_an_impossible_recipe_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**wrong)


# ── the files ──


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(new_detector(), plain_items(1), recipe=SHORT, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_the_log_is_a_line_a_step_of_sound_json(unbroken):
    folder, _, log = unbroken

    def refuse(name):
        raise AssertionError(f"JSON has no {name}")

    lines = (folder / "log.jsonl").read_text().splitlines()
    records = [json.loads(line, parse_constant=refuse) for line in lines]
    assert [record["step"] for record in records] == list(range(1, 9))
    measured = [record["step"] for record in records if "AP" in record]
    assert measured == [4, 8]
    assert "APl" in records[3] and records[3]["APl"] is None  # there is no object so large
    assert str(read_log(folder / "log.jsonl")) == str(log)  # null is NaN again
    assert {file.name for file in folder.iterdir()} == {"last.pt", "best.pt", "log.jsonl"}


def test_the_log_is_read_while_the_training_runs(tmp_path):
    seen = []

    class Watching(list):
        def __getitem__(self, index):
            seen.append(len(read_log(tmp_path / "log.jsonl")))
            return super().__getitem__(index)

    fit(new_detector(), Watching(plain_items(1)), None, SHORT, folder=tmp_path, progress=False)
    assert seen == [0, 0, 1, 1, 2, 2]


def test_a_last_line_half_written_is_not_read_yet(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1, "AP": null}\n{"step": 2, "A')
    (record,) = read_log(tmp_path / "log.jsonl")
    assert record["step"] == 1 and math.isnan(record["AP"])


def scripted(monkeypatch, *values: float) -> None:
    """Evaluations that give these APs."""
    aps = iter(values)
    monkeypatch.setattr(training_module, "evaluate", lambda *_: {"AP": next(aps)})


def step_of(file) -> int:
    Detector.load(file)
    return torch.load(file, weights_only=True)["step"]


@pytest.mark.parametrize(
    "values, best",
    [
        ((0.1, 0.5, 0.3, 0.4), 2),
        ((0.0, math.nan, math.nan, math.nan), 1),
        ((math.nan, math.nan, math.nan, math.nan), 4),  # nothing to find: the last
        ((0.2, 0.1, 0.2, 0.1), 3),  # of equals the later
    ],
)
def test_the_best_detector_is_that_of_the_highest_ap(tmp_path, monkeypatch, values, best):
    scripted(monkeypatch, *values)
    recipe = replace(SHORT, steps=4, evaluate_every=1, save_every=9)
    fit(new_detector(), plain_items(1), [], recipe, folder=tmp_path, progress=False)
    assert step_of(tmp_path / "best.pt") == best
    assert step_of(tmp_path / "last.pt") == 4


def test_the_best_detector_outlives_a_stop(tmp_path, monkeypatch):
    recipe = replace(SHORT, steps=4, evaluate_every=1)
    scripted(monkeypatch, 0.5, 0.3)
    with pytest.raises(StopIteration):
        fit(new_detector(), plain_items(1), [], recipe, folder=tmp_path, progress=False)
    scripted(monkeypatch, 0.4, 0.2)
    fit(new_detector(), plain_items(1), [], recipe, folder=tmp_path, progress=False)
    assert step_of(tmp_path / "best.pt") == 1
    assert [r["AP"] for r in read_log(tmp_path / "log.jsonl")] == [0.5, 0.3, 0.4, 0.2]


def test_without_validation_the_best_detector_is_the_last(tmp_path):
    detector = new_detector()
    fit(detector, plain_items(1), recipe=replace(SHORT, save_every=2), folder=tmp_path,
        progress=False)  # fmt: skip
    assert step_of(tmp_path / "best.pt") == 3
    assert_same_weights(
        Detector.load(tmp_path / "best.pt").model.state_dict(), detector.model.state_dict()
    )


# ── stopped and gone on ──


def test_a_training_killed_at_any_moment_ends_as_if_it_had_not_been(forkserver, tmp_path, unbroken):
    expected_folder, weights, _ = unbroken
    pauses = random.Random(0)
    kills = 0
    for after in (1, 3, 4, 6):
        process = forkserver.Process(target=train, args=(tmp_path,))
        process.start()
        while process.is_alive() and lines(tmp_path) < after:
            time.sleep(0.002)
        time.sleep(pauses.uniform(0, 0.1))
        kills += process.is_alive()
        process.kill()
        process.join()
        for name in ("last.pt", "best.pt"):
            if (tmp_path / name).exists():
                Detector.load(tmp_path / name)
        steps = [record["step"] for record in read_log(tmp_path / "log.jsonl")]
        assert steps == list(range(1, len(steps) + 1))
    assert kills >= 2
    detector, _ = train(tmp_path)
    assert_same_weights(detector.model.state_dict(), weights)
    assert_same_files(tmp_path, expected_folder)


def lines(folder) -> int:
    log = folder / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


MOMENTS = ["log", "best.pt.part", "best.pt", "last.pt.part", "last.pt"]


@pytest.mark.parametrize("workers, moments", [(0, MOMENTS), (1, MOMENTS[3:4])])
def test_a_crash_between_the_writes_of_a_step_does_no_harm(
    tmp_path, unbroken, monkeypatch, workers, moments
):
    """A step writes the log, best.pt and last.pt. It crashes after each of them in turn."""
    expected_folder, weights, log = unbroken
    step = max((r for r in log if "AP" in r), key=lambda record: record["AP"])["step"]
    save, replace_file = torch.save, detector_module.os.replace

    def crashing(moment: str):
        def crash_if(name: str) -> None:
            if name == moment and lines(tmp_path) == step:
                raise Crash

        def crashing_save(content, file):
            crash_if("log")
            save(content, file)
            file.flush()
            crash_if(file.name.rsplit("/", 1)[1])

        def crashing_replace(source, target):
            replace_file(source, target)
            crash_if(target.name)

        return crashing_save, crashing_replace

    for moment in moments:
        with monkeypatch.context() as patch, pytest.raises(Crash):
            crashing_save, crashing_replace = crashing(moment)
            patch.setattr(torch, "save", crashing_save)
            patch.setattr(detector_module.os, "replace", crashing_replace)
            train(tmp_path, workers)
        Detector.load(tmp_path / "best.pt")
        assert step_of(tmp_path / "last.pt") == step - 2 * (moment != "last.pt")
    detector, _ = train(tmp_path, workers)
    assert_same_weights(detector.model.state_dict(), weights)
    for name in ("best.pt.part", "last.pt.part"):
        (tmp_path / name).unlink(missing_ok=True)
    assert_same_files(tmp_path, expected_folder)


def test_a_broken_picture_costs_itself_and_not_the_training(tmp_path, monkeypatch):
    """Stopped and gone on, the training ends as if it had not been, with the picture as well."""
    root = tmp_path / "voc"
    for seed, stem in enumerate("abcd"):
        draw(root / f"JPEGImages/{stem}.jpg", seed)
        xml = voc_xml(f"{stem}.jpg", [("star", 9, 9, 30, 30 + seed)])
        write(root / f"Annotations/{stem}.xml", xml)
    write(root / "ImageSets/trainval.txt", "a\nb\nc\nd")
    content = (root / "JPEGImages/c.jpg").read_bytes()
    (root / "JPEGImages/c.jpg").write_bytes(content[: len(content) // 2])

    def run(out, workers: int = 0) -> None:
        folder = VocFolder(root, classes=CLASSES)
        fit(new_detector(), folder, folder, RECIPE, augment(), out, workers, progress=False)

    with pytest.warns(UserWarning, match="c.jpg cannot be read: image file is truncated"):
        run(tmp_path / "unbroken")
    with pytest.warns(UserWarning), monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(training_module, "evaluate", crash)  # in step 4
        run(tmp_path / "stopped")
    assert step_of(tmp_path / "stopped" / "last.pt") == 2
    with pytest.warns(UserWarning):
        run(tmp_path / "stopped", workers=1)
    assert_same_files(tmp_path / "stopped", tmp_path / "unbroken")


def crash(*_) -> None:
    raise Crash


def test_a_training_that_is_done_stays_as_it_is(unbroken):
    folder, weights, log = unbroken
    before = files(folder)
    detector, again = train(folder)
    assert_same_weights(detector.model.state_dict(), weights)
    assert str(again) == str(log)
    assert files(folder) == before
    assert not detector.model.training


def test_a_training_of_an_older_package_which_wrote_fewer_settings_goes_on(unbroken, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(unbroken[0], folder)
    last = torch.load(folder / "last.pt", weights_only=True)
    for name in ("p6_from", "norm_groups", "bn_eps", "frozen"):
        del last["about"][name]
    for part, names in {
        "anchors": ("levels", "offset", "rounded", "floor_strides"),
        "focal_loss": ("box_loss",),
        "detection": ("keep_empty",),
    }.items():
        for name in names:
            del last["about"][part][name]
    torch.save(last, folder / "last.pt")
    detector, _ = train(folder)
    assert_same_weights(detector.model.state_dict(), unbroken[1])


@pytest.mark.parametrize(
    "detector, recipe, message",
    [
        (
            new_detector,
            replace(RECIPE, learning_rate=0.5, seed=4),
            r"learning_rate \(0.001 there, 0.5 here\), seed \(3 there, 4 here\)",
        ),
        (
            lambda: Detector(RetinaNet(3, BasicBlock, [1] * 4, 24, freeze_bn=True), CLASSES),
            RECIPE,
            r"feature_size \(16 there, 24 here\), .*freeze_bn \(False there, True here\)",
        ),
        (
            lambda: Detector(new_detector().model, ("a", "b", "c"), (40, 60)),
            RECIPE,
            r"classes \(\['disc', 'square', 'star'\] there, \['a', 'b', 'c'\] here\), "
            r"size \(None there, \[40, 60\] here\)",
        ),
    ],
)
def test_another_training_does_not_go_on_there_and_overwrites_nothing(
    unbroken, detector, recipe, message
):
    folder = unbroken[0]
    before = files(folder)
    with pytest.raises(ValueError, match=f"holds a training that differs in {message}. Go on with"):
        fit(detector(), scenes(5), None, recipe, folder=folder, progress=False)
    assert files(folder) == before


def test_a_folder_whose_last_pt_is_no_checkpoint_is_left_alone(tmp_path):
    new_detector().save(tmp_path / "last.pt")
    with pytest.raises(ValueError, match="last.pt is not the checkpoint of a training"):
        train(tmp_path)
    (tmp_path / "last.pt").write_bytes((tmp_path / "last.pt").read_bytes()[:1000])
    with pytest.raises(ValueError, match="last.pt can't be read"):
        train(tmp_path)


# ── losses that are not finite ──


def test_a_training_that_explodes_stops_with_step_images_and_cause(tmp_path):
    detector, states = new_detector(), []
    hook = register_optimizer_step_post_hook(
        lambda *_: states.append({k: v.clone() for k, v in detector.model.state_dict().items()})
    )
    recipe = Recipe(20, 2, "sgd", 1e12, warmup=0.0, clip=1e30, save_every=1)
    with pytest.raises(FloatingPointError) as error:
        fit(detector, scenes(5), None, recipe, folder=tmp_path, progress=False)
    hook.remove()
    step = len(states) + 1
    text = str(error.value)
    assert f"step {step}: the losses are classification " in text
    order = [training_module.Stream(scenes(5)).name(2 * (step - 1) + i) for i in range(2)]
    assert f"Images: {', '.join(order)}. Likely cause: most often a learning rate that is " in text
    assert "at most 1e+12" in text and text.endswith("The step was not taken.")
    assert_same_weights(detector.model.state_dict(), states[-1])
    assert len(read_log(tmp_path / "log.jsonl")) == step_of(tmp_path / "last.pt") == step - 1


def test_weights_that_were_not_finite_are_named_as_the_cause():
    detector = new_detector()
    with torch.no_grad():
        detector.model.fpn.p6.weight[:] = math.nan
    with pytest.raises(FloatingPointError, match="step 1: .*weights were not finite before this"):
        fit(detector, scenes(5), recipe=SHORT, progress=False)


def test_a_gradient_that_is_not_finite_stops_too_and_the_network_is_as_before():
    detector = new_detector()
    before = {name: value.clone() for name, value in detector.model.state_dict().items()}
    detector.model.fpn.p6.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(FloatingPointError, match="the gradient's norm is (nan|inf)"):
        fit(detector, scenes(5), recipe=SHORT, progress=False)
    assert_same_weights(detector.model.state_dict(), before)
