"""`function`: what is traced again and what not, state, gradients, methods, signatures."""

import collections
import copy
import gc
import inspect
import logging
import sys
import threading
import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest

import minikeras as keras
from minikeras import layers, losses, ops, optimizers, tf
from minikeras.compiler.native import llvm
from minikeras.compiler.tracing import concrete, function, signature
from minikeras.compiler.tracing.interpret import Interpreter
from minikeras.core.context import VariableScope, overridden, state
from minikeras.core.tensor import EagerTensor, SymbolicTensor

X = tf.constant([1.0, 2.0])


class Pair(NamedTuple):
    a: Any
    b: Any


@pytest.fixture
def count():
    """Return a function that remembers how often it ran."""

    def ran(value=None):
        ran.times += 1
        return value

    ran.times = 0
    return ran


def traces(f):
    return f.experimental_get_tracing_count()


# ---- what is traced again ------------------------------------------------------------------------


def test_python_runs_at_tracing_only(count):
    @keras.function
    def f(x):
        count()
        return x * 2.0

    for _ in range(3):
        assert f(X).numpy().tolist() == [2, 4]
    assert count.times == traces(f) == 1
    assert tf.function is keras.function
    assert f.python_function(3.0) == 6


@pytest.mark.parametrize(
    ("first", "second", "again"),
    [
        (X, tf.constant([3.0, 4.0]), False),
        (X, np.float32([3, 4]), False),
        (X, tf.ones((3,)), True),
        (X, tf.ones((2, 1)), True),
        (X, np.ones(2), True),
        (1, 1, False),
        (1, 2, True),
        (1, 1.0, True),
        (1, True, True),
        (0.0, -0.0, True),
        (float("nan"), float("nan"), False),
        ("a", "b", True),
        (None, X, True),
        ([X, X], [X, X], False),
        ([X, X], (X, X), True),
        ([X, [X]], [[X], X], True),
        ({"a": X, "b": 1}, {"b": 1, "a": X}, False),
        ({"a": X}, {"b": X}, True),
        (Pair(X, 1), Pair(X, 1), False),
        (Pair(X, 1), Pair(X, 2), True),
        (np.float32(1), np.float32(2), False),
        (np.float32(1), tf.constant(2.0), False),
        (frozenset({1}), frozenset({1}), False),
        (collections.OrderedDict(a=X), {"a": X}, True),
    ],
)
def test_kinds_of_arguments(first, second, again):
    f = keras.function(lambda x: 1)
    f(first)
    f(second)
    f(first)
    assert traces(f) == 1 + again


def test_objects_count_by_identity_and_are_not_kept_alive():
    class Thing:
        pass

    f = keras.function(lambda x, y: y * 2.0)
    one, two = Thing(), Thing()
    for each in (one, two, one):
        f(each, X)
    assert traces(f) == 2
    gone = weakref.ref(one)
    del one, each
    gc.collect()
    assert gone() is None
    f(Thing(), X)
    assert len(f._cache) == 2
    unhashable, fixed = {1, 2}, Slotted()
    for each in (unhashable, unhashable, fixed, fixed):
        f(each, X)
    assert traces(f) == 5


class Slotted:
    __slots__ = ()


def test_variables_count_by_identity():
    f = keras.function(lambda v: v * 2.0)
    a, b = tf.Variable(1.0), tf.Variable(5.0)
    assert [float(f(v)) for v in (a, b, a)] == [2, 10, 2]
    a.assign(3.0)
    assert float(f(a)) == 6
    assert traces(f) == 2


def test_the_training_flag_is_part_of_the_key():
    f = keras.function(lambda x: x * (2.0 if state.training else 3.0))
    assert float(f(X)[0]) == 3
    with overridden(training=True):
        assert float(f(X)[0]) == 2
    assert float(f(X)[0]) == 3
    assert traces(f) == 2


def test_keywords_and_defaults_mean_the_same_call():
    @keras.function
    def f(x, scale=2.0, *, shift=0.0):
        return x * scale + shift

    calls = [f(X), f(x=X), f(X, 2.0), f(X, scale=2.0, shift=0.0), f(scale=2.0, x=X)]
    assert all(y.numpy().tolist() == [2, 4] for y in calls)
    assert traces(f) == 1
    assert f(X, shift=tf.constant(1.0)).numpy().tolist() == [3, 5]


