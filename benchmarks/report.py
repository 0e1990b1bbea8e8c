"""What the benchmark shows beside its table: where the time goes, and a picture of the rows.

The floor is the arithmetic of the convolutions, at the rate that PyTorch reaches for one plain
convolution of the detector's most frequent kind: 3×3, 256 channels to 256, on the cells of P3.
"""

import argparse
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from measure import alternate
from torch import nn
from torch.autograd import DeviceType
from torch.utils.flop_counter import FlopCounterMode
from work import Case, precision

CHANNELS = 256
# in their operations' names; mm, because a gradient of their weights may be matrix products
CONVOLUTIONS = ("conv", "mm")
OURS, THEIRS = "#0072B2", "#D55E00"
GROWING = {"training": "training step", "inference": "inference"}


def show_profile(case: Case, options: argparse.Namespace) -> None:
    """Print the floor, the time of each side, and what of it is not convolutions."""
    medians, _ = alternate(case.works, options)
    times = ", ".join(f"{side} {median:.3f} s" for side, median in medians.items())
    print(f"{case.name}: floor {floor_of(case, options):.3f} s, {times}")
    for side, work in case.works.items():
        shares = shares_of(work, options.device)
        convolutions = {key for key in shares if any(kind in key.lower() for kind in CONVOLUTIONS)}
        print(f"  {side}: convolutions {sum(shares[key] for key in convolutions):.0%}", end="")
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
        case.works["theirs"]()
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
    forward, backward = {}, {}
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

        forward[layout] = go
        backward[layout] = come_back
    flops = 2 * 9 * CHANNELS**2 * batch_size * h * w
    quickest = [min(alternate(works, options)[0].values()) for works in (forward, backward)]
    return flops / quickest[0], 2 * flops / quickest[1]


def draw(rows: list[dict], path: Path) -> None:
    """Ratios as bars; beside them, where several shapes were measured, seconds per image."""
    lines = growth(rows)
    height = max(0.3 * len(rows) + 1.2, 2.8 * -(-len(lines) // 2))
    figure = plt.figure(figsize=(15 if lines else 8, height), layout="constrained")
    if not lines:
        draw_ratios(figure.subplots(), rows)
    else:
        left, right = figure.subfigures(1, 2, width_ratios=[1, 1])
        draw_ratios(left.subplots(), rows)
        panels = right.subplots(-(-len(lines) // 2), 2, squeeze=False).flatten()
        for ax, line in zip(panels, lines, strict=False):
            draw_line(ax, *line)
        for ax in panels[len(lines) :]:
            ax.set_axis_off()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_ratios(ax: Axes, rows: list[dict]) -> None:
    """To the left of the line we are ahead."""
    ratios = [row["ratio"] for row in rows]
    ax.barh(range(len(rows)), ratios, color=OURS)
    ax.set_yticks(range(len(rows)), [row["name"] for row in rows])
    ax.invert_yaxis()
    ax.margins(y=0.01)
    for y, ratio in enumerate(ratios):
        ax.text(1.01, y, f"{ratio:.2f}", va="center", transform=ax.get_yaxis_transform())
    ax.axvline(1, color="black", linewidth=0.8)
    ax.set(xlabel="ours ÷ torchvision's, less is better", xlim=(0, max([1.1, *ratios])))


def growth(rows: list[dict]) -> list[tuple[str, str, list[tuple[float, dict]]]]:
    """Title, label of the x axis, and (x, row) of each line that has two points or more."""
    lines = []
    for group, title in GROWING.items():
        mine = [row for row in rows if row["group"] == group]
        if not mine:
            continue
        batch_size = most_frequent(row["shape"][0] for row in mine)
        points = [
            (h * w / 1e6, row) for row in mine for b, h, w in [row["shape"]] if b == batch_size
        ]
        images = "one image" if batch_size == 1 else f"batches of {batch_size}"
        lines.append((f"{title}, {images}", "million pixels an image", points))
        size = most_frequent(tuple(row["shape"][1:]) for row in mine)
        points = [(row["shape"][0], row) for row in mine if tuple(row["shape"][1:]) == size]
        lines.append((f"{title}, {size[0]}×{size[1]}", "images in a batch", points))
    return [line for line in lines if len(line[2]) > 1]


def most_frequent(values):
    return Counter(values).most_common(1)[0][0]


def draw_line(ax: Axes, title: str, xlabel: str, points: list[tuple[float, dict]]) -> None:
    points = sorted(points, key=lambda point: point[0])
    xs, rows = zip(*points, strict=True)
    for whose, name, color in (("ours", "ours", OURS), ("theirs", "torchvision's", THEIRS)):
        seconds = [row[whose] / row["shape"][0] for row in rows]
        ax.plot(xs, seconds, marker="o", label=name, color=color)
    ax.set(title=title, xlabel=xlabel, ylabel="seconds an image")
    ax.set_xlim(0, 1.05 * ax.dataLim.x1)
    ax.set_ylim(0, 1.05 * ax.dataLim.y1)
    if all(isinstance(x, int) for x in xs):
        ax.set_xticks(xs)
    else:
        ax.locator_params(axis="x", nbins=5)
    ax.grid(alpha=0.3)
    ax.legend(loc="lower right")
