"""Grading: how a check of an exercise looks at an answer and says what is wrong with it."""

import copy
import functools
import math
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from types import CodeType
from typing import Any

import numpy as np
import torch


class NotYet(Exception):
    """What is wrong with an answer, said to the learner."""


class Stopped(NotYet):
    """The learner's function stopped with an error of its own, which is the cause."""


def graded(check: Callable[[Callable], None]) -> Callable[[Callable], None]:
    """Turn a check, which raises NotYet if something is wrong, into one that prints its verdict."""

    @functools.wraps(check)
    def print_verdict(answer: Callable) -> None:
        try:
            check(watched(answer))
        except NotYet as problem:
            print(f"not yet: {problem}")
        else:
            print("right")

    return print_verdict


def watched(answer: Callable) -> Callable:
    """The answer, asked with copies, and giving a plain result.

    What it does besides is said to the learner: an error of its own, and a change of its arguments.
    """

    def ask(*arguments: object) -> Any:
        copies = copy.deepcopy(arguments)
        try:
            result = plain(answer(*copies))
        except Exception as error:  # whatever the learner's function does, the notebook goes on
            raise Stopped(f"your function stopped with {told(error, answer)}") from error
        if not same(plain(copies), plain(arguments)):
            raise NotYet("your function changes what it is given: work on a copy")
        return result

    return ask


def told(error: Exception, answer: Callable) -> str:
    """An error of the learner's own, with the last line of their code that it came through."""
    said = ": ".join(filter(None, [type(error).__name__, str(error)]))
    code = code_of(answer)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if code and frame.filename == code.co_filename]
    if not own:
        return said
    return f"{said}, in line {own[-1].lineno}" + (f": {own[-1].line}" if own[-1].line else "")


def code_of(answer: Callable) -> CodeType | None:
    """The code of a function, or of a class's first method; None for what is not Python's."""
    functions = [answer, *vars(answer).values()] if isinstance(answer, type) else [answer]
    return next((f.__code__ for f in functions if hasattr(f, "__code__")), None)


def plain(result: object) -> Any:
    """The result in one form, whatever it came in: numbers, tensors, and lists of them."""
    if isinstance(result, torch.Tensor):
        return result.detach().cpu() if result.dim() else result.item()
    if isinstance(result, np.generic):
        return result.item()
    if isinstance(result, np.ndarray):
        if result.dtype.kind not in "biuf" or not result.ndim:
            return result.tolist()
        return torch.from_numpy(result.astype(float if result.dtype.kind == "f" else int))
    if isinstance(result, Iterable) and not isinstance(result, (str, bytes, dict, set)):
        return [plain(value) for value in result]
    return result


def close(a: float, b: float) -> bool:
    """Equal but for the rounding of float32; counts of up to 100,000 are told apart."""
    return math.isclose(a, b, rel_tol=2e-6, abs_tol=1e-6)


def same(a: object, b: object) -> bool:
    """Whether two plain results are equal but for the rounding of float32."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        near = a.shape == b.shape and torch.isclose(a.double(), b.double(), rtol=2e-6, atol=1e-6)
        return bool(torch.as_tensor(near).all())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Real) and isinstance(b, Real):
        return close(a, b)
    return type(a) is type(b) and a == b


def filled(result: object, case: str = "") -> Any:
    """The result, unless the answer returns nothing in this case, as a blank does in all."""
    if result is None:
        raise NotYet(f"{case} your function returns nothing so far".strip())
    return result


def listed(result: object) -> list | None:
    """A list of numbers as it is, or from a tensor; None if it is anything else."""
    values = result.tolist() if isinstance(result, torch.Tensor) else result
    if not isinstance(values, list):
        return None
    return values if all(map(is_number, values)) else None


def is_number(value: object) -> bool:
    """Whether this is a number, and none too large for a float; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return isinstance(value, float) or abs(value) < 10**300


def numbers(result: object, names: Iterable[str], case: str = "") -> list[float]:
    """The result as one number for each name; else the learner is told what to return."""
    *others, last = names
    values = listed(filled(result, case) if others else [filled(result, case)])
    if values is None or len(values) != len(others) + 1:
        count = {1: "one number", 2: "two numbers", 4: "four numbers"}[len(others) + 1]
        wanted = f"{', '.join(others)} and {last}" if others else last
        raise NotYet(f"return {count}, {wanted}")
    return values


def whole_numbers(result: object, what: str, case: str) -> list[int]:
    """The result as a list of whole numbers; else the learner is told what to return."""
    values = listed(filled(result, case))
    if values is None:
        raise NotYet(f"return a list of whole numbers, {what}")
    for value in values:
        if not isinstance(value, int):
            raise NotYet(f"return a list of whole numbers, {what}; {value} is of another type")
    return values


def tensor(result: object, what: str, case: str = "") -> torch.Tensor:
    """The result, if it is one tensor; else the learner is told what to return."""
    if not isinstance(filled(result, case), torch.Tensor):
        raise NotYet(f"return one tensor, {what}")
    return result.double()


