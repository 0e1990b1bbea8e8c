"""What `benchmarks/focal_study.py` measured: whole trainings with the focal loss and without."""

import json
from pathlib import Path
from statistics import fmean

import matplotlib.pyplot as plt

from .figures import ANCHOR, OBJECT, POSITIVE

RESULTS = Path(__file__).with_name("focal_study.jsonl")  # a line for each training
MARKS = (
    {"marker": "o", "color": OBJECT["edgecolor"]},
    {"marker": "s", "color": ANCHOR["edgecolor"]},
    {"marker": "^", "color": POSITIVE["edgecolor"]},
)


def focal_study() -> dict[str, dict[str, list[float]]]:
    """The APs of all trainings, by setting and loss, one for each seed."""
    study: dict[str, dict[str, list[float]]] = {}
    for line in RESULTS.read_text(encoding="utf-8").splitlines():
        training = json.loads(line)
        losses = study.setdefault(training["setting"], {})
        losses.setdefault(training["loss"], []).append(training["AP"])
    return study


def show_focal_study(title: str) -> None:
    """A mark for each training; a row for each setting, the mean of each loss beside it."""
    study = focal_study()
    _, ax = plt.subplots(figsize=(8.0, 1.1 + 0.75 * len(study)), layout="constrained")
    for row, losses in enumerate(study.values()):
        for place, (loss, mark) in enumerate(zip(losses, MARKS, strict=True)):
            y = row + 0.22 * (place - 1)
            label = loss if row == 0 else None
            ax.plot(losses[loss], [y] * len(losses[loss]), linestyle="", **mark, label=label)
            ax.text(1.01, y, f"{fmean(losses[loss]):.2f}", va="center", fontsize=8)
    ax.text(1.01, -0.55, "mean", fontsize=8)
    ax.set_yticks(range(len(study)), study)
    ax.invert_yaxis()
    ax.set(title=title, xlabel="AP on 100 scenes that were not trained on", xlim=(0, 1))
    ax.legend(fontsize=8, loc="upper left")
