"""Checkpoints of others: how they call their parameters, and what can be wrong with a file."""

import argparse
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

STAGES = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
HEADS = ("classification", "regression")
UNKNOWN = "? "  # before a name that is not one of theirs
SHOWN = 5  # names that an error lists before it counts the others

Source = Mapping[str, Tensor] | str | os.PathLike


@dataclass(frozen=True)
class Names:
    """How others call our modules.

    Args:
        kind: whose names they are.
        modules: our name of each module with parameters → theirs.
    """

    kind: str
    modules: Mapping[str, str]

    def theirs(self, key: str) -> str:
        """Their name of one of our parameters; a name that `to_ours` did not know as it was."""
        return rename(key, self.modules) or key.removeprefix(UNKNOWN)

    def to_theirs(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict in their names."""
        return renamed(state, self.theirs)

    def to_ours(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict in our names. Names that are not theirs are marked: they may be ours."""
        modules = {theirs: ours for ours, theirs in self.modules.items()}
        return renamed(state, lambda key: rename(key, modules) or UNKNOWN + key)

    def check(self, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
        """Raise ValueError unless a state dict has just the names and shapes of a model's."""
        shapes = {key: list(value.shape) for key, value in state.items()}
        faults = {
            "Missing": [self.theirs(key) for key in wanted if key not in state],
            "Unknown": [self.theirs(key) for key in state if key not in wanted],
            "Of another shape": [
                f"{self.theirs(key)} {shapes[key]}, not {list(value.shape)}"
                for key, value in wanted.items()
                if key in state and shapes[key] != list(value.shape)
            ],
        }
        if any(faults.values()):
            raise ValueError(
                f"the checkpoint does not fit {self.kind}. "
                + " ".join(f"{what}: {listed(keys)}." for what, keys in faults.items() if keys)
            )


def rename(key: str, modules: Mapping[str, str]) -> str:
    """The name of a parameter by its module's new name; "" if its module is not among them."""
    parts = key.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        if module in modules:
            return ".".join([modules[module], *parts[length:]])
    return ""


def renamed(state: Mapping[str, Tensor], new_name: Callable[[str], str]) -> dict[str, Tensor]:
    """A state dict in other names, no two of which may become one."""
    old_names: dict[str, str] = {}
    for key in state:
        if (first := old_names.setdefault(new_name(key), key)) != key:
            raise ValueError(f"the checkpoint has one parameter under two names, {first} and {key}")
    return {new: state[old] for new, old in old_names.items()}


def listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


TORCHVISION = Names(
    "torchvision's RetinaNet",
    {
        **{f"backbone.{stage}": f"backbone.body.{stage}" for stage in STAGES},
        **{f"fpn.lateral{i + 3}": f"backbone.fpn.inner_blocks.{i}.0" for i in range(3)},
        **{f"fpn.output{i + 3}": f"backbone.fpn.layer_blocks.{i}.0" for i in range(3)},
        **{f"fpn.{p}": f"backbone.fpn.extra_blocks.{p}" for p in ("p6", "p7")},
        **{f"{h}_model.conv{i + 1}": f"head.{h}_head.conv.{i}.0" for h in HEADS for i in range(4)},
        **{f"{h}_model.norm{i + 1}": f"head.{h}_head.conv.{i}.1" for h in HEADS for i in range(4)},
        "classification_model.output": "head.classification_head.cls_logits",
        "regression_model.output": "head.regression_head.bbox_reg",
    },
)
PYTORCH_RETINANET = Names(
    "pytorch-retinanet",
    {
        **{f"backbone.{stage}": stage for stage in STAGES},
        **{f"fpn.lateral{level}": f"fpn.P{level}_1" for level in (3, 4, 5)},
        **{f"fpn.output{level}": f"fpn.P{level}_2" for level in (3, 4, 5)},
        "fpn.p6": "fpn.P6",
        "fpn.p7": "fpn.P7_2",
        **{f"{h}_model.conv{i}": f"{h}Model.conv{i}" for h in HEADS for i in (1, 2, 3, 4)},
        **{f"{h}_model.output": f"{h}Model.output" for h in HEADS},
    },
)


def torchvisions_names_of_today(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's older layouts in the names that it gives today.

    A convolution was a module by itself, and in a head the ReLUs between them were counted as well.
    """

    def of_today(key: str) -> str:
        key = re.sub(r"(fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)$", r"\1.0.\2", key)
        return re.sub(
            r"(_head\.conv)\.([0246])\.(weight|bias)$",
            lambda match: f"{match[1]}.{int(match[2]) // 2}.0.{match[3]}",
            key,
        )

    return renamed(state, of_today)


def read_state(source: Source) -> dict[str, Tensor]:
    """The parameters in a file, or in what `torch.load` gave: name → tensor.

    A state dict within a checkpoint ("model", "state_dict") is found, and the "module." before
    each name that training on several GPUs leaves is taken off.

    Raises:
        ValueError: the file is missing, damaged, a pickled module or of another kind.
    """
    if isinstance(source, str | os.PathLike):
        source = load(source)
    for name in ("model", "state_dict", "model_state_dict"):
        if isinstance(source, Mapping) and isinstance(source.get(name), Mapping):
            source = source[name]
    if not isinstance(source, Mapping):
        raise ValueError(
            f"a checkpoint is a state dict, names with tensors; got a {type(source).__name__}. "
            f"Of a model: model.state_dict()."
        )
    other = [str(key) for key, value in source.items() if not is_plain(value)]
    if other or not source:
        raise ValueError(
            f"a checkpoint is a state dict, names with dense tensors; got "
            f"{f'other values under {listed(other)}' if source else 'an empty one'}. Give the part "
            f"that holds the parameters."
        )
    return renamed(
        {str(key): value for key, value in source.items()},
        lambda key: key.removeprefix("module."),
    )


def is_plain(value: object) -> bool:
    """Whether it is a tensor with a value for each entry."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not (value.is_meta or value.is_quantized or value.is_nested)
    )


def load(path: str | os.PathLike) -> object:
    """What is in a file; nothing in it is run.

    Beside tensors it may hold an `argparse.Namespace`, which is no more than values by name:
    torchvision's own training keeps its options so.
    """
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # files fail in a dozen ways, each with a page of advice
        if refused := re.search(r"GLOBAL ((?:[A-Za-z_]\w*\.)+[A-Za-z_]\w*) was not", str(error)):
            raise ValueError(
                f"{path} can't be read: it holds a {refused[1]}, perhaps a whole pickled model, "
                f"and loading that could run anything. Where you trust it and have its code, save "
                f'the parameters alone, torch.save(torch.load("{path}", weights_only=False)'
                f'.state_dict(), "state.pt"), and give that file.'
            ) from error
        raise ValueError(
            f"{path} can't be read: it is damaged, perhaps a download that broke off, or no file "
            f"that PyTorch wrote. Fetch it anew."
        ) from error
