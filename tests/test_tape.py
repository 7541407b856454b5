"""The contract of GradientTape: its states, what it records, its errors."""

import gc
import threading
import weakref

import numpy as np
import pytest

import minikeras
from minikeras import tf
from minikeras.core import tape as tape_module

USED = "A non-persistent GradientTape can only be used to compute one set of gradients"


@pytest.fixture
def x():
    return tf.Variable(3.0)


# ---- states --------------------------------------------------------------------------------------


def test_new_tape_refuses_everything_but_entering(x):
    tape = tf.GradientTape()
    with pytest.raises(RuntimeError, match="never entered"):
        tape.gradient(x, x)
    with pytest.raises(RuntimeError, match="never entered"):
        tape.watch(tf.constant(1.0))
    with pytest.raises(RuntimeError, match="not recording"), tape.stop_recording():
        pass
    with pytest.raises(ValueError, match="Tape is not recording"):
        tape.reset()


def test_reentering_an_active_tape_is_refused(x):
    with tf.GradientTape() as tape, pytest.raises(ValueError, match="still recording"), tape:
        pass


def test_a_left_tape_appends_when_entered_again(x):
    tape = tf.GradientTape()
    with tape:
        y = x * x
    with pytest.raises(ValueError, match="Tape is not recording"):
        tape.reset()
    with pytest.raises(ValueError, match="Tape is not recording"), tape.stop_recording():
        pass
    with tape:
        z = y * 2.0
    assert float(tape.gradient(z, x)) == 12.0


def test_a_used_tape_starts_fresh(x):
    with tf.GradientTape() as tape:
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(RuntimeError, match=USED):
        tape.gradient(y, x)
    with pytest.raises(RuntimeError, match=USED):
        tape.jacobian(y, x)
    with pytest.raises(RuntimeError, match="used up"):
        tape.watch(y)
    with tape:
        z = x * 5.0
    assert float(tape.gradient(z, x)) == 5.0


def test_gradient_inside_a_nonpersistent_tape_stops_recording(x):
    with tf.GradientTape() as tape:
        y = x**3
        assert float(tape.gradient(y, x)) == 27.0
        y * 2.0


def test_stop_recording_then_gradient_then_a_new_empty_tape(x):
    with tf.GradientTape() as tape:
        y = x**3
        with tape.stop_recording():
            assert float(tape.gradient(y, x)) == 27.0
        z = x * 4.0
    assert tape.gradient(z, [x])[0] == 4.0


def test_stop_recording_pauses_only_its_own_tape(x):
    with tf.GradientTape() as outer, tf.GradientTape() as inner:
        with inner.stop_recording():
            y = x * x
    assert inner.gradient(y, x) is None
    assert float(outer.gradient(y, x)) == 6.0


def test_reset_forgets_and_goes_on(x):
    with tf.GradientTape() as tape:
        before = x * x
        tape.reset()
        after = x * 2.0 + before
    assert float(tape.gradient(after, x)) == 2.0


def test_an_exception_leaves_the_tape_usable_and_off_the_stack(x):
    tape = tf.GradientTape()
    with pytest.raises(ZeroDivisionError), tape:  # noqa: PT012 - the tape must see both
        y = x * x
        1 / 0
    assert float(tape.gradient(y, x)) == 6.0
    with tf.GradientTape() as other:
        z = x * 2.0
    assert float(other.gradient(z, x)) == 2.0


def test_gradient_inside_a_persistent_tape_warns_once(x, caplog, monkeypatch):
    monkeypatch.setattr(tape_module, "_warned", {})
    with tf.GradientTape(persistent=True) as tape:
        y = x**3
        tape.gradient(y, x)
        tape.gradient(y, x)
    assert [r.message[:38] for r in caplog.records] == ["Calling GradientTape.gradient on a per"]


# ---- what is recorded ----------------------------------------------------------------------------


