"""Products, equations, factors and norms: messages, dtypes, conventions, edge cases."""

import math

import numpy as np
import pytest

from minikeras import ops
from minikeras.core.check import check_gradients
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.ops import contraction
from minikeras.ops.linalg import l2_normalize
from tests.rows import numbers

A = as_tensor(np.arange(6.0, dtype="float32").reshape(2, 3))
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]], "float32")
FLOAT32 = np.dtype("float32")


def _open(*shape):
    return SymbolicTensor(shape, FLOAT32)


def _gradient(function, *arrays):
    tensors = [as_tensor(np.asarray(x, "float32")) for x in arrays]
    with GradientTape() as tape:
        tape.watch(tensors)
        y = function(*tensors)
    return [np.asarray(g) for g in tape.gradient(y, tensors)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ops.matmul(A, A),
            r"matmul: expected x1's last .* second to last .* \(2, 3\) and",
        ),
        (
            lambda: ops.matmul(A, np.ones(2)),
            r"as long as x2's only one, got shapes \(2, 3\) and",
        ),
        (lambda: ops.matmul(A, 2.0), r"at least one axis each, got shapes \(2, 3\) and \(\)"),
        (
            lambda: ops.matmul(np.ones((2, 2, 3)), np.ones((3, 3, 2))),
            r"matmul: expected shapes that broadcast together, got \(2,\) and \(3,\)",
        ),
        (
            lambda: ops.tensordot(A, A, 1),
            r"tensordot: expected pairs .* axes=1 for shapes \(2, 3",
        ),
        (lambda: ops.tensordot(A, A, [[0, 5], [0, 1]]), "tensordot: expected pairs of axes"),
        (lambda: ops.tensordot(A, A, [[0], [0, 1]]), "tensordot: expected pairs of axes"),
        (
            lambda: ops.cross(np.ones(4), np.ones(3)),
            "cross: expected vectors of 2 or 3 .* 4 and 3",
        ),
        (lambda: ops.inv(SINGULAR), r"inv: expected an invertible matrix, .* shape \(2, 2\)"),
        (lambda: ops.solve(SINGULAR, np.ones(2)), "solve: expected an invertible matrix"),
        (lambda: ops.inv(A), r"inv: expected square matrices, got shape \(2, 3\)"),
        (lambda: ops.det(np.ones(3)), r"det: expected matrices, .* got shape \(3,\)"),
        (
            lambda: ops.solve(np.eye(2), np.ones(3)),
            r"as many rows in b as in a, .* and \(3, 1\)",
        ),
        (lambda: ops.solve_triangular(np.zeros((2, 2)), np.ones(2)), "a diagonal without zeros"),
        (lambda: ops.cholesky(-np.eye(2)), "cholesky: expected positive definite matrices"),
        (lambda: ops.qr(A, mode="raw"), "qr: expected mode 'reduced' or 'complete', got 'raw'"),
        (
            lambda: ops.lstsq(np.ones((3, 2)), np.ones(2)),
            r"lstsq: expected a matrix a .* \(3, 2\)",
        ),
        (lambda: ops.norm(A, axis=2), r"norm: expected an axis in \[-2, 2\), got 2"),
        (lambda: ops.norm(A, ord=3), "norm: expected None, 'fro', .* got 3"),
        (lambda: ops.norm(A, ord="fro", axis=0), "a number as ord of vectors, got 'fro'"),
        (lambda: ops.norm(np.ones((2, 2, 2)), 1), r"one or two axes with ord=1, .* \(2, 2, 2\)"),
    ],
)
def test_errors_say_what_was_expected_and_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        ("ij,jk", [(2, 2)], "einsum: expected 2 operands for 'ij,jk', got 1"),
        ("ij->ijk", [(2, 2)], "after '->' each letter once, all of them from before it"),
        ("i->ii", [(2,)], "each letter once"),
        ("i1->i", [(2, 2)], "expected letters"),
        ("ijk", [(2, 2)], r"expected 3 axes for the operand 'ijk' of 'ijk', got shape \(2, 2\)"),
        ("...ijk", [(2, 2)], "expected 3 axes or more"),
        ("ij,jk->ik", [(2, 2), (3, 3)], r"one length of axis 'j' in .* got 2 and 3 .*\(2, 2\) and"),
        ("ij,ij->ij", [(2, 2), (1, 2)], "one length of axis 'i' .* got 2 and 1"),
        ("ii", [(2, 3)], "one length of axis 'i'"),
        ("...i->i", [(2, 3)], "expected an ellipsis in the result of '...i->i'"),
        (
            "...i,...i->...",
            [(2, 3), (3, 3)],
            r"to have one length, got shapes \(2, 3\) and \(3, 3\)",
        ),
    ],
)
def test_einsum_refuses_what_does_not_fit(subscripts, shapes, message):
    with pytest.raises(ValueError, match=message):
        ops.einsum(subscripts, *(np.ones(shape) for shape in shapes))


