"""Activations, softmax, cross-entropies, normalisations: edges, kinks, extremes and errors."""

import math
import warnings

import numpy as np
import pytest

from minikeras import config, ops
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, as_tensor
from minikeras.ops import activations

F32 = np.dtype("float32")
ACTIVATIONS = [
    ops.sigmoid, ops.softplus, ops.relu, ops.relu6, ops.leaky_relu, ops.elu, ops.selu, ops.celu,
    ops.gelu, ops.silu, activations.mish, ops.log_sigmoid, ops.softsign, ops.squareplus,
    ops.hard_sigmoid, ops.hard_silu, ops.hard_tanh, ops.tanh_shrink, ops.hard_shrink,
    ops.soft_shrink, ops.softmax, ops.log_softmax,
]  # fmt: skip


def slope(function, *arguments):
    """Return the gradient of the sum by the last argument."""
    *others, x = (as_tensor(np.asarray(a)) for a in arguments)
    with GradientTape() as tape:
        tape.watch(x)
        y = function(*others, x)
    return tape.gradient(y, x).numpy()


# ---- activations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (ops.relu, [-1.0, -0.0, 0.0, 1.0], [0, 0, 0, 1]),
        (ops.relu6, [-1.0, 0.0, 3.0, 6.0, 7.0], [0, 0, 1, 0, 0]),
        (ops.leaky_relu, [-1.0, 0.0, 1.0], [0.2, 0.2, 1]),
        (ops.elu, [0.0, 1.0], [1, 1]),
        (lambda x: ops.elu(x, 0.5), [0.0, 1.0], [0.5, 1]),
        (ops.celu, [0.0, 1.0], [1, 1]),
        (ops.selu, [0.0, 1.0], [1.0507009873554805] * 2),
        (ops.hard_sigmoid, [-3.0, 0.0, 3.0], [0, 1 / 6, 0]),
        (ops.hard_tanh, [-2.0, -1.0, 1.0, 2.0], [0, 1, 1, 0]),
        (ops.hard_shrink, [-0.5, 0.0, 0.5, 1.0], [0, 0, 0, 1]),
        (ops.soft_shrink, [-1.0, -0.5, 0.0, 0.5, 1.0], [1, 0, 0, 0, 1]),
        (ops.softsign, [0.0], [1]),
    ],
)
def test_slopes_at_kinks_are_those_of_tensorflow(function, at, expected):
    np.testing.assert_allclose(slope(function, at), expected, rtol=1e-15)


@pytest.mark.parametrize("function", ACTIVATIONS, ids=lambda f: f.__name__)
def test_huge_inputs_give_no_nan_and_no_warning(function):
    x = np.array([-1e30, -1e4, -100, -20, 0, 20, 100, 1e4, 1e30], np.float32)
    if function in (ops.squareplus, ops.gelu):
        x = np.clip(x, -1e12, 1e12)  # their powers of x
    y = function(as_tensor(x))
    assert y.dtype == "float32"
    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(slope(function, x)).all()


