"""Choose and repeat: cond, loops, scan, map.

With eager tensors these are Python's own `if` and `for`. On symbolic ones `cond` runs both
branches. While a function is traced a short loop of known length is unrolled, and so is a long one
that a tape records; any other becomes one node, which `state.trace.repeated` makes.
"""

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.core.basic import reshape
from minikeras.core.context import VariableScope, commit, overridden, state
from minikeras.core.dispatch import Node, Primitive, is_open
from minikeras.core.gradients import identity
from minikeras.core.graph import call_node
from minikeras.core.spec import broadcast
from minikeras.core.tensor import EagerTensor, SymbolicTensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.ops.elementwise import less, less_equal, logical_and, logical_not, where
from minikeras.ops.joining import stack, unstack
from minikeras.ops.shaping import broadcast_to

# ---- choices -------------------------------------------------------------------------------------


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """Return `true_fn()` if the scalar `pred` holds, else `false_fn()`.

    Both must return the same structure and shapes. With a symbolic `pred` both run, and each
    element of the result and each Variable that they assign is chosen afterwards.
    """
    pred = pred.value if isinstance(pred, Variable) else pred
    if np.shape(pred) != ():
        raise ValueError(f"cond: expected a scalar as pred, got shape {tuple(np.shape(pred))}.")
    if not isinstance(pred, SymbolicTensor):
        return true_fn() if pred else false_fn()
    return _both_branches(pred, true_fn, false_fn)


