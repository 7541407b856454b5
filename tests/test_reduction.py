"""Edges and errors of reductions, cumulative sums and statistics."""

import itertools

import numpy as np
import pytest

from minikeras import config, ops
from minikeras.core.check import check_gradients
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, as_tensor

X = np.arange(12, dtype="float32").reshape(3, 4)
EMPTY = np.zeros((0, 3), "float32")
INF, NAN = np.inf, np.nan


def _gradient(op, x):
    x = as_tensor(np.asarray(x, "float32"))
    with GradientTape() as tape:
        tape.watch(x)
        y = op(x)
    return tape.gradient(y, x).numpy()


# ---- dtypes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [ops.sum, ops.prod, ops.nansum, ops.nanprod, ops.trace])
def test_narrow_integers_are_summed_in_32_bits(op):
    results = {
        "bool": "int32", "int8": "int32", "int16": "int32", "int32": "int32", "int64": "int64",
        "uint8": "uint32", "uint16": "uint32", "uint32": "uint32",
        "float16": "float16", "float32": "float32", "float64": "float64",
    }  # fmt: skip
    for dtype, result in results.items():
        assert op(np.ones((2, 2), dtype)).dtype == result


@pytest.mark.parametrize(
    "op", [ops.mean, ops.var, ops.std, ops.logsumexp, ops.median, ops.average, ops.nanmean]
)
def test_integers_average_to_floats(op):
    for dtype in ("bool", "uint8", "int64"):
        assert op(np.ones((2, 2), dtype)).dtype == "float32"
    config.set_floatx("float16")
    assert op(np.ones((2, 2), "int32")).dtype == "float16"


def test_other_dtypes():
    assert ops.max(X > 3).dtype == ops.any(X).dtype == ops.all(X).dtype == "bool"
    assert ops.max(X > 3, initial=1).dtype == "bool"
    assert ops.argmax(X).dtype == ops.nanargmin(X).dtype == ops.count_nonzero(X).dtype == "int32"
    assert ops.cumsum(X > 3).dtype == "int32"
    assert ops.cumsum(X.astype("int8")).dtype == ops.max(X.astype("int8")).dtype == "int8"
    assert ops.cumsum(X.astype("int8"), dtype="float32").dtype == "float32"
    assert ops.prod(X.astype("int8"), dtype="float32").dtype == "float32"
    assert ops.diff(X > 3).dtype == "bool"


def test_float16_is_accumulated_in_float32():
    x = np.full((5000, 2), 10, "float16")
    np.testing.assert_array_equal(ops.mean(x, 0), [10, 10])
    assert float(ops.mean(np.full(40000, 2, "float16"))) == 2
    assert float(ops.sum(np.full(4096, 1.001, "float16"))) == pytest.approx(4100, abs=4)
    assert float(ops.var(np.array([128, -128], "float16"))) == 128**2
    assert float(ops.cumsum(np.full(4096, 1, "float16"))[-1]) == 4096
    assert float(ops.logsumexp(np.zeros(5000, "float16"))) == pytest.approx(np.log(5000), rel=1e-3)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((1 << 18, 2), 0), ((512, 511, 2), (0, 1)), ((3, 9999, 2), 1), ((3, 99, 99, 2), (1, 2))],
)
def test_sums_of_many_rows_keep_their_digits(shape, axis):
    x = np.full(shape, 0.1, "float32")
    for keepdims in (False, True):
        exact = x.astype("float64").sum(axis, keepdims=keepdims)
        np.testing.assert_allclose(ops.sum(x, axis, keepdims), exact, rtol=2e-6)
    np.testing.assert_array_equal(ops.sum(x > 0, axis), (x > 0).sum(axis))


def test_variance_does_not_cancel():
    x = np.array([1e4, 1e4 + 1, 1e4 + 2], "float32")
    assert float(ops.var(x)) == pytest.approx(2 / 3, rel=1e-5)


# ---- axes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "any", "all", "mean", "var"])
def test_every_form_of_axis(name):
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    forms = [None, (), 0, -1, np.int64(1), (0, 2), [1], (-1, 0), (2, 1, 0), np.array([0, 1])]
    for axis, keepdims in itertools.product(forms, (False, True)):
        plain = tuple(axis) if isinstance(axis, (list, np.ndarray)) else axis
        expected = getattr(np, name)(x, axis=plain, keepdims=keepdims)
        np.testing.assert_allclose(getattr(ops, name)(x, axis, keepdims), expected, rtol=1e-12)
        assert getattr(ops, name)(x, axis, keepdims).shape == np.shape(expected)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "var", "argmax", "cumsum", "logsumexp"])
def test_axis_out_of_range(name):
    with pytest.raises(ValueError, match=rf"{name}: expected an axis in \[-2, 2\), got 2"):
        getattr(ops, name)(X, axis=2)


