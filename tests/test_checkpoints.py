"""Checkpoints of others: older layouts load, what does not fit is named, and nothing is run."""

import argparse
import ast
import pickle
import random
import re
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn as nn
from original import Original
from others import at_random, numbers
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

import retinanet_lite
from retinanet_lite import (
    Detector,
    from_pytorch_retinanet,
    from_torchvision,
)
from retinanet_lite.model.imagenet import download
from retinanet_lite.zoo.torchvision_retinanet import COCO

WIDTH = 32  # channels of the pyramid: as few as torchvision's GroupNorm of 32 groups allows
BODY, FPN, HEAD = "backbone.body", "backbone.fpn", "head"
LOGITS = f"{HEAD}.classification_head.cls_logits.weight"
DELTAS = f"{HEAD}.regression_head.bbox_reg.weight"
LATERAL = f"{FPN}.inner_blocks.2.0.weight"
P7 = f"{FPN}.extra_blocks.p7.bias"
COUNTER = f"{BODY}.layer2.0.bn1.num_batches_tracked"

State = dict[str, torch.Tensor]


def small(
    version: str = "v1",
    num_classes: int = 5,
    norm_layer: Callable[..., nn.Module] = nn.BatchNorm2d,
    scales: tuple[float, ...] = (1.0, 2 ** (1 / 3), 2 ** (2 / 3)),
) -> RetinaNet:
    """torchvision's RetinaNet over one block a stage, with parameters at random."""
    resnet = ResNet(BasicBlock, [1, 1, 1, 1], norm_layer=norm_layer)
    backbone = BackboneWithFPN(
        resnet,
        {"layer2": "0", "layer3": "1", "layer4": "2"},
        [128, 256, 512],
        WIDTH,
        LastLevelP6P7(WIDTH if version == "v1" else 512, WIDTH),
    )
    sizes = tuple(tuple(int(2**level * 4 * s) for s in scales) for level in (3, 4, 5, 6, 7))
    norm = partial(nn.GroupNorm, 32) if version == "v2" else None
    model = RetinaNet(
        backbone,
        num_classes,
        anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5),
        head=RetinaNetHead(WIDTH, 3 * len(scales), num_classes, norm_layer=norm),
        _skip_resize=True,
    )
    return at_random(model)


@pytest.fixture(scope="module")
def theirs() -> RetinaNet:
    torch.manual_seed(0)
    return small()


@pytest.fixture
def state(theirs) -> State:
    """torchvision's v1 as a state dict that a test may change."""
    return dict(theirs.state_dict())


@pytest.fixture(scope="module")
def original() -> State:
    torch.manual_seed(0)
    return dict(Original(features=WIDTH).state_dict())


def refused(load: Callable, *arguments, **named) -> str:
    """What a load that must fail says: a ValueError of one line, not too long to read."""
    with pytest.raises(ValueError) as error:
        load(*arguments, **named)
    message = str(error.value)
    assert "\n" not in message and len(message) < 800
    return message


@torch.no_grad()
def assert_same(model, theirs: RetinaNet) -> None:
    """The same numbers to the last bit, and the same anchors."""
    images = torch.randn(1, 3, 136, 160)
    expected = numbers(theirs, images)
    logits, deltas, anchors = model.predict(images)
    assert torch.equal(logits, expected["logits"])
    assert torch.equal(deltas, expected["deltas"])
    assert torch.equal(anchors, expected["anchors"])


# ── what loads ──


def older(state: State) -> State:
    """As torchvision wrote it: ReLUs counted in heads, no `.0` in the pyramid, no counters."""
    heads = {
        re.sub(r"_head\.conv\.(\d)\.0\.", lambda m: f"_head.conv.{2 * int(m[1])}.", key): value
        for key, value in state.items()
    }
    pyramid = {re.sub(r"(_blocks\.\d)\.0\.", r"\1.", key): v for key, v in heads.items()}
    return {key: value for key, value in pyramid.items() if not key.endswith("_tracked")}