def test_variable_numbers_of_arguments():
    f = keras.function(lambda *xs, **more: sum(xs) + more.get("z", 0.0))
    assert f(X, X).numpy().tolist() == [2, 4]
    assert f(X, z=X, y=1).numpy().tolist() == [2, 4]
    assert traces(f) == 2
    assert float(keras.function(max)(1.0, 2.0)) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: f(), "Binding inputs to tf.function failed due to `missing a required argument"),
        (lambda f: f(1, 2, 3, 4), "`too many positional arguments`. Received args: \\(1, 2, 3, 4"),
        (lambda f: f(1, k=1, z=2), "unexpected keyword argument 'z'"),
        (lambda f: f(1, x=2, k=1), "multiple values for argument 'x'"),
        (lambda f: f(1), "missing a required.* 'k'"),
    ],
)
def test_arguments_that_do_not_fit(call, message):
    with pytest.raises(TypeError, match=message):
        call(keras.function(lambda x, y=1, *, k: x))


def test_it_looks_like_the_function_it_was_made_of():
    @keras.function
    def named(x, y: int = 1):
        """Say something."""

    assert (named.__name__, named.__doc__) == ("named", "Say something.")
    assert str(inspect.signature(named)) == "(x, y: int = 1)"
    assert repr(named) == "<minikeras.function named(x, y: int = 1)>"
    assert copy.deepcopy(named).python_function is named.python_function


def test_options_of_tensorflow_are_taken():
    @tf.function(
        autograph=False, jit_compile=True, reduce_retracing=True, experimental_relax_shapes=True
    )
    def f(x):
        return x

    assert f(X).numpy().tolist() == [1, 2]


def test_a_warning_says_why_something_is_traced_often(caplog):
    @keras.function
    def f(x, n=1, t=None):
        return x

    with caplog.at_level(logging.WARNING, "minikeras"):
        for n in range(4):
            f(X, n)
        assert not caplog.records
        f(X, 4)
        f(tf.ones((3,)), 4)
        f(X, 5)
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("5 out of the last 5 calls to f triggered tf.function retracing.")
    assert first.endswith(
        "argument 'n' changed from Python value 3 to Python value 4. Pass a tensor instead."
    )
    assert "'x' changed from shape (2,) to shape (3,). Pad or batch to equal shapes." in second


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (X, np.ones(2), "'x' changed from dtype float32 to dtype float64. Cast to one dtype."),
        ([X], [X, X], r"'x\[1\]' was not there before"),
        ([X, X], [X], r"'x\[1\]' is missing now"),
        (tf.Variable(1.0), tf.Variable(1.0, name="w"), "from Variable Variable:0 to Variable w:0"),
        (9, X, "changed from Python value to dtype float32"),
        (Slotted(), Slotted(), "Python object Slotted at 0x.* Pass the same object again"),
    ],
)
def test_the_reason_for_retracing(first, second, message, caplog):
    f = keras.function(lambda x: 1)
    for value in (1, 2, 3, first, second):
        f(value)
    assert caplog.records
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(caplog.records[-1].getMessage())


def test_quick_calls_between_traces_count(caplog):
    f = keras.function(lambda x: x)
    for n in range(8):
        for _ in range(5):
            f(tf.ones((n,)))
    assert not caplog.records


# ---- results -------------------------------------------------------------------------------------


def test_results_keep_their_structure():
    v = tf.Variable(3.0)

    @keras.function
    def f(x):
        return {
            "pair": Pair(x, [x * 2.0, None]),
            "constants": (1, "s", np.float32([7]), tf.ones(())),
            "v": v,
            "empty": [],
        }

    found = f(X)
    assert isinstance(found["pair"], Pair) and found["pair"].b[1] is None
    assert found["pair"].b[0].numpy().tolist() == [2, 4]
    assert found["constants"][:2] == (1, "s") and found["empty"] == []
    assert [float(c) for c in found["constants"][2:]] == [7, 1]
    assert type(found["v"]) is EagerTensor and float(found["v"]) == 3


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: None, None),
        (lambda x: 5, 5),
        (lambda x: (), ()),
        (lambda x: (x, x), ([1, 2], [1, 2])),
        (lambda x: [x], [[1, 2]]),
    ],
)
def test_simple_results(f, expected):
    found = keras.function(f)(X)
    found = keras.tree.map_structure(lambda y: y.numpy().tolist() if y is not None else y, found) \
        if isinstance(found, (list, tuple)) else found  # fmt: skip
    assert found == expected


def test_results_do_not_change_with_the_arrays_passed_in():
    f = keras.function(lambda x: (x, ops.reshape(x, (2, 1)), x * 1.0))
    x = np.float32([1, 2])
    for _ in range(2):
        found = f(x)
        x += 1
        assert not any(np.shares_memory(x, y.array) for y in found)


def test_closures_over_eager_tensors_are_constants():
    box = {"c": tf.constant(2.0)}
    f = keras.function(lambda x: x * box["c"])
    f(X)
    box["c"] = tf.constant(10.0)
    assert f(X).numpy().tolist() == [2, 4]


