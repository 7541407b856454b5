"""Tracing: graphs, their text, loops in them, what must not happen in a trace."""

import numpy as np
import pytest

from minikeras import ops, random, tf
from minikeras.compiler.tracing.interpret import Interpreter
from minikeras.compiler.tracing.listing import listed
from minikeras.compiler.tracing.trace import Graph, trace
from minikeras.core.context import overridden, record_source_lines, state
from minikeras.core.dispatch import Node
from minikeras.core.graph import Slot
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import EagerTensor, SymbolicTensor
from minikeras.core.variable import Variable
from minikeras.errors import NotAllowedInTraceError

X = tf.constant([1.0, 2.0])
SCALAR = tf.TensorSpec([], tf.float32)


def run(graph, *values):
    """Return the outputs of a graph for arguments; Variables give what they hold."""
    arrays = [np.asarray(value) for value in values]
    return Interpreter(graph)([*arrays, *(v.stored.array for v in graph.variables)])


# ---- graphs --------------------------------------------------------------------------------------


def test_a_graph_holds_arguments_then_variables_and_results_then_assignments():
    read, both, written = Variable(2.0, name="read"), Variable([1.0, 1.0]), Variable(0.0)

    def step(batch, factor):
        both.assign_add(batch["a"] * read)
        written.assign(tf.reduce_sum(batch["b"]))
        return [factor * both, None, 7]

    graph = trace(step, ({"b": X, "a": X}, 3.0), parameters=("batch", "factor"))
    assert isinstance(graph, Graph)
    names = ["batch['a']", "batch['b']", both.path, written.path, "read"]
    assert [x.name for x in graph.inputs] == names
    assert (graph.arguments, graph.results) == (2, 1)
    assert [v.key for v in graph.variables] == [both.key, written.key, read.key]
    assert [v.key for v in graph.assigned] == [both.key, written.key]
    assert graph.unread == {written.key}
    assert isinstance(graph.structure[0], Slot) and graph.structure[1:] == [None, 7]
    result, new, total = run(graph, [1.0, 2.0], [5.0, 6.0])
    assert (result.tolist(), new.tolist(), float(total)) == ([9, 15], [3, 5], 11)
    assert both.numpy().tolist() == [1, 1]


def test_only_live_nodes_stay_in_order():
    def function(x):
        _ = tf.exp(x)
        y = x * 2.0
        return tf.sqrt(y) + y

    assert [node.op.name for node in trace(function, (X,)).nodes] == ["multiply", "sqrt", "add"]


def test_constants_are_computed_at_once():
    graph = trace(lambda: tf.ones((2,)) * 3.0)
    assert not graph.nodes
    assert isinstance(graph.outputs[0], EagerTensor)


def test_a_variable_that_keeps_its_value_is_not_assigned():
    v = Variable(1.0)
    assert not trace(lambda: v.assign(v.value)).assigned


def test_assigned_values_get_the_dtype_of_their_variable():
    v = Variable(1, dtype="int32")
    graph = trace(v.assign, (X[0],))
    assert run(graph, 3.7)[1].dtype == "int32"


def test_assigning_a_constant():
    v = Variable(1.0)
    graph = trace(lambda: v.assign(tf.constant(5.0)) and None)
    assert [float(array) for array in run(graph)] == [5]


def test_two_variables_may_be_swapped():
    a, b = Variable(1.0), Variable(2.0)

    def swap():
        old = a.value
        a.assign(b.value)
        b.assign(old)

    assert [float(array) for array in run(trace(swap))] == [2, 1]


def test_sparse_gradients_become_dense():
    table = Variable(np.ones((3, 2), "float32"))

    def function(index):
        with GradientTape() as tape:
            y = ops.take(table, index, axis=0)
        return tape.gradient(y, table)

    (gradient,) = run(trace(function, (np.array([0, 2, 2]),)), np.array([0, 2, 2]))
    assert gradient.tolist() == [[1, 1], [0, 0], [2, 2]]


def test_gradients_do_not_flow_through_state():
    v = Variable(0.0)

    def function(x):
        with GradientTape() as tape:
            tape.watch(x)
            v.assign(x * 2.0)
            y = v * x
        return tape.gradient(y, x)

    assert float(run(trace(function, (SCALAR,)), 3.0)[0]) == 6