def test_empty_axes():
    np.testing.assert_array_equal(ops.sum(EMPTY, 0), [0, 0, 0])
    np.testing.assert_array_equal(ops.prod(EMPTY, 0), [1, 1, 1])
    np.testing.assert_array_equal(ops.logsumexp(EMPTY, 0), [-INF] * 3)
    for op in (ops.mean, ops.var, ops.std):
        assert np.isnan(op(EMPTY, 0).numpy()).all()
        assert op(EMPTY, 1).shape == (0,)
    assert not ops.any(EMPTY)
    assert ops.all(EMPTY)
    assert ops.max(EMPTY, 1).shape == ops.argmax(EMPTY, 1).shape == (0,)
    assert ops.cumsum(EMPTY, 0).shape == ops.cumprod(EMPTY, 1).shape == (0, 3)


@pytest.mark.parametrize("name", ["max", "min", "amax"])
def test_extremes_of_nothing_need_an_initial_value(name):
    with pytest.raises(ValueError, match=r"m..: expected at least one element .* shape \(0, 3\)"):
        getattr(ops, name)(EMPTY, 0)
    if name != "amax":
        np.testing.assert_array_equal(getattr(ops, name)(EMPTY, 0, initial=2.0), [2, 2, 2])


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (lambda: ops.argmax(EMPTY), r"argmax: expected at least one element, got shape \(0, 3\)"),
        (
            lambda: ops.median(EMPTY, 0),
            r"median: expected at least one element, got shape \(0, 3\)",
        ),
        (lambda: ops.quantile(X, 1.5), "quantile: expected q from 0 to 1"),
        (lambda: ops.percentile(X, -1), "percentile: expected q from 0 to 1"),
        (lambda: ops.quantile(X, 0.5, method="best"), "quantile: expected a method of .*'linear'"),
        (lambda: ops.average(X, weights=[1.0, 2.0]), r"average: .* weights of shape \(2,\)"),
        (lambda: ops.average(X, 0, [1.0, 2.0]), r"average: expected weights of the shape \(3, 4\)"),
        (lambda: ops.diff(X, -1), "diff: expected n >= 0, got -1"),
        (lambda: ops.diff(1.0), r"diff: expected an axis in \[0, 0\), got -1"),
    ],
)
def test_errors(op, message):
    with pytest.raises(ValueError, match=message):
        op()


def test_quantiles_need_known_parts():
    with pytest.raises(TypeError, match="has no value yet"):
        ops.quantile(X, SymbolicTensor((), np.dtype("float32")))


def test_open_axes():
    x = SymbolicTensor((None, 4), np.dtype("float32"))
    assert ops.mean(x, 1).shape == (None,)
    assert ops.sum(x, 0, keepdims=True).shape == (1, 4)
    assert ops.moments(x, [1])[1].shape == (None,)
    assert ops.max(x, 1, initial=0).shape == (None,)
    assert ops.median(x, 0).shape == (4,)
    assert ops.cumprod(x).shape == (None,)


# ---- NaN and infinity ----------------------------------------------------------------------------


def test_logsumexp_is_stable():
    assert float(ops.logsumexp([1000.0, 1000.0])) == pytest.approx(1000 + np.log(2))
    assert float(ops.logsumexp([-1000.0, -1000.0])) == pytest.approx(-1000 + np.log(2))
    assert float(ops.logsumexp([-INF, 1.0])) == 1
    assert float(ops.logsumexp([-INF, -INF])) == -INF
    assert float(ops.logsumexp([INF, 1.0])) == INF
    assert np.isnan(float(ops.logsumexp([NAN, 1.0])))


def test_gradient_of_logsumexp_with_infinities():
    np.testing.assert_array_equal(_gradient(ops.logsumexp, [-INF, 1]), [0, 1])
    np.testing.assert_array_equal(_gradient(ops.logsumexp, [-INF, -INF]), [0, 0])
    np.testing.assert_allclose(_gradient(ops.logsumexp, [1000, 1000]), [0.5, 0.5])


def test_nan_spreads_unless_it_is_skipped():
    x = np.array([[1, NAN, 3], [NAN, NAN, NAN]], "float32")
    for op in (ops.sum, ops.max, ops.min, ops.median, ops.var, ops.ptp, ops.prod):
        assert np.isnan(op(x, 1).numpy()).all()
    np.testing.assert_array_equal(ops.argmax(x, 1), [1, 0])
    np.testing.assert_array_equal(ops.nansum(x, 1), [4, 0])
    np.testing.assert_array_equal(ops.nanprod(x, 1), [3, 1])
    np.testing.assert_array_equal(ops.nanargmax(x, 1), [2, -1])
    np.testing.assert_array_equal(ops.nanargmin(x, 1), [0, -1])
    expected = {
        ops.nanmean: 2,
        ops.nanmax: 3,
        ops.nanmin: 1,
        ops.nanvar: 1,
        ops.nanstd: 1,
        ops.nanmedian: 2,
    }
    for op, value in expected.items():
        np.testing.assert_array_equal(op(x, 1), [value, NAN])


