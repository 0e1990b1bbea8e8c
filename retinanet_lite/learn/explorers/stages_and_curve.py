"""Explorers of notebooks 09 and 10: what each stage of detection removes, and the curve of AP."""

from collections.abc import Sequence
from functools import cache

import matplotlib.pyplot as plt
import torch
from ipywidgets import Dropdown, VBox
from matplotlib.collections import PolyCollection
from torch import Tensor
from torch.utils.data import Dataset

from ...data.drawing import CLASSES, Scene
from ...evaluation.average_precision import Entries, find_objects, precision_recall
from ...evaluation.error_kinds import sort_errors
from ...model.detection import Detection
from ..detection_figures import LINES, outline, zoom
from ..figures import (
    DETECTION,
    IGNORED,
    NEGATIVE,
    OBJECT,
    add_boxes,
    add_counts,
    add_detections,
    show_image,
)
from .widget import LABEL, choice, explore, panels, powers_in_words, slider


def show_stages_of_detection(
    scene: Scene,
    output: tuple[Tensor, Tensor, Tensor],
    level_counts: list[int],
    score_threshold: float = 0.5,
    top_k: int = 1000,
    nms_threshold: float = 0.5,
    entries: int | None = None,
) -> str:
    """What the score threshold, the top k and NMS each remove.

    Args:
        output: logits [1, N, K], deltas [1, N, 4] and anchors [N, 4], as `RetinaNet.predict` gives
            them for the scene alone.
        level_counts: how many of the N anchors each level has.
        entries: how many there are in all, if `output` holds only some of the anchors.
    """
    entries = entries or output[0].numel()

    def boxes_with(top_k: int, nms_threshold: float) -> dict[str, Tensor]:
        detection = Detection(score_threshold, top_k, nms_threshold, max_detections=entries)
        return detection(*output, level_counts, scene.image[None])[0]

    above = boxes_with(entries, 1.0)  # no two boxes overlap by more than 1: NMS removes none
    best = boxes_with(top_k, 1.0)
    left = boxes_with(top_k, nms_threshold)
    steps = [entries, len(above["scores"]), len(best["scores"]), len(left["scores"])]

    image, dots = panels(10, 4.4, 1.8, 1)
    show_image(scene.image, "Which boxes stay?", image)
    # each covers those of its boxes that went on
    add_outlines(image, above["boxes"], NEGATIVE, "removed by top k")
    add_outlines(image, best["boxes"], IGNORED, "removed by NMS")
    add_outlines(image, left["boxes"], DETECTION, "stays")
    add_detections(image, {name: values[:20] for name, values in left.items()}, CLASSES)
    image.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.12), ncols=3)
    names = ["entries", "score threshold", f"best {top_k} a level", "NMS"]
    add_counts(dots, dict(zip(names, steps, strict=True)), (0.5, 1e9))
    dots.set(title="How many are left after …?", xlabel="entries")
    powers_in_words(dots.xaxis)
    return (
        f"{steps[0] - steps[1]:,} entries have a score of {score_threshold:.2f} or less. Of the "
        f"{steps[1]:,} others, {steps[1] - steps[2]:,} are not among the best {top_k} of their "
        f"level, and {steps[2] - steps[3]:,} lie on a better box of their class. {steps[3]:,} stay."
    )


def add_outlines(ax: plt.Axes, boxes: Tensor, style: dict, label: str) -> None:
    """Many boxes [n, 4] with one line style, quickly."""
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    corners = torch.stack([x1, y1, x2, y1, x2, y2, x1, y2], dim=1).reshape(-1, 4, 2)
    ax.add_collection(PolyCollection(corners.numpy(), facecolor="none", label=label, **style))


def explore_detection(
    scene: Scene, output: tuple[Tensor, Tensor, Tensor], level_counts: list[int]
) -> VBox:
    """The thresholds and the top k on a detector's raw output, see `show_stages_of_detection`."""
    lowest = 0.05
    logits, deltas, anchors = output
    # anchors that never get above the threshold need not be looked at again
    kept = (logits[0].sigmoid() > lowest).any(dim=1)
    counts = [level.sum().item() for level in kept.split(level_counts)]
    some = logits[:, kept], deltas[:, kept], anchors[kept]
    return explore(
        lambda **values: show_stages_of_detection(
            scene, some, counts, entries=logits.numel(), **values
        ),
        score_threshold=slider("score threshold", 0.5, lowest, 0.95, 0.05),
        top_k=choice("top k of each level", [1, 3, 10, 30, 100, 300, 1000], 1000),
        nms_threshold=slider("NMS threshold, IoU", 0.5, 0.0, 1.0, 0.05),
    )


