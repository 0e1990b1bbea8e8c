"""Checkpoints of others: how they call their parameters, and what can be wrong with a file."""

import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

STAGES = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
HEADS = ("classification", "regression")
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
        """Their name of a parameter; one of a module that we do not have stays as it is."""
        return rename(key, self.modules)

    def to_theirs(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict in their names."""
        return {self.theirs(key): value for key, value in state.items()}

    def to_ours(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict in our names."""
        modules = {theirs: ours for ours, theirs in self.modules.items()}
        return {rename(key, modules): value for key, value in state.items()}

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
    """The name of a parameter whose module is called otherwise."""
    parts = key.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        if module in modules:
            return ".".join([modules[module], *parts[length:]])
    return key


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

    return {of_today(key): value for key, value in state.items()}


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
    other = [key for key, value in source.items() if not isinstance(value, Tensor)]
    if other or not source:
        raise ValueError(
            f"a checkpoint is a state dict, names with tensors; got "
            f"{f'other values under {listed(other)}' if source else 'an empty one'}. Give the part "
            f"that holds the parameters."
        )
    return {str(key).removeprefix("module."): value for key, value in source.items()}


def load(path: str | os.PathLike) -> object:
    """What is in a file; nothing in it is run."""
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error):  # a class is named that is no tensor's
            raise ValueError(
                f"{path} holds a whole pickled model, which could run anything when it is loaded. "
                f"Where you trust it and have its code, save the parameters alone: "
                f'torch.save(torch.load("{path}", weights_only=False).state_dict(), "state.pt"), '
                f"and give that file."
            ) from error
        raise damaged(path) from error
    except Exception as error:  # other files fail in a dozen ways, each with a page of advice
        raise damaged(path) from error


def damaged(path: str | os.PathLike) -> ValueError:
    return ValueError(
        f"{path} can't be read: it is damaged, perhaps a download that broke off, or no file that "
        f"PyTorch wrote. Fetch it anew."
    )
