"""Checkpoints of others: older layouts load, what does not fit is named, and nothing is run."""

import argparse
import ast
import pickle
import random
import re
import warnings
from collections.abc import Callable
from fractions import Fraction
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
    Anchors,
    Detector,
    from_pytorch_retinanet,
    from_torchvision,
    to_torchvision,
)
from retinanet_lite.model.imagenet import download
from retinanet_lite.zoo.torchvision_retinanet import COCO

WIDTH = 32  # channels of the pyramid: as few as torchvision's GroupNorm of 32 groups allows
BODY, FPN, HEAD = "backbone.body", "backbone.fpn", "head"
LOGITS = f"{HEAD}.classification_head.cls_logits.weight"
DELTAS = f"{HEAD}.regression_head.bbox_reg.weight"
LATERAL = f"{FPN}.inner_blocks.2.0.weight"

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
def v2() -> State:
    torch.manual_seed(0)
    return dict(small("v2").state_dict())


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


def without_counters(state: State) -> State:
    return {key: value for key, value in state.items() if not key.endswith("_tracked")}


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


def older_heads(state: State) -> State:
    """As torchvision called a head's convolutions when the ReLUs between them were counted."""
    return {
        re.sub(r"_head\.conv\.(\d)\.0\.", lambda m: f"_head.conv.{2 * int(m[1])}.", key): value
        for key, value in state.items()
    }


def older_pyramid(state: State) -> State:
    """As torchvision called the pyramid's convolutions when each was a module by itself."""
    return {re.sub(r"(_blocks\.\d)\.0\.", r"\1.", key): value for key, value in state.items()}


OLDER = {
    "heads": older_heads,
    "pyramid": older_pyramid,
    "counters": without_counters,
    "all": lambda state: without_counters(older_pyramid(older_heads(state))),
}


@pytest.mark.parametrize("part", OLDER)
def test_an_older_layout_is_what_torchvision_makes_of_it(state, part):
    old = OLDER[part](state)
    assert old.keys() != state.keys()
    theirs = small()
    theirs.load_state_dict(dict(old))  # it brings the names up to date itself
    assert_same(from_torchvision(old, bn_eps=1e-5), theirs)


def test_v2_with_an_older_pyramid_is_what_torchvision_makes_of_it(v2):
    theirs = small("v2")
    theirs.load_state_dict(older_pyramid(v2))
    assert_same(from_torchvision(older_pyramid(v2)), theirs)


def test_what_is_loaded_stays_as_it_was(state):
    old = OLDER["all"](state)
    before = {key: value.clone() for key, value in old.items()}
    model = from_torchvision(old, bn_eps=1e-5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert old.keys() == before.keys()
    assert all(torch.equal(old[key], before[key]) for key in before)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"model": s, "epoch": 3}])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_gives_what_its_state_dict_gives(theirs, state, tmp_path, legacy, wrap, kind):
    file = tmp_path / "a.pth"
    torch.save(wrap(state), file, _use_new_zipfile_serialization=not legacy)
    assert_same(from_torchvision(kind(file)), theirs)


def test_names_that_several_gpus_left_load(theirs, state):
    assert_same(from_torchvision({f"module.{key}": value for key, value in state.items()}), theirs)


def test_half_precision_gives_what_torchvision_makes_of_it(state):
    half = {key: v.half() if v.is_floating_point() else v for key, v in state.items()}
    theirs = small()
    theirs.load_state_dict(half)
    assert_same(from_torchvision(half), theirs)


def test_other_anchors_load_by_name():
    theirs = small(scales=(1.0,))
    anchors = Anchors(scales=(1.0,), offset=0.0, rounded=True, floor_strides=True)
    assert_same(from_torchvision(theirs.state_dict(), anchors=anchors), theirs)


# ── batch norm's eps, which no file tells ──


def frozen(eps: float) -> RetinaNet:
    torch.manual_seed(0)
    theirs = small(norm_layer=FrozenBatchNorm2d)
    for module in theirs.modules():
        if isinstance(module, FrozenBatchNorm2d):
            for name in ("weight", "bias", "running_mean"):
                getattr(module, name).normal_(0.5, 0.1)
            module.running_var.uniform_(1e-5, 1e-4)  # so little that its eps matters
            module.weight.mul_(0.01)
            module.eps = eps
    return theirs


@torch.no_grad()
@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_frozen_batch_norm_of_a_given_eps_is_torchvisions_without_a_word(eps):
    theirs = frozen(eps)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = from_torchvision(theirs.state_dict(), bn_eps=eps)
    images = torch.randn(1, 3, 64, 96)
    expected = numbers(theirs, images)["logits"]
    # torchvision's frozen batch norm computes in another order
    torch.testing.assert_close(model.predict(images)[0], expected, rtol=1e-4, atol=1e-4)


