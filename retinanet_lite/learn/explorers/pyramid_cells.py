"""The explorer of notebook 02: what one cell of the pyramid stands for, sees and says."""

from collections.abc import Iterable, Mapping

import torch
from ipywidgets import VBox
from torch import Tensor, nn

from ...data.drawing import Scene
from ...model.backbone import ResNet
from ..figures import CELL, add_boxes, add_seen, show_image
from .widget import choice, explore, panels, slider

Interval = tuple[int, int]  # the first and the last row, or column


def receptive_field(backbone: ResNet, level: int, cell: int) -> Interval:
    """The rows of pixels, first and last, on which a row of cells of P3 … P7 depends.

    The same holds for columns. An interval may reach beyond the image. Image sizes must divide by
    32, so that a cell of P4 lies in just one of P5.
    """
    stage, *strides = {7: (5, 2, 2), 6: (5, 2)}.get(level, (level, 1))
    interval = (cell, cell)
    for stride in strides:  # the pyramid's own 3×3 convolutions
        interval = looked_at(interval, 3, stride, 1)
    seen = [interval_of_stage(backbone, stage, interval)]
    while stage < 5:  # what comes down from the stage above
        stage += 1
        interval = (interval[0] // 2, interval[1] // 2)
        seen.append(interval_of_stage(backbone, stage, interval))
    return min(first for first, _ in seen), max(last for _, last in seen)


def interval_of_stage(backbone: ResNet, stage: int, interval: Interval) -> Interval:
    """The pixels that some cells of C3, C4 or C5 depend on, by the longest way through."""
    for name in [f"layer{i}" for i in range(stage - 1, 0, -1)]:
        for block in reversed(getattr(backbone, name)):
            for conv in reversed(list(convolutions(block))):
                interval = looked_at(interval, conv.kernel_size[0], conv.stride[0], conv.padding[0])
    interval = looked_at(interval, 3, 2, 1)  # the max pool
    return looked_at(interval, 7, 2, 3)  # the stem


def convolutions(block: nn.Module) -> Iterable[nn.Conv2d]:
    return (module for module in block.children() if isinstance(module, nn.Conv2d))


def looked_at(interval: Interval, kernel: int, stride: int, padding: int) -> Interval:
    """The inputs that a convolution takes for some of its outputs."""
    first, last = interval
    return first * stride - padding, last * stride - padding + kernel - 1


def show_pyramid_at(
    scene: Scene,
    backbone: ResNet,
    maps: Mapping[str, Tensor],
    x: int,
    y: int,
    level: int = 5,
    count: int = 6,
) -> str:
    """The cell of a level that holds a point: what it sees, and which channels fire there.

    Args:
        maps: the pyramid's levels by name, each [C, h, w].
        x, y: the point in pixels.
        count: how many channels to list.

    A channel fires by how many standard deviations it is above its own mean over the level.
    """
    stride = 2**level
    row, column = y // stride, x // stride
    values = maps[f"P{level}"]
    mean, std = values.mean(dim=(1, 2)), values.std(dim=(1, 2))
    fires = (values[:, row, column] - mean) / std.clamp(min=1e-6)  # [C]
    strongest = fires.argsort(descending=True)[:count]
    rows = receptive_field(backbone, level, row)
    columns = receptive_field(backbone, level, column)

    image, feature, bars = panels(10, 3.4, 1.4, 1.4, 1)
    show_image(scene.image, "What does the cell see?", image)
    height, width = scene.image.shape[-2:]
    seen = torch.zeros(height, width, dtype=torch.bool)
    seen[max(0, rows[0]) : rows[1] + 1, max(0, columns[0]) : columns[1] + 1] = True
    add_seen(image, seen)
    cell = torch.tensor([[column, row, column + 1, row + 1]])
    add_boxes(image, cell * stride, CELL)
    image.plot(x, y, "o", markersize=4, markerfacecolor="black", markeredgecolor="white")

    first = strongest[0].item()
    feature.imshow(values[first].numpy(), extent=(0, values.shape[2], values.shape[1], 0))
    add_boxes(feature, cell, CELL)
    feature.set(title=f"channel {first} of P{level}", xlabel="column", ylabel="row")
    names = [str(number) for number in strongest.tolist()]
    ends = bars.barh(names, fires[strongest].tolist(), color="#BDBDBD")
    bars.bar_label(ends, fmt="%.1f", padding=3)
    bars.invert_yaxis()
    bars.axvline(2, color="black", linestyle="--", linewidth=0.8)
    bars.set(title="Which stand out most?", xlabel="standard deviations", ylabel="channel")
    bars.set(xlim=(0, max(5.0, 1.2 * fires.max().item())))
    return (
        f"Cell ({row}, {column}) of P{level} stands for {stride}×{stride} pixels and sees "
        f"{rows[1] - rows[0] + 1}×{columns[1] - columns[0] + 1}. Of its {len(values)} channels, "
        f"{(fires > 2).sum().item()} are more than two standard deviations above their mean."
    )


def explore_pyramid(scene: Scene, backbone: ResNet, maps: Mapping[str, Tensor]) -> VBox:
    """Pick a pixel and a level, see `show_pyramid_at`."""
    height, width = scene.image.shape[-2:]
    return explore(
        lambda **values: show_pyramid_at(scene, backbone, maps, **values),
        x=slider("x of the point, pixels", width // 2, 0, width - 1),
        y=slider("y of the point, pixels", height // 2, 0, height - 1),
        level=choice("level", [(f"P{level}", level) for level in range(3, 8)], 5),
    )
