"""Rows of `minikeras.ops.convolution`; the oracles loop over places and kernel positions."""

import functools
import itertools

import numpy as np

from minikeras.ops import convolution as c
from tests.rows import Row, numbers

FAMILY = ("conv", "conv_input_gradient", "conv_kernel_gradient")


def per_axis(value, rank):
    return value if isinstance(value, tuple) else (value,) * rank


def places(size, kernel, strides, padding, dilation):
    """Return the result's lengths and the zeros before the image, by TensorFlow's rule."""
    lengths, before = [], []
    for n, k, s, d in zip(size, kernel, strides, dilation):
        span = d * (k - 1) + 1
        length = int(np.ceil(n / s)) if padding == "same" else int(np.ceil((n - span + 1) / s))
        lengths.append(length)
        before.append(max(0, (length - 1) * s + span - n) // 2 if padding == "same" else 0)
    return tuple(lengths), before


def meetings(size, lengths, kernel, strides, dilation, before):
    """Yield every place, kernel position and image position that meet."""
    for place in np.ndindex(*lengths):
        for tap in np.ndindex(*kernel):
            parts = zip(place, strides, tap, dilation, before)
            position = tuple(p * s + t * d - lo for p, s, t, d, lo in parts)
            if all(0 <= i < n for i, n in zip(position, size)):
                yield place, tap, position


def conv(x, kernel, strides=1, padding="valid", dilation_rate=1):
    (batch, *size, channels), (*lengths, depth, filters) = x.shape, kernel.shape
    strides, dilation = per_axis(strides, len(size)), per_axis(dilation_rate, len(size))
    outputs, before = places(size, lengths, strides, padding, dilation)
    groups = channels // depth
    y = np.zeros((batch, *outputs, filters))
    for place, tap, position in meetings(size, outputs, lengths, strides, dilation, before):
        for b, group in itertools.product(range(batch), range(groups)):
            inputs = slice(group * depth, (group + 1) * depth)
            chosen = slice(group * filters // groups, (group + 1) * filters // groups)
            y[(b, *place, chosen)] += (
                x[(b, *position, inputs)] @ kernel[(*tap, slice(None), chosen)]
            )
    return y


def depthwise(x, kernel, **options):
    channels = range(x.shape[-1])
    parts = [conv(x[..., [i]], kernel[..., [i], :], **options) for i in channels]
    return np.concatenate(parts, -1)


def separable(x, kernel, pointwise, **options):
    return conv(depthwise(x, kernel, **options), pointwise)


def transpose(x, kernel, strides=1, padding="valid", output_padding=None, dilation_rate=1):
    (batch, *size, _), (*lengths, filters, _) = x.shape, kernel.shape
    strides, dilation = per_axis(strides, len(size)), per_axis(dilation_rate, len(size))
    outputs, before = [], []
    for n, k, s, d in zip(size, lengths, strides, dilation):
        span = d * (k - 1) + 1
        if output_padding is None:
            outputs.append(n * s if padding == "same" else (n - 1) * s + max(span, s))
        else:
            rest = span % 2 if padding == "same" else span
            outputs.append((n - 1) * s + rest + output_padding)
        before.append(max(0, (n - 1) * s + span - outputs[-1]) // 2)
    y = np.zeros((batch, *outputs, filters))
    for place, tap, position in meetings(outputs, tuple(size), lengths, strides, dilation, before):
        for b in range(batch):
            y[(b, *position)] += kernel[tap] @ x[(b, *place)]
    return y


def _row(op, oracle, inputs, first=False, **options):
    """Make a row; `first` moves the channels of the images behind the batch, on both sides."""
    x, *kernels = (numbers(*shape, seed=i) for i, shape in enumerate(inputs))
    expected = functools.partial(oracle, **options)
    if first:
        x = np.moveaxis(x, -1, 1)
        plain = expected
        expected = lambda x, *kernels: np.moveaxis(plain(np.moveaxis(x, 1, -1), *kernels), -1, 1)
        options = {**options, "data_format": "channels_first"}
    return Row("conv", functools.partial(op, **options), (x, *kernels), expected, covers=FAMILY)


_conv = functools.partial(_row, c.conv, conv)
_depthwise = functools.partial(_row, c.depthwise_conv, depthwise)
_transpose = functools.partial(_row, c.conv_transpose, transpose)

ROWS = [
    _conv([(2, 5, 2), (3, 2, 3)]),
    _conv([(2, 6, 5), (4, 5, 2)], strides=2, padding="same"),
    _conv([(2, 5, 6, 2), (3, 2, 2, 3)]),
    _conv([(2, 5, 6, 6), (3, 3, 6, 2)], padding="same"),
    _conv([(2, 7, 6, 1), (2, 4, 1, 3)], strides=(3, 2), padding="same"),
    _conv([(1, 8, 7, 5), (2, 3, 5, 2)], strides=(3, 2)),
    _conv([(1, 8, 7, 2), (3, 2, 2, 2)], dilation_rate=(2, 3), padding="same"),
    _conv([(1, 7, 7, 5), (3, 2, 5, 2)], dilation_rate=(2, 3)),
    _conv([(1, 2, 3, 2), (4, 5, 2, 2)], padding="same"),
    _conv([(2, 3, 2, 4), (1, 1, 4, 3)]),
    _conv([(2, 4, 5, 2), (1, 1, 2, 3)], strides=2),
    _conv([(2, 4, 3, 6), (2, 2, 3, 4)]),
    _conv([(1, 4, 3, 10), (2, 2, 5, 4)], padding="same", strides=2),
    _conv([(2, 4, 3, 3), (2, 2, 1, 6)], padding="same"),
    _conv([(1, 3, 4, 3, 2), (2, 2, 2, 2, 2)], padding="same", strides=(1, 2, 1)),
    _conv([(2, 4, 3, 5), (2, 3, 5, 2)], first=True, padding="same"),
    _conv([(0, 4, 3, 2), (2, 2, 2, 2)]),
    _depthwise([(2, 5, 3), (2, 3, 1)], padding="same"),
    _depthwise([(2, 5, 4, 2), (3, 2, 2, 2)]),
    _depthwise([(1, 6, 5, 2), (2, 3, 2, 2)], padding="same", strides=2, dilation_rate=2),
    _depthwise([(2, 4, 3, 1), (2, 2, 1, 3)], first=True),
    _row(c.separable_conv, separable, [(2, 4, 5, 2), (3, 2, 2, 2), (1, 1, 4, 3)], padding="same"),
    _row(c.separable_conv, separable, [(2, 4, 2), (3, 2, 1), (1, 2, 3)], first=True, strides=2),
    _transpose([(2, 3, 2), (3, 4, 2)]),
    _transpose([(2, 3, 4, 2), (3, 2, 3, 2)], strides=2),
    _transpose([(2, 3, 4, 5), (3, 4, 2, 5)], strides=2, padding="same"),
    _transpose([(1, 2, 3, 2), (2, 1, 2, 2)], strides=3, padding="same"),
    _transpose([(1, 2, 3, 2), (2, 1, 2, 2)], strides=3),
    _transpose([(1, 3, 2, 2), (3, 3, 2, 2)], strides=2, padding="same", output_padding=1),
    _transpose([(1, 3, 2, 2), (3, 4, 2, 2)], strides=2, output_padding=1),
    _transpose([(1, 3, 4, 2), (3, 2, 2, 2)], dilation_rate=2, padding="same"),
    _transpose([(1, 2, 2, 3, 2), (2, 3, 2, 1, 2)], strides=(1, 2, 1)),
    _transpose([(2, 3, 2, 2), (2, 3, 3, 2)], first=True, strides=2),
]
