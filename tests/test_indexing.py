"""Take, scatter, segments, sparse gradients: messages, conventions, edge cases."""

import functools

import numpy as np
import pytest

from minikeras import function
from minikeras.core.forward import ForwardAccumulator
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import IndexedSlices, SymbolicTensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.ops import gathering, indexing, reduction, scattering
from tests.rows import numbers

X = as_tensor(np.arange(6.0, dtype="float32").reshape(3, 2))
FLOAT32, INT32 = np.dtype("float32"), np.dtype("int32")


def _gradient(function, x):
    with GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: X[3], IndexError, "getitem: index 3 is out of bounds for axis 0 with size 3"),
        (lambda: X[[0, 7]], IndexError, "index 7 is out of bounds for axis 0 with size 3"),
        (lambda: gathering.take(X, [0, 3], 0), IndexError, r"take: .* in \[-3, 3\), got 3"),
        (lambda: gathering.take(X, -4, 0), IndexError, r"take: .* in \[-3, 3\), got -4"),
        (lambda: gathering.take(X, [0.0], 0), TypeError, "take: expected integer indices, got"),
        (
            lambda: gathering.take(X, 0, 2),
            ValueError,
            r"take: expected an axis in \[-2, 2\), got 2",
        ),
        (
            lambda: gathering.take_along_axis(X, [[5]], 1),
            IndexError,
            r"take_along_axis: expected indices in \[-2, 2\), got 5",
        ),
        (lambda: gathering.take_along_axis(X, [0], 0), ValueError, r"as many axes .* \(1,\) and"),
        (
            lambda: gathering.take_along_axis(X, [[0]]),
            ValueError,
            r"one axis of indices .* \(1, 1\)",
        ),
        (
            lambda: gathering.take_along_axis(X, [[0]], 2),
            ValueError,
            "take_along_axis: expected an",
        ),
        (lambda: gathering.gather_nd(X, [[0, 0, 0]]), ValueError, r"1 to 2 elements.* got shape"),
        (lambda: gathering.gather_nd(X, [[0, 9]]), IndexError, r"in \[-2, 2\), got 9"),
        (lambda: gathering.one_hot([1], 3, axis=5), ValueError, "one_hot: expected an axis in"),
        (lambda: gathering.one_hot([1], 3, sparse=True), ValueError, "one_hot: expected sparse=F"),
        (
            lambda: gathering.multi_hot([1]),
            ValueError,
            "multi_hot: expected num_classes, .* got None",
        ),
        (
            lambda: scattering.scatter([[9]], [1.0], (4,)),
            IndexError,
            r"scatter: .* \[-4, 4\), got 9",
        ),
        (
            lambda: scattering.scatter([[0], [1]], [1.0], (4,)),
            ValueError,
            r"scatter: expected values of shape \(2,\) for indices of shape \(2, 1\), got \(1,\)",
        ),
        (
            lambda: scattering.scatter_update(X, [[0]], [[1.0, 2.0]], "mean"),
            ValueError,
            "scatter_update: expected reduction None, 'add', 'max', 'min', 'mul', got 'mean'",
        ),
        (
            lambda: scattering.segment_sum(X, [0, 1]),
            ValueError,
            r"segment_sum: expected one id for each row .* shape \(2,\) and data of shape \(3, 2\)",
        ),
        (
            lambda: scattering.segment_max(X, [0, 5, 1], 3),
            IndexError,
            "segment_max: expected ids below num_segments=3, got 5",
        ),
        (
            lambda: scattering.segment_sum(X, SymbolicTensor((3,), INT32)),
            ValueError,
            "segment_sum: expected num_segments with symbolic ids, .* tf.math.unsorted_segment_sum",
        ),
        (lambda: scattering.bincount([1, -1]), ValueError, "bincount: .* no negative numbers"),
        (lambda: scattering.bincount([1], sparse=True), ValueError, "bincount: expected sparse=F"),
        (
            lambda: scattering.bincount(SymbolicTensor((3,), INT32)),
            TypeError,
            "segment_sum with num",
        ),
        (lambda: indexing.slice(X, (1, 1), (3, 1)), ValueError, r"\(3, 1\) at \(1, 1\)"),
        (lambda: indexing.slice(X, (1, 1), (1, 3)), ValueError, r"slice: .* the 2 axes .*\(1, 3\)"),
        (lambda: indexing.slice(X, (-1, 0), (1, 1)), ValueError, r"inside .* at \(-1, 0\)"),
        (lambda: indexing.slice(X, (1,), (1,)), ValueError, r"starts of shape \(1,\) and"),
        (lambda: indexing.slice_update(X, (3, 0), [[1.0]]), ValueError, r"at \(3, 0\)"),
        (
            lambda: indexing.slice_update(X, (0, 0), [1.0]),
            ValueError,
            "slice_update: expected a st",
        ),
        (lambda: indexing.nonzero(1.0), ValueError, "nonzero: expected at least one axis"),
        (
            lambda: indexing.nonzero(SymbolicTensor((3,), FLOAT32)),
            TypeError,
            "nonzero: .* ops.where",
        ),
    ],
)
def test_errors_say_what_was_expected_and_what_came(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- sparse gradients ----------------------------------------------------------------------------


def test_gradient_of_take_along_axis_0_is_sparse_and_keeps_repeated_rows():
    v = Variable(X)
    g = _gradient(lambda v: gathering.take(v, [[1, 1], [-1, 0]], axis=0), v)
    assert isinstance(g, IndexedSlices)
    np.testing.assert_array_equal(g.indices, [1, 1, 2, 0])
    assert g.values.shape == (4, 2)
    assert g.dense_shape == g.shape == (3, 2)
    np.testing.assert_array_equal(g.numpy(), [[1, 1], [2, 2], [1, 1]])
    assert isinstance(_gradient(lambda v: gathering.take(v, 1, axis=0), v), IndexedSlices)


@pytest.mark.parametrize(
    "function",
    [
        lambda v: v[0:1],
        lambda v: gathering.take(v, [0, 1], axis=1),
        lambda v: gathering.take(v, [0, 1]),
        lambda v: gathering.take(v * 1, [0, 1], axis=0),
        lambda v: gathering.take(v, [0, 1], axis=0)[0, 0] + reduction.sum(v),
    ],
)
def test_other_gradients_are_dense(function):
    assert not isinstance(_gradient(function, Variable(X)), IndexedSlices)


def test_sum_of_sparse_gradients_is_sparse_and_with_a_dense_one_dense():
    v = Variable(X)
    both = _gradient(lambda v: (gathering.take(v, [2], 0), gathering.take(v, [0, 2], 0)), v)
    assert isinstance(both, IndexedSlices)
    np.testing.assert_array_equal(np.sort(both.indices), [0, 2, 2])
    np.testing.assert_array_equal(both.numpy(), [[1, 1], [0, 0], [2, 2]])
    assert isinstance(both + both, IndexedSlices)
    for total in (both + X, X + both, both + 1.0, 1.0 + both, both + X.numpy(), both * 2.0, -both):
        assert not isinstance(total, IndexedSlices)
    np.testing.assert_array_equal(1.0 + both, both.numpy() + 1)
    other = IndexedSlices(X[:1], as_tensor([0]), (1, 2))
    assert (both + other).shape == (3, 2)


def test_dense_is_differentiable():
    values, rows = as_tensor(numbers(3, 2)), as_tensor([1, 0, 1])
    weights = numbers(4, 2, seed=1)
    with GradientTape() as tape:
        tape.watch(values)
        y = IndexedSlices(values, rows, (4, 2)).dense() * weights
    np.testing.assert_array_equal(tape.gradient(y, values), weights[[1, 0, 1]])


def test_second_derivative_through_take():
    x = as_tensor(X.numpy())
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = gathering.take(x, [0, 2, 2], axis=0) ** 3
        g = inner.gradient(y, x)
    np.testing.assert_allclose(outer.gradient(g, x), 6 * X * [[1.0], [0], [2]])


def test_jacobian_and_forward_mode_through_take():
    v = Variable(X)
    with GradientTape() as tape:
        y = gathering.take(v, [2, 2], axis=0)
    assert tape.jacobian(y, v).shape == (2, 2, 3, 2)
    with ForwardAccumulator(v, as_tensor(X * 2)) as accumulator:
        y = gathering.take(v, [2, 2], axis=0)
    np.testing.assert_array_equal(accumulator.jvp(y), X.numpy()[[2, 2]] * 2)


@pytest.mark.parametrize(("rows", "shape"), [(0, (4, 3)), (3, (4, 0)), (0, (0, 3))])
def test_dense_of_nothing(rows, shape):
    slices = IndexedSlices(as_tensor(np.ones((rows, *shape[1:]))), as_tensor([0] * rows), shape)
    assert slices.dense().shape == shape
    assert not np.any(slices)


def test_blocks_of_rows_add_up_to_the_same(monkeypatch):
    rows, values = np.random.default_rng(0).integers(0, 5, 100), numbers(100, 7)
    expected = np.zeros((5, 7))
    np.add.at(expected, rows, values)
    for block in (1, 30, 1 << 20):
        monkeypatch.setattr(gathering, "_BLOCK", block)
        np.testing.assert_allclose(gathering.at(np.add, np.zeros((5, 7)), rows, values), expected)


# ---- taking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint32"])
def test_indices_of_every_integer_type(dtype):
    table = as_tensor(np.arange(300.0, dtype="float32"))
    indices = np.array([0, 100], dtype)
    np.testing.assert_array_equal(gathering.take(table, indices, 0), [0, 100])
    np.testing.assert_array_equal(
        _gradient(lambda x: gathering.take(x, indices, 0), table).numpy()[100], 1
    )


def test_no_indices_take_nothing():
    assert gathering.take(X, [], axis=0).shape == (0, 2)
    assert gathering.take(X, [], axis=0).dtype == "float32"


def test_one_hot_ignores_what_is_no_class_and_truncates_floats():
    np.testing.assert_array_equal(
        gathering.one_hot([0, -1, 5], 3), [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    )
    np.testing.assert_array_equal(gathering.one_hot([2.7], 3), [[0, 0, 1]])
    assert gathering.one_hot(1, 3).shape == (3,)
    assert gathering.one_hot([1], 3, dtype="bool").dtype == "bool"
    assert gathering.multi_hot([0, 2], 3, dtype="bool").numpy().tolist() == [True, False, True]
    assert gathering.multi_hot([0, 2], num_tokens=3).shape == (3,)


def test_nonzero_gives_int32_positions():
    rows, columns = indexing.nonzero([[1, 0], [0, 2]])
    assert rows.dtype == columns.dtype == "int32"
    np.testing.assert_array_equal(rows, [0, 1])


# ---- putting -------------------------------------------------------------------------------------


def test_of_updates_to_one_place_the_last_stays_and_alone_has_a_gradient():
    updates = as_tensor([1.0, 2.0, 3.0])
    with GradientTape() as tape:
        tape.watch(updates)
        y = scattering.scatter_update(np.zeros(4, "float32"), [[1], [1], [0]], updates)
    np.testing.assert_array_equal(y, [3, 2, 0, 0])
    np.testing.assert_array_equal(tape.gradient(y, updates), [0, 1, 1])


def test_scatter_update_keeps_the_dtype_of_its_inputs():
    assert scattering.scatter_update(X, [[0, 0]], np.array([1.0])).dtype == "float32"


def test_ties_share_the_gradient():
    x = as_tensor([3.0, 3.0, 1.0, 2.0])
    g = _gradient(lambda x: scattering.segment_max(x, [0, 0, 1, 0], 2), x)
    np.testing.assert_array_equal(g, [0.5, 0.5, 1, 0])
    inputs, updates = as_tensor([3.0]), as_tensor([[3.0]])[0]
    with GradientTape() as tape:
        tape.watch([inputs, updates])
        y = scattering.scatter_update(inputs, [[0]], updates, "max")
    assert [float(g[0]) for g in tape.gradient(y, [inputs, updates])] == [0.5, 0.5]


def test_segments_without_rows_and_rows_without_segment():
    x = as_tensor([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(scattering.segment_sum(x, [2, -1, 2]), [0, 0, 4])
    np.testing.assert_array_equal(scattering.segment_prod(x, [2, -1, 2]), [1, 1, 3])
    lowest = np.finfo("float32").min
    np.testing.assert_array_equal(scattering.segment_max(x, [2, -1, 2]), [lowest, lowest, 3])
    assert scattering.segment_min(np.array([1]), [1]).numpy()[0] == np.iinfo("int64").max
    assert scattering.segment_sum(x, [0, 0, 1], sorted=True).shape == (2,)


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
@pytest.mark.parametrize("name", ["segment_sum", "segment_max", "segment_min", "segment_prod"])
def test_rows_without_segment_in_a_traced_function(name, dtype):
    op = functools.partial(getattr(scattering, name), num_segments=3)
    ids = as_tensor([2, -1, 0, -7])
    for x in (np.arange(2, 6), np.arange(2, 10).reshape(4, 2)):
        x = x.astype(dtype)
        got, expected = function(op)(x, ids), op(x, ids)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    with pytest.raises(IndexError, match="out of bounds|expected indices in"):
        function(op)(x, as_tensor([2, -1, 3, 0]))


def test_gradients_of_rows_without_segment_in_a_traced_function():
    def gradient(ids):
        return _gradient(lambda x: scattering.segment_max(x, ids, 2), as_tensor([3.0, 5.0, 3.0]))

    np.testing.assert_array_equal(function(gradient)(as_tensor([0, -1, 0])), [0.5, 0, 0.5])


def test_bincount_lengths_and_dtypes():
    assert scattering.bincount([1, 1], minlength=4).numpy().tolist() == [0, 2, 0, 0]
    assert scattering.bincount([], minlength=2).numpy().tolist() == [0, 0]
    assert scattering.bincount([1]).dtype == "int32"
    assert scattering.bincount([1], weights=[0.5]).dtype == "float32"


@pytest.mark.parametrize(
    ("function", "shape", "expected"),
    [
        (lambda x: gathering.take(x, [0, 1], axis=0), (None, 2), (2, 2)),
        (lambda x: gathering.take(x, [[0, 1]], axis=1), (None, 2), (None, 1, 2)),
        (lambda x: gathering.take_along_axis(x, np.zeros((1, 4), int), 1), (None, 2), (None, 4)),
        (lambda x: gathering.one_hot(x, 3), (None,), (None, 3)),
        (lambda x: gathering.multi_hot(x, 3), (None, 4), (None, 3)),
        (lambda x: indexing.slice(x, (0, 1), (2, 1)), (None, 2), (2, 1)),
        (lambda x: indexing.slice(x, (0, 1), (-1, 1)), (None, 2), (None, 1)),
        (lambda x: indexing.slice_update(x, (0, 1), [[1.0]]), (None, 2), (None, 2)),
        (lambda x: scattering.scatter_update(x, [[0]], [[1.0, 2.0]]), (None, 2), (None, 2)),
        (lambda x: scattering.segment_sum(x, [0, 1, 0]), (3, None), (2, None)),
    ],
)
def test_open_axes_stay_open(function, shape, expected):
    assert function(SymbolicTensor(shape, FLOAT32)).shape == expected


def test_start_of_a_window_may_be_symbolic():
    start = SymbolicTensor((), INT32)
    assert indexing.slice(X, [start, 0], (1, 2)).shape == (1, 2)
    assert indexing.slice_update(X, [start, 0], X[:1]).shape == (3, 2)
