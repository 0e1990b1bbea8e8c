"""The reader's own RetinaNet: nine parts to build, kept in files, put together and trained.

learn.keep(MyPyramid)             check a part, and keep it if it is right
learn.undo_keep("pyramid")        take back what was kept last
learn.show_parts()                which of the nine are yours
learn.with_your_parts(model)      a model with your parts in it
learn.keep_trained(detector)      keep what you have trained
learn.measure_yours(...)          and measure it
"""

from collections.abc import Callable

import torch
from torch.utils.data import Dataset

from ...detector import Detector
from ...evaluation.average_precision import coco_metrics
from ...model.retinanet import RetinaNet
from ..grading import NotYet
from .assembly import average_precisions, put_in
from .files import folder, load, shown, source_of, undo, write
from .parts import PARTS, Part, checked, part_of

__all__ = [
    "keep",
    "keep_trained",
    "measure_yours",
    "show_parts",
    "undo_keep",
    "with_your_parts",
    "your_parts",
]


def keep(answer: Callable) -> None:
    """Check a part, and keep it in your own file if it is right; print which."""
    try:
        part = part_of(answer)
        checked(part, answer)
        text = source_of(answer)
        kept_alone(part, text)
        print(f"right, and {write(part.name, text)}")
    except NotYet as problem:
        print(f"not yet: {problem}")


def kept_alone(part: Part, text: str) -> None:
    """Raise NotYet unless the text makes a right part by itself, in a file of its own."""
    trial = folder() / f"{part.name}.trial"
    trial.parent.mkdir(parents=True, exist_ok=True)
    trial.write_text(text, encoding="utf-8")
    try:
        checked(part, load(trial, part.answer))
    except NotYet as problem:
        raise NotYet(f"it is right here, but not in a file of its own: {problem}") from None
    finally:
        trial.unlink()


def undo_keep(name: str) -> None:
    """Take back the last `keep` of a part, such as "pyramid": the one before comes back."""
    names = [part.name for part in PARTS]
    try:
        if name not in names:
            raise NotYet(f"there is no part {name!r}; the parts are {', '.join(names)}")
        print(undo(name))
    except NotYet as problem:
        print(f"not done: {problem}")


def your_parts() -> tuple[dict[str, Callable], dict[str, str]]:
    """The kept parts that pass their check, by name, and what is wrong with the others."""
    passing, problems = {}, {}
    for part in PARTS:
        path = folder() / f"{part.name}.py"
        if not path.exists():
            continue
        try:
            answer = load(path, part.answer)
            checked(part, answer)
            passing[part.name] = answer
        except NotYet as problem:
            problems[part.name] = f"{shown(path)} no longer passes, so ours is used: {problem}"
    return passing, problems


def show_parts() -> None:
    """Print which of the nine parts are yours."""
    passing, problems = your_parts()
    print("part               notebook  whose")
    for part in PARTS:
        whose = "yours" if part.name in passing else "ours"
        print(f"{part.name:<18} {part.notebook:<9} {whose}")
    print(f"{len(passing)} of {len(PARTS)} are yours")
    for problem in problems.values():
        print(problem)


def with_your_parts(model: RetinaNet) -> RetinaNet:
    """The model, with your parts in place of the package's where you have kept them.

    It is exchanged in place, weights stay, and a line is printed that says which.
    """
    passing, problems = your_parts()
    for problem in problems.values():
        print(problem)
    with torch.random.fork_rng():  # new layers draw numbers; the page's are to be the same
        done = put_in(model, passing)
    print(f"yours in this model: {', '.join(done) or 'none so far'}")
    return model


def keep_trained(detector: Detector) -> None:
    """Keep a trained detector beside your parts, if any of them is in it."""
    if not your_parts()[0]:
        print("no part of it is yours so far, so it is not kept")
        return
    detector.save(folder() / "trained.pt")
    print(f"kept in {shown(folder() / 'trained.pt')}")


def measure_yours(dataset: Dataset) -> None:
    """Print the AP50 of the detector that `keep_trained` has kept, run with your parts.

    Args:
        dataset: images and targets, as `evaluate` takes them.
    """
    passing, _ = your_parts()
    path = folder() / "trained.pt"
    if not path.exists():
        print("there is none so far: build a part, and train it in notebook 08")
        return
    detector = Detector.load(path, plain=True)
    with_your_parts(detector.model)
    items = [dataset[i] for i in range(len(dataset))]
    detections, targets = detector(image for image, _ in items), [target for _, target in items]
    if answer := passing.get("average_precision"):
        values = average_precisions(answer, detections, targets, len(detector.classes))
        print(f"AP50 of your RetinaNet, by your average precision: {sum(values) / len(values):.3f}")
    right = coco_metrics(detections, targets, detector.classes)["AP50"]
    print(f"AP50 of your RetinaNet, by pycocotools:            {right:.3f}")
