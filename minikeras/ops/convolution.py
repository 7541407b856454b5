"""Convolve over one to three spatial axes: dense, grouped, depthwise, separable, transposed.

Kernels are `[*spatial, in, out]`. Three bilinear primitives are each other's gradients: the output,
the input and the kernel of a convolution, each computed from the other two.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minikeras.core.basic import floating, promoted, reshape
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array
from minikeras.ops.define import composite
from minikeras.ops.depthwise import (
    depthwise_input_gradient,
    depthwise_kernel_gradient,
    depthwise_output,
)
from minikeras.ops.patches import chunks, patches_of, pixels_of
from minikeras.ops.repeating import repeat
from minikeras.ops.windows import Window, channels_last, expect_shape, is_same, per_axis, sliding

# ---- forward -------------------------------------------------------------------------------------


def _is_depthwise(window: Window, channels: int, filters: int) -> bool:
    return window.groups == channels == filters > 1


def _in_float32(forward: Callable[[Array, Array, Window], Array]) -> Any:
    """Compute float16 in float32 and round once: BLAS has no float16, and sums would suffer."""

    @functools.wraps(forward)
    def wide(a: Array, b: Array, window: Window) -> Array:
        if a.dtype == np.float16:
            a, b = a.astype(np.float32), b.astype(np.float32)
            return forward(a, b, window).astype(np.float16)
        return forward(a, b, window)

    return wide


@_in_float32
def _output(x: Array, kernel: Array, window: Window) -> Array:
    filters = kernel.shape[-1]
    if _is_depthwise(window, x.shape[-1], filters):
        return depthwise_output(x, kernel, window)
    out = np.empty((len(x), *window.outputs, filters), x.dtype)
    matrix = pixels_of(kernel, window.groups)
    for block, patches in patches_of(x, window):
        np.matmul(patches, matrix, out=pixels_of(out[block], window.groups))
    return out


@_in_float32
def _kernel_gradient(x: Array, g: Array, window: Window) -> Array:
    groups, channels, filters = window.groups, x.shape[-1] // window.groups, g.shape[-1]
    if _is_depthwise(window, x.shape[-1], filters):
        return depthwise_kernel_gradient(x, g, window)
    taps = math.prod(window.kernel)
    total = np.zeros((groups, taps * channels, filters // groups), x.dtype)
    for block, patches in patches_of(x, window):
        total += patches.swapaxes(1, 2) @ pixels_of(g[block], groups)
    return total.swapaxes(0, 1).reshape(*window.kernel, channels, filters)


@_in_float32
def _input_gradient(g: Array, kernel: Array, window: Window) -> Array:
    """Multiply by one kernel position at a time and add where it was met.

    One product with all positions at once is slower: its result is added in shorter runs.
    """
    groups = window.groups
    channels = kernel.shape[-2] * groups
    if _is_depthwise(window, channels, g.shape[-1]):
        return depthwise_input_gradient(g, kernel, window)
    out = np.zeros((len(g), *window.size, channels), g.dtype)
    turned = kernel.reshape(-1, kernel.shape[-2], groups, kernel.shape[-1] // groups)
    turned = turned.transpose(0, 2, 3, 1)
    for images in chunks(g, channels):
        some, into = g[images], out[images]
        pixels = pixels_of(some, groups)
        met = np.empty((*some.shape[:-1], channels), g.dtype)
        for position, (part, where) in zip(turned, window.overlaps(), strict=True):
            np.matmul(pixels, position, out=pixels_of(met, groups))
            into[part] += met[where]
    return out


# ---- the three primitives ------------------------------------------------------------------------


_WORDS = {"x": "inputs", "kernel": "a kernel", "grads": "a gradient"}


def _one_of_three(name: str, arguments: tuple[str, str], forward: Any, vjps: Any) -> Primitive:
    """Make the primitive that computes the third of inputs, kernel and result from two of them."""

    def spec(first: Spec, second: Spec, window: Window) -> Spec:
        given = dict(zip(arguments, (first.shape, second.shape), strict=True))
        x, kernel, grads = (given.get(name, ()) for name in _WORDS)
        channels = x[-1] if x else kernel[-2] * window.groups
        filters = (kernel or grads)[-1]
        shapes = {
            "x": ((x or grads)[0], *window.size, channels),
            "kernel": (*window.kernel, channels // window.groups, filters),
            "grads": ((x or grads)[0], *window.outputs, filters),
        }
        for argument, shape in given.items():
            expect_shape(_WORDS[argument], shape, shapes.pop(argument))
        (missing,) = shapes.values()
        return Spec(missing, first.dtype)

    return Primitive(name, forward, spec, vjps, arguments=arguments, prepare=promoted)


_conv: Primitive = _one_of_three(
    "conv",
    ("x", "kernel"),
    _output,
    (
        lambda g, kernel, window: _conv_input_gradient(g, kernel, window=window),
        lambda g, x, window: _conv_kernel_gradient(x, g, window=window),
    ),
)
_conv_input_gradient: Primitive = _one_of_three(
    "conv_input_gradient",
    ("grads", "kernel"),
    _input_gradient,
    (
        lambda g, kernel, window: _conv(g, kernel, window=window),
        lambda g, grads, window: _conv_kernel_gradient(g, grads, window=window),
    ),
)
_conv_kernel_gradient: Primitive = _one_of_three(
    "conv_kernel_gradient",
    ("x", "grads"),
    _kernel_gradient,
    (
        lambda g, grads, window: _conv_input_gradient(grads, g, window=window),
        lambda g, x, window: _conv(x, g, window=window),
    ),
)

# ---- public --------------------------------------------------------------------------------------


def _operands(
    who: str, inputs: Any, kernel: Any, data_format: str | None
) -> tuple[Any, Any, Callable[[Any], Any]]:
    """Return inputs and kernel in one floating dtype, channels last, and the way back."""
    x, kernel = floating([inputs, kernel])
    if len(kernel.shape) != len(x.shape):
        raise ValueError(
            f"{who}: expected a kernel of the inputs' rank, got shapes {tuple(x.shape)} and "
            f"{tuple(kernel.shape)}. A kernel has no batch axis but two for channels."
        )
    if 0 in kernel.shape:
        raise ValueError(
            f"{who}: expected a kernel without empty axes, got shape {tuple(kernel.shape)}."
        )
    x, back = channels_last(who, x, data_format)
    return x, kernel, back


def _strides_and_dilation(
    who: str, strides: Any, dilation_rate: Any, rank: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    strides = per_axis(who, "strides", strides, rank)
    dilation = per_axis(who, "dilation_rate", dilation_rate, rank)
    if max(strides) > 1 and max(dilation) > 1:
        raise ValueError(
            f"{who}: expected strides or dilation_rate to be 1, got {strides} and {dilation}. "
            "One convolution cannot both skip places and widen its kernel."
        )
    return strides, dilation


def _convolved(who: str, x: Any, kernel: Any, strides: Any, padding: str, dilation: Any) -> Any:
    """Convolve images with channels last; there are as many groups as the kernel's depth makes."""
    size, lengths = tuple(x.shape[1:-1]), tuple(kernel.shape[:-2])
    groups = x.shape[-1] // kernel.shape[-2]
    if 1 < groups == x.shape[-1] < kernel.shape[-1]:  # several filters a channel: one each
        groups = kernel.shape[-1]
        x = repeat(x, groups // x.shape[-1], axis=-1)
    window = sliding(who, size, lengths, strides, padding, dilation, groups)
    return _conv(x, kernel, window=window)


@composite
def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Convolve images `[batch, *spatial, channels]` with a kernel `[*spatial, in, out]`.

    There are as many groups as the kernel's input channels go into the images'; each group of
    channels meets its own share of the filters. Integers are taken as `floatx()`.
    """
    x, kernel, back = _operands("conv", inputs, kernel, data_format)
    (*_, depth, filters), channels = kernel.shape, x.shape[-1]
    if channels % depth or not channels or filters % (channels // depth):
        raise ValueError(
            f"conv: expected {depth} input channels as the kernel of shape {tuple(kernel.shape)} "
            f"has, or a multiple that makes groups which divide its {filters} filters, got "
            f"{channels}. Check the kernel's shape and data_format."
        )
    strides, dilation = _strides_and_dilation("conv", strides, dilation_rate, x.ndim - 2)
    return back(_convolved("conv", x, kernel, strides, padding, dilation))


def _same_channels(who: str, x: Any, channels: int, kernel: Any) -> None:
    if x.shape[-1] != channels:
        raise ValueError(
            f"{who}: expected {channels} input channels as the kernel of shape "
            f"{tuple(kernel.shape)} has, got {x.shape[-1]}. Check the kernel's shape and "
            "data_format."
        )


def _depthwise(who: str, inputs: Any, kernel: Any, data_format: str | None, *how: Any) -> Any:
    x, kernel, back = _operands(who, inputs, kernel, data_format)
    *lengths, channels, multiplier = kernel.shape
    _same_channels(who, x, channels, kernel)
    kernel = reshape(kernel, shape=(*lengths, 1, channels * multiplier))
    return back(_convolved(who, x, kernel, *how))


@composite
def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Convolve each channel with filters of its own: a kernel `[*spatial, channels, multiplier]`.

    Output channel `c * multiplier + m` is filter m of channel c.
    """
    how = strides, padding, dilation_rate
    return _depthwise("depthwise_conv", inputs, kernel, data_format, *how)


@composite
def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Convolve each channel by itself, then mix channels with a kernel of length 1."""
    how = strides, padding, dilation_rate
    y = _depthwise("separable_conv", inputs, depthwise_kernel, data_format, *how)
    return conv(y, pointwise_kernel, data_format=data_format)


@composite
def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Compute the gradient of a convolution's input: its transpose, with kernel `[..., out, in]`.

    With a kernel of span `k` (gaps included) and stride `s`, `n` places become `n * s` for
    padding `"same"`, `(n - 1) * s + max(k, s)` for `"valid"`; with `output_padding`,
    `(n - 1) * s + k % 2 + output_padding` and `(n - 1) * s + k + output_padding`.
    """
    x, kernel, back = _operands("conv_transpose", inputs, kernel, data_format)
    *lengths, _, channels = kernel.shape
    _same_channels("conv_transpose", x, channels, kernel)
    rank = len(lengths)
    strides, dilation = _strides_and_dilation("conv_transpose", strides, dilation_rate, rank)
    window = Window(tuple(lengths), tuple(lengths), strides, ((0, 0),) * rank, dilation)
    extra: tuple[int | None, ...] = (None,) * rank
    if output_padding is not None:
        extra = per_axis("conv_transpose", "output_padding", output_padding, rank, least=0)
    same = is_same("conv_transpose", padding)
    sizes, pads = [], []
    for n, span, stride, more in zip(x.shape[1:-1], window.spans, strides, extra, strict=True):
        full = (n - 1) * stride + span
        if more is None:
            size = n * stride if same else max(full, n * stride)
        else:
            size = (n - 1) * stride + (span % 2 if same else span) + more
        if not 0 < size < full + stride:
            raise ValueError(
                f"conv_transpose: expected an output_padding that makes between 1 and "
                f"{full + stride - 1} places of {n}, got {output_padding}, which makes {size}. "
                "It must be less than the stride."
            )
        cut = max(full - size, 0)
        sizes.append(size)
        pads.append((cut // 2, cut - cut // 2))
    window = window._replace(size=tuple(sizes), padding=tuple(pads))
    return back(_conv_input_gradient(x, kernel, window=window))
