"""Where the time of a step or a detection goes, and how little it could be.

The floor is the arithmetic of the convolutions, at the rate that PyTorch reaches for one plain
convolution of the detector's most frequent kind: 3×3, 256 channels to 256, on the cells of P3.
"""

import argparse
import os
from collections.abc import Callable

import torch
from measure import alternate
from torch import nn
from torch.autograd import DeviceType
from torch.utils.flop_counter import FlopCounterMode
from work import Case, precision

CHANNELS = 256
# in their operations' names; mm, because a gradient of their weights may be matrix products
CONVOLUTIONS = ("conv", "mm")


def show_profile(case: Case, options: argparse.Namespace) -> None:
    """Print the floor, the time of both, and what of it is not convolutions."""
    (ours, theirs), _ = alternate([case.ours, case.theirs], options)
    floor = floor_of(case, options)
    print(f"{case.name}: floor {floor:.3f} s, ours {ours:.3f} s, theirs {theirs:.3f} s")
    for whose, work in (("ours", case.ours), ("theirs", case.theirs)):
        shares = shares_of(work, options.device)
        convolutions = {key for key in shares if any(kind in key.lower() for kind in CONVOLUTIONS)}
        print(f"  {whose}: convolutions {sum(shares[key] for key in convolutions):.0%}", end="")
        for key, share in sorted(shares.items(), key=lambda item: -item[1]):
            if share >= 0.01 and key not in convolutions:
                print(f", {key.removeprefix('aten::')} {share:.0%}", end="")
        print(flush=True)


def shares_of(work: Callable[[], object], device: str) -> dict[str, float]:
    """The share of the time that each operation takes, without those that it calls."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler tells of its own start
    with torch.profiler.profile() as profile:
        work()
    time = "self_cpu_time_total" if device == "cpu" else "self_device_time_total"
    # a GPU's kernels are there twice, as themselves and in the operations that start them
    events = [e for e in profile.key_averages() if e.device_type == DeviceType.CPU]
    total = sum(getattr(event, time) for event in events)
    return {event.key: getattr(event, time) / total for event in events}


def floor_of(case: Case, options: argparse.Namespace) -> float:
    """Seconds that the convolutions of a piece of work need at least."""
    with FlopCounterMode(display=False) as counter:
        case.theirs()
    flops = counter.get_flop_counts()["Global"]
    kinds = (torch.ops.aten.convolution, torch.ops.aten.convolution_backward)
    return sum(
        flops.get(kind, 0) / rate
        for kind, rate in zip(kinds, rates(case.shape, options), strict=True)
    )


def rates(shape: tuple[int, int, int], options: argparse.Namespace) -> tuple[float, float]:
    """FLOP/s of the plain convolution, forward and backward, in the layout that is quicker."""
    batch_size, height, width = shape
    h, w = height // 8, width // 8
    forward, backward = [], []
    for layout in (torch.contiguous_format, torch.channels_last):
        convolution = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        convolution.to(options.device, memory_format=layout)
        x = torch.randn(batch_size, CHANNELS, h, w, device=options.device)
        x = x.to(memory_format=layout).requires_grad_()

        def go(convolution=convolution, x=x) -> torch.Tensor:
            with precision(options):
                return convolution(x)

        y = go()
        inputs, gradient = [x, *convolution.parameters()], torch.randn_like(y)

        def come_back(y=y, inputs=inputs, gradient=gradient) -> tuple:
            return torch.autograd.grad(y, inputs, gradient, retain_graph=True)

        forward.append(go)
        backward.append(come_back)
    flops = 2 * 9 * CHANNELS**2 * batch_size * h * w
    quickest = min(alternate(forward, options)[0]), min(alternate(backward, options)[0])
    return flops / quickest[0], 2 * flops / quickest[1]