def show(value: float, digits: int = 3) -> str:
    """12345.0 → 12,345 and 0.33333 → 0.333."""
    value = round(value, digits)
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,}"


@dataclass
class Case:
    """One call of an answer.

    Args:
        asked: what is asked, in words, e.g. "for kernel 7".
        arguments: what the answer is called with.
        wanted: the right result.
        mistakes: pairs of what a typical mistake gives and what to say of it, in the same order in
            every case. None is what a mistake gives if that is of no matter in this case.
        otherwise: said if no mistake is recognised.
        said: the answer's result, once it is asked.
    """

    asked: str
    arguments: Sequence[Any]
    wanted: Any
    mistakes: Sequence[tuple[Any, str]] = ()
    otherwise: str = ""
    said: Any = None


def tried(answer: Callable, cases: Iterable[Case], read: Callable[[Any, Case], Any]) -> list[Case]:
    """The cases with what the answer says to them, which `read` makes comparable or refuses.

    If the answer stops or is refused in a case, those before it are all that counts, should one of
    them be wrong.
    """
    done: list[Case] = []
    for case in cases:
        try:
            case.said = read(answer(*case.arguments), case)
        except NotYet as problem:
            if first_wrong(done):
                break
            if isinstance(problem, Stopped):
                raise Stopped(f"{case.asked} {problem}") from problem.__cause__
            raise
        done.append(case)
    return done


def first_wrong(cases: Sequence[Case], alike: Callable = same) -> tuple[Case, str] | None:
    """The first case with a wrong result, and what to say of it.

    That is the message of the first mistake that gives what was said, in each case, else "".
    """
    wrong = next((case for case in cases if not alike(case.said, case.wanted)), None)
    if wrong is None:
        return None
    for place, (_, message) in enumerate(wrong.mistakes):
        pairs = [(case.said, case.mistakes[place][0]) for case in cases]
        if all(gives is None or alike(said, gives) for said, gives in pairs):
            return wrong, message
    return wrong, ""


def judge_lists(answer: Callable, cases: Sequence[Case], what: str) -> None:
    """Compare lists of whole numbers with the right ones, and name a known mistake."""
    done = tried(answer, cases, lambda said, case: whole_numbers(said, what, case.asked))
    if problem := first_wrong(done):
        case, message = problem
        hint = f". {message}" if message else ""
        raise NotYet(f"{case.asked} you say {case.said}, it should be {case.wanted}{hint}")


def judge(
    answer: Callable,
    cases: Sequence[Case],
    names: Sequence[str],
    digits: int = 3,
    whole: bool = False,
) -> None:
    """Compare numbers with the right ones, and name a known mistake.

    That is one that gives all the numbers, or else one that gives those that are wrong.

    Args:
        answer: the learner's function.
        cases: to try it on. `wanted` and `mistakes` have a number for each name, or just the number
            if there is only one.
        names: what the numbers are.
        digits: to which a number is rounded in the message.
        whole: whether the numbers have to be of a whole type, as an index is.
    """
    for case in cases:
        case.wanted = each(case.wanted)
        case.mistakes = [(each(gives), message) for gives, message in case.mistakes]
    done = tried(answer, cases, lambda said, case: numbers(said, names, case.asked))
    places = range(len(names))
    off = [i for i in places if not all(close(case.said[i], case.wanted[i]) for case in done)]

    def alike(a: list[float], b: list[float]) -> bool:
        return all(close(a[i], b[i]) for i in off)

    if problem := first_wrong(done):
        case, message = problem
        wrong = [i for i in places if not close(case.said[i], case.wanted[i])]
        label = "{} = {}" if len(names) > 1 else "{1}"

        def list_wrong(values: list[float]) -> str:
            return ", ".join(label.format(names[i], show(values[i], digits)) for i in wrong)

        said, wanted = list_wrong(case.said), list_wrong(case.wanted)
        message = message or first_wrong(done, alike)[1]
        if message:
            raise NotYet(f"{case.asked} you say {said}. {message}")
        if said == wanted or any(rounded(done, decimals) for decimals in range(1, 6)):
            raise NotYet(f"{case.asked} you say {said}, nearly right. Is something rounded?")
        raise NotYet(f"{case.asked} you say {said}, it should be {wanted}{case.otherwise}")
    for case in done if whole else ():
        if not all(isinstance(value, int) for value in case.said):
            raise NotYet(
                f"{case.asked} you say {case.said[0]}. The value is right, but return a whole "
                f"number, {case.wanted[0]}: // gives one, / does not"
            )


def each(wanted: float | Sequence[float] | None) -> list[float] | None:
    """The numbers as a list, also if it is one; nothing stays nothing."""
    if wanted is None:
        return None
    return list(wanted) if isinstance(wanted, Sequence) else [wanted]


def rounded(cases: Sequence[Case], decimals: int) -> bool:
    """Whether all numbers are the right ones, some rounded, and not all to nothing."""
    pairs = [pair for case in cases for pair in zip(case.said, case.wanted, strict=True)]
    return any(said for said, _ in pairs) and all(
        close(said, wanted) or close(said, round(wanted, decimals)) for said, wanted in pairs
    )