class CurveWalk:
    """A walk along the curve of precision and recall, with the errors at each place.

    Args:
        dataset: items (image, target).
        detections, targets: of its images, see average_precision.py.
        classes: the names of the labels.
    """

    def __init__(
        self, dataset: Dataset, detections: Entries, targets: Entries, classes: Sequence[str]
    ) -> None:
        self.detections = detections
        self.targets = targets
        self.classes = list(classes)
        # a detection's kind depends on better ones only, so one sorting does for all thresholds
        self.kinds = sort_errors(detections, targets, score_threshold=0.0).detections
        self.item = cache(dataset.__getitem__)
        self.curve = cache(lambda label: precision_recall(detections, targets, label))
        self.ranking = cache(self._rank)

    def _rank(self, label: int) -> list[tuple[float, int, int, int]]:
        """Score, image, row, object found or −1, of each detection of a class, best first."""
        ranking = []
        for i, (found, target) in enumerate(zip(self.detections, self.targets, strict=True)):
            rows = torch.nonzero(found["labels"] == label)[:, 0]
            rows = rows[found["scores"][rows].argsort(descending=True, stable=True)]
            objects = torch.nonzero(target["labels"] == label)[:, 0].tolist()
            matches = find_objects(found["boxes"][rows], target["boxes"][objects])
            for row, match in zip(rows.tolist(), matches, strict=True):
                score = found["scores"][row].item()
                ranking.append((score, i, row, objects[match] if match >= 0 else -1))
        return sorted(ranking, key=lambda entry: -entry[0])

    def show(self, name: str, score_threshold: float = 0.5, examples: int = 2) -> str:
        """Where a score threshold stands on a class's curve, with errors that it leaves.

        Beside the curve are wrong detections just above the threshold, and objects that nothing
        above it finds.
        """
        label = self.classes.index(name)
        ranking = [entry for entry in self.ranking(label) if entry[0] >= score_threshold]
        wrong = [(i, row) for _, i, row, match in ranking if match < 0]
        found = {(i, match) for _, i, _, match in ranking if match >= 0}
        objects = {
            (i, row)
            for i, target in enumerate(self.targets)
            for row in torch.nonzero(target["labels"] == label)[:, 0].tolist()
        }
        missed = sorted(objects - found)
        curve = self.curve(label)

        ax, *places = panels(10, 3.2, 1.5, *[1.0] * 2 * examples)
        ax.step(*outline(curve), **LINES[0], where="pre", label="envelope")
        ax.plot(curve.recall, curve.precision, **LINES[1], label="precision")
        if ranking:
            at = len(ranking) - 1
            ax.plot(curve.recall[at], curve.precision[at], "ko", markersize=9, label="you")
        ax.set(title=f"Where are you? ({name}, IoU 0.5)", xlabel="recall", ylabel="precision")
        ax.set(xlim=(0, 1.05), ylim=(0, 1.05))
        ax.legend(loc="lower left")
        for place, (i, row) in zip(places, wrong[::-1][:examples], strict=False):
            detection = self.detections[i]
            title = f"{self.kinds[i][row]}\nscore {detection['scores'][row]:.2f}"
            self.add_place(place, i, detection["boxes"][row], DETECTION, title)
        for place, (i, row) in zip(places[examples:], missed, strict=False):
            self.add_place(place, i, self.targets[i]["boxes"][row], OBJECT, "not found")
        for number, place in enumerate(places):
            if not place.has_data():
                place.axis("off")
                kind = "is wrong" if number < examples else "is missed"
                nothing = "nothing" if number % examples == 0 else "nothing else"
                place.text(0.5, 0.5, f"{nothing}\n{kind}", ha="center", va="center", fontsize=9)
        if not ranking:
            return f"No detection of a {name} has a score of {score_threshold:.2f}; move it down."
        return (
            f"With a score of {score_threshold:.2f} or more: {len(ranking)} detections of a "
            f"{name}, {len(wrong)} of them wrong, so precision is "
            f"{len(found) / len(ranking):.2f}. {len(found)} of {len(objects)} objects are "
            f"found, so recall is {len(found) / max(1, len(objects)):.2f}."
        )

    def add_place(self, ax: plt.Axes, i: int, box: Tensor, style: dict, title: str) -> None:
        """The part of an image around a box."""
        image, _ = self.item(i)
        show_image(image, "", ax)
        ax.set_title(f"{title}\npicture {i}", fontsize=9)
        ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
        add_boxes(ax, box[None], style)
        zoom(ax, [box], margin=0.5)

    def explore(self, name: str) -> VBox:
        """Choose a class, and walk."""
        return explore(
            self.show,
            name=Dropdown(options=self.classes, value=name, description="class", style=LABEL),
            score_threshold=slider("score threshold", 0.5, 0.05, 1.0, 0.05),
        )