def test_contraction_of_more_operands_than_two_takes_a_good_order():
    # 2 x 1000 x 2: multiplying the last two first would make a 1000 x 1000 matrix.
    path = contraction._best_path("ij,jk,kl->il", ((2, 1000), (1000, 2), (2, 1000)))
    assert tuple(path[0]) == (0, 1)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float16", "float64"])
def test_dtypes_of_products_are_those_of_keras(dtype):
    x = as_tensor(np.ones((2, 2), dtype))
    wide = "int32" if dtype == "int8" else dtype
    assert ops.matmul(x, x).dtype == wide
    assert ops.einsum("ij,jk->ik", x, x).dtype == wide
    assert ops.einsum("ij->ji", x).dtype == wide
    for op in (ops.dot, ops.inner, ops.outer, ops.vdot, ops.kron):
        assert op(x, x).dtype == dtype
    assert ops.matmul(x, np.ones((2, 2), "float32")).dtype == (
        dtype if dtype == "float64" else "float32"
    )


def test_decompositions_of_float16_are_float16_and_of_integers_floatx():
    for dtype, expected in (("float16", "float16"), ("int32", "float32"), ("float32", "float32")):
        x = as_tensor(np.array([[2, 1], [1, 3]], dtype))
        results = [ops.inv(x), ops.det(x), ops.cholesky(x), ops.norm(x), ops.pinv(x)]
        results += [*ops.qr(x), *ops.svd(x), *ops.eigh(x), *ops.slogdet(x)]
        assert {result.dtype.name for result in results} == {expected}
    assert ops.matrix_rank(x).dtype == "int32"


def test_matmul_operator_in_both_orders_with_arrays_and_variables():
    v = Variable(np.eye(3, dtype="float32"))
    array = np.arange(6.0).reshape(2, 3)
    for product in (A @ v, A @ array.T @ A, array @ v, v @ A.numpy().T, v @ v):
        assert product.dtype == "float32"
    np.testing.assert_array_equal(array @ v, array)
    np.testing.assert_array_equal([[1.0, 0.0, 0.0]] @ v, [[1.0, 0.0, 0.0]])
    with GradientTape() as tape:
        y = A @ v
    np.testing.assert_array_equal(tape.gradient(y, v), np.tile([[3.0], [5.0], [7.0]], 3))


def test_vector_gradients_have_the_shapes_of_vectors():
    g, h = _gradient(ops.matmul, np.ones(3), np.ones((4, 3, 2)))
    assert g.shape == (3,)
    assert h.shape == (4, 3, 2)


def test_overflow_gives_inf_without_a_warning():
    large = as_tensor(np.full((2, 2), 1e30, "float32"))
    assert np.isinf(ops.matmul(large, large).numpy()).all()
    assert np.isinf(ops.einsum("ij,jk->ik", large, large).numpy()).all()


def test_singular_matrices_have_determinant_0_and_log_minus_infinity():
    assert ops.det(SINGULAR) == 0
    sign, logarithm = ops.slogdet(SINGULAR)
    assert sign == 0
    assert logarithm == -math.inf
    assert np.isnan(ops.logdet(np.diag([1.0, -1.0])).numpy())


def test_cholesky_reads_the_lower_triangle_and_shares_the_gradient_symmetrically():
    x = np.array([[2.0, 99.0], [1.0, 2.0]], "float32")
    np.testing.assert_allclose(ops.cholesky(x), np.linalg.cholesky([[2, 1], [1, 2]]), rtol=1e-6)
    (g,) = _gradient(ops.cholesky, [[2, 1], [1, 2]])
    # TensorFlow 2.21 prints these.
    np.testing.assert_allclose(g, [[0.27883872, 0.14942925], [0.14942925, 0.40824828]], rtol=1e-5)


