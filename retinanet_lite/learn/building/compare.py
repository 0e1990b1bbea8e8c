"""Comparing the reader's part with the package's: the first thing that differs is named."""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..grading import NotYet, Stopped, plain, same, told

TOLERANCE = 1e-4  # of the largest number in a tensor: rounding is far below, a mistake far above

Named = list[tuple[str, Tensor]]  # outputs first, then gradients


@dataclass
class Trial:
    """One call of the reader's part.

    Args:
        asked: what is asked, in words, e.g. "for x [2, 4, 7, 5] and stride 2".
        wanted: names and tensors that have to come out.
        gradients: names and tensors of the right gradients.
        mistaken: what comes out with a mistake, which its arguments name.
        place: puts the index of a number into words.
    """

    asked: str
    wanted: Named
    gradients: Named = field(default_factory=list)
    mistaken: Callable[..., Sequence[Tensor]] | None = None
    place: Callable[[str, list[int]], str] | None = None


Mistakes = Sequence[tuple[dict[str, Any], str]]  # arguments of `mistaken`, and what to say


def stopped(error: Exception, answer: object, asked: str) -> Stopped:
    """The reader's own error, with its line."""
    return Stopped(f"{asked} yours stopped with {told(error, answer)}")


def call(answer: object, function: Callable, inputs: Sequence[Any], asked: str) -> Any:
    """What the reader's function gives; inputs that it changes are named."""
    before = copy.deepcopy(plain(inputs))
    try:
        said = function(*inputs)
    except Exception as error:  # whatever it does, the notebook goes on
        raise stopped(error, answer, asked) from error
    if not same(plain(inputs), before):
        raise NotYet(f"{asked} yours changes what it is given: work on a copy")
    if said is None:
        raise NotYet(f"{asked} yours returns nothing so far")
    return said


def tensors(said: object, names: Sequence[str], asked: str) -> list[Tensor]:
    """What was said, as one tensor for each name."""
    values = [said] if isinstance(said, Tensor) else said
    if not isinstance(values, (list, tuple)):
        raise NotYet(f"{asked} return {listed(names)}; yours is of type {type(said).__name__}")
    if len(names) == 1 and len(values) > 1:
        raise NotYet(f"{asked} return one tensor, {names[0]}; yours is a list of {len(values)}")
    if len(values) != len(names):
        raise NotYet(
            f"{asked} return {listed(names)}: {len(names)} tensors, and yours are {len(values)}"
        )
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise NotYet(f"{asked} {name} has to be a tensor; yours is of type {kind}")
    return list(values)


def listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def compare(trials: Iterable[tuple[Trial, list[Tensor], Named]], mistakes: Mistakes = ()) -> None:
    """Raise NotYet at the first thing that differs.

    Args:
        trials: a trial, what the reader's part gave, and its gradients by name.
        mistakes: one is named if it gives what was said in all trials up to the first wrong one.
    """
    seen: list[tuple[Trial, list[Tensor]]] = []
    for trial, said, gradients in trials:
        seen.append((trial, said))
        for (name, right), mine in zip(trial.wanted, said, strict=True):
            if mine.shape != right.shape:
                raise NotYet(
                    f"{trial.asked} {name} has shape {list(mine.shape)}, it should be "
                    f"{list(right.shape)}{hint(seen, mistakes)}"
                )
        for (name, right), mine in zip(trial.wanted, said, strict=True):
            if not close(mine, right):
                raise NotYet(
                    f"{trial.asked} {difference(trial, name, mine, right)}{hint(seen, mistakes)}"
                )
        mine_by_name = dict(gradients)
        for name, right in trial.gradients:
            mine = mine_by_name.get(name)
            if mine is None:
                raise NotYet(
                    f"{trial.asked} the outputs are right, but no gradient reaches {name}: is "
                    f"something detached, or computed under no_grad?"
                )
            if not close(mine, right):
                raise NotYet(
                    f"{trial.asked} the outputs are right, but the gradient of "
                    f"{difference(trial, name, mine, right)}"
                )


