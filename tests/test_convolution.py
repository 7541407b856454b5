"""Convolution: errors, dtypes, open axes, cutting into chunks; values are proved in the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikeras import config
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.ops import convolution as c
from minikeras.ops import patches, windows
from tests.rows import numbers

X, KERNEL = numbers(2, 8, 7, 3), numbers(3, 2, 3, 4, seed=1)


# ---- errors --------------------------------------------------------------------------------------

WRONG = [
    ((8, 3), (3, 3, 4), {}, r"expected a kernel of the inputs' rank, got shapes \(8, 3\) and"),
    ((8, 3), (3, 4), {}, r"expected inputs of rank 3, 4 or 5 .* got shape \(8, 3\)\. Add"),
    ((2,) * 6, (2,) * 6, {}, "expected inputs of rank 3, 4 or 5"),
    ((2, 8, 3), (0, 3, 4), {}, r"expected a kernel without empty axes, got shape \(0, 3, 4\)"),
    ((2, 8, 4), (3, 3, 4), {}, r"expected 3 input channels as .*\(3, 3, 4\) .* got 4\. Check"),
    ((2, 8, 2), (3, 3, 4), {}, "expected 3 input channels .* got 2"),
    ((2, 8, 0), (3, 3, 4), {}, "expected 3 input channels .* got 0"),
    ((2, 8, 9), (3, 3, 4), {}, "expected 3 .* groups which divide its 4 filters, got 9"),
    ((2, 2, 3), (3, 3, 4), {}, r"expected an image at least as long .* got \(2,\) .*\(3,\)"),
    ((2, 0, 3), (1, 3, 4), {}, r"expected an image at least as long .* got \(0,\)"),
    ((2, 4, 3), (3, 3, 4), {"dilation_rate": 2}, r"expected an image .* got \(4,\) .*\(5,\)"),
    ((2, 8, 3), (3, 3, 4), {"padding": "full"}, "expected padding 'valid' or 'same', got 'full'"),
    ((2, 8, 3), (3, 3, 4), {"padding": 1}, "expected padding 'valid' or 'same', got 1"),
    ((2, 8, 3), (3, 3, 4), {"strides": 0}, "expected strides as an integer >= 1 .* got 0"),
    ((2, 8, 3), (3, 3, 4), {"strides": 1.5}, "expected strides as an integer .* got 1.5"),
    ((2, 8, 3), (3, 3, 4), {"strides": (1, 2)}, r"expected .* or 1 of them, .* got \(1, 2\)"),
    ((2, 8, 3), (3, 3, 4), {"dilation_rate": -1}, "expected dilation_rate as an integer >= 1"),
    ((2, 8, 3), (3, 3, 4), {"strides": 2, "dilation_rate": 2}, r"expected .* \(2,\) and \(2,\)"),
]


@pytest.mark.parametrize(("x", "kernel", "options", "message"), WRONG)
def test_conv_says_what_is_wrong_also_of_symbolic_tensors(x, kernel, options, message):
    for inputs in (np.ones(x, np.float32), SymbolicTensor(x, np.dtype("float32"))):
        with pytest.raises(ValueError, match=f"^conv: {message}"):
            c.conv(inputs, np.ones(kernel, np.float32), **options)


def test_conv_of_images_in_another_layout():
    with pytest.raises(ValueError, match=r"got 7\. Check the kernel's shape and data_format"):
        c.conv(np.moveaxis(X, -1, 1), KERNEL)
    with pytest.raises(ValueError, match="data_format: expected one of"):
        c.conv(X, KERNEL, data_format="NHWC")


def test_depthwise_and_separable_conv_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"depthwise_conv: expected 2 input channels .* got 3\."):
        c.depthwise_conv(X, KERNEL[:, :, :2])
    with pytest.raises(ValueError, match="separable_conv: expected an image at least as long"):
        c.separable_conv(X[:, :2], KERNEL, np.ones((1, 1, 12, 2)))
    with pytest.raises(ValueError, match="depthwise_conv: expected padding"):
        c.depthwise_conv(X, KERNEL, padding="causal")


def test_conv_transpose_says_what_is_wrong():
    kernel = np.ones((3, 2, 4, 3))
    with pytest.raises(ValueError, match=r"conv_transpose: expected 3 input channels .* got 4\."):
        c.conv_transpose(numbers(2, 8, 7, 4), kernel)
    with pytest.raises(ValueError, match="conv_transpose: expected output_padding as an integer"):
        c.conv_transpose(X, kernel, output_padding=-1)
    with pytest.raises(ValueError, match="between 1 and 18 places of 8, got 2, which makes 19"):
        c.conv_transpose(X, kernel, strides=2, output_padding=2)
    with pytest.raises(ValueError, match="conv_transpose: expected padding"):
        c.conv_transpose(X, kernel, padding="causal")
    with pytest.raises(ValueError, match="conv_transpose: expected strides or dilation_rate"):
        c.conv_transpose(X, kernel, strides=2, dilation_rate=2)


def test_primitives_check_shapes_against_their_window():
    window = windows.sliding("test", (8, 7), (3, 2), (1, 1), "valid")
    g = np.ones((2, 6, 6, 4))
    with pytest.raises(ValueError, match=r"conv: expected inputs of shape \(2, 8, 7, 3\), got"):
        c._conv(SymbolicTensor((2, 8, 8, 3), np.dtype("float64")), KERNEL, window=window)
    with pytest.raises(ValueError, match=r"conv_input_gradient: expected a gradient of shape"):
        c._conv_input_gradient(
            SymbolicTensor((2, 6, 5, 4), np.dtype("float64")), KERNEL, window=window
        )
    with pytest.raises(ValueError, match=r"conv_kernel_gradient: expected a gradient of shape"):
        c._conv_kernel_gradient(X, SymbolicTensor((2, 6, 5, 4), g.dtype), window=window)


# ---- dtypes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("depthwise", [False, True])
def test_dtype_stays_through_the_gradients(depthwise):
    op = c.depthwise_conv if depthwise else c.conv
    exact = op(X, KERNEL, padding="same")
    for dtype, tolerance in (("float16", 1e-2), ("float32", 1e-5), ("float64", 1e-12)):
        x, kernel = as_tensor(X.astype(dtype)), as_tensor(KERNEL.astype(dtype))
        with GradientTape() as tape:
            tape.watch([x, kernel])
            y = op(x, kernel, padding="same")
        assert {t.dtype for t in [y, *tape.gradient(y, [x, kernel])]} == {dtype}
        np.testing.assert_allclose(y, exact, rtol=tolerance, atol=tolerance)


def test_integers_become_floatx_and_dtypes_meet():
    ones = np.ones((1, 4, 2), np.int32)
    assert c.conv(ones, np.ones((2, 2, 3), np.int64)).dtype == "float32"
    assert c.conv(ones, np.ones((2, 2, 3), np.float16)).dtype == "float16"
    assert c.conv(ones, np.ones((2, 2, 3), np.float64)).dtype == "float64"
    np.testing.assert_array_equal(c.conv(ones, np.ones((2, 2, 3), np.int64)), np.full((1, 3, 3), 4))


def test_infinite_values_pass_without_a_warning():
    x = X.copy()
    x[0, 0, 0, 0] = np.inf
    y = c.conv(x, KERNEL).numpy()
    assert np.isinf(y[0, 0, 0]).all()
    assert np.isfinite(y[1]).all()


# ---- layouts, views, open axes -------------------------------------------------------------------


def test_layout_comes_from_the_configuration():
    config.set_image_data_format("channels_first")
    y = c.conv(np.moveaxis(X, -1, 1), KERNEL)
    np.testing.assert_allclose(
        np.moveaxis(y.numpy(), 1, -1), c.conv(X, KERNEL, data_format="channels_last")
    )


def test_capitals_lists_and_numpy_numbers_are_understood():
    y = c.conv(X, KERNEL, strides=[2, np.int64(1)], padding="SAME")
    np.testing.assert_array_equal(y, c.conv(X, KERNEL, strides=(2, 1), padding="same"))


def test_views_are_read_as_they_are():
    big = numbers(4, 8, 14, 3)
    np.testing.assert_array_equal(
        c.conv(big[::2, :, ::-2], KERNEL[::-1]),
        c.conv(big[::2, :, ::-2].copy(), KERNEL[::-1].copy()),
    )


def test_open_axes_stay_open():
    x = SymbolicTensor((None, None, 8, 3), np.dtype("float32"))
    kernel = Variable(KERNEL.astype("float32"))
    assert c.conv(x, kernel, strides=2, padding="same").shape == (None, None, 4, 4)
    assert c.depthwise_conv(x, kernel).shape == (None, None, 7, 12)
    assert c.separable_conv(x, kernel, np.ones((1, 1, 12, 5))).shape == (None, None, 7, 5)
    transposed = np.ones((3, 3, 5, 3), np.float32)
    assert c.conv_transpose(x, transposed, strides=2).shape == (None, None, 17, 5)
    first = SymbolicTensor((None, 3, None, 8), np.dtype("float32"))
    assert c.conv(first, kernel, data_format="channels_first").shape == (None, 4, None, 7)


def test_variables_get_gradients():
    kernel = Variable(KERNEL)
    with GradientTape() as tape:
        y = c.conv(X, kernel)
    assert tape.gradient(y, kernel).shape == KERNEL.shape


# ---- cutting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 300, 1000, 5000])
@pytest.mark.parametrize("channels", [3, 6])
@pytest.mark.parametrize("groups", [1, 3])
def test_chunks_of_images_and_of_rows_make_no_difference(monkeypatch, chunk, channels, groups):
    x, kernel = numbers(5, 6, 5, channels), numbers(3, 2, channels // groups, 6, seed=1)
    window = windows.sliding("test", (6, 5), (3, 2), (1, 1), "same", groups=groups)
    g = numbers(5, 6, 5, 6, seed=2)

    def everything():
        return [
            c._conv(x, kernel, window=window),
            c._conv_input_gradient(g, kernel, window=window),
            c._conv_kernel_gradient(x, g, window=window),
        ]

    whole = everything()
    monkeypatch.setattr(patches, "CHUNK", chunk)
    for a, b in zip(everything(), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


# ---- the family ----------------------------------------------------------------------------------


@st.composite
def _cases(draw):
    rank = draw(st.integers(1, 3))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    strides = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    padding = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(rank))
    size = tuple(d * (k - 1) + 1 + draw(st.integers(0, 3)) for k, d in zip(kernel, dilation))
    groups, depth = draw(st.sampled_from([(1, 1), (1, 5), (2, 2), (3, 1)]))
    window = windows.Window(size, kernel, strides, padding, dilation, groups)
    return window, groups * depth, groups * draw(st.integers(1, 2))


@given(_cases())
@settings(max_examples=60)
def test_the_three_are_one_trilinear_form(case):
    """<conv(x, k), g> = <x, conv_input_gradient(g, k)> = <k, conv_kernel_gradient(x, g)>."""
    window, channels, filters = case
    x = numbers(2, *window.size, channels)
    kernel = numbers(*window.kernel, channels // window.groups, filters, seed=1)
    g = numbers(2, *window.outputs, filters, seed=2)
    expected = np.vdot(c._conv(x, kernel, window=window), g)
    dx = c._conv_input_gradient(g, kernel, window=window)
    dk = c._conv_kernel_gradient(x, g, window=window)
    assert np.isclose(np.vdot(x, dx), expected, rtol=1e-9, atol=1e-9)
    assert np.isclose(np.vdot(kernel, dk), expected, rtol=1e-9, atol=1e-9)


def test_empty_batches_and_images():
    assert c.conv(X[:0], KERNEL, padding="same").shape == (0, 8, 7, 4)
    assert c.conv(X[:, :0], KERNEL, padding="same").shape == (2, 0, 7, 4)
    assert c.depthwise_conv(X[:0], KERNEL).shape == (0, 6, 6, 12)
    assert c.conv_transpose(X[:0], np.ones((3, 2, 4, 3))).shape == (0, 10, 8, 4)


def test_images_of_one_channel_are_not_copied_for_every_filter():
    inputs = SymbolicTensor((2, 9, 9, 1), np.dtype("float32"))
    result = c.conv(inputs, np.ones((3, 3, 1, 32), np.float32))
    assert result.node.op.name == "conv"
    assert result.node.inputs[0] is inputs
    assert result.node.params["window"].groups == 1