def test_an_older_layout_is_what_torchvision_makes_of_it(state):
    theirs = small()
    theirs.load_state_dict(older(state))  # it brings the names up to date itself
    assert_same(from_torchvision(older(state), bn_eps=1e-5), theirs)


def test_what_is_loaded_stays_as_it_was(state):
    old = older(state)
    before = {key: value.clone() for key, value in old.items()}
    model = from_torchvision(old, bn_eps=1e-5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert old.keys() == before.keys()
    assert all(torch.equal(old[key], before[key]) for key in before)


@pytest.mark.parametrize(
    "wrap, kind, legacy",
    [
        (lambda state: state, str, True),
        # as torchvision's own training writes it
        (lambda state: {"model": state, "args": argparse.Namespace(epochs=26)}, Path, False),
    ],
)
def test_a_file_gives_what_its_state_dict_gives(theirs, state, tmp_path, wrap, kind, legacy):
    file = tmp_path / "a.pth"
    torch.save(wrap(state), file, _use_new_zipfile_serialization=not legacy)
    assert_same(from_torchvision(kind(file)), theirs)


def test_half_precision_gives_what_torchvision_makes_of_it(state):
    half = {key: v.half() if v.is_floating_point() else v for key, v in state.items()}
    theirs = small()
    theirs.load_state_dict(half)
    assert_same(from_torchvision(half), theirs)


# ── batch norm's eps, which no file tells ──


@pytest.fixture
def frozen() -> RetinaNet:
    theirs = small(norm_layer=partial(FrozenBatchNorm2d, eps=0.0))
    for module in theirs.modules():
        if isinstance(module, FrozenBatchNorm2d):
            for name in ("weight", "bias", "running_mean"):
                getattr(module, name).normal_(0.5, 0.1)
            module.running_var.uniform_(1e-5, 1e-4)  # so little that its eps matters
            module.weight.mul_(0.01)
    return theirs


@torch.no_grad()
def test_frozen_batch_norm_of_a_given_eps_is_torchvisions_without_a_word(frozen):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = from_torchvision(frozen.state_dict(), bn_eps=0.0)
    images = torch.randn(1, 3, 64, 96)
    expected = numbers(frozen, images)["logits"]
    # torchvision's frozen batch norm computes in another order
    torch.testing.assert_close(model.predict(images)[0], expected, rtol=1e-4, atol=1e-4)


def test_the_eps_of_frozen_batch_norm_is_guessed_with_a_warning_that_tells_how_to_say_it(frozen):
    with pytest.warns(UserWarning, match=r"1e-5.*bn_eps=0\.0") as told:
        model = from_torchvision(frozen.state_dict())
    assert len(told) == 1 and told[0].filename == __file__
    assert {m.eps for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-5}


def test_of_batch_norm_that_learned_nothing_is_guessed(state):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_torchvision(state)


# ── what does not fit ──


def test_other_classes_are_counted_and_two_ways_out_are_named(original):
    message = refused(from_torchvision, small(num_classes=91).state_dict(), num_classes=20)
    assert "91 classes, not 20" in message
    assert "replace_classes(model, 20)" in message and "keep_classes(model" in message
    assert "4 classes, not 80" in refused(from_pytorch_retinanet, original, num_classes=80)


def test_a_file_of_another_version_is_told(state):
    message = refused(from_torchvision, small("v2").state_dict(), version="v1")
    assert "torchvision's v2, not v1" in message and "version='v2'" in message
    message = refused(from_torchvision, state, version="v2")
    assert "torchvision's v1, not v2" in message and "version='v1'" in message


def test_a_version_that_does_not_exist_is_told(state):
    assert "torchvision's v1, not v3" in refused(from_torchvision, state, version="v3")


@pytest.mark.parametrize(
    "key, told",
    [
        (LATERAL, f"there is no convolution {LATERAL}"),  # of those that tell how it is built
        (P7, f"{P7}: missing, wanted [{WIDTH}]"),
        (COUNTER, f"{COUNTER}: missing, wanted []"),  # one, while there are others
    ],
)
def test_a_missing_key_is_named(state, key, told):
    del state[key]
    assert told in refused(from_torchvision, state)


@pytest.mark.parametrize(
    "key, wanted",
    [
        (f"{BODY}.fc.weight", "none"),
        # of a block whose other parts are missing
        (f"{BODY}.layer1.1.conv1.weight", "[64, 64, 3, 3]"),
        ("fpn.p6.weight", "none"),  # our own name for what is there as well
    ],
)
def test_an_extra_key_is_named(state, key, wanted):
    state[key] = torch.zeros(WIDTH, WIDTH, 3, 3)
    told = f"{key}: [{WIDTH}, {WIDTH}, 3, 3], wanted {wanted}"
    assert told in refused(from_torchvision, state)


@pytest.mark.parametrize("second", [f"{FPN}.inner_blocks.2.weight", f"module.{LATERAL}"])
def test_a_parameter_that_is_there_under_two_names_is_named(state, second):
    state[second] = torch.zeros_like(state[LATERAL])
    assert f"two parameters each for {LATERAL}" in refused(from_torchvision, state)


@pytest.mark.parametrize(
    "key, shape",
    [
        (f"{BODY}.layer1.0.conv1.weight", (128, 64, 3, 3)),  # as wide as that of a wide ResNet
        (LOGITS, (46, WIDTH, 3, 3)),
        (COUNTER, (1,)),
    ],
)
def test_a_parameter_of_another_shape_is_named_with_both(state, key, shape):
    mine = list(state[key].shape)
    state[key] = torch.zeros(shape)
    assert f"{key}: {list(shape)}, wanted {mine}" in refused(from_torchvision, state)


@pytest.mark.parametrize(
    "key, shape",
    [
        (LATERAL, (0, 512, 1, 1)),
        (LATERAL, (WIDTH,)),
        (LOGITS, (5, WIDTH, 3, 3)),  # fewer than the anchors
        (DELTAS, (3, WIDTH, 3, 3)),
    ],
)
def test_a_shape_that_no_network_has_is_named(state, key, shape):
    state[key] = torch.zeros(shape)
    message = refused(from_torchvision, state)
    assert key in message and str(list(shape)) in message


@pytest.mark.parametrize("kind", ["meta", "sparse"])
def test_a_tensor_that_holds_no_values_in_a_row_is_named(state, kind):
    value = state[f"{BODY}.conv1.weight"]
    state[f"{BODY}.conv1.weight"] = value.to("meta") if kind == "meta" else value.to_sparse()
    assert f"{BODY}.conv1.weight" in refused(from_torchvision, state)


def test_of_many_faults_a_few_are_named_and_the_others_counted(state):
    bare = {key: value for key, value in state.items() if ".bn" not in key}
    message = refused(from_torchvision, bare)
    missing = len(state) - len(bare)
    assert f"and {missing - message.count('.bn')} more" in message


def test_the_number_of_anchors_is_told_and_how_to_give_them():
    message = refused(from_torchvision, small(scales=(1.0,)).state_dict())
    assert "[12, 32, 3, 3], wanted [36, 32, 3, 3]" in message and "anchors=Anchors(" in message


def test_a_state_dict_of_others_is_told(state, original, make_tiny):
    message = refused(from_torchvision, original)
    assert "not of torchvision's RetinaNet" in message and f"{BODY}.layer1" in message
    message = refused(from_pytorch_retinanet, state)
    assert "pytorch-retinanet: there is no convolution layer1.0.conv1.weight" in message
    message = refused(from_torchvision, make_tiny().state_dict())
    assert "goes into model.load_state_dict" in message


@pytest.mark.parametrize(
    "source, told",
    [
        (lambda: nn.Linear(2, 2), r"a Linear\b.*model\.state_dict\(\)"),
        (lambda: {"model": nn.Linear(2, 2)}, r"\bmodel\b"),
        (lambda: {"model": {}}, "empty"),
        (lambda: torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1).state_dict(), "param_groups"),
        (lambda: nn.Linear(2, 2).state_dict(), r"It has weight, bias"),
        (lambda: {5: torch.zeros(1)}, "It has 5"),
    ],
)
def test_what_is_no_state_dict_of_a_detector_is_named(source, told):
    assert re.search(told, refused(from_torchvision, source()))