def test_infinite_quantiles():
    assert float(ops.median([1.0, INF, INF])) == INF
    assert float(ops.quantile([-INF, 0.0, INF], 0.5)) == 0
    assert float(ops.quantile([-INF, 0.0, 1.0], 0.25)) == -INF


def test_allclose():
    assert ops.allclose([1.0, INF], [1.0 + 1e-9, INF])
    assert not ops.allclose([1.0, NAN], [1.0, NAN])
    assert ops.allclose([1.0, NAN], [1.0, NAN], equal_nan=True)


def test_quantile_finds_exact_places():
    # 0.1 in float32 is a little more than 0.1, and would find place 2.
    assert float(ops.quantile(np.arange(11, dtype="float32"), 0.1, method="higher")) == 1


# ---- gradients at the edges ----------------------------------------------------------------------


def test_ties_share_the_gradient():
    np.testing.assert_allclose(_gradient(ops.max, [1, 3, 3, 3]), [0, 1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(_gradient(ops.min, [1, 1, 3]), [0.5, 0.5, 0])
    np.testing.assert_allclose(_gradient(ops.ptp, [1, 1, 2]), [-0.5, -0.5, 1])
    rows = _gradient(lambda x: ops.max(x, 1), [[1, 1], [1, 2]])
    np.testing.assert_allclose(rows, [[0.5, 0.5], [0, 1]])


def test_initial_value_takes_the_gradient_only_if_it_is_beyond():
    np.testing.assert_allclose(_gradient(lambda x: ops.max(x, initial=1.0), [1, 1]), [0.5, 0.5])
    np.testing.assert_allclose(_gradient(lambda x: ops.max(x, initial=2.0), [1, 1]), [0, 0])


def test_gradient_of_std_at_equal_elements_is_nan():
    assert np.isnan(_gradient(ops.std, [1, 1])).all()
    np.testing.assert_array_equal(_gradient(ops.var, [1, 1]), [0, 0])


def test_gradient_of_variance_skips_nan():
    np.testing.assert_allclose(_gradient(ops.nanvar, [1, 3, NAN]), [-1, 1, 0])


def _other_products(x, order):
    """Differentiate the product of `x` by explicit loops."""
    n = len(x)
    first = np.array([np.prod(np.delete(x, i)) for i in range(n)])
    if order == 1:
        return first
    second = [[np.prod(np.delete(x, [i, j])) * (i != j) for j in range(n)] for i in range(n)]
    return np.array(second)


@pytest.mark.parametrize("zeros", [(), (1,), (1, 3), (0, 4), (0, 1, 2)])
def test_products_are_differentiated_exactly_with_zeros(zeros):
    values = np.array([2.0, -3.0, 0.5, 4.0, 1.5])
    values[list(zeros)] = 0
    x = as_tensor(values)
    for op in (ops.prod, lambda x: ops.cumprod(x)[-1]):
        with GradientTape() as outer:
            outer.watch(x)
            with GradientTape() as tape:
                tape.watch(x)
                y = op(x)
            g = tape.gradient(y, x)
        np.testing.assert_allclose(g, _other_products(values, 1), atol=1e-12)
        np.testing.assert_allclose(outer.jacobian(g, x), _other_products(values, 2), atol=1e-12)


@pytest.mark.parametrize("zeros", [(1,), (1, 3)])
def test_cumulative_products_are_differentiated_with_zeros(zeros):
    values = np.array([2.0, -3.0, 0.5, 4.0, 1.5])
    values[list(zeros)] = 0
    check_gradients(ops.cumprod, [values], order=3)


def test_third_derivatives():
    x = np.random.default_rng(0).normal(size=(3, 4))
    for op in (ops.logsumexp, ops.var, ops.prod, ops.std):
        check_gradients(lambda x, op=op: op(x, 1), [x], order=3, tolerance=1e-5)


def test_median_of_an_even_number_shares_the_gradient():
    np.testing.assert_allclose(_gradient(ops.median, [4, 1, 3, 2]), [0, 0, 0.5, 0.5])
    np.testing.assert_allclose(_gradient(ops.median, [1, 2, 3]), [0, 1, 0])


def test_gradients_keep_float16_and_float32():
    for dtype in ("float16", "float32"):
        x = as_tensor(X.astype(dtype) + 1)
        for op in (ops.sum, ops.mean, ops.var, ops.max, ops.logsumexp, ops.cumprod, ops.median):
            with GradientTape() as tape:
                tape.watch(x)
                y = op(x, 1)
            assert y.dtype == dtype
            assert tape.gradient(y, x).dtype == dtype
