"""Choices and loops: structures, gradients, symbolic values, messages."""

import numpy as np
import pytest

from minikeras import tree
from minikeras.core.context import VariableScope
from minikeras.core.dispatch import Primitive
from minikeras.core.graph import collect, fill
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.ops import control, elementwise, reduction

FLOAT32, BOOL, INT32 = np.dtype("float32"), np.dtype("bool"), np.dtype("int32")
X = as_tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def _replay(outputs, inputs, values):
    """Run the graph between symbolic tensors on numbers."""

    known = {tensor.key: as_tensor(value) for tensor, value in zip(inputs, values)}
    for node in collect(tree.flatten(outputs), inputs):
        arguments = [known.get(tensor.key, tensor) for tensor in node.inputs]
        if isinstance(node.op, Primitive):
            results = node.op(*arguments, **node.params)
        else:
            filled = fill(node.params, arguments)
            results = node.op(*filled["args"], **filled["kwargs"])
        known.update((y.key, result) for y, result in zip(node.outputs, tree.flatten(results)))
    return tree.map_structure(lambda tensor: known[tensor.key], outputs)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: control.cond([True, False], int, int), ValueError, r"cond: .* got shape \(2,\)"),
        (lambda: control.switch(0, []), ValueError, "switch: expected at least one branch"),
        (
            lambda: control.while_loop(lambda i: i < 3, lambda i: i + 1, [0]),
            ValueError,
            "while_loop: expected body to return a list or tuple of 1 loop variables",
        ),
        (
            lambda: control.while_loop(lambda i, j: i < 3, lambda i, j: (i + 1,), (0, 1)),
            ValueError,
            "list or tuple of 2 loop variables",
        ),
        (lambda: control.scan(3, 0.0, X), TypeError, "scan: expected a function f, got 3"),
        (
            lambda: control.scan(min, 0.0),
            ValueError,
            "scan: expected xs .* or a length, got neither",
        ),
        (lambda: control.scan(min, 0.0, X, unroll=0), ValueError, "scan: expected unroll .* got 0"),
        (lambda: control.scan(min, 0.0, X, length=2), ValueError, r"\(3, 2\)\] and length=2"),
        (lambda: control.map(abs, [X, X[:2]]), ValueError, r"map: .* \[\(3, 2\), \(2, 2\)\]"),
        (lambda: control.map(abs, 1.0), ValueError, r"map: .* got shapes \[\(\)\]"),
        (lambda: control.vectorize(abs, signature="n->")(X), ValueError, "a signature such as"),
        (
            lambda: control.vectorize(max, signature="(n),(n)->()")(X),
            ValueError,
            "vectorize: expected 2 arguments for .*, got 1",
        ),
        (
            lambda: control.vectorize(max, signature="(n),(n)->()")(X, X[0, :1]),
            ValueError,
            r"vectorize: expected arguments that fit .* got shapes \[\(3, 2\), \(1,\)\]",
        ),
    ],
)
def test_errors_say_what_was_expected_and_what_came(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- choices -------------------------------------------------------------------------------------


@pytest.mark.parametrize("true", [True, np.True_, 1, as_tensor(2.0), Variable(1.0)])
def test_cond_runs_only_one_branch(true):
    assert control.cond(true, lambda: 1, lambda: 1 / 0) == 1
    assert control.cond(elementwise.logical_not(true), lambda: 1 / 0, lambda: {"a": 2}) == {"a": 2}


def test_cond_is_differentiable_through_the_branch_taken():
    x = as_tensor(3.0)
    with GradientTape() as tape:
        tape.watch(x)
        y = control.cond(x > 2, lambda: x * x, lambda: x)
    assert tape.gradient(y, x) == 6


def test_cond_on_a_symbolic_value_chooses_results_and_assignments():
    pred, x = SymbolicTensor((), BOOL), SymbolicTensor((2,), FLOAT32)
    v, w = Variable(1.0), Variable(10.0)

    def if_true():
        v.assign(v + 1)
        return {"y": x * 2, "none": None}

    def if_false():
        v.assign(v - 1)
        w.assign(20.0)
        return {"y": -x, "none": None}

    with VariableScope() as scope:
        result = control.cond(pred, if_true, if_false)
        after = [scope.read(v), scope.read(w)]
    assert (float(v), float(w)) == (1, 10)
    assert result["none"] is None
    for truth, expected in ((True, [[2, 4], 2, 10]), (False, [[-1, -2], 0, 20])):
        values = _replay([result["y"], *after], [pred, x], [truth, [1.0, 2.0]])
        assert [value.numpy().tolist() for value in values] == expected


def test_cond_refuses_branches_of_different_structure():
    with pytest.raises(ValueError, match="structure"):
        control.cond(SymbolicTensor((), BOOL), lambda: [1.0], lambda: 1.0)


@pytest.mark.parametrize("other", [None, as_tensor([1.0, 2.0])])
def test_cond_refuses_branches_of_different_shapes(other):
    with pytest.raises(ValueError, match="cond: expected branches that return equal shapes, got"):
        control.cond(SymbolicTensor((), BOOL), lambda: other, lambda: as_tensor([1.0]))


def test_switch_clips_its_index():
    branches = [lambda x: x, lambda x: x + 1, lambda x: x * 10]
    assert [control.switch(i, branches, 3.0) for i in (-1, 0, 1, 2, 9)] == [3, 3, 4, 30, 30]
    index = SymbolicTensor((), INT32)
    result = control.switch(index, branches, as_tensor(3.0))
    found = [float(_replay(result, [index], [i])) for i in (-1, 0, 1, 2, 9)]
    assert found == [3, 3, 4, 30, 30]


# ---- loops ---------------------------------------------------------------------------------------


def test_while_loop_structures():
    assert control.while_loop(lambda i: i < 10, lambda i: i + 1, 0) == 10
    i, j = control.while_loop(lambda i, j: i < 3, lambda i, j: [i + 1, j * 2], [0, 1.0])
    assert (int(i), float(j)) == (3, 8)
    state = control.while_loop(lambda s: s["i"] < 3, lambda s: {"i": s["i"] + 1}, {"i": 0})
    assert int(state["i"]) == 3
    (limited,) = control.while_loop(lambda i: True, lambda i: (i + 1,), (0,), maximum_iterations=4)
    assert int(limited) == 4


def test_while_loop_is_differentiable():
    x = as_tensor(2.0)
    with GradientTape() as tape:
        tape.watch(x)
        _, y = control.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * x), (0, x))
    assert tape.gradient(y, x) == 32


