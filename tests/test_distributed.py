"""Two processes on the CPU learn and measure what one would."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from small_training import RECIPE, new_detector, one_of_two, scenes, shared_batch
from test_folders import annotation, draw, write

from retinanet_lite import Detector, evaluate, fit
from retinanet_lite.data.transforms import augment
from retinanet_lite.devices import (
    average,
    best_device,
    gather,
    known_device,
    processes,
    rank,
    share_buffers,
    share_gradients,
    world_size,
)
from retinanet_lite.training.fit import make_loader
from retinanet_lite.training.run_folder import read_log
from retinanet_lite.training.stream import Stream


@pytest.fixture(scope="module")
def two(forkserver, tmp_path_factory):
    """What two processes found, and the folder of their training."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = [forkserver.Process(target=one_of_two, args=(i, port, folder)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        worker.kill()
        assert worker.exitcode == 0
    return [torch.load(folder / f"{i}.pt", weights_only=False) for i in range(2)], folder / "run"


def test_each_process_has_its_number(two):
    findings, _ = two
    assert [(f["rank"], f["world"], f["device"]) for f in findings] == [
        (0, 2, torch.device("cpu")),
        (1, 2, torch.device("cpu")),
    ]


def test_gradients_are_those_of_one_process_on_the_whole_batch(two):
    findings, _ = two
    model = new_detector(freeze_bn=True).model
    images, annotations = shared_batch()
    assert [(rows[:, 4] >= 0).sum().item() for rows in annotations] == [2, 0, 1, 0, 2, 0]
    sum(model(images, annotations).values()).backward()
    expected = [p.grad for p in model.parameters() if p.requires_grad]
    assert max(gradient.abs().max() for gradient in expected) > 0.1
    for found in findings:
        torch.testing.assert_close(found["gradients"], expected, rtol=1e-3, atol=1e-5)


def test_what_is_gathered_is_in_the_order_of_the_data_set(two):
    for found in two[0]:
        assert found["gathered"] == [0, 10, 1, 11, 2]


def test_five_images_measured_by_two_processes_have_the_numbers_of_one(two):
    expected = evaluate(new_detector(), scenes(5), batch_size=2)
    assert expected["AP"] > 0
    for found in two[0]:
        assert found["measured"] == pytest.approx(expected, rel=1e-4, nan_ok=True)


def test_an_image_that_one_of_two_processes_cannot_read_costs_no_other_its_detections(two):
    items = scenes(5)
    # the first has 0 and 4, the second 1 and 3; among equal scores, the order decides
    expected = evaluate(new_detector(), [items[i] for i in (0, 1, 4, 3)], batch_size=2)
    for found in two[0]:
        assert found["left out"] == pytest.approx(expected, rel=1e-4, nan_ok=True)
        assert found["left out"]["AP"] != pytest.approx(found["measured"]["AP"], rel=1e-4)


def test_two_processes_learn_what_one_learns(two):
    (first, second), folder = two
    detector = new_detector(freeze_bn=True)
    log = fit(detector, scenes(5), scenes(3, 50), RECIPE, augment(), progress=False)
    for name, value in detector.model.state_dict().items():
        torch.testing.assert_close(first["frozen"][name], value, rtol=0.02, atol=2e-3)
        assert torch.equal(first["frozen"][name], second["frozen"][name]), name
    assert str(first["log"]) == str(second["log"])
    for record, expected in zip(first["log"], log, strict=True):
        for name in ("step", "learning_rate", "classification", "regression"):
            assert record[name] == pytest.approx(expected[name], rel=0.02)


def test_batch_norm_that_learns_ends_the_same_in_both_processes(two):
    first, second = (found["learning"] for found in two[0])
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_one_process_writes_the_files(two):
    (first, _), folder = two
    assert {file.name for file in folder.iterdir()} == {"last.pt", "best.pt", "log.jsonl"}
    assert str(read_log(folder / "log.jsonl")) == str(first["log"])
    weights = torch.load(folder / "last.pt", weights_only=True)["weights"]
    assert all(torch.equal(weights[name], first["frozen"][name]) for name in weights)


def test_a_batch_is_shared_equally(monkeypatch):
    stream, recipe = Stream(scenes(5)), replace(RECIPE, batch_size=6, steps=2)
    whole = [images for images, _ in make_loader(stream, recipe, 0, 0, False)]
    shares = []
    monkeypatch.setattr("retinanet_lite.training.fit.world_size", lambda: 2)
    for number in range(2):
        monkeypatch.setattr("retinanet_lite.training.fit.rank", lambda number=number: number)
        shares.append([images for images, _ in make_loader(stream, recipe, 0, 0, False)])
    for batch, first, second in zip(whole, *shares, strict=True):
        assert torch.equal(batch[0::2], first) and torch.equal(batch[1::2], second)


def test_a_batch_that_cannot_be_shared_equally_is_named(monkeypatch):
    monkeypatch.setattr("retinanet_lite.training.fit.world_size", lambda: 3)
    with pytest.raises(ValueError, match="a batch of 2 can't be shared equally by 3 .*multiple of"):
        make_loader(Stream(scenes(5)), RECIPE, 0, 0, False)


def test_without_torchrun_there_is_one_process(monkeypatch, tiny):
    monkeypatch.delenv("RANK", raising=False)
    with processes("cpu") as device:
        assert device == torch.device("cpu") and (rank(), world_size()) == (0, 1)
        assert share_gradients(tiny) is tiny
        assert gather([3, 1]) == [3, 1] and average(torch.tensor([2.0])).item() == 2
        share_buffers(tiny)


def test_the_command_line_trains_under_torchrun(tmp_path):
    draw(tmp_path / "images/a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [annotation(1, 1, 1, [5, 5, 30, 30])],
    }
    write(tmp_path / "a.json", json.dumps(content))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", "2", "-m", "retinanet_lite", "train", "--device", "cpu"]
    command += ["--coco", "images", "a.json", "--steps", "3", "--batch-size", "2"]
    run = subprocess.run(
        [*command, "--features", "8", "--out", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("images to learn") == run.stdout.count("the detector is") == 1
    assert [record["step"] for record in read_log(tmp_path / "run" / "log.jsonl")] == [1, 2, 3]
    Detector.load(tmp_path / "run" / "best.pt")


# ── which device ──


@pytest.mark.parametrize("kind", ["mps", None])
def test_the_device_is_the_machines_accelerator(monkeypatch, kind):
    found = SimpleNamespace(
        is_available=lambda: kind is not None, current_accelerator=lambda: torch.device(kind)
    )
    monkeypatch.setattr(torch, "accelerator", found)
    assert best_device() == torch.device(kind or "cpu")


def test_a_device_is_known_where_it_is_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 0)
    for name in ("cpu", "cuda", "cuda:1"):
        assert known_device(name) == torch.device(name)
    for name in ("cuda:2", "xpu", "toaster", "meta"):
        with pytest.raises(ValueError, match=f"no device {name} here"):
            known_device(name)