# ---- state ---------------------------------------------------------------------------------------


def test_variables_are_read_and_assigned_at_every_call():
    v, w = tf.Variable(1.0), tf.Variable([0.0, 0.0])

    @keras.function
    def f(x):
        v.assign_add(1.0)
        w.assign(x * v)
        return v * 10.0

    assert [float(f(X)) for _ in range(3)] == [20, 30, 40]
    assert w.numpy().tolist() == [4, 8]
    v.assign(0.0)
    assert float(f(X)) == 10


def test_values_read_before_stay_as_they_were():
    v = tf.Variable([1.0, 1.0])
    step = keras.function(lambda: v.assign_add([1.0, 1.0]))
    seen = []
    for _ in range(4):
        seen += [v.value, step(), np.asarray(v)]
    values = [np.asarray(each).tolist()[0] for each in seen]
    assert values == [1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5]


class InPlace(Interpreter):
    """Write into whatever is donated, as native code does."""

    def __init__(self, graph, donated=()):
        super().__init__(graph)
        self.donated = donated

    def __call__(self, arrays):
        outputs = super().__call__(arrays)
        for number, output in self.donated:
            arrays[number][...] = outputs[output]
            outputs[output] = arrays[number]
        return outputs


@pytest.fixture
def in_place(monkeypatch):
    monkeypatch.setattr(concrete, "build", InPlace)


@pytest.mark.usefixtures("in_place")
class TestInPlace:
    test_variables = staticmethod(test_variables_are_read_and_assigned_at_every_call)
    test_values = staticmethod(test_values_read_before_stay_as_they_were)

    def test_the_array_of_a_variable_is_used_again(self):
        v = tf.Variable(np.ones(3, "float32"))
        step = keras.function(lambda x: [v.assign_add(x)][1:])
        step(tf.ones((3,)))
        stored = v.stored
        array = stored.array
        del stored
        address = array.ctypes.data
        del array
        for _ in range(3):
            step(tf.ones((3,)))
        assert v.stored.array.ctypes.data == address
        assert v.numpy().tolist() == [5, 5, 5]

    @pytest.mark.parametrize(
        "array",
        [
            np.broadcast_to(np.float32(1), (2, 2)),
            np.ones((2, 4), "float32")[:, ::2],
            np.asfortranarray(np.ones((2, 2), "float32")),
        ],
    )
    def test_arrays_that_are_not_ours_are_copied(self, array):
        v = tf.Variable(np.ones((2, 2), "float32"))
        v.stored = EagerTensor(array)
        before = array.copy()
        step = keras.function(lambda: v.assign_add(v))
        for _ in range(2):
            step()
        assert np.array_equal(array, before) and v.numpy().tolist() == [[4, 4], [4, 4]]

    def test_a_shared_value(self):
        shared = tf.constant([1.0, 2.0])
        v, w = tf.Variable(shared), tf.Variable(shared)
        step = keras.function(lambda: v.assign_add(w))
        step()
        assert (v.numpy().tolist(), w.numpy().tolist()) == ([2, 4], [1, 2])
        assert shared.numpy().tolist() == [1, 2]

    def test_swaps_and_old_values(self):
        a, b = tf.Variable([1.0]), tf.Variable([2.0])

        @keras.function
        def swap():
            old = a.value
            a.assign(b)
            b.assign(old)
            return old

        assert [float(swap()[0]) for _ in range(3)] == [1, 2, 1]
        assert (float(a[0]), float(b[0])) == (2, 1)

        @keras.function
        def moved():
            before = a.value
            a.assign_add([1.0])
            return before

        assert [float(y[0]) for y in [moved(), moved()]] == [2, 3]

    def test_tapes_and_scopes_keep_old_values(self):
        v = tf.Variable([2.0])
        step = keras.function(lambda x: x * v.assign_add([1.0]))
        square = keras.function(lambda: v * v)
        with tf.GradientTape() as tape:
            y = square()
            step(X)
        assert float(tape.gradient(y, v)[0]) == 4
        with VariableScope() as scope:
            step(X)
            assert float(v[0]) == 4
        assert float(v[0]) == 3 and float(scope.assigned[v.key][1][0]) == 4


