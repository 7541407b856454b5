"""TensorFlow's names give TensorFlow's numbers, shapes and dtypes."""

import gzip
import importlib.machinery
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from minikeras import tf
from minikeras.errors import NotAllowedInTraceError
from tests.golden import tf_face

INSTALLED = importlib.machinery.PathFinder.find_spec("tensorflow")
EXPECTED = json.loads(gzip.decompress(tf_face.FILE.read_bytes()))


def test_every_expression_has_an_answer():
    assert list(EXPECTED) == tf_face.EXPRESSIONS


@pytest.mark.parametrize("expression", EXPECTED)
def test_same_as_tensorflow(expression):
    same(tf_face.evaluate(tf, expression), EXPECTED[expression])


def same(got, expected):
    if isinstance(expected, list):
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            same(a, b)
    elif isinstance(expected, dict):
        assert (got["dtype"], got["shape"]) == (expected["dtype"], expected["shape"])
        np.testing.assert_allclose(got["value"], expected["value"], rtol=1e-6, atol=1e-6)
    elif isinstance(expected, float):
        assert math.isclose(got, expected, rel_tol=1e-6)
    else:
        assert got == expected


@pytest.mark.parametrize(("expression", "error"), tf_face.RAISES.items())
def test_raises_like_tensorflow(expression, error):
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)) as raised:
        tf_face.evaluate(tf, expression)
    assert error in {cls.__name__ for cls in type(raised.value).__mro__}


def test_modules_collect_their_variables():
    class Linear(tf.Module):
        def __init__(self):
            super().__init__(name="linear")
            self.w = tf.Variable([1.0], name="w")
            self.parts = [tf.Module(), {"b": tf.Variable(2.0, trainable=False)}]

    module = Linear()
    assert module.name == "linear"
    assert [float(v) for v in module.variables] == [2.0, 1.0]  # by attribute name
    assert [float(v) for v in module.trainable_variables] == [1.0]
    assert len(module.submodules) == 1


def test_matrices_are_the_last_two_axes():
    x = tf.reshape(tf.range(12.0), (2, 3, 2))
    s, u, v = tf.linalg.svd(x)
    assert [tuple(y.shape) for y in (s, u, v)] == [(2, 2), (2, 3, 2), (2, 2, 2)]
    again = u @ tf.linalg.diag(s) @ tf.transpose(v, (0, 2, 1))
    np.testing.assert_allclose(again, x, atol=1e-5)
    np.testing.assert_allclose(tf.linalg.svd(x, compute_uv=False), s, rtol=1e-5)
    assert tf.linalg.trace(x).numpy().tolist() == [3, 15]
    assert tf.linalg.diag_part(x).numpy().tolist() == [[0, 3], [6, 9]]
    assert tf.linalg.diag([[1, 2]]).numpy().tolist() == [[[1, 0], [0, 2]]]


def test_unique_keeps_the_order():
    found = tf.unique(tf.constant([3, 1, 3, 2]))
    assert found.y.numpy().tolist() == [3, 1, 2]
    assert found.idx.numpy().tolist() == [0, 1, 0, 2] and found.idx.dtype == "int32"


def test_loops_take_the_options_of_tensorflow():
    body = lambda i, x: (i + 1, x * 2)
    loop = tf.while_loop(
        cond=lambda i, _: i < 3, body=body, loop_vars=(0, 1.0), parallel_iterations=1, name="loop"
    )
    assert [float(x) for x in loop] == [3, 8]
    x = tf.constant([1.0, 2.0])
    y = tf.map_fn(lambda pair: pair[0] * pair[1], (x, x), fn_output_signature=tf.float32)
    assert y.numpy().tolist() == [1, 4]


def test_loops_inside_of_traced_loops_rewrite_nothing_outside():
    @tf.function
    def search(w, turns):
        def body(i, w):
            p = -tf.squeeze(w[:, None] * 2.0, 1)
            (a,) = tf.while_loop(
                lambda a: tf.reduce_sum(-(a * p)) > 10.0, lambda a: (a * 0.5,), (tf.constant(1.0),)
            )
            return i + 1, w + a

        return tf.while_loop(lambda i, w: i < turns, body, (tf.constant(0), w))[1]

    found = search(tf.constant([1.0, 2.0]), tf.constant(20))
    assert found.numpy().tolist() == [8.5, 9.5]


def test_function_runs_what_it_decorates():
    @tf.function
    def double(x):
        return x * 2.0

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def square(x):
        return x * x

    assert float(double(tf.constant(2.0))) == float(square(tf.constant(2.0))) == 4.0
    assert double.python_function(3.0) == 6.0


def test_variables_check_their_first_value():
    assert tf.Variable(lambda: tf.ones((2,))).shape == (2,)
    assert tf.Variable(np.arange(3.0)).dtype == tf.float64
    with pytest.raises(ValueError, match="expected an initial_value, got None"):
        tf.Variable()
    with pytest.raises(ValueError, match=r"expected an initial value of shape \(3,\)"):
        tf.Variable([1.0, 2.0], shape=[3])


def test_print_writes_bare_numbers(capsys):
    tf.print("loss", tf.constant([1.0, 2.0]), 3)
    assert capsys.readouterr().err == "loss [1. 2.] 3\n"


