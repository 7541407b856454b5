"""Trace functions and compare what native plans compute with what NumPy does."""

from typing import NamedTuple

import numpy as np

from minikeras import ops, tree
from minikeras.compiler.planning.actions import Call
from minikeras.compiler.planning.build import Native
from minikeras.compiler.planning.executor import Executor
from minikeras.compiler.planning.plan import Plan
from minikeras.compiler.rewriting.rewrite import simplify
from minikeras.compiler.tracing.graph import Graph
from minikeras.compiler.tracing.interpret import Interpreter
from minikeras.core.context import overridden
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor
from minikeras.models.runner import runner

TOLERANCE = {"float32": 3e-4, "float64": 1e-8}


class Both(NamedTuple):
    """One function, interpreted and native; both take a list of arrays."""

    interpreted: Interpreter
    native: Executor

    @property
    def in_numpy(self):
        """Names of the primitives that the plan leaves to NumPy."""
        return {a.node.op.name for a in self.native.plan.actions if isinstance(a, Call)}


def traced(function, arrays, donated=(), simplified=False):
    """Trace a function of tensors like `arrays`; its results are flattened.

    Args:
        simplified: whether the plan is of the rewritten graph, as `build` makes it.
    """
    inputs = [SymbolicTensor(array.shape, array.dtype) for array in arrays]
    with overridden(inline=True):
        outputs = tree.flatten(function(*inputs))
    graph = Graph("traced", inputs, outputs)
    nodes, found = simplify(graph.nodes, outputs) if simplified else (graph.nodes, outputs)
    return Both(Interpreter(graph), Executor(Plan(nodes, inputs, found, donated)))


def agree(function, arrays, simplified=False, tolerance=None):
    """Assert that both compute the same, up to rounding; return them."""
    both = traced(function, arrays, simplified=simplified)
    before = [array.copy() for array in arrays]
    expected, got = both.interpreted(arrays), both.native(arrays)
    assert got is not None
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        close(a, b, tolerance)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    return both


def left_to_numpy(function):
    """Return the primitives that NumPy does in all plans of a `minikeras.function`."""
    found = []
    for concrete in function._cache.values():
        assert isinstance(concrete.execute, Native)
        actions = concrete.execute.plan.actions
        found += [action.node.op.name for action in actions if isinstance(action, Call)]
    return found


def step_of(model, name="train_step"):
    """Return the function that `fit`, `evaluate` or `predict` calls; it must not be Python."""
    found = runner(model, name)._function
    assert found is not None and found._cache
    return found


def close(got, expected, tolerance=None):
    """Assert equal shapes and dtypes, and numbers equal up to the rounding of large sums."""
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(got, expected)
        return
    tolerance = tolerance or TOLERANCE.get(expected.dtype.name, 2e-2)
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=1)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * largest)


def with_derivatives(op, order, places):
    """Return a function that also returns first and second derivatives for inputs at `places`."""

    def differentiated(*inputs):
        results = tree.flatten(op(*inputs))
        sources = [inputs[i] for i in places]
        if not (order and sources):
            return results
        with GradientTape() as outer:
            outer.watch(sources)
            with GradientTape() as tape:
                tape.watch(sources)
                ys = [y for y in tree.flatten(op(*inputs)) if y.dtype.is_floating]
                total = [ops.sum(ops.sin(y)) for y in ys]
            first = _dense(tape.gradient(total, sources))
            squares = [ops.sum(ops.square(g)) for g in first]
        second = _dense(outer.gradient(squares, sources)) if order > 1 and squares else []
        return [*results, *first, *second]

    return differentiated


def _dense(gradients):
    return [g.dense() if hasattr(g, "dense") else g for g in gradients if g is not None]