def test_draws_advance_the_generator():
    generator = random.SeedGenerator(5)
    graph = trace(lambda: random.uniform((2,), seed=generator))
    assert [v.key for v in graph.assigned] == [generator.state.key]
    drawn, after = run(graph)
    assert after.tolist() == [5, 1]
    assert np.array_equal(drawn, random.uniform((2,), seed=random.SeedGenerator(5)))


def test_source_lines_are_kept_when_asked_for():
    record_source_lines()
    try:
        graph = trace(tf.exp, (X,))
    finally:
        record_source_lines(False)
    assert "test_trace.py:" in graph.nodes[0].source
    assert f"# {graph.nodes[0].source}" in str(graph)


def test_text_of_a_graph():
    kernel = Variable(np.ones((2, 3), "float32"), name="kernel")

    def dense(x):
        kernel.assign_sub(0.5 * kernel)
        return {"y": ops.matmul(x, kernel), "n": 1}

    text = str(trace(dense, (tf.ones((4, 2)),), parameters=("x",)))
    assert text == (
        "dense(x: float32(4, 2))\n"
        "  kernel: float32(2, 3), a Variable\n"
        "  %2: float32(2, 3) = multiply(0.5, kernel)\n"
        "  %3: float32(2, 3) = subtract(kernel, %2)\n"
        "  %4: float32(2, 3) = stop_gradient(%3)\n"
        "  %5: float32(4, 3) = matmul(x, %4)\n"
        "  return {'y': %5, 'n': 1}\n"
        "  kernel <- %3"
    )
    assert "constant float32(2,)" in str(trace(lambda x: x + tf.ones((2,)), (X,)))
    assert "axis=(0,)" in str(trace(tf.reduce_sum, (X,)))
    assert repr(trace(lambda x: x, (X,))) == "<Graph <lambda>: 0 nodes>"
    assert "return (input_0, 2)" in listed(
        Graph("g", [x := SymbolicTensor((), np.dtype("float32"))], [x], structure=(Slot(0), 2))
    )


# ---- what must not happen in a trace -------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda x: 1 if x > 0 else 2, "using it as a condition of Python"),
        (lambda x: x.numpy(), r"numpy\(\)"),
        (float, r"float\(\)"),
        (int, r"int\(\)"),
        (np.asarray, "making it a NumPy array"),
        (np.sum, "making it a NumPy array"),
        (lambda x: [1, 2][x], "using it as a Python index"),
    ],
)
def test_asking_for_a_value_raises_an_error_that_teaches(function, what):
    with pytest.raises(TypeError, match=f"has no value yet.*{what} is not possible") as raised:
        trace(function, (SCALAR,))
    assert isinstance(raised.value, tf.errors.OperatorNotAllowedInGraphError)
    for hint in ("test_trace.py:", "ops.where, ops.cond or ops.while_loop", "run_eagerly=True"):
        assert hint in str(raised.value)
    assert state.trace is None and state.scope is None and not state.inline


def test_going_through_an_open_axis_is_refused():
    with pytest.raises(TypeError, match="going through an axis of unknown length"):
        list(SymbolicTensor((None, 3), np.dtype("float32")))


def test_tensors_of_another_trace_are_out_of_scope():
    kept = []

    def keeps(x):
        kept.append(x * 2.0)
        return x

    trace(keeps, (X,))
    with pytest.raises(NotAllowedInTraceError, match="out of scope and cannot be used here.*Retur"):
        trace(lambda x: x + kept[0], (X,))


def test_variables_are_made_with_numbers():
    made = []

    def function(x):
        made.append(Variable(lambda shape, dtype: ops.ones(shape, dtype) * 2, shape=(2,)))
        made.append(tf.Variable(lambda: tf.random.normal((2,))))
        return x * made[0]

    graph = trace(function, (X,))
    assert type(made[0].stored) is type(made[1].stored) is EagerTensor
    assert run(graph, [1.0, 2.0])[0].tolist() == [2, 4]
    with pytest.raises(ValueError, match=r"only supports singleton tf.Variables.*in a later call"):
        trace(function, (X,), creates=False)


def test_variables_that_nobody_keeps_are_refused():
    with pytest.raises(ValueError, match=r"singleton tf.Variables.*which nobody keeps"):
        trace(lambda x: Variable(1.0) * x, (X,))