def test_the_eps_of_frozen_batch_norm_is_guessed_with_a_warning_that_tells_how_to_say_it():
    with pytest.warns(UserWarning, match=r"1e-5.*bn_eps=0\.0") as told:
        model = from_torchvision(frozen(1e-5).state_dict())
    assert len(told) == 1 and told[0].filename == __file__
    assert {module.eps for module in model.modules() if isinstance(module, nn.BatchNorm2d)} == {
        1e-5
    }


def test_of_batch_norm_that_learned_nothing_is_guessed(state):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_torchvision(state)


# ── what does not fit ──


def test_other_classes_are_counted_and_two_ways_out_are_named():
    message = refused(from_torchvision, small(num_classes=91).state_dict(), num_classes=20)
    assert "91 classes, not 20" in message
    assert "replace_classes(model, 20)" in message and "keep_classes(model" in message


def test_the_originals_classes_are_counted_too(original):
    message = refused(from_pytorch_retinanet, original, num_classes=80)
    assert "4 classes, not 80" in message and "replace_classes(model, 80)" in message


def test_a_v2_file_given_as_v1_is_told(v2):
    message = refused(from_torchvision, v2, version="v1")
    assert "torchvision's v2, not v1" in message and "version='v2'" in message


def test_a_v1_file_given_as_v2_is_told(state):
    message = refused(from_torchvision, state, version="v2")
    assert "torchvision's v1, not v2" in message and "version='v1'" in message


def test_a_version_that_does_not_exist_is_told(state):
    assert "torchvision's v1, not v3" in refused(from_torchvision, state, version="v3")


@pytest.mark.parametrize(
    "key",
    [
        LOGITS,
        DELTAS,
        LATERAL,
        f"{FPN}.extra_blocks.p6.weight",
        f"{FPN}.extra_blocks.p7.bias",
        f"{BODY}.conv1.weight",
        f"{BODY}.layer1.0.conv1.weight",
        f"{BODY}.layer3.0.downsample.1.running_var",
        f"{BODY}.layer2.0.bn1.num_batches_tracked",  # one, while there are others
        f"{HEAD}.regression_head.conv.2.0.bias",
    ],
)
def test_a_missing_key_is_named(state, key):
    del state[key]
    assert key in refused(from_torchvision, state)


@pytest.mark.parametrize(
    "key",
    [
        f"{BODY}.fc.weight",
        f"{BODY}.layer1.1.conv1.weight",
        f"{HEAD}.regression_head.conv.4.0.weight",
        f"{HEAD}.classification_head.conv.0.1.running_mean",
        "total_ops",
        "fpn.p6.weight",  # our own name for what is there as well
    ],
)
def test_an_extra_key_is_named(state, key):
    state[key] = torch.zeros(WIDTH, WIDTH, 3, 3)
    assert key in refused(from_torchvision, state)


@pytest.mark.parametrize(
    "name, second",
    [
        (f"{HEAD}.regression_head.conv.0.0.weight", f"{HEAD}.regression_head.conv.0.weight"),
        (LATERAL, f"{FPN}.inner_blocks.2.weight"),
        (LATERAL, f"module.{LATERAL}"),
    ],
)
def test_a_parameter_that_is_there_under_two_names_is_named(state, name, second):
    state[second] = torch.zeros_like(state[name])
    assert name in refused(from_torchvision, state)