def test_watching_is_per_tape(x):
    c = tf.constant(2.0)
    with tf.GradientTape() as one, tf.GradientTape() as two:
        one.watch(c)
        y = c * c
    assert float(one.gradient(y, c)) == 4.0
    assert two.gradient(y, c) is None


def test_watch_accepts_nests_and_variables_and_refuses_the_rest():
    c, v = tf.constant(2.0), tf.Variable(3.0, trainable=False)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch({"a": [c], "b": v})
        y = c * v
        with pytest.raises(ValueError, match=r"Passed in object 1\.0 of type 'ndarray'"):
            tape.watch(np.array(1.0))
    assert [float(g) for g in tape.gradient(y, [c, v])] == [3.0, 2.0]


def test_watched_variables_come_in_order_of_construction_and_survive():
    a, b, unused = tf.Variable(1.0, name="a"), tf.Variable(2.0, name="b"), tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = b * a
    tape.gradient(y, a)
    assert [v.name for v in tape.watched_variables()] == ["a:0", "b:0"]
    assert unused.trainable


def test_reads_remember_their_values(x):
    with tf.GradientTape() as tape:
        y = x * x
        x.assign(100.0)
        y = y + x
    assert float(tape.gradient(y, x)) == 7.0


def test_assignments_are_not_differentiated():
    a, b = tf.Variable(3.0), tf.Variable(0.0)
    with tf.GradientTape() as tape:
        b.assign_add(a)
        y = b**2
    assert tape.gradient(y, a) is None


def test_frozen_and_integer_variables_are_not_watched():
    frozen, whole = tf.Variable(3.0, trainable=False), tf.Variable(3)
    with tf.GradientTape() as tape:
        y = frozen * 2.0 + tf.cast(whole, tf.float32)
    assert tape.gradient(y, [frozen, whole]) == [None, None]


def test_integers_on_the_way_cut_the_path(x, caplog, monkeypatch):
    monkeypatch.setattr(tape_module, "_warned", {})
    with tf.GradientTape() as tape:
        y = tf.cast(tf.cast(x, tf.int32), tf.float32)
    assert tape.gradient(y, x) is None
    with tf.GradientTape() as tape:
        for _ in range(7):
            tape.watch(tf.constant(10))
    assert len(caplog.records) == 5
    assert "must be floating (e.g. tf.float32), got tf.int32" in caplog.records[0].message


@pytest.mark.parametrize("op", [tf.floor, tf.math.ceil, tf.round])
def test_ops_without_a_derivative_give_none(op, x):
    with tf.GradientTape() as tape:
        y = op(x)
    assert tape.gradient(y, x) is None


def test_stop_gradient_and_numpy_cut_the_path(x):
    with tf.GradientTape(persistent=True) as tape:
        stopped = tf.stop_gradient(x * x)
        left = tf.constant(x.numpy() * 2)
    assert tape.gradient(stopped, x) is None
    assert tape.gradient(left, x) is None


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (lambda x: tf.reduce_sum([x * 2, x * x]), 8),
        (lambda x: tf.constant([1.0, 2.0]) * [x, x * x], 13),
        (lambda x: tf.matmul([[x, 0.0], [1.0, x]], [[1.0], [x]]), 7),
        (lambda x: tf.stack([[x, 1.0], [2.0, x]]), 2),
        (lambda x: tf.concat([[x, 1.0], [x]], 0), 2),
        (lambda x: tf.convert_to_tensor([[x], [x]]), 2),
    ],
)
def test_tensors_in_lists_are_recorded(x, op, expected):
    for f in (op, tf.function(op)):
        with tf.GradientTape() as tape:
            y = f(x)
        assert y.dtype == "float32"
        assert tape.gradient(y, x) == expected


# ---- targets and sources -------------------------------------------------------------------------