@pytest.mark.parametrize("function", ACTIVATIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_is_kept(function, dtype):
    x = np.linspace(-2, 2, 6).reshape(2, 3).astype(dtype)
    assert function(as_tensor(x)).dtype == dtype
    assert slope(function, x).dtype == dtype


@pytest.mark.parametrize("function", ACTIVATIONS, ids=lambda f: f.__name__)
def test_integers_become_floats_except_in_relu(function):
    y = function(as_tensor([-1, 0, 3]))
    assert y.dtype == ("int32" if function in (ops.relu, ops.relu6) else config.floatx())


@pytest.mark.parametrize("function", ACTIVATIONS, ids=lambda f: f.__name__)
def test_open_axes_stay_open(function):
    y = function(SymbolicTensor((None, 4), F32))
    assert (tuple(y.shape), y.dtype) == ((None, 4), "float32")


def test_small_results_keep_their_digits():
    x = np.array([-20.0, -15.0], np.float32)
    np.testing.assert_allclose(ops.sigmoid(x), np.exp(x) / (1 + np.exp(x)), rtol=1e-6)
    np.testing.assert_allclose(ops.softplus(x), np.log1p(np.exp(x)), rtol=1e-6)
    np.testing.assert_allclose(ops.log_sigmoid(-x), -np.log1p(np.exp(x)), rtol=1e-6)
    exact = [-5 * math.erfc(5 / math.sqrt(2)) / 2]
    np.testing.assert_allclose(ops.gelu(np.float32([-5]), approximate=False), exact, rtol=1e-6)
    np.testing.assert_allclose(ops.erfc(np.float32([8])), [math.erfc(8)], rtol=1e-6)


def test_gelu_is_approximate_unless_told():
    x = as_tensor(np.linspace(-3, 3, 9))
    assert not np.array_equal(ops.gelu(x), ops.gelu(x, approximate=False))
    np.testing.assert_allclose(ops.gelu(x), ops.gelu(x, approximate=False), atol=1e-3)


def test_glu_needs_an_even_length():
    with pytest.raises(ValueError, match=r"glu: expected an even length .* axis 1, got .*\(2, 3\)"):
        ops.glu(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"glu: expected an axis in \[-2, 2\), got 2"):
        ops.glu(np.ones((2, 4)), axis=2)


def test_error_functions_at_the_ends():
    np.testing.assert_array_equal(ops.erf(np.array([-np.inf, np.inf])), [-1, 1])
    np.testing.assert_array_equal(
        ops.erfinv(np.array([-1.0, 0, 1, 2])), [-np.inf, 0, np.inf, np.nan]
    )
    assert ops.erf(np.ones(2, np.float16)).dtype == "float16"


# ---- softmax -------------------------------------------------------------------------------------


def test_softmax_of_masked_and_huge_logits():
    x = np.array([[0, -np.inf, 1], [1e30, -1e30, 0]], np.float32)
    y = ops.softmax(x).numpy()
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-6)
    assert y[0, 1] == 0
    assert list(y[1]) == [1, 0, 0]
    np.testing.assert_array_equal(ops.log_softmax(x)[1], np.float32([0, -2e30, -1e30]))


def test_softmax_of_no_rows_and_of_no_classes():
    assert ops.softmax(np.zeros((0, 3))).shape == (0, 3)
    assert ops.softmax(np.zeros((3, 0))).shape == (3, 0)
    assert ops.log_softmax(np.zeros((3, 0))).shape == (3, 0)


@pytest.mark.parametrize("axis", [(0, 1), (-1, 0), [0, 1], None])
def test_softmax_over_several_axes(axis):
    x = np.random.normal(size=(3, 4))
    expected = np.exp(x) / np.exp(x).sum()
    np.testing.assert_allclose(ops.softmax(x, axis=axis), expected)
    np.testing.assert_allclose(ops.log_softmax(x, axis=axis), np.log(expected))


def test_softmax_over_a_single_class_warns():
    with pytest.warns(UserWarning, match="axis has size 1. .* sigmoid instead"):
        ops.softmax(np.ones((4, 1)))


@pytest.mark.parametrize("function", [ops.softmax, ops.log_softmax])
def test_softmax_needs_an_axis_that_is_there(function):
    with pytest.raises(ValueError, match=r"softmax: expected an axis in \[-2, 2\), got 2"):
        function(np.ones((2, 3)), axis=2)


# ---- cross-entropies -----------------------------------------------------------------------------


def test_loss_at_probability_0_is_finite_and_its_gradient_exactly_0():
    p = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    t = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    for loss, target in (
        (ops.categorical_crossentropy, t),
        (ops.sparse_categorical_crossentropy, np.array([0, 0])),
    ):
        np.testing.assert_allclose(loss(target, p), [16.118095, 0], atol=2e-6)
        np.testing.assert_array_equal(slope(loss, target, p), np.zeros((2, 2)))
    np.testing.assert_allclose(ops.binary_crossentropy(t, p)[0], [16.118095, 15.942385], rtol=1e-6)
    np.testing.assert_array_equal(slope(ops.binary_crossentropy, t, p), np.zeros((2, 2)))


def test_probabilities_are_clipped_by_epsilon():
    config.set_epsilon(1e-3)
    loss = ops.binary_crossentropy(np.ones((1, 1)), np.zeros((1, 1)))
    np.testing.assert_allclose(loss, [[-math.log(1e-3)]])