def close(mine: Tensor, right: Tensor) -> bool:
    if right.numel() == 0:
        return True
    if not right.is_floating_point():
        return torch.equal(mine.to(right.dtype), right) and not mine.is_floating_point()
    gap = (mine.double() - right.double()).abs().max()
    return bool(gap <= TOLERANCE * max(right.abs().max().item(), 1e-12))  # NaN is not close


def difference(trial: Trial, name: str, mine: Tensor, right: Tensor) -> str:
    """The first number that differs, and where."""
    if not right.is_floating_point() and mine.is_floating_point():
        return f"{name} should hold whole numbers, and yours are {mine.dtype}"
    gap = (mine.double() - right.double()).abs()
    off = ~(gap <= TOLERANCE * max(right.abs().max().item(), 1e-12))
    index = off.nonzero()[0].tolist() if right.dim() else []
    place = trial.place(name, index) if trial.place and index else ""
    at = f" at {index}" if index and not place else place and f", {place},"
    yours, should = (t[tuple(index)].item() for t in (mine, right))
    said = f"{name}{at} is {yours:.6g}, it should be {should:.6g}"
    if not math.isfinite(yours):
        said += ". Is a logarithm taken of what was rounded to 0, or is something divided by 0?"
    return said


def hint(seen: Sequence[tuple[Trial, list[Tensor]]], mistakes: Mistakes) -> str:
    """What is known of a mistake that gives all that was said so far."""
    for mistake, message in mistakes:
        if all(gives(trial, mistake, said) for trial, said in seen):
            return f". {message}"
    return ""


def gives(trial: Trial, mistake: dict[str, Any], said: Sequence[Tensor]) -> bool:
    try:
        values = list(trial.mistaken(**mistake))
    except (RuntimeError, IndexError, ValueError):  # the mistake can't be made here
        return False
    return len(values) == len(said) and all(
        a.shape == b.shape and close(a, b) for a, b in zip(said, values, strict=True)
    )


def with_weights_of(module: nn.Module, package: nn.Module, answer: object) -> nn.Module:
    """The reader's module with the package's weights, or NotYet if they do not fit."""
    if not isinstance(module, nn.Module):
        raise NotYet(f"{answer.__name__} has to be a class that begins with nn.Module")
    mine = {name: list(value.shape) for name, value in module.state_dict().items()}
    right = {name: list(value.shape) for name, value in package.state_dict().items()}
    for name in right:
        if name not in mine:
            layers = ", ".join(dict.fromkeys(key.rpartition(".")[0] for key in mine)) or "none"
            raise NotYet(
                f"there should be {name}, {right[name]}; the layers of yours are: {layers}"
            )
        if mine[name] != right[name]:
            raise NotYet(f"{name} has shape {mine[name]}, it should be {right[name]}")
    for name in mine:
        if name not in right:
            bias = ": give it bias=False" if name.endswith("bias") else ""
            raise NotYet(f"there is {name}, {mine[name]}, which should not be there{bias}")
    module.load_state_dict(package.state_dict())
    return module


def gradients_of(
    outputs: Sequence[Tensor], inputs: Named, module: nn.Module | None = None
) -> Named:
    """The gradients of the outputs' weighted sum, for inputs and parameters, by name."""
    variables = inputs + (list(module.named_parameters()) if module else [])
    total = sum((out.double() * weights_like(out)).sum() for out in outputs)
    if not isinstance(total, Tensor) or not total.requires_grad:
        return []
    try:
        found = torch.autograd.grad(total, [v for _, v in variables], allow_unused=True)
    except RuntimeError as error:  # such as a number changed in place that the way back needs
        raise NotYet(f"no gradient can be computed through yours: {error}") from error
    pairs = zip(variables, found, strict=True)
    return [(name, gradient) for (name, _), gradient in pairs if gradient is not None]


def weights_like(tensor: Tensor) -> Tensor:
    """Numbers from 1 to 2, no two neighbours alike, so that every output has its own say."""
    count = torch.arange(tensor.numel(), dtype=torch.float64, device=tensor.device)
    return 1 + (count * 0.37).frac().reshape(tensor.shape)
