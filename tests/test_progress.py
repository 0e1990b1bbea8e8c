"""A bar comes for what takes long, once, and for nothing else."""

import time

import pytest

from retinanet_lite import Detector, evaluate, progress
from retinanet_lite.data.scenes import THREE, test_scenes


def slow(items, seconds=0.03):
    for item in items:
        time.sleep(seconds)
        yield item


@pytest.mark.parametrize(
    ("delay", "shown", "rank", "expected"),
    [
        (0.01, True, None, True),
        (0.01, True, "0", True),
        (60.0, True, None, False),
        (0.01, False, None, False),
        (0.01, True, "1", False),
    ],
    ids=["slow", "first process", "quick", "switched off", "second process"],
)
def test_who_shows_a_bar(monkeypatch, capsys, delay, shown, rank, expected):
    monkeypatch.setattr(progress, "DELAY", delay)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    items = list(progress.progress_bar(slow(range(12)), 12, "counting", shown))
    assert items == list(range(12))
    printed = capsys.readouterr()
    assert ("counting" in printed.err) == expected
    assert printed.out == ""


@pytest.mark.parametrize("shown", [True, False])
def test_measuring_shows_how_far_it_is(monkeypatch, capsys, tiny, shown):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    evaluate(Detector(tiny, THREE), test_scenes(length=3), progress=shown)
    assert ("measuring" in capsys.readouterr().err) == shown
