"""`retinanet-lite evaluate`."""

import argparse
import json
from pathlib import Path

from ..data.batches import without_crowds
from ..data.drawing import CLASSES
from ..data.scenes import test_scenes
from ..devices import processes, rank
from ..evaluation.average_precision import coco_report
from ..evaluation.error_kinds import sort_errors
from ..evaluation.measure import look
from ..zoo import SHAPES
from .options import DETECTOR_HELP, HEIGHT_WIDTH, add_data, add_running, open_detector, open_folder


def add_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--detector", default=SHAPES, help=DETECTOR_HELP)
    sub.add_argument("--json", type=Path, help="file to write the numbers to")
    sub.add_argument("--batch-size", type=int, default=8, help="images at a time")
    data = add_data(sub)
    data.add_argument("--test-split", help="of the VOC folder; default: test")
    scenes = "size of the drawn scenes in pixels; those of a training without data are 128 128"
    data.add_argument("--scenes", **HEIGHT_WIDTH, default=[640, 832], help=scenes)
    add_running(sub)


def run(options: argparse.Namespace) -> None:
    """Measure a detector: COCO's twelve numbers, each class, and where the errors come from.

    Without data, on 100 drawn scenes that no training of this package uses.
    """
    detector = open_detector(options.detector, options.plain)
    dataset = open_folder(options, "test_split", options.coco, detector.classes)
    if dataset is None:
        if not set(detector.classes) <= set(CLASSES):
            raise ValueError(
                f"{options.detector} knows {', '.join(detector.classes)}, which no drawn scene "
                f"shows. Name images to measure on: --voc or --coco."
            )
        dataset = test_scenes(options.scenes, detector.classes)
    with processes(options.device) as device:
        detector.model.to(device)
        detections, targets, _ = look(detector, dataset, options.batch_size)
        if rank() != 0:
            return
    report = coco_report(detections, targets, detector.classes)
    singles = [dict(zip(("boxes", "labels"), without_crowds(t), strict=True)) for t in targets]
    errors = sort_errors(detections, singles)
    print(f"{len(targets)} images, {sum(len(target['boxes']) for target in singles)} objects")
    for name, value in report.metrics.items():
        print(f"{name:6}{value:10.3f}")
    print(f"\n{'class':22}{'AP':>8}{'AP50':>8}")
    for name, numbers in report.by_class.items():
        print(f"{name:22}{numbers['AP']:8.3f}{numbers['AP50']:8.3f}")
    print("\ndetections with a score of 0.5 or more")
    for name, number in errors.detection_counts.items():
        print(f"  {name:20}{number:8}")
    print("objects")
    for name, number in errors.object_counts.items():
        print(f"  {name:20}{number:8}")
    if options.json:
        numbers = {
            "metrics": report.metrics,
            "classes": report.by_class,
            "detections": errors.detection_counts,
            "objects": errors.object_counts,
        }
        # JSON knows no NaN: a number that is not there is null
        numbers = json.loads(json.dumps(numbers), parse_constant=lambda _: None)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")