def test_structures_of_sources(x):
    y = tf.Variable([1.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        z = x * y
    answer = tape.gradient(z, {"b": (y, [x]), "a": x})
    assert list(answer) == ["b", "a"]
    assert float(answer["a"]) == float(answer["b"][1][0]) == 3.0
    np.testing.assert_array_equal(answer["b"][0], [3.0, 3.0])
    assert tape.gradient(z, []) == []


def test_several_targets_are_summed_and_repeated_sources_get_all(x):
    with tf.GradientTape(persistent=True) as tape:
        a, b = x * 2.0, x * x
    assert float(tape.gradient([a, {"b": b}], x)) == 8.0
    assert [float(g) for g in tape.gradient(b, [x, x])] == [6.0, 6.0]
    assert float(tape.gradient([a, a], x)) == 4.0


def test_target_as_source_and_intermediates(x):
    c = tf.constant(5.0)
    with tf.GradientTape(persistent=True) as tape:
        y = x * x
        z = y * 3.0
    assert float(tape.gradient(z, z)) == 1.0
    assert float(tape.gradient(c, c)) == 1.0
    assert [float(g) for g in tape.gradient(z, [y, x])] == [3.0, 18.0]


def test_output_gradients():
    x = tf.Variable([1.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        y, z = x * 2.0, x * 3.0
    np.testing.assert_array_equal(
        tape.gradient(y, x, output_gradients=tf.constant([1.0, 10.0])), [2.0, 20.0]
    )
    np.testing.assert_array_equal(
        tape.gradient([y, z], x, output_gradients=[tf.constant(1.0), None]), [5.0, 5.0]
    )
    with pytest.raises(ValueError, match="expected 2, one per target, got 1"):
        tape.gradient([y, z], x, output_gradients=[tf.constant(1.0)])
    with pytest.raises(ValueError, match=r"broadcasts to the target's \(2,\), got \(3,\)"):
        tape.gradient(y, x, output_gradients=tf.ones((3,)))


def test_unconnected_gradients(x):
    other = tf.Variable([[1.0, 2.0]], dtype=tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        y = x * x
    assert tape.gradient(y, other) is None
    zero = tape.gradient(y, other, unconnected_gradients="zero")
    assert zero.dtype == tf.float64
    np.testing.assert_array_equal(zero, [[0.0, 0.0]])
    same = tape.gradient(y, other, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    np.testing.assert_array_equal(same, zero)
    with pytest.raises(ValueError, match="Unknown value for unconnected_gradients: 'nonsense'"):
        tape.gradient(y, x, unconnected_gradients="nonsense")


@pytest.mark.parametrize(("target", "got"), [(None, "None"), ([None], "None"), (3.0, "3.0")])
def test_targets_that_are_no_tensors(target, got, x):
    with tf.GradientTape(persistent=True) as tape:
        y = x * x
    with pytest.raises(TypeError, match=f"Argument `target` should be .* but received {got}"):
        tape.gradient(target, x)
    with pytest.raises(TypeError, match="Argument `sources` should be"):
        tape.gradient(y, None)


# ---- jacobians -----------------------------------------------------------------------------------


def test_jacobian_shapes_structures_and_unconnected():
    x, w = tf.Variable([[1.0, 2.0, 3.0]]), tf.Variable([[1.0], [2.0], [3.0]])
    with tf.GradientTape(persistent=True) as tape:
        y = tf.matmul(x, w) * tf.constant([1.0, 2.0])
    by_x, by_none = tape.jacobian(y, [x, tf.Variable(1.0)])
    assert by_none is None
    np.testing.assert_array_equal(by_x, [[[[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]]]])
    assert tuple(tape.jacobian(y, w, experimental_use_pfor=False).shape) == (1, 2, 3, 1)


def test_batch_jacobian_and_its_errors():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = tf.stack([x[:, 0] * x[:, 1], x[:, 0], x[:, 1] ** 2], axis=1)
    expected = [[[2.0, 1.0], [1.0, 0.0], [0.0, 4.0]], [[4.0, 3.0], [1.0, 0.0], [0.0, 8.0]]]
    np.testing.assert_array_equal(tape.batch_jacobian(y, x), expected)
    np.testing.assert_array_equal(tape.batch_jacobian(tf.ones((2, 1)), x), np.zeros((2, 1, 2)))
    with pytest.raises(ValueError, match=r"Need first dimension of target shape \(\(4, 3\)\)"):
        tape.batch_jacobian(tf.ones((4, 3)), x)
    with pytest.raises(ValueError, match=r"Shape \(2,\) must have rank at least 2"):
        tape.batch_jacobian(tf.ones((2,)), x)


def test_jacobian_of_a_gradient_is_the_hessian():
    x = tf.Variable([1.0, 2.0], dtype=tf.float64)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = tf.reduce_prod(x) ** 2
        g = inner.gradient(y, x)
    np.testing.assert_allclose(outer.jacobian(g, x), [[8.0, 8.0], [8.0, 2.0]])


# ---- higher orders, other tools ------------------------------------------------------------------


def test_four_nested_tapes(x):
    with tf.GradientTape() as a, tf.GradientTape() as b, tf.GradientTape() as c:
        with tf.GradientTape() as d:
            y = x**4
        y = d.gradient(y, x)
        y = c.gradient(y, x)
        y = b.gradient(y, x)
    assert float(a.gradient(y, x)) == 24.0


def test_second_derivative_by_one_persistent_tape(x):
    with tf.GradientTape(persistent=True) as tape:
        y = x**3
        first = tape.gradient(y, x)
    assert float(tape.gradient(first, x)) == 18.0


def test_what_nobody_watched_has_no_gradient_beside_what_was_watched(x):
    frozen, constant = tf.Variable(2.0, trainable=False), tf.constant(4.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = (x + frozen) + constant
    assert [g and float(g) for g in tape.gradient(y, [x, frozen, constant])] == [1, None, None]
    assert tape.jacobian(y, constant) is None
    assert float(tape.gradient(constant, constant)) == 1.0  # a target that is its own source


def test_custom_gradient_with_a_variable_and_its_errors(x):
    w = tf.Variable(2.0)

    @tf.custom_gradient
    def scaled(a):
        def grad(upstream, variables=None):
            assert [v is w for v in variables] == [True]
            return upstream * 100.0, [upstream * 7.0]

        return a * w, grad

    with tf.GradientTape() as tape:
        y = scaled(x * 1.0)
    assert [float(g) for g in tape.gradient(y, [x, w])] == [100.0, 7.0]

    @tf.custom_gradient
    def without(a):
        return a * w, lambda upstream: upstream

    with tf.GradientTape() as tape, pytest.raises(TypeError, match="reads the variables"):
        without(x)

    @tf.custom_gradient
    def too_few(a):
        return a * 1.0, lambda upstream: ()

    with tf.GradientTape() as tape:
        y = too_few(x)
    with pytest.raises(ValueError, match="expected to return 1 gradients, but returned 0 instead"):
        tape.gradient(y, x)


@pytest.mark.parametrize("inside", [False, True])
def test_custom_gradient_is_differentiable_again(x, inside):
    @tf.custom_gradient
    def cube(a):
        square = a**2
        return a**3, lambda upstream: upstream * 3.0 * (square if inside else a**2)

    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = cube(x)
        g = inner.gradient(y, x)
    assert float(g) == 27.0
    assert float(outer.gradient(g, x)) == 18.0


def test_recompute_grad_runs_again_and_stores_nothing(x):
    calls = []
    w = tf.Variable(2.0)

    def f(a):
        calls.append(1)
        return tf.sin(a) * w

    with tf.GradientTape() as tape:
        y = tf.recompute_grad(f)(x)
        assert len(tape._nodes) == 1
    assert len(calls) == 1
    by_x, by_w = tape.gradient(y, [x, w])
    assert len(calls) == 2
    np.testing.assert_allclose([by_x, by_w], [2 * np.cos(3.0), np.sin(3.0)], rtol=1e-6)


def test_forward_accumulator_over_and_under_a_tape(x):
    c = tf.constant([1.0, 2.0])
    with tf.autodiff.ForwardAccumulator(c, tf.constant([1.0, 0.0])) as acc:
        with tf.GradientTape() as tape:
            tape.watch(c)
            y = tf.reduce_sum(c**3)
        g = tape.gradient(y, c)
    assert float(acc.jvp(y)) == 3.0
    np.testing.assert_array_equal(acc.jvp(g), [6.0, 0.0])
    with tf.GradientTape() as tape:
        with tf.autodiff.ForwardAccumulator(x, tf.constant(1.0)) as acc:
            y = x * x * x
        forward = acc.jvp(y)
    assert float(forward) == 27.0
    assert float(tape.gradient(forward, x)) == 18.0
    assert acc.jvp(tf.constant(1.0)) is None
    assert float(acc.jvp(tf.constant(1.0), unconnected_gradients="zero")) == 0.0


def test_sparse_gradients_of_gather():
    table = tf.Variable(np.arange(6.0, dtype=np.float32).reshape(3, 2))
    with tf.GradientTape(persistent=True) as tape:
        rows = tf.gather(table, [0, 2, 0])
        both = tf.reduce_sum(rows) + tf.reduce_sum(table)
    slices = tape.gradient(rows, table)
    assert isinstance(slices, tf.IndexedSlices)
    np.testing.assert_array_equal(slices.indices, [0, 2, 0])
    np.testing.assert_array_equal(tf.convert_to_tensor(slices), [[2, 2], [0, 0], [1, 1]])
    np.testing.assert_array_equal(tape.gradient(both, table), [[3, 3], [1, 1], [2, 2]])
    assert isinstance(tape.gradient(table[0:1], table), (tf.Tensor, type(None)))


def test_nodes_know_their_op_and_in_debug_mode_the_users_line(x):
    with tf.GradientTape() as tape:
        tf.sin(x)
        minikeras.record_source_lines()
        try:
            tf.reduce_mean(tf.cos(x))
        finally:
            minikeras.record_source_lines(False)
    names = [node.op.name for node in tape._nodes]
    assert names == ["sin", "cos", "mean"]
    first, *others = [node.source for node in tape._nodes]
    assert first is None
    line = test_nodes_know_their_op_and_in_debug_mode_the_users_line.__code__.co_firstlineno + 5
    assert others == [f"{__file__}:{line}"] * 2
    assert repr(tape._nodes[2]) == f"<Node mean -> () at {__file__}:{line}>"


# ---- threads and memory --------------------------------------------------------------------------


def test_every_thread_has_its_own_stack(x):
    answers = {}

    def work(n):
        with tf.GradientTape() as tape:
            y = x * float(n)
            for _ in range(50):
                y = y * 1.0
        answers[n] = float(tape.gradient(y, x))

    with tf.GradientTape() as outside:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outside._nodes == []
    assert answers == {n: float(n) for n in range(8)}


def test_a_used_tape_frees_its_nodes(x):
    with tf.GradientTape() as tape:
        y = tf.exp(x)
        node = weakref.ref(tape)
        z = y * 2.0
    tape.gradient(z, x)
    assert tape._nodes is None
    del tape
    gc.collect()
    assert node() is None


def test_arrays_that_no_rule_needs_are_dropped():
    x = tf.Variable(np.ones((100, 100), np.float32))
    with tf.GradientTape() as tape:
        y = x + 1.0
        array = weakref.ref(y.array)
        z = tf.reduce_sum(y)
        del y
        assert array() is None
    np.testing.assert_array_equal(tape.gradient(z, x), np.ones((100, 100)))


def test_nodes_make_no_reference_cycles(x):
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            with tf.GradientTape() as tape:
                y = tf.sin(x) * x
            x.assign_sub(tape.gradient(y, x) * 1e-3)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_long_loop_leaves_nothing_behind(x):
    def step():
        with tf.GradientTape() as tape:
            y = tf.sin(x) * x
        x.assign_sub(tape.gradient(y, x) * 1e-3)

    step()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(2000):
        step()
    gc.collect()
    assert len(gc.get_objects()) - before < 20