def test_gradients_of_factors_that_are_not_unique_are_refused():
    wide, tall = numbers(2, 3), numbers(3, 2)
    for function, x in (
        (lambda x: ops.qr(x)[0], wide),
        (lambda x: ops.qr(x, mode="complete")[1], tall),
        (lambda x: ops.svd(x)[1], tall),
    ):
        with pytest.raises(LookupError, match=r"no entry for: (qr|svd) of a . x . matrix"):
            _gradient(function, x)


def test_equal_singular_values_keep_gradients_of_symmetric_functions_finite():
    (g,) = _gradient(lambda x: ops.svd(x)[1], np.eye(3))
    np.testing.assert_allclose(g, np.eye(3), atol=1e-6)


def test_norm_conventions_of_tensorflow():
    assert np.isnan(_gradient(ops.norm, [0.0, 0.0])[0]).all()
    np.testing.assert_array_equal(_gradient(lambda x: ops.norm(x, 1), [0.0, 2.0])[0], [0, 1])
    (g,) = _gradient(lambda x: ops.norm(x, math.inf), [2.0, -2.0])
    np.testing.assert_array_equal(g, [0.5, -0.5])
    (g,) = _gradient(lambda x: l2_normalize(x)[0], [0.0, 0.0])
    np.testing.assert_allclose(g, [1e6, 0.0], rtol=1e-6)
    assert ops.norm([1, 0, 3], 0) == 2
    assert ops.norm(np.ones((2, 3, 4))).numpy() == pytest.approx(24**0.5)


@pytest.mark.parametrize(
    ("function", "shapes", "expected"),
    [
        (ops.matmul, [(None, 3), (3, 2)], (None, 2)),
        (ops.matmul, [(None, 5, 3), (3, 2)], (None, 5, 2)),
        (ops.dot, [(None, 3), (3,)], (None,)),
        (ops.tensordot, [(None, 3, 2), (3, 2, 4)], (None, 4)),
        (
            lambda a, b: ops.einsum("bij,bjk->bik", a, b),
            [(None, 2, 3), (None, 3, 4)],
            (None, 2, 4),
        ),
        (
            lambda a, b, c: ops.einsum("bi,ij,jk", a, b, c),
            [(None, 2), (2, 3), (3, 4)],
            (None, 4),
        ),
        (ops.inv, [(None, 3, 3)], (None, 3, 3)),
        (ops.solve, [(None, 3, 3), (None, 3)], (None, 3)),
        (lambda x: ops.svd(x)[2], [(None, 3, 2)], (None, 2, 2)),
        (lambda x: ops.norm(x, axis=-1), [(None, 3)], (None,)),
        (lambda x: l2_normalize(x, -1), [(None, 3)], (None, 3)),
        (ops.cross, [(None, 3), (None, 3)], (None, 3)),
    ],
)
def test_open_axes_stay_open(function, shapes, expected):
    assert function(*(_open(*shape) for shape in shapes)).shape == expected


def test_large_products_of_a_batch_with_a_matrix_sum_their_gradient_at_once():
    check_gradients(ops.matmul, [numbers(2, 3, 4, 5), numbers(5, 2)])
    check_gradients(
        lambda a, b: ops.einsum("abcd,de->eab", a, b), [numbers(2, 3, 4, 5), numbers(5, 2)]
    )


def test_lstsq_and_pinv_cut_small_singular_values():
    x = np.diag([1.0, 1e-9])
    np.testing.assert_allclose(ops.pinv(x, rcond=1e-6), np.diag([1.0, 0.0]), atol=1e-12)
    np.testing.assert_allclose(ops.lstsq(x, [1.0, 1.0], rcond=1e-6), [1, 0], atol=1e-12)
    assert ops.matrix_rank(x, tol=1e-6) == 1
    assert ops.matrix_rank(x) == 2


def test_lu_factor_of_a_batch_gives_back_its_matrices():
    x = numbers(4, 3, 3)
    lu, rows = (result.numpy() for result in ops.lu_factor(x))
    product = (np.tril(lu, -1) + np.eye(3)) @ np.triu(lu)
    np.testing.assert_allclose(np.take_along_axis(product, rows[..., None], 1), x, atol=1e-12)
