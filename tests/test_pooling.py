"""Pooling: errors, ties, dtypes, open axes; values are proved in the rows."""

import numpy as np
import pytest

from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, as_tensor
from minikeras.ops import pooling as p
from minikeras.ops import windows
from tests.rows import numbers

X = numbers(2, 5, 6, 3)


def _gradient(op, x, factors=None, **options):
    x = as_tensor(x)
    with GradientTape() as tape:
        tape.watch(x)
        y = op(x, **options)
    return tape.gradient(y, x, None if factors is None else [as_tensor(factors)]).numpy()


@pytest.mark.parametrize("op", [p.max_pool, p.average_pool])
@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 5), {}, r"expected inputs of rank 3, 4 or 5 .* got shape \(2, 5\)\. Add"),
        ((2, 5, 1, 3), {}, r"expected an image at least as long .* got \(5, 1\) .*\(2, 2\)"),
        ((2, 5, 3), {"pool_size": 0}, "expected pool_size as an integer >= 1 .* got 0"),
        ((2, 5, 3), {"pool_size": (2, 2)}, r"expected pool_size as .* got \(2, 2\)"),
        ((2, 5, 3), {"strides": 1.5}, "expected strides as an integer .* got 1.5"),
        ((2, 5, 3), {"padding": "causal"}, "expected padding 'valid' or 'same', got 'causal'"),
    ],
)
def test_errors_say_what_is_wrong(op, shape, options, message):
    options = {"pool_size": 2, **options}
    for x in (np.ones(shape, np.float32), SymbolicTensor(shape, np.dtype("float32"))):
        with pytest.raises(ValueError, match=f"^{op.name}: {message}"):
            op(x, **options)


def test_unknown_layouts_are_refused():
    with pytest.raises(ValueError, match="data_format: expected one of"):
        p.max_pool(X, 2, data_format="NHWC")


def test_primitives_check_shapes_against_their_window():
    window = windows.sliding("test", (4, 4), (2, 2), (2, 2), "valid")
    index = np.zeros((1, 2, 2, 3), np.uint8)
    wrong = SymbolicTensor((1, 3, 2, 3), np.dtype("float32"))
    with pytest.raises(ValueError, match=r"max_pool: expected images of shape \(1, 4, 4, 3\), got"):
        p._max_pool(wrong, window=window)
    with pytest.raises(ValueError, match="first_maximum: expected maxima of shape"):
        p._find_first_maximum(np.ones((1, 4, 4, 3)), wrong, window=window)
    with pytest.raises(ValueError, match="put_position: expected values of shape"):
        p._put_position(wrong, index, window=window)
    with pytest.raises(ValueError, match="take_position: expected positions of shape"):
        p._take_position(np.ones((1, 4, 4, 3)), wrong, window=window)
    with pytest.raises(ValueError, match="average_pool_gradient: expected values of shape"):
        p._average_pool_gradient(wrong, window=window)


# ---- where gradients go --------------------------------------------------------------------------


def test_a_tie_gives_all_to_the_first_position_in_row_major_order():
    x = np.array([[0, 2, 2], [2, 0, 1]], np.float32).reshape(1, 2, 3, 1)
    expected = np.array([[0, 1, 0], [0, 0, 0]], np.float32).reshape(x.shape)
    np.testing.assert_array_equal(_gradient(p.max_pool, x, pool_size=(2, 3)), expected)
    gradient = _gradient(p.max_pool, np.zeros((1, 3, 3, 1)), pool_size=2, strides=1)
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_padding_never_wins():
    x = np.full((1, 3, 3, 1), -np.inf, np.float32)
    assert np.isneginf(p.max_pool(x, 2, padding="same").numpy()).all()
    gradient = _gradient(p.max_pool, x, pool_size=3, strides=2, padding="same")
    assert gradient.sum() == 4
    np.testing.assert_array_equal(p.average_pool(np.ones((1, 3, 3, 1)), 2, 1, "same"), 1)


def test_infinite_gradients_stay_where_they_belong():
    factors = np.ones((2, 2, 3, 3), np.float32)
    factors[0, 0, 0, 0] = np.inf
    gradient = _gradient(p.max_pool, X.astype(np.float32), factors, pool_size=2)
    assert np.isinf(gradient).sum() == 1
    assert not np.isnan(gradient).any()


def test_nan_is_the_largest():
    x = X.copy()
    x[0, 1, 1, 0] = np.nan
    assert np.argwhere(np.isnan(p.max_pool(x, 2).numpy())).tolist() == [[0, 0, 0, 0]]
    assert np.argwhere(np.isnan(p.average_pool(x, 2).numpy())).tolist() == [[0, 0, 0, 0]]


def test_second_derivative_meets_the_same_positions():
    x = as_tensor(X)
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = p.max_pool(x, 2)
            y = y * y * y
        first = inner.gradient(y, x)
    second = outer.gradient(first, x).numpy()
    held = second != 0
    np.testing.assert_allclose(second[held], 6 * X[held])
    assert held.sum() == y.size


def test_windows_of_more_than_256_positions():
    x = numbers(1, 20, 15, 2)
    gradient = _gradient(p.max_pool, x, pool_size=(20, 15))
    assert (gradient[x == x.max((1, 2), keepdims=True)] == 1).all()
    assert gradient.sum() == 2


# ---- dtypes, layouts, open axes ------------------------------------------------------------------


def test_dtypes():
    for dtype in ("float16", "float32", "float64"):
        for op in (p.max_pool, p.average_pool):
            assert op(X.astype(dtype), 2).dtype == dtype
            assert _gradient(op, X.astype(dtype), pool_size=2, padding="same").dtype == dtype
    counts = np.arange(-12, 12).reshape(1, 4, 6, 1)
    for dtype in ("int8", "int32", "uint8", "int64"):
        assert p.max_pool(counts.astype(dtype), 3, padding="same").dtype == dtype
        assert p.average_pool(counts.astype(dtype), 2).dtype == "float32"
    np.testing.assert_array_equal(
        p.max_pool(counts, 3, padding="same")[0, :, :, 0], [[-4, -1], [8, 11]]
    )
    np.testing.assert_array_equal(p.max_pool(counts > 0, 2)[0, :, :, 0], [[0, 0, 0], [1, 1, 1]])


def test_open_axes_stay_open():
    x = SymbolicTensor((None, None, 9, 3), np.dtype("float32"))
    assert p.max_pool(x, 2).shape == (None, None, 4, 3)
    assert p.average_pool(x, 2, padding="same").shape == (None, None, 5, 3)
    first = SymbolicTensor((None, 3, 9, None), np.dtype("float32"))
    assert p.max_pool(first, (3, 2), data_format="channels_first").shape == (None, 3, 3, None)


def test_empty_batches():
    assert p.max_pool(X[:0], 2).shape == (0, 2, 3, 3)
    assert _gradient(p.max_pool, X[:0], pool_size=2).shape == (0, 5, 6, 3)
    assert _gradient(p.average_pool, X[:0], pool_size=2).shape == (0, 5, 6, 3)
