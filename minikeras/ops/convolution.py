"""Convolve over one to three spatial axes: dense, grouped, depthwise, separable, transposed.

Inside, images are `[batch, *spatial, channels]` and kernels `[*spatial, in, out]`. Three bilinear
primitives are each other's gradients: the output, the input and the kernel of a convolution, each
computed from the other two.
"""

import functools
import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minikeras import config
from minikeras.core.basic import floating, promoted, reshape
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array
from minikeras.ops.define import composite, quiet
from minikeras.ops.shaping import transpose

# Patches are made this many bytes at a time, so that the product finds them in the cache. Measured
# on two cores with 1 MB of L2 each: 1 and 2 MB are alike, all at once takes 1.5 times longer.
_CHUNK = 1 << 21

# With so few channels a patch is made of short runs, and its transpose of long ones (whole rows of
# the image): 2 to 3 times faster for one channel, even at 4, slower beyond.
_FEW_CHANNELS = 4


class Window(NamedTuple):
    """How a kernel or a pool slides over an image; one number, or pair, per spatial axis."""

    size: tuple[int, ...]
    """Lengths of the image."""
    kernel: tuple[int, ...]
    """Lengths of the kernel."""
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    """Zeros before and after the image."""
    dilation: tuple[int, ...]
    groups: int = 1

    @property
    def spans(self) -> tuple[int, ...]:
        """How much of the image the kernel covers, gaps included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Lengths of the result."""
        return tuple(
            (n + lo + hi - span) // stride + 1
            for n, (lo, hi), span, stride in zip(
                self.size, self.padding, self.spans, self.strides, strict=True
            )
        )

    def overlap(self, axis: int, position: int) -> tuple[slice, slice]:
        """Return the part of the image that one kernel position meets, and where it does.

        `image[part]` and `outputs[where]` are equally long: what would meet padding is left out.
        """
        stride = self.strides[axis]
        offset = position * self.dilation[axis] - self.padding[axis][0]
        first = max(0, -(offset // stride))
        stop = min(self.outputs[axis], (self.size[axis] - 1 - offset) // stride + 1)
        if stop <= first:
            return slice(0, 0), slice(0, 0)
        start = first * stride + offset
        return slice(start, start + (stop - first - 1) * stride + 1, stride), slice(first, stop)

    def overlaps(self) -> Iterator[tuple[Any, Any]]:
        """Yield, for every kernel position in row-major order, an image's and an output's index."""
        axes = [
            [self.overlap(axis, position) for position in range(length)]
            for axis, length in enumerate(self.kernel)
        ]
        for pairs in itertools.product(*axes):
            parts, wheres = zip(*pairs, strict=True)
            yield (slice(None), *parts), (slice(None), *wheres)


# ---- arguments -----------------------------------------------------------------------------------


def per_axis(who: str, name: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """Return an int or a sequence of them as one int per spatial axis."""
    try:
        numbers = (
            tuple(map(operator.index, value))
            if isinstance(value, (tuple, list))
            else (operator.index(value),) * rank
        )
    except TypeError:
        numbers = ()
    if len(numbers) != rank or any(number < least for number in numbers):
        raise ValueError(
            f"{who}: expected {name} as an integer >= {least} or {rank} of them, one per spatial "
            f"axis, got {value!r}."
        )
    return numbers


def sliding(
    who: str,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
    dilation: tuple[int, ...] | None = None,
    groups: int = 1,
) -> Window:
    """Return the Window that Keras' `padding` means: `"same"` pads by TensorFlow's rule.

    Raises `ValueError` for other words, and where `"valid"` leaves no room for the kernel.
    """
    window = Window(size, kernel, strides, ((0, 0),) * len(size), dilation or (1,) * len(size))
    window = window._replace(groups=groups)
    if is_same(who, padding):
        # The result has ceil(n / stride) places; an odd zero goes to the end.
        totals = [
            max((-(-n // stride) - 1) * stride + span - n, 0)
            for n, stride, span in zip(size, strides, window.spans, strict=True)
        ]
        return window._replace(padding=tuple((total // 2, total - total // 2) for total in totals))
    if any(n < span for n, span in zip(size, window.spans, strict=True)):
        raise ValueError(
            f"{who}: expected an image at least as long as the window on every spatial axis, got "
            f"{size} and a window of {window.spans}, which leaves an empty result. "
            "Use padding='same', a smaller window or larger images."
        )
    return window


def is_same(who: str, padding: str) -> bool:
    """Tell `"same"` from `"valid"`, in capitals too; raise `ValueError` for anything else."""
    word = padding.lower() if isinstance(padding, str) else padding
    if word not in ("valid", "same"):
        raise ValueError(f"{who}: expected padding 'valid' or 'same', got {padding!r}.")
    return word == "same"


def channels_last(who: str, x: Any, data_format: str | None) -> tuple[Any, Callable[[Any], Any]]:
    """Return images with channels last, and a function that brings a result back to the format."""
    rank = len(x.shape)
    if not 3 <= rank <= 5:
        raise ValueError(
            f"{who}: expected inputs of rank 3, 4 or 5 (batch, one to three spatial axes, "
            f"channels), got shape {tuple(x.shape)}. Add the missing axes with ops.expand_dims."
        )
    if config.standardize_data_format(data_format) == "channels_last":
        return x, lambda y: y
    back = (0, rank - 1, *range(1, rank - 1))
    return transpose(x, (0, *range(2, rank), 1)), lambda y: transpose(y, back)


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


# ---- forward -------------------------------------------------------------------------------------


def padded(x: Array, padding: tuple[tuple[int, int], ...], value: float = 0) -> Array:
    """Return `x` with its spatial axes padded, itself if there is nothing to pad."""
    if not any(map(any, padding)):
        return x
    lengths = [lo + n + hi for (lo, hi), n in zip(padding, x.shape[1:-1], strict=True)]
    out = np.full((x.shape[0], *lengths, x.shape[-1]), value, x.dtype)
    inner = (slice(lo, lo + n) for (lo, _), n in zip(padding, x.shape[1:-1], strict=True))
    out[(slice(None), *inner)] = x
    return out


def _blocks(images: int, rows: int, row_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Cut a batch into images, or one image into rows, of about `_CHUNK` bytes."""
    fit = max(1, _CHUNK // max(1, row_bytes))
    if fit >= rows:
        for i in range(0, images, fit // rows):
            yield slice(i, i + fit // rows), slice(None)
    else:
        for i, row in itertools.product(range(images), range(0, rows, fit)):
            yield slice(i, i + 1), slice(row, row + fit)


def _patches(x: Array, window: Window) -> Iterator[tuple[Any, Array]]:
    """Yield `(block, patches)`: what the kernel meets at the places `outputs[block]`.

    Patches are `[groups, places, kernel positions * channels of a group]`.
    """
    batch, places, rank = len(x), window.outputs, len(window.size)
    if not batch or 0 in places:
        return
    groups, channels = window.groups, x.shape[-1] // window.groups
    x = padded(x, window.padding)
    taps = int(np.prod(window.kernel))
    steps = tuple(slice(None, None, stride) for stride in window.strides)
    if taps == 1:
        yield (slice(None), slice(None)), _pixels(x[(slice(None), *steps)], groups)
        return
    views = sliding_window_view(x, window.spans, axis=tuple(range(1, rank + 1)))
    gaps = (slice(None, None, dilation) for dilation in window.dilation)
    views = views[(slice(None), *steps, slice(None), *gaps)]
    views = views.reshape(batch, *places, groups, channels, *window.kernel)
    pixel, group, channel, tap = range(rank + 1), rank + 1, rank + 2, range(rank + 3, 2 * rank + 3)
    few = channels <= _FEW_CHANNELS
    order = (group, *tap, channel, *pixel) if few else (group, *pixel, *tap, channel)
    row_bytes = x.itemsize * x.shape[-1] * taps * int(np.prod(places[1:]))
    for block in _blocks(batch, places[0], row_bytes):
        copied = np.ascontiguousarray(views[block].transpose(order))
        if few:
            yield block, copied.reshape(groups, taps * channels, -1).swapaxes(1, 2)
        else:
            yield block, copied.reshape(groups, -1, taps * channels)


def _pixels(images: Array, groups: int) -> Array:
    """View images as `[groups, pixels, channels of a group]`."""
    return images.reshape(-1, groups, images.shape[-1] // groups).swapaxes(0, 1)


def _is_depthwise(window: Window, channels: int) -> bool:
    return window.groups == channels > 1


def _in_float32(forward: Callable[[Array, Array, Window], Array]) -> Any:
    """Compute float16 in float32 and round once: BLAS has no float16, and sums would suffer."""

    @functools.wraps(forward)
    def wide(a: Array, b: Array, window: Window) -> Array:
        if a.dtype == np.float16:
            a, b = a.astype(np.float32), b.astype(np.float32)
            return forward(a, b, window).astype(np.float16)
        return forward(a, b, window)

    return quiet(wide)


@_in_float32
def _output(x: Array, kernel: Array, window: Window) -> Array:
    filters = kernel.shape[-1]
    if _is_depthwise(window, x.shape[-1]):
        return _depthwise_output(x, kernel, window)
    out = np.empty((len(x), *window.outputs, filters), x.dtype)
    matrix = _pixels(kernel, window.groups)
    for block, patches in _patches(x, window):
        np.matmul(patches, matrix, out=_pixels(out[block], window.groups))
    return out


@_in_float32
def _kernel_gradient(x: Array, g: Array, window: Window) -> Array:
    groups, channels, filters = window.groups, x.shape[-1] // window.groups, g.shape[-1]
    if _is_depthwise(window, x.shape[-1]):
        return _depthwise_kernel_gradient(x, g, window)
    taps = int(np.prod(window.kernel))
    total = np.zeros((groups, taps * channels, filters // groups), x.dtype)
    for block, patches in _patches(x, window):
        total += patches.swapaxes(1, 2) @ _pixels(g[block], groups)
    return total.swapaxes(0, 1).reshape(*window.kernel, channels, filters)


@_in_float32
def _input_gradient(g: Array, kernel: Array, window: Window) -> Array:
    """Multiply by one kernel position at a time and add where it was met.

    One product with all positions at once is slower: its result is added in shorter runs.
    """
    groups = window.groups
    channels = kernel.shape[-2] * groups
    if _is_depthwise(window, channels):
        return _depthwise_input_gradient(g, kernel, window)
    out = np.zeros((len(g), *window.size, channels), g.dtype)
    turned = kernel.reshape(-1, kernel.shape[-2], groups, kernel.shape[-1] // groups)
    turned = turned.transpose(0, 2, 3, 1)
    for images in _chunks(g, channels):
        some, into = g[images], out[images]
        pixels = _pixels(some, groups)
        met = np.empty((*some.shape[:-1], channels), g.dtype)
        for position, (part, where) in zip(turned, window.overlaps(), strict=True):
            np.matmul(pixels, position, out=_pixels(met, groups))
            into[part] += met[where]
    return out


def _chunks(images: Array, channels: int) -> Iterator[slice]:
    """Cut a batch into slices of about `_CHUNK` bytes, had they so many channels."""
    pixels = int(np.prod(images.shape[1:-1]))
    step = max(1, _CHUNK // max(1, images.itemsize * pixels * channels))
    return (slice(i, i + step) for i in range(0, len(images), step))


# ---- forward, one channel a group ----------------------------------------------------------------
#
# Products of one channel are no work for BLAS: multiply and add position by position. Filter m of
# channel c is output channel `c * multiplier + m`; here the multiplier is the first axis.


def _filters_first(images: Array, channels: int) -> Array:
    """Return images `[..., channels * multiplier]` as `[multiplier, ..., channels]`."""
    split = images.reshape(*images.shape[:-1], channels, images.shape[-1] // channels)
    return np.ascontiguousarray(np.moveaxis(split, -1, 0))


def _kernel_rows(kernel: Array, window: Window) -> Iterator[tuple[int, Array, Any, Any]]:
    """Yield `(filter, row, part, where)`: one kernel position repeated for a row of the result.

    A loop over a row of pixels costs less than one over the channels of each.
    """
    for index, single in enumerate(_filters_first(kernel, window.groups)):
        positions = single.reshape(-1, window.groups)
        for position, (part, where) in zip(positions, window.overlaps(), strict=True):
            length = where[-1].stop - where[-1].start
            yield index, np.tile(position, (length, 1)), part, where


def _depthwise_output(x: Array, kernel: Array, window: Window) -> Array:
    channels, filters = x.shape[-1], kernel.shape[-1]
    out = np.empty((len(x), *window.outputs, filters), x.dtype)
    rows = list(_kernel_rows(kernel, window))
    for images in _chunks(out, filters):
        some = x[images]
        total = np.zeros((filters // channels, len(some), *window.outputs, channels), x.dtype)
        for index, row, part, where in rows:
            total[index][where] += some[part] * row
        out[images] = np.moveaxis(total, 0, -1).reshape(out[images].shape)
    return out


def _depthwise_input_gradient(g: Array, kernel: Array, window: Window) -> Array:
    out = np.zeros((len(g), *window.size, window.groups), g.dtype)
    rows = list(_kernel_rows(kernel, window))
    for images in _chunks(g, g.shape[-1]):
        grads, into = _filters_first(g[images], window.groups), out[images]
        for index, row, part, where in rows:
            into[part] += grads[index][where] * row
    return out


def _depthwise_kernel_gradient(x: Array, g: Array, window: Window) -> Array:
    channels, filters = x.shape[-1], g.shape[-1]
    total = np.zeros((filters // channels, int(np.prod(window.kernel)), channels), x.dtype)
    pixels = tuple(range(x.ndim - 2))
    for images in _chunks(g, filters):
        some = x[images]
        for sums, grads in zip(total, _filters_first(g[images], channels), strict=True):
            for position, (part, where) in enumerate(window.overlaps()):
                sums[position] += (some[part] * grads[where]).sum(pixels).sum(0)
    return np.moveaxis(total, 0, -1).reshape(*window.kernel, 1, filters)


# ---- the three primitives ------------------------------------------------------------------------


def _checked(who: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(got) != expected:
        raise ValueError(f"expected {who} of shape {expected}, got {tuple(got)}.")


def _output_spec(x: Spec, kernel: Spec, window: Window) -> Spec:
    channels, filters = x.shape[-1], kernel.shape[-1]
    _checked("inputs", x.shape, (x.shape[0], *window.size, channels))
    _checked("a kernel", kernel.shape, (*window.kernel, channels // window.groups, filters))
    return Spec((x.shape[0], *window.outputs, filters), x.dtype)


def _input_spec(g: Spec, kernel: Spec, window: Window) -> Spec:
    channels, filters = kernel.shape[-2] * window.groups, kernel.shape[-1]
    _checked("a gradient", g.shape, (g.shape[0], *window.outputs, filters))
    _checked("a kernel", kernel.shape, (*window.kernel, kernel.shape[-2], filters))
    return Spec((g.shape[0], *window.size, channels), g.dtype)


def _kernel_spec(x: Spec, g: Spec, window: Window) -> Spec:
    batch, channels, filters = x.shape[0], x.shape[-1], g.shape[-1]
    _checked("inputs", x.shape, (batch, *window.size, channels))
    _checked("a gradient", g.shape, (batch, *window.outputs, filters))
    return Spec((*window.kernel, channels // window.groups, filters), x.dtype)


_conv: Primitive = Primitive(
    "conv",
    _output,
    _output_spec,
    vjps=(
        lambda g, kernel, window: _conv_input_gradient(g, kernel, window=window),
        lambda g, x, window: _conv_kernel_gradient(x, g, window=window),
    ),
    arguments=("x", "kernel"),
    prepare=promoted,
)
_conv_input_gradient: Primitive = Primitive(
    "conv_input_gradient",
    _input_gradient,
    _input_spec,
    vjps=(
        lambda g, kernel, window: _conv(g, kernel, window=window),
        lambda g, grads, window: _conv_kernel_gradient(g, grads, window=window),
    ),
    arguments=("grads", "kernel"),
    prepare=promoted,
)
_conv_kernel_gradient: Primitive = Primitive(
    "conv_kernel_gradient",
    _kernel_gradient,
    _kernel_spec,
    vjps=(
        lambda g, grads, window: _conv_input_gradient(grads, g, window=window),
        lambda g, x, window: _conv(x, g, window=window),
    ),
    arguments=("x", "grads"),
    prepare=promoted,
)

# ---- public --------------------------------------------------------------------------------------


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
    *lengths, depth, filters = kernel.shape
    channels = x.shape[-1]
    groups = channels // depth
    if channels % depth or not groups or filters % groups:
        raise ValueError(
            f"conv: expected {depth} input channels as the kernel of shape {tuple(kernel.shape)} "
            f"has, or a multiple that makes groups which divide its {filters} filters, got "
            f"{channels}. Check the kernel's shape and data_format."
        )
    size = tuple(x.shape[1:-1])
    strides, dilation = _strides_and_dilation("conv", strides, dilation_rate, len(size))
    window = sliding("conv", size, tuple(lengths), strides, padding, dilation, groups)
    return back(_conv(x, kernel, window=window))


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
    return _depthwise(
        "depthwise_conv", inputs, kernel, strides, padding, data_format, dilation_rate
    )


def _depthwise(
    who: str,
    inputs: Any,
    kernel: Any,
    strides: Any,
    padding: str,
    data_format: str | None,
    dilation_rate: Any,
) -> Any:
    x, kernel, back = _operands(who, inputs, kernel, data_format)
    *lengths, channels, multiplier = kernel.shape
    _same_channels(who, x, channels, kernel)
    size = tuple(x.shape[1:-1])
    window = sliding(
        who,
        size,
        tuple(lengths),
        per_axis(who, "strides", strides, len(size)),
        padding,
        per_axis(who, "dilation_rate", dilation_rate, len(size)),
        groups=channels,
    )
    kernel = reshape(kernel, shape=(*lengths, 1, channels * multiplier))
    return back(_conv(x, kernel, window=window))


def _same_channels(who: str, x: Any, channels: int, kernel: Any) -> None:
    if x.shape[-1] != channels:
        raise ValueError(
            f"{who}: expected {channels} input channels as the kernel of shape "
            f"{tuple(kernel.shape)} has, got {x.shape[-1]}. Check the kernel's shape and "
            "data_format."
        )


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
    y = _depthwise(
        "separable_conv", inputs, depthwise_kernel, strides, padding, data_format, dilation_rate
    )
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
