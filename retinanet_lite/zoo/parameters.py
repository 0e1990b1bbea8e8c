"""Parameters of others: read from a file, and put into a model by the names they have there."""

import os
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..model.backbone import BasicBlock, Bottleneck
from ..model.retinanet import RetinaNet
from .safe_files import read_file

STAGES = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
HEADS = ("classification", "regression")
SHOWN = 5  # names that an error lists before it counts the others

State = Mapping[str, Tensor]
Source = State | str | os.PathLike
Names = Mapping[str, str]  # our name of each module with parameters → theirs


def load_parameters(
    source: Source, names: Names, kind: str, num_classes: int | None, settings: Callable
) -> RetinaNet:
    """The detector of somebody's parameters, in eval mode.

    Args:
        source: a state dict, a checkpoint with one in it, or a file of either.
        names, kind: theirs, and whose they are.
        num_classes: how many classes the source must have; None for any number.
        settings: gives further arguments of `RetinaNet`, called with the state dict and those that
            `read_network` gave.

    Raises:
        ValueError: the file can't be read, or its names, shapes or classes do not fit.
    """
    state = read_state(source)
    network = read_network(state, names, kind)
    if num_classes not in (None, network["num_classes"]):
        raise ValueError(
            f"the checkpoint has {network['num_classes']} classes, not {num_classes}. Load it as "
            f"it is; then replace_classes(model, {num_classes}) gives it new ones, and "
            f"keep_classes(model, …) keeps some of its own."
        )
    model = RetinaNet(**{"freeze_bn": True, **network, **settings(state, network)})
    wanted = {their_name(key, names): value for key, value in model.state_dict().items()}
    if not has_counters(state):
        state |= {key: torch.tensor(0) for key in wanted if key.endswith("_batches_tracked")}
    faults = {
        "Missing": [key for key in wanted if key not in state],
        "Unknown": [key for key in state if key not in wanted],
        "Of another shape": [
            f"{key} {list(state[key].shape)}, not {list(value.shape)}"
            for key, value in wanted.items()
            if key in state and state[key].shape != value.shape
        ],
    }
    if any(faults.values()):
        raise ValueError(
            f"the checkpoint does not fit {kind}. "
            + " ".join(f"{what}: {listed(keys)}." for what, keys in faults.items() if keys)
            + " If it has other anchors, give those that it was trained with: anchors=Anchors(...)."
        )
    model.load_state_dict({key: state[their_name(key, names)] for key in model.state_dict()})
    return model.eval()


def their_name(key: str, names: Names) -> str:
    """Their name of one of our parameters."""
    module, _, parameter = key.rpartition(".")
    while module and module not in names:
        module, _, before = module.rpartition(".")
        parameter = f"{before}.{parameter}"
    return f"{names[module]}.{parameter}" if module else key


def has_counters(state: State) -> bool:
    """Whether batch norm has counters of its batches: torchvision's frozen one does without."""
    return any(key.endswith(".num_batches_tracked") for key in state)


def read_network(state: State, names: Names, kind: str) -> dict:
    """The arguments of `RetinaNet` that the shapes of a state dict tell."""

    def shape(module: str) -> list[int]:
        key = their_name(f"{module}.weight", names)
        found = list(state[key].shape) if key in state else []
        if len(found) != 4 or min(found) < 1:
            raise ValueError(
                f"the checkpoint is not of {kind}: there is no convolution {key}"
                f"{f', its shape is {found}' if key in state else ''}. It has "
                f"{listed(list(state))}. What this package saved goes into model.load_state_dict."
            )
        return found

    shape("backbone.layer1.0.conv1")
    features, c5 = shape("fpn.lateral5")[:2]
    layers = []
    for stage in (1, 2, 3, 4):
        before = their_name(f"backbone.layer{stage}.", names)
        layers.append(len({k[len(before) :].split(".")[0] for k in state if k.startswith(before)}))
    anchors = max(1, shape("regression_model.output")[0] // 4)
    basic = their_name("backbone.layer1.0.conv3.weight", names) not in state
    network = {
        "block": BasicBlock if basic else Bottleneck,
        "layers": [max(1, blocks) for blocks in layers],
        "feature_size": features,
        "num_classes": max(1, shape("classification_model.output")[0] // anchors),
    }
    p6 = shape("fpn.p6")[1]
    if features != c5:  # else P5 and C5 have as many channels, and the source's kind decides
        network["p6_from"] = "P5" if p6 == features else "C5"
    return network


def listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def read_state(source: Source, new_name: Callable[[str], str] = str) -> dict[str, Tensor]:
    """The parameters in a file, or in what `torch.load` gave: new name → tensor.

    A state dict within a checkpoint ("model", "state_dict") is found, and the "module." before
    each name that training on several GPUs leaves is taken off.

    Raises:
        ValueError: the file is missing, damaged, a pickled module or of another kind.
    """
    if isinstance(source, str | os.PathLike):
        source = read_file(source)
    for name in ("model", "state_dict", "model_state_dict"):
        if isinstance(source, Mapping) and isinstance(source.get(name), Mapping):
            source = source[name]
    if not isinstance(source, Mapping) or not source:
        raise ValueError(
            f"a checkpoint is a state dict, names with tensors; got a {type(source).__name__}"
            f"{' that is empty' if isinstance(source, Mapping) else ''}. Of a model: "
            f"model.state_dict()."
        )
    if other := [str(key) for key, value in source.items() if not is_plain(value)]:
        raise ValueError(
            f"a checkpoint is a state dict, names with dense tensors; got other values under "
            f"{listed(other)}. Give the part that holds the parameters."
        )
    state: dict[str, Tensor] = {}
    for key, value in source.items():
        name = new_name(str(key).removeprefix("module."))
        if name in state:
            raise ValueError(f"the checkpoint has one parameter under two names, {name} and {key}")
        state[name] = value
    return state


def is_plain(value: object) -> bool:
    """Whether it is a tensor with a value for each entry."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not (value.is_meta or value.is_quantized or value.is_nested)
    )
