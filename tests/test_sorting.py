"""Order and search: messages, ties, NaN, dtypes."""

import math

import numpy as np
import pytest

from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, as_tensor
from minikeras.ops import sorting

X = as_tensor([[3.0, 1.0, 2.0]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sorting.sort(X, 2), ValueError, r"sort: expected an axis in \[-2, 2\), got 2"),
        (lambda: sorting.sort(1.0), ValueError, "sort: expected an axis"),
        (lambda: sorting.argsort(X, -3), ValueError, "argsort: expected an axis"),
        (lambda: sorting.top_k(X, 4), ValueError, r"top_k: .* got k=4 and shape \(1, 3\)"),
        (lambda: sorting.top_k(1.0, 1), ValueError, r"top_k: .* got k=1 and shape \(\)"),
        (lambda: sorting.in_top_k([0, 1], X, 1), ValueError, r"in_top_k: .* \(1, 3\) and \(2,\)"),
        (lambda: sorting.in_top_k([0.0], X, 1), TypeError, "in_top_k: expected integer"),
        (lambda: sorting.searchsorted(X, X), ValueError, r"one axis .* got shape \(1, 3\)"),
        (lambda: sorting.searchsorted([1], X, "x"), ValueError, "'left' or 'right', .* 'x'"),
        (lambda: sorting.digitize(X, [1, 0]), ValueError, r"ascending bins .* got \[1, 0\]"),
        (lambda: sorting.unique(SymbolicTensor((3,), np.dtype("int32"))), TypeError, "unique: exp"),
        (lambda: sorting.unique(X, axis=2), ValueError, "unique: expected an axis"),
    ],
)
def test_errors_say_what_was_expected_and_what_came(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_equal_elements_keep_their_order_and_their_gradients():
    x = as_tensor([2.0, 1.0, 2.0, 1.0])
    assert sorting.argsort(x).numpy().tolist() == [1, 3, 0, 2]
    assert sorting.top_k(x, 3).indices.numpy().tolist() == [0, 2, 1]
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = sorting.sort(x) * np.array([1.0, 2, 3, 4])
        z = sorting.top_k(x, 2).values * np.array([1.0, 2])
    np.testing.assert_array_equal(tape.gradient(y, x), [3, 1, 4, 2])
    np.testing.assert_array_equal(tape.gradient(z, x), [1, 0, 2, 0])


def test_nan_is_last_in_sort_and_first_in_top_k():
    x = as_tensor([3.0, math.nan, -math.inf, math.inf])
    np.testing.assert_array_equal(sorting.sort(x), [-math.inf, 3, math.inf, math.nan])
    assert sorting.top_k(x, 2).indices.numpy().tolist() == [1, 3]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32"])
def test_dtypes_stay_and_indices_are_int32(dtype):
    x = as_tensor(np.array([[1, 0, 1]], dtype))
    assert sorting.sort(x).dtype == dtype
    assert sorting.top_k(x, 2).values.dtype == dtype
    for indices in (
        sorting.argsort(x),
        sorting.top_k(x, 2).indices,
        sorting.searchsorted(x[0], x),
        sorting.digitize(x, [0.5]),
    ):
        assert indices.dtype == "int32"
    np.testing.assert_array_equal(sorting.argsort(x), [[1, 0, 2]])


def test_argsort_of_a_scalar_is_its_only_index():
    assert sorting.argsort(3.0).numpy().tolist() == [0]


def test_in_top_k_counts_only_larger_predictions_and_refuses_rows_with_nan():
    rows = np.array([[0.1, 0.4, 0.4, 0.2], [math.nan, 0.4, 0.4, 0.2]], "float32")
    assert sorting.in_top_k([2, 2], rows, 1).numpy().tolist() == [True, False]
    assert sorting.in_top_k([4, -1], rows, 9).numpy().tolist() == [False, False]


def test_digitize_compares_in_the_dtype_of_x():
    assert sorting.digitize(np.array([0.7], "float32"), [0.7]).numpy().tolist() == [1]
    assert sorting.digitize([1, 2], [1.5]).numpy().tolist() == [0, 1]


def test_isin_nothing():
    assert sorting.isin([1, 2], np.array([], int)).numpy().tolist() == [False, False]
    assert sorting.isin([1, 2], np.array([], int), invert=True).numpy().tolist() == [True, True]


def test_unique_in_order_cut_and_filled():
    x = [3, 1, 3, 2]

    def all_of(**kwargs):
        found = sorting.unique(
            x, return_index=True, return_inverse=True, return_counts=True, **kwargs
        )
        return [tensor.numpy().tolist() for tensor in found]

    assert all_of() == [[1, 2, 3], [1, 3, 0], [2, 0, 2, 1], [1, 1, 2]]
    assert all_of(sorted=False) == [[3, 1, 2], [0, 1, 3], [0, 1, 0, 2], [2, 1, 1]]
    assert all_of(size=4, fill_value=9)[::3] == [[1, 2, 3, 9], [1, 1, 2, 0]]
    assert all_of(size=2)[:2] == [[1, 2], [1, 3]]
    assert sorting.unique(x).numpy().tolist() == [1, 2, 3]


def test_unique_slices():
    values, inverse = sorting.unique([[1, 2, 1], [1, 0, 1]], return_inverse=True, axis=-1)
    assert values.numpy().tolist() == [[1, 2], [1, 0]]
    assert inverse.numpy().tolist() == [0, 1, 0]
    _, inverse = sorting.unique([[3, 1], [3, 2]], return_inverse=True)
    assert inverse.numpy().tolist() == [[2, 0], [2, 1]]


@pytest.mark.parametrize(
    ("function", "shape", "expected"),
    [
        (sorting.sort, (None, 3), (None, 3)),
        (lambda x: sorting.sort(x, None), (None, 3), (None,)),
        (sorting.argsort, (None, 3), (None, 3)),
        (lambda x: sorting.top_k(x, 2).values, (None, 3), (None, 2)),
        (lambda x: sorting.in_top_k(np.zeros(2, int), x, 1), (2, 3), (2,)),
        (lambda x: sorting.searchsorted([1.0], x), (None, 3), (None, 3)),
    ],
)
def test_open_axes_stay_open(function, shape, expected):
    assert function(SymbolicTensor(shape, np.dtype("float32"))).shape == expected