def test_while_loop_on_symbolic_values_is_one_node():
    n, y = SymbolicTensor((), INT32), SymbolicTensor((None,), FLOAT32)
    found = control.while_loop(lambda i, y: i > 0, lambda i, y: (i - 1, y * 2), (n, y))
    assert found[1].shape == (None,)
    values = _replay(found, [n, y], [3, [1.0, 2.0]])
    assert values[1].numpy().tolist() == [8, 16]


def test_fori_loop():
    assert control.fori_loop(0, 5, lambda i, total: total + i, 1) == 11
    assert control.fori_loop(3, 0, lambda i, total: total + i, 1) == 1
    n = SymbolicTensor((), INT32)
    total = control.fori_loop(0, n, lambda i, total: total + i, as_tensor(1))
    assert int(_replay(total, [n], [5])) == 11


def test_scan_carries_and_stacks():
    def step(carry, x):
        return {"sum": carry["sum"] + x}, (carry["sum"], None)

    last, (before, nothing) = control.scan(step, {"sum": np.zeros(2, "float32")}, X)
    assert last["sum"].numpy().tolist() == [9, 12]
    assert before.numpy().tolist() == [[0, 0], [1, 2], [4, 6]]
    assert nothing is None
    last, (before, _) = control.scan(step, {"sum": np.zeros(2, "float32")}, X, reverse=True)
    assert before.numpy().tolist() == [[8, 10], [5, 6], [0, 0]]
    last, seen = control.scan(lambda c, x: (c + 1, c), 0.0, length=3)
    assert (float(last), seen.numpy().tolist()) == (3, [0, 1, 2])


def test_loops_over_nothing_know_the_shapes_of_their_results():
    last, seen = control.scan(lambda c, x: (c + x, c * x), np.ones(2, "float32"), X[:0])
    assert last.numpy().tolist() == [1, 1]
    assert (seen.shape, seen.dtype) == ((0, 2), "float32")
    assert control.map(reduction.sum, X[:0]).shape == (0,)


def test_scan_and_map_are_differentiable_with_one_pass_over_the_input():
    with GradientTape(persistent=True) as tape:
        tape.watch(X)
        y = control.scan(lambda c, x: (c * x, c), X[0], X)[0]
        z = control.map(lambda x: x * x, X)
    np.testing.assert_allclose(tape.gradient(y, X), [[30, 96], [5, 24], [3, 16]])
    np.testing.assert_array_equal(tape.gradient(z, X), 2 * X.numpy())
    assert sum(node.op.name == "split" for node in tape._nodes) == 2


def test_map_takes_and_gives_nests():
    found = control.map(lambda x: {"sum": x["a"] + x["b"]}, {"a": X, "b": X})
    np.testing.assert_array_equal(found["sum"], 2 * X)
    np.testing.assert_array_equal(control.vectorized_map(lambda x: x[0] * x[1], (X, X)), X * X)


def test_loops_over_open_axes_are_one_node():
    x = SymbolicTensor((None, 2), FLOAT32)
    found = control.map(reduction.sum, x)
    carry, seen = control.scan(lambda c, row: (c + row["x"], c), np.zeros(2, "float32"), {"x": x})
    assert (found.shape, carry.shape, seen.shape) == ((None,), (2,), (None, 2))
    values = _replay([found, carry], [x], [X])
    assert [value.numpy().tolist() for value in values] == [[3, 7, 11], [9, 12]]


# ---- vectorize -----------------------------------------------------------------------------------


def test_vectorize_scalars_broadcasts():
    found = control.vectorize(lambda a, b: elementwise.where(a > b, a, b))(X, [2.0, 3.0])
    np.testing.assert_array_equal(found, np.maximum(X, [2, 3]))
    assert control.vectorize(lambda a: a + 1)(1.0) == 2


def test_vectorize_core_axes_excluded_and_none():
    dot = control.vectorize(lambda a, b: reduction.sum(a * b), signature="(n), (n) -> ()")
    np.testing.assert_array_equal(dot(X, [1.0, 10.0]), [21, 43, 65])
    scaled = control.vectorize(lambda x, how, extra: x * how["by"], excluded={1})
    np.testing.assert_array_equal(scaled(X, {"by": 2.0}, None), X * 2)
    named = control.vectorize(lambda x, by: x * by[0], excluded={"by"})
    np.testing.assert_array_equal(named(X, by=[2.0]), X * 2)