def _both_branches(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    if state.trace is not None:
        state.trace.replayable = False  # its nodes do not tell which gradients are held back
    if_true, after_true = _branch(true_fn, pred)
    if_false, after_false = _branch(false_fn, logical_not(pred))
    tree.assert_same_structure(if_true, if_false)
    assigned = {**after_true.assigned, **after_false.assigned}
    for key, (variable, _) in assigned.items():
        values = [
            scope.assigned[key][1] if key in scope.assigned else variable.value
            for scope in (after_true, after_false)
        ]
        variable.assign(where(pred, *values))
    return tree.map_structure(lambda a, b: _chosen(pred, a, b), if_true, if_false)


def _branch(function: Callable[[], Any], taken: Any) -> tuple[Any, VariableScope]:
    tapes = (_Branch(taken),) if state.recorders else ()
    with VariableScope() as scope, overridden(recorders=tapes):
        return function(), scope


_hold_back = Primitive(
    "cond",
    lambda x, _: x,
    lambda x, _: x,
    vjps=(lambda g, taken: where(taken, g, 0), None),
    arguments=("x", "taken"),
)


class _Branch:
    """Record a branch on tapes, such that gradients leave it only if it is taken.

    What is NaN or infinite in a branch not taken would still be so times 0.
    """

    def __init__(self, taken: Any) -> None:
        self._tapes, self._taken = state.recorders, taken
        self._inside: dict[int, Any] = {}

    @property
    def live(self) -> set[int]:
        return set().union(*(tape.live for tape in self._tapes))

    def read(self, variable: Variable, value: Any) -> None:
        for tape in self._tapes:
            tape.read(variable, value)

    def record(self, node: Node) -> None:
        inputs = [self._held_back(x) for x in node.inputs]
        self._inside.update((y.key, y) for y in node.outputs)
        self._on_tapes(Node(node.op, inputs, node.params, node.outputs))

    def _held_back(self, x: Any) -> Any:
        if x.key not in self._inside and x.key in self.live:
            with overridden(recorders=()):
                self._inside[x.key] = identity(x)
            self._on_tapes(Node(_hold_back, (x, self._taken), {}, (self._inside[x.key],)))
        return self._inside.get(x.key, x)

    def _on_tapes(self, node: Node) -> None:
        for tape in self._tapes:
            if any(x.key in tape.live for x in node.inputs):
                tape.record(node)


def _chosen(pred: Any, a: Any, b: Any) -> Any:
    if a is None and b is None:
        return None
    if a is None or b is None or np.shape(a) != np.shape(b):
        raise ValueError(f"cond: expected branches that return equal shapes, got {a} and {b}.")
    return where(pred, a, b)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Return `branches[index](*operands)`; an index outside means the first or the last branch."""
    if not branches:
        raise ValueError("switch: expected at least one branch, got none.")
    index, last = as_tensor(index), len(branches) - 1
    if not isinstance(index, SymbolicTensor):
        return branches[min(max(int(index), 0), last)](*operands)

    def from_branch(i: int) -> Any:
        if i == last:
            return branches[i](*operands)
        return cond(
            less_equal(index, i), lambda: branches[i](*operands), lambda: from_branch(i + 1)
        )

    return from_branch(0)


# ---- loops ---------------------------------------------------------------------------------------


def _whole(function: Callable[..., Any]) -> Any:
    """Make one node of a call in which any tensor, however nested, has an open axis."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if any(is_open(leaf) for leaf in tree.leaves([args, kwargs])):
            return call_node(call, function, args, kwargs)
        return function(*args, **kwargs)

    call.name = function.__name__  # type: ignore[attr-defined]
    return call


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """Call `body` on the loop variables as long as `cond` holds of them; return the last ones.

    Args:
        cond: takes the loop variables, returns a scalar truth value.
        body: takes the loop variables, returns as many, nested alike.
        loop_vars: a list or tuple of nests, which are passed one by one, or one other nest.
        maximum_iterations: stop after so many calls, whatever `cond` says.
    """
    several = isinstance(loop_vars, (list, tuple))
    values = tree.map_structure(as_tensor, tuple(loop_vars) if several else (loop_vars,))

    def step(*values: Any) -> tuple[Any, ...]:
        results = body(*values)
        return _next_values(values, results if several else (results,))

    limit = None if maximum_iterations is None else int(maximum_iterations)
    if _tracing():
        values = _traced_loop(cond, step, values, limit)
    elif any(isinstance(leaf, SymbolicTensor) for leaf in tree.leaves(values)):
        return _loop_node(cond, body, values if several else values[0], maximum_iterations)
    else:
        turns: Iterable[int] = itertools.count() if limit is None else range(limit)
        for _ in turns:
            if not cond(*values):
                break
            values = step(*values)
    return values if several else values[0]


def _next_values(values: tuple[Any, ...], results: Any) -> tuple[Any, ...]:
    if not isinstance(results, (list, tuple)) or len(results) != len(values):
        raise ValueError(
            f"while_loop: expected body to return a list or tuple of {len(values)} loop variables, "
            f"got {results}."
        )
    tree.assert_same_structure(values, tuple(results))
    return tree.map_structure(as_tensor, tuple(results))  # type: ignore[no-any-return]


def _loop_node(cond: Any, body: Any, loop_vars: Any, maximum_iterations: Any) -> Any:
    """Record a loop that runs when values are known.

    `cond` and `body` may use no other symbolic tensors than the loop variables, whose shapes and
    dtypes stay.
    """
    args = (cond, body, loop_vars, maximum_iterations)
    return call_node(while_loop, lambda _, __, values, ___: values, args, {})


while_loop.name = "while_loop"  # type: ignore[attr-defined]


# ---- loops in traces -----------------------------------------------------------------------------

# A loop of this many turns at most is unrolled: rewriting and fusion see through it then.
_SHORT = 16


def _tracing() -> bool:
    """Tell whether values are symbolic because a function is traced."""
    return state.trace is not None and state.scope is not None


def _traced_loop(cond: Any, step: Any, values: tuple[Any, ...], limit: int | None) -> Any:
    """Return the last loop variables of a loop in a function that is traced."""
    short = limit if state.recorders else min(_SHORT, _SHORT if limit is None else limit)
    unrolled = _unrolled(cond, step, values, short, whole=short == limit)
    if unrolled is not None:
        return unrolled
    try:
        if limit is None:
            return state.trace.repeated(cond, step, values)
        return state.trace.repeated(
            lambda turn, *values: logical_and(less(turn, limit), cond(*values)),
            lambda turn, *values: (turn + 1, *step(*values)),
            (as_tensor(0), *values),
        )[1:]
    except state.trace.unsteady:
        unrolled = _unrolled(cond, step, values, limit, whole=True)
        if unrolled is None:
            raise
        return unrolled


def _unrolled(
    cond: Any, step: Any, values: tuple[Any, ...], limit: int | None, *, whole: bool
) -> Any:
    """Do a loop turn by turn if `cond` has a value each time; None if not, or if it is too long.

    Args:
        limit: how many turns to do at most.
        whole: whether the loop ends then, rather than being too long.
    """
    with VariableScope() as scope:
        for turn in itertools.count():
            if turn == limit and whole:
                break
            holds = as_tensor(cond(*values))
            if isinstance(holds, SymbolicTensor) or (holds and turn == limit):
                return None
            if not holds:
                break
            values = step(*values)
    commit(scope)
    return values


def _traced_count(lower: int, upper: int, body_fun: Any, value: Any) -> Any:
    """Return the last value of a long loop of known length in a function that is traced."""
    for first in (lower, lower + 1):  # types often settle in the first turn: 0 + 1.5
        try:
            return state.trace.repeated(
                lambda i, _: less(i, upper),
                lambda i, value: (i + 1, tree.map_structure(as_tensor, body_fun(i, value))),
                (as_tensor(first), value),
                turns=upper - first,
            )[1]
        except state.trace.unsteady:
            if first > lower:
                raise
            value = tree.map_structure(as_tensor, body_fun(as_tensor(lower), value))
    raise AssertionError


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """Return the last `value = body_fun(i, value)` for i from `lower` up to below `upper`."""
    if isinstance(lower, SymbolicTensor) or isinstance(upper, SymbolicTensor):
        return while_loop(
            lambda i, upper, _: less(i, upper),
            lambda i, upper, value: (i + 1, upper, body_fun(i, value)),
            (lower, upper, init_val),
        )[2]
    value = tree.map_structure(as_tensor, init_val)
    lower, upper = int(lower), int(upper)
    if _tracing() and not state.recorders and upper - lower > _SHORT:
        return _traced_count(lower, upper, body_fun, value)
    for i in range(lower, upper):
        value = body_fun(as_tensor(i), value)
    return value


def _elements(who: str, xs: Any, length: Any = None) -> list[Any]:
    """Cut the tensors of the nest `xs` along their first axes into a list of nests."""
    leaves = [as_tensor(x) for x in tree.leaves(xs)]
    lengths = {x.shape[0] if x.ndim else None for x in leaves}
    lengths |= set() if length is None else {int(length)}
    if len(lengths) != 1 or None in lengths:
        shapes = [tuple(x.shape) for x in leaves]
        also = "" if length is None else f" and length={length}"
        raise ValueError(
            f"{who}: expected tensors with equally long first axes, got shapes {shapes}{also}."
        )
    parts = [unstack(x) for x in leaves]
    return [tree.pack_sequence_as(xs, each) for each in zip(*parts, strict=True)]


def _stacked(results: list[Any]) -> Any:
    return tree.map_structure(
        lambda *leaves: None if leaves[0] is None else stack([as_tensor(leaf) for leaf in leaves]),
        *results,
    )


def _empty(function: Callable[[], Any]) -> Any:
    """Return what no results stack up to, by running `function` on tensors without numbers."""
    return tree.map_structure(
        lambda y: None if y is None else EagerTensor(np.zeros((0, *y.shape), y.dtype.name)),
        function(),
    )


def _unknown(structure: Any, *, element: bool = False) -> Any:
    """Return symbolic tensors like those of a nest, or like elements of those."""

    def stand_in(x: Any) -> Any:
        x = as_tensor(x)
        return SymbolicTensor(tuple(x.shape)[element:], np.dtype(x.dtype.name))

    return tree.map_structure(stand_in, structure)


@_whole
def scan(
    f: Callable[[Any, Any], Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> Any:
    """Call `carry, y = f(carry, x)` for each x of `xs`; return the last carry and all y, stacked.

    Args:
        init: the first carry, a nest.
        xs: a nest of tensors to go through along the first axis; None passes None.
        length: how many times to call `f` if `xs` is None.
        reverse: go from last to first; the y stand where their x stood.
        unroll: Keras'; loops of known length are always unrolled in a trace.
    """
    if not callable(f):
        raise TypeError(f"scan: expected a function f, got {f!r}.")
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ValueError(f"scan: expected unroll to be a bool or a number >= 1, got {unroll!r}.")
    if xs is None and length is None:
        raise ValueError("scan: expected xs to go through, or a length, got neither.")
    steps = [None] * int(length) if xs is None else _elements("scan", xs, length)  # type: ignore[arg-type]
    carry = tree.map_structure(as_tensor, init)
    if not steps:
        x = None if xs is None else _unknown(xs, element=True)
        return carry, _empty(lambda: f(_unknown(init), x)[1])
    ys = []
    for x in reversed(steps) if reverse else steps:
        carry, y = f(carry, x)
        tree.assert_same_structure(init, carry)
        ys.append(y)
    return carry, _stacked(ys[::-1] if reverse else ys)


@_whole
def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Call `f` on each element of `xs` along the first axis; return the results, stacked."""
    elements = _elements("map", xs)
    if not elements:
        return _empty(lambda: f(_unknown(xs, element=True)))
    return _stacked([f(x) for x in elements])


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """Do the same as `map`."""
    return map(function, elements)


# ---- vectorize -----------------------------------------------------------------------------------

_ARGUMENTS = r"\(\s*(?:\w+\s*(?:,\s*\w+\s*)*)?\)"
_SIGNATURE = re.compile(rf"{_ARGUMENTS}(?:,{_ARGUMENTS})*->{_ARGUMENTS}(?:,{_ARGUMENTS})*")


def _core_axes(signature: str) -> list[list[str]]:
    """Return the names of the core axes of each argument, of `(m,n),(n)->(m)` for example."""
    compact = signature.replace(" ", "")
    if not _SIGNATURE.fullmatch(compact):
        raise ValueError(
            f"vectorize: expected a signature such as '(m,n),(n)->(m)', got {signature!r}."
        )
    arguments = re.findall(r"\(([^)]*)\)", compact.split("->")[0])
    return [[name for name in names.split(",") if name] for names in arguments]


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None
) -> Callable[..., Any]:
    """Return a function that calls `pyfunc` on scalars, or on core arrays, and broadcasts.

    Args:
        excluded: positions and names of arguments that are passed on as they are.
        signature: the core axes of arguments and results, such as `"(n),(n)->()"`.
    """
    left_out = set(excluded or ())

    @functools.wraps(pyfunc)
    def call(*args: Any, **kwargs: Any) -> Any:
        given: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        mapped = {
            key: as_tensor(value)
            for key, value in given.items()
            if key not in left_out and value is not None
        }
        core = [[] for _ in mapped] if signature is None else _core_axes(signature)
        if len(core) != len(mapped):
            raise ValueError(
                f"vectorize: expected {len(core)} arguments for {signature!r}, got {len(mapped)}."
            )
        _check_core(signature, core, list(mapped.values()))

        def one(values: dict[Any, Any]) -> Any:
            every = {**given, **values}
            positional = [every.pop(i) for i in range(len(args))]
            return pyfunc(*positional, **every)

        ranks = [len(names) for names in core]
        shapes = [x.shape[: x.ndim - rank] for x, rank in zip(mapped.values(), ranks, strict=True)]
        batch = broadcast(*(tuple(shape) for shape in shapes)) if shapes else ()
        if not batch:
            return one(mapped)
        rows = {
            key: _as_rows(x, batch, rank)
            for (key, x), rank in zip(mapped.items(), ranks, strict=True)
        }
        keys = list(rows)
        results = map(lambda each: one(dict(zip(keys, each, strict=True))), list(rows.values()))
        return tree.map_structure(lambda y: reshape(y, shape=(*batch, *y.shape[1:])), results)

    return call


def _as_rows(x: Any, batch: tuple[int, ...], rank: int) -> Any:
    """Broadcast all but the last `rank` axes to `batch` and merge them into one."""
    core = tuple(x.shape[x.ndim - rank :])
    return reshape(broadcast_to(x, (*batch, *core)), shape=(math.prod(batch), *core))


def _check_core(signature: str | None, core: list[list[str]], tensors: list[Any]) -> None:
    lengths: dict[str, int] = {}
    for names, x in zip(core, tensors, strict=True):
        shape = tuple(x.shape)
        fits = len(shape) >= len(names) and all(
            lengths.setdefault(name, n) == n
            for name, n in zip(reversed(names), reversed(shape), strict=False)
        )
        if not fits:
            shapes = [tuple(tensor.shape) for tensor in tensors]
            raise ValueError(
                f"vectorize: expected arguments that fit {signature!r}, got shapes {shapes}."
            )
