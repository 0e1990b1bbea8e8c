"""How long an explorer takes to answer a moved control: the median over many moves, and the worst.

python benchmarks/explorers.py
"""

import statistics
import time

import torch
from ipywidgets import VBox

from retinanet_lite import match_anchors
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.drawing import CLASSES, walkthrough_scene
from retinanet_lite.data.scenes import test_scenes
from retinanet_lite.detector import Detector
from retinanet_lite.learn.explorers import (
    CurveWalk,
    bin_by_logit,
    explore_anchors,
    explore_deltas,
    explore_detection,
    explore_focal_loss,
    explore_matching,
    explore_pyramid,
)
from retinanet_lite.zoo import SHAPES

MOVES = 12  # of each control


def explorers() -> dict[str, VBox]:
    """The seven, as the notebooks have them."""
    scene = walkthrough_scene()
    detector = Detector.load(SHAPES)
    model = detector.model
    images, _ = to_batch([scene])
    with torch.no_grad():
        output = model.predict(images)
        levels = model.fpn(model.backbone(images))
    logits, _, anchors = output
    matches = match_anchors(anchors, scene.boxes)
    targets = torch.zeros_like(logits[0])
    positive = matches >= 0
    targets[positive, scene.labels[matches[positive]]] = 1
    entries = bin_by_logit(logits[0, matches != -2].flatten(), targets[matches != -2].flatten())
    dataset = test_scenes((640, 832), CLASSES, length=40)
    items = [dataset[i] for i in range(len(dataset))]
    detections = detector([image for image, _ in items])
    walk = CurveWalk(items, detections, [target for _, target in items], CLASSES)
    maps = {f"P{i}": level[0] for i, level in enumerate(levels, start=3)}
    return {
        "anchors": explore_anchors(scene),
        "matching": explore_matching(scene),
        "deltas": explore_deltas(scene, anchors[95592]),
        "focal loss": explore_focal_loss(entries),
        "pyramid": explore_pyramid(scene, model.backbone, maps),
        "detection": explore_detection(scene, output, model.anchors.level_counts(640, 832)),
        "curve": walk.explore("hexagon"),
    }


def places(control) -> list:
    """Values from one end of a control to the other."""
    if hasattr(control, "options"):
        return [o[1] if isinstance(o, tuple) else o for o in control.options][:MOVES]
    reach = control.max - control.min
    kind = type(control.min)
    steps = [kind(control.min + reach * i / (MOVES - 1)) for i in range(MOVES)]
    return [(control.min, step) for step in steps] if isinstance(control.value, tuple) else steps


def main() -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'milliseconds':14}{'median':>8}{'slowest':>9}")
    for name, box in explorers().items():
        times = []
        for control in box.children[:-2]:
            start = control.value
            for value in places(control):
                if value != control.value:
                    before = time.perf_counter()
                    control.value = value
                    times.append(1000 * (time.perf_counter() - before))
            control.value = start
        print(f"{name:14}{statistics.median(times):8.0f}{max(times):9.0f}")


if __name__ == "__main__":
    main()