def test_a_failure_leaves_every_variable_as_it_was(monkeypatch):
    monkeypatch.setattr(concrete, "build", Interpreter)
    v, w = tf.Variable(1.0), tf.Variable(np.eye(2, dtype="float32"))

    @keras.function
    def step(x):
        v.assign_add(1.0)
        w.assign(ops.cholesky(x))

    step(np.eye(2, dtype="float32"))
    with pytest.raises(ValueError, match="positive definite"):
        step(np.float32([[1, 2], [2, 1]]))
    assert float(v) == 2 and w.numpy().tolist() == [[1, 0], [0, 1]]

    def interrupted(self, arrays):
        raise KeyboardInterrupt

    monkeypatch.setattr(Interpreter, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        step(np.eye(2, dtype="float32"))
    assert float(v) == 2


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("op", [ops.transpose, lambda x: ops.sort(x, axis=0)])
def test_an_interrupt_anywhere_in_a_call_leaves_it_undone_or_done(op, size):
    """Raise before the n-th instruction, for every n, as a signal handler may."""
    start = np.zeros((size, size), "float32")
    variables = [tf.Variable(start) for _ in range(2)]

    @keras.function
    def step(x):
        variables[0].assign_add(x)
        variables[1].assign(op(variables[1]) + x)  # not in its own place
        return ops.sum(variables[0])

    def interrupted(x, at):
        count = 0

        def trace(frame, event, _):
            nonlocal count
            if "minikeras" not in frame.f_code.co_filename:
                return None
            frame.f_trace_opcodes = True
            count += event == "opcode"
            if count == at:
                raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            step(x)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return False

    given = [tf.ones((size, size)), tf.ones((size, size))]  # each but for its turn lies elsewhere
    step(given[0])
    begin, at, done = 1, 1, set()
    while interrupted(given[at % 2], at):
        now = float(variables[0].numpy()[0, 0])
        for variable in variables:
            np.testing.assert_array_equal(variable, start + now)
        done.add(now - begin)
        step(given[at % 2])
        begin, at = now + 1, at + 3
    assert done == {0, 1} and at > 300


def test_a_failing_trace_changes_nothing_and_may_be_tried_again():
    v = tf.Variable(1.0)
    made = []

    @keras.function
    def step(x, fail):
        if not made:
            made.append(tf.Variable(2.0))
        v.assign_add(made[0])
        if fail:
            raise RuntimeError("no")
        return v

    with pytest.raises(RuntimeError, match="no") as raised:
        step(X, True)
    assert raised.value.__notes__ == ["While 'step' was traced, see minikeras.function."]
    assert float(v) == 1 and state.scope is None
    assert float(step(X, False)) == 3


def test_variables_are_made_in_the_first_call_only():
    class Lazy:
        v = None

        def __init__(self):
            self.more = []

        @keras.function
        def __call__(self, x):
            if self.v is None:
                self.v = tf.Variable(5.0)
            if x.shape == (3,):
                self.more.append(tf.Variable(1.0))
            self.v.assign_add(1.0)
            return self.v * x

    lazy = Lazy()
    assert [float(lazy(X)[0]) for _ in range(2)] == [6, 7]
    with pytest.raises(ValueError, match="tf.function only supports singleton tf.Variables"):
        lazy(tf.ones((3,)))
    with pytest.raises(ValueError, match="tf.function only supports singleton tf.Variables"):
        keras.function(lambda x: tf.Variable(1.0) * x)(X)


def test_layers_optimizers_and_metrics_may_be_made_in_the_first_call():
    model = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(1)])
    optimizer = optimizers.Adam(0.05)
    metric = keras.metrics.MeanSquaredError()

    @keras.function
    def step(x, y):
        with tf.GradientTape() as tape:
            predicted = model(x, training=True)
            loss = losses.mean_squared_error(y, predicted)[0]
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        metric.update_state(y, predicted)
        return loss

    x, y = tf.ones((3, 2)), tf.ones((3, 1)) * 2.0
    found = [float(step(x, y)) for _ in range(30)]
    assert found[-1] < found[0] / 10
    assert int(optimizer.iterations) == 30 and traces(step) == 1
    assert float(metric.result()) > 0


def test_global_random_numbers_differ_from_call_to_call():
    draw = keras.function(lambda x: x * 0.0 + tf.random.normal((2,)))
    keras.utils.set_random_seed(3)
    found = [draw(X).numpy() for _ in range(3)]
    assert not np.array_equal(found[0], found[1])
    keras.utils.set_random_seed(3)
    eager = [tf.random.normal((2,)).numpy() for _ in range(3)]
    assert np.array_equal(found, eager)


def test_assignments_under_a_scope_stay_there():
    v = tf.Variable(1.0)
    step = keras.function(lambda: v.assign_add(1.0))
    with VariableScope() as scope:
        assert [float(step()) for _ in range(2)] == [2, 3]
    assert float(v) == 1 and float(scope.assigned[v.key][1]) == 3


