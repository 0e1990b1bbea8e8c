"""Where a network runs: an accelerator or the CPU, in one process or in several.

`torchrun` starts several, one a GPU or one a machine; without it there is one, and every function
here says so. https://pytorch.org/docs/stable/elastic/run.html
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
import torch.nn as nn
from torch import Tensor

BACKENDS = {"cuda": "nccl", "xpu": "xccl"}  # by which processes talk; on CPUs it is gloo


def best_device() -> torch.device:
    """The accelerator that PyTorch finds on this machine, or else the CPU."""
    found = torch.accelerator.is_available() and torch.accelerator.current_accelerator()
    return found or torch.device("cpu")


def known_device(name: str) -> torch.device:
    """The device of a name such as "cuda:1", if this machine has it; else ValueError."""
    try:
        device = torch.device(name)
        # counted, not used, as others may be using it
        if (device.index or 0) < torch.get_device_module(device).device_count():
            return device
    except (AttributeError, RuntimeError):
        pass
    raise ValueError(f"there is no device {name} here; cpu is, and {best_device()}")


@contextmanager
def processes(device: str | torch.device) -> Iterator[torch.device]:
    """Join the processes that `torchrun` started, if it did; yields the device of this one."""
    device = torch.device(device)
    if "RANK" not in os.environ:
        yield device
        return
    if device.type in BACKENDS:
        device = torch.device(device.type, int(os.environ["LOCAL_RANK"]))
        getattr(torch, device.type).set_device(device)
    dist.init_process_group(BACKENDS.get(device.type, "gloo"))
    try:
        yield device
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0 on."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait() -> None:
    """Go on once every process is here."""
    if world_size() > 1:
        dist.barrier()


def share_gradients(model: nn.Module) -> nn.Module:
    """The model as one of several copies whose gradients are averaged at every backward pass."""
    return model if world_size() == 1 else nn.parallel.DistributedDataParallel(model)


@torch.no_grad()
def share_buffers(model: nn.Module) -> None:
    """Give every copy the first one's buffers: batch norm's statistics are each process's own."""
    if world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)


def average(values: Tensor) -> Tensor:
    """The mean of the tensors that the processes have."""
    if world_size() > 1:
        dist.all_reduce(values)
    return values / world_size()


def gather(items: list) -> list:
    """The lists of all processes, interleaved: item i of process r has been item i · world + r."""
    if world_size() == 1:
        return items
    lists: list = [None] * world_size()
    dist.all_gather_object(lists, items)
    longest = max(len(items) for items in lists)
    return [items[i] for i in range(longest) for items in lists if i < len(items)]
