"""`function`: results, calls inside calls, gradients, methods."""

import copy
import gc
import inspect
import weakref

import numpy as np
import pytest

import minikeras as keras
from minikeras import layers, ops, tf
from minikeras.core.tensor import EagerTensor
from tests.traced import Pair, X, traces

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


def test_rewriting_in_loops_does_not_look_at_how_things_outside_were_made():
    def f(x):
        y = ops.repeat(x, 3)
        return ops.while_loop(
            lambda i, _: i < ops.sum(y), lambda i, z: (i + 1, ops.sin(z)), (0.0, y)
        )[1]

    np.testing.assert_allclose(keras.function(f)(X), f(X), rtol=1e-6)


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


@pytest.mark.parametrize("number", [0.0, 0.5, 1.0, 2.0])
def test_a_branch_not_taken_gives_no_gradient(number):
    v = tf.Variable(number - 1.0)

    def f(x):
        small = lambda: tf.cond(tf.equal(x, 0.0), lambda: x * 3.0, lambda: tf.sin(x) / x)
        return tf.cond(x <= 1.0, small, lambda: tf.math.log(x - 1.0) / v)

    def derivatives(f, x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = f(x)
            first = tape.gradient(y, [x, v], unconnected_gradients="zero")
        return [*first, outer.gradient(first, x, unconnected_gradients="zero")]

    x = tf.constant(number)
    expected = [float(g) for g in derivatives(f, x)]
    for found in (derivatives(keras.function(f), x), keras.function(derivatives)(f, x)):
        np.testing.assert_allclose([float(g) for g in found], expected, rtol=1e-6)


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


def test_numbers_returned_are_tensors():
    f = keras.function(lambda x: {"a": 5, "b": (0.5, True), "c": None, "d": x, "e": "text"})
    for _ in range(2):
        found = f(X)
        assert (found["a"].dtype, found["b"][0].dtype, found["b"][1].dtype) == (
            "int32", "float32", "bool",
        )  # fmt: skip
        assert (int(found["a"]), float(found["b"][0]), bool(found["b"][1])) == (5, 0.5, True)
        assert found["c"] is None and found["e"] == "text"
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, two = keras.function(lambda x: (x * x, 2))(x)
    assert float(tape.gradient(y, x)) == 6.0 and int(two) == 2


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
        with pytest.raises(ReferenceError, match="step: its object is gone. Give"):
            step(X)
        del step
    finally:
        gc.enable()
    gc.collect()
    assert variable() is None
    assert not Counter.__dict__["step"]._bound