def _train(compiled):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.3),
            layers.BatchNormalization(),
            layers.Dense(10),
        ]
    )
    optimizer = optimizers.Adam(1e-2, clipnorm=1.0, use_ema=True, ema_overwrite_frequency=3)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(20, 8)).astype("float32"))
    y = tf.constant(rng.integers(0, 10, 20))
    step = keras.function(model.train_step) if compiled else model.train_step
    for _ in range(7):
        step((x, y))
    counters = [v for metric in model.metrics for v in metric.variables]
    return [v.numpy() for v in (*model.variables, *optimizer.variables, *counters)]


def test_a_traced_training_equals_an_eager_one_to_the_bit(monkeypatch):
    native, by_itself = _train(True), _train(False)
    monkeypatch.setattr(concrete, "build", Interpreter)
    traced = _train(True)
    tf.config.run_functions_eagerly(True)
    try:
        written = _train(False)
    finally:
        tf.config.run_functions_eagerly(False)
    for a, b, c in zip(native, by_itself, written, strict=True):
        np.testing.assert_allclose(a, c, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(b, c, rtol=1e-3, atol=1e-6)
    for a, b in zip(traced, written, strict=True):
        np.testing.assert_array_equal(a, b)


def test_layers_and_models_are_functions_too():
    model = keras.Sequential([layers.Dense(2, kernel_initializer="ones")])
    f = keras.function(model)
    for _ in range(2):
        assert f(tf.ones((1, 3))).numpy().tolist() == [[3, 3]]
    assert traces(f) == 1 and len(model.weights) == 2
    assert len(copy.deepcopy(f).python_function.weights) == 2
    assert tf.executing_eagerly()
    assert not keras.function(tf.executing_eagerly)()


# ---- calls inside calls --------------------------------------------------------------------------


def test_nested_functions_become_part_of_the_outer_trace(count):
    v = tf.Variable(0.0)

    @keras.function
    def inner(x, n):
        count()
        v.assign_add(1.0)
        return x if n == 0 else inner(x, n - 1) * 2.0

    outer = keras.function(lambda x: inner(x, 3) + 1.0)
    assert [outer(X).numpy().tolist() for _ in range(2)] == [[9, 17]] * 2
    assert (count.times, traces(inner), float(v)) == (4, 0, 8)


def test_functions_run_in_shape_inference_and_functional_models():
    class Double(layers.Layer):
        def __init__(self):
            super().__init__()
            self.v = self.add_weight(initializer="ones")

        @keras.function
        def call(self, x, training=False):
            return self.scaled() * x * (2.0 if training else 3.0)

        @keras.function
        def scaled(self):
            return self.v * 1.0

    inputs = keras.Input((2,))
    model = keras.Model(inputs, Double()(inputs))
    assert model.output_shape == (None, 2)
    x = np.ones((3, 2), "float32")
    assert model(x).numpy().tolist() == [[3, 3]] * 3
    assert model(x, training=True).numpy().tolist() == [[2, 2]] * 3


def test_functions_may_run_eagerly(count):
    f = keras.function(lambda x: count(float(x[0])))
    tf.config.run_functions_eagerly(True)
    try:
        assert tf.config.functions_run_eagerly()
        assert [f(X), f(X)] == [1, 1]
    finally:
        tf.config.run_functions_eagerly(False)
    assert count.times == 2
    with pytest.raises(TypeError, match=r"float\(\) is not possible"):
        f(X)


# ---- gradients -----------------------------------------------------------------------------------


def _derivatives(f, x, v):
    """Return a value and first and second derivatives of a scalar function by x and v."""
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        first = tape.gradient(y, [x, v])
        total = tf.reduce_sum(first[0] * tf.constant([1.0, -2.0])) + first[1]
    second = outer.gradient(total, [x, v])
    return [np.asarray(each) for each in (y, *first, *second)]


def _body(v):
    return lambda x: tf.reduce_sum(tf.exp(x * v) * x[0]) * v


def _custom(v):
    @tf.custom_gradient
    def cube(x):
        e = x * x
        return e * x, lambda g: g * 3.0 * e * 1.5

    return lambda x: tf.reduce_sum(cube(x) * v) * v


@pytest.mark.parametrize("make", [_body, _custom])
def test_gradients_flow_through_a_function_to_second_order(make):
    v = tf.Variable(0.5)
    eager = _derivatives(make(v), X, v)
    traced = _derivatives(keras.function(make(v)), X, v)
    for a, b in zip(eager, traced, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_loops_of_known_length_are_differentiated_from_outside():
    v = tf.Variable(1.1)
    f = lambda x: tf.reduce_sum(ops.fori_loop(0, 20, lambda i, y: y * v, x) ** 2)
    for a, b in zip(_derivatives(f, X, v), _derivatives(keras.function(f), X, v), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)


def test_loops_of_unknown_length_are_not():
    f = keras.function(lambda x, n: ops.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, y * x),
                                                   (n * 0, x))[1])  # fmt: skip
    with tf.GradientTape() as tape:
        tape.watch(X)
        y = f(X, np.int32(3))
    assert y.numpy().tolist() == [1, 16]
    with pytest.raises(ValueError, match="expected no gradient through a traced loop"):
        tape.gradient(y, X)