def test_categorical_probabilities_are_divided_by_their_sum():
    t, p = np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])
    np.testing.assert_allclose(ops.categorical_crossentropy(t, p), [-math.log(0.75)])
    np.testing.assert_allclose(ops.sparse_categorical_crossentropy([1], p / 4), [-math.log(0.75)])


def test_losses_from_logits_are_stable():
    z = np.array([[-1e4, 0.0, 1e4]], np.float32)
    for label, expected in enumerate([2e4, 1e4, 0]):
        one_hot = np.eye(3, dtype=np.float32)[[label]]
        sparse = ops.sparse_categorical_crossentropy([label], z, from_logits=True)
        np.testing.assert_array_equal(sparse, [expected])
        dense = ops.categorical_crossentropy(one_hot, z, from_logits=True)
        np.testing.assert_array_equal(dense, [expected])
    x = np.array([-1e4, -15, 0, 15, 1e4], np.float32)
    loss = ops.binary_crossentropy(np.ones(5), x, from_logits=True)
    small = math.log1p(math.exp(-15))
    np.testing.assert_allclose(loss, [1e4, 15 + small, math.log(2), small, 0], rtol=1e-6)
    np.testing.assert_allclose(
        slope(lambda t, x: ops.binary_crossentropy(t, x, from_logits=True), np.ones(5), x),
        [-1, -1 / (1 + math.exp(-15)), -0.5, -math.exp(-15) / (1 + math.exp(-15)), 0],
        atol=1e-7,
    )


def test_from_logits_equals_from_probabilities():
    z, labels = np.random.normal(size=(4, 6, 5)), np.random.randint(0, 5, (4, 6))
    a = ops.sparse_categorical_crossentropy(labels, z, from_logits=True)
    b = ops.sparse_categorical_crossentropy(labels, ops.softmax(z))
    c = ops.categorical_crossentropy(np.eye(5)[labels], z, from_logits=True)
    d = ops.categorical_crossentropy(np.eye(5)[labels], ops.softmax(z))
    assert a.shape == (4, 6)
    for other in (b, c, d):
        np.testing.assert_allclose(a, other)


@pytest.mark.parametrize("label", [3, -1, 250])
@pytest.mark.parametrize("from_logits", [False, True])
def test_label_that_is_no_class(label, from_logits):
    labels = np.array([[0, 1], [2, label]])
    message = rf"expected labels in \[0, 3\).*\(2, 2, 3\), got {label} at index \(1, 1\)"
    with pytest.raises(ValueError, match=message):
        ops.sparse_categorical_crossentropy(labels, np.full((2, 2, 3), 1 / 3), from_logits)


def test_labels_may_have_an_axis_of_length_1_and_be_floats():
    p = ops.softmax(np.random.normal(size=(4, 3)))
    plain = ops.sparse_categorical_crossentropy([0, 1, 2, 1], p)
    column = ops.sparse_categorical_crossentropy(np.array([[0.0], [1], [2], [1]]), p)
    np.testing.assert_array_equal(plain, column)


def test_losses_keep_the_dtype_of_the_output():
    p = np.full((2, 3), 1 / 3, np.float32)
    assert ops.categorical_crossentropy(np.eye(3)[:2], p).dtype == "float32"
    assert ops.sparse_categorical_crossentropy([0, 1], p).dtype == "float32"
    assert ops.binary_crossentropy(np.eye(3, dtype=int)[:2], p).dtype == "float32"


@pytest.mark.parametrize("loss", [ops.categorical_crossentropy, ops.binary_crossentropy])
def test_losses_need_equal_shapes(loss):
    with pytest.raises(ValueError, match=r"crossentropy: expected .*=\(2,\) and .*=\(2, 3\)"):
        loss(np.ones(2), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"crossentropy: expected .*=\(2, 1\) and .*=\(2, 3\)"):
        loss(np.ones((2, 1)), np.ones((2, 3)))


def test_losses_name_wrong_ranks_and_axes():
    with pytest.raises(ValueError, match="categorical_crossentropy: expected at least one axis"):
        ops.categorical_crossentropy(1.0, 1.0)
    with pytest.raises(ValueError, match=r"one axis more than target, got .*\(3,\) and .*\(2, 3\)"):
        ops.sparse_categorical_crossentropy([0, 1, 2], np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"classes along the last axis, got axis=0"):
        ops.sparse_categorical_crossentropy([0, 1, 2], np.ones((2, 3)), axis=0)
    with pytest.raises(ValueError, match=r"sparse_categorical_crossentropy: expected output with"):
        ops.sparse_categorical_crossentropy(SymbolicTensor((3,), F32), SymbolicTensor((2, 3), F32))


