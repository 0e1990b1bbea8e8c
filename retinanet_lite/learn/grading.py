"""Grading: how a check of an exercise looks at an answer and says what is wrong with it."""

import functools
import math
from collections.abc import Callable, Iterable

import torch


class NotYet(Exception):
    """What is wrong with an answer, said to the learner."""


def graded(check: Callable[[Callable], None]) -> Callable[[Callable], None]:
    """Turn a check, which raises NotYet if something is wrong, into one that prints its verdict.

    An answer that raises an error of its own is told so in the same way.
    """

    @functools.wraps(check)
    def print_verdict(answer: Callable) -> None:
        try:
            check(answer)
        except NotYet as problem:
            print(f"not yet: {problem}")
        except Exception as error:  # whatever the learner's function does, the notebook goes on
            print(f"not yet: your function stopped with {type(error).__name__}: {error}")
        else:
            print("right")

    return print_verdict


def filled(result: object, case: str = "") -> object:
    """The result, unless the answer returns nothing in this case, as a blank does in all."""
    if result is None:
        raise NotYet(f"{case} your function returns nothing so far".strip())
    return result


def numbers(result: object, names: Iterable[str], case: str = "") -> list[float]:
    """The result as one number for each name; else the learner is told what to return."""
    *others, last = names
    filled(result, case)
    try:
        values = [float(value) for value in (result if others else [result])]
    except (TypeError, ValueError, RuntimeError):
        values = []
    if len(values) != len(others) + 1:
        count = {1: "one number", 2: "two numbers", 4: "four numbers"}[len(others) + 1]
        listed = f"{', '.join(others)} and {last}" if others else last
        raise NotYet(f"return {count}, {listed}")
    return values


def tensor(result: object, what: str, case: str = "") -> torch.Tensor:
    """The result, if it is one tensor; else the learner is told what to return."""
    if not isinstance(filled(result, case), torch.Tensor):
        raise NotYet(f"return one tensor, {what}")
    return result


def close(a: float, b: float) -> bool:
    """Equal but for the rounding of float32; counts of up to 100,000 are told apart."""
    return math.isclose(a, b, rel_tol=2e-6, abs_tol=1e-6)


def rounded(value: float, right: float) -> bool:
    """Whether a number is the right one rounded to 1 to 5 decimals, and not to nothing."""
    return value != 0 and any(close(value, round(right, digits)) for digits in range(1, 6))


def show(value: float, digits: int = 3) -> str:
    """12345.0 → 12,345 and 0.33333 → 0.333."""
    value = round(value, digits)
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,}"


def judge(
    case: str,
    result: object,
    right: dict[str, float],
    mistakes: Iterable[tuple[float | tuple[float, ...], str]] = (),
    digits: int = 3,
    otherwise: str = "",
) -> None:
    """Compare a result with the right numbers, and name the mistake if it is a known one.

    Args:
        case: what was asked, e.g. "for kernel 7".
        right: the numbers, by name.
        mistakes: pairs of what a mistake gives, a number for each name, and what to say of it. The
            first is named that gives all the numbers; else the first that gives the wrong ones.
        digits: to which a number is rounded in the message.
        otherwise: said if no mistake is recognised.
    """
    values = dict(zip(right, numbers(result, right, case), strict=True))
    wrong = [name for name in right if not close(values[name], right[name])]
    if not wrong:
        return

    def listed(named: dict[str, float]) -> str:
        label = "{} = {}" if len(right) > 1 else "{1}"
        return ", ".join(label.format(name, show(named[name], digits)) for name in wrong)

    said, wanted = listed(values), listed(right)
    known = [
        (dict(zip(right, gives if isinstance(gives, tuple) else (gives,), strict=True)), message)
        for gives, message in mistakes
    ]
    for compared in (list(right), wrong):
        for gives, message in known:
            if all(close(values[name], gives[name]) for name in compared):
                raise NotYet(f"{case} you say {said}. {message}")
    if said == wanted or all(rounded(values[name], right[name]) for name in wrong):
        raise NotYet(f"{case} you say {said}, nearly right. Is something rounded?")
    raise NotYet(f"{case} you say {said}, it should be {wanted}{otherwise}")