def test_what_has_no_gradient_gives_none():
    v, unused = tf.Variable(2.0), tf.Variable(1.0)
    index = tf.constant([1, 0])

    @keras.function
    def f(x, index):
        unused.assign_add(1.0)
        return ops.take(x, index) * v, index + 1

    with tf.GradientTape() as tape:
        tape.watch(X)
        y, after = f(X, index)
    gradients = tape.gradient([y, after], [X, v, unused, index])
    assert gradients[2:] == [None, None]
    assert [g.numpy().tolist() for g in gradients[:2]] == [[2, 2], 3]


def test_tapes_see_the_variables_that_were_read():
    v, frozen = tf.Variable(2.0), tf.Variable(3.0, trainable=False)
    written = tf.Variable(0.0)

    @keras.function
    def f(x):
        written.assign(x[0])
        return x * v * frozen

    for _ in range(2):
        with tf.GradientTape() as tape:
            y = f(X)
        assert [w.key for w in tape.watched_variables()] == [v.key]
        assert float(tape.gradient(y, v)) == 9
    with tf.GradientTape(persistent=True) as tape:
        y = f(X) * f(X)
    assert float(tape.gradient(y, v)) == 2 * 2 * 9 * (1 + 4)
    assert tape.gradient(f(X), v) is None


def _assigns_twice(v, x, _):
    y = v * v * x
    v.assign(x * 3.0)
    z = v * v * x
    v.assign_add(1.0)
    return y + z * v


def _assigns_first(v, x, _):
    v.assign(x * 3.0)
    return v * x


def _assigns_in_a_branch(v, x, positive):
    return tf.cond(positive, lambda: _assigns_first(v, x, None), lambda: x)


def _assigns_in_a_loop(v, x, _):
    body = lambda i, y: (i + 1, y + _assigns_first(v, x, None))
    return tf.while_loop(lambda i, y: i < 2, body, (0, tf.constant(0.0)))[1]


@pytest.mark.parametrize("custom", [False, True])
@pytest.mark.parametrize(
    "body", [_assigns_twice, _assigns_first, _assigns_in_a_branch, _assigns_in_a_loop]
)
def test_state_carries_no_gradients_and_is_read_anew(body, custom):
    identity = tf.custom_gradient(lambda x: (x * 1.0, lambda g: g)) if custom else tf.identity

    def gradients(f, inside=lambda f: f):
        v, x = tf.Variable(2.0), tf.constant(3.0)
        f = f(lambda x, positive: identity(body(v, x, positive)))

        def both(x, positive):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = f(x, positive)
            return tape.gradient(y, [x, v])

        return [float(g) for g in inside(both)(x, tf.constant(True))]

    expected = gradients(lambda f: f)
    assert gradients(keras.function) == expected
    assert gradients(lambda f: f, inside=keras.function) == expected


def test_jacobians_and_forward_tangents_pass_through():
    f = keras.function(lambda x: x * x * x)
    with tf.GradientTape() as tape:
        tape.watch(X)
        y = f(X)
    assert tape.jacobian(y, X).numpy().tolist() == [[3, 0], [0, 12]]
    with tf.autodiff.ForwardAccumulator(X, tf.constant([1.0, 10.0])) as accumulator:
        y = f(X)
    assert accumulator.jvp(y).numpy().tolist() == [3, 120]


def test_gradients_are_traced_once(count):
    v = tf.Variable(1.0)

    @keras.function
    def f(x):
        count()
        return tf.reduce_sum(x * x * v)

    for _ in range(3):
        with tf.GradientTape() as tape:
            y = f(X)
        assert float(tape.gradient(y, v)) == 5
    (only,) = f._cache.values()
    assert count.times == 1 and traces(only._op.rules[0]._function) == 1


def test_an_eager_tape_loop_over_a_compiled_model():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3), layers.Dropout(0.5)])
    forward = keras.function(lambda x: model(x, training=True))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(forward(tf.ones((4, 2))))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(g is not None for g in gradients)


# ---- methods -------------------------------------------------------------------------------------


