"""`function`: what arguments are traced again and what not, signatures, concrete functions."""

import collections
import copy
import gc
import inspect
import logging
import weakref

import numpy as np
import pytest

import minikeras as keras
from minikeras import ops, tf
from minikeras.compiler.native import llvm
from minikeras.compiler.tracing import concrete, function, signature
from minikeras.core.context import overridden, state
from minikeras.core.tensor import SymbolicTensor
from tests.traced import Pair, X, traces

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
    fixed = Slotted()
    for each in (fixed, fixed):
        f(each, X)
    assert traces(f) == 4


def test_arguments_that_could_change_unseen_are_refused():
    f = keras.function(lambda x, values: x * sum(values))
    for values in ({1, 2}, bytearray(b"ab"), [1, {2}]):
        with pytest.raises(TypeError, match=r"can be hashed, got .*a frozenset"):
            f(X, values)
    np.testing.assert_array_equal(f(X, frozenset({1, 2})), X * 3)


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


@pytest.mark.skipif(not llvm.available(), reason="NumPy runs graphs as they are")
def test_plans_tell_what_is_checked_repeated_and_left_to_numpy():
    @keras.function
    def f(x, n, i):
        turned = ops.while_loop(lambda k, y: k < n, lambda k, y: (k + 1, y * 2.0), (n * 0, x))[1]
        return ops.one_hot(i, 3), ops.take(x, i), ops.sort(turned)

    text = f.explain(X, tf.constant(3), tf.constant([1]))
    for line in ("jumps end here", "jump if", "stop here if", "NumPy: sort", "calls of NumPy"):
        assert line in text


def test_pieces():
    assert signature.fits(None, (1, 2)) and not signature.fits((1,), None)
    assert repr(SymbolicTensor((), np.dtype("float32"))).startswith("<KerasTensor")
    with pytest.raises(AssertionError, match="only ever differentiated"):
        concrete._unused()
    assert function.functions_run_eagerly() is False