def test_losses_on_open_axes():
    output = SymbolicTensor((None, 7, 3), F32)
    labels = SymbolicTensor((None, 7), np.dtype("int64"))
    for from_logits in (False, True):
        loss = ops.sparse_categorical_crossentropy(labels, output, from_logits)
        assert tuple(loss.shape) == (None, 7)
        assert tuple(ops.categorical_crossentropy(output, output, from_logits).shape) == (None, 7)
        assert tuple(ops.binary_crossentropy(output, output, from_logits).shape) == (None, 7, 3)


# ---- normalisation -------------------------------------------------------------------------------


def test_normalize_of_zeros_is_zero_and_has_a_gradient():
    for order in (1, 2, 3, 9):
        x = np.zeros((2, 3), np.float32)
        np.testing.assert_array_equal(ops.normalize(x, order=order), x)
        np.testing.assert_allclose(slope(lambda x, n=order: ops.normalize(x, order=n), x), 1e7)


def test_normalize_needs_a_whole_order():
    for order in (0, 1.5, -1):
        with pytest.raises(
            ValueError, match=f"normalize: expected an integer order .* got {order}"
        ):
            ops.normalize(np.ones(3), order=order)


def test_statistics_of_float16_are_computed_in_float32():
    x = np.array([[300, 301, 302]], np.float16)  # their squares overflow
    y = ops.layer_normalization(x)
    assert y.dtype == "float16"
    np.testing.assert_allclose(y, [[-1.2247, 0, 1.2247]], atol=2e-3)
    np.testing.assert_allclose(ops.rms_normalization(x), [[0.997, 1, 1.003]], atol=2e-3)
    np.testing.assert_allclose(ops.normalize(x), [[0.5754, 0.5774, 0.5793]], atol=2e-3)


def test_normalisations_use_epsilon():
    x = np.zeros((1, 3))
    for function in (ops.layer_normalization, ops.rms_normalization):
        np.testing.assert_array_equal(function(x, epsilon=1e-3), x)
        np.testing.assert_array_equal(function(x), x)


def test_batch_normalization_in_the_middle_axis():
    x, m = np.random.normal(size=(2, 3, 4)), np.arange(3.0)
    y = ops.batch_normalization(x, m, m + 1, axis=1)
    np.testing.assert_allclose(y, (x - m[:, None]) / np.sqrt(m[:, None] + 1.001))


def test_normalisations_name_a_wrong_axis():
    for function in (ops.layer_normalization, ops.rms_normalization, ops.normalize):
        with pytest.raises(ValueError, match=r"normaliz\w+: expected an axis in \[-2, 2\), got 3"):
            function(np.ones((2, 3)), axis=3)


# ---- attention -----------------------------------------------------------------------------------


def test_attention_checks_shapes_and_options():
    q = np.ones((2, 3, 4, 5), np.float32)
    with pytest.raises(ValueError, match=r"expected query \(batch, .* got shapes .*\(2, 3, 4\)"):
        ops.dot_product_attention(q, q, q[..., 0])
    with pytest.raises(ValueError, match="as many heads in query as in key or a multiple"):
        ops.dot_product_attention(q[:, :, :3], q[:, :, :2], q[:, :, :2])
    with pytest.raises(ValueError, match="expected flash_attention=False"):
        ops.dot_product_attention(q, q, q, flash_attention=True)


def test_a_query_that_sees_nothing_gets_the_average():
    q = np.random.normal(size=(1, 2, 1, 3)).astype(np.float32)
    y = ops.dot_product_attention(q, q, q, mask=np.zeros((1, 1, 2, 2), bool))
    np.testing.assert_allclose(y, np.broadcast_to(q.mean(1, keepdims=True), q.shape), rtol=1e-5)


def test_one_key_gives_its_value_without_a_warning():
    q = np.random.normal(size=(1, 2, 1, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = ops.dot_product_attention(q, q[:, :1], q[:, :1], attn_logits_soft_cap=5.0)
    np.testing.assert_allclose(y, np.broadcast_to(q[:, :1], q.shape))