@pytest.mark.parametrize(
    "key, shape",
    [
        (f"{BODY}.conv1.weight", (64, 1, 7, 7)),
        (f"{BODY}.layer2.0.bn1.weight", (64,)),
        (f"{FPN}.layer_blocks.1.0.bias", (WIDTH, 1)),
        (f"{FPN}.extra_blocks.p7.weight", (WIDTH, WIDTH, 1, 1)),
        (f"{HEAD}.classification_head.conv.3.0.weight", (0, WIDTH, 3, 3)),
        (LOGITS, (46, WIDTH, 3, 3)),
        (DELTAS, (37, WIDTH, 3, 3)),
        (f"{BODY}.bn1.num_batches_tracked", (1,)),
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
        (LATERAL, (WIDTH, 512)),
        (LATERAL, ()),
        (LOGITS, (0, WIDTH, 3, 3)),
        (LOGITS, (5, WIDTH, 3, 3)),
        (DELTAS, (WIDTH,)),
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


def test_other_blocks_are_named_by_their_shape(state):
    for i in (1, 2):  # as wide as those of a wide ResNet
        state[f"{BODY}.layer1.0.conv{i}.weight"] = torch.zeros(128, 64, 3, 3)
    message = refused(from_torchvision, state)
    assert f"{BODY}.layer1.0.conv1.weight: [128, 64, 3, 3], wanted [64, 64, 3, 3]" in message


def test_of_many_faults_a_few_are_named_and_the_others_counted(state):
    bare = {key: value for key, value in state.items() if ".bn" not in key}
    message = refused(from_torchvision, bare)
    missing = len(state) - len(bare)
    assert f"and {missing - message.count('.bn')} more" in message


def test_the_number_of_anchors_is_told_and_how_to_give_them():
    message = refused(from_torchvision, small(scales=(1.0,)).state_dict())
    assert "[12, 32, 3, 3], wanted [36, 32, 3, 3]" in message and "anchors=Anchors(" in message


def test_an_originals_state_dict_is_not_torchvisions(original):
    message = refused(from_torchvision, original)
    assert "not of torchvision's RetinaNet" in message and f"{BODY}.layer1" in message


def test_torchvisions_state_dict_is_not_the_originals(state):
    message = refused(from_pytorch_retinanet, state)
    assert "pytorch-retinanet: there is no convolution layer1.0.conv1.weight" in message


@pytest.mark.parametrize("load", [from_torchvision, from_pytorch_retinanet])
def test_our_own_state_dict_is_nobody_elses(make_tiny, load):
    assert "goes into model.load_state_dict" in refused(load, make_tiny().state_dict())


@pytest.mark.parametrize("load", [from_torchvision, from_pytorch_retinanet])
@pytest.mark.parametrize(
    "source, told",
    [
        (lambda: nn.Linear(2, 2), r"a Linear\b.*model\.state_dict\(\)"),
        (lambda: {"model": nn.Linear(2, 2)}, r"\bmodel\b"),
        (lambda: {"model": {}}, "empty"),
        (lambda: {}, "empty"),
        (lambda: None, "NoneType"),
        (lambda: [1], "list"),
        (lambda: torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1).state_dict(), "param_groups"),
        (lambda: {"weights": {}, "about": {"classes": []}}, "about"),
        (lambda: {"conv1.weight": torch.zeros(3).numpy()}, r"conv1\.weight"),
        (lambda: nn.Linear(2, 2).state_dict(), r"It has weight, bias"),
        (lambda: {5: torch.zeros(1)}, "It has 5"),
    ],
)
def test_what_is_no_state_dict_of_a_detector_is_named(load, source, told):
    assert re.search(told, refused(load, source()))


# ── files that can't be read ──

LOADERS = [from_torchvision, from_pytorch_retinanet, Detector.load]


def saved(content: object, legacy: bool = False) -> Callable[[Path], None]:
    return lambda file: torch.save(content, file, _use_new_zipfile_serialization=not legacy)


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("make", [lambda file: None, Path.mkdir], ids=["missing", "folder"])
def test_a_file_that_is_not_there_is_named(tmp_path, load, make):
    make(tmp_path / "a.pth")
    assert f"there is no file {tmp_path / 'a.pth'}" in refused(load, tmp_path / "a.pth")


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"PK\x03\x04",
        b"<html>404: not found</html>",
        b"column,loss\n1,2\n",  # begins as a pickle that names a class
        b"version https://git-lfs.github.com/spec/v1\n",
        pickle.dumps({"a": 1}, protocol=5),
        b"\x80\x02.",
        b"\x80\x02h\x05.",
    ],
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_what_pytorch_did_not_write_is_told(tmp_path, load, content):
    (tmp_path / "a.pth").write_bytes(content)
    assert f"{tmp_path / 'a.pth'} can't be read" in refused(load, tmp_path / "a.pth")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_cut_off_anywhere_is_told(tmp_path, legacy):
    file = tmp_path / "a.pth"
    saved({f"weight{i}": torch.randn(20, 20) for i in range(5)}, legacy)(file)
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


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickled_model_is_told_with_a_safe_way_out(tmp_path, theirs, legacy):
    saved(theirs, legacy)(tmp_path / "a.pth")
    message = refused(from_torchvision, tmp_path / "a.pth")
    assert "whole pickled model" in message and ".state_dict()" in message


def test_a_checkpoint_of_torchvisions_own_training_loads(tmp_path, state):
    saved({"model": state, "args": argparse.Namespace(epochs=26)})(tmp_path / "a.pth")
    loaded = to_torchvision(from_torchvision(tmp_path / "a.pth"))
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


def test_of_a_checkpoint_with_other_objects_their_class_is_named(tmp_path, state):
    saved({"model": state, "when": Fraction(1, 3)})(tmp_path / "a.pth")
    assert "holds a fractions.Fraction" in refused(from_torchvision, tmp_path / "a.pth")


# ── nothing in a file is run ──


class Trap:
    """Unpickled as any class, it makes a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: {"w": t}, lambda t: {"model": {"w": t}}])
@pytest.mark.parametrize("write", ["zip", "legacy", "pickle"])
def test_a_pickle_that_runs_something_is_not_run(tmp_path, monkeypatch, wrap, write):
    published = COCO["coco"]
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    file = tmp_path / "checkpoints" / published.url.rsplit("/", 1)[1]
    file.parent.mkdir()
    victim = tmp_path / "victim"
    if write == "pickle":
        file.write_bytes(pickle.dumps(wrap(Trap(victim)), protocol=2))
        pickle.loads(file.read_bytes())
    else:
        saved(wrap(Trap(victim)), write == "legacy")(file)
        torch.load(file, weights_only=False)
    assert victim.exists()  # the trap works
    victim.unlink()

    for load in LOADERS:
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