# ── files that can't be read ──


@pytest.mark.parametrize(
    "content",
    [
        b"<html>404: not found</html>",
        b"column,loss\n1,2\n",  # begins as a pickle that names a class
        pickle.dumps({"a": 1}, protocol=5),
    ],
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_what_pytorch_did_not_write_is_told(tmp_path, content):
    (tmp_path / "a.pth").write_bytes(content)
    told = f"{tmp_path / 'a.pth'} can't be read: it is damaged"
    assert told in refused(from_torchvision, tmp_path / "a.pth")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_cut_off_anywhere_is_told(tmp_path, legacy):
    file = tmp_path / "a.pth"
    content = {f"weight{i}": torch.randn(20, 20) for i in range(5)}
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    content = file.read_bytes()
    for length in range(0, len(content), 61):
        file.write_bytes(content[:length])
        assert "can't be read" in refused(from_torchvision, file), length


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_bytes_at_random_are_told(tmp_path):
    file, dice = tmp_path / "a.pth", random.Random(0)
    for i in range(300):
        file.write_bytes(b"\x80\x02" * (i % 2) + dice.randbytes(dice.randrange(1, 40)))
        assert str(file) in refused(from_torchvision, file)


def test_a_pickled_model_is_told_with_a_safe_way_out(tmp_path, theirs):
    torch.save(theirs, tmp_path / "a.pth")
    message = refused(from_torchvision, tmp_path / "a.pth")
    assert "holds a torchvision.models.detection.retinanet.RetinaNet, " in message
    assert "whole pickled model" in message and ".state_dict()" in message


# ── nothing in a file is run ──


class Trap:
    """Unpickled as any class, it makes a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


@pytest.mark.parametrize("write", ["zip", "legacy", "pickle"])
def test_a_pickle_that_runs_something_is_not_run(tmp_path, monkeypatch, write):
    published = COCO["coco"]
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    file = tmp_path / "checkpoints" / published.url.rsplit("/", 1)[1]
    file.parent.mkdir()
    victim = tmp_path / "victim"
    if write == "pickle":
        file.write_bytes(pickle.dumps({"w": Trap(victim)}, protocol=2))
        pickle.loads(file.read_bytes())
    else:
        zipped = write == "zip"
        torch.save({"w": Trap(victim)}, file, _use_new_zipfile_serialization=zipped)
        torch.load(file, weights_only=False)
    assert victim.exists()  # the trap works
    victim.unlink()

    for load in (from_torchvision, from_pytorch_retinanet, Detector.load):
        refused(load, file)
    with pytest.raises(ConnectionError):
        download(published, "weights", "nothing")
    assert not victim.exists()


READERS = ("load", "get_state_dict", "load_state_dict_from_url", "load_url")
UNSAFE = {"pickle": {"load", "loads", "Unpickler"}, "joblib": {"load"}}


def test_every_file_is_read_with_weights_only():
    found = []
    for path in Path(retinanet_lite.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner, name = ast.unparse(node.func.value), node.func.attr
            assert name not in UNSAFE.get(owner, ()), f"{path.name}:{node.lineno}"
            if name in READERS and (owner.startswith("torch") or name != "load"):
                (safe,) = [k.value for k in node.keywords if k.arg == "weights_only"] or [None]
                assert isinstance(safe, ast.Constant), f"{path.name}:{node.lineno}"
                assert safe.value is True, f"{path.name}:{node.lineno}"
                found.append(path.name)
    assert set(found) >= {"safe_files.py", "imagenet.py"}