def test_variables_cannot_begin_with_a_symbolic_value():
    with pytest.raises(ValueError, match="expected a first value that is known while the function"):
        trace(Variable, (X,))


# ---- loops ---------------------------------------------------------------------------------------


def ops_of(graph):
    return [node.op.name for node in graph.nodes]


def test_a_loop_on_symbolic_values_is_one_node():
    def collatz(n):
        return ops.while_loop(
            lambda n, steps: n > 1,
            lambda n, steps: (ops.where(n % 2 == 0, n // 2, 3 * n + 1), steps + 1),
            (n, 0),
        )[1]

    graph = trace(collatz, (np.int32(1),))
    assert ops_of(graph) == ["while_loop"]
    assert [int(run(graph, np.int32(n))[0]) for n in (1, 6, 27)] == [0, 8, 111]
    node = graph.nodes[0]
    assert isinstance(node, Node) and len(node.params["body"].outputs) == 2
    assert "body(%" in str(graph) and "    return" in str(graph)


def test_a_loop_carries_variables_and_takes_in_what_it_uses():
    total, rate = Variable(0.0), Variable(0.5)

    def function(x, limit):
        scaled = x * 2.0

        def body(i):
            total.assign_add(rate * scaled + total * 0.0)
            return [i + 1]

        ops.while_loop(lambda i: i < limit, body, [limit * 0])
        return total * 10.0

    graph = trace(function, (SCALAR, np.int32(3)))
    node = next(node for node in graph.nodes if node.op.name == "while_loop")
    assert len(node.outputs) == 2 and len(node.inputs) == 5  # i, total | rate, limit, scaled
    assert [v.key for v in graph.assigned] == [total.key]
    assert [float(array) for array in run(graph, np.float32(3), np.int32(4))] == [120, 12]
    inner = {x.key for x in node.params["body"].inputs}
    assert not inner & {x.key for x in graph.inputs}


def test_loops_may_be_nested():
    def function(n):
        def outer(i, total):
            return i + 1, ops.while_loop(
                lambda j, t: j < i, lambda j, t: (j + 1, t + n), (n * 0, total)
            )[1]

        return ops.while_loop(lambda i, t: i < n, outer, (n * 0, n * 0))[1]

    assert int(run(trace(function, (np.int32(1),)), np.int32(5))[0]) == 50


def test_maximum_iterations_stop_a_traced_loop():
    def function(n):
        return ops.while_loop(lambda i: i < n, lambda i: i + 1, n * 0, maximum_iterations=20)

    graph = trace(function, (np.int32(1),))
    assert ops_of(graph)[-1] == "while_loop"
    assert [int(run(graph, np.int32(n))[0]) for n in (7, 100)] == [7, 20]


@pytest.mark.parametrize("turns", [0, 1, 16, 17, 40])
def test_long_loops_of_known_length_are_one_node(turns):
    def function(x):
        return ops.fori_loop(0, turns, lambda i, y: y + x, x * 0.0)

    graph = trace(function, (SCALAR,))
    assert ("while_loop" in ops_of(graph)) == (turns > 16)
    assert float(run(graph, np.float32(2))[0]) == 2 * turns


def test_a_loop_whose_types_settle_after_a_turn():
    graph = trace(lambda x: ops.fori_loop(0, 30, lambda i, y: y + x, 0), (SCALAR,))
    assert "while_loop" in ops_of(graph)
    assert float(run(graph, np.float32(0.5))[0]) == 15


def test_python_counters_are_unrolled_while_short():
    def function(x, turns):
        return ops.while_loop(lambda i, y: i < turns, lambda i, y: (i + 1, y * x), (0, x))[1]

    assert ops_of(trace(function, (SCALAR, 3))) == ["multiply"] * 3
    graph = trace(function, (SCALAR, 20))
    assert ops_of(graph) == ["while_loop"]
    assert float(run(graph, np.float32(2))[0]) == 2.0**21


def test_a_growing_loop_is_unrolled_if_its_length_is_known():
    def function(x):
        return ops.while_loop(
            lambda i, y: i < 20, lambda i, y: (i + 1, ops.concatenate([y, x])), (0, x)
        )[1]

    assert run(trace(function, (X,)), [1.0, 2.0])[0].shape == (42,)


def test_loop_variables_keep_shape_and_dtype():
    message = r"expected loop variable 1\['a'\] to keep shape \(2,\) and dtype float32.*shape \(4,"
    with pytest.raises(ValueError, match=message):
        trace(
            lambda n, x: ops.while_loop(
                lambda i, s: i < n,
                lambda i, s: (i + 1, {"a": ops.concatenate([s["a"], x])}),
                (n * 0, {"a": x}),
            ),
            (np.int32(1), X),
        )
    with pytest.raises(ValueError, match="dtype float32 after one turn"):
        trace(lambda n: ops.while_loop(lambda i: i < n, lambda i: i + 0.5, n), (np.int32(1),))
    grow = lambda i, y: ops.cast(y, "float32" if y.dtype == "float64" else "float64")
    with pytest.raises(ValueError, match="dtype float(32|64) after one turn"):
        trace(lambda x: ops.fori_loop(0, 99, grow, x), (SCALAR,))


def test_conditions_of_loops_are_scalars_that_assign_nothing():
    v = Variable(1.0)
    with pytest.raises(ValueError, match=r"expected cond to return a scalar, got shape \(2,\)"):
        trace(lambda x: ops.while_loop(lambda x: x > 0, lambda x: x, x), (X,))
    with pytest.raises(ValueError, match="expected cond to assign no Variables"):
        trace(
            lambda n: ops.while_loop(
                lambda i: v.assign_add(1.0) is not None and i < n, lambda i: i + 1, n
            ),
            (np.int32(1),),
        )


def test_a_tape_in_the_trace_sees_every_turn_of_a_known_loop():
    def function(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = ops.fori_loop(0, 20, lambda i, y: y * x, x)
        return tape.gradient(y, x)

    assert float(run(trace(function, (SCALAR,)), np.float32(1.0))[0]) == 21


def test_no_gradient_through_a_loop_of_unknown_length():
    def function(x, n):
        with GradientTape() as tape:
            tape.watch(x)
            y = ops.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, y * x), (n * 0, x))[1]
        return tape.gradient(y, x)

    with pytest.raises(ValueError, match="expected no gradient through a traced loop whose number"):
        trace(function, (SCALAR, np.int32(1)))


def test_scan_map_cond_and_switch_in_a_trace():
    def function(x, i):
        carry, ys = ops.scan(lambda c, y: (c + y, c * y), x[0] * 0.0, x)
        doubled = ops.map(lambda y: y * 2.0, x)
        chosen = ops.cond(x[0] > 0, lambda: x[1], lambda: -x[1])
        switched = ops.switch(i, [lambda y: y, lambda y: y * 10.0], x[1])
        return carry, ys, doubled, chosen, switched

    graph = trace(function, (X, np.int32(0)))
    found = run(graph, np.float32([-1, 2]), np.int32(1))
    assert [array.tolist() for array in found] == [1, [0, -2], [-2, 4], -2, 20]


def test_assignments_in_branches():
    v = Variable(1.0)

    def function(x):
        ops.cond(x > 0, lambda: v.assign_add(x).value, lambda: v.assign(0.0).value)
        return v.value

    graph = trace(function, (SCALAR,))
    assert [float(run(graph, np.float32(x))[1]) for x in (2, -2)] == [3, 0]


def test_loops_in_numpy_with_warnings_off():
    graph = trace(
        lambda x, n: ops.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, y / 0.0), (n * 0, x)),
        (SCALAR, np.int32(1)),
    )
    assert run(graph, np.float32(1), np.int32(2))[1] == np.inf


def test_errors_at_run_time_speak_our_words():
    graph = trace(ops.cholesky, (np.eye(2, dtype="float32"),))
    with pytest.raises(ValueError, match="positive definite") as raised:
        run(graph, np.float32([[1, 2], [2, 1]]))
    assert raised.value.__notes__ == ["In cholesky, in a traced function."]


def test_results_are_never_views_of_arguments():
    graph = trace(lambda x: (ops.reshape(x, (4,)), ops.transpose(x)), (np.ones((2, 2), "float32"),))
    x = np.ones((2, 2), "float32")
    assert not any(np.shares_memory(x, y) for y in run(graph, x))


def test_traces_do_not_record_on_tapes_outside():
    with GradientTape() as tape:
        tape.watch(X)
        with overridden(training=True):
            trace(lambda x: x * 2.0, (X,))
    assert not tape._nodes and state.training is None