class Counter:
    def __init__(self, start):
        self.v = tf.Variable(start)

    @keras.function
    def step(self, x, factor=1.0):
        """Count."""
        self.v.assign_add(x * factor)
        return self.v * 1.0

    @staticmethod
    @keras.function
    def double(x):
        return x * 2.0

    @classmethod
    @keras.function
    def named(cls, x):
        return x, cls.__name__


def test_methods_have_traces_for_each_object():
    a, b = Counter(1.0), Counter(10.0)
    assert [float(a.step(tf.constant(1.0))) for _ in range(2)] == [2, 3]
    assert float(b.step(tf.constant(1.0), factor=2.0)) == 12
    assert (traces(a.step), traces(b.step), traces(Counter.step)) == (1, 1, 0)
    assert a.step is a.step and a.step.__doc__ == "Count."
    assert str(inspect.signature(a.step)) == "(x, factor=1.0)"
    assert float(Counter.double(tf.constant(3.0))) == 6
    assert Counter.named(X)[1] == "Counter"
    assert float(a.step.python_function(1.0)) == 4
    assert copy.copy(a.step) is a.step


def test_objects_with_function_methods_are_freed_at_once():
    counter = Counter(1.0)
    counter.step(tf.constant(1.0))
    with tf.GradientTape() as tape:
        y = counter.step(tf.constant(1.0))
    tape.gradient(y, counter.v)
    gone, variable = weakref.ref(counter), weakref.ref(counter.v)
    step = counter.step
    gc.disable()
    try:
        del counter, tape
        assert gone() is None
        with pytest.raises(ReferenceError, match="step: its object is gone"):
            step(X)
        del step
    finally:
        gc.enable()
    gc.collect()
    assert variable() is None
    assert not Counter.__dict__["step"]._bound


# ---- threads and memory --------------------------------------------------------------------------


def test_threads_may_share_a_function():
    v = tf.Variable(0.0)
    shapes = [(), (1,), (2,), (3,)]

    @keras.function
    def step(x):
        v.assign_add(1.0)
        return x + tf.reduce_sum(x)

    results, errors = [], []

    def work(shape):
        try:
            results.extend(step(tf.ones(shape)).shape == shape for _ in range(200))
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(shape,)) for shape in shapes * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and all(results) and len(results) == 1600
    assert float(v) == 1600 and traces(step) == 4


def test_functions_with_several_locks():
    a, b = tf.Variable(0.0), tf.Variable(0.0)
    keep = [keras.function(lambda v=v: v.assign_add(1.0)) for v in (a, b)]
    both = keras.function(lambda: (a.assign_add(1.0), b.assign_add(1.0)))
    for f in (*keep, both):
        f()
    assert (float(a), float(b)) == (2, 2)
    assert isinstance(next(iter(both._cache.values()))._lock, concrete._Several)


def test_many_calls_leave_nothing_behind():
    v = tf.Variable(tf.ones((3,)))
    step = keras.function(v.assign_add)

    def calls(count):
        for _ in range(count):
            step(tf.ones((3,)))
            with tf.GradientTape() as tape:
                y = step(X[0] * tf.ones((3,)))
            tape.gradient(y, v)

    calls(10)
    gc.collect()
    before = len(gc.get_objects())
    calls(1000)
    gc.collect()
    assert len(gc.get_objects()) < before + 50


# ---- signatures ----------------------------------------------------------------------------------


def test_input_signatures_convert_and_check(count):
    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32), tf.TensorSpec([])])
    def f(x, y):
        count()
        return x * y

    assert f(np.ones((1, 2)), 3).numpy().tolist() == [[3, 3]]
    assert f([[1, 2]], y=tf.constant(1.0)).numpy().tolist() == [[1, 2]]
    assert count.times == 1
    assert f(tf.ones((4, 2)), 3).shape == (4, 2)
    assert f.input_signature[0].shape == (None, 2)
    message = (
        r"Binding inputs to tf.function failed due to `Can not cast TensorSpec\(shape=\(3,\).*to "
        r"TensorSpec\(shape=\(None, 2\).*Received args: .* for signature: \(x: TensorSpec"
    )
    with pytest.raises(TypeError, match=message):
        f(tf.ones((3,)), 1)
    for bad in [(tf.ones((1, 2), "int32"), 1), (X,), (1, 2, 3), ("a", 1)]:
        with pytest.raises(TypeError, match="Binding inputs to tf.function failed"):
            f(*bad)


def test_nested_input_signatures():
    spec = tf.TensorSpec([], tf.float32)
    f = keras.function(lambda d, n=2.0: d["a"] * d["b"][0] * n, input_signature=[
        {"a": spec, "b": (spec,)}])  # fmt: skip
    assert float(f({"a": 2, "b": [3]})) == 12
    for bad in ({"a": 2}, {"a": 2, "b": [3, 4]}):
        with pytest.raises(TypeError, match="Can not cast"):
            f(bad)


