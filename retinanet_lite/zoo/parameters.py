"""Parameters of others: read from a file, and put into a model by the names they have there."""

import os
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..model.backbone import BasicBlock, Bottleneck
from ..model.retinanet import RetinaNet
from .safe_files import read_file

HEADS = ("classification", "regression")
SHOWN = 5  # names that an error lists before it counts the others

State = dict[str, Tensor]
Source = Mapping[str, Tensor] | str | os.PathLike
Names = Mapping[str, str]  # how our name of a parameter begins → how theirs does


def read_state(source: Source, new_name: Callable[[str], str] = str) -> State:
    """The parameters in a file, or in what `torch.load` gave, by their new names.

    A state dict within a checkpoint is found, and the "module." before each name that training on
    several GPUs leaves is taken off.
    """
    if isinstance(source, str | os.PathLike):
        source = read_file(source)
    for name in ("model", "state_dict", "model_state_dict"):
        if isinstance(source, Mapping) and isinstance(source.get(name), Mapping):
            source = source[name]
    items = source.items() if isinstance(source, Mapping) else ()
    other = [str(key) for key, value in items if not is_dense(value)]
    if other or not items:
        got = f"other values under {listed(other)}" if other else f"a {type(source).__name__}"
        raise ValueError(
            f"a checkpoint is a state dict, names with dense tensors, and not empty; got {got}. "
            f"Give the part that holds the parameters; of a model, model.state_dict()."
        )
    names = [new_name(str(key).removeprefix("module.")) for key in source]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"the checkpoint has two parameters each for {listed(twice)}")
    return dict(zip(names, source.values(), strict=True))


def is_dense(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta


def listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def their_name(key: str, names: Names) -> str:
    """Their name of one of our parameters."""
    start = next((name for name in names if key.startswith(name)), "")
    return names.get(start, "") + key.removeprefix(start)


def read_network(state: State, names: Names, kind: str, num_classes: int | None) -> dict:
    """The arguments of `RetinaNet` that a state dict's shapes tell; `num_classes`: None for any."""

    def shape(module: str) -> list[int]:
        key = their_name(f"{module}.weight", names)
        found = list(state[key].shape) if key in state else []
        if len(found) != 4 or 0 in found:
            raise ValueError(
                f"the checkpoint is not of {kind}: there is no convolution {key}"
                f"{f', its shape is {found}' if key in state else ''}. It has "
                f"{listed(list(state))}. What this package saved goes into model.load_state_dict."
            )
        return found

    kernel = shape("backbone.layer1.0.conv1")[3]
    features, c5 = shape("fpn.lateral5")[:2]
    stages = [their_name(f"backbone.layer{i}.", names) for i in (1, 2, 3, 4)]
    blocks = [key for key in state if key.endswith(".conv1.weight")]
    anchors = max(1, shape("regression_model.output")[0] // 4)
    network = {
        "block": BasicBlock if kernel == 3 else Bottleneck,
        "layers": [max(1, sum(block.startswith(stage) for block in blocks)) for stage in stages],
        "feature_size": features,
        "num_classes": max(1, shape("classification_model.output")[0] // anchors),
    }
    if num_classes not in (None, network["num_classes"]):
        raise ValueError(
            f"the checkpoint has {network['num_classes']} classes, not {num_classes}. Load it as "
            f"it is; then replace_classes(model, {num_classes}) gives it new ones, and "
            f"keep_classes(model, …) keeps some of its own."
        )
    if features != c5:  # else P5 and C5 have as many channels, and the source's kind decides
        network["p6_from"] = "P5" if shape("fpn.p6")[1] == features else "C5"
    return network


def make_detector(state: State, names: Names, arguments: dict, changes: dict) -> RetinaNet:
    """A `RetinaNet` of these arguments, but for changes that are not None, with its parameters."""
    changes = {name: value for name, value in changes.items() if value is not None}
    model = RetinaNet(**{"freeze_bn": True, **arguments, **changes})
    theirs = {their_name(key, names): value for key, value in model.state_dict().items()}
    counters = {key: torch.tensor(0) for key in theirs if key.endswith(".num_batches_tracked")}
    if not counters.keys() & state.keys():  # as in torchvision's frozen batch norm
        state |= counters
    wanted, found = ({key: list(value.shape) for key, value in s.items()} for s in (theirs, state))
    if wrong := [
        f"{key}: {found.get(key, 'missing')}, wanted {wanted.get(key, 'none')}"
        for key in wanted | found
        if wanted.get(key) != found.get(key)
    ]:
        raise ValueError(
            f"the checkpoint does not fit: {listed(wrong)}. If it has other anchors, give those "
            f"that it was trained with: anchors=Anchors(...)."
        )
    model.load_state_dict({key: state[their_name(key, names)] for key in model.state_dict()})
    return model.eval()
