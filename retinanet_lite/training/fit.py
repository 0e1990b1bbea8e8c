"""Training: a plain loop, checkpoints that survive anything, a log to look at meanwhile."""

import math
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from tqdm.auto import tqdm

from ..data.batches import to_batch
from ..detector import Detector
from ..devices import average, rank, share_buffers, share_gradients, world_size
from ..evaluation.measure import evaluate
from .recipe import Recipe
from .run_folder import Run
from .stream import Stream


def fit(
    detector: Detector,
    training_data: Dataset,
    validation_data: Dataset | None = None,
    recipe: Recipe | None = None,
    augmentation: v2.Transform | None = None,
    folder: str | Path | None = None,
    workers: int = 0,
    progress: bool = True,
) -> list[dict]:
    """Train a detector in place.

    Args:
        detector: its model is trained on the device that it is on.
        training_data, validation_data: data sets of (image, target), see `to_batch`.
        recipe: how; by default `Recipe()`.
        augmentation: a transform of images with their boxes, such as `transforms.augment()`.
        folder: for `last.pt`, the whole state, from which a second call with the same recipe goes
            on as if nothing had stopped the first; `best.pt`, the detector of the highest
            validation AP (without validation data: the last); `log.jsonl`, a line for each step.
        workers: processes that load images.

    Returns:
        the log: for each step {"step", "learning_rate", "classification", "regression"}, the
        batch's losses before the step, and after an evaluation what `evaluate` returns

    Raises:
        FloatingPointError: a loss or gradient is not finite; the model is as it was before.
        ValueError: the folder holds a training by another recipe, or of another model; or the
            data set is empty, or has an item that is unsound.
    """
    recipe = recipe or Recipe()
    model, device = detector.model, detector.device
    model.to(memory_format=torch.channels_last).train()
    optimizer = recipe.make_optimizer(model)
    shared = share_gradients(model)
    folder = None if folder is None else Path(folder)
    run = Run(folder, detector, optimizer, asdict(recipe))
    stream = Stream(training_data, augmentation, detector.scaling, recipe.seed)
    loader = make_loader(stream, recipe, run.step, workers, device.type == "cuda")

    hidden = not progress or rank() != 0
    bar = tqdm(loader, initial=run.step, total=recipe.steps, unit="step", disable=hidden)
    for step, (images, annotations) in enumerate(bar, start=run.step + 1):
        rate = recipe.learning_rate_at(step - 1)
        for group in optimizer.param_groups:
            group["lr"] = rate
        # a forward pass moves batch norm's statistics, even if its losses are of no use
        buffers = [buffer.clone() for buffer in model.buffers()]
        images = model.fill_up(images).to(
            device, memory_format=torch.channels_last, non_blocking=True
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.autocast):
            losses = shared(images, annotations)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        values = average(torch.stack([loss.detach() for loss in losses.values()])).tolist()
        record = {"step": step, "learning_rate": rate, **dict(zip(losses, values, strict=True))}
        if not all(map(math.isfinite, [*record.values(), norm.item()])):
            for buffer, before in zip(model.buffers(), buffers, strict=True):
                buffer.copy_(before)
            raise FloatingPointError(explain(record, norm.item(), stream, recipe, model))
        optimizer.step()

        last = step == recipe.steps
        if last or step % recipe.evaluate_every == 0:
            share_buffers(model)
            if validation_data is not None:
                record |= evaluate(detector, validation_data, recipe.batch_size, progress)
        run.write(record, save=last or step % recipe.save_every == 0)
        bar.set_postfix(shown(run), refresh=False)
    model.eval()
    return run.log


def make_loader(
    stream: Stream, recipe: Recipe, first_step: int, workers: int, pin_memory: bool
) -> DataLoader:
    """The batches of this process, from a step on."""
    size, world = recipe.batch_size, world_size()
    if size % world:
        raise ValueError(
            f"a batch of {size} can't be shared equally by {world} processes; make batch_size a "
            f"multiple of {world}"
        )
    return DataLoader(
        stream,
        batch_size=size // world,
        sampler=range(first_step * size + rank(), recipe.steps * size, world),
        collate_fn=to_batch,
        num_workers=workers,
        pin_memory=pin_memory,
    )


def shown(run: Run) -> dict[str, str]:
    """What stands beside the bar: the losses, averaged over the last steps, and the best AP."""
    names = ("classification", "regression")
    numbers = {name: fmean(record[name] for record in run.log[-20:]) for name in names}
    if run.best >= 0:
        numbers["best AP"] = run.best
    return {name: f"{value:.3f}" for name, value in numbers.items()}


def explain(record: dict, norm: float, stream: Stream, recipe: Recipe, model: nn.Module) -> str:
    """What to say when a loss is not finite: where, which images, and why it may be."""
    first = (record["step"] - 1) * recipe.batch_size
    names = ", ".join(stream.name(first + i) for i in range(recipe.batch_size))
    cause = "the model's weights were not finite before this step; start from sound ones"
    if all(p.isfinite().all() for p in model.parameters()):
        cause = (
            f"most often a learning rate that is too high (here {record['learning_rate']:g}, at "
            f"most {recipe.learning_rate:g}: try a tenth, or a longer warmup), else an image or "
            f"box that is wrong"
        )
    return (
        f"step {record['step']}: the losses are classification "
        f"{record['classification']:g} and regression {record['regression']:g}, the gradient's "
        f"norm is {norm:g}. Images: {names}. Likely cause: {cause}. The step was not taken."
    )
