"""The nine parts of the reader's RetinaNet: what each is called, where it is built, its check."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..grading import NotYet
from .compare import stopped
from .function_checks import (
    check_anchors,
    check_average_precision,
    check_detections,
    check_losses,
    check_matches,
)
from .network_checks import check_block, check_detector, check_head, check_pyramid


@dataclass(frozen=True)
class Part:
    """A part of the reader's RetinaNet.

    Args:
        name: of the part, and of the file that keeps it.
        answer: what the reader's class or function is called.
        notebook: the number of the notebook where it is built.
        check: raises NotYet for an answer that does not do what the package's part does.
    """

    name: str
    answer: str
    notebook: str
    check: Callable[[Callable], None]


PARTS = (
    Part("block", "MyBlock", "01", check_block),
    Part("pyramid", "MyPyramid", "02", check_pyramid),
    Part("head", "MyHead", "03", check_head),
    Part("anchors", "my_anchors", "04", check_anchors),
    Part("matching", "my_matches", "05", check_matches),
    Part("losses", "my_losses", "06", check_losses),
    Part("detector", "MyRetinaNet", "07", check_detector),
    Part("detection", "my_detections", "09", check_detections),
    Part("average_precision", "my_average_precision", "10", check_average_precision),
)


def part_of(answer: Callable) -> Part:
    """The part that an answer is, by its name."""
    name = getattr(answer, "__name__", str(answer))
    for part in PARTS:
        if part.answer == name:
            return part
    names = ", ".join(part.answer for part in PARTS)
    raise NotYet(f"there is no part {name}; the parts are {names}")


def checked(part: Part, answer: Callable) -> None:
    """Raise NotYet unless the answer does what the package's part does.

    The numbers that it is tried with are the same each time.
    """
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(1)
        try:
            part.check(answer)
        except NotYet:
            raise
        except Exception as error:  # what nobody has foreseen of a reader's answer
            raise stopped(error, answer, "when it is checked,") from error
