"""Trace a loop once: one node, whose parameters are the graphs of condition and body."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from minikeras import tree
from minikeras.compiler.tracing.graph import Graph, closed, replayed
from minikeras.compiler.tracing.interpret import Interpreter
from minikeras.compiler.tracing.scope import SymbolicScope
from minikeras.core.basic import numpy_dtype
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array, SymbolicTensor, as_tensor, next_key

Values = tuple[Any, ...]


class UnsteadyError(ValueError):
    """A loop variable changes its shape or dtype from turn to turn."""


def _forward(*arrays: Array, cond: Graph, body: Graph, **_: Any) -> tuple[Array, ...]:
    """Run a loop in NumPy, without leaving the context that keeps its warnings off."""
    holds, step = _interpreter(cond).run, _interpreter(body).run
    values = list(arrays)
    count = len(body.outputs)
    while holds(values)[0]:
        values[:count] = step(values)
    return tuple(values[:count])


_interpreters: weakref.WeakKeyDictionary[Graph, Interpreter] = weakref.WeakKeyDictionary()


def _interpreter(graph: Graph) -> Interpreter:
    found = _interpreters.get(graph)
    if found is None:
        found = _interpreters[graph] = Interpreter(graph)
    return found


def _spec(*specs: Spec, body: Graph, **_: Any) -> tuple[Spec, ...]:
    return tuple(specs[: len(body.outputs)])


def _no_gradient(g: Any) -> Any:  # noqa: ARG001 - its name says that it is a rule
    raise ValueError(
        "while_loop: expected no gradient through a traced loop whose number of turns depends on "
        "values. Use fori_loop with Python numbers, or scan, or differentiate inside the loop."
    )


class Loop(Primitive):
    """Repeat `body` while `cond` holds, both graphs on the same inputs.

    The first inputs, one for each output of `body`, are replaced by these after every turn: loop
    variables and Variables. The others stay: what the loop uses from outside. `turns` is their
    number where it is known.
    """

    def __init__(self) -> None:
        super().__init__(
            "while_loop", _forward, _spec, vjps=_no_gradient, variadic=True, multiple=True
        )

    def replay(self, *inputs: Any, cond: Graph, body: Graph, turns: int | None = None) -> Values:
        """Do the loop on tensors turn by turn, so that tapes see it, if it is known how many."""
        if turns is None:
            return self(*inputs, cond=cond, body=body)  # type: ignore[no-any-return]
        values, count = list(inputs), len(body.outputs)
        for _ in range(turns):
            values[:count] = replayed(body, values, body.outputs)
        return tuple(values[:count])


loop = Loop()


def repeated(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    values: Values,
    turns: int | None = None,
) -> Values:
    """Return the last loop variables of a loop, as one node of the function being traced.

    Args:
        cond: takes the loop variables, returns a scalar truth value.
        body: takes the loop variables, returns a tuple nested alike.
        values: the first loop variables, a tuple of nests of tensors.
        turns: how often `cond` is going to hold, if that is known.

    Raises `UnsteadyError` if `body` does not keep the shapes and dtypes.
    """
    start = next_key()
    symbols = tree.map_structure(lambda x: SymbolicTensor(tuple(x.shape), numpy_dtype(x)), values)
    leaves = tree.flatten(symbols)
    with SymbolicScope() as scope:
        test = as_tensor(cond(*symbols))
        if scope.assigned:
            paths = [variable.path for variable, _ in scope.assigned.values()]
            raise ValueError(f"while_loop: expected cond to assign no Variables, got {paths}.")
        _check_test(test)
        results = tree.map_structure(as_tensor, body(*symbols))
    _check_steady(symbols, results)
    changed = scope.changed()
    carried = [*leaves, *(scope.before(variable) for variable, _ in changed)]
    after = [*tree.flatten(results), *(value for _, value in changed)]
    moved = {variable.key for variable, _ in changed}
    kept = [pair for key, pair in scope.reads.items() if key not in moved]
    outside = _free([test, *after], {x.key for x in [*carried, *(s for _, s in kept)]}, start)
    inputs = [*carried, *(symbol for _, symbol in kept), *outside]
    outputs = loop(
        *tree.flatten(values),
        *(variable.value for variable, _ in changed),
        *(variable.value for variable, _ in kept),
        *outside,
        cond=closed("cond", inputs, [test]),
        body=closed("body", inputs, after),
        **({} if turns is None else {"turns": turns}),
    )
    for (variable, _), value in zip(changed, outputs[len(leaves) :], strict=True):
        variable.assign(value)
    return tree.pack_sequence_as(values, outputs[: len(leaves)])  # type: ignore[no-any-return]


def _free(tensors: Sequence[Any], known: set[int], start: int) -> list[SymbolicTensor]:
    """Return the tensors from outside, made before `start`, that `tensors` are computed from."""
    found: dict[int, SymbolicTensor] = {}
    seen: set[int] = set(known)
    stack = list(tensors)
    while stack:
        tensor = stack.pop()
        if tensor.key in seen or not isinstance(tensor, SymbolicTensor):
            continue
        seen.add(tensor.key)
        if tensor.key < start:
            found[tensor.key] = tensor
        elif tensor.node is not None:
            stack.extend(tensor.node.inputs)
    return list(found.values())


def _check_test(test: Any) -> None:
    if tuple(test.shape) != ():
        raise ValueError(
            f"while_loop: expected cond to return a scalar, got shape {tuple(test.shape)}."
        )


def _check_steady(before: Values, after: Any) -> None:
    """Raise `UnsteadyError` unless loop variables keep their structure, shapes and dtypes."""
    tree.assert_same_structure(before, after)
    pairs = zip(tree.flatten_with_path(before), tree.flatten(after), strict=True)
    for (path, old), new in pairs:
        if tuple(old.shape) != tuple(new.shape) or old.dtype != new.dtype:
            where = "".join(f"[{key!r}]" for key in path[1:])
            raise UnsteadyError(
                f"while_loop: expected loop variable {path[0]}{where} to keep shape "
                f"{tuple(old.shape)} and dtype {old.dtype.name} while a function is traced, got "
                f"shape {tuple(new.shape)} and dtype {new.dtype.name} after one turn. Cast or "
                "pad it, or begin with such a value."
            )
