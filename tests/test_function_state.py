"""`function`: Variables that are read and assigned, also by several threads, and memory."""

import copy
import gc
import os
import signal
import threading

import numpy as np
import pytest

import minikeras as keras
from minikeras import layers, losses, ops, optimizers, tf
from minikeras.compiler.native import llvm
from minikeras.compiler.tracing import concrete
from minikeras.compiler.tracing.interpret import Interpreter
from minikeras.core import overwriting
from minikeras.core.context import VariableScope, state
from minikeras.core.tensor import EagerTensor
from tests.interrupting import interrupt
from tests.traced import X, traces

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
        with interrupt(at) as found:
            step(x)
        return found.came

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


def test_other_threads_read_whole_values_which_stay_as_they_were():
    v, one, over = tf.Variable(tf.zeros([200_000])), tf.ones([200_000]), threading.Event()
    spread = keras.function(lambda: tf.reduce_max(v) - tf.reduce_min(v))

    @keras.function
    def change():
        v.assign_add(one)

    change()
    assert float(spread()) == 0

    def run():
        while not over.is_set():
            change()

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(1000):
        array = v.numpy()
        assert array.min() == array.max()
        assert float(spread()) == 0
    value = v.value
    before = value.numpy().copy()
    for _ in range(20):
        np.testing.assert_array_equal(value, before)
    over.set()
    thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_finds_whole_values_and_free_locks():
    v, one, over = tf.Variable(tf.zeros([500_000])), tf.ones([500_000]), threading.Event()

    @keras.function
    def change():
        v.assign_add(one)

    spread = keras.function(lambda: tf.reduce_max(v) - tf.reduce_min(v))

    def uses_all():
        array = v.numpy()
        change()
        return array.min() == array.max() and float(spread()) == 0

    assert uses_all()

    def run():
        while not over.is_set():
            change()
            spread()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for _ in range(8):
            child = os.fork()
            if not child:
                signal.alarm(20)  # ends a child that hangs
                os._exit(not uses_all())
            assert os.waitpid(child, 0)[1] == 0
    finally:
        over.set()
        thread.join()


def test_readers_do_not_wait_for_runs_of_their_own_nor_for_ones_that_were_cut_off():
    v, lock = tf.Variable(1.0), threading.RLock()
    writer = overwriting.Writer([v], lock)
    overwriting.writers.add(writer)
    try:
        assert v.numpy() == 1  # nobody has the lock
        with lock:
            assert v.numpy() == 1  # this thread has it
    finally:
        overwriting.writers.discard(writer)


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


# ---- stacked arguments ---------------------------------------------------------------------------


def _swap(x, a, b):
    before = a + 0
    a.assign(b + x)
    b.assign(before)
    return ops.sum(a)


def _read_old(x, a, b):
    a.assign(ops.flip(a) * 0.5 + x)
    b.assign(a)
    return b.read_value()


def _unchanged(x, a, b):
    b.assign_add(x)
    return a.assign(ops.zeros_like(a) + 2) + b


@pytest.mark.parametrize("size", [4, 200])
@pytest.mark.parametrize("body", [_swap, _read_old, _unchanged])
def test_rows_of_stacked_arguments_are_calls_one_after_the_other(body, size):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(2, size, size)).astype("float32")
    rows = rng.normal(size=(7, size, size)).astype("float32")
    one, many = ([tf.Variable(value) for value in start] for _ in range(2))
    step = keras.function(lambda x: body(x, *one))
    for row in rows:
        expected = step(row)
    step = keras.function(lambda x: body(x, *many))
    assert step.several([rows[:3]]) == (0, None)  # not traced yet
    found = step(rows[0])
    done, results = step.several([rows[1:6]])
    assert done in ((0, 5) if llvm.available() else (0,))
    for row in rows[1 + done :]:
        found = step(row)
    np.testing.assert_array_equal(found, expected)
    for a, b in zip(one, many, strict=True):
        np.testing.assert_array_equal(a, b)
    assert done == 0 or results.shape == expected.shape
    other = [rows[:3].astype("float64")], [rows[:3, :2]], [rows[:3].transpose(0, 2, 1)], [rows[:0]]
    assert all(step.several(args) == (0, None) for args in other)


def test_rows_of_stacked_arguments_with_tapes_and_effects_are_not_run_at_once():
    v = tf.Variable(1.0)

    @keras.function
    def step(x):
        v.assign_add(x)
        return v * 2

    @keras.function
    def told(x):
        tf.print(x)
        return v.assign_add(x)

    @keras.function
    def both(x, y):
        return v.assign_add(x * y)

    rows = np.ones((3, 1), "float32")[:, 0]
    both(tf.constant(0.0), tf.constant(0.0))
    assert both.several([rows, rows[:2]]) == (0, None)
    step(tf.constant(1.0))
    told(tf.constant(1.0))
    assert told.several([rows]) == (0, None)
    with tf.GradientTape():
        assert step.several([rows]) == (0, None)
    done, results = step.several([rows])
    assert done in (0, 3)
    assert float(v) == 3.0 + done
    assert done == 0 or float(results) == 12.0