def test_input_signatures_that_make_no_sense():
    with pytest.raises(TypeError, match="input_signature must be .* TensorSpec objects, got 3"):
        keras.function(lambda x: x, input_signature=[3])
    with pytest.raises(ValueError, match="expected an input_signature of 1 entries at most"):
        keras.function(lambda x: x, input_signature=[tf.TensorSpec([]), tf.TensorSpec([])])


def test_concrete_functions():
    f = keras.function(lambda x, scale=2.0, flip=False: {"y": -x * scale if flip else x * scale})
    concrete_function = f.get_concrete_function(tf.TensorSpec([None, 3], tf.float32), 5.0)
    assert [tuple(x.shape) for x in concrete_function.inputs] == [(None, 3)]
    assert [tuple(y.shape) for y in concrete_function.outputs] == [(None, 3)]
    assert list(concrete_function.structured_outputs) == ["y"]
    args, kwargs = concrete_function.structured_input_signature
    assert args == (tf.TensorSpec([None, 3], tf.float32), 5.0, False) and kwargs == {}
    assert args[0].name == "x"
    assert concrete_function(tf.ones((2, 3)))["y"].numpy().tolist() == [[5] * 3] * 2
    assert concrete_function(x=tf.ones((1, 3)))["y"].shape == (1, 3)
    assert "ConcreteFunction" in repr(concrete_function)
    with pytest.raises(TypeError, match=r"Can not cast TensorSpec\(shape=\(2, 4\)"):
        concrete_function(tf.ones((2, 4)))
    for call in (
        concrete_function,
        lambda: concrete_function(tf.ones((1, 3)), 6.0),
        lambda: concrete_function(z=X),
        lambda: concrete_function(tf.ones((1, 3)), 5.0, False, 1),
    ):
        with pytest.raises(TypeError, match="expected arguments as in .* Leave out what is no"):
            call()
    assert concrete_function(tf.ones((1, 3)), 5.0, False)["y"].shape == (1, 3)
    assert traces(f) == 2  # for (2, 3) and (1, 3); open axes only show what comes out
    with pytest.raises(ValueError, match="expected TensorSpecs of known rank"):
        f.get_concrete_function(tf.TensorSpec(None))


def test_concrete_functions_of_signatures_and_keywords():
    f = keras.function(lambda x, *, y: x + y)
    found = f.get_concrete_function(X, y=tf.TensorSpec([2]))
    assert found(X, y=X).numpy().tolist() == found(y=X, x=X).numpy().tolist() == [2, 4]
    h = keras.function(lambda n, pair, z: pair[0] * n + z)
    made = h.get_concrete_function(2.0, [X, 1], tf.TensorSpec([]))
    assert made([X, 1], tf.constant(1.0)).numpy().tolist() == [3, 5]
    assert made([X, 1], z=tf.constant(1.0)).numpy().tolist() == [3, 5]
    assert made(z=tf.constant(1.0), pair=[X, 1]).numpy().tolist() == [3, 5]
    g = keras.function(lambda x: x + 1.0, input_signature=[tf.TensorSpec([2])])
    assert g.get_concrete_function()(X).numpy().tolist() == [2, 3]
    assert traces(g) == 1


def test_graphs_and_plans_as_text():
    f = keras.function(lambda x: x * 2.0)
    assert "multiply(x, 2.0)" in f.graph(X)
    f(tf.ones((3,)))
    assert f.graph().count("multiply") == 2
    assert f.graph(tf.TensorSpec([2])).count("multiply") == 1
    assert "<lambda>(x: float32(3,))" in f.pretty_printed_concrete_signatures()
    assert "<lambda>" in f.explain(X)
    assert traces(f) == 2
    with pytest.raises(ValueError, match="expected known lengths to trace for, got TensorSpec"):
        f.graph(tf.TensorSpec([None]))


@pytest.mark.skipif(not llvm.available(), reason="NumPy runs graphs as they are")
def test_graphs_are_shown_simplified_if_anything_changed():
    text = keras.function(lambda x: x**2).graph(X)
    assert text.index("power") < text.index("simplified:") < text.index("square")
    assert "simplified" not in keras.function(lambda x: x * 3.0).graph(X)


def test_pieces():
    assert signature.fits(None, (1, 2)) and not signature.fits((1,), None)
    assert repr(SymbolicTensor((), np.dtype("float32"))).startswith("<KerasTensor")
    with pytest.raises(AssertionError, match="only ever differentiated"):
        concrete._unused()
    assert function.functions_run_eagerly() is False