def test_print_in_a_function_prints_after_each_run(capsys):
    total = tf.Variable(0.0)

    @tf.function
    def step(x):
        tf.print("begin", total)
        total.assign_add(tf.reduce_sum(x))
        tf.print("x is", x, "sum", total, sep="|")
        return {"twice": x * 2, "sum": total + 0.0}

    for x in (1.0, 2.0):
        found = step(tf.constant([x, x]))
        assert found["twice"].numpy().tolist() == [2 * x] * 2
    with tf.GradientTape() as tape:
        x = tf.constant([1.0])
        tape.watch(x)
        twice = step(x)["twice"]
    assert tape.gradient(twice, x).numpy() == [2.0]
    lines = capsys.readouterr().err.splitlines()
    assert lines[:4] == ["begin 0.0", "x is|[1. 1.]|sum|2.0", "begin 2.0", "x is|[2. 2.]|sum|6.0"]
    assert lines[4:] == ["begin 6.0", "x is|[1.]|sum|7.0"]


def test_print_in_a_layer_prints_when_there_are_numbers(capsys):
    class Looks(tf.keras.layers.Layer):
        def call(self, inputs):
            tf.print("mean", tf.reduce_mean(inputs))
            return inputs * 1.0

    inputs = tf.keras.Input((2,))
    model = tf.keras.Model(inputs, Looks()(inputs))
    assert capsys.readouterr().err == ""
    for _ in range(4):
        model(tf.ones((1, 2)))
    model.predict(np.zeros((1, 2), "float32"), verbose=0)
    assert capsys.readouterr().err == "mean 1.0\n" * 4 + "mean 0.0\n"


def _in_a_loop(act, n):
    return tf.while_loop(lambda i: i < n, lambda i: (act(i), i + 1)[1:], (tf.constant(0),))


@pytest.mark.parametrize("act", [tf.print, tf.debugging.assert_non_negative])
@pytest.mark.parametrize(
    "place", [_in_a_loop, lambda act, n: tf.cond(n > 1, lambda: (act(n), n)[1], lambda: n)]
)
def test_loops_and_branches_of_a_function_say_what_they_cannot_do(act, place):
    with pytest.raises(NotAllowedInTraceError, match="has no value yet"):
        tf.function(place)(act, tf.constant(3))


@pytest.mark.parametrize(
    ("check", "good", "bad", "message"),
    [
        (lambda x: tf.debugging.assert_equal(x, 1.0, message="not one"), 1.0, 2.0, "not one"),
        (lambda x: tf.debugging.assert_near(y=1.0, x=x), 1.0, 2.0, "x near y, got 2.0, 1.0"),
        (tf.debugging.assert_positive, 1.0, 0.0, "above 0"),
        (lambda x: tf.debugging.check_numerics(x, "loss") * 2, 1.0, np.nan, "loss : .*NaN"),
        (lambda x: tf.Assert(x > 0, [x]), 1.0, -1.0, "numpy=-1.0"),
    ],
)
def test_assertions_in_a_function_are_made_after_each_run(check, good, bad, message):
    f = tf.function(check)
    f(tf.constant(good))
    for each in (f, check):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            each(tf.constant(bad))
    assert f.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("set_seed", [tf.random.set_seed, tf.keras.utils.set_random_seed])
def test_seeds_of_operations_begin_sequences(set_seed):
    draws = (
        tf.random.normal, tf.random.uniform, tf.random.truncated_normal,
        lambda shape, seed: tf.random.shuffle(tf.range(20), seed=seed),
        lambda shape, seed: tf.random.categorical(tf.zeros([1, 9]), 20, seed=seed),
    )  # fmt: skip
    for draw in draws:
        for f in (draw, tf.function(draw)):
            set_seed(3)
            first, second = (f([20], seed=1).numpy() for _ in range(2))
            assert not np.array_equal(first, second)
            set_seed(3)
            np.testing.assert_array_equal(f([20], seed=1), first)


def test_integers_are_not_made_of_python_floats():
    for make in (tf.constant, tf.convert_to_tensor, tf.Variable):
        for value in (3.5, [1, 2.5], 3.0):
            with pytest.raises(TypeError, match="Cannot convert .* to EagerTensor of dtype int32"):
                make(value, dtype=tf.int32)
        assert make(np.array([3.5]), dtype=tf.int32).numpy() == [3]


def test_random_numbers_are_seeded():
    tf.random.set_seed(3)
    first = tf.random.normal((4,)).numpy()
    tf.random.set_seed(3)
    np.testing.assert_array_equal(tf.random.normal((4,)), first)
    assert tf.random.uniform((5,), 2, 9, dtype=tf.int64).dtype == tf.int64
    with pytest.raises(ValueError, match="expected maxval for integers"):
        tf.random.uniform((5,), dtype=tf.int32)


def test_assert_shapes():
    tf.debugging.assert_shapes([(tf.ones((2, 3)), ("n", 3)), (tf.ones((2,)), ("n",))])
    with pytest.raises(ValueError, match=r"expected \('n',\), got \(4,\)"):
        tf.debugging.assert_shapes([(tf.ones((2, 3)), ("n", 3)), (tf.ones((4,)), ("n",))])


@pytest.mark.skipif(INSTALLED is not None, reason="TensorFlow itself is installed")
def test_imports_of_tensorflow_find_minikeras():
    code = (
        "from minikeras import tf\n"
        "import tensorflow\n"
        "from tensorflow.keras.layers import Dense\n"
        "from tensorflow.keras.datasets import mnist\n"
        "from tensorflow import keras\n"
        "import minikeras\n"
        "assert Dense is minikeras.layers.Dense and keras.layers.Dense is Dense\n"
        "assert tensorflow.constant(1.0) == tf.constant(1.0)\n"
        "try:\n"
        "    import tensorflow.nonsense\n"
        "except ModuleNotFoundError:\n"
        "    print('as expected')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "as expected\n", run.stderr


def test_tensorflow_is_not_found_before_the_face_is_imported():
    code = "import minikeras, importlib.util; print(importlib.util.find_spec('tensorflow'))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if INSTALLED is None:
        assert run.stdout == "None\n", run.stderr
