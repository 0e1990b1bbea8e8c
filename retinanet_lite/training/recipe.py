"""The recipe: how to train, in numbers."""

import math
from dataclasses import dataclass

import torch
import torch.nn as nn


@dataclass(frozen=True)
class Recipe:
    """How to train. `retinanet-lite train --help` shows these lines, too.

    Args:
        steps: optimizer steps in all.
        batch_size: images of a step, over all processes.
        optimizer: "adamw", or "sgd" with momentum 0.9.
        learning_rate: the highest, from which it falls to 0 along a cosine. A larger batch allows
            a higher rate.
        warmup: part of the steps in which the learning rate first rises in a line.
        weight_decay: of the convolutions' weights; biases and batch norm have none.
        clip: the gradient's norm is cut down to this.
        autocast: compute in bfloat16 where that is safe; faster on GPUs, slower on most CPUs.
        evaluate_every: steps between two evaluations; the last step has one, too.
        save_every: steps between two checkpoints; the last step has one, too.
        seed: of the order of the images and their augmentation; with `retinanet-lite train`, of
            the first weights, too.
    """

    steps: int = 1000
    batch_size: int = 8
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    autocast: bool = False
    evaluate_every: int = 500
    save_every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimizer not in ("adamw", "sgd"):
            raise ValueError(f'optimizer must be "adamw" or "sgd"; got "{self.optimizer}"')
        for name in ("steps", "batch_size", "evaluate_every", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more; got {getattr(self, name)}")
        if not (self.learning_rate > 0 and self.clip > 0 and 0 <= self.warmup < 1):
            raise ValueError(
                f"learning_rate and clip must be above 0, and warmup a part of the steps, from 0 "
                f"to less than 1; got {self.learning_rate}, {self.clip} and {self.warmup}"
            )

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, 0 … steps − 1."""
        rising = round(self.warmup * self.steps)
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        done = (step - rising) / (self.steps - rising)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        trained = [p for p in model.parameters() if p.requires_grad]
        if not trained:
            raise ValueError("every part of the model is frozen, so that nothing can learn")
        groups = [
            {"params": [p for p in trained if p.dim() > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
        ]
        if self.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=self.learning_rate, momentum=0.9)
        return torch.optim.AdamW(groups, lr=self.learning_rate)
