"""Answers to an exercise, made from its solution: other forms of it, and wrong ones."""

import ast
import copy
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import torch

Answer = Callable[..., Any]


def values(result: object) -> Any:
    """A list from a tensor, an array, a tuple or a list; else the thing itself."""
    if isinstance(result, (torch.Tensor, np.ndarray, np.generic)):
        return result.tolist()
    return list(result) if isinstance(result, (list, tuple)) else result


def equal(a: object, b: object, whole: bool = False) -> bool:
    """Whether two results have the same numbers; `whole`: of the same type, too."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=2e-6, atol=1e-6)
    a, b = values(a), values(b)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(equal(x, y, whole) for x, y in zip(a, b, strict=True))
    if isinstance(a, bool) and isinstance(b, bool):
        return a is b
    if any(isinstance(x, bool) or not isinstance(x, (int, float)) for x in (a, b)):
        return False
    return math.isclose(a, b, rel_tol=2e-6, abs_tol=1e-6) and not (whole and type(a) is not type(b))


# --- the same result in other forms ---


def forms(result: object) -> dict[str, Callable[[Any], Any]]:
    """What turns a right result into a right one of another form, by name."""
    if isinstance(result, torch.Tensor):
        return FORMS_OF_A_TENSOR
    if isinstance(result, (int, float)):
        return FORMS_OF_A_NUMBER | (FORMS_OF_A_WHOLE if isinstance(result, int) else {})
    found = dict(CONTAINERS)
    if result and all(isinstance(one, (int, float)) for one in result):
        found |= ARRAYS
        if all(isinstance(one, int) for one in result):
            found |= WHOLE_ARRAYS
    elements = [forms(one) for one in result]
    for name in set.intersection(*map(set, elements)) if elements else ():
        found[f"list of: {name}"] = lambda r, name=name: [forms(one)[name](one) for one in r]
    return found


FORMS_OF_A_NUMBER = {
    "float64 of numpy": np.float64,
    "float32 of numpy": np.float32,
    "0-d array": lambda r: np.array(float(r)),
    "0-d float32 tensor": lambda r: torch.tensor(float(r)),
    "0-d float64 tensor": lambda r: torch.tensor(r, dtype=torch.float64),
    "0-d tensor with a gradient": lambda r: torch.tensor(float(r), requires_grad=True) * 1,
    "fraction": Fraction,
}
FORMS_OF_A_WHOLE = {
    "int": int,
    "int64 of numpy": np.int64,
    "int32 of numpy": np.int32,
    "0-d whole array": lambda r: np.array(int(r)),
    "0-d int64 tensor": lambda r: torch.tensor(int(r)),
    "0-d int32 tensor": lambda r: torch.tensor(int(r), dtype=torch.int32),
}
CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "iterator": iter,
    "generator": lambda r: (one for one in r),
    "map": lambda r: map(lambda one: one, r),
    "values of a dict": lambda r: dict(enumerate(r)).values(),
}
ARRAYS = {
    "float64 array": lambda r: np.array(r, dtype=np.float64),
    "float32 array": lambda r: np.array(r, dtype=np.float32),
    "array upside down": lambda r: np.array(list(r)[::-1], dtype=np.float64)[::-1],
    "array of objects": lambda r: np.array(list(r), dtype=object),
    "float32 tensor": lambda r: torch.tensor(list(r), dtype=torch.float32),
    "float64 tensor": lambda r: torch.tensor(list(r), dtype=torch.float64),
    "tensor with a gradient": lambda r: torch.tensor(
        list(r), dtype=torch.float64, requires_grad=True
    ),
}
WHOLE_ARRAYS = {
    "int64 array": lambda r: np.array(r, dtype=np.int64),
    "int16 array": lambda r: np.array(r, dtype=np.int16),
    "int64 tensor": lambda r: torch.tensor(list(r), dtype=torch.int64),
    "int32 tensor": lambda r: torch.tensor(list(r), dtype=torch.int32),
}
FORMS_OF_A_TENSOR = {
    "tensor": lambda r: r,
    "float64": lambda r: r.double(),
    "float32": lambda r: r.float(),
    "array": lambda r: r.numpy(),
    "float64 array": lambda r: r.double().numpy(),
    "array of other strides": lambda r: r.flip(0).numpy()[::-1],
    "with a gradient": lambda r: r.double().requires_grad_() * 1,
    "not contiguous": lambda r: r.transpose(0, -1).contiguous().transpose(0, -1),
}
# a number of these forms has a point, which an index, a place or a label must not have
NOT_WHOLE = {*FORMS_OF_A_NUMBER, *ARRAYS} - {"array of objects"}


# --- wrong results ---


def on_numbers(change: Callable[[float], float], result: Any, place: int | None = None) -> Any:
    """The result with each of its numbers changed; with `place` only those of this element."""
    if isinstance(result, (list, tuple)):
        return [
            on_numbers(change, one) if place in (None, i) else one for i, one in enumerate(result)
        ]
    if isinstance(result, torch.Tensor):
        different, places = result.unique(return_inverse=True)
        changed = [change(one) for one in different.tolist()]
        return torch.tensor(changed, dtype=torch.float64)[places]
    return change(result)


NUMBERS = {
    "negated": lambda x: -x,
    "without a sign": abs,
    "rounded": round,
    "cut off": int,
    "rounded down": math.floor,
    "rounded up": math.ceil,
    "one more": lambda x: x + 1,
    "one less": lambda x: x - 1,
    "twice": lambda x: 2 * x,
    "half": lambda x: x / 2,
    "a thousandth more": lambda x: 1.001 * x + 0.001,
    "at least 0": lambda x: max(0, x),
    "at most 0": lambda x: min(0, x),
    "at most 1": lambda x: min(1, x),
    "nothing": lambda x: 0 * x,
    "to one digit": lambda x: round(x, 1),
    "no number": lambda x: math.nan,
    "without end": lambda x: math.inf,
}
ORDERS = {
    "turned round": lambda r: r[::-1],
    "rotated": lambda r: [*r[1:], *r[:1]],
    "sorted": lambda r: sorted(r, key=float),
    "first only": lambda r: r[:1],
    "last only": lambda r: r[-1:],
    "without the first": lambda r: r[1:],
    "without the last": lambda r: r[:-1],
    "the first throughout": lambda r: [r[0]] * len(r),
    "the last throughout": lambda r: [r[-1]] * len(r),
    "one too many": lambda r: [*r, r[-1]],
    "first two swapped": lambda r: [r[1], r[0], *r[2:]],
    "last two swapped": lambda r: [*r[:-2], r[-1], r[-2]],
}
TENSORS = {
    "shape: one axis more": lambda r: r.unsqueeze(0),
    "shape: flat": lambda r: r.flatten(),
    "sum": lambda r: r.sum(),
    **{f"axis {d} turned round": lambda r, d=d: r.flip(d) for d in range(4)},
    **{f"axis {d} rolled": lambda r, d=d: r.roll(1, d) for d in range(4)},
    **{
        f"axis {d}: first throughout": lambda r, d=d: r.narrow(d, 0, 1).expand_as(r)
        for d in range(4)
    },
    **{
        f"axis {d}: mean throughout": lambda r, d=d: r.double().mean(d, True).expand_as(r)
        for d in range(4)
    },
    **{
        f"axes {d} and {e} swapped": lambda r, d=d, e=e: r.transpose(d, e).contiguous()
        for d in range(4)
        for e in range(d)
    },
    **{
        f"axes {d} and {e} swapped, the shape kept": lambda r, d=d, e=e: r.transpose(d, e).reshape(
            r.shape
        )
        for d in range(4)
        for e in range(d)
    },
}
# wrong whatever the exercise is
CONTAINERS_NOBODY_ASKED_FOR = {
    "container: text": str,
    "container: dict": lambda r: {"result": r},
    "container: keys of a dict": lambda r: dict(enumerate([r])),
    "container: in a list": lambda r: [r],
    "container: twice": lambda r: (r, r),
    "container: the function itself": lambda r: len,
    "container: nothing": lambda r: None,
    "container: empty": lambda r: [],
    "container: True": lambda r: True,
}


def wrong_results(solution: Answer, results: list) -> Iterator[tuple[str, Answer]]:
    """The solution with its result changed, or with one of its results whatever is asked."""

    def then(change: Callable[[Any], Any]) -> Answer:
        return lambda *arguments: change(solution(*arguments))

    kinds = type(results[0])
    longest = max((len(r) for r in results if isinstance(r, (list, tuple))), default=0)
    listed = longest and isinstance(results[0][0], torch.Tensor)
    places = {0, longest - 1} if listed else range(min(longest, 6))
    for name, change in NUMBERS.items():
        yield name, then(lambda r, change=change: on_numbers(change, r))
        for place in places:
            yield (
                f"element {place} {name}",
                then(lambda r, change=change, place=place: on_numbers(change, r, place)),
            )
    for name, change in ORDERS.items() if longest else ():
        yield name, then(change)
    for name, change in TENSORS.items():
        if kinds is torch.Tensor:
            yield name, then(change)
        elif listed:
            yield f"each {name}", then(lambda r, change=change: [change(one) for one in r])
    for name, change in CONTAINERS_NOBODY_ASKED_FOR.items():
        yield name, then(change)
    for i, constant in enumerate(results if len(results) > 1 else ()):
        yield f"constant: case {i}", lambda *_, constant=constant: constant
        if kinds is tuple:
            for place in range(longest):
                yield (
                    f"element {place} constant: case {i}",
                    then(lambda r, c=constant, p=place: (*r[:p], c[p], *r[p + 1 :])),
                )


# --- wrong uses of the arguments ---


def changes_in_place(argument: Any) -> Iterator[tuple[str, Callable[[Any], None]]]:
    if isinstance(argument, torch.Tensor):
        yield "add_", lambda x: x.add_(1)
        yield "one element", lambda x: x.view(-1)[-1:].add_(1)
        yield "unsqueeze_", lambda x: x.unsqueeze_(0)
    if isinstance(argument, list):
        yield "append", lambda x: x.append(x[-1] if x else 0)
        yield "pop", lambda x: x.pop() if x else None
        yield "reverse", lambda x: x.reverse()
        yield "clear", lambda x: x.clear()
        for name, change in changes_in_place(argument[0] if argument else None):
            yield f"{name} within", lambda x, change=change: [change(one) for one in x]


def changes_of_arguments(argument: Any) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    if isinstance(argument, list):
        yield "turned round", lambda x: x[::-1]
        yield "sorted", sorted
        yield "without the first", lambda x: x[1:]
        yield "without the last", lambda x: x[:-1]
        yield "first only", lambda x: x[:1]
        yield "rotated", lambda x: x[1:] + x[:1]
        if len(argument) > 3:
            yield "axes swapped", lambda x: [x[1], x[0], x[3], x[2], *x[4:]]
    for name, change in NUMBERS.items():
        yield name, lambda x, change=change: on_numbers(change, x)


def wrong_arguments(solution: Answer, example: tuple) -> Iterator[tuple[str, Answer]]:
    """The solution with its arguments changed before it uses them, or after, in place."""
    for i in range(len(example)):
        for j in range(i):

            def swapped(*arguments: Any, i: int = i, j: int = j) -> Any:
                order = list(arguments)
                order[i], order[j] = order[j], order[i]
                return solution(*order)

            yield f"arguments {j} and {i} swapped", swapped
        for name, change in changes_of_arguments(example[i]):

            def before(*arguments: Any, i: int = i, change: Callable = change) -> Any:
                return solution(*arguments[:i], change(arguments[i]), *arguments[i + 1 :])

            yield f"argument {i} {name}", before
        for name, change in changes_in_place(example[i]):

            def after(*arguments: Any, i: int = i, change: Callable = change) -> Any:
                result = copy.deepcopy(solution(*arguments))
                change(arguments[i])
                return result

            yield f"in place: {name} of argument {i}", after


# --- wrong sources ---

OPERATORS = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult, ast.FloorDiv, ast.Sub),
    ast.FloorDiv: (ast.Div,),
    ast.Pow: (ast.Mult,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
# put around an expression
AROUND = ("abs({})", "int({})", "round({})", "max(0, {})", "min(0, {})", "-({})", "({}) + 1")
AROUND += ("({}) - 1", "({})[1:]", "({})[:-1]", "({})[::-1]", "({})[:1]", "({})[-1:]", "sorted({})")


def others(node: ast.AST, names: set[str]) -> Iterator[ast.AST | str]:
    """What could stand in the place of an expression, as a tree or as a text."""
    if isinstance(node, ast.BinOp):
        yield node.left
        yield node.right
        yield ast.BinOp(node.right, node.op, node.left)
        for operator in OPERATORS.get(type(node.op), ()):
            yield ast.BinOp(node.left, operator(), node.right)
    if isinstance(node, ast.Compare):
        for operator in OPERATORS[type(node.ops[0])]:
            yield ast.Compare(node.left, [operator()], node.comparators)
    if isinstance(node, ast.BoolOp):
        yield from node.values
        for operator in OPERATORS[type(node.op)]:
            yield ast.BoolOp(operator(), node.values)
    if isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
        yield ast.IfExp(node.test, node.orelse, node.body)
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    if isinstance(node, ast.Call):
        yield from node.args
        swap = {"min": "max", "max": "min", "all": "any", "any": "all"}
        if isinstance(node.func, ast.Name) and node.func.id in swap:
            yield ast.Call(ast.Name(swap[node.func.id], ast.Load()), node.args, node.keywords)
        for i, keyword in enumerate(node.keywords):
            if keyword.arg != "dim":
                yield ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])
        if len(node.args) > 1:
            yield ast.Call(node.func, node.args[::-1], node.keywords)
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        for value in (node.value + 1, node.value - 1, 2 * node.value, node.value / 2, -node.value):
            yield repr(value)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        yield from sorted(names - {node.id})
    if isinstance(node, (ast.Tuple, ast.List)) and isinstance(node.ctx, ast.Load):
        for i in range(len(node.elts)):
            yield ast.Tuple(node.elts[:i] + node.elts[i + 1 :], ast.Load())
            for j in range(i):
                order = list(node.elts)
                order[i], order[j] = order[j], order[i]
                yield ast.Tuple(order, ast.Load())
    sliced = any(isinstance(inner, ast.Slice) for inner in ast.iter_child_nodes(node))
    sliced = isinstance(node, ast.Slice) or isinstance(node, ast.Tuple) and sliced
    if not sliced and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        for around in AROUND:
            yield around.format(ast.unparse(node))


class Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def wrong_sources(source: str) -> Iterator[str]:
    """The text of a solution, and then with one expression replaced."""
    tree = ast.parse(source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names = {name for name in names if isinstance_of_store(tree, name)}
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    seen = {ast.unparse(tree)}
    yield from seen
    for node in list(ast.walk(tree)):
        if not isinstance(node, ast.expr) or id(node) in functions or isinstance(node, ast.Starred):
            continue
        for other in others(node, names):
            new = ast.parse(other, mode="eval").body if isinstance(other, str) else other
            memo: dict[int, Any] = {}
            whole = copy.deepcopy(tree, memo)
            changed = ast.unparse(
                ast.fix_missing_locations(Replace(memo[id(node)], copy.deepcopy(new)).visit(whole))
            )
            if changed not in seen:
                seen.add(changed)
                yield changed


def isinstance_of_store(tree: ast.AST, name: str) -> bool:
    """Whether a name is an argument or is assigned to, and no function or module."""
    return any(
        (isinstance(node, ast.arg) and node.arg == name)
        or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name)
        for node in ast.walk(tree)
    )
